"""Tables with a header line, and with commas, semicolons, tabs or bars between their cells.

Python's ``csv`` splits the lines: pandas and pyarrow fill up or cut rows of a wrong length, and tell no row's line.
What stands between cells, and whether quotes in a table with tabs are text, is found by hand: by the columns that are
looked for, and by whether every line is a row; ``csv.Sniffer`` counts characters, which goes wrong on prose.
"""

import contextlib
import csv
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from hyperinf.data.sources.notes import Located, Notes, check_columns
from hyperinf.data.sources.text_files import kind_of, text_lines
from hyperinf.errors import InputError

_DELIMITERS = (",", ";", "\t", "|")
_NAMED = re.compile(r'"?sep=([,;\t|])"?\s*')
"""The line by which Excel names the separator."""
_QUOTED = re.compile('"(?:[^"]|"")*"', re.DOTALL)


def read_delimited(
    path: Path, columns: Sequence[str], optional: Collection[str], encoding: str | None, notes: Notes
) -> Iterator[Located]:
    """Read a table row by row; rows without a character are none.

    Raises:
        InputError: naming the line on which the row ends, or on which a quote is opened and never closed.
    """
    csv.field_size_limit(2**31 - 1)  # as set by default, no cell is longer than 131,072
    header_line = next((line for line in text_lines(path, encoding) if line.strip()), "")
    if not header_line:
        raise InputError(f"{path}: got an empty file, expected a header line with {', '.join(columns)}")
    named = _NAMED.fullmatch(header_line)
    delimiter = named[1] if named else _delimiter(path, header_line, columns, optional)
    as_text = delimiter == "\t" and _quotes_are_text(path, encoding)
    lines = _Lines(text_lines(path, encoding))
    quoting: Any = csv.QUOTE_NONE if as_text else csv.QUOTE_MINIMAL
    reader = csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=True)
    header: list[str] = []
    swallowed: list[int] = []
    try:
        for cells in reader:
            first, span = reader.line_num - len(lines.of_row) + 1, lines.taken()
            if not any(cell.strip() for cell in cells) or (named and not header and cells[0].startswith("sep=")):
                continue
            if not header:
                header = _header(f"{path}:{reader.line_num}", cells, columns, optional)
                check_columns(str(path), columns, header)
                notes.columns.update(dict.fromkeys(filter(None, header)))
                continue
            if len(cells) != len(header):
                plain = '; plain text is read as JSON lines, {"text": ...} each' if kind_of(path) == ".txt" else ""
                raise InputError(
                    f"{path}:{reader.line_num}: got {len(cells)} fields, expected {len(header)};"
                    f" a field with {delimiter!r} in it is put in quotes{plain}"
                )
            if len(span) > 1 and all(line.count(delimiter) == len(header) - 1 for line in span):
                swallowed.append(first)
            yield f"{path}:{reader.line_num}", dict(zip(header, cells, strict=True))
    except csv.Error as error:
        line = reader.line_num - len(lines.of_row) + 1
        raise InputError(
            f"{path}:{line}: got what is not CSV ({error}), expected a row of fields, quotes in quoted ones doubled"
        ) from None
    if swallowed:
        notes.remarks.append(
            f"{path}:{swallowed[0]}: a quote holds several lines together, each of which would be a row of its own"
            f" ({len(swallowed):,} such rows); if it is part of a text, put the text in quotes and double it"
        )


class _Lines(Iterator[str]):
    """Lines, of which those of the row that is being read are kept."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.of_row: list[str] = []
        self._lines = lines

    def __next__(self) -> str:
        self.of_row.append(next(self._lines))
        return self.of_row[-1]

    def taken(self) -> list[str]:
        taken, self.of_row = self.of_row, []
        return taken


def _header(where: str, cells: Sequence[str], columns: Sequence[str], optional: Collection[str]) -> list[str]:
    """Name the columns, without the spaces around their names; which of two of a name is not read does not matter."""
    header = [cell.strip() for cell in cells]
    twice = [name for name in (*columns, *optional) if header.count(name) > 1]
    if twice:
        raise InputError(f"{where}: got a column name twice, {twice[0]!r}, expected different ones")
    return header


def _delimiter(path: Path, line: str, columns: Collection[str], optional: Collection[str]) -> str:
    """Find what the columns that are looked for stand between; else what the suffix says, or makes most columns."""
    tabs = kind_of(path) == ".tsv"

    def merit(delimiter: str) -> tuple[int, int, bool, int]:
        cells = {cell.strip() for cell in next(csv.reader([line], delimiter=delimiter))}
        meant = tabs and delimiter == "\t" and len(cells) > 1
        return len(cells.intersection(columns)), len(cells.intersection(optional)), meant, len(cells)

    return max(("\t" if tabs else ",", *_DELIMITERS), key=merit)


def _quotes_are_text(path: Path, encoding: str | None) -> bool:
    """Tell whether quotes are part of the texts of a table with tabs, in which many programs write none around texts.

    They are where every line is a row as it stands, unless all cells that begin with a quote are put in quotes as CSV
    has it, and quotes within one are doubled, a whole column is quoted, or an empty cell is; and where there is no
    reading the file as CSV.
    """
    width, doubled, open_end = 0, False, False
    always: list[bool] = []
    for line in text_lines(path, encoding):
        cells = line.rstrip("\r\n").split("\t")
        if not line.strip():
            continue
        if not width:
            width, always = len(cells), [True] * len(cells)
        if len(cells) != width:
            return not _is_csv(path, encoding)
        for place, cell in enumerate(cells):
            quoted = cell.startswith('"')
            open_end |= quoted and not _QUOTED.fullmatch(cell)
            always[place] &= quoted
            doubled |= quoted and '""' in cell
    return open_end or not (doubled or any(always))


def _is_csv(path: Path, encoding: str | None) -> bool:
    with contextlib.suppress(csv.Error):
        for _ in csv.reader(text_lines(path, encoding), delimiter="\t", strict=True):
            pass
        return True
    return False
