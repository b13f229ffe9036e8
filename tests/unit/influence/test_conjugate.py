"""Conjugate gradients reach what a factorisation gives, within the tolerance that they are told."""

import numpy as np
import pytest
import torch
from test_methods import DAMPING, fim_by_hand, gradients, hyperinf_by_hand, relative_error

from hyperinf.gradients import TensorSource
from hyperinf.influence import build_method, influence_scores, score_methods
from hyperinf.linalg import ConvergenceError

BY_HAND = {"gfim_cg": hyperinf_by_hand, "fim_cg": fim_by_hand}


@pytest.mark.parametrize("tol", [1e-2, 1e-4, 1e-9])
@pytest.mark.parametrize("method", BY_HAND)
def test_the_residual_of_every_layer_is_within_the_tolerance(method, tol):
    train, target = gradients(20), gradients(4, seed=1)
    built = build_method(method, tol=tol).fit(TensorSource(train))
    v = {layer: x.mean(0) for layer, x in target.items()}
    products = built.precondition(v)
    for layer, x in v.items():
        g = train[layer].numpy()
        exact = BY_HAND[method](g, x.numpy(), DAMPING * np.mean(g**2))
        # The error is at most the residual times the condition, which the trace bounds from above.
        condition = 1 + g.shape[1] * g.shape[2] / DAMPING
        assert relative_error(products[layer], exact) < tol * condition
    assert built.report()["residual"] <= tol


@pytest.mark.parametrize(("method", "oracle"), [("gfim_cg", "gfim"), ("fim_cg", "fim")])
def test_a_tight_tolerance_gives_the_oracle_s_scores_and_takes_more_products(method, oracle):
    train, target = gradients(20), gradients(4, seed=1)
    exact = influence_scores(train, target, method=oracle)
    tables = [score_methods(train, target, {method: {"tol": tol}}) for tol in (1e-1, 1e-10)]
    assert relative_error(tables[1].influence[method], exact) < 1e-8
    assert tables[0].reports[method]["iterations"] < tables[1].reports[method]["iterations"]


@pytest.mark.parametrize("method", BY_HAND)
def test_too_few_iterations_are_an_error_that_names_the_layer_and_what_to_do(method):
    with pytest.raises(ConvergenceError, match=r"layer 'low\.lora_[AB]'.*max_iter"):
        influence_scores(gradients(20), gradients(4, seed=1), method=method, max_iter=1, tol=1e-8)


@pytest.mark.parametrize("method", BY_HAND)
@pytest.mark.parametrize("remedy", [{"max_iter": 200}, {"max_iter": 5, "tol": 0.9}, {"damping": 1e6}])
def test_each_thing_that_the_error_advises_helps(method, remedy):
    options = {"max_iter": 1, "tol": 1e-4, **remedy}
    assert torch.isfinite(influence_scores(gradients(20), gradients(4, seed=1), method=method, **options)).all()


@pytest.mark.parametrize("method", BY_HAND)
@pytest.mark.parametrize("scale", [1e-14, 1e9])
def test_the_gradients_unit_costs_no_iteration(method, scale):
    ordinary, other = (
        score_methods(gradients(20, scale=each), gradients(4, seed=1, scale=each), [method]) for each in (1.0, scale)
    )
    assert ordinary.reports[method]["iterations"] == other.reports[method]["iterations"]


@pytest.mark.parametrize("method", BY_HAND)
def test_a_vector_of_zeros_needs_no_product(method):
    built = build_method(method).fit(TensorSource(gradients(20)))
    products = built.precondition({layer: torch.zeros_like(x[0]) for layer, x in gradients(4).items()})
    assert not any(bool(x.any()) for x in products.values())
    assert built.report()["iterations"] == 0
