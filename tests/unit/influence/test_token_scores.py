"""Token by token: in closed form on a model whose positions do not see each other, and what cannot be told apart."""

import numpy as np
import pytest
import torch

from hyperinf import Attributor, LiveSource, TensorSource


class Bag(torch.nn.Module):
    """A text's score is the sum of its words'; the loss is its square: each word's share is told on paper."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.words = torch.nn.Embedding(10, 4)
        self.words.requires_grad_(False)
        self.linear = torch.nn.Linear(4, 3, bias=False)

    def forward(self, input_ids, attention_mask, labels):
        states = self.linear(self.words(input_ids)) * attention_mask[:, :, None]
        return (states.sum(dim=1) ** 2).sum(dim=1) / 2 * labels


def batch(rows, labels):
    width = max(map(len, rows))
    ids = torch.tensor([[0] * (width - len(row)) + row for row in rows])
    return {"input_ids": ids, "attention_mask": (ids > 0).long(), "labels": torch.tensor(labels)}


def loss(model, inputs):
    return model(**inputs)


TRAIN = [batch([[1, 2, 3], [4]], [1.0, 2.0]), batch([[5, 6], [7, 8, 9, 1]], [0.5, 1.0])]
TARGET = [batch([[2, 4], [3, 3]], [1.0, 1.0])]


def test_each_token_has_the_share_that_it_has_on_paper():
    model = Bag().double()
    a = Attributor(model, "tracin", loss=loss, layers=["linear.weight"]).fit(TRAIN)
    tokens = a.score_tokens(TARGET)
    w, e = model.linear.weight.detach().numpy(), model.words.weight.numpy()
    v = sum(np.outer(w @ e[row].sum(axis=0), e[row].sum(axis=0)) for row in ([2, 4], [3, 3])) / 2
    rows, labels = [[1, 2, 3], [4], [5, 6], [7, 8, 9, 1]], [1.0, 2.0, 0.5, 1.0]
    expected = [
        (str(sample), position, token, -label * (w @ e[row].sum(axis=0)) @ v @ e[token])
        for sample, (row, label) in enumerate(zip(rows, labels, strict=True))
        for position, token in enumerate(row)
    ]
    assert list(zip(tokens["sample_id"], tokens["position"], tokens["token"])) == [each[:3] for each in expected]
    np.testing.assert_allclose(tokens["influence"], [each[3] for each in expected], rtol=1e-9)
    assert set(tokens["part"]) == {"input"}


@pytest.mark.parametrize("method", ["hyperinf", "datainf", "tracin"])
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e9])
def test_tokens_sum_to_the_whole_whatever_the_scale(method, scale):
    model = Bag()
    with torch.no_grad():
        model.words.weight *= scale**0.5
    a = Attributor(model, method, loss=loss, layers=["linear.weight"]).fit(TRAIN)
    scores = a.score(TARGET)["influence"]
    sums = a.score_tokens(TARGET).groupby("sample_id")["influence"].sum()
    np.testing.assert_allclose(sums, scores, rtol=1e-4, atol=1e-6 * scores.abs().max())


def test_gradients_that_are_held_and_batches_without_tokens_are_refused():
    source = TensorSource({"w": torch.randn(4, 2, 3)})
    with pytest.raises(ValueError, match=r"^train: got a TensorSource"):
        Attributor(None).fit(source).score_tokens(source)
    model = torch.nn.Linear(5, 3)
    pairs = [(["a", "b"], (torch.randn(2, 5), torch.tensor([0, 1])))]
    with pytest.raises(ValueError, match=r"^sample 'a': got a batch without input_ids"):
        Attributor(model).fit(LiveSource(model, pairs)).score_tokens(pairs)
