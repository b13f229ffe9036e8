"""The first step: rows of pool and targets become tokens in a folder, which is made once."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hyperinf.artifacts.files import read_json, write_json, write_parquet
from hyperinf.data.formats.field_parsers import RowError
from hyperinf.data.sources.tables import rows_about
from hyperinf.errors import InputError, brief
from hyperinf.models.language import PixelSource
from hyperinf.runtime.progress import track
from hyperinf.selecting.duplicates import signature
from hyperinf.selecting.exchanges import COLUMNS, IMAGE, Exchange, Message
from hyperinf.selecting.opening import Opened
from hyperinf.selecting.pictures import kept_picture
from hyperinf.selecting.putting import Piece, Use
from hyperinf.selecting.reading import Read, ReadRow, file_of, read_file
from hyperinf.selecting.tokens import TOKENS, EncodedFile, Tokens, TokenWriter
from hyperinf.settings.selecting import SelectRows

_AT_ONCE = 256
_ROWS, _SIGNATURES, _ABOUT = "rows.parquet", "signatures.npy", "about.json"


@dataclass(frozen=True)
class Rows:
    """Rows that were prepared.

    Attributes:
        folder: where they are.
        table: a row for each: ``source`` (number of its file), ``row`` (its line), ``start``, ``tokens``,
            ``answer_tokens``, ``cut``, ``stratum``, ``picture``.
        about: what was met: ``files``, and for each ``rows``, ``left_out`` and ``forms``; ``cut``.
    """

    folder: Path
    table: pd.DataFrame
    about: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.table)

    @property
    def ids(self) -> tuple[str, ...]:
        """Name each row by its file and line."""
        names = self.about["names"]
        return tuple(f"{names[file]}:{row}" for file, row in zip(self.table["source"], self.table["row"], strict=True))

    @property
    def sources(self) -> NDArray[np.object_]:
        """Name the file of each row."""
        return np.array(self.about["names"], dtype=object)[self.table["source"].to_numpy()]

    def encoded(self, pad: int, images: PixelSource | None) -> EncodedFile:
        """Open the tokens."""
        starts = np.append(self.table["start"].to_numpy(), self.table["start"].iloc[-1] + self.table["tokens"].iloc[-1])
        return EncodedFile(self.folder / TOKENS, self.ids, starts, pad, images, self.table["picture"].tolist())

    def signatures(self) -> NDArray[np.uint32]:
        """Open what tells rows that are nearly the same."""
        found: NDArray[np.uint32] = np.load(self.folder / _SIGNATURES, mmap_mode="r", allow_pickle=False)
        return found

    @classmethod
    def read(cls, folder: Path) -> "Rows":
        """Read what :func:`prepare_rows` wrote."""
        return cls(folder, pd.read_parquet(folder / _ROWS), read_json(folder / _ABOUT))


def prepare_rows(
    folder: Path,
    files: Sequence[Path],
    names: Sequence[str],
    settings: SelectRows,
    opened: Opened,
    pictures: Path,
) -> None:
    """Write the rows of files as tokens, with what else later steps need of each.

    Args:
        folder: to write, which is there.
        files: as they were given.
        names: what ids call each.
        settings: how they are read.
        opened: the model's tokenizer, and how rows are put.
        pictures: folder that pictures are kept in.

    Raises:
        InputError: a line for each row that cannot be used.
    """
    found: dict[str, list[Any]] = {}
    signatures = []
    notes = [Read(file_of(path)) for path in files]
    writer = TokenWriter(folder)
    cut: Counter[str] = Counter()
    try:
        for source, note in enumerate(notes):
            wanted = (*COLUMNS, *opened.columns, *filter(None, [settings.stratified]))
            below = Path(settings.images) if settings.images is not None else note.path.parent
            use = _checked(opened, below, pictures)
            rows = read_file(note, use, wanted, settings.encoding, settings.skip_bad_rows)
            for batch in _batches(track(rows, rows_about(note.path), f"reading {note.path.name}", "rows")):
                put = [each.exchange for each in batch]
                for each, tokens in zip(batch, opened.tokeniser.tokens([_pieces(row) for row in put]), strict=True):
                    place = writer.starts[-1]
                    writer.add(tokens)
                    cut[names[source]] += tokens.length > len(tokens.ids)
                    for name, value in _described(each, source, place, tokens, settings.stratified).items():
                        found.setdefault(name, []).append(value)
                    signatures.append(signature("".join(text for text, _ in _pieces(each.exchange)[0])))
    finally:
        writer.close()
    write_parquet(folder / _ROWS, found)
    np.save(folder / _SIGNATURES, np.array(signatures), allow_pickle=False)
    about = {
        "names": list(names),
        "files": [str(note.path) for note in notes],
        "rows": [note.rows for note in notes],
        "left_out": [dict(note.left_out) for note in notes],
        "forms": [dict(note.forms) for note in notes],
        "cut": dict(cut),
    }
    write_json(folder / _ABOUT, about)


@dataclass(frozen=True, slots=True)
class _Put(Exchange):
    """An exchange with the pieces that are put to the model, in ``messages``' place, and its kept picture."""

    pieces: tuple[list[Piece], bool] = ((), False)  # type: ignore[assignment]


def _pieces(exchange: Exchange) -> tuple[list[Piece], bool]:
    assert isinstance(exchange, _Put)
    return exchange.pieces


def _checked(opened: Opened, below: Path, pictures: Path) -> Use:
    """Make a reader that also puts the row, so that whatever is wrong with it is told with its line."""

    def use(row: Mapping[str, Any]) -> Exchange:
        exchange = opened.use(row)
        if exchange.image is not None and opened.picture is None:
            raise RowError("got a row with an image, expected text for a language model; take --family vision")
        picture = "" if exchange.image is None else kept_picture(exchange.image, below, pictures)
        pieces, plain = opened.putter.pieces(_with_image(exchange) if picture else exchange)
        if opened.picture is not None:
            pieces = _expanded(pieces, opened.picture, bool(picture))
        return _Put(image=picture, form=exchange.form, pieces=(pieces, plain))

    return use


def _with_image(exchange: Exchange) -> Exchange:
    """Let the picture stand somewhere: before the first words of the user where the row does not say."""

    def shown(text: str) -> str:
        return text if IMAGE in text else f"{IMAGE}\n{text}"

    messages: list[Message] = list(exchange.messages)
    if not any(IMAGE in message["content"] for message in messages):
        for place, message in enumerate(messages):
            if message["role"] == "user":
                messages[place] = {**message, "content": shown(message["content"])}
                break
    return replace(exchange, messages=tuple(messages), prompt=shown(exchange.prompt))


def _expanded(pieces: Sequence[Piece], picture: tuple[str, str], expected: bool) -> list[Piece]:
    token, expanded = picture
    pieces = [(text.replace(IMAGE, token), counted) for text, counted in pieces]
    number = sum(text.count(token) for text, _ in pieces)
    if number != expected or any(token in text for text, counted in pieces if counted):
        raise RowError(
            f"got {number} times {token} in what is asked, expected {int(expected)}, as it has so many images"
        )
    return [(text.replace(token, expanded), counted) for text, counted in pieces]


def _batches(rows: Iterator[ReadRow]) -> Iterator[list[ReadRow]]:
    while batch := list(islice(rows, _AT_ONCE)):
        yield batch


def _described(read: ReadRow, source: int, place: int, tokens: Tokens, stratified: str | None) -> dict[str, Any]:
    answers = sum(tokens.counted[1:])
    if not answers:
        raise InputError(f"{read.where}: got an answer without a token, expected some text")
    value = read.row.get(stratified) if stratified is not None else None
    return {
        "source": source,
        "row": read.number,
        "start": place,
        "tokens": len(tokens.ids),
        "answer_tokens": answers,
        "cut": tokens.length > len(tokens.ids),
        "stratum": "" if value is None else value if isinstance(value, str) else brief(value),
        "picture": read.exchange.image or "",
    }
