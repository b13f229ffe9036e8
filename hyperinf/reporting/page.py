"""Write the HTML page: one file, no outside resource, the same bytes for the same results."""

from pathlib import Path
from typing import Any

import pandas as pd

from hyperinf import __version__
from hyperinf.artifacts.files import write_text
from hyperinf.errors import InputError
from hyperinf.reporting.claims import COLUMNS, claims_frame, primary_frame, untested
from hyperinf.reporting.inputs import Schema, read_csv
from hyperinf.reporting.ledger import ledger_sections, primary_table, summary_table, write_ledger, write_primary
from hyperinf.reporting.manifest import expected_page, read_manifests
from hyperinf.reporting.register import VERDICTS_FIGURE
from hyperinf.reporting.rendering import embedded, render
from hyperinf.reporting.sources import asset_records
from hyperinf.reporting.style import house_style, save_figure
from hyperinf.reporting.summary import claim_sentences
from hyperinf.reporting.table_writers import printed
from hyperinf.reporting.verdicts_figure import verdicts_figure

_MAY_BE_EMPTY = ("source", "published", "measured", "metric", "values", "rule", "needed")
_LEDGER = Schema(tuple(COLUMNS), (), (), (), optional=_MAY_BE_EMPTY)


def write_page(results: Path, out: Path, studies: tuple[str, ...] = ()) -> list[Path]:
    """See ``reports.report_page``."""
    if not results.is_dir():
        raise InputError(f"{results}: no such folder; expected the results folder")
    manifests = read_manifests(results, studies)
    entries = [entry for manifest in manifests for entry in manifest["entries"]]
    there = {entry["name"]: (results / entry["files"][0]).is_file() for entry in entries}
    ledgers = [results / entry["files"][0] for entry in entries if entry["kind"] == "claims" and there[entry["name"]]]
    parts = [read_csv(path, _LEDGER, may_be_empty=True) for path in ledgers]
    claims = pd.concat([*parts, claims_frame(untested())], ignore_index=True) if parts else claims_frame([])
    primary = primary_frame(claims)
    written = _write_claims(results, claims, primary)
    content = {
        "version": __version__,
        "verdicts": list(claim_sentences(claims, primary)),
        "picture": {"image": embedded(results / expected_page()[0].file), "product": VERDICTS_FIGURE},
        "primary": printed(primary_table(primary)),
        "studies": [_study(results, manifest) for manifest in manifests],
        "summary": printed(summary_table(claims)),
        "ledger": [(printed(table), rule) for table, rule in ledger_sections(claims)],
        "assets": asset_records(results),
        "missing": [entry["files"][0] for entry in entries if not there[entry["name"]]],
    }
    write_text(out, render("hyperinf.reporting", "page.html.j2", content))
    return [out, *written]


def _write_claims(results: Path, claims: pd.DataFrame, primary: pd.DataFrame) -> list[Path]:
    """Write the figure of verdicts, the verdicts and the whole ledger."""
    figure, verdicts, ledger = expected_page()
    with house_style():
        drawn = save_figure(verdicts_figure(primary), (results / figure.file).parent, figure.name)
    tables = (results / ledger.file).parent
    return [*drawn, *write_primary(primary, tables, verdicts.name), *write_ledger(claims, tables, ledger.name)]


def _study(results: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest with its figures by what they are of, and its tables."""
    figures: dict[str, list[dict[str, Any]]] = {}
    for entry in manifest["entries"]:
        path = results / entry["files"][0]
        if entry["kind"] == "figure" and path.is_file():
            figures.setdefault(entry["heading"], []).append({**entry, "image": embedded(path)})
    tables = [entry for entry in manifest["entries"] if entry["printed"]]
    data = [entry for entry in manifest["entries"] if entry["kind"] == "data" and not entry["printed"]]
    return {**manifest, "figures": figures, "tables": tables, "data": data}
