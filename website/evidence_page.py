"""Put the evidence of a run into the docs: ``python website/evidence_page.py results/evidence``.

Copied into ``docs/evidence``: the ledger, every table and figure, the settings and the record of the run. Written
anew from them: ``docs/evidence/index.md``, which shows them, and the overview between its marks in README and docs.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from hyperinf.artifacts.files import write_text  # noqa: E402
from hyperinf.reporting.labels import ordered_methods, selection_label  # noqa: E402
from hyperinf.reporting.rule import rule_hash  # noqa: E402
from hyperinf.reporting.run_time import times  # noqa: E402
from hyperinf.reporting.verdicts import NOT_TESTED, UNDECIDED, VERDICTS  # noqa: E402

OUT = ROOT / "docs" / "evidence"
SHOWN_IN = (ROOT / "README.md", ROOT / "docs" / "which-method.md")
"""Pages with the overview between its marks."""
ORIGINS = {"published": "published claims", "asked here": "questions asked here"}
PRINTED = ("detection", "epochs", "accuracy", "lds", "settings")
"""Tables that the page shows; the others are linked."""
MARKS = ("<!-- made by website/evidence_page.py -->", "<!-- end -->")
_DETECTED = {"study": "mislabel", "metric": "roc_auc"}
COLUMNS: dict[str, dict[str, object]] = {
    "wrong labels, 1 epoch": {**_DETECTED, "setting": "lora-8", "checkpoint": "epoch-1"},
    "3 epochs": {**_DETECTED, "setting": "lora-8", "checkpoint": "epoch-3"},
    "5 epochs": {**_DETECTED, "setting": "lora-8", "checkpoint": "epoch-5"},
    "3 epochs, rank 16": {**_DETECTED, "setting": "lora-16", "checkpoint": "epoch-3"},
    "3 epochs, within an answer": {
        "study": "mislabel", "metric": "roc_auc_within", "setting": "lora-8", "checkpoint": "epoch-3"
    },
    "predicts retraining": {"study": "validation", "metric": "lds"},
    "language model, 20 % kept": {"study": "llm", "metric": "accuracy", "strategy": "stratified", "fraction": 0.2},
    "vision, 20 % kept": {
        "study": "vlm", "metric": "accuracy", "task": "easy_vqa", "strategy": "plain", "fraction": 0.2
    },
}  # fmt: skip
"""What the overview shows of each method: places in the tables of the studies."""
HEAD = """\
# Evidence

Made by `python website/evidence_page.py results/evidence` from a run of

```
make run ARGS="--configfile workflow/config/evidence.yaml"
```

at commit `{commit}`, on {device}, Python {python}, torch {torch}; {hours}. Its settings, seeds, methods and sizes
were committed before it; so was the rule of the verdicts (SHA-256 `{rule}`, [in words](../claims.md)).
[settings.yaml](settings.yaml) has all settings, [record.json](record.json) versions and hashes.{note}
"""


def evidence(results: Path, note: str, commit: str) -> None:
    """Copy the files of a run and write the page.

    Args:
        results: folder of a run that ended well.
        note: what a reader must know of the run, in sentences.
        commit: that it was run at.
    """
    record = recorded(results, commit)  # first what may be refused
    shutil.rmtree(OUT, ignore_errors=True)
    for folder, kind in (("tables", "csv"), ("figures", "png")):
        (OUT / folder).mkdir(parents=True)
        for file in sorted((results / folder).glob(f"*.{kind}")):
            shutil.copyfile(file, OUT / folder / file.name)
    shutil.copyfile(results / "settings.yaml", OUT / "settings.yaml")
    write_text(OUT / "record.json", json.dumps(record, indent=1, sort_keys=True) + "\n")
    write_text(OUT / "index.md", "\n".join(_page(results, record, note)))
    lines = overview(OUT / "tables")
    for page in SHOWN_IN:
        write_text(page, with_overview(page.read_text(), lines))


def recorded(results: Path, commit: str) -> dict[str, object]:
    """Gather what the run's records say of themselves: versions, device, seeds, seconds of jobs, hashes of scores."""
    known = yaml.safe_load((results / "settings.yaml").read_text())
    studies = [study for study in known["run"] if study in known["studies"]]
    folders = [results / study for study in studies]
    infos = [json.loads(path.read_text()) for each in folders for path in sorted(each.glob("**/scores/*/info.json"))]
    jobs = times(results)
    jobs = jobs[~jobs["study"].isin(set(known["studies"]) - set(studies))]
    same = {
        key: sorted({json.dumps(info[key], sort_keys=True) for info in infos})
        for key in ("packages", "python", "device")
    }
    differ = [key for key, found in same.items() if len(found) != 1]
    if differ:
        raise SystemExit(f"{results}: got records that differ in {', '.join(differ)}, expected those of one run")
    return {
        "commit": commit,
        "hyperinf": infos[0]["hyperinf"],
        **{key: json.loads(found[0]) for key, found in same.items()},
        "rule_sha256": rule_hash(),
        "seeds": {name: known["studies"][name]["seeds"] for name in studies},
        "jobs": len(jobs),
        "seconds_of_jobs": {study: round(float(rows["seconds"].sum()), 1) for study, rows in jobs.groupby("study")},
        "scores": {
            "/".join(
                str(info["run"][key]) for key in ("study", "task", "model", "setting", "seed", "checkpoint")
            ): info["outputs"]["scores.parquet"]
            for info in infos
        },
    }


def overview(tables: Path) -> list[str]:
    """Make the table of all methods, with every number that a README has room for.

    Args:
        tables: folder of the tables, ``docs/evidence/tables``.
    """
    studies = dict.fromkeys(str(where["study"]) for where in COLUMNS.values())
    frames = [pd.read_csv(file) for file in (tables / f"{study}.csv" for study in studies) if file.exists()]
    numbers = pd.concat(frames, ignore_index=True).fillna({"strategy": "", "checkpoint": ""})
    known = {column: _column(numbers, **where) for column, where in COLUMNS.items()}
    known = {column: cells for column, cells in known.items() if cells}
    methods = ordered_methods({method for cells in known.values() for method in cells})
    lines = ["| | " + " | ".join(known) + " |", "| --- " * (len(known) + 1) + "|"]
    for method in methods:
        cells = [cells.get(method, "") for cells in known.values()]
        lines.append(f"| {selection_label(method)} | " + " | ".join(cells) + " |")
    return lines


def _column(numbers: pd.DataFrame, **where: object) -> dict[str, str]:
    """The means of all methods in one place, with half-widths; what all samples come to stands at fraction 1."""
    whole = numbers["fraction"] == 1.0
    own = numbers
    for name, value in where.items():
        own = own[(own[name] == value) | (whole[own.index] if name in ("strategy", "fraction") else False)]
    found = {}
    for _, row in own.iterrows():
        mean, half = (f"{value:.3f}".replace("0.", ".", 1) for value in (row["mean"], row["half_width"]))
        found[str(row["method"])] = mean if pd.isna(row["half_width"]) else f"{mean} ± {half}"
    return found


def with_overview(text: str, lines: Sequence[str]) -> str:
    """Put the table between its marks."""
    before, _, rest = text.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    return before + MARKS[0] + "\n\n" + "\n".join(lines) + "\n\n" + MARKS[1] + after


def _page(results: Path, record: dict[str, object], note: str) -> Iterator[str]:
    seconds = record["seconds_of_jobs"]
    assert isinstance(seconds, dict)
    hours = f"{record['jobs']} jobs, {sum(seconds.values()) / 3600:.1f} hours of one core together"
    packages = record["packages"]
    assert isinstance(packages, dict)
    yield HEAD.format(
        note=f"\n\n{note}" if note else "", commit=record["commit"], device=record["device"], python=record["python"],
        torch=packages["torch"], hours=hours, rule=str(record["rule_sha256"])[:12],
    )  # fmt: skip
    yield "## Verdicts\n"
    yield "![Verdicts on the published claims](figures/verdicts.png)\n"
    yield from _tally(pd.read_csv(OUT / "tables/claims.csv"), "settings")
    yield from _tally(pd.read_csv(OUT / "tables/claims_primary.csv"), "claims, each over all its settings")
    yield (
        "Every claim: [claims_primary.csv](tables/claims_primary.csv); every setting, with the numbers of its seeds: "
        "[claims.csv](tables/claims.csv).\n"
    )
    yield from _primary(pd.read_csv(OUT / "tables/claims_primary.csv", keep_default_na=False))
    for study in ("simulation", *record["seeds"]):  # type: ignore[misc]
        yield from _study(results, study)
    yield from _rest()


def _tally(frame: pd.DataFrame, what: str) -> Iterator[str]:
    yield f"| {what} | {' | '.join(VERDICTS)} | decided, of those tested |"
    yield f"| --- |{' --- |' * (len(VERDICTS) + 1)}"
    for origin, name in ORIGINS.items():
        counts = frame.loc[frame["origin"] == origin, "verdict"].value_counts()
        tested = int(counts.drop(NOT_TESTED, errors="ignore").sum())
        decided = tested - int(counts.get(UNDECIDED, 0))
        yield f"| {name} | {' | '.join(str(counts.get(verdict, 0)) for verdict in VERDICTS)} | {decided} of {tested} |"
    yield ""


def _primary(frame: pd.DataFrame) -> Iterator[str]:
    yield "| published claim | verdict | measured | settings |"
    yield "| --- | --- | --- | --- |"
    for _, row in frame[frame["origin"] == "published"].iterrows():
        needed = f" ({row['needed']} would decide)" if row["needed"] else ""
        yield f"| {row['statement']} | {row['verdict']}{needed} | {row['measured']} | {row['settings']} |"
    yield ""


def _study(results: Path, study: str) -> Iterator[str]:
    shown = [results / "tables" / name for name in (f"{study}.md", *(f"{study}_{name}.md" for name in PRINTED))]
    figures = sorted((OUT / "figures").glob(f"{study}_*.png"))
    if not any(file.exists() for file in shown):
        return
    manifest = json.loads((results / "tables" / f"{study}_manifest.json").read_text())
    texts = {file: entry["title"] for entry in manifest["entries"] for file in entry["files"]}
    yield f"## {manifest['entries'][0]['category']}\n"
    for file in figures:
        yield f"![{texts.get(f'figures/{file.name}', file.stem)}](figures/{file.name})\n"
    for file in (file for file in shown if file.exists()):
        yield file.read_text()


def _rest() -> Iterator[str]:
    yield "## All files\n"
    files: Sequence[Path] = sorted([*OUT.glob("tables/*.csv"), *OUT.glob("figures/*.png")])
    for file in files:
        yield f"- [{file.name}]({file.relative_to(OUT)})"
    yield ""


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", type=Path, help="folder of the run")
    parser.add_argument("--note", default="", help="what a reader must know of the run, in sentences")
    parser.add_argument("--commit", help="that it was run at; by default this clone's")
    told = parser.parse_args()
    own = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    evidence(told.results, told.note, told.commit or own.stdout.strip())


if __name__ == "__main__":
    main()
