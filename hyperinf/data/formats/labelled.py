"""Texts, or pairs of texts, with a label each, in columns that the settings name."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from hyperinf.data.formats.chat_formats import read_headline
from hyperinf.data.formats.field_parsers import RowError, read_class, read_identity, read_text
from hyperinf.data.formats.form import Format
from hyperinf.data.samples import Sample
from hyperinf.data.sources.tables import Located, Row, read_json_lines
from hyperinf.errors import InputError, brief
from hyperinf.settings.data import DataSettings

_SARCASM = ("not sarcastic", "sarcastic")


def read_labelled(row: Row, text: str, label: str, pair: str | None = None, identity: str | None = None) -> Sample:
    """Read a text as it stands there, a second one where there is a column for it, and the class.

    The classes to choose from are those of all rows: :func:`with_classes` fills them in.
    """
    # First of all the label: a split whose labels are withheld may lack anything else.
    answer = read_class(row, label)
    return Sample(
        sample_id="" if identity is None else read_identity(row, identity),
        context=read_text(row, text),
        question="" if pair is None else read_text(row, pair),
        choices=(),
        answer=answer,
        true_answer=answer,
    )


def read_headlines(path: Path) -> Iterator[Located]:
    """Read the asset ``sarcasm`` as a table with the columns ``text`` and ``label``."""
    for where, row in read_json_lines(path):
        try:
            headline, sarcastic = read_headline(row)
        except RowError as error:
            raise InputError(f"{where}: {error}") from None
        yield where, {"text": headline, "label": _SARCASM[sarcastic]}


def with_classes(
    where: str, column: str, splits: Mapping[str, Sequence[Sample]], declared: Sequence[str]
) -> dict[str, Sequence[Sample]]:
    """Give all samples the same choices: the classes as they are declared, or else those met, sorted.

    Args:
        where: the source, for messages.
        column: the column of the class, for messages.
        splits: the samples by split.
        declared: the names of the classes in the order of their numbers, or none.

    Raises:
        InputError: there is one class only, or there are nearly as many as samples, so that the column is no label.
    """
    answers = [each.answer for samples in splits.values() for each in samples]
    names = tuple(declared) or _sorted(set(answers))
    if len(names) < 2:
        raise InputError(f"{where}: got only class {brief(names[0])} in label column {column!r}, expected two or more")
    if len(names) > max(2, len(answers) // 2):
        raise InputError(
            f"{where}: got {len(names):,} different values in {len(answers):,} rows of label column {column!r},"
            " expected a few classes"
        )
    return {split: [replace(each, choices=names) for each in samples] for split, samples in splits.items()}


def _sorted(names: set[str]) -> tuple[str, ...]:
    """Sort names of classes: by value if all are integers, else by their letters."""
    try:
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    except ValueError:
        return tuple(sorted(names))


def _bind(data: DataSettings) -> Format:
    assert data.text is not None
    assert data.label is not None
    columns = [name for name in (data.text, data.pair, data.label, data.id) if name is not None]
    form = replace(
        LABELLED,
        read=partial(read_labelled, text=data.text, label=data.label, pair=data.pair, identity=data.id),
        columns=tuple(columns),
        label=data.label,
    )
    if data.source.kind == "asset":
        return replace(form, document=read_headlines, types=(".jsonl",), classes=_SARCASM)
    return form


LABELLED = Format(
    partial(read_labelled, text="text", label="label"),
    ("text", "label"),
    "labelled",
    asset="sarcasm",
    file="samples.jsonl",
    types=(".csv", ".jsonl", ".parquet", ".tsv"),
    bind=_bind,
)
