"""The page of a selection: one HTML file of the rows that help and harm most, and of what is kept."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hyperinf import __version__
from hyperinf.artifacts.files import write_text
from hyperinf.reporting.rendering import embedded, render
from hyperinf.selecting.opening import PICTURES
from hyperinf.selecting.selected import Selected
from hyperinf.selecting.summary import summary

_SHOWN, _GROUPS, _MIX = 10, 10, 20
_CHARACTERS = 700
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def write_page(selected: Selected, out: Path) -> None:
    """Write the page: no outside resource, the same bytes for the same results."""
    rows = _Rows(selected)
    alike = _alike(selected)
    influence = {name: selected.scores[f"influence_{name}"].to_numpy() for name in selected.targets}
    content = {
        "version": __version__,
        "title": f"{Path(selected.settings.out).name}: {int(selected.kept.sum()):,} of {len(selected.kept):,} rows",
        "lines": summary(selected, Path(selected.settings.out)),
        "put": selected.opened.described,
        "targets": [
            {"name": name, "sides": [("Most helpful", rows.shown(order[:_SHOWN], values)),
                                     ("Least helpful", rows.shown(order[::-1][:_SHOWN], values))]}
            for name, values in influence.items()
            for order in [np.argsort(values, kind="stable")]
        ],
        "mixes": list(_mixes(selected)),
        "lengths": _lengths(selected),
        "quantiles": [f"{share:.0%}" for share in _QUANTILES],
        "bias": selected.bias,
        "duplicates": [rows.shown(group, selected.scores["influence"].to_numpy()) for group in alike[:_GROUPS]],
        "groups": len(alike),
        "helped": selected.helped,
    }  # fmt: skip
    write_text(out, render("hyperinf.selecting", "page.html.j2", content))


class _Rows:
    """Rows as a page shows them: what the model reads, with what the loss counts."""

    def __init__(self, selected: Selected) -> None:
        self._selected = selected
        opened = selected.opened
        self._encoded = selected.pool.encoded(opened.pad, opened.images)

    def shown(self, rows: Any, influence: Any) -> list[Mapping[str, Any]]:
        """Describe some rows."""
        return [self._row(int(row), float(influence[row])) for row in rows]

    def _row(self, row: int, influence: float) -> Mapping[str, Any]:
        tokeniser = self._selected.opened.tokeniser
        return {
            "id": self._encoded.ids[row],
            "kept": bool(self._selected.kept[row]),
            "influence": influence,
            "loss": float(self._selected.scores["loss"].iloc[row]),
            "parts": [(_short(text), counted) for text, counted in tokeniser.shown(self._encoded.stored(row))],
            "picture": self._picture(str(self._selected.pool.table["picture"].iloc[row])),
        }

    def _picture(self, name: str) -> str:
        if not name:
            return ""
        return embedded(Path(self._selected.settings.state_folder) / PICTURES / name)


def _short(text: str) -> str:
    half = _CHARACTERS // 2
    return text if len(text) <= _CHARACTERS else f"{text[:half]} […] {text[-half:]}"


def _mixes(selected: Selected) -> Iterator[tuple[str, list[tuple[str, int, int, float, float]]]]:
    """List how many rows of each source, and of each stratum, there are and are kept, with their shares in percent."""
    named = {"Sources": selected.pool.sources}
    if "stratum" in selected.scores:
        named[f"Strata: {selected.settings.stratified}"] = selected.scores["stratum"].to_numpy()
    total, number = len(selected.kept), int(selected.kept.sum())
    for title, names in named.items():
        before, after = Counter(map(str, names)), Counter(map(str, names[selected.kept]))
        yield (
            title,
            [
                (name, count, after[name], 100 * count / total, 100 * after[name] / number)
                for name, count in before.most_common(_MIX)
            ],
        )


def _lengths(selected: Selected) -> list[tuple[str, list[int], list[int]]]:
    found = []
    for what, column in (("tokens of a row", "tokens"), ("tokens of its answers", "answer_tokens")):
        values = selected.scores[column].to_numpy()
        sides = (np.quantile(part, _QUANTILES).round().astype(int).tolist() for part in (values, values[selected.kept]))
        found.append((what, *sides))
    return found


def _alike(selected: Selected) -> list[list[int]]:
    """List the groups of kept rows that are nearly the same, the largest first."""
    groups: dict[int, list[int]] = {}
    for row in np.flatnonzero(selected.kept).tolist():
        groups.setdefault(int(selected.duplicates[row]), []).append(row)
    return sorted((rows for rows in groups.values() if len(rows) > 1), key=lambda rows: (-len(rows), rows))
