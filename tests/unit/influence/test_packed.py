"""GFIMs that are kept as triangles in a dtype of choice: against whole ones in float64."""

from typing import Any

import pytest
import torch
from torch import Tensor

from hyperinf import Attributor
from hyperinf.errors import InputError
from hyperinf.gradients import TensorSource
from hyperinf.influence import build_method, gradient_statistics, influence_scores, score_methods
from hyperinf.influence.memory import GfimForm, planned
from hyperinf.influence.packed import TILE, PackedMatrices, packed_bytes
from hyperinf.pipeline.sharding.steps import _methods
from hyperinf.settings.scoring import ScoringSettings

NARROW = ("float64", "float32", "bfloat16")


def drawn(n: int = 60, columns: tuple[int, ...] = (150, 7), seed: int = 0, unit: float = 1.0) -> dict[str, Tensor]:
    """Draw gradients along directions of falling size, the first far above the damping."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for d in columns:
        axes = torch.linalg.qr(torch.randn(d, d, generator=torch.Generator().manual_seed(d)))[0]
        fall = torch.arange(1, d + 1) ** -1.0 * unit
        found[f"layer{d}"] = torch.randn(n, 3, d, generator=generator) * fall @ axes
    return found


def error(found: Tensor, exact: Tensor) -> float:
    return float((found - exact).norm() / exact.norm())


@pytest.mark.parametrize("method", ["gfim", "hyperinf", "gfim_cg", "lissa_gfim"])
def test_scores_are_those_of_matrices_but_for_the_rounding(method):
    train, target = drawn(), drawn(8, seed=1)
    exact = influence_scores(train, target, method)
    same = 5e-3 if method == "gfim_cg" else 1e-6  # conjugate gradients stop early
    assert error(influence_scores(train, target, method, gfim_dtype="float64"), exact) < same
    assert error(influence_scores(train, target, method, gfim_dtype="float32"), exact) < max(same, 1e-3)
    rough = influence_scores(train, target, method, gfim_dtype="bfloat16")
    assert 1e-3 < error(rough, exact) < 0.5
    assert float(torch.corrcoef(torch.stack([rough, exact]))[0, 1]) > 0.9


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize("columns", [1, 7, TILE, TILE + 1, 150, 1100])
def test_a_matrix_is_given_whole_and_symmetric(dtype, columns):
    kept, exact = PackedMatrices(getattr(torch, dtype)), torch.zeros(columns, columns, dtype=torch.float64)
    for seed in range(3):
        x = torch.randn(5, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        product = x.T @ x
        given = product.clone()
        kept.add("a", product)
        assert torch.equal(product, given)
        exact += product
    kept.divide(4)
    found = kept["a"]
    assert torch.equal(found, found.T)
    assert torch.equal(found.diagonal(), exact.diagonal() / 4)
    most = {"float64": 1e-14, "float32": 1e-6, "bfloat16": 2e-2}[dtype]
    assert float((found - exact / 4).abs().max()) < most * float(exact.max())
    assert list(kept) == ["a"]
    assert len(kept) == 1


def test_rounding_is_estimated_from_above_and_not_far():
    rows = torch.randn(64, 16, 200, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    kept, exact = PackedMatrices(torch.bfloat16), torch.zeros(200, 200, dtype=torch.float64)
    for few in rows:
        kept.add("a", few.T @ few)
        exact += few.T @ few
    moved = float(torch.linalg.eigvalsh(kept["a"] - exact).abs().max())
    assert moved < kept.rounding("a") < 2.5 * moved


def test_bfloat16_loses_no_block_of_many():
    """What one of 2,000 blocks adds is below half a step of the sum: to the nearest, the sum would stay where it is."""
    kept = PackedMatrices(torch.bfloat16)
    matrix = torch.full((80, 80), 1.0, dtype=torch.float64)
    for _ in range(2000):
        kept.add("a", matrix)
    below = kept["a"].tril(-1).sum() / (80 * 79 / 2)
    assert 1990 < float(below) < 2010


@pytest.mark.parametrize("unit", [1e-18, 1.0, 1e15])
@pytest.mark.parametrize("dtype", NARROW)
def test_scores_do_not_depend_on_the_unit_of_gradients(dtype, unit):
    plain = influence_scores(drawn(), drawn(8, seed=1), "gfim", gfim_dtype=dtype)
    moved = influence_scores(drawn(unit=unit), drawn(8, seed=1, unit=unit), "gfim", gfim_dtype=dtype)
    assert error(moved, plain) < {"float64": 1e-5, "float32": 1e-4, "bfloat16": 0.5}[dtype]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_sum_that_outgrows_its_first_block_by_far_gets_another_unit(dtype):
    kept = PackedMatrices(dtype)
    x = torch.randn(9, 100, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    for power in (-100, 0, 100):
        kept.add("a", x.T @ x * 2.0**power)
    expected = x.T @ x * 2.0**100
    assert error(kept["a"], expected) < 0.01
    assert kept.rounding("a") < 0.01 * float(expected.trace())


def test_damping_is_raised_where_rounding_outweighs_a_tenth_of_it():
    source = TensorSource(drawn())
    for dtype, raised in (("float64", 0), ("float32", 0), ("bfloat16", 2)):
        method = build_method("gfim", gfim_dtype=dtype).fit(source)
        report = method.report()
        assert (report["gfim_dtype"], report["raised_layers"]) == (dtype, raised)
    much = build_method("gfim", gfim_dtype="bfloat16", damping=1e4).fit(source)
    assert much.report()["raised_layers"] == 0
    assert "gfim_dtype" not in build_method("gfim").fit(source).report()


@pytest.mark.parametrize("scale", ["sum", "mean"])
def test_what_is_raised_has_the_scale_of_the_matrix(scale):
    source, v = TensorSource(drawn()), {k: x.double() for k, x in drawn(1, seed=1).items()}
    v = {layer: x[0] for layer, x in v.items()}
    method = build_method("gfim", gfim_dtype="bfloat16", gfim_scale=scale).fit(source)
    found = method.precondition(v)
    known = method.statistics
    for layer, (rank, columns) in known.layers.items():
        matrix = known.gfim[layer] + known.rounding[layer] * torch.eye(columns, dtype=torch.float64)
        matrix = matrix / (1 if scale == "sum" else rank) + known.damping()[layer] * torch.eye(
            columns, dtype=torch.float64
        )
        assert error(found[layer], torch.linalg.solve(matrix, v[layer].T).T) < 1e-9


def test_a_gfim_is_the_same_in_every_run():
    made = [gradient_statistics(TensorSource(drawn()), GfimForm(dtype=torch.bfloat16)).gfim for _ in range(2)]
    assert all(torch.equal(made[0][layer], made[1][layer]) for layer in made[0])


def test_rows_stay_rows_and_matrices_made_of_them_are_packed():
    train = TensorSource(drawn(10, (150,)))
    statistics = gradient_statistics(train, GfimForm(rows=True, dtype=torch.float32))
    assert (list(statistics.rows), dict(statistics.gfim)) == (["layer150"], {})
    method = build_method("hyperinf", gfim_dtype="float32").fit_statistics(statistics)
    made = method.statistics.gfim["layer150"]
    assert error(made, gradient_statistics(train).gfim["layer150"]) < 1e-6
    assert method.statistics.rounding["layer150"] > 0


def test_bytes_are_counted():
    kept = PackedMatrices(torch.float32)
    for columns in (5, 384, 1024):
        kept.add(str(columns), torch.eye(columns, dtype=torch.float64))
        held = kept._kept[str(columns)]
        bytes_ = sum(x.nbytes for x in (*held.tiles, held.diagonal, held.errors))
        assert bytes_ == packed_bytes(columns, torch.float32)
    layers = {"a": (8, 4096)}
    whole = planned(layers, None, "cpu", GfimForm()).held_bytes
    shares = [planned(layers, None, "cpu", GfimForm(dtype=getattr(torch, name))).held_bytes / whole for name in NARROW]
    assert shares == pytest.approx([0.53, 0.265, 0.133], rel=0.02)


@pytest.mark.usefixtures("own_allocator")
def test_what_is_on_the_disk_is_in_float64(tmp_path):
    form = GfimForm(scratch=tmp_path, memory_bytes=0, dtype=torch.bfloat16)
    kept, exact = gradient_statistics(TensorSource(drawn()), form), gradient_statistics(TensorSource(drawn()))
    assert kept.on_disk
    assert error(kept.gfim["layer150"], exact.gfim["layer150"]) < 1e-12
    assert "gfim_dtype" not in build_method("gfim", gfim_dtype="bfloat16").fit_statistics(kept).report()


def test_inverses_are_kept_only_where_there_is_room_for_them(monkeypatch, tmp_path):
    train, queries = TensorSource(drawn()), {k: x.double() for k, x in drawn(4, seed=1).items()}
    expected = build_method("gfim").fit(train).precondition_each(queries)
    for scratch, kind in ((None, "NoneType"), (tmp_path, "MatrixFile")):
        method: Any = build_method("gfim").fit(train, scratch=scratch)
        with monkeypatch.context() as short:
            short.setattr("hyperinf.influence.methods.hyperinf.free_bytes", lambda device: 1000)
            found = method.precondition_each(queries)
        assert type(method._kept).__name__ == kind
        assert all(torch.equal(found[layer], expected[layer]) for layer in expected)


def test_the_front_door_takes_it_and_keeps_to_it():
    made = Attributor(None, gfim_dtype="float32", solver="schulz").fit(TensorSource(drawn()))
    exact = Attributor(None, solver="schulz").fit(TensorSource(drawn()))
    target = TensorSource(drawn(8, seed=1))
    found, expected = (torch.tensor(each.score(target)["influence"].to_numpy()) for each in (made, exact))
    assert error(found, expected) < 1e-3
    assert made.with_options(damping=0.2).method.options.gfim_dtype == "float32"
    with pytest.raises(InputError, match="^gfim_dtype: got 'bfloat16', expected 'float32'"):
        made.with_options(gfim_dtype="bfloat16")


def test_one_sweep_has_one_dtype():
    options = {"gfim": {"gfim_dtype": "float32"}, "hyperinf": {}}
    with pytest.raises(InputError, match="^gfim_dtype: got auto and float32, expected one"):
        score_methods(drawn(), drawn(8, seed=1), options)
    with pytest.raises(InputError, match="^gfim_dtype: got .*half"):
        build_method("gfim", gfim_dtype="half")


def test_shards_refuse_it():
    settings = ScoringSettings(methods=("hyperinf",), gfim_dtype="float32")
    with pytest.raises(InputError, match="^gfim_dtype: got 'float32', expected auto where samples are in shards"):
        _methods(settings)


def test_a_refusal_tells_of_it_where_it_would_fit(monkeypatch):
    layers = {"wide": (8, 4096)}
    for gib, told in ((0.6, True), (0.4, False)):
        monkeypatch.setattr("hyperinf.influence.memory.free_bytes", lambda device, gib=gib: int(gib * 2**30))
        with pytest.raises(ValueError, match="wide.*GFIM takes") as refused:
            planned(layers, None, "cpu", GfimForm())
        assert ("keep it in 0.5 GiB with gfim_dtype='float32'" in str(refused.value)) == told
        assert told == (planned_or_none(layers) is not None)


def planned_or_none(layers):
    try:
        return planned(layers, None, "cpu", GfimForm(dtype=torch.float32))
    except ValueError:
        return None
