"""Layers of one shape that are taken together give what each alone gives."""

import pytest
import torch

from hyperinf.gradients import Dense, Factors
from hyperinf.gradients.alike import together

SHAPES = {"a": (2, 6), "b": (2, 6), "c": (3, 4), "d": (2, 6)}


def held(dtype=torch.float32):
    torch.manual_seed(0)
    return {layer: Dense(torch.randn(7, *shape).to(dtype)) for layer, shape in SHAPES.items()}


def factored(dtype=torch.float32):
    torch.manual_seed(0)
    positions = {"a": 5, "b": 4, "c": 5, "d": 1}
    return {
        layer: Factors(torch.randn(7, positions[layer], r).to(dtype), torch.randn(7, positions[layer], d).to(dtype))
        for layer, (r, d) in SHAPES.items()
    }


@pytest.fixture
def many(monkeypatch):
    for module in ("scratch", "alike"):
        monkeypatch.setattr(f"hyperinf.gradients.{module}.takes_many", lambda device: True)


def groups(gradients, exponents=None):
    return [few.layers for few in together(gradients, exponents)]


def test_a_cpu_takes_each_layer_alone():
    assert groups(held()) == [("a",), ("b",), ("c",), ("d",)]


def test_a_device_that_takes_many_takes_those_of_one_shape_as_far_as_there_is_room(many, monkeypatch):
    assert groups(held()) == [("a", "b", "d"), ("c",)]
    monkeypatch.setattr("hyperinf.gradients.scratch.NUMBERS_ON_GPU", 2 * 7 * 12)
    assert groups(held()) == [("a", "b"), ("d",), ("c",)]
    monkeypatch.setattr("hyperinf.gradients.scratch.NUMBERS_ON_GPU", 1)
    assert groups(held()) == [("a",), ("b",), ("d",), ("c",)]


def test_other_dtypes_and_forms_and_factors_smaller_than_their_gradients_stay_apart(many):
    assert groups(factored()) == [("a", "b"), ("c",), ("d",)]
    assert groups({**held(), "b": held(torch.bfloat16)["b"]}) == [("a", "d"), ("b",), ("c",)]
    assert groups({**held(), "b": factored()["b"]}) == [("a", "d"), ("b",), ("c",)]


@pytest.mark.parametrize("make", [held, factored])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("exponent", [0, 3])
def test_what_is_taken_of_them_is_what_is_taken_of_each(make, dtype, exponent, many):
    gradients = make(dtype)
    vectors = {layer: torch.randn(2, *shape, dtype=torch.float64) for layer, shape in SHAPES.items()}
    weights = torch.randn(7, dtype=torch.float64)
    for few in together(gradients, dict.fromkeys(SHAPES, exponent)):
        dots, squares, sums = few.dots(vectors), few.squares(), few.sum()
        weighted = few.weighted_sum(weights.expand(len(few.layers), -1))
        several = few.weighted_sums(torch.stack([weights, 2 * weights], dim=1).expand(len(few.layers), -1, -1))
        for place, layer in enumerate(few.layers):
            wide = gradients[layer].dense().double() * 2.0**-exponent
            close = {"rtol": 1e-5, "atol": 1e-5}
            assert torch.allclose(dots[place].double(), torch.einsum("brd,krd->bk", wide, vectors[layer]), **close)
            assert torch.allclose(squares[place], wide.square().sum((1, 2)), **close)
            assert torch.allclose(sums[place], wide.sum(0), **close)
            assert torch.allclose(weighted[place].double(), torch.einsum("b,brd->rd", weights, wide), **close)
            assert torch.allclose(several[place, 1].double(), 2 * weighted[place].double(), **close)


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_sums_of_tiny_and_huge_factors_are_those_of_each_alone(size, many):
    gradients = {layer: Factors(each.left * size, each.right) for layer, each in factored().items()}
    gradients["a"] = Factors(gradients["a"].left, gradients["a"].right * size)
    for few in together(gradients):
        for layer, squares, total in zip(few.layers, few.squares(), few.sum(), strict=True):
            assert torch.allclose(squares, gradients[layer].squares(), rtol=1e-5, atol=0)
            assert (squares > 0).all()
            assert torch.allclose(total, gradients[layer].sum(), rtol=1e-5, atol=0)
