"""Rows of files as a model's samples, with where each stands and what it says."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hyperinf.data.formats.field_parsers import NoAnswerError, NoTextError, RowError, UnusableRowError, unpacked
from hyperinf.data.sources.notes import Row
from hyperinf.data.sources.tables import rows_about
from hyperinf.errors import InputError, brief, listed
from hyperinf.models.encoding import Encoded
from hyperinf.models.rows import COLUMNS, class_of, tags_of
from hyperinf.runtime.progress import track
from hyperinf.selecting.exchanges import COLUMNS as OF_EXCHANGES
from hyperinf.selecting.exchanges import Exchange
from hyperinf.selecting.putting import Putter
from hyperinf.selecting.reading import Read, names_of, read_file
from hyperinf.settings.scored import ScoreRows

_MANY = 10_000
"""Rows from which on making tokens of them takes seconds."""
Parts = list[tuple[str, bool]]
"""A row as text, in parts, each with whether it is what the model is judged by."""


@dataclass(frozen=True)
class Samples:
    """Rows of files as samples.

    Attributes:
        encoded: the samples, whose ids name the file and the line.
        sources: of each the file's name.
        rows: of each its line.
        shown: gives a sample as text.
        read: by file, what was met: ``rows``, ``left_out`` and ``forms``, each counted.
    """

    encoded: Encoded
    sources: Sequence[str]
    rows: Sequence[int]
    shown: Callable[[int], Parts]
    read: Mapping[str, tuple[int, Mapping[str, int], Mapping[str, int]]]

    @property
    def ids(self) -> tuple[str, ...]:
        """One a sample."""
        return tuple(self.encoded.ids)


@dataclass(frozen=True, slots=True)
class Example(Exchange):
    """A row as the model takes it, in ``values``, by what each is (see ``COLUMNS``); prompt and answer are shown."""

    values: Mapping[str, Any] = field(default_factory=dict)


Use = Callable[[Row], Example]


def read_examples(
    files: Sequence[Path],
    use: Use,
    encode: Callable[[list[Any], list[str]], Encoded],
    settings: ScoreRows,
    also: Sequence[str] = (),
) -> Samples:
    """Read rows and make samples of them.

    Args:
        files: to read.
        use: makes an example of a row.
        encode: makes samples of examples' values and their ids.
        settings: how files are read.
        also: columns that are needed beyond the known ones.

    Raises:
        InputError: a line for each row that cannot be used.
    """
    examples: list[Example] = []
    places: list[tuple[str, int]] = []
    notes = [Read(path) for path in files]
    named = filter(None, (settings.text, settings.pair, settings.label))
    columns = [*named, *also, *OF_EXCHANGES, *(name for names in COLUMNS.values() for name in names)]
    for name, note in zip(names_of(files), notes, strict=True):
        rows = read_file(note, use, columns, settings.encoding, settings.skip_bad_rows)
        for row in track(rows, rows_about(note.path), f"reading {note.path.name}", "rows"):
            assert isinstance(row.exchange, Example)
            examples.append(row.exchange)
            places.append((name, row.number))
    if len(examples) >= _MANY:
        print(f"{', '.join(names_of(files))}: making tokens of {len(examples):,} rows", flush=True)
    encoded = encode([each.values for each in examples], [f"{name}:{number}" for name, number in places])
    return Samples(
        encoded,
        [name for name, _ in places],
        [number for _, number in places],
        lambda index: _parts(examples[index]),
        {
            name: (note.rows, note.left_out, note.forms or Counter())
            for name, note in zip(names_of(files), notes, strict=True)
        },
    )


def _parts(example: Example) -> Parts:
    return [(example.prompt, False), (example.answer, True)]


def classified(settings: ScoreRows, config: Any) -> Use:
    """Say how a row of text and label is read.

    Raises:
        InputError: names of classes that are not as many as the model's outputs.
    """
    numbers = _numbers(settings, config)

    def use(row: Row) -> Example:
        text = _filled(row, settings.text, COLUMNS["text"], "text")
        if not isinstance(text, str):
            raise RowError(f"got {brief(text)} as text, expected a string")
        pair = None if settings.pair is None else _filled(row, settings.pair, (), "pair")
        if pair is not None and not isinstance(pair, str):
            raise RowError(f"got {brief(pair)} in column {settings.pair!r}, expected a string")
        label = _filled(row, settings.label, COLUMNS["label"], "label", NoAnswerError)
        number = _taken(class_of, _named(label, numbers), config)
        second = {} if pair is None else {"pair": pair}
        shown = text if pair is None else f"{text}\n{pair}"
        return Example(
            prompt=shown, answer=f" [{label}]", form="text and label", values={"text": text, **second, "label": number}
        )

    return use


def tagged(settings: ScoreRows, config: Any) -> Use:
    """Say how a row of tokens and tags is read.

    Raises:
        InputError: names of classes that are not as many as the model's outputs.
    """
    numbers = _numbers(settings, config)

    def use(row: Row) -> Example:
        tokens = unpacked(_filled(row, settings.text, COLUMNS["tokens"], "tokens"))
        tags = unpacked(_filled(row, settings.label, COLUMNS["tags"], "tags", NoAnswerError))
        named = [_named(tag, numbers) for tag in tags] if isinstance(tags, list) else tags
        taken = _taken(tags_of, tokens, named, config)
        return Example(
            prompt=" ".join(tokens),
            answer=f" [{' '.join(map(str, tags))}]",
            form="tokens and tags",
            values={"tokens": tokens, "tags": taken},
        )

    return use


def answered(read: Callable[[Row], Exchange], tokenizer: Any) -> Use:
    """Say how a row is read of which a model makes another text: what it answers last, given all before.

    Args:
        read: makes an exchange of a row.
        tokenizer: of the model.
    """
    putter = Putter(tokenizer, chat=False)

    def use(row: Row) -> Example:
        exchange = read(row)
        pieces, _ = putter.pieces(exchange)
        last = max(place for place, (_, counted) in enumerate(pieces) if counted)
        prompt = "".join(text for text, _ in pieces[:last])
        answer = pieces[last][0].strip()
        if not prompt.strip():
            raise RowError("got a text alone, expected a prompt and an answer; name your columns in a --template")
        values = {"prompt": prompt, "answer": answer}
        return Example(prompt=prompt, answer=f" -> {answer}", form=exchange.form, values=values)

    return use


def _filled(
    row: Row, named: str | None, usual: Sequence[str], what: str, missing: type[UnusableRowError] = NoTextError
) -> Any:
    name = named or next((name for name in usual if name in row), None)
    if name is None or name not in row:
        flag = {"tokens": "text", "tags": "label"}.get(what, what)
        expected = repr(name) if name is not None else " or ".join(usual)
        raise RowError(f"got columns {listed(row)}, expected {expected}; name that of {what} (--{flag})")
    value = row[name]
    if value is None or value in ("", []) or (isinstance(value, str) and not value.strip()):
        raise missing(f"nothing in column {name!r}")
    return value


def _taken(take: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return take(*arguments)
    except InputError as error:
        raise RowError(str(error)) from None


def _numbers(settings: ScoreRows, config: Any) -> dict[str, int]:
    classes = settings.classes or ()
    if classes and len(classes) != config.num_labels:
        raise InputError(f"classes: got {len(classes)}, expected {config.num_labels}, as the model has so many outputs")
    return {name: number for number, name in enumerate(classes)}


def _named(label: Any, numbers: Mapping[str, int]) -> Any:
    return numbers.get(label, label) if isinstance(label, str) else label
