"""Scoring in shards against scoring in one process."""

from dataclasses import replace

import pytest
import torch
from hyperinf.pipeline.selection.gradients import pool_gradients, validation_gradients
from hyperinf.pipeline.selection.model import RunPaths
from hyperinf.pipeline.selection.score import PoolScoreConfig, run_pool_scores
from hyperinf.pipeline.sharding.rounds import NOT_SHARDED, rounds_of
from test_selection import KEY, warm_up
from test_selection import data as data

from hyperinf.errors import InputError
from hyperinf.gradients import TensorSource
from hyperinf.influence import METHODS, SweepingMethod, build_methods, score_methods
from hyperinf.models.encoding import Batches
from hyperinf.pipeline.scoring import ScoringOptions
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
from hyperinf.settings.methods import LissaOptions, not_sharded

OPTIONS = ScoringOptions(methods=tuple(name for name in METHODS if name not in NOT_SHARDED), lissa_iterations=3)
BOTH = ScoringOptions(methods=("hyperinf", "datainf"))
WITHOUT_GFIM = ScoringOptions(methods=("tracin",))
ORIGIN = {"data": "d", "model": "m"}


def sharded(folder, target, shard_of, count, options=OPTIONS, origin=ORIGIN):
    """Every step of a sharded run; ``shard_of(Shard)`` gives a shard's gradients."""

    def each(name, take):
        files = []
        for index in range(1, count + 1):
            shard = Shard(index, count)
            files.append(folder / f"{name}-{index}.safetensors")
            take(shard_of(shard), shard, files[-1])
        return files

    take_target(target, origin, folder / "target", "cpu")
    parts = each("statistics", lambda source, shard, out: take_statistics(source, origin, shard, options, out, "cpu"))
    add_shards("statistics", parts, folder / "statistics")
    progress = Progress(folder / "target", folder / "statistics")
    for number in range(1, rounds_of(options.methods, options.lissa_iterations) + 1):
        here = progress
        parts = each(
            f"sums-{number}",
            lambda source, shard, out, here=here: take_sums(source, origin, shard, here, options, out, "cpu"),
        )
        add_shards("sums", parts, folder / f"sums-{number}")
        progress = replace(progress, sums=(*progress.sums, folder / f"sums-{number}"))
    solve(progress, options, folder / "products", "cpu")
    products = folder / "products"
    parts = each("scores", lambda source, shard, out: take_scores(source, origin, shard, products, options, out, "cpu"))
    return ShardedScores((products,), tuple(reversed(parts)))


def gradients(samples, seed):
    generator = torch.Generator().manual_seed(seed)
    shapes = {"b": (3, 10), "a": (3, 7), "head": (2, 5)}  # in an order that files do not keep
    return {
        name: torch.randn(samples, *shape, generator=generator) @ torch.randn(shape[1], shape[1], generator=generator)
        for name, shape in shapes.items()
    }


class Blocks:
    """Some blocks of a source."""

    def __init__(self, source, index, count):
        self.layers = source.layers
        self._blocks = list(source)[index::count]

    def __len__(self):
        return sum(len(block) for block in self._blocks)

    def __iter__(self):
        return iter(self._blocks)


def relative(actual, expected):
    return float((actual - expected).norm() / expected.norm())


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("block_size", [1, 2, 3])
def test_shards_of_dense_gradients_score_as_one_process_does(tmp_path, count, block_size):
    train = TensorSource(gradients(20, 0), block_size=block_size, losses=torch.arange(20.0))
    target = TensorSource(gradients(4, 1))
    expected = score_methods(train, target, OPTIONS.own, **OPTIONS.common)
    files = sharded(tmp_path, target, lambda shard: Blocks(train, shard.index - 1, shard.count), count)
    scored = gathered(files, ORIGIN, expected.sample_ids, OPTIONS, seed=1)
    for name, values in expected.influence.items():
        assert relative(torch.from_numpy(scored.columns[f"influence_{name}"]), values) < (1e-12 if count > 1 else 1e-15)
    assert torch.equal(torch.from_numpy(scored.columns["baseline_grad_norm"]), expected.grad_norm.double())
    assert scored.columns["baseline_loss"].tolist() == list(range(20))
    assert {name: set(report) for name, report in scored.table.reports.items()} == {
        name: set(report) for name, report in expected.reports.items()
    }
    assert scored.table.reports["lissa"]["sweeps"] == LissaOptions().lanczos_steps + 3


def test_a_method_that_needs_fewer_rounds_than_planned_leaves_the_rest_empty(tmp_path):
    train = TensorSource(gradients(6, 0), block_size=1)
    target = TensorSource({name: torch.zeros_like(value) for name, value in gradients(4, 1).items()})
    options = ScoringOptions(methods=("lissa", "tracin"), baselines=(), lissa_iterations=2)
    files = sharded(tmp_path, target, lambda shard: Blocks(train, shard.index - 1, shard.count), 2, options)
    scored = gathered(files, ORIGIN, [str(index) for index in range(6)], options, seed=1)
    assert all(not values.any() for values in scored.columns.values())


@pytest.fixture(scope="module")
def warmup(data, tiny_llama, tmp_path_factory):
    return warm_up(data, tiny_llama, tmp_path_factory.mktemp("run") / "warmup")


def whole_pool(data, warmup, out, keeping):
    run_pool_scores(PoolScoreConfig(KEY, OPTIONS), RunPaths(data), warmup, out, keeping=keeping, batch_size=4)
    return out


@pytest.fixture(scope="module")
def whole(data, warmup, tmp_path_factory):
    """The table of one process, which keeps no gradients either."""
    return whole_pool(data, warmup, tmp_path_factory.mktemp("whole"), "live")


@pytest.fixture(scope="module")
def kept(data, warmup, tmp_path_factory):
    """The table of one process that keeps its gradients on disk, in float32."""
    return whole_pool(data, warmup, tmp_path_factory.mktemp("kept"), "disk")


def run_in_shards(folder, data, warmup, count):
    places = RunPaths(data)
    target, origin = validation_gradients(places, warmup, 4)
    with_batches = pool_gradients(Shard(), places, warmup, 4)[1]
    assert origin.items() <= with_batches.items()
    return sharded(
        folder, target, lambda shard: pool_gradients(shard, places, warmup, 4)[0], count, origin=with_batches
    )


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_shards_of_a_language_models_pool_write_the_files_of_one_process(data, warmup, whole, kept, tmp_path, count):
    import pandas as pd

    files = run_in_shards(tmp_path, data, warmup, count)
    run_pool_scores(PoolScoreConfig(KEY, OPTIONS), RunPaths(data), warmup, tmp_path / "out", shards=files)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {path.name for path in whole.iterdir()}
    assert (tmp_path / "out/info.json").read_text() == (whole / "info.json").read_text() or count > 1
    expected, on_disk, found = (pd.read_parquet(each / "scores.parquet") for each in (whole, kept, tmp_path / "out"))
    assert list(found.columns) == list(expected.columns)
    assert found["sample_id"].tolist() == expected["sample_id"].tolist()
    for column in expected.columns[4:]:
        a, b, c = (torch.tensor(frame[column].to_numpy()) for frame in (found, expected, on_disk))
        assert relative(a, b) < 1e-9, column
        assert relative(a, c) < 1e-6, column
    stages = [
        set(map(tuple, pd.read_csv(f / "cost.csv")[["method", "stage"]].to_numpy())) for f in (whole, tmp_path / "out")
    ]
    assert stages[1] == stages[0] | {("shared", "sums of methods")}


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


def test_the_rounds_that_a_workflow_plans_are_those_that_the_methods_ask_for():
    for iterations in (1, 10):
        options = replace(OPTIONS, lissa_iterations=iterations)
        for name, method in build_methods(options.own, **options.common).items():
            asked = method.sweeps if isinstance(method, SweepingMethod) else 0
            assert rounds_of([name], iterations) == asked, name
    assert rounds_of(["tracin", "lissa", "datainf"], 10) == LissaOptions().lanczos_steps + 10
    assert set(not_sharded(METHODS)) == set(NOT_SHARDED)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A run in three shards that is complete, with its folder."""
    folder = tmp_path_factory.mktemp("complete")
    train, target = TensorSource(gradients(9, 0), block_size=1), TensorSource(gradients(4, 1))
    sharded(folder, target, lambda shard: Blocks(train, shard.index - 1, shard.count), 3, BOTH)
    return folder


SOURCE = TensorSource(gradients(3, 0))


def statistics_parts(folder):
    return [folder / f"statistics-{index}.safetensors" for index in (1, 2, 3)]


def score_parts(folder):
    return tuple(folder / f"scores-{index}.safetensors" for index in (1, 2, 3))


def gather_from(folder, parts, origin=ORIGIN, options=BOTH):
    return gathered(ShardedScores((folder / "products",), parts), origin, [str(i) for i in range(9)], options, 1)


def test_a_shard_that_is_missing_is_named(files, tmp_path):
    with pytest.raises(InputError, match="parts: shard 2 of 3 is missing beside .*statistics-1"):
        add_shards("statistics", [statistics_parts(files)[0], statistics_parts(files)[2]], tmp_path / "out")
    with pytest.raises(InputError, match="parts: shard 3 of 3 is missing beside .*scores-1"):
        gather_from(files, score_parts(files)[:2])
    assert not (tmp_path / "out").exists()


def test_a_shard_given_twice_and_shards_of_different_counts_are_refused(files, tmp_path):
    first, second, _ = statistics_parts(files)
    with pytest.raises(InputError, match="statistics-1.*: shard 1 of 3 is also .*statistics-1.*; expected it once"):
        add_shards("statistics", [first, second, first], tmp_path / "out")
    take_statistics(SOURCE, ORIGIN, Shard(2, 4), BOTH, tmp_path / "of-four", "cpu")
    with pytest.raises(InputError, match="of-four: shard 2 of 4; expected one of 3, as .*statistics-1"):
        add_shards("statistics", [first, tmp_path / "of-four"], tmp_path / "out")
    take_statistics(TensorSource(gradients(1, 0), ["0"]), ORIGIN, Shard(3, 3), BOTH, tmp_path / "three", "cpu")
    with pytest.raises(InputError, match="got sample '0' in two"):
        add_shards("statistics", [first, second, tmp_path / "three"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("what", ["data", "model"])
def test_parts_of_other_data_or_another_model_are_refused(files, tmp_path, what):
    foreign = {**ORIGIN, what: "other"}
    take_statistics(SOURCE, foreign, Shard(3, 3), BOTH, tmp_path / "foreign", "cpu")
    with pytest.raises(InputError, match=f"foreign: statistic sums of another {what}; expected a part of this run"):
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
        gather_from(files, score_parts(files), options=replace(BOTH, damping=0.2))


def test_rounds_that_are_missing_or_not_added_are_refused(files, tmp_path):
    progress = Progress(files / "target", files / "statistics")
    with pytest.raises(InputError, match="sums: datainf needs round 1; expected rounds 1 to 1"):
        solve(progress, BOTH, tmp_path / "out", "cpu")
    of_a_shard = replace(progress, sums=(files / "sums-1-2.safetensors",))
    with pytest.raises(InputError, match="holds round 1, shard 2 of 3; expected round 1 of all shards added"):
        solve(of_a_shard, BOTH, tmp_path / "out", "cpu")
    again = replace(progress, sums=(files / "sums-1", files / "sums-1"))
    with pytest.raises(InputError, match="holds round 1, shard 1 of 1; expected round 2"):
        solve(again, BOTH, tmp_path / "out", "cpu")
    complete = replace(progress, sums=(files / "sums-1",))
    with pytest.raises(InputError, match="sums: no method asks for round 2; expected to solve"):
        take_sums(SOURCE, ORIGIN, Shard(1, 3), complete, BOTH, tmp_path / "out", "cpu")


def test_statistics_taken_for_methods_without_the_gfim_do_not_serve_those_with_it(tmp_path):
    take_target(SOURCE, ORIGIN, tmp_path / "target", "cpu")
    take_statistics(SOURCE, ORIGIN, Shard(), WITHOUT_GFIM, tmp_path / "shard", "cpu")
    add_shards("statistics", [tmp_path / "shard"], tmp_path / "statistics")
    with pytest.raises(InputError, match="statistics: taken without the GFIM; expected it, as hyperinf needs it"):
        solve(Progress(tmp_path / "target", tmp_path / "statistics"), BOTH, tmp_path / "out", "cpu")


def test_a_method_that_needs_all_gradients_of_a_layer_is_refused_before_any_sweep(tmp_path):
    class Never(TensorSource):
        def __iter__(self):
            raise AssertionError("swept")

    options = ScoringOptions(methods=("hyperinf", "fim"))
    with pytest.raises(InputError, match="methods: fim needs all gradients of a layer at once; expected it only"):
        take_statistics(Never(gradients(3, 0)), ORIGIN, Shard(), options, tmp_path / "out", "cpu")


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
