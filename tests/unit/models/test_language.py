import pytest
import torch

from hyperinf.data.prompts import Rendered
from hyperinf.errors import InputError
from hyperinf.gradients.losses import IGNORED, causal_loss, default_loss
from hyperinf.models.causal import load_causal
from hyperinf.models.language import EncodedAnswers, left_padded, tokenise
from hyperinf.models.loading import load_tokenizer
from hyperinf.models.shapes import byte_tokenizer


def rendered(context, answer=" yes"):
    return Rendered("Read: ", context, "\nSo? Answer:", (" yes", " no"), answer)


@pytest.fixture(scope="module")
def tokenizer():
    return byte_tokenizer()


def test_prompt_and_answer_are_the_bytes_of_their_texts(tokenizer):
    (row,) = tokenise(tokenizer, ["a"], [rendered("some text")], [" yes"], 100)
    assert tokenizer.decode(row.prompt) == "Read: some text\nSo? Answer:"
    assert tokenizer.decode(row.continuation) == " yes"
    assert not row.truncated


def test_what_is_too_long_loses_the_left_of_its_context_and_nothing_else(tokenizer):
    whole = len("Read: ") + len("\nSo? Answer:") + len(" yes")
    rows = tokenise(tokenizer, ["a", "b"], [rendered("0123456789"), rendered("x")], [" yes", " yes"], whole + 4)
    assert tokenizer.decode(rows[0].prompt) == "Read: 6789\nSo? Answer:"
    assert [row.truncated for row in rows] == [True, False]


def test_white_space_at_the_cut_is_dropped(tokenizer):
    whole = len("Read: ") + len("\nSo? Answer:") + len(" yes")
    (row,) = tokenise(tokenizer, ["a"], [rendered("01234 6789")], [" yes"], whole + 5)
    assert tokenizer.decode(row.prompt) == "Read: 6789\nSo? Answer:"


def test_a_sample_that_does_not_fit_without_its_context_is_named(tokenizer):
    with pytest.raises(InputError, match=r"sample 'b' needs 22 tokens without its context; expected at most .* 12"):
        tokenise(tokenizer, ["b"], [rendered("0123456789")], [" yes"], 12)


def test_an_answer_without_a_token_is_refused(tokenizer):
    with pytest.raises(InputError, match="sample 'c': its answer has no token"):
        tokenise(tokenizer, ["c"], [rendered("x", "")], [""], 100)


def test_a_token_that_spans_prompt_and_answer_belongs_to_the_answer_as_in_running_text():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {"<unk>": 0, "▁Answer": 1, ":": 2, "▁": 3, "yes": 4, "▁yes": 5}
    inner = Tokenizer(models.BPE(vocab=words, merges=[("▁", "yes")], unk_token="<unk>", fuse_unk=True))
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>", eos_token="<unk>")
    (row,) = tokenise(tokenizer, ["a"], [Rendered("", "q", ":", (), " yes")], [" yes"], 50)
    whole = tuple(tokenizer("q: yes")["input_ids"])
    assert row.prompt + row.continuation == whole


@pytest.fixture(scope="module")
def encoded(tokenizer):
    texts, answers = ["a", "some longer text", "mid size"], [" yes", " no", " maybe so"]
    rows = tokenise(tokenizer, list("abc"), [rendered(text) for text in texts], answers, 100)
    return EncodedAnswers(list("abc"), rows, tokenizer.pad_token_id)


def test_labels_stand_at_the_answers_tokens_only_and_at_the_end(encoded, tokenizer):
    batch = encoded.collate([0, 1, 2])
    for row, answer in enumerate([" yes", " no", " maybe so"]):
        labels = batch["labels"][row]
        assert tokenizer.decode(labels[labels != IGNORED]) == answer
        assert (labels[-len(answer) :] != IGNORED).all()


def test_a_model_gives_a_left_padded_row_the_logits_that_it_has_alone(tiny_llama):
    model = load_causal(str(tiny_llama)).double().eval()
    rows = [[5, 6, 7], [9, 8, 7, 6, 5, 4, 3]]
    with torch.no_grad():
        together = model(**left_padded(rows, 0)).logits
        for place, row in enumerate(rows):
            alone = model(torch.tensor([row])).logits[0]
            torch.testing.assert_close(together[place, -len(row) :], alone, atol=1e-9, rtol=1e-9)


def test_the_loss_without_superfluous_logits_is_the_loss_with_all_of_them(encoded, tiny_llama):
    model = load_causal(str(tiny_llama)).double().eval()
    for indices in ([0], [0, 1, 2], [2, 1]):
        batch = encoded.collate(indices)
        with torch.no_grad():
            torch.testing.assert_close(causal_loss(model, batch), default_loss(model, batch), atol=1e-9, rtol=1e-9)


def test_the_loss_of_a_sample_is_the_mean_over_its_own_answer(encoded, tiny_llama):
    model = load_causal(str(tiny_llama)).double().eval()
    batch = encoded.collate([0, 1, 2])
    with torch.no_grad():
        losses = causal_loss(model, batch)
        for place, index in enumerate([0, 1, 2]):
            row = encoded.collate([index])
            tokens = row["input_ids"][0]
            answer = row["labels"][0] != IGNORED
            logs = model(tokens[None]).logits[0].log_softmax(dim=-1)
            expected = -torch.stack([logs[t - 1, tokens[t]] for t in range(len(tokens)) if answer[t]]).mean()
            torch.testing.assert_close(losses[place], expected, atol=1e-9, rtol=1e-9)


def test_a_batch_without_any_answer_is_refused(tiny_llama):
    batch = {**left_padded([[1, 2, 3]], 0), "labels": torch.full((1, 3), IGNORED)}
    with pytest.raises(ValueError, match="no answer token in row 0"):
        causal_loss(load_causal(str(tiny_llama)), batch)


def test_a_saved_tokenizer_of_bytes_is_the_same(tiny_llama, tokenizer):
    text = "Headline: é\n"
    assert load_tokenizer(str(tiny_llama))(text)["input_ids"] == tokenizer(text)["input_ids"]


LONG = ["a", "b", "c", "d", "e", "f", "g"]


def without_context(length):
    return Rendered("x" * (length - len(" yes")), "", "", (" yes", " no"), " yes")


def test_all_samples_that_do_not_fit_are_named_at_once_the_longest_first(tokenizer):
    prompts = [without_context(20 + index) for index in range(7)]
    with pytest.raises(InputError, match="7 samples need too many tokens") as caught:
        tokenise(tokenizer, LONG, prompts, [" yes"] * 7, 12)
    assert "'g' (26), 'f' (25), 'e' (24), 'd' (23), 'c' (22) and 2 more" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_truncated_keeps_the_end_of_its_prompt_and_its_whole_answer(tokenizer):
    prompts = [Rendered("0123456789", "ctx", "end", (), " yes"), Rendered("01", "", "end", (), " yes")]
    rows = tokenise(tokenizer, ["a", "b"], prompts, [" yes", " yes"], 9, "truncate")
    assert [tokenizer.decode(row.prompt) for row in rows] == ["89end", "01end"]
    assert [tokenizer.decode(row.continuation) for row in rows] == [" yes"] * 2
    assert [(row.truncated, row.needed, row.length) for row in rows] == [(True, 17, 9), (False, 0, 9)]


def test_a_beginning_of_text_and_pictures_are_never_cut(tokenizer):
    from hub_models import llama_tokenizer

    llama = llama_tokenizer()
    prompts = [Rendered("0123456789", "", "end", (), " t")]
    (row,) = tokenise(llama, ["a"], prompts, [" t"], 6, "truncate")
    assert row.prompt[0] == llama.bos_token_id
    assert row.length == 6
    picture = tokenizer("#")["input_ids"][0]
    (row,) = tokenise(tokenizer, ["a"], [Rendered("ab##cdef", "", "", (), "!")], ["!"], 5, "truncate", whole=[picture])
    assert tokenizer.decode(row.prompt) == "##ef"


@pytest.mark.parametrize("prompt", ["question", "####q"])
def test_an_answer_that_leaves_no_room_for_a_question_cannot_be_truncated(tokenizer, prompt):
    picture = tokenizer("#")["input_ids"][0]
    with pytest.raises(InputError, match="'a' needs"):
        tokenise(tokenizer, ["a"], [Rendered(prompt, "", "", (), " yes")], [" yes"], 4, "truncate", whole=[picture])


def test_what_is_skipped_says_how_much_it_needs(tokenizer):
    rows = tokenise(tokenizer, ["a", "b"], [without_context(20), without_context(12)], [" yes"] * 2, 12, "skip")
    assert [row.needed for row in rows] == [20, 0]
