"""Texts, or pairs of texts, with a label each, in columns that the settings name."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from hyperinf.data.formats.chat_formats import read_headline
from hyperinf.data.formats.field_parsers import RowError, read_class, read_identity, read_text
from hyperinf.data.formats.form import Format
from hyperinf.data.samples import Sample
from hyperinf.data.sources.tables import TYPES, Located, Row, read_json_lines
from hyperinf.errors import InputError
from hyperinf.settings.data import DataSettings

_SARCASM = ("not sarcastic", "sarcastic")


def read_labelled(row: Row, text: str, label: str, pair: str | None = None, identity: str | None = None) -> Sample:
    """Read a text as it stands there, a second one where there is a column for it, and the class.

    The classes to choose from are those of all rows: :func:`hyperinf.data.classes.with_classes` fills them in.
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
    types=TYPES,
    bind=_bind,
)
