"""Commands that score in shards: what a task takes of its own samples, and what is added and solved for all tasks."""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperinf.cli.arguments import add_device, add_scoring, scoring_options
from hyperinf.cli.parser import Add, add_command

if TYPE_CHECKING:
    from hyperinf.gradients import LiveSource
    from hyperinf.pipeline.sharding.parts import Shard
    from hyperinf.pipeline.sharding.steps import Progress, ShardedScores

    Open = Callable[[argparse.Namespace, Shard | None], tuple[LiveSource, dict[str, str], str]]
    """Opens a shard of the samples to score, or the target samples: their gradients, what they are of, the device."""


def add_shard_commands(commands: Any, add_inputs: Callable[[Add], None], opened: "Open") -> None:
    """``shard-target``, ``shard-statistics``, ``shard-sums`` and ``shard-scores`` of a task.

    Args:
        commands: the task's group.
        add_inputs: adds the arguments that name model and data, and the device.
        opened: opens what they name.
    """

    def command(name: str, what: str, run: Callable[["Open", argparse.Namespace], None]) -> Add:
        add = add_command(commands, f"shard-{name}", what, partial(run, opened))
        add_inputs(add)
        if name != "target":
            add("--shard", type=int, required=True, metavar="K", help="which shard, from 1 on")
            add("--shards", type=int, required=True, metavar="N", help="how many there are")
            add_scoring(add, ["hyperinf"])
        add("--out", type=Path, required=True, metavar="FILE", help="file to write (safetensors)")
        return add

    command("target", "the mean gradient of the target samples, for a sharded scoring", _run_target)
    command("statistics", "what damping and GFIM are made of, summed over a shard of the samples", _run_statistics)
    add = command("sums", "what methods such as datainf sum beyond that, over a shard of the samples", _run_sums)
    _add_progress(add)
    add = command("scores", "the scores of a shard of the samples", _run_scores)
    add("--products", type=Path, required=True, metavar="FILE", help="what 'shards solve' wrote")


def add_shards(commands: Any) -> None:
    """``hyperinf shards``."""
    add = add_command(commands, "add", "add what the shards of a run have summed, in their order", _run_add)
    add("--what", required=True, choices=["statistics", "sums"], help="what was summed")
    add("--parts", type=Path, nargs="+", required=True, metavar="FILE", help="every shard's file, in any order")
    add("--out", type=Path, required=True, metavar="FILE", help="file to write (safetensors)")

    add = add_command(commands, "solve", "every method's inverse curvature times the target's gradient", _run_solve)
    _add_progress(add)
    add_scoring(add, ["hyperinf"])
    add_device(add)
    add("--out", type=Path, required=True, metavar="FILE", help="file to write (safetensors)")


def _add_progress(add: Add) -> None:
    add("--target", type=Path, required=True, metavar="FILE", help="what 'shard-target' wrote")
    add("--statistics", type=Path, required=True, metavar="FILE", help="statistics that 'shards add' wrote")
    add("--sums", type=Path, nargs="*", default=[], metavar="FILE", help="sums that it wrote, of rounds 1, 2, ...")


def add_gather(add: Add, task: str) -> None:
    """What a task's scores are gathered from instead of taken; :func:`sharded_scores` reads it."""
    add("--products", type=Path, nargs="+", default=[], metavar="FILE", help="of 'shards solve', to gather from shards")
    add("--parts", type=Path, nargs="+", default=[], metavar="FILE", help=f"of '{task} shard-scores', every shard's")


def sharded_scores(parsed: argparse.Namespace) -> "ShardedScores | None":
    """The files that ``--products`` and ``--parts`` name, if any.

    Raises:
        InputError: one of the two without the other.
    """
    from hyperinf.errors import InputError
    from hyperinf.pipeline.sharding.steps import ShardedScores

    if (not parsed.products) != (not parsed.parts):
        raise InputError("products, parts: expected both, to gather what shards scored, or neither")
    return ShardedScores(tuple(parsed.products), tuple(parsed.parts)) if parsed.parts else None


def _run_target(opened: "Open", parsed: argparse.Namespace) -> None:
    from hyperinf.pipeline.sharding.steps import take_target

    source, origin, device = opened(parsed, None)
    take_target(source, origin, parsed.out, device)


def _run_statistics(opened: "Open", parsed: argparse.Namespace) -> None:
    from hyperinf.pipeline.sharding.steps import take_statistics

    shard, options = _shard(parsed), scoring_options(parsed)
    source, origin, device = opened(parsed, shard)
    take_statistics(source, origin, shard, options, parsed.out, device)


def _run_sums(opened: "Open", parsed: argparse.Namespace) -> None:
    from hyperinf.pipeline.sharding.steps import take_sums

    shard, options = _shard(parsed), scoring_options(parsed)
    source, origin, device = opened(parsed, shard)
    take_sums(source, origin, shard, _progress(parsed), options, parsed.out, device)


def _run_scores(opened: "Open", parsed: argparse.Namespace) -> None:
    from hyperinf.pipeline.sharding.steps import take_scores

    shard, options = _shard(parsed), scoring_options(parsed)
    source, origin, device = opened(parsed, shard)
    take_scores(source, origin, shard, parsed.products, options, parsed.out, device)


def _run_add(parsed: argparse.Namespace) -> None:
    from hyperinf.pipeline.sharding.steps import add_shards as add

    add(parsed.what, parsed.parts, parsed.out)


def _run_solve(parsed: argparse.Namespace) -> None:
    from hyperinf.pipeline.sharding.steps import solve
    from hyperinf.runtime.devices import resolve_device, set_threads

    set_threads(parsed.threads)
    solve(_progress(parsed), scoring_options(parsed), parsed.out, resolve_device(parsed.device))


def _shard(parsed: argparse.Namespace) -> "Shard":
    from hyperinf.pipeline.sharding.parts import Shard

    return Shard(parsed.shard, parsed.shards)


def _progress(parsed: argparse.Namespace) -> "Progress":
    from hyperinf.pipeline.sharding.steps import Progress

    return Progress(parsed.target, parsed.statistics, tuple(parsed.sums))
