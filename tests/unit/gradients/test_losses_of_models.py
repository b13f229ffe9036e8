"""The loss of a sample is its model's own, whatever collator made the batch and whatever its padding."""

from collections import namedtuple
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers
from oracles import alone, assert_same, off_zero
from tiny_models import MARKED
from torch import nn
from torch.nn import functional

from hyperinf.gradients import per_sample_gradients
from hyperinf.gradients.losses import default_loss
from hyperinf.models.shapes import byte_tokenizer

SMALL = {**MARKED, "vocab_size": 300}
DECODER = {**SMALL, "num_key_value_heads": 1, "head_dim": 8}
GPT2 = {"vocab_size": 300, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64, "initializer_range": 0.3}
SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
NEO = {
    **{"vocab_size": 300, "hidden_size": 16, "num_layers": 2, "num_heads": 2, "max_position_embeddings": 64},
    **{"attention_types": [[["global", "local"], 1]], "initializer_range": 0.3, **SPECIAL},
}
DECODERS = {
    "gpt2": {**GPT2, **SPECIAL},
    "gpt_neo": NEO,
    "gptj": {**GPT2, **SPECIAL, "rotary_dim": 4},
    "gpt_neox": SMALL,
    "llama": DECODER,
    "gemma2": DECODER,
    "qwen2": DECODER,
    "opt": {**SMALL, "ffn_dim": 24, "word_embed_proj_dim": 16, "init_std": 0.3},
    "bloom": {**SMALL, "n_layer": 2, "n_head": 2},
    "ctrl": {"vocab_size": 300, "n_embd": 16, "n_layer": 2, "n_head": 2, "dff": 24, "n_positions": 64},
    "openai-gpt": {**GPT2, "bos_token_id": None, "eos_token_id": None},
}
IN_FLOAT32 = ("gemma2", "bloom")  # whose eager attention makes NaN of padding at the left in float64
TEXTS = ["a longer text", "word", "of some length", "ab"]


def built(auto, kind, sizes, **options):
    config = transformers.AutoConfig.for_model(kind, **{**sizes, **options})
    torch.manual_seed(0)
    return getattr(transformers, auto).from_config(config).double()


def tokenizer(side):
    found = byte_tokenizer()
    found.padding_side = side
    return found


def tokenised(texts=TEXTS):
    return [{"input_ids": ids} for ids in byte_tokenizer()(texts)["input_ids"]]


def text_loss(model, ids):
    """Mean over all tokens but the first, which nothing predicts."""
    logits = model(input_ids=ids[None])["logits"][0]
    return functional.cross_entropy(logits[:-1], ids[1:])


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("kind", DECODERS)
def test_padding_on_either_side_changes_no_gradient_of_a_language_model(kind, side):
    """The usual collator puts labels on the whole text, and gives no positions."""
    model = built("AutoModelForCausalLM", kind, DECODERS[kind])
    if kind in IN_FLOAT32:
        model = model.float()
    names = [name for name, weight in model.named_parameters() if weight.ndim == 2][1:4]
    collate = transformers.DataCollatorForLanguageModeling(tokenizer(side), mlm=False)
    batch = collate([{**row, "attention_mask": [1] * len(row["input_ids"])} for row in tokenised()])
    assert "position_ids" not in batch
    samples = [torch.tensor(row["input_ids"]) for row in tokenised()]
    expected = alone(model, samples, text_loss, names)
    assert_same(per_sample_gradients(model, batch, layers=names), expected, 1e-4 if kind in IN_FLOAT32 else 1e-6)


def test_a_loss_that_padding_makes_infinite_is_refused():
    """In float64 the mask of these models overflows, so that a position that sees nothing is not a number."""
    model = built("AutoModelForCausalLM", "bloom", DECODERS["bloom"])
    batch = tokenizer("left").pad(tokenised(), return_tensors="pt")
    labels = torch.where(batch["attention_mask"].bool(), batch["input_ids"], -100)
    with pytest.raises(ValueError, match="got a loss of nan in its batch and .* its padding changes it"):
        per_sample_gradients(model, {**batch, "labels": labels}, layers=["transformer.word_embeddings.weight"])


def test_labels_of_padding_do_not_count():
    model = built("AutoModelForCausalLM", "llama", DECODER)
    padded = tokenizer("right").pad(tokenised(), return_tensors="pt")
    batch = {**padded, "labels": padded["input_ids"]}
    names = ["lm_head.weight"]
    samples = [torch.tensor(row["input_ids"]) for row in tokenised()]
    assert_same(per_sample_gradients(model, batch, layers=names), alone(model, samples, text_loss, names), 1e-6)


def test_samples_packed_into_one_row_are_refused():
    model = built("AutoModelForCausalLM", "llama", DECODER)
    batch = transformers.DataCollatorWithFlattening(return_tensors="pt")(tokenised())
    with pytest.raises(ValueError, match="got several samples packed into one row, expected one row a sample"):
        per_sample_gradients(model, dict(batch))


def test_a_left_padded_classifier_on_a_decoder_reads_the_text_as_alone():
    model = built("AutoModelForSequenceClassification", "gpt2", {**GPT2, **SPECIAL}, num_labels=3)
    labels = torch.tensor([0, 2, 1, 1])
    names = ["score.weight", "transformer.h.0.attn.c_attn.weight"]
    samples = [(torch.tensor(row["input_ids"]), labels[i : i + 1]) for i, row in enumerate(tokenised())]
    expected = alone(model, samples, lambda m, s: functional.cross_entropy(m(input_ids=s[0][None]).logits, s[1]), names)
    for side in ("left", "right"):
        batch = {**tokenizer(side).pad(tokenised(), return_tensors="pt"), "labels": labels}
        batch["input_ids"] = torch.where(batch["attention_mask"] == 0, 0, batch["input_ids"])
        found = per_sample_gradients(model, batch, layers=names)
        assert_same(found, expected, 1e-6)


def test_tags_are_judged_where_they_stand():
    model = built("AutoModelForTokenClassification", "bert", SMALL, num_labels=3)
    rows = [{**row, "labels": [index % 3 for index in range(len(row["input_ids"]))]} for row in tokenised()]
    batch = transformers.DataCollatorForTokenClassification(tokenizer("right"))(rows)
    names = ["classifier.weight", "bert.encoder.layer.0.attention.self.query.weight"]

    def loss(model, row):
        logits = model(input_ids=torch.tensor([row["input_ids"]])).logits[0]
        return functional.cross_entropy(logits, torch.tensor(row["labels"]))

    assert_same(per_sample_gradients(model, batch, layers=names), alone(model, rows, loss, names))


def test_masked_tokens_are_judged_where_they_stand():
    model = built("AutoModelForMaskedLM", "roberta", SMALL)
    torch.manual_seed(1)
    ids = torch.randint(3, 300, (4, 8))
    masked = torch.rand(4, 8) < 0.5
    masked[:, 2] = True
    batch = {"input_ids": torch.where(masked, 5, ids), "labels": torch.where(masked, ids, -100)}
    rows = [{key: value[i : i + 1] for key, value in batch.items()} for i in range(4)]
    names = ["roberta.encoder.layer.1.output.dense.weight", "lm_head.dense.weight"]

    def loss(model, row):
        return functional.cross_entropy(model(input_ids=row["input_ids"]).logits[0], row["labels"][0])

    assert_same(per_sample_gradients(model, batch, layers=names), alone(model, rows, loss, names))


T5 = {
    **{"vocab_size": 300, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2},
    **{"pad_token_id": 0, "decoder_start_token_id": 0},
}
BART = {
    **{"vocab_size": 300, "d_model": 16, "encoder_layers": 2, "decoder_layers": 2},
    **{"encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24},
    **{"pad_token_id": 0, "decoder_start_token_id": 2},
}
SEQ2SEQ = {"t5": (T5, "shared.weight"), "bart": (BART, "model.shared.weight")}


@pytest.mark.parametrize("ready", [True, False], ids=["ready decoder inputs", "labels alone"])
@pytest.mark.parametrize("kind", SEQ2SEQ)
def test_translations_are_judged_where_they_stand(kind, ready):
    sizes, name = SEQ2SEQ[kind]
    model = built("AutoModelForSeq2SeqLM", kind, sizes)
    rows = [{**row, "labels": row["input_ids"][::-1][: 2 + index]} for index, row in enumerate(tokenised())]
    collate = transformers.DataCollatorForSeq2Seq(tokenizer("right"), model=model if ready else None)
    batch = collate(rows)
    assert ("decoder_input_ids" in batch) == ready

    def loss(model, row):
        labels = torch.tensor([row["labels"]])
        logits = model(input_ids=torch.tensor([row["input_ids"]]), labels=labels).logits[0]
        return functional.cross_entropy(logits, labels[0])

    assert_same(per_sample_gradients(model, batch, layers=[name]), alone(model, rows, loss, [name]), 1e-8)


def classifier(**options):
    return built("AutoModelForSequenceClassification", "bert", SMALL, **options)


def class_batch(labels):
    ids = torch.randint(3, 300, (4, 6), generator=torch.Generator().manual_seed(2))
    return {"input_ids": ids, "labels": labels}


@pytest.mark.parametrize("problem", [None, "regression"])
def test_numbers_are_judged_by_squared_error(problem):
    model = classifier(num_labels=1, problem_type=problem)
    batch = class_batch(torch.tensor([0.5, -1.0, 2.0, 0.0]))
    rows = [{key: value[i : i + 1] for key, value in batch.items()} for i in range(4)]

    def loss(model, row):
        return (model(input_ids=row["input_ids"]).logits[0, 0] - row["labels"].double()).square().sum()

    names = ["classifier.weight", "bert.pooler.dense.weight"]
    assert_same(per_sample_gradients(model, batch, layers=names), alone(model, rows, loss, names))
    assert model.config.problem_type == problem


def test_several_numbers_are_judged_by_their_mean_squared_error():
    model = classifier(num_labels=2, problem_type="regression")
    batch = class_batch(torch.randn(4, 2))
    with torch.no_grad():
        logits = model.eval()(input_ids=batch["input_ids"]).logits
        torch.testing.assert_close(default_loss(model, batch), (logits - batch["labels"]).square().mean(1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.long], ids=str)
def test_several_classes_are_judged_one_by_one(dtype):
    model = classifier(num_labels=3, problem_type="multi_label_classification")
    labels = torch.tensor([[1, 0, 0], [0, 0, 0], [1, 1, 1], [0, 1, 0]]).to(dtype)
    batch = class_batch(labels)
    rows = [{key: value[i : i + 1] for key, value in batch.items()} for i in range(4)]

    def loss(model, row):
        logits = model(input_ids=row["input_ids"]).logits
        return functional.binary_cross_entropy_with_logits(logits, row["labels"].double())

    names = ["classifier.weight", "bert.pooler.dense.weight"]
    assert_same(per_sample_gradients(model, batch, layers=names), alone(model, rows, loss, names))


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.uint8, torch.bool], ids=str)
def test_classes_of_every_integer_dtype_are_classes(dtype):
    model = classifier(num_labels=2)
    wide, narrow = (class_batch(torch.tensor([0, 1, 1, 0]).to(kind)) for kind in (torch.long, dtype))
    expected = per_sample_gradients(model, wide, layers=["classifier.weight"])
    assert_same(per_sample_gradients(model, narrow, layers=["classifier.weight"]), expected, 1e-12)
    column = {**wide, "labels": wide["labels"][:, None]}
    assert_same(per_sample_gradients(model, column, layers=["classifier.weight"]), expected, 1e-12)


class Answers(nn.Module):
    """Returns its logits in one form or another."""

    def __init__(self, form):
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.form = nn.Linear(5, 3).double(), form

    def forward(self, x):
        logits = self.layer(x)
        forms = {
            "a tensor": lambda: logits,
            "a tuple": lambda: (logits, x),
            "a mapping": lambda: {"hidden": x, "logits": logits},
            "an object": lambda: SimpleNamespace(logits=logits),
        }
        return forms[self.form]()


X, Y = torch.randn(4, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64), torch.tensor([0, 2, 1, 1])


def expected_of_answers():
    layer = Answers("a tensor").layer
    residuals = layer(X).softmax(-1) - functional.one_hot(Y, 3)
    return {"layer.weight": torch.einsum("bo,bi->boi", residuals, X).detach()}


@pytest.mark.parametrize("form", ["a tensor", "a tuple", "a mapping", "an object"])
def test_logits_are_found_in_whatever_a_model_returns(form):
    assert_same(per_sample_gradients(Answers(form), (X, Y)), expected_of_answers(), 1e-12)


Batch = namedtuple("Batch", "inputs labels")


@pytest.mark.parametrize(
    "batch",
    [(X, Y), [X, Y], Batch(X, Y), {"x": X, "labels": Y}],
    ids=lambda b: type(b).__name__,
)
def test_batches_of_every_usual_form_are_taken(batch):
    from hyperinf.gradients import LiveSource

    model = Answers("a tensor")
    assert_same(per_sample_gradients(model, batch), expected_of_answers(), 1e-12)
    ids: Any = [0, 1, 2, 3]
    [block] = LiveSource(model, [(ids, batch)])
    assert block.sample_ids == ("0", "1", "2", "3")
    assert_same({name: found.dense() for name, found in block.gradients.items()}, expected_of_answers(), 1e-12)


@pytest.mark.parametrize("outside", [torch.no_grad, torch.inference_mode])
def test_gradients_are_taken_whatever_surrounds_the_call(outside):
    model = Answers("a tensor")
    with outside():
        batch = (X * 1, Y * 1)
        found = per_sample_gradients(model, batch)
    assert_same(found, expected_of_answers(), 1e-12)


def test_a_weight_made_for_inference_alone_is_refused_by_name():
    with torch.inference_mode():
        model = nn.Linear(5, 3).double()
    with pytest.raises(ValueError, match=r"layer 'weight': got a weight made under torch.inference_mode"):
        per_sample_gradients(model, (X, Y), layers=["weight"])


@pytest.mark.parametrize("wrapped", [torch.compile, nn.DataParallel], ids=["compiled", "data parallel"])
def test_wrapped_models_are_looked_into(wrapped):
    found = per_sample_gradients(wrapped(Answers("a tensor")), (X, Y))
    # DataParallel takes a model to the first GPU where there is one.
    assert_same({name: gradient.cpu() for name, gradient in found.items()}, expected_of_answers(), 1e-12)


def test_a_model_that_reads_padding_is_refused():
    model = built("AutoModelForSequenceClassification", "fnet", SMALL, num_labels=3)
    batch = {**tokenizer("right").pad(tokenised(), return_tensors="pt"), "labels": torch.tensor([0, 1, 2, 0])}
    with pytest.raises(ValueError, match=r"sample '\d' of a FNetForSequenceClassification: .* its padding changes it"):
        per_sample_gradients(model, batch, layers=["classifier.weight"])
    same_length = class_batch(torch.tensor([0, 1, 2, 0]))
    assert per_sample_gradients(model, same_length, layers=["classifier.weight"])["classifier.weight"].any()


def test_padding_is_looked_for_in_every_form_of_batch():
    """A model is known from batches without padding; the next one has some."""
    model = built("AutoModelForSequenceClassification", "fnet", SMALL, num_labels=3)
    per_sample_gradients(model, {**class_batch(torch.tensor([0, 1, 2, 0])), "attention_mask": torch.ones(4, 6).long()})
    batch = {**tokenizer("right").pad(tokenised(), return_tensors="pt"), "labels": torch.tensor([0, 1, 2, 0])}
    with pytest.raises(ValueError, match="its padding changes it"):
        per_sample_gradients(model, dict(batch))


def causal_batch(vocabulary=300):
    ids = torch.randint(3, vocabulary, (3, 7), generator=torch.Generator().manual_seed(4))
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "labels": torch.where(torch.arange(7) > 4, ids, -100),
    }


def test_a_model_that_sees_its_answers_is_refused():
    seeing, causal = (built("AutoModelForCausalLM", "bert", SMALL, is_decoder=decoder) for decoder in (False, True))
    names = ["cls.predictions.transform.dense.weight"]
    with pytest.raises(ValueError, match="a BertLMHeadModel that sees the answers"):
        per_sample_gradients(seeing, causal_batch(), layers=names)
    assert per_sample_gradients(causal, causal_batch(), layers=names)[names[0]].any()


def paligemma():
    text = {**DECODER, "model_type": "gemma", "vocab_size": 300}
    vision = {
        **{"model_type": "siglip_vision_model", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1},
        **{"num_attention_heads": 2, "image_size": 16, "patch_size": 8, "projection_dim": 16},
    }
    config = transformers.PaliGemmaConfig(
        text_config=text, vision_config=vision, image_token_index=299, projection_dim=16, hidden_size=16
    )
    torch.manual_seed(0)
    model = transformers.PaliGemmaForConditionalGeneration(config)
    return off_zero(model.double(), 0.2)


def test_paligemma_needs_to_know_where_the_answer_begins():
    model = paligemma()
    ids = torch.randint(3, 290, (3, 10), generator=torch.Generator().manual_seed(4))
    ids[:, :4] = 299
    answer = (torch.arange(10) > 6).expand(3, 10)
    batch = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "pixel_values": torch.randn(3, 3, 16, 16, dtype=torch.float64),
        "labels": torch.where(answer, ids, -100),
    }
    names = ["model.language_model.layers.0.self_attn.q_proj.weight"]
    with pytest.raises(ValueError, match="a PaliGemmaForConditionalGeneration that sees the answers"):
        per_sample_gradients(model, batch, layers=names)
    told = {**batch, "token_type_ids": answer.long()}
    assert per_sample_gradients(model, told, layers=names)[names[0]].any()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.randn(4), "labels: got torch.float32, expected integer classes or token ids; pass loss_fn"),
        (torch.zeros(4, 3, dtype=torch.long), "expected one class a sample"),
        (torch.zeros(3, dtype=torch.long), r"labels: got shape \[3\] for logits of shape \[4, 3\]"),
        (torch.tensor(1), "expected a tensor with one row a sample"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        per_sample_gradients(Answers("a tensor"), (X, labels))


def test_token_labels_of_a_module_whose_loss_is_not_known_are_refused():
    class Language(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.head = nn.Embedding(9, 4), nn.Linear(4, 9)

        def forward(self, ids):
            return self.head(self.embedding(ids))

    ids = torch.randint(0, 9, (2, 5))
    with pytest.raises(
        ValueError, match=r"got token labels \[b, t\] for a Language, whose own loss is not known; .* loss_fn"
    ):
        per_sample_gradients(Language(), (ids, ids))


def test_a_transformers_model_whose_loss_is_another_is_refused():
    model = built("AutoModelForCausalLM", "bart", BART, is_decoder=True)
    assert type(model).__name__ == "BartForCausalLM"  # which judges every label at its own position
    with pytest.raises(ValueError, match=r"got a loss of .* where the BartForCausalLM itself has .* pass loss_fn"):
        per_sample_gradients(model, causal_batch(), layers=["lm_head.weight"])


def test_a_pretraining_head_is_refused():
    model = transformers.BertForPreTraining(transformers.BertConfig(**SMALL))
    with pytest.raises(ValueError, match="pass loss_fn|loss_fn instead"):
        per_sample_gradients(model, causal_batch(), layers=["cls.predictions.transform.dense.weight"])


def test_token_losses_are_as_exact_as_in_double_precision():
    """With the vocabulary on an inner axis float32 was fifty times further away."""
    generator = torch.Generator().manual_seed(5)
    logits = 4 * torch.randn(4, 16, 5000, generator=generator)
    labels = torch.randint(0, 5000, (4, 16), generator=generator)

    class FixedForCausalLM(transformers.LlamaForCausalLM):
        def forward(self, input_ids):
            return SimpleNamespace(logits=logits.to(self.dtype))

    models = [
        FixedForCausalLM(transformers.LlamaConfig(**DECODER)).to(dtype) for dtype in (torch.float32, torch.float64)
    ]
    single, double = (default_loss(model, {"input_ids": labels, "labels": labels}) for model in models)
    assert float((single - double).abs().max()) < 2e-6


def padded_batch(side, texts=TEXTS):
    batch = tokenizer(side).pad(tokenised(texts), return_tensors="pt")
    return {**batch, "labels": torch.arange(len(texts)) % 3}


def test_padding_that_only_a_later_batch_of_a_source_has_is_looked_at():
    from hyperinf.gradients import LiveSource

    model = built("AutoModelForSequenceClassification", "fnet", SMALL, num_labels=3)
    same_length = {**class_batch(torch.tensor([0, 1, 2, 0])), "attention_mask": torch.ones(4, 6).long()}
    batches = [(list("abcd"), same_length), (list("efgh"), padded_batch("right"))]
    with pytest.raises(
        ValueError, match=r"sample '[e-h]' of a FNetForSequenceClassification: .* its padding changes it"
    ):
        list(LiveSource(model, batches, layers=["classifier.weight"]))


def test_padding_on_the_other_side_than_before_is_looked_at():
    """A loss without positions is right for GPT-2 with padding at the right, and wrong with it at the left."""
    model = built("AutoModelForCausalLM", "gpt2", DECODERS["gpt2"])

    def last_token(model, batch):
        ids, mask = batch["input_ids"], batch["attention_mask"]
        places = (mask * torch.arange(1, mask.shape[1] + 1)).argmax(dim=1)
        logits = model(input_ids=ids, attention_mask=mask).logits[torch.arange(len(ids)), places]
        return functional.cross_entropy(logits, batch["labels"], reduction="none")

    names = ["transformer.h.0.attn.c_attn.weight"]
    assert per_sample_gradients(model, padded_batch("right"), last_token, names)[names[0]].any()
    with pytest.raises(ValueError, match="its padding changes it"):
        per_sample_gradients(model, padded_batch("left"), last_token, names)


def test_company_that_only_a_later_batch_of_a_source_has_is_looked_at():
    from hyperinf.gradients import LiveSource

    def share(model, batch):
        return functional.cross_entropy(model(batch[0]), batch[1], reduction="none") / len(batch[1])

    batches = [(["a"], (X[:1], Y[:1])), (list("bcd"), (X[1:], Y[1:]))]
    with pytest.raises(ValueError, match="sample 'b' of a Answers: .* the other samples of the batch change it"):
        list(LiveSource(Answers("a tensor"), batches, share))
