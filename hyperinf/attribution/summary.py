"""What a scoring came to, in lines."""

import re
from collections.abc import Iterator
from pathlib import Path

from hyperinf.attribution.samples import Parts
from hyperinf.attribution.scored import Scored
from hyperinf.selecting.summary import again
from hyperinf.settings.selecting import SelectRows

_CHARACTERS = 100
_MARKS = re.compile(r"<\|[^|<>]*\|>|</?s>|<(start|end)_of_turn>")
_FEW, _QUERIES = 3, 10


def summary(scored: Scored, out: Path) -> list[str]:
    """Say what was read, what helps and harms, and what may follow."""
    return [*_read(scored), *_best(scored), *_queries(scored), *_next(scored, out)]


def _read(scored: Scored) -> Iterator[str]:
    for samples in (scored.train, scored.target):
        for name, (rows, left_out, forms) in samples.read.items():
            shown = ", ".join(f"{count:,} as {form}" for form, count in forms.items())
            yield f"{name}: {rows:,} rows ({shown})"
            for reason, count in left_out.items():
                yield f"{name}: {count:,} rows left out: {reason}"
    if scored.left_out:
        some = ", ".join(scored.left_out[:_FEW])
        yield f"{len(scored.left_out)} trained weights are in no score, such as {some}; name them in --layers"


def _best(scored: Scored) -> Iterator[str]:
    harmful = int((scored.table["influence"] > 0).sum())
    total = len(scored.table)
    yield (
        f"scored {total:,} rows on {len(scored.target.ids):,} by {scored.settings.method}: {total - harmful:,} help,"
        f" {harmful:,} harm (positive influence)"
    )
    if scored.settings.top is None:
        yield from _sides(scored, None, _FEW)


def _queries(scored: Scored) -> Iterator[str]:
    if scored.settings.top is None:
        return
    for query, name in enumerate(scored.target.ids[:_QUERIES]):
        yield f"query {name}: {one_line(scored.target.shown(query))}"
        yield from _sides(scored, query, scored.settings.top)
    if len(scored.target.ids) > _QUERIES:
        yield f"and {len(scored.target.ids) - _QUERIES:,} queries more, on the page"


def _sides(scored: Scored, query: int | None, count: int) -> Iterator[str]:
    for harmful in (False, True):
        for row, value in scored.best(query, count, harmful):
            # The most harmful of rows that all help are those that help least.
            does = "harms" if value > 0 else "helps"
            yield f"  {does} {value:+.3g}  {scored.train.ids[row]}  {one_line(scored.train.shown(row))}"


def one_line(parts: Parts) -> str:
    """Write a row on one line: the end of what is asked and the beginning of the answer, or a text's two ends."""
    answer = max((place for place, (_, counted) in enumerate(parts) if counted), default=0)
    asked, said = (_plain("".join(text for text, _ in some)) for some in (parts[:answer], parts[answer:]))
    half = _CHARACTERS // 2
    if not asked:
        return said if len(said) <= _CHARACTERS else f"{said[:half]} ... {said[-half:]}"
    before, after = (" ..." if len(text) > half else "" for text in (asked, said))
    return f"{before.strip()} {asked[-half:]} | {said[:half]}{after}".strip()


def _plain(text: str) -> str:
    """Leave out line breaks, and tokens by which a chat template marks turns."""
    return " ".join(_MARKS.sub(" ", text).split())


def _next(scored: Scored, out: Path) -> Iterator[str]:
    settings = scored.settings
    tables = {"layers": settings.per_layer, "tokens": settings.per_token}
    more = [out.with_suffix(f".{name}{out.suffix}") for name, written in tables.items() if written]
    yield f"look at {out.with_suffix('.html')}; all scores are in {', '.join(map(str, [out, *more]))}"
    if settings.top is None:
        yield f"next: see which rows each query owes most to: {again('score', settings, top=5)}"
    elif scored.subject.family == "causal":
        given = {
            name: getattr(settings, name) for name in type(settings).model_fields if name in SelectRows.model_fields
        }
        kept = SelectRows(**{**given, "pool": settings.train, "family": "causal", "out": "kept.jsonl", "state": None})
        yield f"next: keep what helps: {again('select', kept)}"
    else:
        yield "next: look at the rows that harm most, mend or leave them out, and train again"
