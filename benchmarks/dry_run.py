"""How long Snakemake takes to say what a grid would run: ``python benchmarks/dry_run.py --name dry_run_paper``.

Parsing the rules, hashing the code behind them, checking the configuration and building the graph of all jobs, in a
process of its own, for a folder without results. Wall time depends on what else the machine does; CPU time hardly.
"""

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import snakemake

from hyperinf.artifacts.environment import device_name
from hyperinf.artifacts.files import write_json

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configfile", type=Path, nargs="+", default=[Path("workflow/config/paper.yaml")])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--name", help="also write benchmarks/results/NAME.json")
    arguments = parser.parse_args()
    runs = [dry_run(arguments.configfile) for _ in range(arguments.repeats)]
    for run in runs:
        print(
            "{jobs} jobs, {wall_seconds:.1f} s, of which CPU {cpu_seconds:.1f} s, load {load_average:.1f}".format(**run)
        )
    if arguments.name:
        files = [path.as_posix() for path in arguments.configfile]
        content = {"device": device_name("cpu"), "snakemake": snakemake.__version__, "configfiles": files, "runs": runs}
        write_json(Path(__file__).parent / "results" / f"{arguments.name}.json", content)


def dry_run(files: list[Path]) -> dict[str, Any]:
    """One dry run: its jobs, its wall and CPU seconds."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "snakemake", "--dry-run", "--config", f"results={folder}/results"]
        command += ["--configfile", *map(str, files)]
        before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        wall, after = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    total = re.search(r"^total +(\d+)$", done.stdout, re.M)
    if done.returncode or total is None:
        sys.exit(done.stdout + done.stderr)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    load = os.getloadavg()[0]  # of other work as well, on which the wall time depends
    return {"jobs": int(total[1]), "wall_seconds": wall, "cpu_seconds": cpu, "load_average": load}


if __name__ == "__main__":
    main()
