"""Commands that draw figures, tables and the page."""

import argparse
from pathlib import Path
from typing import Any

from hyperinf.cli.arguments import (
    out_file,
    out_folder,
)
from hyperinf.cli.parser import add_command


def add_report(commands: Any) -> None:
    """``hyperinf report``."""
    add = add_command(commands, "simulation", "figures of the synthetic studies", _run_report_simulation)
    add(
        "--convergence",
        type=Path,
        nargs="+",
        required=True,
        metavar="FILE.csv",
        help="what 'simulate convergence' wrote",
    )
    add("--fisher", type=Path, default=None, metavar="DIR", help="what 'simulate fisher' wrote")
    add("--timing", type=Path, default=None, metavar="FILE.csv", help="what 'simulate timing' wrote")
    add("--out", type=out_folder, required=True, metavar="DIR", help="figures/ and tables/ are written below it")

    add = add_command(commands, "mislabel", "figures and tables of mislabel detection", _run_report_mislabel)
    add("--runs", type=Path, nargs="+", required=True, metavar="DIR", help="what 'mislabel score' wrote")
    add("--epoch", type=int, required=True, metavar="E", help="the epoch that the main figure and table show")
    add("--out", type=out_folder, required=True, metavar="DIR", help="figures/ and tables/ are written below it")

    add = add_command(commands, "selection", "figures and tables of data selection", _run_report_selection)
    add("--study", required=True, choices=["llm", "vlm"], help="begins the names of all files")
    add("--runs", type=Path, nargs="+", required=True, metavar="DIR", help="seed folders with scores and fraction-P")
    add("--percent", type=int, nargs="+", default=None, metavar="P", help="the fraction-P to report; all without it")
    add(
        "--data",
        type=Path,
        nargs="+",
        default=(),
        metavar="DIR",
        help="what 'select data' wrote for the first seed of each task: draw contact sheets of its images",
    )
    add("--methods", nargs="+", default=None, metavar="METHOD", help="shown on contact sheets; all that were scored")
    add("--out", type=out_folder, required=True, metavar="DIR", help="figures/ and tables/ are written below it")

    add = add_command(commands, "page", "one self-contained HTML page of all there is", _run_report_page)
    add("--results", type=Path, required=True, metavar="DIR", help="results folder to read")
    add("--out", type=out_file, required=True, metavar="FILE.html", help="file to write")


def _run_report_simulation(parsed: argparse.Namespace) -> None:
    from hyperinf.reporting import report_simulation

    report_simulation(parsed.convergence, parsed.fisher, parsed.timing, parsed.out)


def _run_report_mislabel(parsed: argparse.Namespace) -> None:
    from hyperinf.reporting import report_mislabel

    report_mislabel(parsed.runs, parsed.epoch, parsed.out)


def _run_report_selection(parsed: argparse.Namespace) -> None:
    from hyperinf.reporting import report_selection

    report_selection(parsed.study, parsed.runs, parsed.out, parsed.percent, parsed.data, parsed.methods)


def _run_report_page(parsed: argparse.Namespace) -> None:
    from hyperinf.reporting import report_page

    report_page(parsed.results, parsed.out)
