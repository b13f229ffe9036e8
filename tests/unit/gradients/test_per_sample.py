from typing import Any

import pytest
import torch
from torch import nn
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from hyperinf.gradients import per_sample_gradients
from hyperinf.models.lora import LoraSettings, add_lora

SIZES = {
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "vocab_size": 40,
    "max_position_embeddings": 32,
}
OF_THREE: dict[str, Any] = {"num_labels": 3, **SIZES}


def perturb(model):
    """LoRA B starts at zero, where half of all gradients vanish: move every trainable weight off its start."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.3 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
    return model


def lora_model(base, targets=("query", "value"), rank=3):
    torch.manual_seed(0)
    return perturb(add_lora(base.double(), LoraSettings(rank=rank, target_modules=targets)))


def classifier(kind):
    torch.manual_seed(1)
    if kind == "bert":
        return lora_model(BertForSequenceClassification(BertConfig(**OF_THREE)))
    return lora_model(RobertaForSequenceClassification(RobertaConfig(pad_token_id=1, **OF_THREE)))


def classification_batch(lengths=(7, 4, 2, 6), pad=0, to=None):
    generator = torch.Generator().manual_seed(5)
    width = to or max(lengths)
    ids = torch.full((len(lengths), width), pad)
    mask = torch.zeros(len(lengths), width, dtype=torch.long)
    for row, length in enumerate(lengths):
        ids[row, :length] = torch.randint(3, 40, (length,), generator=generator)
        mask[row, :length] = 1
    labels = torch.randint(0, 3, (len(lengths),), generator=generator)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def rows(batch, index):
    return {key: value[index : index + 1] for key, value in batch.items()}


def loop_of_autograd(model, batch, loss):
    """The slow way: one sample at a time, autograd on the weights themselves."""
    model.eval()
    names = [n for n, p in model.named_parameters() if p.requires_grad and p.ndim == 2]
    weights = dict(model.named_parameters())
    result: dict[str, list[torch.Tensor]] = {name: [] for name in names}
    for index in range(len(batch["labels"])):
        gradients = torch.autograd.grad(loss(model, rows(batch, index)), [weights[n] for n in names])
        for name, gradient in zip(names, gradients, strict=True):
            transposed = "lora_B" in name or ("lora_A" not in name and gradient.shape[0] > gradient.shape[1])
            result[name].append(gradient.T if transposed else gradient)
    return {name: torch.stack(values) for name, values in result.items()}


def cross_entropy(model, batch):
    inputs = {key: value for key, value in batch.items() if key != "labels"}
    return nn.functional.cross_entropy(model(**inputs).logits, batch["labels"])


def assert_same(actual, expected, rtol=1e-9):
    assert actual.keys() == expected.keys()
    for name in expected:
        assert actual[name].shape == expected[name].shape
        assert expected[name].abs().max() > 0
        assert torch.allclose(actual[name], expected[name], rtol=rtol, atol=rtol * float(expected[name].abs().max()))


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_gradients_of_a_classifier_equal_a_loop_of_autograd(kind):
    model = classifier(kind)
    batch = classification_batch(pad=1 if kind == "roberta" else 0)
    gradients = per_sample_gradients(model, batch)
    assert any("lora_A" in name for name in gradients)
    assert any("lora_B" in name for name in gradients)
    assert any("classifier" in name for name in gradients)
    assert_same(gradients, loop_of_autograd(model, batch, cross_entropy))


def test_gradients_of_a_language_model_equal_a_loop_over_its_answer_tokens():
    torch.manual_seed(2)
    base = LlamaForCausalLM(LlamaConfig(num_key_value_heads=1, **SIZES))
    model = lora_model(base, targets=("q_proj", "v_proj"))
    batch = classification_batch()
    batch["labels"] = torch.where(batch["attention_mask"].bool(), batch["input_ids"], -100)
    batch["labels"][:, 0] = -100
    batch["labels"][0, :5] = -100

    def loss(model, batch):
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        return nn.functional.cross_entropy(logits[0, :-1], batch["labels"][0, 1:], ignore_index=-100)

    assert_same(per_sample_gradients(model, batch), loop_of_autograd(model, batch, loss))


def test_a_batch_and_its_padding_do_not_change_a_sample_s_gradient():
    model = classifier("bert")
    narrow = classification_batch()
    wide = classification_batch(to=20)
    alone = per_sample_gradients(model, rows(narrow, 2))
    for batch in (narrow, wide):
        together = per_sample_gradients(model, batch)
        assert_same({name: value[2:3] for name, value in together.items()}, alone)


def test_lora_weights_are_laid_out_rank_first():
    gradients = per_sample_gradients(classifier("bert"), classification_batch())
    shapes = {tuple(value.shape) for name, value in gradients.items() if "lora_" in name}
    assert shapes == {(4, 3, 12)}


def test_dense_weights_have_the_smaller_axis_first_whichever_it_is():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 2)).double()
    x, y = torch.randn(6, 5, dtype=torch.float64), torch.tensor([0, 1, 1, 0, 1, 0])
    gradients = per_sample_gradients(model, (x, y))
    assert {name: tuple(value.shape) for name, value in gradients.items()} == {
        "0.weight": (6, 5, 8),
        "2.weight": (6, 2, 8),
    }
    probabilities = model(x).softmax(-1) - nn.functional.one_hot(y, 2)
    hidden = model[1](model[0](x))
    closed_form = torch.einsum("bo,bi->boi", probabilities, hidden)
    assert torch.allclose(gradients["2.weight"], closed_form, rtol=1e-12)


def test_a_layer_used_twice_adds_both_uses():
    torch.manual_seed(0)
    shared = nn.Linear(4, 4).double()
    model = nn.Sequential(shared, nn.Tanh(), shared)
    x, y = torch.randn(3, 4, dtype=torch.float64), torch.tensor([0, 3, 1])
    gradients = per_sample_gradients(model, (x, y))["0.weight"]
    for row in range(3):
        loss = nn.functional.cross_entropy(model(x[row : row + 1]), y[row : row + 1])
        assert torch.allclose(gradients[row], torch.autograd.grad(loss, shared.weight)[0], rtol=1e-10)


def test_an_in_place_activation_after_the_layer_does_not_spoil_its_gradient():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(inplace=True), nn.Linear(6, 3)).double()
    x, y = torch.randn(3, 4, dtype=torch.float64), torch.tensor([0, 2, 1])
    gradients = per_sample_gradients(model, (x, y))["0.weight"]
    for row in range(3):
        loss = nn.functional.cross_entropy(model(x[row : row + 1]), y[row : row + 1])
        expected = torch.autograd.grad(loss, model[0].weight)[0].T
        assert torch.allclose(gradients[row], expected, rtol=1e-10)


def test_dropout_is_off_and_the_model_s_mode_and_gradients_are_left_as_they_were():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.Dropout(0.5), nn.Linear(6, 3))
    model.train()
    model[2].eval()
    x, y = torch.randn(3, 4), torch.tensor([0, 2, 1])
    first, second = (per_sample_gradients(model, (x, y))["2.weight"] for _ in range(2))
    assert torch.equal(first, second)
    assert model.training
    assert model[1].training
    assert not model[2].training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_frozen_layer_can_be_named_and_stays_frozen():
    model = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 3)).requires_grad_(False)
    gradients = per_sample_gradients(model, (torch.randn(2, 4), torch.tensor([0, 1])), layers=["1.weight"])
    assert gradients["1.weight"].abs().max() > 0
    assert not model[1].weight.requires_grad


def test_bfloat16_models_give_float32_gradients_close_to_the_exact_ones():
    model = classifier("bert")
    batch = classification_batch()
    exact = per_sample_gradients(model, batch)
    coarse = per_sample_gradients(model.bfloat16(), batch)
    for name in exact:
        assert coarse[name].dtype == torch.float32
        cosine = nn.functional.cosine_similarity(coarse[name].flatten().double(), exact[name].flatten(), dim=0)
        assert cosine > 0.98


@pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [
        (nn.Linear(4, 3), {"layers": ["nothing"]}, "^layers: got 'nothing'"),
        (nn.Linear(4, 3).requires_grad_(False), {}, "^layers: got a model without one, expected a trainable weight"),
        (nn.Linear(4, 3), {"loss_fn": lambda m, b: m(b[0]).sum()}, r"expected one loss a sample, shape \[b\]"),
        (nn.Linear(4, 3), {"layers": []}, "layers: got none"),
        (nn.Linear(4, 3), {"layers": "weight"}, "layers: got the text 'weight'"),
        (nn.Linear(4, 3), {"layers": ["weight", "weight"]}, "which are one weight"),
        (nn.Linear(4, 3), {"gfim_axis": "longest"}, "gfim_axis: got 'longest', expected one of larger, smaller"),
        (nn.Linear(4, 3), {"loss_fn": lambda m, b: b[0].sum(1)}, "got losses that depend on no weight"),
        (nn.Linear(4, 3), {"loss_fn": lambda m, b: (m(b[0]).sum(1),)}, "expected one loss a sample"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(model, arguments, message):
    x = torch.randn(2, 4)
    with pytest.raises(ValueError, match=message):
        per_sample_gradients(model, (x, torch.tensor([0, 1])), **arguments)


def test_an_adapter_that_was_loaded_frozen_says_how_to_load_it(tmp_path):
    from peft import PeftModel

    classifier("bert").save_pretrained(tmp_path)
    torch.manual_seed(1)
    base = BertForSequenceClassification(BertConfig(**OF_THREE)).double()
    with pytest.raises(ValueError, match=r"adapter is frozen, .*load it with .*is_trainable=True"):
        per_sample_gradients(PeftModel.from_pretrained(base, tmp_path), classification_batch())
    found = per_sample_gradients(PeftModel.from_pretrained(base, tmp_path, is_trainable=True), classification_batch())
    assert len(found) == 9


def test_all_weights_of_a_small_language_model_embeddings_too():
    model = GPT2LMHeadModel(GPT2Config(n_embd=8, n_layer=1, n_head=2, vocab_size=20, bos_token_id=1, eos_token_id=2))
    ids = torch.randint(0, 20, (2, 5))
    gradients = per_sample_gradients(model.double().eval(), {"input_ids": ids, "labels": ids})
    weights = dict(model.named_parameters())
    for row in range(2):
        loss = nn.functional.cross_entropy(model(ids[row : row + 1]).logits[0, :-1], ids[row, 1:])
        for name, value in gradients.items():
            [expected] = torch.autograd.grad(loss, [weights[name]], retain_graph=True)
            torch.testing.assert_close(value[row], expected if value[row].shape == expected.shape else expected.T)


def test_a_sample_without_an_answer_token_is_named():
    model = lora_model(LlamaForCausalLM(LlamaConfig(num_key_value_heads=1, **SIZES)), targets=("q_proj",))
    batch = classification_batch()
    batch["labels"] = batch["input_ids"].clone()
    batch["labels"][2] = -100
    with pytest.raises(ValueError, match="no answer token in row 2"):
        per_sample_gradients(model, batch)
