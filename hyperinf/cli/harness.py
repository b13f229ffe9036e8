"""The command that hands a task to lm-evaluation-harness."""

import argparse
from pathlib import Path
from typing import Any

from hyperinf.cli.arguments import (
    out_folder,
)
from hyperinf.cli.parser import add_command


def add_harness(commands: Any) -> None:
    """``hyperinf select harness``."""
    what = "write the test questions as a task of lm-evaluation-harness: lm_eval --include_path DIR --tasks NAME"
    add = add_command(commands, "harness", what, _run)
    add("--data", type=Path, required=True, metavar="DIR", help="what 'select data' wrote")
    add("--task", required=True, metavar="NAME", help="name of the task in the harness")
    add("--out", type=out_folder, required=True, metavar="DIR", help="folder to write; its task is bound to this place")


def _run(parsed: argparse.Namespace) -> None:
    from hyperinf.data.harness import write_harness_task

    write_harness_task(parsed.data, parsed.out, parsed.task)
