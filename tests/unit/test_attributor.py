"""The front door: influence in closed form, per query and per layer, and what it takes in sweeps and memory."""

import gc
import subprocess
import sys

import numpy as np
import pytest
import torch
from peak_memory import PeakMemory
from processor_time import quickest
from scored_methods import LINEAR

from hyperinf import Attributor, GradientStore, LiveSource, TensorSource, influence_scores
from hyperinf.gradients.foretold import held_bytes
from hyperinf.gradients.kept import KeptSource
from hyperinf.influence.queries import WORTH_A_SWEEP, queries_at_once

DAMPING = 0.1


class Halves(torch.nn.Module):
    """``y = <a, x[:3]> + <b, x[3:]>``: of squared loss each weight's gradient is the error times its half of x."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = (torch.nn.Linear(width, 1, bias=False) for width in (3, 2))

    def forward(self, x):
        return (self.a(x[:, :3]) + self.b(x[:, 3:]))[:, 0]


def squared(model, batch):
    return 0.5 * (model(batch[0]) - batch[1]) ** 2


def linear_data(count, seed):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(count, *size, generator=generator, dtype=torch.float64) for size in ((5,), ()))


X, Y = linear_data(20, 1)
QX, QY = linear_data(7, 2)
BATCHES, QUERIES = list(zip(X.split(6), Y.split(6))), list(zip(QX.split(3), QY.split(3)))


def gradients_by_hand(model, x, y):
    error = (model(x) - y).detach().numpy()
    return {"a.weight": error[:, None] * x[:, :3].numpy(), "b.weight": error[:, None] * x[:, 3:].numpy()}


def fisher(g, damping):
    return g.T @ g / len(g) + damping * np.eye(g.shape[1])


def datainf(g, v, damping):
    inverse = sum(np.linalg.inv(np.outer(x, x) + damping * np.eye(len(x))) for x in g) / len(g)
    return v @ inverse


EXACT = {
    "tracin": lambda g, v, damping: v,
    "datainf": datainf,
    "datainf_gfim": datainf,
    **dict.fromkeys(("fim", "gfim", "hyperinf"), lambda g, v, damping: v @ np.linalg.inv(fisher(g, damping))),
}
"""Of gradients with one row the generalised Fisher information is the Fisher information itself."""


def by_hand(method, model):
    """``{layer: array[n, m]}``."""
    train, queries = gradients_by_hand(model, X, Y), gradients_by_hand(model, QX, QY)
    hvp = {name: EXACT[method](g, queries[name], DAMPING * np.mean(g**2)) for name, g in train.items()}
    return {name: -train[name] @ hvp[name].T for name in train}


def linear(method, **options):
    model = Halves().double()
    return model, Attributor(model, method, DAMPING, loss=squared, **options).fit(BATCHES)


@pytest.mark.parametrize("method", EXACT)
def test_scores_of_a_linear_model_with_squared_loss_are_those_on_paper(method):
    model, a = linear(method)
    layers = by_hand(method, model)
    expected = sum(layers.values())
    scores, each = a.score(QUERIES), a.score_each(QUERIES)
    np.testing.assert_allclose(each, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(scores["influence"], expected.mean(axis=1), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(scores["loss"], squared(model, (X, Y)).detach().numpy())
    flat = np.concatenate(list(gradients_by_hand(model, X, Y).values()), axis=1)
    np.testing.assert_allclose(scores["grad_norm"], np.linalg.norm(flat, axis=1))
    np.testing.assert_allclose(a.self_influence()["self_influence"], np.diag(-a.score_each(BATCHES)), rtol=1e-9)
    parts = a.score_each(QUERIES, by_layer=True)
    for place, query in enumerate(each):
        for layer, part in layers.items():
            np.testing.assert_allclose(parts[query, layer], part[:, place], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("method", LINEAR)
def test_layers_sum_to_the_whole(method):
    _, a = linear(method)
    names = ["a.weight", "b.weight"]
    scores, by_layer = a.score(QUERIES), a.score(QUERIES, by_layer=True)
    assert list(by_layer["influence"]) == names
    assert by_layer.columns.names[1] == "layer"
    np.testing.assert_allclose(by_layer["influence"].sum(axis=1), scores["influence"], rtol=1e-12, atol=1e-15)
    assert by_layer["loss"].tolist() == scores["loss"].tolist()
    each, parts = a.score_each(QUERIES), a.score_each(QUERIES, by_layer=True)
    assert parts.columns.names == ["query", "layer"]
    np.testing.assert_allclose(parts.T.groupby(level="query").sum().T, each, rtol=1e-12, atol=1e-15)
    own, of_layers = a.self_influence(), a.self_influence(by_layer=True)
    assert list(of_layers["self_influence"]) == names
    np.testing.assert_allclose(of_layers["self_influence"].sum(axis=1), own["self_influence"], rtol=1e-12)


@pytest.mark.parametrize("solver", ["auto", "schulz"])
@pytest.mark.parametrize("method", LINEAR)
def test_k_queries_are_k_single_queries(method, solver):
    _, a = linear(method, solver=solver)
    each = a.score_each(QUERIES)
    singles = [a.score([(QX[row : row + 1], QY[row : row + 1])])["influence"] for row in range(len(QX))]
    np.testing.assert_allclose(each.T, singles, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(each.mean(axis=1), a.score(QUERIES)["influence"], rtol=1e-9, atol=1e-12)
    assert list(each) == [str(place) for place in range(len(QX))]
    best = a.top(QUERIES, k=2)
    assert best["influence"].tolist()[:2] == sorted(each["0"])[:2]
    assert each["0"][best["sample_id"][0]] == each["0"].min()
    assert a.top(QUERIES, k=1, harmful=True)["influence"].tolist() == each.max().tolist()


@pytest.mark.parametrize("method", LINEAR)
def test_scores_are_those_of_gradients_that_were_gathered(method):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Tanh(), torch.nn.Linear(4, 3)).double()
    labels = torch.arange(20) % 3
    train, target = (list(zip(X[rows].split(5), labels[rows].split(5))) for rows in (slice(14), slice(14, 20)))
    sources = (
        LiveSource(model, [([f"{n}.{i}" for i in range(len(y))], (x, y)) for n, (x, y) in enumerate(part)])
        for part in (train, target)
    )
    gathered, aim = map(TensorSource.gather, sources)
    expected = influence_scores(gathered, aim, method=method, solver="auto")
    scores = Attributor(model, method).fit(train).score(target)
    np.testing.assert_allclose(scores["influence"], expected, rtol=1e-9, atol=1e-12)


SHAPES = {"low": (8, 40), "head": (3, 30)}


class Counted(TensorSource):
    sweeps = 0

    def __iter__(self):
        self.sweeps += 1
        return super().__iter__()


def tensors(count, seed, block_size=3):
    generator = torch.Generator().manual_seed(seed)
    found = {name: torch.randn(count, *shape, generator=generator) for name, shape in SHAPES.items()}
    return Counted(found, block_size=block_size)


@pytest.mark.parametrize("method", LINEAR)
def test_all_queries_take_one_sweep_and_the_sums_of_one_and_parts_of_them_as_many_as_there_are_parts(method):
    train, queries = tensors(9, 0), tensors(50, 1)
    a = Attributor(None, method).fit(train)
    train.sweeps = 0
    whole = a.score_each(queries)
    alone = 1 + a.method.sweeps
    assert (train.sweeps, queries.sweeps) == (alone, 1)
    each = 8 * sum(r * d for r, d in SHAPES.values())
    bound = next(size for size in range(1, 10**9, each) if queries_at_once(a.method, SHAPES, size) == 7)
    parts = a.score_each(queries, memory_bytes=bound)
    again = 1 if method in ("gfim_low_rank", "gfim_blocks") else alone  # they keep their sums
    assert (train.sweeps, queries.sweeps) == (alone + 8 * again, 2)  # 50 = 7 * 7 + 1
    # Products of gradients in float32 with few vectors and with many are rounded in other places.
    np.testing.assert_allclose(parts, whole, rtol=1e-6, atol=2e-6 * float(whole.abs().max(axis=None)))


def test_vectors_take_little_where_a_sweep_costs_little_and_half_of_what_is_free_where_it_costs_a_run_of_the_model(
    monkeypatch,
):
    monkeypatch.setattr("hyperinf.influence.queries.free_bytes", lambda device: 2**40)
    layers = {"layer": (8, 4096)}
    each = 8 * 8 * 4096
    _, kept = linear("hyperinf")
    assert queries_at_once(kept.method, layers, None) == WORTH_A_SWEEP // (kept.method.copies * each)
    _, again = linear("hyperinf", memory_bytes=0)
    assert queries_at_once(again.method, layers, None) == 2**39 // (again.method.copies * each)
    assert queries_at_once(kept.method, layers, 10 * 2**30) == 10 * 2**30 // (kept.method.copies * each)


@pytest.mark.parametrize("method", LINEAR)
def test_queries_take_no_more_memory_than_they_may(method):
    a = Attributor(None, method, solver="schulz").fit(tensors(9, 0))
    a.score_each(tensors(1, 1))  # inverses are kept from here on
    with PeakMemory() as one:
        a.score_each(tensors(1, 1, block_size=1))
    bound = 10 * 8 * a.method.copies * sum(r * d for r, d in SHAPES.values())
    with PeakMemory() as many:
        a.score_each(tensors(50, 1, block_size=1), memory_bytes=bound)
    # Besides them there are the queries themselves, their scores, and what a query costs however many there are.
    given, scores = 50 * 4 * sum(r * d for r, d in SHAPES.values()), 2 * 8 * 50 * 9
    assert bound / 3 < many.peak - given <= bound + one.peak + scores


def test_another_damping_solver_or_method_needs_no_sweep():
    train, target = tensors(9, 0), tensors(4, 1)
    a = Attributor(None, damping=0.1).fit(train)
    for options in ({"damping": 0.7}, {"solver": "schulz", "tol": 1e-4}, {"method": "datainf", "gfim_scale": "mean"}):
        train.sweeps = 0
        other = a.with_options(**options)
        assert train.sweeps == 0
        expected = influence_scores(train, target, **{"solver": "auto", **options})
        np.testing.assert_allclose(other.score(target)["influence"], expected, rtol=1e-6)
    assert a.method.options.damping == a.with_options(method="tracin").method.options.damping == 0.1
    with pytest.raises(ValueError, match="needs it"):
        Attributor(None, "tracin").fit(train).with_options(method="hyperinf")
    with pytest.raises(ValueError, match=r"^damping: got 0"):
        a.with_options(damping=0)


def test_mistakes_are_one_line():
    model, a = linear("tracin")
    with pytest.raises(ValueError, match=r"^method: got 'x', expected one of"):
        Attributor(model, "x")
    with pytest.raises(ValueError, match=r"^tol: got an unknown key, expected .*iterations"):
        Attributor(model, "lissa", tol=0.1)
    with pytest.raises(ValueError, match=r"expected fit"):
        Attributor(model).score(QUERIES)
    with pytest.raises(ValueError, match=r"^target: got no samples"):
        a.score([])
    with pytest.raises(ValueError, match=r"^target: got layer 'a.weight' as None"):
        a.score(TensorSource({"w": torch.ones(2, 1, 3)}))
    with pytest.raises(ValueError, match=r"^train: got a DataLoader that shuffles"):
        a.fit(torch.utils.data.DataLoader(list(range(3)), shuffle=True))
    with pytest.raises(ValueError, match=r"^train: got an iterator"):
        a.fit(iter(BATCHES))
    with pytest.raises(ValueError, match=r"^model: got None"):
        Attributor(None).fit(BATCHES)
    with torch.no_grad():
        model.a.weight += 1
    with pytest.raises(ValueError, match="the model must not change"):
        a.score(QUERIES)


@pytest.mark.parametrize("memory_bytes", [None, 0])
def test_a_loader_is_swept_once_or_where_nothing_is_kept_once_to_fit_and_once_to_score(memory_bytes):
    class Pictures(torch.utils.data.Dataset):
        decoded = 0

        def __len__(self):
            return len(X)

        def __getitem__(self, row):
            type(self).decoded += 1
            return X[row], Y[row]

    _, a = linear("tracin", memory_bytes=memory_bytes)
    expected = a.score(QUERIES)
    loader = torch.utils.data.DataLoader(Pictures(), batch_size=6)
    a.fit(loader)
    first = 2 * 6  # batches that are looked at to see what the loader gives
    assert Pictures.decoded == first + len(X)
    scores = a.score(QUERIES)
    again = len(X) if memory_bytes == 0 else 6  # the first batch tells whether the model has changed
    assert Pictures.decoded == first + len(X) + again
    assert np.array_equal(scores, expected)
    assert list(scores.index) == list(expected.index)


@pytest.mark.parametrize(("method", "kept"), [("tracin", True), ("hyperinf", False)])
def test_memory_that_the_gfim_needs_is_none_for_gradients(method, kept, monkeypatch):
    model = Halves().double()
    live = LiveSource(
        model, [([f"{i}-{j}" for j in range(len(x))], (x, y)) for i, (x, y) in enumerate(BATCHES)], squared
    )
    passes = held_bytes(live.foretold(), "cpu")
    gradients = KeptSource(live, 2**20)
    list(gradients)
    monkeypatch.setattr("hyperinf.attributor.free_bytes", lambda _: passes + 2 * gradients.held_bytes + 8)
    ran = []
    model.register_forward_hook(lambda *_: ran.append(1))
    a = Attributor(model, method, DAMPING, loss=squared).fit(live)
    ran.clear()
    a.score(QUERIES)
    assert len(ran) == len(QUERIES) + (1 if kept else len(BATCHES))


def test_gradients_and_matrices_that_do_not_fit_lie_on_the_disk_as_long_as_they_are_used(tmp_path):
    _, plain = linear("hyperinf")
    model, a = linear("hyperinf", memory_bytes=1, scratch=tmp_path)
    assert list(tmp_path.iterdir())
    ran = []
    model.register_forward_hook(lambda *_: ran.append(1))
    scores = a.score(QUERIES)
    assert len(ran) == len(QUERIES) + 1
    np.testing.assert_allclose(scores["influence"], plain.score(QUERIES)["influence"], rtol=1e-6)
    del a
    gc.collect()
    assert not list(tmp_path.iterdir())


def test_where_nothing_is_to_be_kept_no_gradients_are_put_on_the_disk(tmp_path):
    model, a = linear("hyperinf", memory_bytes=0, scratch=tmp_path)
    ran = []
    model.register_forward_hook(lambda *_: ran.append(1))
    a.score(QUERIES)
    assert len(ran) == len(QUERIES) + len(BATCHES)
    assert not list(tmp_path.iterdir())


def test_a_store_is_given_as_its_folder(tmp_path):
    train, target = tensors(9, 0), tensors(4, 1)
    for name, source in (("train", train), ("target", target)):
        GradientStore.write(tmp_path / name, source)
    a = Attributor(None).fit(str(tmp_path / "train"))
    expected = Attributor(None).fit(train).score(target)
    np.testing.assert_allclose(a.score(tmp_path / "target")["influence"], expected["influence"], rtol=1e-9)


def test_importing_the_package_imports_neither_torch_nor_numpy_and_takes_no_time():
    code = (
        "import time; start = time.process_time(); import hyperinf; took = time.process_time() - start; import sys;"
        "assert not {'torch', 'numpy', 'pydantic'} & set(sys.modules); assert 'Attributor' in dir(hyperinf);"
        "print(took)"
    )
    assert quickest(lambda: float(subprocess.check_output([sys.executable, "-c", code])), 0.1) < 0.1
