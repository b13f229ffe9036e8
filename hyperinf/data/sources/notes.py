"""Rows, the columns they must have, and what is noted while they are read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hyperinf.errors import InputError

Row = Mapping[str, Any]
"""What a row holds, by column."""
Located = tuple[str, Row]
"""Where a row stands (``file:line`` or ``file:row``) and what it holds."""
_LONGEST = 60
_MOST = 20


@dataclass
class Notes:
    """What was met while the rows of a file were read, complete once all are.

    Attributes:
        columns: the names of all columns, in the order in which they were met.
        remarks: what may be wrong and yet is no reason to stop, a line each.
    """

    columns: dict[str, None] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def shown(value: object) -> str:
    """Write a value as Python would, and no more of it than fits into a message."""
    # A list or mapping is cut before it is written: it may hold a file.
    if isinstance(value, str | bytes):
        value = value[: _LONGEST + 1]
    elif isinstance(value, list | tuple):
        inner = ", ".join(shown(each) for each in value[:4]) + (", ..." if len(value) > 4 else "")
        return f"[{inner}]"[:_LONGEST]
    elif isinstance(value, Mapping):
        inner = ", ".join(f"{shown(key)}: {shown(value[key])}" for key in list(value)[:4])
        return f"{{{inner}{', ...' if len(value) > 4 else ''}}}"[:_LONGEST]
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]} ..."


def listed(names: Sequence[str]) -> str:
    """List names, and no more of them than fit into a message."""
    more = f", and {len(names) - _MOST:,} more" if len(names) > _MOST else ""
    return ", ".join(name if len(name) <= _LONGEST else f"{name[:_LONGEST]} ..." for name in names[:_MOST]) + more


def check_columns(where: str, names: Sequence[str], there: Sequence[str]) -> None:
    """Refuse a table that lacks a column.

    Raises:
        InputError: naming the first one missing and those that are there.
    """
    for name in names:
        if name not in there:
            raise InputError(f"{where}: got columns {listed(there) or 'none'}, expected {name!r} among them")
