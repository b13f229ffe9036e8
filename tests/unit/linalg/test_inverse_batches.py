import itertools

import pytest
import torch

from hyperinf.linalg import ConvergenceError, hyperpower_inverse


@pytest.fixture
def batch(rotated, spectrum):
    def make(dtype):
        settings = [(1e1, 1.0), (1e4, 1e3), (1e2, 1e-6), (1e3, 1.0), (1e1, 5.0), (1.5, 1.0)]
        return torch.stack(
            [rotated(scale * spectrum("geometric", 40, c), seed)[0] for seed, (c, scale) in enumerate(settings)]
        ).to(dtype)

    return make


@pytest.mark.parametrize("order", [2, 3, 5])
@pytest.mark.parametrize("method", ["chebyshev", "schulz"])
@pytest.mark.parametrize(("dtype", "close"), [(torch.float64, 1e-11), (torch.float32, 1e-5)])
def test_every_element_of_a_batch_is_inverted_as_if_alone(batch, relative, method, order, dtype, close):
    a = batch(dtype)
    together = hyperpower_inverse(a.reshape(2, 3, 40, 40), method=method, order=order)
    alone = [hyperpower_inverse(m, method=method, order=order) for m in a]
    assert together.inverse.shape == (2, 3, 40, 40)
    for inverse, single in zip(together.inverse.reshape(6, 40, 40), alone, strict=True):
        assert relative(inverse, single.inverse.double()) < close
    assert together.iterations == max(single.iterations for single in alone)
    assert together.matmuls >= max(single.matmuls for single in alone)
    assert together.residual == pytest.approx(max(single.residual for single in alone), rel=0.5)


def test_bounds_and_starts_may_differ_within_a_batch(batch):
    a = batch(torch.float64)
    lmin = torch.tensor([0.1, 0.1, 1e-8, 1e-3, 0.5, 0.6])
    lmax = torch.tensor([1.0, 1e3, 1e-6, 1.0, 5.0, 1.0])
    result = hyperpower_inverse(a, lmin=lmin, lmax=lmax)
    assert result.residual <= 1e-3
    warm = hyperpower_inverse(a, init=result.inverse, tol=1e-5)
    assert warm.iterations <= 2
    assert warm.residual <= 1e-5


def test_an_element_that_is_done_is_left_alone(batch):
    a = batch(torch.float64)
    seen = []
    hyperpower_inverse(a, callback=lambda k, x: seen.append(x))
    changed = [bool((before[5] != after[5]).any()) for before, after in itertools.pairwise(seen)]
    # The best conditioned one: it moves, stops, and never moves again.
    assert changed == sorted(changed, reverse=True)
    assert not changed[-1]


def test_the_callback_may_do_as_it_likes_with_its_copy(batch, relative):
    a = batch(torch.float64)[1]
    calls = []

    def spoil(iteration, x):
        calls.append((iteration, tuple(x.shape)))
        x.zero_()

    result = hyperpower_inverse(a, callback=spoil)
    assert calls == [(k, (40, 40)) for k in range(1, result.iterations + 1)]
    assert relative(result.inverse, torch.linalg.inv(a)) < 1e-3


def test_a_bad_element_is_named(batch):
    a = batch(torch.float64)
    a[3] -= 0.5 * torch.eye(40)
    for bounds in ({}, {"lmin": 1e-8, "lmax": 1e3}):
        with pytest.raises(ConvergenceError, match=r"not positive definite.*\(batch element 3\)"):
            hyperpower_inverse(a, **bounds)


def test_an_upper_bound_too_small_for_one_element_only_is_corrected(batch):
    a = batch(torch.float64)
    seen = []
    result = hyperpower_inverse(
        a,
        lmin=torch.tensor([0.1, 0.1, 1e-8, 1e-3, 0.5, 0.6]),
        lmax=torch.tensor([1.0, 1e3, 1e-6, 0.95, 5.0, 1.0]),
        callback=lambda k, x: seen.append((k, tuple(x.shape))),
    )
    assert torch.linalg.norm(torch.eye(40) - a @ result.inverse, dim=(-2, -1)).max() <= 1e-3
    assert seen == [(k, (6, 40, 40)) for k in range(1, result.iterations + 1)]


def test_inputs_are_not_changed_and_gradients_not_kept(batch):
    a = batch(torch.float64).requires_grad_()
    before = a.detach().clone()
    result = hyperpower_inverse(a)
    assert torch.equal(a, before)
    assert not result.inverse.requires_grad
    strided = before[1].repeat_interleave(2, dim=1)[:, ::2]
    assert torch.equal(hyperpower_inverse(strided).inverse, hyperpower_inverse(before[1]).inverse)


def test_the_random_state_of_the_caller_is_not_touched(batch):
    state = torch.get_rng_state()
    hyperpower_inverse(batch(torch.float32))
    assert torch.equal(torch.get_rng_state(), state)
