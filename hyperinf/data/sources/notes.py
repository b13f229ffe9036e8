"""Rows, the columns they must have, and what is noted while they are read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hyperinf.errors import InputError, listed

Row = Mapping[str, Any]
"""What a row holds, by column."""
Located = tuple[str, Row]
"""Where a row stands (``file:line`` or ``file:row``) and what it holds."""


@dataclass
class Notes:
    """What was met while the rows of a file were read, complete once all are.

    Attributes:
        columns: the names of all columns, in the order in which they were met.
        remarks: what may be wrong and yet is no reason to stop, a line each.
    """

    columns: dict[str, None] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def check_columns(where: str, names: Sequence[str], there: Sequence[str]) -> None:
    """Refuse a table that lacks a column.

    Raises:
        InputError: naming the first one missing and those that are there.
    """
    for name in names:
        if name not in there:
            # Of a folder with one class, datasets gives the images only.
            hint = "; folders are labels of the images in them where there are two folders or more"
            more = hint if name == "label" and list(there) == ["image"] else ""
            shown = listed([each or "''" for each in there])
            raise InputError(f"{where}: got columns {shown}, expected {name!r} among them{more}")
