"""Scoring in shards against scoring in one process."""

from dataclasses import replace
from functools import cache

import pandas as pd
import pytest
import torch
from scored_methods import HELD
from stage_runs import in_shards, table

from hyperinf.errors import InputError
from hyperinf.gradients import GradientSource, TensorSource
from hyperinf.influence import METHODS, SweepingMethod, build_methods, score_methods
from hyperinf.models.encoding import Batches
from hyperinf.pipeline.scoring import method_options
from hyperinf.pipeline.sharding.parts import Part, Shard, read_part
from hyperinf.pipeline.sharding.steps import (
    Progress,
    ShardedScores,
    add_shards,
    gathered,
    solve,
    take_scores,
    take_statistics,
    take_sums,
    take_target,
)
from hyperinf.runtime.profiling import Cost
from hyperinf.settings.methods import LissaOptions
from hyperinf.settings.scores import not_sharded
from hyperinf.settings.scoring import ScoringSettings

SHARDED = tuple(name for name in METHODS if name not in not_sharded(METHODS))
ITERATIONS = {"lissa": {"iterations": 3}, "lissa_gfim": {"iterations": 3}, "fim_cg": {"tol": 0.5, "max_iter": 9}}
ALL = ScoringSettings(methods=(*(name for name in SHARDED if name in HELD), "hyperinf_unit"), **ITERATIONS)
BOTH = ScoringSettings(methods=("hyperinf", "datainf"))
# What costs most sweeps is taken of one family only.
HOW = {
    "causal": {
        "methods": (*SHARDED, "tracin_unit"),
        "gradient_batch_size": 4,
        "lissa": {"iterations": 1, "lanczos_steps": 4},
        "fim_cg": {"tol": 0.9, "max_iter": 5},
    },
    "classifier": {"methods": tuple(name for name in SHARDED if name not in ITERATIONS), "gradient_batch_size": 7},
}
WITHOUT_GFIM = ScoringSettings(methods=("tracin",))
ORIGIN = {"data": "d", "model": "m"}


def sharded(folder, target, shard_of, count, settings=ALL, origin=ORIGIN):
    """Every step of a sharded run; ``shard_of(Shard)`` gives a shard's gradients."""

    def each(name, take):
        files = []
        for index in range(1, count + 1):
            shard = Shard(index, count)
            files.append(folder / f"{name}-{index}.safetensors")
            take(shard_of(shard), shard, files[-1])
        return files

    take_target(target, origin, folder / "target", "cpu")
    parts = each("statistics", lambda source, shard, out: take_statistics(source, origin, shard, settings, out, "cpu"))
    add_shards("statistics", parts, folder / "statistics")
    progress = Progress(folder / "target", folder / "statistics")
    for number in range(1, settings.rounds() + 1):
        here = progress
        parts = each(
            f"sums-{number}",
            lambda source, shard, out, here=here: take_sums(source, origin, shard, here, settings, out, "cpu"),
        )
        add_shards("sums", parts, folder / f"sums-{number}")
        progress = replace(progress, sums=(*progress.sums, folder / f"sums-{number}"))
    products = folder / "products"
    solve(progress, settings, products, "cpu")
    parts = each(
        "scores", lambda source, shard, out: take_scores(source, origin, shard, products, settings, out, "cpu")
    )
    return ShardedScores(products, tuple(reversed(parts)))


def gradients(samples, seed):
    generator = torch.Generator().manual_seed(seed)
    shapes = {"b": (3, 10), "a": (3, 7), "head": (2, 5)}  # in an order that files do not keep
    return {
        name: torch.randn(samples, *shape, generator=generator) @ torch.randn(shape[1], shape[1], generator=generator)
        for name, shape in shapes.items()
    }


class Blocks(GradientSource):
    """Some blocks of a source."""

    def __init__(self, source, shard):
        self._layers = source.layers
        self._blocks = list(source)[shard.index - 1 :: shard.count]

    @property
    def layers(self):
        return self._layers

    @property
    def sample_ids(self):
        return tuple(sample for block in self._blocks for sample in block.sample_ids)

    def __iter__(self):
        return iter(self._blocks)


def relative(actual, expected):
    return float((actual - expected).norm() / expected.norm())


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("block_size", [1, 2, 3])
def test_shards_of_dense_gradients_score_as_one_process_does(tmp_path, count, block_size):
    train = TensorSource(gradients(20, 0), block_size=block_size, losses=torch.arange(20.0))
    target = TensorSource(gradients(4, 1))
    expected = score_methods(train, target, method_options(ALL))
    files = sharded(tmp_path, target, lambda shard: Blocks(train, shard), count)
    found = gathered(files, ORIGIN, expected.sample_ids, ALL, seed=1)
    for name, values in expected.influence.items():
        # Conjugate gradients let rounding grow up to their tolerance.
        tolerance = 1e-15 if count == 1 else 1e-6 if name.endswith("_cg") else 1e-12
        assert relative(torch.from_numpy(found.columns[f"influence_{name}"]), values) < tolerance
    assert torch.equal(torch.from_numpy(found.columns["baseline_grad_norm"]), expected.grad_norm.double())
    assert found.columns["baseline_loss"].tolist() == list(range(20))
    assert {name: set(report) for name, report in found.table.reports.items()} == {
        name: set(report) for name, report in expected.reports.items()
    }
    assert found.table.reports["lissa"]["sweeps"] == LissaOptions().lanczos_steps + 3


def test_a_method_that_needs_fewer_rounds_than_planned_leaves_the_rest_empty(tmp_path):
    train = TensorSource(gradients(6, 0), block_size=1)
    target = TensorSource({name: torch.zeros_like(value) for name, value in gradients(4, 1).items()})
    settings = ScoringSettings(methods=("lissa", "tracin"), baselines=(), lissa={"iterations": 2})
    files = sharded(tmp_path, target, lambda shard: Blocks(train, shard), 2, settings)
    found = gathered(files, ORIGIN, [str(index) for index in range(6)], settings, seed=1)
    assert all(not values.any() for values in found.columns.values())


@pytest.fixture(scope="module")
def wholes(run_of, tmp_path_factory):
    """Gives a family's run, and its scores from one process that keeps no gradients, or keeps them in float32."""

    @cache
    def made(family):
        run, folder = run_of(family), tmp_path_factory.mktemp("whole")
        return run, *(run.score(folder / store, store=store, **HOW[family]) for store in ("live", "disk"))

    return made


@pytest.mark.parametrize(("family", "count"), [("causal", 1), ("causal", 2), ("causal", 7), ("classifier", 3)])
def test_shards_write_the_files_of_one_process(wholes, tmp_path, family, count):
    run, whole, kept = wholes(family)
    files = in_shards(tmp_path / "shards", run.data, run.finetuned, count, **HOW[family])
    out = run.score(tmp_path / "out", **HOW[family], **files)
    assert {path.name for path in out.iterdir()} == {path.name for path in whole.iterdir()}
    assert (out / "shards").read_text() == f"{count}\n"
    assert (out / "info.json").read_text() == (whole / "info.json").read_text() or count > 1
    expected, on_disk, found = (pd.read_parquet(each / "scores.parquet") for each in (whole, kept, out))
    assert list(found.columns) == list(expected.columns)
    assert found["sample_id"].tolist() == expected["sample_id"].tolist()
    for column in expected.columns[4:]:
        a, b, c = (torch.tensor(frame[column].to_numpy()) for frame in (found, expected, on_disk))
        loose = column.endswith("_cg")  # rounding grows up to the tolerance
        assert relative(a, b) < (1e-4 if loose else 1e-9), column
        assert relative(a, c) < (1e-4 if loose else 1e-6), column
    stages = [set(map(tuple, table(each, "cost.csv")[["method", "stage"]].to_numpy())) for each in (whole, out)]
    assert stages[1] == stages[0] | {("shared", "sums of methods")}
    taken = [table(each, "cost.csv").set_index("stage").at["statistics", "forms"] for each in (whole, out)]
    assert taken[0] == taken[1] or count > 1  # batches end elsewhere
    assert str(taken[1]).startswith("gram ")


def test_shards_of_another_checkpoint_are_refused(run_of, tmp_path):
    run, how = run_of("classifier"), {"methods": ("hyperinf",), "gradient_batch_size": 20}
    files = in_shards(tmp_path / "shards", run.data, run.finetuned, 2, checkpoint="epoch-1", **how)
    run.score(tmp_path / "first", checkpoint="epoch-1", **how, **files)
    with pytest.raises(InputError, match="products of another (checkpoint|model)"):
        run.score(tmp_path / "out", **how, **files)
    with pytest.raises(ValueError, match="parts.*products"):
        run.score(tmp_path / "out", **how, products=files["products"])
    assert not (tmp_path / "out").exists()


def test_samples_stay_in_their_batches_whatever_the_number_of_shards():
    class Lines:
        ids = tuple("abcdefghij")
        lengths = (5, 3, 9, 1, 7, 2, 8, 6, 4, 10)

        def collate(self, indices):
            return list(indices)

    batches = Batches(Lines(), 3)
    whole = [ids for ids, _ in batches]
    for count in (1, 2, 3, 4):
        parts = [[ids for ids, _ in batches.shard(index, count)] for index in range(count)]
        assert sorted(ids for part in parts for ids in part) == sorted(whole)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
    with pytest.raises(InputError, match="shards: expected at most 4, the number of batches, got 5"):
        batches.shard(0, 5)


@pytest.mark.parametrize("iterations", [1, 10])
def test_the_rounds_that_a_workflow_plans_are_those_that_the_methods_ask_for(iterations):
    own = {name: {"iterations": iterations} for name in ("lissa", "lissa_gfim")}
    for name, method in build_methods(method_options(ScoringSettings(methods=SHARDED, **own))).items():
        asked = method.sweeps if isinstance(method, SweepingMethod) else 0
        assert ScoringSettings(methods=(name,), **own).rounds() == asked, name
    most = ScoringSettings(methods=("tracin", "lissa", "datainf"), **own).rounds()
    assert most == LissaOptions().lanczos_steps + iterations


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A run in three shards that is complete, with its folder."""
    folder = tmp_path_factory.mktemp("complete")
    train, target = TensorSource(gradients(9, 0), block_size=1), TensorSource(gradients(4, 1))
    sharded(folder, target, lambda shard: Blocks(train, shard), 3, BOTH)
    return folder


SOURCE = TensorSource(gradients(3, 0))


def statistics_parts(folder):
    return [folder / f"statistics-{index}.safetensors" for index in (1, 2, 3)]


def score_parts(folder):
    return tuple(folder / f"scores-{index}.safetensors" for index in (1, 2, 3))


def gather_from(folder, parts, origin=ORIGIN, settings=BOTH):
    return gathered(ShardedScores(folder / "products", parts), origin, [str(i) for i in range(9)], settings, 1)


def test_a_shard_that_is_missing_is_named(files, tmp_path):
    with pytest.raises(InputError, match="shard 2 of 3 is missing beside .*statistics-1"):
        add_shards("statistics", [statistics_parts(files)[0], statistics_parts(files)[2]], tmp_path / "out")
    with pytest.raises(InputError, match="shard 3 of 3 is missing beside .*scores-1"):
        gather_from(files, score_parts(files)[:2])
    assert not (tmp_path / "out").exists()


def test_a_shard_given_twice_and_shards_of_different_counts_are_refused(files, tmp_path):
    first, second, _ = statistics_parts(files)
    with pytest.raises(InputError, match="shard 1 of 3 is also .*statistics-1"):
        add_shards("statistics", [first, second, first], tmp_path / "out")
    take_statistics(SOURCE, ORIGIN, Shard(2, 4), BOTH, tmp_path / "of-four", "cpu")
    with pytest.raises(InputError, match="of-four: .*2 of 4.*one of 3"):
        add_shards("statistics", [first, tmp_path / "of-four"], tmp_path / "out")
    take_statistics(TensorSource(gradients(1, 0), ["0"]), ORIGIN, Shard(3, 3), BOTH, tmp_path / "three", "cpu")
    with pytest.raises(InputError, match="sample '0'"):
        add_shards("statistics", [first, second, tmp_path / "three"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("what", ["data", "model"])
def test_parts_of_other_data_or_another_model_are_refused(files, tmp_path, what):
    foreign = {**ORIGIN, what: "other"}
    take_statistics(SOURCE, foreign, Shard(3, 3), BOTH, tmp_path / "foreign", "cpu")
    with pytest.raises(InputError, match=f"foreign: statistic sums of another {what}"):
        add_shards("statistics", [*statistics_parts(files)[:2], tmp_path / "foreign"], tmp_path / "out")
    take_target(SOURCE, foreign, tmp_path / "target", "cpu")
    with pytest.raises(InputError, match=f"target: target of another {what}"):
        solve(Progress(tmp_path / "target", files / "statistics", (files / "sums-1",)), BOTH, tmp_path / "out", "cpu")
    progress = Progress(files / "target", files / "statistics")
    with pytest.raises(InputError, match=f"statistics: statistics of another {what}"):
        take_sums(SOURCE, foreign, Shard(1, 3), progress, BOTH, tmp_path / "out", "cpu")
    with pytest.raises(InputError, match=f"products: products of another {what}"):
        take_scores(SOURCE, foreign, Shard(1, 3), files / "products", BOTH, tmp_path / "out", "cpu")
    with pytest.raises(InputError, match=f"products: products of another {what}"):
        gather_from(files, score_parts(files), foreign)
    assert not (tmp_path / "out").exists()


def test_parts_scored_with_other_settings_are_refused(files):
    with pytest.raises(InputError, match="products of another scoring"):
        gather_from(files, score_parts(files), settings=ScoringSettings.of(BOTH, damping=0.2))


def test_rounds_that_are_missing_or_not_added_are_refused(files, tmp_path):
    progress = Progress(files / "target", files / "statistics")
    with pytest.raises(InputError, match="datainf needs round 1"):
        solve(progress, BOTH, tmp_path / "out", "cpu")
    of_a_shard = replace(progress, sums=(files / "sums-1-2.safetensors",))
    with pytest.raises(InputError, match="round 1, shard 2 of 3; expected round 1 of all"):
        solve(of_a_shard, BOTH, tmp_path / "out", "cpu")
    again = replace(progress, sums=(files / "sums-1", files / "sums-1"))
    with pytest.raises(InputError, match="round 1, .*expected round 2"):
        solve(again, BOTH, tmp_path / "out", "cpu")
    complete = replace(progress, sums=(files / "sums-1",))
    with pytest.raises(InputError, match="no method asks for round 2"):
        take_sums(SOURCE, ORIGIN, Shard(1, 3), complete, BOTH, tmp_path / "out", "cpu")


def test_statistics_taken_for_methods_without_the_gfim_do_not_serve_those_with_it(tmp_path):
    take_target(SOURCE, ORIGIN, tmp_path / "target", "cpu")
    take_statistics(SOURCE, ORIGIN, Shard(), WITHOUT_GFIM, tmp_path / "shard", "cpu")
    add_shards("statistics", [tmp_path / "shard"], tmp_path / "statistics")
    with pytest.raises(InputError, match="without the GFIM.*hyperinf"):
        solve(Progress(tmp_path / "target", tmp_path / "statistics"), BOTH, tmp_path / "out", "cpu")


def test_a_method_that_needs_all_gradients_of_a_layer_is_refused_before_any_sweep(tmp_path):
    class Never(TensorSource):
        def __iter__(self):
            raise AssertionError("swept")

    settings = ScoringSettings(methods=("hyperinf", "fim"))
    with pytest.raises(InputError, match="^methods: got fim"):
        take_statistics(Never(gradients(3, 0)), ORIGIN, Shard(), settings, tmp_path / "out", "cpu")


@pytest.mark.parametrize("content", [b"", b"\x00" * 64, None], ids=["empty", "zeros", "truncated"])
def test_a_part_that_cannot_be_read_is_named(files, tmp_path, content):
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes((files / "target").read_bytes()[:-8] if content is None else content)
    with pytest.raises(InputError, match="bad.safetensors: not a part of a sharded run"):
        read_part(bad, "target")


def test_a_part_of_another_kind_or_a_file_that_is_not_there_is_named(files):
    with pytest.raises(InputError, match="statistics: holds statistics; expected target"):
        read_part(files / "statistics", "target")
    with pytest.raises(InputError, match="nowhere: no such file"):
        read_part(files / "nowhere", "target")


@pytest.mark.parametrize(("index", "count"), [(0, 3), (4, 3), (1, 0)])
def test_a_shard_that_cannot_be_is_refused(index, count):
    with pytest.raises(InputError, match=r"shards?: expected"):
        Shard(index, count)


def test_any_bit_that_is_flipped_in_a_part_is_noticed_or_changes_nothing(tmp_path):
    tensors = {"gram/a": torch.arange(6.0).view(2, 3), "losses": torch.ones(2, dtype=torch.float64)}
    path = tmp_path / "part.safetensors"
    Part("sums", ORIGIN, {"round": 1}, tensors, {("shared", "sums"): Cost(1.5, None)}, Shard(1, 2)).write(path)
    content, expected = path.read_bytes(), read_part(path, "sums")
    generator, noticed = torch.Generator().manual_seed(0), 0
    bits = torch.randperm(8 * len(content), generator=generator)[:1500].tolist()
    for bit in bits:
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            found = read_part(path, "sums")
            values = {name: found.tensors[name] for name in expected.tensors}
        except InputError:
            noticed += 1
            continue
        assert all(torch.equal(values[name], tensors[name]) for name in tensors)
        assert replace(found, tensors={}) == replace(expected, tensors={})
    assert noticed > 0.98 * len(bits)
