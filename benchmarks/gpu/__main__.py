"""Measure the sections in turn, each within its share of the time, or draw the table of what was measured."""

import argparse
import json
import time
from functools import partial
from pathlib import Path

import torch

from benchmarks.gpu import card, dots, extraction, frozen, inverses, memory, queries, scores
from benchmarks.gpu.record import SEED, Record, file_name, header
from benchmarks.gpu.table import table
from hyperinf.runtime.devices import resolve_device

SECTIONS = {
    "card": (card.measure, 0.03),
    "extraction": (extraction.measure, 0.35),
    "scores": (scores.measure, 0.18),
    "queries": (queries.measure, 0.15),
    "frozen": (frozen.measure, 0.1),
    "inverses": (inverses.measure, 0.13),
    "dots": (dots.measure, 0.04),
    "memory": (memory.measure, 0.12),
}
"""What measures, and its share of the time; what a section leaves goes to those after it."""
ROOT = Path(__file__).parents[2]


def main() -> None:
    arguments = parse_arguments()
    if arguments.table:
        text = table(json.loads(arguments.table.read_text(encoding="utf-8")))
        (arguments.out or ROOT / "docs" / "gpu.md").write_text(text, encoding="utf-8")
        return
    device = torch.device(resolve_device(arguments.device))
    torch.manual_seed(SEED)
    out = arguments.out or ROOT / "benchmarks" / "results" / file_name(device)
    record = Record(out, header(device, arguments.sizes, arguments.budget))
    measure(record, arguments.sections, arguments.sizes, device, time.monotonic() + arguments.budget)
    failed = [row for each in record.content["sections"].values() for row in each["rows"] if _failed(row)]
    print(f"{out}: {len(failed)} rows with an error")


def parse_arguments() -> argparse.Namespace:
    form = argparse.ArgumentDefaultsHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__, formatter_class=form)
    parser.add_argument("--sections", nargs="+", choices=list(SECTIONS), default=list(SECTIONS))
    parser.add_argument("--sizes", choices=["tiny", "full"], default="full")
    parser.add_argument("--budget", type=float, default=270.0, help="seconds that all sections may take")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--table", type=Path, metavar="FILE", help="draw the table of this result into docs/gpu.md")
    parser.add_argument("--out", type=Path, metavar="FILE", help="benchmarks/results/gpu_DEVICE.json, or docs/gpu.md")
    return parser.parse_args()


def measure(record: Record, sections: list[str], sizes: str, device: torch.device, until: float) -> None:
    """Run the sections, in the order of ``SECTIONS``."""
    began = time.monotonic()
    chosen = [name for name in SECTIONS if name in sections]
    for place, name in enumerate(chosen):
        work, share = SECTIONS[name]
        rest = sum(SECTIONS[each][1] for each in chosen[place:])
        now = time.monotonic()
        section = record.section(name, device, now + (until - now) * share / rest)
        section.attempt({"section": name}, partial(work, section, sizes))
        section.end()
    record.content["seconds"] = round(time.monotonic() - began, 1)
    record.write()


def _failed(row: dict) -> bool:
    return "error" in row["notes"] or any("error" in times for times in row["times"].values())


if __name__ == "__main__":
    main()
