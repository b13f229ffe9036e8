"""A damped inverse curvature between gradients of the same unit does not depend on that unit."""

import math

import pytest
import torch
from scored_methods import SCALE_FREE

from hyperinf.gradients import Factors, GradientBlock, TensorSource
from hyperinf.influence import build_method, gradient_statistics, influence_scores, score_methods, sweep_scores
from hyperinf.influence.methods.lissa import LiSSAGFIM
from hyperinf.linalg import ConvergenceError

SHAPES = {"a": (3, 8), "b": (2, 5)}


def gradients(samples=12, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(samples, *shape, generator=generator, dtype=torch.float64).to(dtype)
        for name, shape in SHAPES.items()
    }


def times(tensors, c):
    return {name: tensor * c for name, tensor in tensors.items()}


def error(actual, expected):
    return float((actual - expected).norm() / expected.norm())


RANGES = [
    *[(torch.float32, c, 1e-5) for c in (1e-30, 1e-20, 1e-10, 1e10, 1e15)],
    *[(torch.float64, c, 1e-11) for c in (1e-150, 1e-60, 1e60, 1e150)],
    # Powers of two, so that rounding to the narrow dtype is the same.
    *[(torch.float16, c, 1e-5) for c in (1e-6, 1e-4, 1e4)],
    *[(torch.bfloat16, c, 1e-5) for c in (1e-39, 1e-37, 1e-20, 1e20, 1e37)],
]


@pytest.mark.parametrize(("dtype", "c", "tolerance"), RANGES)
@pytest.mark.parametrize("method", SCALE_FREE)
def test_a_unit_of_the_gradients_changes_no_score(method, dtype, c, tolerance):
    train, target = (times(gradients(n, seed), c) for n, seed in ((12, 0), (4, 1)))
    train, target = ({name: tensor.to(dtype) for name, tensor in each.items()} for each in (train, target))
    expected = influence_scores(
        {name: tensor.double() / c for name, tensor in train.items()},
        {name: tensor.double() / c for name, tensor in target.items()},
        method=method,
    )
    actual = influence_scores(train, target, method=method)
    assert error(actual / c / c if method == "tracin" else actual, expected) < tolerance


class Factored:
    """Factors whose gradients are ``c`` times the same ones, by one factor or the other."""

    layers = SHAPES

    def __init__(self, samples, seed, positions, dtype, of_left, of_right):
        generator = torch.Generator().manual_seed(seed)
        self.factors = {
            name: Factors(
                torch.randn(samples, positions, r, generator=generator, dtype=torch.float64).to(dtype) * of_left,
                torch.randn(samples, positions, d, generator=generator, dtype=torch.float64).to(dtype) * of_right,
            )
            for name, (r, d) in SHAPES.items()
        }
        self.samples = samples

    def __len__(self):
        return self.samples

    def __iter__(self):
        yield GradientBlock(self.factors, tuple(map(str, range(self.samples))))


@pytest.mark.parametrize("positions", [1, 9])  # squares by positions, and of the gradient
@pytest.mark.parametrize(
    ("dtype", "of_left", "of_right", "tolerance"),
    [
        (torch.float32, 1e-30, 1.0, 1e-4),
        (torch.float32, 1.0, 1e-30, 1e-4),
        (torch.float32, 1e-20, 1e20, 1e-4),
        (torch.float32, 1e20, 1e-20, 1e-4),
        (torch.float32, 1e15, 1.0, 1e-4),
        (torch.float32, 1e-22, 1e-22, 1e-4),  # gradients that float32 does not have
        (torch.float64, 1e-150, 1.0, 1e-11),
        (torch.float64, 1e-170, 1e170, 1e-11),
        (torch.float64, 1e75, 1e75, 1e-11),
    ],
)
@pytest.mark.parametrize("method", sorted(set(SCALE_FREE) - {"fim"}))
def test_nor_does_a_unit_of_a_factor(method, dtype, of_left, of_right, tolerance, positions):
    def scores(dtype, of_left, of_right):
        train, target = (Factored(n, seed, positions, dtype, of_left, of_right) for n, seed in ((12, 0), (4, 1)))
        return influence_scores(train, target, method=method)

    actual, expected, c = scores(dtype, of_left, of_right), scores(torch.float64, 1.0, 1.0), of_left * of_right
    assert error(actual / c / c if method == "tracin" else actual, expected) < tolerance


@pytest.mark.parametrize("method", SCALE_FREE)
def test_layers_and_target_may_each_have_a_unit_of_their_own(method):
    train, target = gradients(), gradients(4, seed=1)
    units = {"a": 1e-70, "b": 1e70}
    moved, aim = ({name: tensor * units[name] for name, tensor in each.items()} for each in (train, target))
    if method == "tracin":
        expected = sum(
            influence_scores({n: train[n]}, {n: target[n]}, method=method) * unit**2 for n, unit in units.items()
        )
    else:
        expected = influence_scores(train, target, method=method)
    assert error(influence_scores(moved, aim, method=method), expected) < 1e-11
    smaller = influence_scores(train, times(target, 1e-90), method=method)
    assert error(smaller * 1e90, influence_scores(train, target, method=method)) < 1e-11


@pytest.mark.parametrize("c", [1e-160, 1e-170, 1e-300])
def test_squares_that_vanish_are_refused_and_never_called_all_zero(c):
    for method in ("hyperinf", "tracin"):
        with pytest.raises(ValueError, match="gradients of layer 'a': got squares too small for float64"):
            influence_scores(times(gradients(), c), gradients(4, seed=1), method=method)


def test_squares_that_overflow_are_refused_by_layer():
    with pytest.raises(ValueError, match=r"gradients of layer 'a': got (values that are not finite|squares too large)"):
        influence_scores(times(gradients(), 1e160), gradients(4, seed=1))


def test_a_score_that_is_not_finite_is_named_with_method_layer_and_sample():
    source = TensorSource(gradients(3), ["x", "y", "z"])
    hvp = {name: torch.ones(shape, dtype=torch.float64) for name, shape in SHAPES.items()}
    hvp["b"][0, 0] = math.nan
    with pytest.raises(ValueError, match=r"^mine: got nan for sample 'x' \(layer 'b'\), expected finite scores"):
        sweep_scores(source, {"mine": hvp})
    huge = {"a": torch.full((3, 8), 1e300, dtype=torch.float64), "b": torch.ones(2, 5, dtype=torch.float64)}
    large = {"a": torch.ones(3, 3, 8, dtype=torch.float64), "b": torch.ones(3, 2, 5, dtype=torch.float64)}
    large["a"][1] = 1e20
    with pytest.raises(ValueError, match=r"^mine: got -inf for sample '1' \(layer 'a'\), expected finite scores"):
        sweep_scores(TensorSource(large), {"mine": huge})


def test_the_scale_of_lissa_on_the_gfim_is_an_upper_bound_where_the_estimate_is_none(monkeypatch):
    scales = []
    certain = LiSSAGFIM._certain

    def recorded(self, layer, estimate):
        matrix = self.statistics.gfim[layer] + self.statistics.damping()[layer] * torch.eye(200, dtype=torch.float64)
        largest = float(torch.linalg.eigvalsh(matrix)[-1])
        scale = certain(self, layer, estimate)
        scales.append((estimate / largest, scale / largest))
        return scale

    monkeypatch.setattr(LiSSAGFIM, "_certain", recorded)
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        train = {"w": torch.randn(100, 1, 200, generator=generator, dtype=torch.float64)}
        build_method("lissa_gfim").fit(TensorSource(train)).precondition({"w": train["w"].mean(0)})
    assert min(estimate for estimate, _ in scales) < 0.95
    assert min(scale for _, scale in scales) >= 1 - 1e-8
    # An estimate that is a bound stays as it is.
    assert all(scale == pytest.approx(estimate, rel=1e-12) for estimate, scale in scales if estimate > 1)


def test_the_report_of_lissa_says_what_its_scale_is():
    assert build_method("lissa_gfim").report()["scale"] == "upper bound"
    assert "estimated" in build_method("lissa").report()["scale"]


@pytest.mark.parametrize("method", ["lissa", "lissa_gfim"])
@pytest.mark.parametrize("part", [0.4, 0.1])
def test_a_series_that_diverges_is_refused_by_layer(method, part, monkeypatch):
    train, target = gradients(), gradients(4, seed=1)
    statistics = gradient_statistics(TensorSource(train))

    def too_small(self, start):
        yield from ()
        flat = {n: train[n].flatten(1 if self.name == "lissa" else 0, -1 if self.name == "lissa" else 1) for n in start}
        return {
            n: part * float(torch.linalg.matrix_norm(x.T @ x / 12, 2)) * (1.0 if n == "b" else 100.0)
            for n, x in flat.items()
        }

    built = build_method(method, iterations=60).fit(TensorSource(train), statistics)
    monkeypatch.setattr(type(built), "_scales", too_small)
    with pytest.raises(ConvergenceError, match=f"^layer 'b': {method} diverges, its residual grew"):
        built.precondition({name: tensor.mean(0) for name, tensor in target.items()})


@pytest.mark.parametrize("method", ["lissa", "lissa_gfim"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_a_long_series_is_not_taken_for_one_that_diverges(method, dtype):
    train, target = gradients(dtype=dtype), gradients(4, seed=1, dtype=dtype)
    table = score_methods(train, target, {method: {"iterations": 2000}})
    expected = influence_scores(train, target, method="fim" if method == "lissa" else "gfim")
    assert error(table.influence[method], expected) < 1e-3
