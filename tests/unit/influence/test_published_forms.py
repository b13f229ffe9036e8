"""The published codes' forms against loops in numpy, and what is wrong with them."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from hyperinf.gradients import TensorSource
from hyperinf.influence import build_method, gradient_statistics, influence_scores
from hyperinf.linalg import ConvergenceError

SHAPES = {"a": (3, 8), "b": (2, 5)}
DAMPING = 0.1


def gradients(scale, samples=20, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        name: scale
        * torch.randn(samples, *shape, generator=generator, dtype=torch.float64)
        @ torch.randn(shape[1], shape[1], generator=generator, dtype=torch.float64)
        for name, shape in SHAPES.items()
    }


def product(method, train, v, **options):
    made = build_method(method, damping=DAMPING, **options)
    source = TensorSource(train)
    made.fit(source, gradient_statistics(source, gfim=True))
    return made.precondition(v)


@pytest.mark.parametrize("scale", [1e-3, 0.1, 1.0])
@pytest.mark.parametrize("iterations", [15, 20, 30])
def test_hyperinf_takes_a_fixed_number_of_steps_from_a_fixed_start(scale, iterations):
    train = gradients(scale)
    v = {name: each.mean(dim=0) for name, each in gradients(scale, seed=1).items()}
    found = product("hyperinf_published", train, v, iterations=iterations)
    for name, each in train.items():
        g = each.numpy()
        matrix = sum(x.T @ x for x in g) / len(g) + (DAMPING * np.mean(g**2) + 1e-3) * np.eye(g.shape[2])
        inverse = 5e-5 * np.eye(g.shape[2])
        for _ in range(iterations):
            inverse = inverse @ (2 * np.eye(g.shape[2]) - matrix @ inverse)
        np.testing.assert_allclose(found[name].numpy(), v[name].numpy() @ inverse, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-3, 0.05])
def test_lissa_takes_ten_terms_with_the_other_sign_and_no_scaling(scale):
    train = gradients(scale)
    v = {name: each.mean(dim=0) for name, each in gradients(scale, seed=1).items()}
    found = product("lissa_published", train, v)
    for name, each in train.items():
        flat, start = each.flatten(1).numpy(), v[name].flatten().numpy()
        damping, r = DAMPING * np.mean(flat**2), start
        for _ in range(10):
            r = start + r - (flat.T @ (flat @ r) / len(flat) - damping * r)
        np.testing.assert_allclose(found[name].flatten().numpy(), r, rtol=1e-9, atol=1e-12)


def test_of_small_gradients_hyperinf_as_published_is_tracin():
    train, target = TensorSource(gradients(1e-4)), gradients(1e-4, seed=1)
    scores = {
        name: influence_scores(train, target, method=name) for name in ("hyperinf_published", "tracin", "hyperinf")
    }
    assert spearmanr(scores["hyperinf_published"], scores["tracin"]).statistic > 0.999
    assert spearmanr(scores["hyperinf"], scores["tracin"]).statistic < 0.99


@pytest.mark.parametrize("method", ["hyperinf_published", "lissa_published"])
def test_of_large_gradients_they_diverge_and_say_so(method):
    train = gradients(1e40 if method == "lissa_published" else 1e4)
    v = {name: each.mean(dim=0) for name, each in train.items()}
    with pytest.raises(ConvergenceError, match="'a': .*diverges"):
        product(method, train, v, iterations=30)


@pytest.mark.parametrize("method", ["hyperinf_published", "lissa_published"])
def test_a_silent_layer_has_no_influence(method):
    train = gradients(0.01)
    train["b"] = torch.zeros_like(train["b"])
    v = {name: each.mean(dim=0) for name, each in gradients(0.01, seed=1).items()}
    found = product(method, train, v)
    assert not found["b"].any()
    assert found["a"].any()
