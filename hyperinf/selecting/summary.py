"""What a selection came to, in lines."""

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hyperinf.selecting.selected import Selected
from hyperinf.settings.base import Settings, mark

_BIASED = 0.3
"""Rank correlation of helpfulness and length from which on it is worth a word."""


def summary(selected: Selected, out: Path) -> list[str]:
    """Say what was read, what is kept, what is odd about it, and what may follow."""
    return [*_read(selected), *_kept(selected), *_odd(selected), *_helped(selected), *_next(selected, out)]


def _read(selected: Selected) -> Iterator[str]:
    about = selected.pool.about
    for place, name in enumerate(about["names"]):
        forms = ", ".join(f"{count:,} as {form}" for form, count in about["forms"][place].items())
        yield f"{name}: {about['rows'][place]:,} rows ({forms})"
        for reason, count in about["left_out"][place].items():
            yield f"{name}: {count:,} rows left out: {reason}"
        if cut := about["cut"].get(name):
            most = selected.opened.family.max_length
            rule = "the last answer lost its end, down to half of that, then the conversation its beginning"
            yield f"{name}: {cut:,} rows of more than {most} tokens were cut: {rule} (--max-length)"


def _kept(selected: Selected) -> Iterator[str]:
    number, total = int(selected.kept.sum()), len(selected.kept)
    how = {"targets": "each target in turn", "queries": "each query in turn", "none": "by the mean over the targets"}
    chose = (
        f", {how[selected.settings.quota]}" if len(selected.targets) > 1 or selected.settings.quota == "queries" else ""
    )
    yield f"kept {number:,} of {total:,} rows by {selected.settings.method}{chose}"
    if len(selected.pool.about["names"]) > 1:
        yield f"sources: {shares(selected.pool.sources, selected.kept)}"
    if "stratum" in selected.scores:
        yield f"{selected.settings.stratified}: {shares(selected.scores['stratum'], selected.kept)}"
    before, after = (np.median(selected.scores["tokens"].to_numpy()[rows]) for rows in (slice(None), selected.kept))
    yield f"tokens of a row, median: {before:.0f} in the pool, {after:.0f} of the kept"


def _odd(selected: Selected) -> Iterator[str]:
    if selected.dropped:
        yield f"{selected.dropped:,} rows not looked at: nearly the same as a better one"
    near = int((selected.duplicates != np.arange(len(selected.duplicates))).sum())
    if near:
        yield f"{near:,} of the kept are nearly the same as another one; --diverse keeps the best of such rows only"
    if abs(selected.bias) >= _BIASED:
        longer = "longer" if selected.bias > 0 else "shorter"
        yield (
            f"length: {longer} answers score as more helpful (rank correlation {selected.bias:+.2f});"
            " --stratified length keeps the mix of lengths"
        )


def _helped(selected: Selected) -> Iterator[str]:
    for each in selected.helped:
        yield f"{each.target}: {each.verdict}"


def _next(selected: Selected, out: Path) -> Iterator[str]:
    yield f"look at {out.with_suffix('.html')}; all scores are in {out.with_suffix('.scores.parquet')}"
    if selected.helped:
        fewer = again("select", selected.settings, keep="10%")
        yield f"next: train on {out}, or choose again, which needs no scoring: {fewer}"
    else:
        yield f"next: train on {out}, or see whether it helps: {again('select', selected.settings, evaluate=True)}"


def again(command: str, settings: Settings, **other: Any) -> str:
    """Write a command as it was given, but for some settings; those that are as by default are left out."""
    files: list[str] = []
    words: list[str] = []
    for name, field in type(settings).model_fields.items():
        value = other.get(name, getattr(settings, name))
        flag = f"--{name.replace('_', '-')}"
        if mark(field, "positional"):
            files += value
        elif value == field.default and name != "out":
            continue
        elif isinstance(value, bool):
            words.append(flag if value else f"--no-{flag[2:]}")
        elif isinstance(value, tuple):
            words += [flag, *map(str, value)]
        else:
            words += [flag, str(value)]
    return shlex.join(["hyperinf", command, *files, *words])


def shares(names: object, kept: object) -> str:
    """Say how many rows of each name there are and are kept, with their shares."""
    counted: Mapping[str, int] = Counter(map(str, np.asarray(names)))
    chosen: Mapping[str, int] = Counter(map(str, np.asarray(names)[np.asarray(kept)]))
    total, number = sum(counted.values()), max(1, sum(chosen.values()))
    shown = [
        f"{name} {chosen[name]:,} of {count:,} ({count / total:.0%} -> {chosen[name] / number:.0%})"
        for name, count in sorted(counted.items(), key=lambda each: -each[1])[:10]
    ]
    return "; ".join([*shown, *([f"and {len(counted) - 10} more"] if len(counted) > 10 else [])])
