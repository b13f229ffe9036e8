"""The HTML page: one file, no outside resource, the same bytes for the same results."""

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from hyperinf import __version__
from hyperinf.errors import InputError
from hyperinf.files import write_text
from hyperinf.reporting import headlines
from hyperinf.reporting.captions import caption
from hyperinf.reporting.claims import claims_frame, ledger_table, summary_table, write_claims
from hyperinf.reporting.mislabel_tables import cost_tables, detection_tables, epoch_tables
from hyperinf.reporting.outputs import (
    CONVERGENCE_FIGURES,
    FISHER_FIGURE,
    MISLABEL_KINDS,
    TIMING_FIGURE,
    mislabel_figure,
)
from hyperinf.reporting.provenance import asset_records, mislabel_records
from hyperinf.reporting.simulation_tables import simulation_tables
from hyperinf.reporting.table_writers import Estimate, Table, Value, plain


@dataclass(frozen=True)
class PageFigure:
    """One figure of the page; ``image`` is a data URI."""

    name: str
    title: str
    text: str
    image: str


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
            return pd.read_csv(path)
        except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError):
            raise InputError(f"{path}: not a CSV file; make the report again") from None

    def figures(self, names: Sequence[str]) -> list[PageFigure]:
        found = []
        for name in names:
            path = self.results / "figures" / f"{name}.png"
            if not path.is_file():
                self.missing.append(f"figures/{name}.png")
                continue
            title, text = caption(name)
            image = "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")
            found.append(PageFigure(name, title, text, image))
        return found


def write_page(results: Path, out: Path) -> list[Path]:
    """See ``reports.report_page``."""
    if not results.is_dir():
        raise InputError(f"{results}: no such folder; expected the results folder")
    files = _Results(results)
    simulation, detection = files.table("simulation"), files.table("mislabel")
    epochs, cost = files.table("mislabel_epochs"), files.table("mislabel_cost")
    parts = [part for part in map(files.table, ("claims_simulation", "claims_mislabel")) if part is not None]
    claims = pd.concat(parts, ignore_index=True).fillna("") if parts else claims_frame([])
    simulation_sources, mislabel_sources = files.table("simulation_sources"), files.table("mislabel_sources")
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
            ("Cost", _sentences(headlines.cost_sentences, cost)),
        ],
        "summary": summary_table(claims),
        "ledger": ledger_table(claims),
        "simulation_figures": files.figures([*CONVERGENCE_FIGURES, FISHER_FIGURE, TIMING_FIGURE]),
        "simulation_tables": _tables(simulation_tables, simulation),
        "simulation_sources": _source_table(simulation_sources),
        "pairs": [
            (task, model, files.figures([mislabel_figure(task, model, kind) for kind in MISLABEL_KINDS]))
            for task, model in pairs
        ],
        "detection_tables": _tables(detection_tables, detection),
        "epoch_tables": _tables(epoch_tables, epochs),
        "cost_tables": _tables(cost_tables, cost),
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
    environment.filters |= {"plain": plain, "bold": _bold}
    write_text(out, environment.get_template("page.html.j2").render(content))
    return [out, *write_claims(claims, results / "tables", "claims")]


def _sentences(make: Callable[[pd.DataFrame], Iterator[str]], frame: pd.DataFrame | None) -> list[str]:
    return list(make(frame)) if frame is not None else []


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


def _bold(value: Value) -> bool:
    return isinstance(value, Estimate) and value.bold
