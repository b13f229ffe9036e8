"""Images that lie in the cells of a table: Parquet and the hub's sets have ``{bytes, path}``, or bytes alone."""

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from hyperinf.data.formats.field_parsers import RowError
from hyperinf.data.sources.tables import Row
from hyperinf.errors import brief

COLUMN = "image"


class ImageCells:
    """The images in the cells of a source, of which only names are kept: they are read again when they are needed.

    Attributes:
        contents: reads an image's bytes, by the name of the image: where the first cell stands that holds it.
    """

    def __init__(self) -> None:
        self.contents: dict[str, Callable[[], bytes]] = {}
        self._names: dict[bytes, str] = {}

    def named(self, row: Row, where: str, number: int, again: Callable[[str, int], Any] | None) -> Row:
        """Put a name, or the path of a file, in the place of the image in column ``image``, if there is one.

        Args:
            row: the row.
            where: where it stands.
            number: its number, from 0.
            again: reads a cell by column and number of the row.

        Raises:
            RowError: the cell holds neither.
        """
        cell = row.get(COLUMN)
        if cell is None or isinstance(cell, str):
            return row
        content, path = image_parts(cell)
        if content and again is not None:
            digest = hashlib.sha256(content).digest()
            if digest not in self._names:
                self._names[digest] = where
                self.contents[where] = partial(_content, again, number)
            path = self._names[digest]
        return {**row, COLUMN: path}


def _content(again: Callable[[str, int], Any], number: int) -> bytes:
    return image_parts(again(COLUMN, number))[0] or b""


def image_parts(cell: Any) -> tuple[bytes | None, str]:
    """Read what a cell holds: an image's bytes, its path, or both."""
    parts = cell if isinstance(cell, Mapping) else {"bytes": cell}
    content, path = parts.get("bytes"), parts.get("path")
    if parts.keys() <= {"bytes", "path"} and isinstance(content, bytes | None) and isinstance(path, str | None):
        return content, path or ""
    raise RowError(f"got {brief(cell)} in column {COLUMN!r}, expected an image: its path, or {{bytes, path}}")
