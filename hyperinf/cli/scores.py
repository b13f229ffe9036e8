"""The command that scores gradient stores of one's own."""

import argparse
from pathlib import Path
from typing import Any

from hyperinf.cli.arguments import (
    add_scoring,
    out_file,
    scoring_options,
)
from hyperinf.cli.parser import add_command


def add_scores(commands: Any) -> None:
    """``hyperinf scores``."""
    what = "score training samples from gradient stores of one's own"
    add = add_command(commands, "scores", what, _run_scores)
    add("--train", type=Path, required=True, metavar="STORE", help="gradients of the training samples (GradientStore)")
    add("--target", type=Path, required=True, metavar="STORE", help="gradients of the target samples")
    add_scoring(add, ["hyperinf"])
    add(
        "--out",
        type=out_file,
        required=True,
        metavar="FILE.parquet",
        help="sample_id, influence_METHOD; positive is harmful",
    )


def _run_scores(parsed: argparse.Namespace) -> None:
    from hyperinf.pipeline.stores import score_stores

    score_stores(parsed.train, parsed.target, scoring_options(parsed), parsed.out)
