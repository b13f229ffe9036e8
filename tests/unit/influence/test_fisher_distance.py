import math

import numpy as np
import pytest
import torch

from hyperinf.gradients import TensorSource
from hyperinf.influence import score_methods
from hyperinf.influence.fisher_distance import gfim_distance


def drawn(n, r, d, seed=0):
    return torch.randn(n, r, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def distance(gradients):
    rows = gradients.flatten(1)  # the two matrices have the same norm
    gram = rows @ rows.T if len(rows) < rows.shape[1] else rows.T @ rows
    return gfim_distance(gradients, float(gram.square().sum()), (gradients.mT @ gradients).mean(0))


def by_pairs(gradients):
    """The same from the definition: both norms as sums over pairs of different samples."""
    n, r, _ = gradients.shape
    g = gradients.numpy()
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    whole = sum(np.sum(g[i] * g[j]) ** 2 for i, j in pairs)
    projected = sum(np.sum((g[i].T @ g[i]) * (g[j].T @ g[j])) for i, j in pairs) / r
    return math.sqrt(max(1 - projected / whole, 0.0))


def test_it_is_what_the_definition_gives():
    mixed = drawn(9, 3, 4) @ drawn(1, 4, 4, seed=1) + drawn(9, 1, 1, seed=2)
    assert distance(mixed) == pytest.approx(by_pairs(mixed), rel=1e-10)


def test_it_is_that_of_the_matrices_where_samples_are_many():
    few = drawn(40_000, 2, 3) @ drawn(1, 3, 3, seed=1)
    few[:, 1] += 0.7 * few[:, 0]
    rows = few.flatten(1)
    fisher = rows.T @ rows / len(rows)
    gfim = (few.mT @ few).mean(0)
    apart = torch.linalg.matrix_norm(torch.kron(torch.eye(2, dtype=torch.float64), gfim / 2) - fisher)
    assert distance(few) == pytest.approx(float(apart / torch.linalg.matrix_norm(fisher)), abs=5e-3)


def test_independent_rows_are_near_even_of_few_samples_and_equal_rows_far():
    # Without the correction 60 samples of 400 numbers would be at 0.9, whatever they are.
    wide = [distance(drawn(60, 4, 100, seed) * torch.linspace(3, 0.01, 100) ** 2) for seed in range(20)]
    assert np.median(wide) < 0.3
    assert distance(drawn(50, 1, 10).expand(50, 4, 10)) == pytest.approx(math.sqrt(1 - 1 / 4), abs=1e-9)


def test_one_row_is_its_own_gfim():
    assert distance(drawn(50, 1, 10)) == pytest.approx(0.0, abs=1e-7)


@pytest.mark.parametrize("none", [drawn(1, 2, 3), torch.eye(4, dtype=torch.float64)[:, None]])
def test_what_cannot_be_told_is_not_a_number(none):
    assert math.isnan(distance(none))


@pytest.mark.parametrize("samples", [9, 60], ids=["by Woodbury", "by the matrix"])
@pytest.mark.parametrize("scale", [1.0, 1e-18])
def test_the_exact_method_tells_it_of_every_layer_where_the_gfim_is_known(samples, scale):
    train = {"a": drawn(samples, 3, 4) * scale, "b": (drawn(samples, 1, 5, seed=1).expand(samples, 2, 5) * scale)}
    target = {name: values[:2] for name, values in train.items()}
    both = score_methods(TensorSource(train), TensorSource(target), ["hyperinf", "fim"])
    told = both.reports["fim"]["gfim_distance"]
    assert told == pytest.approx({name: distance(values / scale) for name, values in train.items()}, abs=1e-6)
    alone = score_methods(TensorSource(train), TensorSource(target), ["fim"])
    assert "gfim_distance" not in alone.reports["fim"]
