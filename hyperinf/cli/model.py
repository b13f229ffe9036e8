"""Commands that make models."""

import argparse
from typing import Any

from hyperinf.cli.arguments import (
    SOURCE_HELP,
    add_cache,
    out_folder,
    whole_number,
)
from hyperinf.cli.parser import add_command


def add_model(commands: Any) -> None:
    """``hyperinf model``."""
    what = "write a model as a plain folder: from a GGUF file, cut, or new from a shape"
    add = add_command(commands, "prepare", what, _run_prepare)
    add("--source", required=True, metavar="SRC", help=f"{SOURCE_HELP}, or shape:NAME for random weights")
    add("--layers", type=int, default=None, metavar="K", help="keep only the first K decoder layers")
    add("--seed", type=whole_number, default=0, help="of random weights")
    add_cache(add)
    add("--out", type=out_folder, required=True, metavar="DIR", help="folder to write")


def _run_prepare(parsed: argparse.Namespace) -> None:
    from hyperinf.data.sources import parse_source
    from hyperinf.models.causal import prepare_causal

    prepare_causal(
        parse_source(parsed.source), parsed.out, parsed.cache, parsed.wheel, layers=parsed.layers, seed=parsed.seed
    )
