"""Activations whose first axis is not the sample, though its length may be that of the batch."""

import pytest
import torch
from oracles import alone, assert_same
from torch import nn
from torch.nn import functional

from hyperinf.gradients import LiveSource, TensorSource, per_sample_gradients

FEATURES, CLASSES = 6, 3


def batch_of(samples, places):
    generator = torch.Generator().manual_seed(samples * 10 + places)
    x = torch.randn(samples, places, FEATURES, generator=generator, dtype=torch.float64)
    return x, torch.randint(0, CLASSES, (samples,), generator=generator)


def singles(batch):
    return [(batch[0][row : row + 1], batch[1][row : row + 1]) for row in range(len(batch[1]))]


def loss(model, batch):
    return functional.cross_entropy(model(batch[0]), batch[1])


def linears():
    return nn.Linear(FEATURES, FEATURES), nn.Linear(FEATURES, CLASSES)


class TimeFirst(nn.Module):
    """As XLNet and Longformer: axes are swapped for the body."""

    def __init__(self):
        super().__init__()
        self.body, self.head = linears()

    def forward(self, x):
        return self.head(torch.tanh(self.body(x.transpose(0, 1))).cumsum(0)[-1])


class TimeFirstToTheEnd(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = linears()

    def forward(self, x):
        return self.head(torch.tanh(self.body(x.transpose(0, 1)))).mean(0)


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.LSTM(FEATURES, FEATURES, batch_first=False)
        self.head = nn.Linear(FEATURES, CLASSES)

    def forward(self, x):
        return self.head(self.body(x.transpose(0, 1))[0]).mean(0)


class Flattened(nn.Module):
    """As OPT's MLP: rows of all samples one after the other."""

    def __init__(self):
        super().__init__()
        self.body, self.head = linears()

    def forward(self, x):
        return self.head(torch.tanh(self.body(x.flatten(0, 1))).view_as(x).mean(1))


class FlattenedTimeFirst(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = linears()

    def forward(self, x):
        flat = x.transpose(0, 1).flatten(0, 1)
        return self.head(torch.tanh(self.body(flat)).view(x.shape[1], x.shape[0], -1).mean(0))


class Windows(nn.Module):
    """As Swin: windows of a sample are rows."""

    def __init__(self):
        super().__init__()
        self.body, self.head = linears()

    def forward(self, x):
        windows = x.reshape(-1, 2, FEATURES)
        return self.head(torch.tanh(self.body(windows)).reshape(x.shape).mean(1))


class SharedInput(nn.Module):
    """As DeBERTa's positions: the layer sees what all samples share, as many rows as there may be samples."""

    def __init__(self, rows):
        super().__init__()
        self.body, self.head = linears()
        self.rows = nn.Parameter(torch.randn(rows, FEATURES), requires_grad=False)

    def forward(self, x):
        shared = torch.tanh(self.body(self.rows))
        return self.head(torch.einsum("btd,kd->btk", x, shared).softmax(-1).mean(1) @ shared)


class SharedAndOwn(nn.Module):
    """As DeBERTa-v3, where positions go through the layer that the text goes through."""

    def __init__(self):
        super().__init__()
        self.body, self.head = linears()
        self.rows = nn.Parameter(torch.randn(1, 5, FEATURES), requires_grad=False)

    def forward(self, x):
        return self.head(torch.tanh(self.body(x)).mean(1) + torch.tanh(self.body(self.rows)).sum((0, 1)))


class Unordered(nn.Module):
    """Samples are sorted on the way, as bucketing models do; their losses come back in order."""

    def __init__(self):
        super().__init__()
        self.body, self.head = linears()

    def forward(self, x):
        order = torch.argsort(x.sum((1, 2)), descending=True)
        return self.head(torch.tanh(self.body(x[order])).mean(1)[torch.argsort(order)])


class Chunked(nn.Module):
    """A layer that is called piece by piece."""

    def __init__(self):
        super().__init__()
        self.body, self.head = linears()

    def forward(self, x):
        return self.head(torch.cat([torch.tanh(self.body(piece)) for piece in x.split(2, dim=1)], 1).mean(1))


class Vectors(nn.Module):
    """A layer that is called with one sample at a time, without an axis for it."""

    def __init__(self):
        super().__init__()
        self.body, self.head = linears()

    def forward(self, x):
        return self.head(torch.stack([torch.tanh(self.body(sample.mean(0))) for sample in x]))


MODELS = {
    "time first": TimeFirst,
    "time first to the end": TimeFirstToTheEnd,
    "a recurrent network, time first": Lstm,
    "flattened": Flattened,
    "flattened, time first": FlattenedTimeFirst,
    "windows": Windows,
    "as many shared rows as samples": lambda: SharedInput(4),
    "other shared rows than samples": lambda: SharedInput(7),
    "shared rows through a layer of the samples": SharedAndOwn,
    "samples in another order": Unordered,
    "piece by piece": Chunked,
    "one vector at a time": Vectors,
}
SIZES = {
    "as many places as samples": (4, 4),
    "fewer": (6, 4),
    "more": (4, 6),
    "many more": (3, 12),
    "one sample": (1, 4),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", MODELS)
def test_each_sample_gets_its_own_gradient_wherever_it_lies(name, size):
    torch.manual_seed(0)
    model = MODELS[name]().double()
    batch = batch_of(*SIZES[size])
    assert_same(per_sample_gradients(model, batch), alone(model, singles(batch), loss), 1e-10)


@pytest.mark.parametrize("name", MODELS)
def test_batches_of_every_size_after_each_other_do_not_mislead(name):
    """The first batch tells where samples lie; in the next ones another axis may have their length."""
    torch.manual_seed(0)
    model = MODELS[name]().double()
    parts = [batch_of(*size) for size in ((3, 4), (4, 4), (6, 4), (4, 6), (1, 4), (2, 4), (4, 8), (8, 4), (4, 2))]
    sources = [([f"{place}.{row}" for row in range(len(y))], (x, y)) for place, (x, y) in enumerate(parts)]
    held = TensorSource.gather(LiveSource(model, sources))
    expected = alone(model, [single for part in parts for single in singles(part)], loss)
    assert_same({name: held.layer(name) for name in expected}, expected, 1e-10)
    for part in parts:
        assert_same(per_sample_gradients(model, part), alone(model, singles(part), loss), 1e-10)


def test_without_the_check_another_first_axis_than_the_samples_is_refused():
    model = Flattened().double()
    with pytest.raises(ValueError, match=r"layer 'body.weight': got 24 rows for 4 samples, expected one row a sample"):
        per_sample_gradients(model, batch_of(4, 6), check=False)


def test_without_the_check_a_weight_that_no_known_module_uses_has_autograd_s_gradient():
    model = Lstm().double()
    batch = batch_of(4, 6)
    names = ["body.weight_ih_l0"]
    found = per_sample_gradients(model, batch, layers=names, check=False)
    assert_same(found, alone(model, singles(batch), loss, names), 1e-10)


class PicturesOfSamples(nn.Module):
    """As many pictures as samples, but not one each: the first sample has two, the second none."""

    def __init__(self):
        super().__init__()
        self.body, self.head = linears()

    def forward(self, pictures, text, owners):
        seen = torch.tanh(self.body(pictures)).mean(1)
        return self.head(text.index_add(0, owners, seen))


@pytest.mark.parametrize("owners", [[0, 0, 2, 3], [3, 2, 1, 0], [0, 1, 2, 3], [1, 1, 1, 1]])
def test_pictures_as_many_as_samples_but_not_one_each(owners):
    torch.manual_seed(0)
    model = PicturesOfSamples().double()
    generator = torch.Generator().manual_seed(4)
    pictures = torch.randn(4, 3, FEATURES, generator=generator, dtype=torch.float64)
    text = torch.randn(4, FEATURES, generator=generator, dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 1])
    batch = {"pictures": pictures, "text": text, "owners": torch.tensor(owners), "labels": labels}

    def own_loss(model, batch):
        logits = model(batch["pictures"], batch["text"], batch["owners"])
        return functional.cross_entropy(logits, batch["labels"], reduction="none")

    found = per_sample_gradients(model, batch, own_loss)
    for row in range(4):
        sample = own_loss(model, batch)[row]
        expected = torch.autograd.grad(sample, [model.body.weight, model.head.weight])
        torch.testing.assert_close(found["body.weight"][row], expected[0], rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(found["head.weight"][row], expected[1], rtol=1e-10, atol=1e-12)
