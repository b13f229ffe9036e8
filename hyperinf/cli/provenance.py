"""Commands on what a result was made of."""

import argparse
from pathlib import Path
from typing import Any

from hyperinf.cli.parser import add_command


def add_provenance(commands: Any) -> None:
    """``hyperinf provenance`` and ``hyperinf crate``."""
    what = "the chain of a result file, back to data, model and assets, and whether the hashes still match"
    add = add_command(commands, "provenance", what, _run_provenance)
    add("file", type=Path, metavar="FILE", help="a figure, a table, scores or any other file of a run")
    add("--results", type=Path, default=None, metavar="DIR", help="results folder; found above FILE without it")

    add = add_command(commands, "crate", "a finished run as an RO-Crate: files, hashes, licences, software", _run_crate)
    add("--results", type=Path, required=True, metavar="DIR", help="results folder to read")
    add("--config", type=Path, nargs="*", default=[], metavar="FILE", help="configuration files to put in")
    add("--out", type=Path, required=True, metavar="FILE.zip|DIR", help="archive or new folder to write")


def _run_provenance(parsed: argparse.Namespace) -> None:
    from hyperinf.artifacts.lineage import BROKEN, chain
    from hyperinf.errors import InputError

    links = chain(parsed.file, parsed.results)
    print(*links, sep="\n")
    broken = [link for link in links if link.state in BROKEN]
    if broken:
        first = f"{broken[0].name} is {broken[0].state}"
        raise InputError(f"{parsed.file}: {len(broken)} files are not what they were, first {first}")


def _run_crate(parsed: argparse.Namespace) -> None:
    from hyperinf.artifacts.rocrate import write_crate

    write_crate(parsed.results, parsed.config, parsed.out)
