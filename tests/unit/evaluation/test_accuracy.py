import pytest
import torch

from hyperinf.data.prompts import Rendered
from hyperinf.evaluation.accuracy import decoded
from hyperinf.models.causal import load_causal
from hyperinf.models.choices import EncodedChoices, choice_accuracy
from hyperinf.models.language import left_padded, tokenise
from hyperinf.models.shapes import byte_tokenizer

PROMPTS = ["one:", "another prompt:", "x:"]
CHOICES = [(" a", " b"), (" long choice", " s", " middle"), (" ab", " ac")]
RIGHT = [1, 0, 1]


def encode(prompts=PROMPTS, choices=CHOICES, right=RIGHT):
    tokenizer = byte_tokenizer()
    rows = [
        (Rendered(prompt, "", "", options, options[0]), option)
        for prompt, options in zip(prompts, choices, strict=True)
        for option in options
    ]
    tokenised = tokenise(tokenizer, ["id"] * len(rows), [row for row, _ in rows], [option for _, option in rows], 64)
    lengths = [len(option.strip()) for _, option in rows]
    return EncodedChoices(tokenised, [len(options) for options in choices], lengths, right, tokenizer.pad_token_id)


def slow_likelihood(model, prompt, choice):
    tokenizer = byte_tokenizer()
    tokens = tokenizer(prompt + choice)["input_ids"]
    start = len(tokenizer(prompt)["input_ids"])
    logs = model(torch.tensor([tokens])).logits[0].log_softmax(dim=-1)
    return float(sum(logs[t - 1, tokens[t]] for t in range(start, len(tokens))))


@pytest.fixture(scope="module")
def model(tiny_llama):
    model = load_causal(str(tiny_llama)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
    return model


@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_likelihoods_are_those_of_a_slow_loop_over_single_sequences(model, batch_size):
    with torch.no_grad():
        found = encode().likelihoods(model, batch_size)
        expected = [
            slow_likelihood(model, prompt, choice)
            for prompt, options in zip(PROMPTS, CHOICES, strict=True)
            for choice in options
        ]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), atol=1e-4, rtol=1e-5)


def test_choices_that_differ_in_their_last_token_only_share_a_forward_pass():
    assert len(encode([PROMPTS[2]], [(" ab", " ac")], [0]).rows) == 1
    assert len(encode([PROMPTS[2]], [(" ab", " bc")], [0]).rows) == 2


def test_the_normalised_measure_divides_by_the_characters_of_the_choice():
    encoded = encode([PROMPTS[0]], [(" abcdefgh", " z")], [0])
    likelihoods = torch.tensor([-4.0, -1.0], dtype=torch.float64)
    result = encoded.accuracy(likelihoods)
    assert (result.accuracy, result.chosen) == (0.0, (1,))
    assert (result.accuracy_norm, result.chosen_norm) == (1.0, (0,))


def test_accuracy_is_the_share_of_right_picks_and_the_models_mode_comes_back(model):
    model.train()
    result = choice_accuracy(model, encode())
    assert model.training
    assert result.accuracy == pytest.approx(sum(map(int.__eq__, result.chosen, RIGHT)) / 3)
    model.eval()


def test_greedy_decoding_is_the_argmax_step_by_step_and_stops_at_the_end_token(model):
    tokenizer = byte_tokenizer()
    prompts = [tokenizer(prompt)["input_ids"] for prompt in PROMPTS]
    batches = [left_padded(prompts, tokenizer.pad_token_id)]
    found = decoded(model, batches, 5, tokenizer.eos_token_id, tokenizer.pad_token_id)
    for prompt, answer in zip(prompts, found, strict=True):
        tokens = list(prompt)
        expected = []
        with torch.no_grad():
            for _ in range(5):
                best = int(model(torch.tensor([tokens])).logits[0, -1].argmax())
                if best == tokenizer.eos_token_id:
                    break
                tokens.append(best)
                expected.append(best)
        assert answer == expected
    first = found[0][0]
    assert decoded(model, [left_padded(prompts[:1], 0)], 5, first, tokenizer.pad_token_id) == [[]]
