"""Per-sample gradients of every kind of module, as libraries of private training are tested on them."""

from typing import Any

import pytest
import torch
from oracles import alone, assert_same
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from transformers.pytorch_utils import Conv1D

from hyperinf.gradients import per_sample_gradients

CLASSES = 3


class Pooled(nn.Module):
    """A layer, and classes from the mean of what it makes."""

    def __init__(self, layer, features, axis=1):
        super().__init__()
        self.layer, self.head, self.axis = layer, nn.Linear(features, CLASSES), axis

    def forward(self, x):
        out = self.layer(x)
        out = torch.tanh(out).movedim(self.axis, -1)
        return self.head(out.flatten(1, -2).mean(1) if out.ndim > 2 else out)


def data(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def ids(*shape):
    return torch.randint(0, 8, shape, generator=torch.Generator().manual_seed(1))


IMAGES = (4, 2, 6, 7)
MODULES: dict[str, tuple[Any, ...]] = {
    "linear": (lambda: nn.Linear(5, 6), data(4, 5), 6),
    "linear without a bias": (lambda: nn.Linear(5, 6, bias=False), data(4, 5), 6),
    "linear on three axes": (lambda: nn.Linear(5, 6), data(4, 3, 5), 6, -1),
    "linear on four axes": (lambda: nn.Linear(5, 6), data(4, 3, 4, 5), 6, -1),
    "transformers' Conv1D": (lambda: Conv1D(6, 5), data(4, 3, 5), 6, -1),
    "a kernel": (lambda: nn.Conv2d(2, 5, 3), data(*IMAGES), 5),
    "a kernel with stride, padding and dilation": (
        lambda: nn.Conv2d(2, 5, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2)),
        data(*IMAGES),
        5,
    ),
    "a kernel with padding to the same size": (lambda: nn.Conv2d(2, 5, (2, 4), padding="same"), data(*IMAGES), 5),
    "a kernel without padding, by name": (lambda: nn.Conv2d(2, 5, 3, padding="valid"), data(*IMAGES), 5),
    "a kernel of groups": (lambda: nn.Conv2d(2, 6, 3, groups=2), data(*IMAGES), 6),
    "a kernel for each channel": (lambda: nn.Conv2d(2, 2, 3, groups=2), data(*IMAGES), 2),
    "a kernel on a ring": (lambda: nn.Conv2d(2, 5, 3, padding=1, padding_mode="circular"), data(*IMAGES), 5),
    "a kernel on a mirror": (lambda: nn.Conv2d(2, 5, 3, padding=1, padding_mode="reflect"), data(*IMAGES), 5),
    "a kernel of one pixel": (lambda: nn.Conv2d(2, 5, 1), data(*IMAGES), 5),
    "a kernel in one dimension": (lambda: nn.Conv1d(2, 5, 3, stride=2, padding=1), data(4, 2, 9), 5),
    "a kernel in one dimension, same size": (lambda: nn.Conv1d(2, 5, 4, padding="same", dilation=2), data(4, 2, 9), 5),
    "a kernel in three dimensions": (lambda: nn.Conv3d(2, 5, 2), data(4, 2, 3, 4, 3), 5),
    "a transposed kernel": (lambda: nn.ConvTranspose2d(2, 5, 3), data(*IMAGES), 5),
    "an embedding": (lambda: nn.Embedding(8, 5), ids(4, 3), 5, -1),
    "an embedding, each text its own token": (lambda: nn.Embedding(8, 5), ids(4, 1), 5, -1),
    "an embedding with a padding id": (lambda: nn.Embedding(8, 5, padding_idx=2), ids(4, 6), 5, -1),
    "a sparse embedding": (lambda: nn.Embedding(8, 5, sparse=True), ids(4, 3), 5, -1),
    "an embedding scaled by frequency": (lambda: nn.Embedding(8, 5, scale_grad_by_freq=True), ids(4, 6), 5, -1),
    "a bag of embeddings": (lambda: nn.EmbeddingBag(8, 5, mode="mean"), ids(4, 3), 5),
    "a layer norm": (lambda: nn.LayerNorm(5), data(4, 3, 5), 5, -1),
    "a layer norm of two axes": (lambda: nn.LayerNorm([3, 5]), data(4, 3, 5), 5, -1),
    "a root-mean-square norm": (lambda: nn.RMSNorm(5), data(4, 3, 5), 5, -1),
    "a group norm": (lambda: nn.GroupNorm(2, 4), data(4, 4, 6), 4),
    "an instance norm": (lambda: nn.InstanceNorm2d(2, affine=True), data(*IMAGES), 2),
    "a batch norm with its running statistics": (lambda: nn.BatchNorm2d(2), data(*IMAGES), 2),
    "a slope of a rectifier": (lambda: nn.PReLU(2), data(*IMAGES), 2),
    "a recurrent network": (lambda: First(nn.RNN(5, 6, batch_first=True)), data(4, 3, 5), 6, -1),
    "one of two layers and directions": (
        lambda: First(nn.LSTM(5, 3, num_layers=2, bidirectional=True, batch_first=True)),
        data(4, 3, 5),
        6,
        -1,
    ),
    "a cell called step by step": (lambda: Steps(nn.GRUCell(5, 6)), data(4, 3, 5), 6, -1),
    "attention": (lambda: SelfAttention(nn.MultiheadAttention(6, 2, batch_first=True)), data(4, 3, 6), 6, -1),
    "attention with other keys": (
        lambda: SelfAttention(nn.MultiheadAttention(6, 2, kdim=6, vdim=6, batch_first=True, add_bias_kv=True)),
        data(4, 3, 6),
        6,
        -1,
    ),
    "a layer of a transformer": (lambda: nn.TransformerEncoderLayer(6, 2, 8, batch_first=True), data(4, 3, 6), 6, -1),
    "a layer of a transformer, time first": (
        lambda: TimeFirst(nn.TransformerEncoderLayer(6, 2, 8)),
        data(4, 4, 6),
        6,
        -1,
    ),
    "an activation in place": (lambda: nn.Sequential(nn.Linear(5, 6), nn.ReLU(inplace=True)), data(4, 5), 6),
    "a sum in place": (lambda: AddedInPlace(), data(4, 5), 5),
    "a layer computed again in the backward pass": (lambda: Again(nn.Linear(5, 6)), data(4, 3, 5), 6, -1),
    "a layer used twice": (lambda: Twice(nn.Linear(5, 5)), data(4, 5), 5),
    "a layer by keyword": (lambda: ByKeyword(nn.Linear(5, 6)), data(4, 5), 6),
}


class First(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)[0]


class Steps(First):
    def forward(self, x):
        state, states = None, []
        for step in x.unbind(1):
            state = self.inner(step, state)
            states.append(state)
        return torch.stack(states, 1)


class SelfAttention(First):
    def forward(self, x):
        return self.inner(x, x, x, need_weights=False)[0]


class TimeFirst(First):
    def forward(self, x):
        return self.inner(x.transpose(0, 1)).transpose(0, 1)


class AddedInPlace(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(5, 5)

    def forward(self, x):
        out = self.inner(x)
        out += x
        return out


class Again(First):
    def forward(self, x):
        return checkpoint(self.inner, x, use_reentrant=False)


class Twice(First):
    def forward(self, x):
        return self.inner(torch.tanh(self.inner(x)))


class ByKeyword(First):
    def forward(self, x):
        return self.inner(input=x)


def singles(batch):
    return [(batch[0][row : row + 1], batch[1][row : row + 1]) for row in range(len(batch[1]))]


def loss(model, batch):
    return functional.cross_entropy(model(batch[0]), batch[1])


def built(name):
    layer, x, features, *axis = MODULES[name]
    torch.manual_seed(0)
    model = Pooled(layer(), features, *axis).double()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, dtype=weight.dtype))
    return model, (x, torch.tensor([0, 2, 1, 1])[: len(x)])


@pytest.mark.parametrize("name", MODULES)
def test_matrices_and_kernels(name):
    model, batch = built(name)
    expected = alone(model, singles(batch), loss)
    assert_same(per_sample_gradients(model, batch), expected, 1e-10)


@pytest.mark.parametrize("name", MODULES)
def test_biases_norms_and_all_the_rest_when_asked_for(name):
    model, batch = built(name)
    names = [name for name, _ in model.named_parameters()]
    # A bias before an average of differences, keys' biases and the like have no influence on any loss.
    silent = [name for name in names if name.endswith(("bias", "in_proj_bias"))]
    expected = alone(model, singles(batch), loss, names)
    assert_same(per_sample_gradients(model, batch, layers=names), expected, 1e-9, silent)


def test_where_only_vectors_can_be_trained_they_are_taken():
    model, batch = built("linear")
    for name, weight in model.named_parameters():
        weight.requires_grad_(name.endswith("bias"))
    names = ["layer.bias", "head.bias"]
    assert_same(per_sample_gradients(model, batch), alone(model, singles(batch), loss, names), 1e-10)


def test_the_smaller_axis_comes_last_where_that_is_asked_for():
    model, batch = built("linear")
    larger, smaller = (per_sample_gradients(model, batch, gfim_axis=axis) for axis in ("larger", "smaller"))
    assert {name: value.shape[1:] for name, value in smaller.items()} == {
        "layer.weight": (6, 5),
        "head.weight": (6, 3),
    }
    for name, value in larger.items():
        assert torch.equal(value.transpose(1, 2), smaller[name])


def test_a_batch_norm_that_looks_at_its_batch_is_refused_by_the_sample():
    model, batch = built("a batch norm with its running statistics")
    model.layer.track_running_stats, model.layer.running_mean, model.layer.running_var = False, None, None
    with pytest.raises(ValueError, match=r"sample '\d' of a Pooled: got a loss of .* the other samples of the batch"):
        per_sample_gradients(model, batch)


def test_losses_that_are_shares_of_the_batch_are_refused():
    model, batch = built("linear")

    def share_of_the_batch(model, batch):
        losses = functional.cross_entropy(model(batch[0]), batch[1], reduction="none")
        return losses / len(losses)

    with pytest.raises(ValueError, match="expected the same; the other samples of the batch change it"):
        per_sample_gradients(model, batch, share_of_the_batch)


def test_an_input_that_is_overwritten_after_its_use_is_refused_by_name():
    class Overwrites(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(5, 5), nn.Linear(5, CLASSES)

        def forward(self, x):
            hidden = self.first(x)
            out = self.second(hidden)
            hidden.zero_()
            return out

    with pytest.raises((ValueError, RuntimeError), match="in-?place"):
        per_sample_gradients(Overwrites().double(), (data(4, 5), torch.tensor([0, 1, 2, 0])))
