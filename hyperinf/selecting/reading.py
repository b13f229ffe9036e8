"""Reading pools and targets: every row with where it stands, and a line for each that cannot be used."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hyperinf.data.formats.field_parsers import RowError, UnusableRowError
from hyperinf.data.sources.notes import Row
from hyperinf.data.sources.tables import TYPES, read_rows
from hyperinf.data.sources.text_files import DELIMITED, kind_of
from hyperinf.errors import InputError
from hyperinf.selecting.exchanges import Exchange

_LEFT_OUT = 0.01
"""Share of a file's rows that may lack a text or an answer, and are left out."""
_SHOWN, _ALIKE = 20, 3
"""Lines that are shown of rows that cannot be used, and of those with one reason: a column may be lacking in all."""
_METADATA = tuple(f"metadata{suffix}" for suffix in (".jsonl", ".csv", ".parquet"))


@dataclass(frozen=True, slots=True)
class ReadRow:
    """A row that can be used.

    Attributes:
        where: ``file:line``.
        number: the line, or of Parquet and lists the row, from 1.
        row: what it holds.
        exchange: what it says.
    """

    where: str
    number: int
    row: Row
    exchange: Exchange


@dataclass
class Read:
    """What was met in a file, complete once its rows were read.

    Attributes:
        path: the file.
        rows: how many it has.
        left_out: how many were left out, by reason.
        forms: how many there are of each format.
    """

    path: Path
    rows: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    forms: Counter[str] = field(default_factory=Counter)


def file_of(path: Path) -> Path:
    """Find the file of rows: the path itself, or of a folder of images its metadata file.

    Raises:
        InputError: there is none.
    """
    if not path.is_dir():
        if not path.is_file():
            raise InputError(f"{path}: no such file, expected rows as {', '.join(TYPES)}")
        return path
    found = [path / name for name in _METADATA if (path / name).is_file()]
    if not found:
        raise InputError(f"{path}: got a folder, expected a file of rows, or {' or '.join(_METADATA)} in it")
    return found[0]


def names_of(files: Sequence[Path]) -> list[str]:
    """Call files by their names, with their folders where two have one name; a metadata file by that of its folder."""
    paths = [path.parent if path.stem == "metadata" else path for path in files]
    names = [path.name for path in paths]
    return [path.name if names.count(path.name) == 1 else str(path) for path in paths]


def read_file(
    note: Read,
    use: Callable[[Row], Exchange],
    columns: Sequence[str],
    encoding: str | None = None,
    skip_bad: bool = False,
) -> Iterator[ReadRow]:
    """Read the rows of a file that can be used, one after the other.

    Args:
        note: of the file; is told what is met.
        use: makes an exchange of a row, or raises a ``RowError``.
        columns: that are read of Parquet, where they are there.
        encoding: of text; UTF-8 where None.
        skip_bad: pass over rows that cannot be used.

    Raises:
        InputError: after the last row, a line for each that cannot be used, if they are not passed over; or more than a
            few lack a text or an answer.
    """
    wrong, lacking = _Refused(), _Refused()
    for where, row in read_rows(note.path, (), columns, encoding=encoding):
        note.rows += 1
        try:
            exchange = use(row)
        except RowError as error:
            note.left_out[_kind(error)] += 1
            (lacking if isinstance(error, UnusableRowError) else wrong).add(where, str(error))
            continue
        note.forms[exchange.form] += 1
        yield ReadRow(where, int(where.rpartition(":")[2]), row, exchange)
    if not note.rows:
        raise InputError(f"{note.path}: got no rows, expected at least one")
    few = sum(count for reason, count in note.left_out.items() if reason != _BAD) <= _LEFT_OUT * note.rows
    refused = [] if skip_bad else [*wrong.lines, *([] if few else lacking.lines)][:_SHOWN]
    if refused:
        count = note.left_out[_BAD] + (0 if few else sum(note.left_out.values()) - note.left_out[_BAD])
        left = count - len(refused)
        more = [f"{note.path}: and {left:,} rows more"] if left else []
        headless = count == note.rows and kind_of(note.path) in DELIMITED
        ask = "see whether its first line names the columns, " if headless else ""
        advice = (
            f"{note.path}: {count:,} of {note.rows:,} rows cannot be used, expected none; {ask}mend them, or pass over"
        )
        raise InputError("\n".join([*refused, *more, f"{advice} them (--skip-bad-rows)"]))
    if note.rows == sum(note.left_out.values()):
        first = (wrong.lines or lacking.lines)[0]
        raise InputError(f"{note.path}: got {note.rows:,} rows none of which can be used ({first})")


class _Refused:
    """The first lines of rows that cannot be used, a few for each reason."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._seen: Counter[str] = Counter()

    def add(self, where: str, reason: str) -> None:
        if len(self.lines) < _SHOWN and self._seen[reason] < _ALIKE:
            self._seen[reason] += 1
            self.lines.append(f"{where}: {reason}")


_BAD = "not of a known form"


def _kind(error: RowError) -> str:
    return str(error) if isinstance(error, UnusableRowError) else _BAD


def is_text(path: Path) -> bool:
    """Tell whether rows stand in lines of text."""
    return kind_of(path) != ".parquet"
