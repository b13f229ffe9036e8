"""Other tools beside hyperinf on one real task, in an environment of ``requirements.lock``.

    python -m benchmarks.peers extraction --run results/validation/sarcasm/minilm/lora-8/seed-11
    python -m benchmarks.peers accuracy --run results/validation/sarcasm/minilm/lora-8/seed-11
    python -m benchmarks.peers --table

The first two add to ``benchmarks/results/peers_cpu.json``, the last prints the table of it. ``--run`` is the folder of
a finished run of the study ``validation`` of ``config.yaml``, the data of which lies where the study puts it.
"""

import argparse
import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import device_name
from benchmarks.peers import accuracy, extraction
from benchmarks.peers.alone import extract_alone, score_alone
from benchmarks.peers.study import Study
from benchmarks.peers.table import markdown
from benchmarks.peers.tools import TOOLS, opened

RESULT = Path(__file__).parent.parent / "results" / "peers_cpu.json"
BESIDE = ("torch", "transformers", "peft", "accelerate", "numpy")


def main() -> None:
    """Measure, or print the table."""
    arguments = parsed()
    torch.set_num_threads(arguments.threads)
    if arguments.table:
        print(markdown(json.loads(arguments.out.read_text(encoding="utf-8"))))
        return
    study = Study.read(arguments.run, arguments.data, arguments.cache)
    flags = flags_of(arguments)
    if arguments.stage == "score-alone":
        score_alone(study, arguments.tool, arguments.work, arguments.seed, arguments.folder)
    elif arguments.stage == "extract-alone":
        extract_alone(study, arguments.tool, arguments.work, arguments.rows, arguments.folder)
    elif arguments.stage == "extraction":
        found = extraction.compare(study, arguments.tools, arguments.rows, arguments.repeats or 5, flags)
        keep(arguments, study, found)
    else:
        for found in accuracy.compare(study, arguments.tools, arguments.repeats or 3, flags, arguments.keep):
            keep(arguments, study, found)


def parsed() -> argparse.Namespace:
    """Read the flags."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    stages = ("extraction", "accuracy", "score-alone", "extract-alone")
    parser.add_argument("stage", nargs="?", choices=stages, help="the last two are one work in a process of its own")
    parser.add_argument("--table", action="store_true", help="print the table of the results")
    parser.add_argument("--run", type=Path, help="folder of a finished validation run")
    parser.add_argument("--data", type=Path, help="its data; by default where the study puts it")
    parser.add_argument("--cache", help="folder of fetched models; by default $HYPERINF_CACHE, or results/assets")
    parser.add_argument("--tools", nargs="+", choices=list(TOOLS), default=list(TOOLS), help="which are measured")
    parser.add_argument("--rows", type=int, default=256, help="texts whose gradients are taken")
    parser.add_argument("--repeats", type=int, help="timed runs of each; 5 of extraction and 3 of accuracy by default")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder that the scores are kept in")
    parser.add_argument("--out", type=Path, default=RESULT, help="file of the results")
    parser.add_argument("--tool", choices=list(TOOLS), help="of one work")
    parser.add_argument("--work", help="its name")
    parser.add_argument("--seed", type=int, default=0, help="of one work")
    parser.add_argument("--folder", type=Path, help="where one work is written to")
    arguments = parser.parse_args()
    if not arguments.table and (arguments.stage is None or arguments.run is None):
        parser.error("expected a stage and --run, or --table")
    return arguments


def flags_of(arguments: argparse.Namespace) -> list[str]:
    """Give the flags by which another process opens the same study."""
    flags = ["--run", str(arguments.run), "--threads", str(arguments.threads)]
    flags += [] if arguments.data is None else ["--data", str(arguments.data)]
    return flags + ([] if arguments.cache is None else ["--cache", arguments.cache])


def keep(arguments: argparse.Namespace, study: Study, found: dict[str, Any]) -> None:
    """Add what was found to the results."""
    content = json.loads(arguments.out.read_text(encoding="utf-8")) if arguments.out.exists() else {}
    content |= {
        "machine": device_name(torch.device("cpu")),
        "python": platform.python_version(),
        "threads": arguments.threads,
        "seed": study.seed,
        "versions": versions(),
        "settings": settings(),
    }
    content[arguments.stage] = found
    arguments.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def versions() -> dict[str, str]:
    """Find the versions of the tools, and of what they all build on."""
    packages = {tool: PACKAGES[tool] for tool in TOOLS} | {name: name for name in BESIDE}
    found = {}
    for name, package in packages.items():
        try:
            found[name] = version(package)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def settings() -> dict[str, str]:
    """Say what each tool was run with."""
    found = {}
    for tool in TOOLS:
        try:
            found[tool] = getattr(opened(tool), "SETTINGS", "")
        except ImportError as error:
            found[tool] = f"cannot be imported: {error}"
    return {tool: said for tool, said in found.items() if said}


PACKAGES = {
    "hyperinf": "hyperinf",
    "torch": "torch",
    "kronfluence": "kronfluence",
    "dattri-llm": "dattri-llm",
    "bergson": "bergson",
    "TRAK": "traker",
    "dattri": "dattri",
    "Opacus": "opacus",
}


if __name__ == "__main__":
    main()
