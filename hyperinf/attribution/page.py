"""The page of a scoring: one HTML file of the rows that help and harm most, of the whole target and of each query."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hyperinf import __version__
from hyperinf.artifacts.files import write_text
from hyperinf.attribution.scored import Scored
from hyperinf.attribution.summary import summary
from hyperinf.influence.tokens import REST
from hyperinf.reporting.rendering import render

_SHOWN, _QUERIES, _CHARACTERS = 10, 100, 700


def write_page(scored: Scored, out: Path) -> None:
    """Write the page: no outside resource, the same bytes for the same results."""
    top, queries = scored.settings.top, len(scored.target.ids) if scored.settings.top is not None else 0
    content = {
        "version": __version__,
        "title": f"{Path(scored.settings.out).name}: {len(scored.table):,} rows",
        "lines": [line for line in summary(scored, Path(scored.settings.out)) if not line.startswith(("  ", "query "))],
        "shares": _histogram(scored.table["influence"].to_numpy()),
        "whole": _sides(scored, None, _SHOWN),
        "with_tokens": scored.tokens is not None,
        "queries": [
            {
                "id": scored.target.ids[query],
                "parts": _short(scored.target.shown(query)),
                "sides": _sides(scored, query, top or 0),
            }
            for query in range(min(queries, _QUERIES))
        ],
        "more": max(0, queries - _QUERIES),
    }
    write_text(out, render("hyperinf.attribution", "scores.html.j2", content))


def _sides(scored: Scored, query: int | None, count: int) -> list[tuple[str, list[Mapping[str, Any]]]]:
    return [
        (title, [_row(scored, row, value, query is None) for row, value in scored.best(query, count, harmful)])
        for title, harmful in (("Most helpful", False), ("Most harmful", True))
    ]


def _row(scored: Scored, row: int, influence: float, of_target: bool) -> Mapping[str, Any]:
    return {
        "id": scored.train.ids[row],
        "influence": influence,
        "loss": float(scored.table["loss"].iloc[row]),
        "parts": _short(scored.train.shown(row)),
        # Tokens are scored on the mean of the target.
        "tokens": list(_tokens(scored, row)) if of_target and scored.tokens is not None else [],
    }


def _tokens(scored: Scored, row: int) -> Iterator[tuple[str, str, str]]:
    """Give each token of a row with its colour and its influence: blue helps, orange harms."""
    assert scored.tokens is not None
    own = scored.tokens.of([scored.train.ids[row]])
    largest = float(own["influence"].abs().max()) or 1.0
    # Some tokenizers have spaces in their tokens, of others none is left in a token alone.
    gap = "" if own["text"].str.startswith(" ").any() else " "
    for part, text, value in zip(own["part"], own["text"], own["influence"], strict=True):
        colour = "213, 94, 0" if value > 0 else "0, 114, 178"
        shown = " (no token)" if part == REST else f"{text}{gap}"
        yield shown, f"rgba({colour}, {0.75 * abs(value) / largest:.3f})", f"{value:+.3g}"


def _short(parts: list[tuple[str, bool]]) -> list[tuple[str, bool]]:
    half = _CHARACTERS // 2
    return [
        (text if len(text) <= _CHARACTERS else f"{text[:half]} […] {text[-half:]}", counted) for text, counted in parts
    ]


def _histogram(values: np.ndarray) -> list[tuple[str, int, float]]:
    """Count the rows of each tenth of the range of influence."""
    counts, edges = np.histogram(values, bins=10)
    return [
        (f"{start:+.2g} to {end:+.2g}", int(count), 100 * count / max(1, counts.max()))
        for count, start, end in zip(counts, edges[:-1], edges[1:], strict=True)
    ]
