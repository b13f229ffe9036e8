"""Put the evidence of a run into the docs: ``python website/evidence_page.py results/evidence``.

Evidence is kept by study, as studies take hours and owe nothing to each other: those of the run replace what
``docs/evidence`` has of them, and others stay. Copied are their tables, figures and settings, and a record of versions
and hashes. Written anew, of all studies together: the ledger and its verdicts, the figure of them, ``index.md``, and
the overview between its marks in README and docs.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from hyperinf.artifacts.files import write_text  # noqa: E402
from hyperinf.reporting.claims import claims_frame, primary_frame, untested  # noqa: E402
from hyperinf.reporting.labels import ordered_methods, selection_label  # noqa: E402
from hyperinf.reporting.ledger import write_ledger, write_primary  # noqa: E402
from hyperinf.reporting.manifest import expected_page  # noqa: E402
from hyperinf.reporting.rule import rule_hash  # noqa: E402
from hyperinf.reporting.run_time import times  # noqa: E402
from hyperinf.reporting.style import house_style, save_figure  # noqa: E402
from hyperinf.reporting.verdicts import NOT_TESTED, UNDECIDED, VERDICTS  # noqa: E402
from hyperinf.reporting.verdicts_figure import verdicts_figure  # noqa: E402

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

Made by `python website/evidence_page.py results/evidence` from runs of

```
make run ARGS="--configfile workflow/config/evidence.yaml"
```

Settings, seeds, methods and sizes were committed before a study was run; so was the rule of the verdicts (SHA-256
`{rule}`, [in words](../claims.md)). [settings.yaml](settings.yaml) has all settings, [record.json](record.json)
versions and hashes.{note}
"""
Record = dict[str, Any]
"""Of one study: commit, versions, device, seeds, seconds of all jobs, hashes of scores."""


def evidence(results: Path, note: str, commit: str) -> None:
    """Copy the files of a run's studies and write the pages.

    Args:
        results: folder of a run that ended well.
        note: what a reader must know of the evidence, in sentences.
        commit: that it was run at.
    """
    settings = yaml.safe_load((results / "settings.yaml").read_text())
    fresh = recorded(results, settings, commit)  # first what may be refused
    old = json.loads((OUT / "record.json").read_text())["studies"]
    kept = {study: record for study, record in old.items() if study not in fresh}
    sections = {study: _section((OUT / "index.md").read_text(), study) for study in kept}
    records = {study: {**old, **fresh}[study] for study in _order(settings) if study in {*kept, *fresh}}
    whole = with_settings_of(yaml.safe_load((OUT / "settings.yaml").read_text()), settings, kept, records)
    for folder, kind in (("tables", "csv"), ("figures", "png")):
        for file in (OUT / folder).glob(f"*.{kind}"):
            if _study_of(file.name, records) not in kept:
                file.unlink()
        for file in sorted((results / folder).glob(f"*.{kind}")):
            if _study_of(file.name, records) in fresh:
                shutil.copyfile(file, OUT / folder / file.name)
    _write_ledger(records)
    write_text(OUT / "settings.yaml", yaml.safe_dump(whole, sort_keys=False))
    record = {"rule_sha256": rule_hash(), "studies": records}
    write_text(OUT / "record.json", json.dumps(record, indent=1, sort_keys=True) + "\n")
    sections |= {study: "\n".join(_study(results, study)) for study in fresh}
    write_text(OUT / "index.md", "\n".join(_page(records, sections, note)))
    lines = overview(OUT / "tables")
    for page in SHOWN_IN:
        write_text(page, with_overview(page.read_text(), lines))


def recorded(results: Path, settings: Mapping[str, Any], commit: str) -> dict[str, Record]:
    """Gather what the run's records say of each study."""
    jobs = times(results)
    found = {}
    for study in (study for study in _order(settings) if study in settings["run"]):
        own = settings["simulation"] if study == "simulation" else settings["studies"][study]
        infos = [json.loads(file.read_text()) for file in sorted((results / study).glob("**/scores/*/info.json"))]
        found[study] = {
            "commit": commit,
            **_versions(results, study),
            "seeds": own["seeds"],
            "seconds_of_jobs": round(float(jobs.loc[jobs["study"] == study, "seconds"].sum()), 1),
            "scores": {
                "/".join(str(info["run"][key]) for key in ("task", "model", "setting", "seed", "checkpoint")): info[
                    "outputs"
                ]["scores.parquet"]
                for info in infos
            },
        }
    return found


def _versions(results: Path, study: str) -> Record:
    """Versions and device, which all records of a study must agree on."""
    infos = [json.loads(file.read_text()) for file in sorted((results / study).rglob("*info.json"))]
    found: Record = {}
    for key in ("hyperinf", "packages", "python", "device"):
        known = {json.dumps(info[key], sort_keys=True) for info in infos if key in info}
        if len(known) > 1:
            raise SystemExit(f"{results / study}: got records that differ in {key}, expected those of one run")
        if known:
            found[key] = json.loads(known.pop())
    return found


def _order(settings: Mapping[str, Any]) -> list[str]:
    return ["simulation", *settings["studies"]]


def _study_of(name: str, studies: Iterable[str]) -> str | None:
    """The study that a table or figure belongs to; None for those of all studies together."""
    stem = Path(name).stem.removeprefix("claims_")
    known = [study for study in studies if stem == study or stem.startswith(f"{study}_")]
    return max(known, key=len, default=None)


def with_settings_of(
    old: Mapping[str, Any], new: Mapping[str, Any], kept: Iterable[str], order: Iterable[str]
) -> dict[str, Any]:
    """Put the settings of studies that stay into those of a run.

    Raises:
        SystemExit: a model or data set is another one in them, so that one file cannot tell of both.
    """
    for kind in ("models", "data"):
        for name in old[kind].keys() & new[kind].keys():
            if old[kind][name] != new[kind][name]:
                raise SystemExit(f"{kind}: got another {name} than that of the evidence there is, expected the same")
    whole = {**new, "run": list(order), "studies": dict(new["studies"])}
    for study in kept:
        if study == "simulation":
            whole["simulation"] = old["simulation"]
        else:
            whole["studies"][study] = old["studies"][study]
    return {**whole, "models": {**old["models"], **new["models"]}, "data": {**old["data"], **new["data"]}}


def _section(page: str, study: str) -> str:
    """What the page shows of a study that stays."""
    _, begin, rest = page.partition(f"<!-- study: {study} -->\n")
    if not begin:
        raise SystemExit(f"{OUT / 'index.md'}: got no section of {study}, expected one")
    text, _, _ = rest.partition("<!-- end of study -->")
    return text.rstrip("\n")


def _write_ledger(studies: Iterable[str]) -> None:
    """Write claims of all studies, one verdict each, and draw them."""
    files = [OUT / "tables" / f"claims_{study}.csv" for study in studies]
    frames = [pd.read_csv(file, dtype=str, keep_default_na=False) for file in files if file.is_file()]
    claims = pd.concat([*frames, claims_frame(untested(frames))], ignore_index=True)
    primary = primary_frame(claims)
    figure, verdicts, ledger = expected_page()
    with TemporaryDirectory() as scratch, house_style():
        write_primary(primary, Path(scratch), verdicts.name)
        write_ledger(claims, Path(scratch), ledger.name)
        save_figure(verdicts_figure(primary), Path(scratch), figure.name)
        for name in (verdicts.name, ledger.name):
            shutil.copyfile(Path(scratch) / f"{name}.csv", OUT / "tables" / f"{name}.csv")
        shutil.copyfile(Path(scratch) / f"{figure.name}.png", OUT / "figures" / f"{figure.name}.png")


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


def _page(records: Mapping[str, Record], sections: Mapping[str, str], note: str) -> Iterator[str]:
    yield HEAD.format(note=f"\n\n{note}" if note else "", rule=rule_hash()[:12])
    yield "| study | commit | seeds | hours of one core | run on |"
    yield "| --- | --- | --- | --- | --- |"
    for study, record in records.items():
        versions = f"{record['device']}, Python {record['python']}, torch {record['packages']['torch']}"
        hours = f"{record['seconds_of_jobs'] / 3600:.2f}"
        yield f"| {study} | `{record['commit']}` | {len(record['seeds'])} | {hours} | {versions} |"
    yield "\n## Verdicts\n"
    yield "![Verdicts on the published claims](figures/verdicts.png)\n"
    yield from _tally(pd.read_csv(OUT / "tables/claims.csv"), "settings")
    yield from _tally(pd.read_csv(OUT / "tables/claims_primary.csv"), "claims, each over all its settings")
    yield (
        "Every claim: [claims_primary.csv](tables/claims_primary.csv); every setting, with the numbers of its seeds: "
        "[claims.csv](tables/claims.csv).\n"
    )
    yield from _primary(pd.read_csv(OUT / "tables/claims_primary.csv", keep_default_na=False))
    for study in records:
        yield f"<!-- study: {study} -->"
        yield sections[study]
        yield "<!-- end of study -->\n"
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
    parser.add_argument("--note", default="", help="what a reader must know of the evidence, in sentences")
    parser.add_argument("--commit", help="that it was run at; by default this clone's")
    told = parser.parse_args()
    own = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    evidence(told.results, told.note, told.commit or own.stdout.strip())


if __name__ == "__main__":
    main()
