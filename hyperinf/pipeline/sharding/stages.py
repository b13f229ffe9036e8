"""The stages of a sharded scoring: each opens what its settings name and takes one step."""

from pathlib import Path

from hyperinf.gradients import LiveSource
from hyperinf.pipeline.opened import Finetuned, machine
from hyperinf.pipeline.sharding.parts import Shard
from hyperinf.pipeline.sharding.steps import (
    Progress,
    add_shards,
    solve,
    take_scores,
    take_statistics,
    take_sums,
    take_target,
)
from hyperinf.settings.stages import (
    OneShard,
    ShardAdd,
    ShardScores,
    ShardSolve,
    ShardStage,
    ShardStatistics,
    ShardSums,
    ShardTarget,
)


def shard_target(settings: ShardTarget) -> None:
    """Write the mean gradient of the target samples.

    Raises:
        InputError: data or weights that cannot be used, or that do not belong together.
    """
    opened, checkpoint = _opened(settings)
    model = opened.model(checkpoint)
    target = opened.gradients(model, "validation", settings.gradient_batch_size, settings.gradients_of)
    take_target(target, opened.origin(checkpoint, settings.gradients_of), Path(settings.out), opened.device)


def shard_statistics(settings: ShardStatistics) -> None:
    """Write the sums over a shard that damping and GFIM are made of.

    Raises:
        InputError: as :func:`shard_target`; more shards than batches.
    """
    samples, origin, device = _shard(settings)
    take_statistics(samples, origin, _index(settings), settings, Path(settings.out), device)


def shard_sums(settings: ShardSums) -> None:
    """Write the sums over a shard that the methods ask for next.

    Raises:
        InputError: as :func:`shard_statistics`; files that do not belong to this run; nothing more is asked for.
    """
    samples, origin, device = _shard(settings)
    take_sums(samples, origin, _index(settings), _progress(settings), settings, Path(settings.out), device)


def shard_scores(settings: ShardScores) -> None:
    """Write the scores of a shard by every method.

    Raises:
        InputError: as :func:`shard_statistics`; products of another run.
    """
    samples, origin, device = _shard(settings)
    products = Path(settings.products)
    take_scores(samples, origin, _index(settings), products, settings, Path(settings.out), device)


def shard_add(settings: ShardAdd) -> None:
    """Write the statistics, or the sums of a round, of all samples.

    Raises:
        InputError: a shard that is missing, or files that do not belong together.
    """
    add_shards(settings.what, [Path(path) for path in settings.parts], Path(settings.out))


def shard_solve(settings: ShardSolve) -> None:
    """Write every method's product of its damped inverse curvature with the target's gradient.

    Raises:
        InputError: files that do not belong together, or a round of sums that is missing.
        ConvergenceError: Schulz's iteration could not invert a layer's matrix (names the layer).
    """
    solve(_progress(settings), settings, Path(settings.out), machine(settings))


def _opened(settings: ShardStage) -> tuple[Finetuned, str]:
    opened = Finetuned.opened(Path(settings.finetuned), Path(settings.data), settings, machine(settings))
    return opened, settings.checkpoint or opened.checkpoints[-1]


def _shard(settings: OneShard) -> tuple[LiveSource, dict[str, str], str]:
    opened, checkpoint = _opened(settings)
    shard, size = _index(settings), settings.gradient_batch_size
    model = opened.model(checkpoint)
    source = opened.gradients(model, "train", size, settings.gradients_of, (shard.index, shard.count))
    return source, {**opened.origin(checkpoint, settings.gradients_of), "batch size": str(size)}, opened.device


def _index(settings: OneShard) -> Shard:
    return Shard(settings.shard, settings.shards)


def _progress(settings: ShardSums | ShardSolve) -> Progress:
    return Progress(Path(settings.target), Path(settings.statistics), tuple(map(Path, settings.sums)))
