"""What a grid costs, stage by stage, in GPU hours and disk, computed from its checked configuration before it runs.

    python benchmarks/grid_cost.py --configfile workflow/config/paper.yaml
    python benchmarks/grid_cost.py --check results

The first line prints an ESTIMATE: operations that are counted (``grid_operations.py``), divided by a GPU's stated peak
times an assumed utilisation (``grid_assumptions.yaml``). The second one holds the counting against what the jobs of a
finished run on this machine's CPU took: with one rate for all stages, fitted, how far is each stage's prediction off?
``--name NAME`` keeps either as ``benchmarks/results/NAME.json``.
"""

import argparse
import csv
import sys
from pathlib import Path
from typing import Any

from grid_operations import Model, Stage, Tower, stages

from hyperinf.artifacts.environment import device_name
from hyperinf.artifacts.files import write_json
from hyperinf.settings.checking import SettingsError
from hyperinf.settings.experiment import ExperimentSettings, checked_experiment
from hyperinf.settings.yaml_files import merged, read_yaml

ROOT = Path(__file__).resolve().parent.parent
ASSUMPTIONS = Path(__file__).with_name("grid_assumptions.yaml")
STARTUP = 4.0  # CPU seconds of a job on the machine of the check before it computes: imports, reading a small model


def main() -> None:
    arguments = parse_arguments()
    facts = read_yaml(ASSUMPTIONS)
    found = stages(experiment(arguments.configfile, arguments.studies), facts, models(facts))
    rows = check(found, arguments.check) if arguments.check else cost(found, facts["gpu"])
    print(as_table(rows))
    if arguments.name:
        where = device_name("cpu") if arguments.check else facts["gpu"]
        content = {"device": where, "configfiles": [path.as_posix() for path in arguments.configfile], "stages": rows}
        write_json(Path(__file__).parent / "results" / f"{arguments.name}.json", content)


def parse_arguments() -> argparse.Namespace:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--configfile", type=Path, nargs="+", default=[], metavar="FILE", help="on top of config.yaml")
    parser.add_argument("--studies", nargs="+", metavar="STUDY", help="what is run, instead of the configuration's")
    parser.add_argument("--check", type=Path, metavar="RESULTS", help="compare with the benchmarks of a finished run")
    parser.add_argument("--name", help="also write benchmarks/results/NAME.json")
    return parser.parse_args()


def experiment(files: list[Path], studies: list[str] | None) -> ExperimentSettings:
    """The checked configuration, merged key by key as Snakemake does; no file that it names has to be there."""
    values = merged(*(read_yaml(file) for file in [ROOT / "config.yaml", *files]), {"run": studies} if studies else {})
    try:
        return checked_experiment(values)
    except SettingsError as error:
        sys.exit(str(error))


def models(facts: dict[str, Any]) -> dict[str, Model]:
    """Shapes of all known models."""
    built = {}
    for name, shape in facts["models"].items():
        tower = Tower(**shape["tower"]) if "tower" in shape else None
        head = tuple(tuple(pair) for pair in shape.get("head", ()))
        built[name] = Model(**{**shape, "tower": tower, "head": head})
    return built


def cost(found: list[Stage], gpu: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each stage, and their sum."""
    rows = []
    for stage in found:
        seconds = (
            stage.operations / (gpu["peak"][stage.dtype] * gpu["utilisation"]) + stage.jobs * gpu["seconds_per_job"]
        )
        rows.append(
            {
                "study": stage.study,
                "rule": stage.name,
                "jobs": stage.jobs,
                "PFLOP": stage.operations / 1e15,
                "GPU hours": seconds / 3600,
                "disk GB": stage.disk / 1e9,
                "scratch GB a job": stage.scratch / 1e9,
            }
        )
    if not rows:
        sys.exit("no study to compute the cost of")
    summed = {key: sum(row[key] for row in rows) for key in ("jobs", "PFLOP", "GPU hours", "disk GB")}
    largest = max(row["scratch GB a job"] for row in rows)
    return [*rows, {"study": "all", "rule": "", **summed, "scratch GB a job": largest}]


def check(found: list[Stage], results: Path) -> list[dict[str, Any]]:
    """Measured and predicted CPU seconds of the jobs of a run that are there; the rate is fitted to all of them."""
    measured = {stage: cpu_seconds(results, stage.files) for stage in found if stage.files}
    known = {stage: times for stage, times in measured.items() if times}
    if not known:
        sys.exit(f"{results}: no benchmark of any stage; expected what 'make run' wrote there")
    per_job = {stage: stage.operations / stage.jobs for stage in known}
    operations = sum(per_job[stage] * len(times) for stage, times in known.items())
    working = sum(sum(times) - STARTUP * len(times) for times in known.values())
    rate = operations / working
    rows = []
    for stage, times in known.items():
        predicted = per_job[stage] / rate + STARTUP
        took = sum(times) / len(times)
        rows.append(
            {
                "study": stage.study,
                "rule": stage.name,
                "jobs measured": len(times),
                "GFLOP a job": per_job[stage] / 1e9,
                "CPU seconds a job": took,
                "predicted": predicted,
                "predicted / measured": predicted / took,
            }
        )
    print(f"fitted rate: {rate / 1e9:.1f} GFLOP a CPU second\n")
    return rows


def cpu_seconds(results: Path, pattern: str) -> list[float]:
    """CPU seconds of jobs as Snakemake's benchmark files have them."""
    times = []
    for file in sorted((results / "benchmarks").glob(pattern)):
        with file.open(encoding="utf-8") as lines:
            times += [
                float(row["cpu_time"]) for row in csv.DictReader(lines, delimiter="\t") if row["cpu_time"] != "NA"
            ]
    return times


def as_table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *([shown(value) for value in row.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    main()
