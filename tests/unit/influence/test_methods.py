from itertools import pairwise

import numpy as np
import pytest
import torch
from scored_methods import HELD, LINEAR

from hyperinf.gradients import GradientStore, TensorSource
from hyperinf.influence import (
    METHODS,
    build_method,
    gradient_statistics,
    influence_scores,
    options_of,
    score_methods,
)
from hyperinf.influence.methods.lissa import LiSSA
from hyperinf.linalg import hyperpower_inverse
from hyperinf.settings.methods import METHODS as SPECS

SHAPES = {"low.lora_A": (3, 10), "low.lora_B": (3, 7), "head": (2, 5)}
DAMPING = 0.1


def gradients(samples=12, seed=0, shapes=SHAPES, scale=1.0, dtype=torch.float64):
    """Correlated columns and unequal layers, so that no two methods agree by chance."""
    generator = torch.Generator().manual_seed(seed)
    result = {}
    for index, (name, (r, d)) in enumerate(shapes.items()):
        mixing = torch.randn(d, d, generator=generator, dtype=torch.float64) * 0.5 + torch.eye(d, dtype=torch.float64)
        raw = torch.randn(samples, r, d, generator=generator, dtype=torch.float64)
        result[name] = (scale * (index + 1) * raw @ mixing).to(dtype)
    return result


def explicit_scores(train, target, hvp_of_layer):
    """The definition, one layer and one sample at a time, in numpy."""
    samples = next(iter(train.values())).shape[0]
    scores = np.zeros(samples)
    for name in train:
        g = train[name].double().numpy()
        v = target[name].double().numpy().mean(axis=0)
        damping = DAMPING * np.mean(g**2)
        hvp = hvp_of_layer(g, v, damping)
        for i in range(samples):
            scores[i] -= np.sum(hvp * g[i])
    return scores


def hyperinf_by_hand(g, v, damping):
    matrix = sum(x.T @ x for x in g) / len(g) + damping * np.eye(g.shape[2])
    return v @ np.linalg.inv(matrix)


def hyperinf_mean_by_hand(g, v, damping):
    matrix = sum(x.T @ x for x in g) / len(g) / g.shape[1] + damping * np.eye(g.shape[2])
    return v @ np.linalg.inv(matrix)


def fim_by_hand(g, v, damping):
    flat = g.reshape(len(g), -1)
    fisher = sum(np.outer(x, x) for x in flat) / len(g)
    return np.linalg.solve(fisher + damping * np.eye(flat.shape[1]), v.ravel()).reshape(v.shape)


def datainf_by_hand(g, v, damping):
    flat = g.reshape(len(g), -1)
    inverse = sum(np.linalg.inv(np.outer(x, x) + damping * np.eye(flat.shape[1])) for x in flat) / len(g)
    return (inverse @ v.ravel()).reshape(v.shape)


def datainf_gfim_by_hand(g, v, damping):
    inverse = sum(np.linalg.inv(x.T @ x + damping * np.eye(g.shape[2])) for x in g) / len(g)
    return v @ inverse


def tracin_by_hand(g, v, damping):
    return v


BY_HAND = {
    "hyperinf": hyperinf_by_hand,
    "gfim": hyperinf_by_hand,
    "fim": fim_by_hand,
    "datainf": datainf_by_hand,
    "datainf_gfim": datainf_gfim_by_hand,
    "tracin": tracin_by_hand,
}


def relative_error(actual, expected):
    return float(np.linalg.norm(np.asarray(actual) - np.asarray(expected)) / np.linalg.norm(np.asarray(expected)))


@pytest.mark.parametrize("samples", [5, 60])
@pytest.mark.parametrize("method", BY_HAND)
def test_scores_equal_the_definition_with_explicit_inverses(method, samples):
    train, target = gradients(samples), gradients(4, seed=1)
    expected = explicit_scores(train, target, BY_HAND[method])
    actual = influence_scores(train, target, method=method, damping=DAMPING)
    assert actual.dtype == torch.float64
    # Schulz stops at a residual of 1e-3 and one float64 step squares it; the others are exact.
    assert relative_error(actual, expected) < (1e-5 if method == "hyperinf" else 1e-10)


@pytest.mark.parametrize("method", ["hyperinf", "gfim"])
def test_the_mean_scale_divides_the_gfim_by_the_rank(method):
    train, target = gradients(), gradients(4, seed=1)
    expected = explicit_scores(train, target, hyperinf_mean_by_hand)
    assert relative_error(influence_scores(train, target, method=method, gfim_scale="mean"), expected) < 1e-5


@pytest.mark.parametrize(("method", "oracle"), [("lissa", "fim"), ("lissa_gfim", "gfim")])
def test_lissa_run_long_enough_reaches_the_exact_solution(method, oracle):
    train, target = gradients(30), gradients(4, seed=1)
    exact = influence_scores(train, target, method=oracle)
    errors = [
        relative_error(influence_scores(train, target, method=method, iterations=t), exact) for t in (5, 50, 3000)
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-6


def test_lissa_equals_its_recurrence_written_out_with_the_scale_it_chose():
    train, target = gradients(9, shapes={"w": (2, 4)}), gradients(3, seed=1, shapes={"w": (2, 4)})
    method = build_method("lissa", iterations=7).fit(TensorSource(train))
    v = target["w"].mean(0)
    hvp = method.precondition({"w": v})["w"].numpy().ravel()
    flat = train["w"].flatten(1).numpy()
    matrix = flat.T @ flat / len(flat) + DAMPING * np.mean(flat**2) * np.eye(8)
    largest = np.linalg.eigvalsh(matrix)[-1]
    # The scale is the only freedom: solve for it, then check that it is an upper bound and the whole recurrence.
    for scale in np.linspace(largest, np.trace(matrix), 20001):
        r = v.numpy().ravel()
        for _ in range(7):
            r = v.numpy().ravel() + r - matrix @ r / scale
        if relative_error(r / scale, hvp) < 1e-3:
            break
    else:
        pytest.fail("no scale between the largest eigenvalue and the trace gives this result")


def test_lissa_s_scale_is_not_below_the_largest_eigenvalue():
    for seed in range(20):
        train = gradients(15, seed=seed, shapes={"w": (3, 12)})
        method = build_method("lissa", iterations=200).fit(TensorSource(train))
        assert isinstance(method, LiSSA)
        method.precondition({"w": gradients(3, seed=99, shapes={"w": (3, 12)})["w"].mean(0)})
        assert all(later <= earlier * (1 + 1e-9) for earlier, later in pairwise(method.residuals))


def test_with_rank_one_gradients_gfim_and_fim_are_the_same_thing():
    shapes = {"a": (1, 9), "b": (1, 4)}
    train, target = gradients(20, shapes=shapes), gradients(3, seed=1, shapes=shapes)
    exact = influence_scores(train, target, method="fim")
    assert relative_error(influence_scores(train, target, method="gfim"), exact) < 1e-10
    assert relative_error(influence_scores(train, target, method="hyperinf"), exact) < 1e-5


@pytest.mark.parametrize("method", HELD)
def test_a_sample_that_is_its_own_target_helps_itself(method):
    train = gradients(10)
    for index in range(10):
        target = {name: tensor[index : index + 1] for name, tensor in train.items()}
        assert influence_scores(train, target, method=method)[index] < 0


@pytest.mark.parametrize("method", LINEAR)
def test_block_size_and_order_of_samples_do_not_change_a_score(method):
    train, target = gradients(13), gradients(4, seed=1)
    expected = influence_scores(train, target, method=method)
    order = torch.randperm(13, generator=torch.Generator().manual_seed(4))
    shuffled = {name: tensor[order] for name, tensor in train.items()}
    for block_size in (1, 5):
        source = TensorSource(shuffled, block_size=block_size)
        actual = influence_scores(source, TensorSource(target, block_size=block_size), method=method)
        assert relative_error(actual, expected[order].numpy()) < 1e-6


@pytest.mark.parametrize("method", LINEAR)
def test_a_store_on_disk_with_any_number_of_shards_gives_the_scores_of_memory(method, tmp_path):
    train, target = gradients(13, dtype=torch.float32), gradients(4, seed=1, dtype=torch.float32)
    expected = influence_scores(train, target, method=method)
    for shard_bytes in (1, 2000, 10**9):
        store = GradientStore.write(tmp_path / str(shard_bytes), TensorSource(train), shard_bytes=shard_bytes)
        assert relative_error(influence_scores(store, target, method=method), expected.numpy()) < 1e-5


@pytest.mark.parametrize("scale", [1e-8, 1e-4, 1e4])
def test_hyperinf_stays_the_damped_inverse_however_small_the_gradients_are(scale):
    """From 5e-5 I and a fixed number of steps it would silently become Hessian-free here."""
    train, target = gradients(40, scale=scale, dtype=torch.float32), gradients(4, seed=1, dtype=torch.float32)
    expected = explicit_scores(train, target, hyperinf_by_hand)
    assert relative_error(influence_scores(train, target), expected) < 1e-4
    hessian_free = influence_scores(train, target, method="tracin").numpy()
    assert np.corrcoef(expected, hessian_free)[0, 1] < 0.999


@pytest.mark.parametrize("solver", ["cholesky", "auto"])
def test_every_solver_of_hyperinf_solves_the_same_system(solver):
    train, target = gradients(), gradients(4, seed=1)
    expected = explicit_scores(train, target, hyperinf_by_hand)
    assert relative_error(influence_scores(train, target, solver=solver), expected) < 1e-10


def test_a_silent_layer_has_no_influence_and_is_warned_of():
    train, target = gradients(), gradients(4, seed=1)
    without = {name: value for name, value in train.items() if name != "head"}
    train["head"] = torch.zeros_like(train["head"])
    for method in HELD:
        with pytest.warns(UserWarning, match="all gradients of 1 of 3 layers are zero.*head"):
            actual = influence_scores(train, target, method=method)
        expected = influence_scores(without, {name: target[name] for name in without}, method=method)
        assert torch.allclose(actual, expected, rtol=1e-9)


def test_several_methods_from_shared_sweeps_equal_each_alone():
    train, target = gradients(), gradients(4, seed=1)
    table = score_methods(train, target, HELD)
    assert table.sample_ids == tuple(str(index) for index in range(12))
    for method in HELD:
        alone = influence_scores(train, target, method=method)
        assert relative_error(table.influence[method], alone) < 1e-12
    norms = torch.stack([value.flatten(1).norm(dim=1) for value in train.values()]).norm(dim=0)
    assert torch.allclose(table.grad_norm, norms)
    assert table.reports["hyperinf"]["residual"] < 1e-3


def test_tolerance_and_iterations_of_schulz_are_options():
    train, target = gradients(), gradients(4, seed=1)
    loose, tight = (score_methods(train, target, {"hyperinf": {"tol": tol}}) for tol in (0.5, 1e-4))
    assert loose.reports["hyperinf"]["matmuls"] < tight.reports["hyperinf"]["matmuls"]
    assert tight.reports["hyperinf"]["residual"] < 1e-4 < loose.reports["hyperinf"]["residual"] < 0.5
    with pytest.raises(ValueError, match=r"^layer 'low\.lora_A'"):
        influence_scores(train, target, max_iter=1)


@pytest.mark.parametrize(("lost", "inits"), [(False, ["auto", "near"]), (True, ["auto", "near", "auto"])])
def test_what_is_beyond_float32_goes_on_in_float64_from_where_it_came_to(lost, inits, monkeypatch):
    drawn = torch.randn(160, 100, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    rotation = torch.linalg.qr(drawn[60:])[0]
    train = {"layer": (drawn[:60, None] * torch.logspace(0, -3, 100)) @ rotation}
    target = {"layer": train["layer"][:3]}
    invert, calls = hyperpower_inverse, []

    def recorded(a, init="auto", **options):
        calls.append((a.dtype, "near" if isinstance(init, torch.Tensor) else init))
        if lost and isinstance(init, torch.Tensor):
            options["max_iter"], init = 1, 1e-9 * init
        result = invert(a, init=init, **options)
        done.append(result.matmuls)
        return result

    done: list[int] = []
    monkeypatch.setattr("hyperinf.influence.methods.hyperinf.hyperpower_inverse", recorded)
    table = score_methods(train, target, {"hyperinf": {}}, damping=1e-5)
    assert [init for _, init in calls] == inits
    assert [dtype for dtype, _ in calls] == [torch.float32, *[torch.float64] * (len(inits) - 1)]
    assert table.reports["hyperinf"]["matmuls"] > done[-1]  # those in float32 are counted
    expected = influence_scores(train, target, solver="cholesky", damping=1e-5)
    assert relative_error(table.influence["hyperinf"], expected) < 1e-6


def test_layers_of_one_shape_are_inverted_together_where_a_device_takes_many(monkeypatch):
    train = {f"{d}.{layer}": gradients(seed=layer)["low.lora_A"][..., :d] for d in (3, 4) for layer in range(3)}
    target = {name: value[:2] * 2 - 1 for name, value in train.items()}
    alone = score_methods(train, target, {"hyperinf": {}})
    module, batches = "hyperinf.influence.methods.hyperinf", []
    invert = hyperpower_inverse

    def noted(a, **options):
        batches.append(a.shape)
        return invert(a, **options)

    monkeypatch.setattr(f"{module}.takes_many", lambda device: True)
    monkeypatch.setattr(f"{module}.MOST", 2)
    monkeypatch.setattr(f"{module}.hyperpower_inverse", noted)
    together = score_methods(train, target, {"hyperinf": {}})
    assert batches == [(2, 3, 3), (3, 3), (2, 4, 4), (4, 4)]
    assert relative_error(together.influence["hyperinf"], alone.influence["hyperinf"]) < 1e-7
    assert together.reports["hyperinf"]["residual"] < 1e-3
    with pytest.raises(ValueError, match=r"^layer '3\.0': not converged"):
        influence_scores(train, target, max_iter=1)


def test_methods_take_the_options_of_their_spec_whole():
    train, target = gradients(), gradients(4, seed=1)
    given = {name: SPECS[name].options(damping=0.3, gfim_scale="mean") for name in HELD}
    table = score_methods(train, target, given)
    for method in HELD:
        alone = influence_scores(train, target, method=method, damping=0.3, gfim_scale="mean")
        assert relative_error(table.influence[method], alone) < 1e-12


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_method_s_class_is_that_of_its_spec_and_asks_for_what_the_spec_says(method):
    built = build_method(method)
    assert type(built) is METHODS[method]
    assert built.spec is SPECS[method]
    assert type(built.options) is SPECS[method].options
    assert options_of(method) == tuple(type(built.options).model_fields)
    if "gfim" in SPECS[method].needs:
        with pytest.raises(ValueError, match=f"expected it, as {method} needs it"):
            built.fit(TensorSource(gradients()), gradient_statistics(TensorSource(gradients()), gfim=False))


def test_an_option_of_a_method_s_own_goes_before_the_common_one():
    train, target = gradients(), gradients(4, seed=1)
    table = score_methods(train, target, {"hyperinf": {"solver": "cholesky"}, "tracin": {}}, solver="schulz")
    assert table.reports["hyperinf"] == {"solver": "cholesky"}


def test_the_damping_is_a_tenth_of_the_mean_square_of_all_entries_of_a_layer():
    method = build_method("tracin", damping=0.1).fit(TensorSource({"w": torch.tensor([[[1.0, 2.0]], [[0.0, 5.0]]])}))
    assert method.statistics.damping(0.1)["w"] == pytest.approx(0.1 * 30 / 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "nothing"}, "^method: got 'nothing', expected .*hyperinf"),
        ({"damping": 0.0}, "^damping: got 0.0, expected .*above 0"),
        ({"damping": -1.0}, "^damping: got -1.0, expected"),
        ({"damping": float("nan")}, "^damping: got NaN, expected"),
        ({"gfim_scale": "max"}, "^gfim_scale: got .*max.*, expected .*sum"),
        ({"solver": "lu"}, "^solver: got .*lu.*, expected .*cholesky"),
        ({"method": "tracin", "solver": "lu"}, "^solver: got .*lu"),
        ({"iterations": 3}, "^iterations: got an unknown key, expected .*max_iter"),
        ({"method": "lissa", "iterations": 0}, "^iterations: got 0, expected .*1"),
        ({"tol": 2.0}, "^tol: got 2.0, expected"),
    ],
)
def test_wrong_options_are_refused_by_name(change, message):
    with pytest.raises(ValueError, match=message):
        influence_scores(gradients(), gradients(4, seed=1), **change)


def test_layers_that_differ_and_gradients_that_are_not_finite_are_named():
    train, target = gradients(), gradients(4, seed=1)
    with pytest.raises(ValueError, match="^target: got layer 'head' as None"):
        influence_scores(train, {name: value for name, value in target.items() if name != "head"})
    with pytest.raises(ValueError, match=r"^target: got layer 'head' as \(2, 4\), expected \(2, 5\)"):
        influence_scores(train, target | {"head": target["head"][:, :, :4]})
    broken = {name: value.clone() for name, value in train.items()}
    broken["low.lora_B"][7, 1, 2] = float("nan")
    with pytest.raises(ValueError, match=r"^gradients of layer 'low.lora_B': got .*not finite \(sample '7'\)"):
        influence_scores(broken, target)
    with pytest.raises(ValueError, match=r"target gradients of layer 'low\.lora_B': got .*not finite"):
        influence_scores(train, {name: value[:10] for name, value in broken.items()})


@pytest.mark.parametrize("samples", [9, 80])
def test_the_exact_fisher_is_the_same_however_its_gram_matrix_is_cut(samples, monkeypatch):
    train, target = gradients(samples), gradients(4, seed=1)
    whole = influence_scores(train, target, method="fim")
    monkeypatch.setattr("hyperinf.influence.methods.fim.BLOCK", 4)
    assert relative_error(influence_scores(train, target, method="fim"), whole) < 1e-10
