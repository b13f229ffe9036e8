"""The HTML page: one file, no outside resource, the same bytes for the same results."""

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from hyperinf import __version__
from hyperinf.artifacts.files import write_text
from hyperinf.errors import InputError
from hyperinf.reporting import summary as headlines
from hyperinf.reporting.captions import caption
from hyperinf.reporting.claims import claims_frame, ledger_sections, summary_table, write_claims
from hyperinf.reporting.labels import STUDY_LABELS, noted_model, ordered_settings, setting_label
from hyperinf.reporting.manifest import (
    CONVERGENCE_FIGURES,
    FISHER_FIGURE,
    KINDS_TABLE,
    MISLABEL_KINDS,
    SELECTION_TABLES,
    SETTINGS,
    STUDIES,
    TIMING_FIGURE,
    compared_pairs,
    contact_sheets,
    mislabel_figure,
    selection_figure,
    selection_table,
    settings_figure,
    study_tables,
)
from hyperinf.reporting.mislabel_tables import detection_cost_tables, detection_tables, epoch_tables
from hyperinf.reporting.selection_kinds import kind_tables
from hyperinf.reporting.selection_settings import settings_tables
from hyperinf.reporting.selection_tables import accuracy_tables, detail_tables, selection_cost_tables
from hyperinf.reporting.simulation_tables import simulation_tables
from hyperinf.reporting.sources import asset_records, mislabel_records, selection_records
from hyperinf.reporting.table_writers import Estimate, Table, Value, plain

_MAYBE_EMPTY = ("model_note", "strategy", "against", "source", "published", "measured")
"""Columns of text that may be empty in every row; to pandas they would be numbers that are missing."""


Sentence = TypeVar("Sentence")


@dataclass(frozen=True)
class PageFigure:
    """One figure of the page; ``image`` is a data URI."""

    name: str
    title: str
    text: str
    image: str


@dataclass(frozen=True)
class PageStudy:
    """The section of one selection study.

    ``sentences`` are those of each cell, ``cells`` headings with their figures, ``compared`` the figures that set
    settings side by side.
    """

    name: str
    title: str
    sentences: dict[str, list[str]]
    cells: list[tuple[str, list[PageFigure]]]
    tables: list[Table]
    compared: list[PageFigure]
    settings: list[Table]
    kinds: list[Table]
    details: list[Table]
    costs: list[Table]
    records: dict[str, list[tuple[str, str]]]
    sources: Table | None


class _Results:
    """The report's files below the results folder; what is not there is remembered as missing."""

    def __init__(self, results: Path) -> None:
        self.results = results
        self.missing: list[str] = []

    def table(self, name: str) -> pd.DataFrame | None:
        path = self.results / "tables" / f"{name}.csv"
        if not path.is_file():
            self.missing.append(f"tables/{name}.csv")
            return None
        try:
            frame = pd.read_csv(path, dtype=dict.fromkeys(_MAYBE_EMPTY, str))
        except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError):
            raise InputError(f"{path}: not a CSV file; make the report again") from None
        empty = [column for column in _MAYBE_EMPTY if column in frame]
        return frame.fillna(dict.fromkeys(empty, ""))

    def reported(self, study: str) -> bool:
        """Whether any table of the study is there; a run may leave out whole studies, which are not missing then."""
        names = (path.stem for path in (self.results / "tables").glob("*.csv"))
        return any(name == study or name.startswith(f"{study}_") for name in names)

    def figures(self, names: Sequence[str], note: str = "") -> list[PageFigure]:
        found = []
        for name in names:
            path = self.results / "figures" / f"{name}.png"
            if not path.is_file():
                self.missing.append(f"figures/{name}.png")
                continue
            title, text = caption(name)
            image = "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")
            found.append(PageFigure(name, title, f"{note} {text}".strip(), image))
        return found


def write_page(results: Path, out: Path) -> list[Path]:
    """See ``reports.report_page``."""
    if not results.is_dir():
        raise InputError(f"{results}: no such folder; expected the results folder")
    files = _Results(results)
    reported = [study for study in ("simulation", "mislabel", *STUDIES) if files.reported(study)]

    def table(name: str) -> pd.DataFrame | None:
        return files.table(name) if name.partition("_")[0] in reported else None

    simulation, detection = table("simulation"), table("mislabel")
    epochs, cost = table("mislabel_epochs"), table("mislabel_cost")
    studies = [study for name in STUDIES if name in reported and (study := _study(files, name))]
    parts = [part for name in reported if (part := files.table(f"claims_{name}")) is not None]
    claims = pd.concat(parts, ignore_index=True) if parts else claims_frame([])
    simulation_sources, mislabel_sources = table("simulation_sources"), table("mislabel_sources")
    simulation_figures = [*CONVERGENCE_FIGURES, FISHER_FIGURE, TIMING_FIGURE] if "simulation" in reported else []
    pairs: list[tuple[str, str]] = []
    if mislabel_sources is not None:
        pairs = sorted(set(zip(mislabel_sources["task"], mislabel_sources["model"], strict=True)))
    content = {
        "version": __version__,
        "headlines": [
            ("Published claims", list(headlines.claim_sentences(claims))),
            ("Synthetic study", _sentences(headlines.simulation_sentences, simulation)),
            ("Mislabel detection", _sentences(headlines.mislabel_sentences, detection)),
            ("Epochs of fine-tuning", _sentences(headlines.epoch_sentences, epochs)),
            *((f"{study.title}: {where}", said) for study in studies for where, said in study.sentences.items()),
            ("Cost", _sentences(headlines.cost_sentences, cost)),
        ],
        "reported": reported,
        "studies": studies,
        "summary": summary_table(claims),
        "ledger": ledger_sections(claims),
        "simulation_figures": files.figures(simulation_figures),
        "simulation_tables": _tables(simulation_tables, simulation),
        "simulation_sources": _source_table(simulation_sources),
        "pairs": [
            (task, model, files.figures([mislabel_figure(task, model, kind) for kind in MISLABEL_KINDS]))
            for task, model in pairs
        ],
        "detection_tables": _tables(detection_tables, detection),
        "epoch_tables": _tables(epoch_tables, epochs),
        "cost_tables": _tables(detection_cost_tables, cost),
        "mislabel_sources": _source_table(mislabel_sources),
        "records": mislabel_records(results, mislabel_sources) if mislabel_sources is not None else {},
        "assets": asset_records(results),
        "missing": files.missing,
    }
    environment = Environment(
        loader=PackageLoader("hyperinf.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"plain": plain, "bold": _bold, "number": _is_number}
    write_text(out, environment.get_template("page.html.j2").render(content))
    return [out, *write_claims(claims, results / "tables", "claims")]


def _study(files: _Results, name: str) -> PageStudy | None:
    """The section of a selection study; None where it is not known of which runs."""
    sources = files.table(f"{name}_sources")
    if sources is None:
        return None
    settings = ordered_settings(sources["setting"])
    found = {kind: _gathered(files, name, settings, kind) for kind in study_tables(name)}
    accuracy, details, cost = (found[kind] for kind in SELECTION_TABLES)
    kinds = found.get(KINDS_TABLE)
    pairs = compared_pairs(sources[["task", "model", "setting"]].itertuples(index=False, name=None))
    cells = []
    for (task, model, setting), runs in sources.groupby(["task", "model", "setting"], sort=True):
        note = " | ".join(text for text in dict.fromkeys(runs["model_note"]) if text)
        names = [selection_figure(name, task, model, setting)]
        names += contact_sheets(name, (task, model, setting), int(runs["contact_sheets"].max()))
        figures = files.figures(names, f"{model} is {note}." if note else "")
        cells.append((f"{task}, {noted_model(model, note)}, {setting_label(setting)}", figures))
    return PageStudy(
        name=name,
        title=STUDY_LABELS[name],
        sentences=_by_cell(
            [
                *_sentences(headlines.selection_sentences, accuracy),
                *_sentences(headlines.reference_sentences, accuracy),
                *_sentences(headlines.collapse_sentences, details),
            ]
        ),
        cells=cells,
        tables=_tables(accuracy_tables, accuracy),
        compared=files.figures([settings_figure(name, *pair) for pair in pairs]),
        settings=_tables(settings_tables, files.table(f"{name}_{SETTINGS}") if pairs else None),
        kinds=_tables(kind_tables, kinds) if kinds is not None and len(kinds) else [],
        details=_tables(detail_tables, details),
        costs=_tables(selection_cost_tables, cost),
        records=selection_records(files.results, sources),
        sources=_source_table(sources),
    )


def _gathered(files: _Results, study: str, settings: Sequence[str], kind: str) -> pd.DataFrame | None:
    """One kind of table of all settings as one."""
    found = [files.table(selection_table(study, setting, kind)) for setting in settings]
    parts = [frame for frame in found if frame is not None]
    return pd.concat(parts, ignore_index=True) if parts else None


def _sentences(make: Callable[[pd.DataFrame], Iterator[Sentence]], frame: pd.DataFrame | None) -> list[Sentence]:
    return list(make(frame)) if frame is not None else []


def _by_cell(sentences: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    """The sentences of each cell together, so that its name need not be said again."""
    cells: dict[str, list[str]] = {}
    for where, sentence in sentences:
        cells.setdefault(where, []).append(sentence)
    return cells


def _tables(make: Callable[[pd.DataFrame], list[Table]], frame: pd.DataFrame | None) -> list[Table]:
    return make(frame) if frame is not None else []


def _source_table(frame: pd.DataFrame | None) -> Table | None:
    if frame is None:
        return None
    rows = tuple(
        tuple(_short(column, str(row[column])) for column in frame.columns) for _, row in frame.fillna("").iterrows()
    )
    return Table("Files that went in", tuple(frame.columns), rows)


def _short(column: str, text: str) -> str:
    """A hash is recognised by its first digits; the whole one stands in the CSV."""
    return text[:12] if column.endswith("sha256") else text


def _is_number(value: Value) -> bool:
    return isinstance(value, Estimate)


def _bold(value: Value) -> bool:
    return isinstance(value, Estimate) and value.bold
