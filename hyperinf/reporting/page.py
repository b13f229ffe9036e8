"""Write the HTML page: one file, no outside resource, the same bytes for the same results."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from hyperinf import __version__
from hyperinf.artifacts.files import write_text
from hyperinf.errors import InputError
from hyperinf.reporting.alternative import alternative
from hyperinf.reporting.claims import OWN_QUESTION, PUBLISHED_CLAIM, claims_frame, primary_frame, untested
from hyperinf.reporting.forest import SIGNS, claim_anchor, forest, published_rows, studies_of, tally
from hyperinf.reporting.ledger import (
    Ledgers,
    claim_table,
    primary_table,
    read_ledgers,
    summary_table,
    write_ledger,
    write_primary,
)
from hyperinf.reporting.manifest import expected_page, read_manifests
from hyperinf.reporting.rendering import embedded_figure, render
from hyperinf.reporting.run_time import spent
from hyperinf.reporting.sources import asset_records
from hyperinf.reporting.style import house_style, save_figure
from hyperinf.reporting.summary import claim_sentences
from hyperinf.reporting.table_writers import Table, printed
from hyperinf.reporting.verdicts_figure import verdicts_figure

_LEADS = ("lds", "accuracy", "detection", "convergence_relative")
"""Figures that stand first in a study, by their captions: the first that it has."""
_SHEETS = ("figure_contact",)
"""What is shown beside it: samples to look at."""


def write_page(results: Path, out: Path, studies: tuple[str, ...] = ()) -> list[Path]:
    """See ``reports.report_page``."""
    if not results.is_dir():
        raise InputError(f"{results}: no such folder; expected the results folder")
    manifests = read_manifests(results, studies)
    entries = [entry for manifest in manifests for entry in manifest["entries"]]
    there = {entry["name"]: (results / entry["files"][0]).is_file() for entry in entries}
    ledgers = read_ledgers(results, manifests)
    frames = [frame for _, frame in ledgers]
    parts = [*frames, claims_frame(untested(frames))]
    claims = pd.concat(parts, ignore_index=True) if ledgers else claims_frame([])
    primary = primary_frame(claims)
    written = _write_claims(results, claims, primary)
    content = {
        "title": "HyperINF: what this run measured",
        "version": __version__,
        "verdicts": list(claim_sentences(claims, primary)),
        "signs": SIGNS,
        "tally": tally(primary[primary["origin"] == PUBLISHED_CLAIM]),
        "published": forest(primary, ledgers, PUBLISHED_CLAIM),
        "asked": forest(primary, ledgers, OWN_QUESTION),
        "primary": printed(primary_table(primary)),
        "claims": [_claim(number, row, claims, ledgers) for number, row in primary.iterrows()],
        "studies": [_study(results, manifest) for manifest in manifests],
        "summary": printed(summary_table(claims)),
        "beside": printed(Table("Published and measured", _BESIDE, tuple(published_rows(ledgers)))),
        "time": spent(results, {str(manifest["study"]): str(manifest["title"]) for manifest in manifests}),
        "assets": asset_records(results),
        "missing": [entry["files"][0] for entry in entries if not there[entry["name"]]],
    }
    write_text(out, render("hyperinf.reporting", "page.html.j2", content))
    return [out, *written]


_BESIDE = ("study", "claim", "setting", "published", "measured here", "verdict")


def _write_claims(results: Path, claims: pd.DataFrame, primary: pd.DataFrame) -> list[Path]:
    """Write the figure of verdicts, the verdicts and the whole ledger."""
    figure, verdicts, ledger = expected_page()
    with house_style():
        drawn = save_figure(verdicts_figure(primary), (results / figure.file).parent, figure.name)
    tables = (results / ledger.file).parent
    return [*drawn, *write_primary(primary, tables, verdicts.name), *write_ledger(claims, tables, ledger.name)]


def _claim(number: Any, row: pd.Series, claims: pd.DataFrame, ledgers: Ledgers) -> dict[str, Any]:
    """A claim with its numbers in every setting."""
    same = (claims[["statement", "origin", "source"]] == row[["statement", "origin", "source"]]).all(axis=1)
    own = claims[same]
    return {
        **{name: str(row[name]) for name in ("statement", "origin", "source", "verdict", "measured")},
        "anchor": claim_anchor(int(number)),
        "sign": SIGNS[row["verdict"]],
        "studies": studies_of(str(row["statement"]), ledgers),
        "table": printed(claim_table(own)),
        "rules": list(dict.fromkeys(own["rule"])),
    }


def _study(results: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest with the figure that stands first, the others, and its tables."""
    figures = []
    for entry in (each for each in manifest["entries"] if each["kind"] == "figure"):
        image, _, table = (results / file for file in entry["files"])
        if image.is_file():
            figures.append({**entry, "image": embedded_figure(image), "alternative": alternative(entry, table)})
    names = [f"figure_{name}" for name in _LEADS]
    leads = sorted(
        (each for each in figures if each["caption"] in names), key=lambda each: names.index(each["caption"])
    )
    first = leads[:1] or figures[:1]
    sheets = [each for each in figures if each["caption"] in _SHEETS]
    return {
        **manifest,
        "first": first,
        "sheets": sheets,
        "figures": [each for each in figures if each not in first and each not in sheets],
        "tables": [entry for entry in manifest["entries"] if entry["kind"] == "table"],
        "data": [entry for entry in manifest["entries"] if entry["kind"] == "data"],
    }
