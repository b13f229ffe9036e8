"""A GFIM of fewer rows than columns is kept as its rows, and gives the scores that its matrix gives."""

import numpy as np
import pytest
import torch
from peak_memory import PeakMemory
from wide_gradients import SHAPES, error, gradients, means

from hyperinf.attributor import Attributor
from hyperinf.gradients import Factors, GradientBlock, TensorSource
from hyperinf.influence import (
    added,
    build_method,
    gradient_statistics,
    influence_scores,
    score_methods,
    statistic_sums,
    sweep_scores,
)
from hyperinf.influence.memory import GfimForm, gfim_bytes, planned, rows_kept

ROWS = GfimForm(rows=True)
METHODS = [("gfim", {}), ("hyperinf", {"solver": "auto"}), ("hyperinf", {"solver": "cholesky"})]


def on_paper(train, target, damping=0.1, scale="sum"):
    """The definition, layer by layer, with an explicit matrix in numpy."""
    total = np.zeros(len(next(iter(train.values()))))
    for name in train:
        g, v = train[name].double().numpy(), target[name].double().numpy().mean(0)
        n, r, d = g.shape
        matrix = np.zeros((d, d))
        for each in g:
            matrix += each.T @ each / (n * (r if scale == "mean" else 1))
        product = np.linalg.solve(matrix + damping * (g**2).mean() * np.eye(d), v.T).T
        total -= np.einsum("nrd,rd->n", g, product)
    return torch.from_numpy(total)


def by_matrices(train, target, method="gfim", **options):
    source = TensorSource(train)
    product = build_method(method, **options).fit(source, gradient_statistics(source)).precondition(means(target))
    return sweep_scores(source, {"it": product}).influence["it"]


@pytest.mark.parametrize("scale", ["sum", "mean"])
@pytest.mark.parametrize(("method", "options"), METHODS)
@pytest.mark.parametrize("damping", [0.1, 1e-4])
def test_layers_of_more_fewer_and_as_many_rows_give_the_scores_on_paper(method, options, scale, damping):
    train, target = gradients(), gradients(3, 1)
    source = TensorSource(train, block_size=4)
    assert set(build_method(method, **options).fit(source).statistics.rows) == {"wide"}
    actual = influence_scores(source, target, method, damping, scale, **options)
    assert error(actual, on_paper(train, target, damping, scale)) < 1e-9
    assert error(actual, by_matrices(train, target, damping=damping, gfim_scale=scale)) < 1e-9


def test_rows_are_kept_where_they_are_fewer_than_columns_and_never_else():
    layers = {"fewer": (2, 13), "as many": (2, 12), "more": (2, 11)}
    assert rows_kept(layers, 6) == {"fewer": 12}
    assert rows_kept(layers, None) == {}
    statistics = gradient_statistics(TensorSource(gradients(shapes=layers)), ROWS)
    assert {name: tuple(rows.shape) for name, rows in statistics.rows.items()} == {"fewer": (12, 13)}
    assert {name: tuple(matrix.shape) for name, matrix in statistics.gfim.items()} == {
        "as many": (12, 12),
        "more": (11, 11),
    }


@pytest.mark.parametrize("scale", ["sum", "mean"])
@pytest.mark.parametrize("size", [1e-18, 1e18, 1e-150, 1e150])
def test_tiny_and_huge_gradients_have_the_scores_of_ordinary_ones(size, scale):
    train, target = gradients(shapes={"wide": (2, 40)}), gradients(3, 1, shapes={"wide": (2, 40)})
    moved, aim = ({name: g * size for name, g in each.items()} for each in (train, target))
    actual = influence_scores(moved, aim, "gfim", gfim_scale=scale)
    assert error(actual, on_paper(train, target, scale=scale)) < 1e-9
    far = {name: g * 1e-100 for name, g in target.items()}
    assert error(influence_scores(train, far, "gfim", gfim_scale=scale) * 1e100, actual) < 1e-9


@pytest.mark.parametrize("c", [1e-160, 1e160])
def test_rows_whose_squares_leave_float64_are_refused_as_a_matrix_is(c):
    with pytest.raises(ValueError, match="gradients of layer 'wide': got (squares too|values that are not finite)"):
        influence_scores(gradients(scale=c), gradients(3, 1), "gfim")


@pytest.mark.parametrize(
    ("dtype", "size"),
    [(torch.float32, 1e-18), (torch.float32, 1e15), (torch.bfloat16, 1.0), (torch.float16, 1e-4)],
)
def test_rows_stay_in_the_gradients_own_dtype_and_their_products_are_in_float64(dtype, size):
    train, target = gradients(scale=size, dtype=dtype), gradients(3, 1, size, dtype)
    statistics = gradient_statistics(TensorSource(train), ROWS)
    assert statistics.rows["wide"].dtype == dtype
    product = build_method("gfim").fit_statistics(statistics).precondition(means(target))["wide"]
    exact = build_method("gfim").fit(TensorSource(train), gradient_statistics(TensorSource(train)))
    assert error(product, exact.precondition(means(target))["wide"]) < 1e-9


@pytest.mark.parametrize(("left", "right"), [(1.0, 1.0), (1e-22, 1e-22), (1e-30, 1.0), (1e15, 1e10)])
@pytest.mark.parametrize("positions", [1, 9])
def test_rows_of_factors_keep_their_digits_where_float32_has_not_their_gradients(left, right, positions):
    shapes = {"wide": (2, 40)}

    class Factored:
        layers, known_length = shapes, 6

        def __init__(self, of_left, of_right):
            generator = torch.Generator().manual_seed(0)
            self.factors = {
                name: Factors(
                    torch.randn(6, positions, r, generator=generator) * of_left,
                    torch.randn(6, positions, d, generator=generator) * of_right,
                )
                for name, (r, d) in shapes.items()
            }

        def __iter__(self):
            yield GradientBlock(self.factors, tuple("abcdef"))

    # Powers of two: rounding to float32 is the same.
    left, right = (2.0 ** round(np.log2(each)) for each in (left, right))
    v = means(gradients(3, 1, shapes=shapes))
    ordinary, moved = (
        build_method("gfim").fit(Factored(*units)).precondition(v)["wide"] for units in ((1.0, 1.0), (left, right))
    )
    assert error(moved * left**2 * right**2, ordinary) < 1e-6


def test_a_silent_layer_has_no_influence_whichever_form_it_has():
    train, target = gradients(), gradients(3, 1)
    train["wide"] = torch.zeros_like(train["wide"])
    with pytest.warns(UserWarning, match="all gradients of 1 of 3 layers are zero"):
        actual = influence_scores(train, target, "gfim")
    heard = {name: train[name] for name in ("even", "narrow")}
    assert error(actual, on_paper(heard, target)) < 1e-9


def test_a_length_that_nobody_knows_before_the_sweep_leaves_the_matrix():
    class Unknown(TensorSource):
        known_length = None

    source = Unknown(gradients())
    assert not build_method("gfim").fit(source).statistics.rows


@pytest.mark.parametrize("told", [3, 12])
def test_a_length_that_was_told_wrong_changes_no_score(told):
    class Wrong(TensorSource):
        known_length = told

    train, target = gradients(), gradients(3, 1)
    assert error(influence_scores(Wrong(train, block_size=2), target, "gfim"), on_paper(train, target)) < 1e-9


def test_many_queries_are_single_ones_and_take_one_factorisation(monkeypatch):
    factored = []
    cholesky = torch.linalg.cholesky

    def noted(matrix):
        factored.append(matrix.shape[-1])
        return cholesky(matrix)

    monkeypatch.setattr(torch.linalg, "cholesky", noted)
    train, queries = gradients(), gradients(5, 1)
    queries["wide"][2] *= 1e-120
    model = build_method("gfim").fit(TensorSource(train))
    together = model.precondition_each(queries)
    for place in range(5):
        alone = build_method("gfim").fit(TensorSource(train)).precondition({n: g[place] for n, g in queries.items()})
        for name in SHAPES:
            assert error(together[name][place], alone[name]) < 1e-9
    factored.clear()
    model.precondition_each(gradients(4, 2))
    assert not factored
    model.fit(TensorSource(gradients(seed=5))).precondition_each(queries)
    assert factored == [12, 18, 5]


def test_where_a_device_takes_many_layers_at_once_rows_are_taken_one_by_one(monkeypatch):
    shapes = {f"{name}.{place}": shape for name, shape in SHAPES.items() for place in range(3)}
    train, target = gradients(shapes=shapes), gradients(3, 1, shapes=shapes)
    model = build_method("gfim").fit(TensorSource(train))
    alone = model.precondition(means(target))
    monkeypatch.setattr("hyperinf.influence.methods.hyperinf.takes_many", lambda device: True)
    together = model.precondition(means(target))
    for name in shapes:
        assert error(together[name], alone[name]) < 1e-12


def test_products_of_rows_in_float32_as_a_gpu_takes_them_leave_the_rounding_of_float32(monkeypatch):
    train, target = gradients(dtype=torch.float32), gradients(3, 1)
    exact = build_method("gfim").fit(TensorSource(train)).precondition(means(target))["wide"]
    monkeypatch.setattr("hyperinf.influence.methods.hyperinf.product_dtype", lambda device, entries: None)
    found = build_method("gfim").fit(TensorSource(train)).precondition(means(target))["wide"]
    assert found.dtype == torch.float64
    assert 1e-10 < error(found, exact) < 1e-5


def test_queries_take_no_more_memory_than_they_may():
    shapes = {"a": (2, 200), "b": (2, 150)}
    a = Attributor(None, "gfim").fit(TensorSource(gradients(9, shapes=shapes)))
    assert set(a.method.statistics.rows) == {"a", "b"}
    a.score_each(TensorSource(gradients(1, 1, shapes=shapes)))
    with PeakMemory() as one:
        a.score_each(TensorSource(gradients(1, 1, shapes=shapes), block_size=1))
    bound = 10 * 8 * a.method.copies * sum(r * d for r, d in shapes.values())
    queries = TensorSource(gradients(50, 1, shapes=shapes), block_size=1)
    with PeakMemory() as many:
        a.score_each(queries, memory_bytes=bound)
    assert many.peak - one.peak <= bound + 2 * 8 * 50 * 9


def test_another_damping_solver_or_method_after_rows_needs_no_sweep():
    sweeps = []

    class Counted(TensorSource):
        def __iter__(self):
            sweeps.append(1)
            return super().__iter__()

    train, target = gradients(), gradients(3, 1)
    a = Attributor(None).fit(Counted(train))
    assert a.method.statistics.rows
    fitted = len(sweeps)
    schulz = a.with_options(solver="schulz", tol=1e-6)
    back = schulz.with_options(solver="auto")
    others = {
        "schulz": (schulz, {"solver": "schulz", "tol": 1e-6}, 1e-9),
        "back": (back, {"solver": "cholesky"}, 1e-9),
        "damping": (a.with_options(damping=0.7), {"damping": 0.7, "solver": "cholesky"}, 1e-9),
        "mean": (a.with_options(gfim_scale="mean"), {"gfim_scale": "mean", "solver": "cholesky"}, 1e-9),
        "cg": (a.with_options(method="gfim_cg", tol=1e-10), {"method": "gfim_cg", "tol": 1e-10}, 1e-6),
        "lissa": (a.with_options(method="lissa_gfim"), {"method": "lissa_gfim"}, 1e-6),
        "published": (a.with_options(method="hyperinf_published"), {"method": "hyperinf_published"}, 1e-9),
        "fim": (a.with_options(method="fim"), {"method": "fim"}, 1e-9),
    }
    assert len(sweeps) == fitted
    for name, (other, options, tolerance) in others.items():
        found = torch.tensor(other.score(TensorSource(target))["influence"].tolist(), dtype=torch.float64)
        assert error(found, influence_scores(train, target, **options)) < tolerance, name
    assert schulz.method.statistics.rows == {}
    # The matrices are made once, for all that ask.
    assert schulz.method.statistics is others["lissa"][0].method.statistics


@pytest.mark.parametrize("size", [1e-18, 1.0, 1e18])
def test_the_matrix_that_is_made_of_rows_is_the_one_that_is_summed(size):
    train = gradients(scale=size)
    made = gradient_statistics(TensorSource(train, block_size=4), ROWS).with_matrices
    summed = gradient_statistics(TensorSource(train, block_size=4))
    assert dict(made.gfim).keys() == summed.gfim.keys()
    for name, matrix in summed.gfim.items():
        assert error(made.gfim[name], matrix) < 1e-14


@pytest.mark.parametrize("other", ["hyperinf", "gfim_cg", "lissa_gfim", "hyperinf_published", "fim"])
def test_one_method_that_needs_the_matrix_keeps_it_for_all_to_the_last_bit(other):
    train, target = gradients(), gradients(3, 1)
    options = {"hyperinf": {"solver": "schulz"}}.get(other, {})
    table = score_methods(train, target, {"gfim": {}, other: options})
    source = TensorSource(train)
    statistics = gradient_statistics(source)
    assert not statistics.rows
    products = {
        name: build_method(name, **own).fit(source, statistics).precondition(means(target))
        for name, own in (("gfim", {}), (other, options))
    }
    assert torch.equal(table.influence["gfim"], sweep_scores(source, products).influence["gfim"])
    assert table.reports["gfim"] == {"solver": "cholesky"}
    if other == "fim":
        assert set(table.reports["fim"]["gfim_distance"]) == set(SHAPES)


def test_methods_that_can_do_with_rows_share_them_beside_those_that_need_no_gfim():
    train, target = gradients(), gradients(3, 1)
    table = score_methods(train, target, {"gfim": {}, "hyperinf": {"solver": "auto"}, "datainf": {}, "tracin": {}})
    for name in ("gfim", "hyperinf"):
        assert table.reports[name]["woodbury_layers"] == 1
        assert table.reports[name]["layers"] == 3
        assert error(table.influence[name], on_paper(train, target)) < 1e-9
    assert error(table.influence["datainf"], influence_scores(train, target, "datainf")) < 1e-12


def test_schulz_is_as_it_was_and_says_nothing_of_rows():
    table = score_methods(gradients(), gradients(3, 1), {"hyperinf": {"solver": "schulz"}})
    assert set(table.reports["hyperinf"]) == {"solver", "matmuls", "residual"}
    assert set(build_method("gfim").report()) == {"solver"}


def test_shards_are_added_as_matrices_and_rows_are_refused():
    sums = statistic_sums(TensorSource(gradients()), ROWS)
    with pytest.raises(ValueError, match="shards: got rows of layer 'wide', expected their matrix"):
        added([sums])


def test_the_bytes_foretold_are_those_held_and_a_wide_layer_is_no_longer_refused(monkeypatch):
    shapes = {"mlp.lora_B": (8, 11008)}
    train, target = (gradients(n, seed, shapes=shapes) for n, seed in ((100, 0), (2, 1)))
    plan = planned(shapes, 100, "cpu", ROWS)
    statistics = gradient_statistics(TensorSource(train), ROWS)
    assert not statistics.gfim
    assert plan.held_bytes == statistics.rows["mlp.lora_B"].nbytes == 8 * 800 * 11008
    assert gfim_bytes(shapes, plan.rows) == plan.memory_bytes == 8 * 800 * 11008 + 4 * 8 * 800**2
    monkeypatch.setattr("hyperinf.influence.memory.free_bytes", lambda device: 100_000_000)
    with pytest.raises(ValueError, match="whose 11,008 x 11,008 GFIM takes"):
        gradient_statistics(TensorSource(train))
    with PeakMemory() as taken:
        scores = influence_scores(train, target, "gfim")
    assert taken.peak < 400_000_000 < 8 * 11008**2
    # The same of another way of writing it: v minus its part that gradients span, damped.
    g, v = train["mlp.lora_B"], target["mlp.lora_B"].mean(0)
    rows, damping = g.flatten(0, 1), 0.1 * float(g.square().mean())
    values, vectors = torch.linalg.eigh(rows @ rows.T / 100)
    basis = rows.T @ vectors / (values * 100).sqrt()
    product = (v @ basis) @ torch.diag(1 / (values + damping)) @ basis.T + (v - v @ basis @ basis.T) / damping
    assert error(scores, -torch.einsum("nrd,rd->n", g, product)) < 1e-9


def test_rows_that_do_not_fit_are_refused_by_their_layer(monkeypatch):
    monkeypatch.setattr("hyperinf.influence.memory.free_bytes", lambda device: 1000)
    with pytest.raises(ValueError, match=r"layer 'wide': got a gradient of 2 x 40, whose 12 x 40 rows take, with"):
        influence_scores(gradients(shapes={"wide": (2, 40)}), gradients(3, 1, shapes={"wide": (2, 40)}), "gfim")
