"""``precondition_each`` is ``precondition`` of each vector, for less work."""

import pytest
import torch
from scored_methods import HELD, LINEAR

from hyperinf.gradients import Dense, TensorSource
from hyperinf.influence import SweepingMethod, build_method
from hyperinf.linalg import hyperpower_inverse

SHAPES = {"low.lora_A": (3, 10), "low.lora_B": (3, 7), "head": (2, 5)}
TOLERANCE = {"hyperinf": 1e-6}


def tensors(count, seed, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return {
        name: scale * torch.randn(count, *shape, generator=generator, dtype=torch.float64)
        for name, shape in SHAPES.items()
    }


class Counted(TensorSource):
    sweeps = 0

    def __iter__(self):
        self.sweeps += 1
        return super().__iter__()


def fitted(name, train=None, **options):
    source = Counted(tensors(9, 0) if train is None else train, block_size=4)
    method = build_method(name, **options).fit(source)
    source.sweeps = 0
    return method, source


def assert_each_is_alone(name, vectors, train=None, tolerance=None):
    together = fitted(name, train)[0].precondition_each(vectors)
    for place in range(len(vectors["head"])):
        alone = fitted(name, train)[0].precondition({layer: stack[place] for layer, stack in vectors.items()})
        for layer, product in alone.items():
            assert together[layer].shape == vectors[layer].shape
            assert together[layer].dtype == torch.float64
            error = (together[layer][place] - product).norm()
            assert error <= (tolerance or TOLERANCE.get(name, 1e-9)) * product.norm(), (layer, place)


@pytest.mark.parametrize("method", HELD)
def test_k_vectors_at_once_are_k_vectors_one_after_the_other(method):
    assert_each_is_alone(method, tensors(4, 1))


@pytest.mark.parametrize("method", HELD)
def test_vectors_of_very_different_sizes_and_zeros_keep_their_digits(method):
    vectors = tensors(4, 1)
    for stack in vectors.values():
        stack[1] *= 1e-120
        stack[2] *= 1e150
    vectors["head"][3] = 0
    assert_each_is_alone(method, vectors)


@pytest.mark.parametrize("method", sorted(set(HELD) - {"tracin"}))
def test_gradients_of_a_scale_that_squares_cannot_hold_are_no_hindrance(method):
    assert_each_is_alone(method, tensors(3, 1, 1e-140), tensors(9, 0, 1e-140))


@pytest.mark.parametrize("method", HELD)
def test_no_vectors_give_no_products(method):
    products = fitted(method)[0].precondition_each(tensors(0, 1))
    assert {name: tuple(product.shape) for name, product in products.items()} == {
        name: (0, *shape) for name, shape in SHAPES.items()
    }


@pytest.mark.parametrize("method", LINEAR)
def test_the_product_is_linear_in_the_vectors(method):
    """LiSSA too: its scale does not depend on them."""
    model, _ = fitted(method)
    first, second = tensors(3, 1), tensors(3, 2)
    mixed = {name: 2 * first[name] - 3 * second[name] for name in SHAPES}
    parts = [model.precondition_each(vectors) for vectors in (first, second, mixed)]
    for name in SHAPES:
        expected = 2 * parts[0][name] - 3 * parts[1][name]
        assert torch.allclose(parts[2][name], expected, rtol=1e-6, atol=1e-6 * float(expected.abs().max()))


@pytest.mark.parametrize("method", LINEAR)
def test_k_vectors_take_the_sweeps_of_one(method):
    model, source = fitted(method)
    model.precondition({name: stack[0] for name, stack in tensors(1, 1).items()})
    alone, source.sweeps = source.sweeps, 0
    assert alone == (model.sweeps if isinstance(model, SweepingMethod) else 0)
    model.precondition_each(tensors(7, 1))
    assert source.sweeps == alone


@pytest.mark.parametrize("method", ["datainf", "lissa", "lissa_published", "fim_cg"])
def test_k_vectors_are_multiplied_by_a_block_s_gradients_at_once(method, monkeypatch):
    taken = []
    dots = Dense.dots

    def watched(self, vectors):
        taken.append(len(vectors))
        return dots(self, vectors)

    monkeypatch.setattr(Dense, "dots", watched)
    fitted(method)[0].precondition_each(tensors(7, 1))
    # LiSSA's scale is found from one start, whatever the vectors; conjugate gradients are done at different times.
    assert taken[-1 if method == "lissa" else 0] == 7
    if method != "fim_cg":
        assert set(taken) <= {1, 7}


def test_vectors_that_are_zero_in_other_layers_have_the_products_that_each_has_alone():
    for method in ("datainf", "lissa", "fim_cg"):
        vectors = tensors(5, 1)
        vectors["head"][:2] = 0
        vectors["low.lora_A"][3] = 0
        assert_each_is_alone(method, vectors)


def test_a_layer_is_inverted_once_for_all_calls_and_again_after_another_fit(monkeypatch):
    import hyperinf.influence.methods.hyperinf as module

    calls = []

    def counted(*args, **kw):
        calls.append(1)
        return hyperpower_inverse(*args, **kw)

    monkeypatch.setattr(module, "hyperpower_inverse", counted)
    model, _ = fitted("hyperinf")
    for seed in (1, 2, 3):
        model.precondition_each(tensors(5, seed))
    assert len(calls) == len(SHAPES)
    model.fit(TensorSource(tensors(9, 5)))
    model.precondition_each(tensors(5, 1))
    assert len(calls) == 2 * len(SHAPES)


def test_what_many_vectors_took_is_reported():
    model, _ = fitted("lissa", iterations=6)
    model.precondition_each(tensors(3, 1))
    report = model.report()
    assert report["sweeps"] == 5 + 6
    assert 0 < report["residual"] < 1
