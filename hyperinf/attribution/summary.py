"""What a scoring came to, in lines."""

import shlex
from collections.abc import Iterator
from pathlib import Path

from hyperinf.attribution.samples import Parts
from hyperinf.attribution.scored import Scored

_CHARACTERS = 100
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
    """Write a row on one line, shortened in its middle."""
    text = " ".join("".join(text for text, _ in parts).split())
    half = _CHARACTERS // 2
    return text if len(text) <= _CHARACTERS else f"{text[:half]} ... {text[-half:]}"


def _next(scored: Scored, out: Path) -> Iterator[str]:
    settings = scored.settings
    tables = {"layers": settings.per_layer, "tokens": settings.per_token}
    more = [out.with_suffix(f".{name}{out.suffix}") for name, written in tables.items() if written]
    yield f"look at {out.with_suffix('.html')}; all scores are in {', '.join(map(str, [out, *more]))}"
    if settings.top is None:
        yield f"next: see which rows each query owes most to: {command(scored)} --top 5 --out {shlex.quote(str(out))}"
    elif scored.subject.family == "causal":
        files = " ".join(map(shlex.quote, settings.train)), " ".join(map(shlex.quote, settings.target))
        adapter = "" if settings.adapter is None else f" --adapter {shlex.quote(settings.adapter)}"
        model = shlex.quote(_named(scored))
        given = f"{files[0]} --target {files[1]} --model {model}{adapter}"
        yield f"next: keep what helps: hyperinf select {given} --keep 20%"


def command(scored: Scored) -> str:
    """Write the command again, as far as it decides what is scored."""
    settings = scored.settings
    words = ["hyperinf", "score", *settings.train, "--target", *settings.target, "--model", _named(scored)]
    for name in ("adapter", "family", "text", "pair", "label", "template", "bits", "method"):
        value, field = getattr(settings, name), type(settings).model_fields[name]
        if value != field.default:
            words += [f"--{name}", str(value)]
    for name in ("layers", "classes"):
        words += [f"--{name}", *getattr(settings, name)] if getattr(settings, name) else []
    return shlex.join(words)


def _named(scored: Scored) -> str:
    model = scored.settings.model
    return model.name if model.kind in ("path", "hub") else str(model)
