"""GFIMs that wide layers have room for: exact where they say so, and else the matrix that they stand for."""

import pytest
import torch

from hyperinf.gradients import TensorSource
from hyperinf.influence import build_method, influence_scores


def falling(samples, rank, columns, seed=0):
    generator = torch.Generator().manual_seed(seed)
    fall = torch.arange(1, columns + 1, dtype=torch.float64) ** -1.0
    return {"w": torch.randn(samples, rank, columns, generator=generator, dtype=torch.float64) * fall}


@pytest.mark.parametrize("scale", ["sum", "mean"])
@pytest.mark.parametrize(
    ("samples", "method", "options"),
    [
        (4, "gfim_low_rank", {"rank": 8}),
        (4, "gfim_low_rank", {"rank": 100}),
        (30, "gfim_low_rank", {"rank": 20}),
        (30, "gfim_blocks", {"block": 20}),
        (30, "gfim_blocks", {"block": 500}),
    ],
)
@pytest.mark.parametrize("size", [1, 1e-20])
def test_what_leaves_nothing_out_is_the_exact_gfim(samples, method, options, scale, size):
    train, target = ({"w": g["w"] * size} for g in (falling(samples, 2, 20), falling(3, 2, 20, 1)))
    expected = influence_scores(train, target, "gfim", gfim_scale=scale)
    actual = influence_scores(train, target, method, gfim_scale=scale, **options)
    assert torch.allclose(actual, expected, rtol=1e-6, atol=1e-7 * float(expected.abs().max()))


def test_blocks_are_those_of_the_gfim_the_last_one_smaller():
    train, target = falling(30, 2, 20), falling(3, 2, 20, 1)
    g, v = train["w"], target["w"].mean(0)
    gfim = torch.einsum("nri,nrj->ij", g, g) / 30
    kept = torch.zeros(20, 20, dtype=torch.bool)
    for start in (0, 8, 16):
        kept[start : start + 8, start : start + 8] = True
    matrix = gfim * kept + 0.1 * g.square().mean() * torch.eye(20)
    expected = -torch.einsum("nrd,rd->n", g, v @ torch.linalg.inv(matrix))
    assert torch.allclose(influence_scores(train, target, "gfim_blocks", block=8), expected, rtol=1e-9)


def test_a_low_rank_comes_near_where_eigenvalues_fall_off_and_nearer_the_higher_it_is():
    train, target = falling(60, 4, 50), falling(3, 4, 50, 1)
    exact = influence_scores(train, target, "gfim")
    errors = [
        float((influence_scores(train, target, "gfim_low_rank", rank=rank) - exact).norm() / exact.norm())
        for rank in (2, 10, 40)
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.25


@pytest.mark.parametrize("method", ["gfim_low_rank", "gfim_blocks"])
def test_many_vectors_take_one_sweep(method):
    train, target = falling(30, 2, 20), falling(5, 2, 20, 1)
    sweeps = []

    class Counted(TensorSource):
        def __iter__(self):
            sweeps.append(1)
            return super().__iter__()

    made = build_method(method).fit(Counted(train))
    each = made.precondition_each(target)["w"]
    made.precondition_each(target)
    assert len(sweeps) == 2
    for vector, product in zip(target["w"], each, strict=True):
        assert torch.allclose(made.precondition({"w": vector})["w"], product, rtol=1e-6)
