"""Gradients of causal language models as live extraction gives them: left-padded batches, LoRA or a dense layer."""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers import LlamaConfig, LlamaForCausalLM

from hyperinf.gradients import Factors, LiveSource, TensorSource, per_sample_gradients
from hyperinf.gradients.losses import causal_loss
from hyperinf.models.lora import LoraSettings, add_lora

CONFIG = {
    "vocab_size": 30,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32,
    "initializer_range": 0.3,
}
SAMPLES = [(7, 2), (4, 1), (9, 3), (5, 1), (6, 2)]  # tokens in all, tokens of the answer


def lora_model(dtype=torch.float64):
    torch.manual_seed(0)
    model = add_lora(
        LlamaForCausalLM(LlamaConfig(**CONFIG)).to(dtype), LoraSettings(rank=2, target_modules=("q_proj", "v_proj"))
    )
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:  # zero at the start, where the gradient of A vanishes
                weight.normal_(0, 0.3)
    return model


def dense_model():
    torch.manual_seed(1)
    return LlamaForCausalLM(LlamaConfig(**CONFIG)).double().requires_grad_(False)


def last_layer(model):
    return [name for name, _ in model.named_parameters() if name.startswith("model.layers.1.") and "proj" in name]


def adapted(kind):
    """A model and the names of the weights whose gradients are taken."""
    if kind == "lora":
        model = lora_model()
        return model, [name for name, weight in model.named_parameters() if weight.requires_grad]
    model = dense_model()
    return model, last_layer(model)


def sample(index):
    length, answer = SAMPLES[index]
    ids = torch.randint(1, 30, (length,), generator=torch.Generator().manual_seed(index))
    labels = torch.full((length,), -100)
    labels[-answer:] = ids[-answer:]
    return ids, labels


def batch(indices, extra=0):
    width = max(SAMPLES[index][0] for index in indices) + extra
    rows = {
        key: torch.zeros(len(indices), width, dtype=torch.long) for key in ("input_ids", "attention_mask", "labels")
    }
    rows["labels"] -= 100
    for row, index in enumerate(indices):
        ids, labels = sample(index)
        rows["input_ids"][row, -len(ids) :] = ids
        rows["attention_mask"][row, -len(ids) :] = 1
        rows["labels"][row, -len(ids) :] = labels
    return {**rows, "position_ids": (rows["attention_mask"].cumsum(1) - 1).clamp(min=0)}


def batches(groups, extra=0):
    return [([f"s{index}" for index in group], batch(group, extra)) for group in groups]


def loop_of_autograd(model, names, index):
    """One sample alone, without padding, autograd on the weights themselves; rank or the smaller axis first."""
    model.eval()
    weights = [dict(model.named_parameters())[name].requires_grad_(True) for name in names]
    ids, labels = sample(index)
    logits = model(input_ids=ids[None]).logits[0, :-1]
    loss = nn.functional.cross_entropy(logits, labels[1:], ignore_index=-100)
    gradients = torch.autograd.grad(loss, weights)
    result = {}
    for name, gradient in zip(names, gradients, strict=True):
        tall = gradient.shape[0] > gradient.shape[1]
        result[name] = gradient.T if "lora_B" in name or (tall and "lora_A" not in name) else gradient
    return result


def assert_rows_equal(actual, expected, rtol):
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        assert value.abs().max() > 0, name
        assert torch.allclose(actual[name], value, rtol=rtol, atol=rtol * float(value.abs().max())), name


@pytest.mark.parametrize("kind", ["lora", "dense"])
def test_gradients_of_a_left_padded_batch_equal_each_sample_s_own_without_padding(kind):
    model, names = adapted(kind)
    expected = [loop_of_autograd(model, names, index) for index in range(5)]
    for groups, extra in (([(0, 1, 2, 3, 4)], 0), ([(2, 0), (4, 1, 3)], 0), ([(1,), (3,), (0, 2, 4)], 6)):
        source = LiveSource(model, batches(groups, extra), causal_loss, names)
        held = TensorSource.gather(source)
        order = [index for group in groups for index in group]
        assert [block.sample_ids for block in source] == [tuple(f"s{index}" for index in group) for group in groups]
        for row, index in enumerate(order):
            assert_rows_equal({name: held.layer(name)[row] for name in names}, expected[index], 1e-9)


@pytest.mark.parametrize("kind", ["lora", "dense"])
def test_what_is_taken_of_live_gradients_equals_what_is_taken_of_the_gradients_themselves(kind):
    model, names = adapted(kind)
    [block] = LiveSource(model, batches([(0, 1, 2, 3, 4)]), causal_loss, names)
    [held] = TensorSource.gather(LiveSource(model, batches([(0, 1, 2, 3, 4)]), causal_loss, names))
    assert torch.allclose(block.losses, held.losses)
    for name in names:
        live, dense = block.gradients[name], held.gradients[name]
        vectors = torch.randn(3, *live.dense().shape[1:], dtype=torch.float64)
        for of in ("squares", "gram", "sum", "dense"):
            assert torch.allclose(getattr(live, of)(), getattr(dense, of)(), rtol=1e-9, atol=1e-12), (name, of)
        assert torch.allclose(live.dots(vectors), dense.dots(vectors), rtol=1e-9, atol=1e-12)


def test_layers_that_share_their_input_share_it_in_memory_and_in_its_own_dtype():
    model = lora_model(torch.bfloat16).bfloat16()
    [block] = LiveSource(model, batches([(0, 1, 2)]), causal_loss)
    inputs: dict[str, set[int]] = {}
    for name, factors in block.gradients.items():
        assert isinstance(factors, Factors)
        assert factors.left.dtype == factors.right.dtype == torch.bfloat16
        assert block.gradients[name].dense().dtype == torch.float32
        if "lora_A" in name:
            inputs.setdefault(name.split(".self_attn.")[0], set()).add(factors.right.data_ptr())
    assert len(inputs) == 2
    assert all(len(addresses) == 1 for addresses in inputs.values())


def test_one_layer_can_be_collected_from_a_live_source():
    model, names = adapted("lora")
    source = LiveSource(model, batches([(2, 0), (4, 1, 3)]), causal_loss)
    together = per_sample_gradients(model, batch((2, 0, 4, 1, 3)), causal_loss)
    assert torch.allclose(source.layer(names[1]), together[names[1]], rtol=1e-9)


def test_gradient_checkpointing_does_not_change_a_gradient():
    model = lora_model()
    expected = per_sample_gradients(model, batch((0, 1, 2)), causal_loss)
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.enable_input_require_grads()
    model.train()
    assert_rows_equal(per_sample_gradients(model, batch((0, 1, 2)), causal_loss), expected, 1e-12)
    assert model.training
    assert model.is_gradient_checkpointing


class Checkpointed(nn.Module):
    """Checkpoints whether it trains or not, so that layers run again in the backward pass."""

    def __init__(self, reentrant):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 6), nn.Tanh()).double()
        self.head = nn.Linear(6, 3).double()
        self.reentrant = reentrant

    def forward(self, x):
        return self.head(checkpoint(self.body, x, use_reentrant=self.reentrant))


def test_a_layer_that_is_run_again_in_the_backward_pass_is_counted_once():
    model = Checkpointed(reentrant=False)
    x, y = torch.randn(5, 4, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1])
    gradients = per_sample_gradients(model, (x, y))
    for row in range(5):
        loss = nn.functional.cross_entropy(model.head(model.body(x[row : row + 1])), y[row : row + 1])
        [expected] = torch.autograd.grad(loss, [model.body[0].weight])
        assert torch.allclose(gradients["body.0.weight"][row], expected.T, rtol=1e-10)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_reentrant_checkpointing_is_refused_by_name():
    model = Checkpointed(reentrant=True)
    x, y = torch.randn(2, 4, dtype=torch.float64), torch.tensor([0, 1])
    with pytest.raises(ValueError, match=r"'body.0.weight': got a call .*without autograd.* reentrant checkpointing"):
        per_sample_gradients(model, (x, y))


def test_a_layer_that_the_loss_does_not_depend_on_has_zero_gradients():
    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.aside = nn.Linear(4, 3), nn.Linear(4, 5)

        def forward(self, x):
            self.aside(x)
            return self.used(x)

    gradients = per_sample_gradients(Unused(), (torch.randn(2, 4), torch.tensor([0, 1])))
    assert gradients["aside.weight"].shape == (2, 4, 5)
    assert gradients["aside.weight"].abs().max() == 0
    assert gradients["used.weight"].abs().max() > 0
