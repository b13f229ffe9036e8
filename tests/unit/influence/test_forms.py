"""Forms of a score against their equations, a sample at a time in numpy."""

import numpy as np
import pytest
import torch
from test_methods import DAMPING, gradients

from hyperinf.gradients import GradientStore, TensorSource
from hyperinf.influence import influence_scores, score_methods
from hyperinf.settings.scores import FORMS, ScoreName

METHODS = ("hyperinf", "gfim", "fim", "datainf", "lissa", "tracin")


def inverse(method, g):
    """The damped inverse curvature of one layer as a function of a flat vector."""
    damping, (n, r, d) = DAMPING * np.mean(g**2), g.shape
    flat = g.reshape(n, -1)
    if method == "tracin":
        return lambda x: x
    if method == "gfim":
        matrix = np.linalg.inv(sum(x.T @ x for x in g) / n + damping * np.eye(d))
        return lambda x: (x.reshape(r, d) @ matrix).ravel()
    if method == "datainf":
        matrix = sum(np.linalg.inv(np.outer(x, x) + damping * np.eye(r * d)) for x in flat) / n
    else:
        matrix = np.linalg.inv(flat.T @ flat / n + damping * np.eye(r * d))
    return lambda x: matrix @ x


def by_hand(method, form, train, target):
    samples = len(next(iter(train.values())))
    scores, squares, own, lengths, hvp_square = (np.zeros(samples) for _ in range(5))
    for name, tensor in train.items():
        g = tensor.double().numpy()
        v = target[name].double().numpy().mean(axis=0).ravel()
        apply = inverse(method, g)
        hvp_square += np.sum(apply(v) ** 2)
        for i, each in enumerate(g.reshape(samples, -1)):
            product = apply(each)
            scores[i] -= apply(v) @ each
            squares[i] += each @ each
            own[i] += each @ product
            lengths[i] += product @ product
    return {
        "unit": scores / np.sqrt(squares * hvp_square),
        "theta_relative": scores / np.sqrt(lengths),
        "loss_relative": scores / np.sqrt(own),
        "self_influence": own,
    }[form]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("method", ["gfim", "fim", "datainf", "tracin"])
def test_a_form_equals_its_equation(method, form):
    train, target = gradients(9), gradients(4, seed=1)
    found = influence_scores(train, target, method=method, normalize=form)
    np.testing.assert_allclose(found, by_hand(method, form, train, target), rtol=1e-8)


@pytest.mark.parametrize("form", FORMS)
def test_hyperinf_s_form_is_that_of_its_oracle(form):
    train, target = gradients(9), gradients(4, seed=1)
    found = influence_scores(train, target, method="hyperinf", normalize=form)
    np.testing.assert_allclose(found, by_hand("gfim", form, train, target), rtol=1e-4)


def test_a_unit_score_of_tracin_is_the_cosine_of_two_gradients():
    train, target = gradients(9), gradients(4, seed=1)
    flat = torch.cat([x.flatten(1) for x in train.values()], dim=1)
    v = torch.cat([x.mean(0).flatten() for x in target.values()])
    expected = -torch.nn.functional.cosine_similarity(flat, v[None])
    found = influence_scores(train, target, method="tracin", normalize="unit")
    torch.testing.assert_close(found, expected)


def test_forms_stand_beside_each_method_s_own_scores_which_they_leave_as_they_are():
    train, target = gradients(9), gradients(4, seed=1)
    plain = score_methods(train, target, METHODS)
    formed = score_methods(train, target, METHODS, forms=dict.fromkeys(METHODS, tuple(FORMS)))
    for method in METHODS:
        assert torch.equal(plain.influence[method], formed.influence[method])
        assert {str(ScoreName(method, form)) for form in FORMS} <= formed.influence.keys()
    assert {"lissa", "fim"} <= {name for name, stage in formed.costs if stage == "own products"}


@pytest.mark.parametrize("scale", [1e-16, 1e12])
@pytest.mark.parametrize("form", ["unit", "loss_relative", "theta_relative"])
def test_a_relative_score_orders_samples_alike_whatever_the_gradients_unit(form, scale):
    options = {"method": "gfim", "normalize": form}
    ordinary = influence_scores(gradients(9), gradients(4, seed=1), **options)
    other = influence_scores(gradients(9, scale=scale), gradients(4, seed=1, scale=scale), **options)
    ratio = (other / ordinary).numpy()
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-9)


@pytest.mark.parametrize("form", FORMS)
def test_a_sample_without_a_gradient_scores_zero(form):
    train, target = gradients(9), gradients(4, seed=1)
    for tensor in train.values():
        tensor[3] = 0
    scores = influence_scores(train, target, method="gfim", normalize=form)
    assert float(scores[3]) == 0
    assert torch.isfinite(scores).all()


@pytest.mark.parametrize("form", FORMS)
def test_a_form_does_not_depend_on_blocks_or_the_store(tmp_path, form):
    train, target = gradients(9), gradients(4, seed=1)
    whole = influence_scores(train, target, method="hyperinf", normalize=form)
    cut = influence_scores(TensorSource(train, block_size=2), target, method="hyperinf", normalize=form)
    store = GradientStore.write(tmp_path / "store", TensorSource(train), dtype="float64", shard_bytes=2000)
    kept = influence_scores(store, target, method="hyperinf", normalize=form)
    torch.testing.assert_close(cut, whole, rtol=1e-6, atol=0)
    torch.testing.assert_close(kept, whole, rtol=1e-6, atol=0)


def test_an_unknown_form_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"normalize.*theta_relative"):
        influence_scores(gradients(), gradients(), normalize="cosine")
