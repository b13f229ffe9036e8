"""The one error that a user can mend, and how its lines show values."""

import reprlib
from collections.abc import Iterable

_MOST = 2_000  # characters of a line
_NAME = 60  # and of a value or name in it
_LISTED = 20


class InputError(ValueError):
    """Input that cannot be used; the message is one line naming the thing and what was expected.

    The command line prints the line and exits with status 2. Anything else that is raised is a defect of
    hyperinf and keeps its traceback. Of a line that is longer than any list worth reading the middle is left out: what
    a library says of a table may hold a whole cell.
    """

    def __init__(self, message: object) -> None:
        super().__init__("\n".join(map(_readable, str(message).split("\n"))))


class _Brief(reprlib.Repr):
    def __init__(self, most: int) -> None:
        super().__init__()
        self.maxstring = self.maxother = most
        self.maxlist = self.maxtuple = self.maxdict = 3
        self.maxlevel = 2

    def repr_bytes(self, value: bytes, _: int) -> str:
        return f"{len(value):,} bytes"

    def repr_str(self, value: str, level: int) -> str:
        shown = super().repr_str(value, level)
        return f"{shown} ({len(value):,} characters)" if len(value) > self.maxstring else shown


def brief(value: object, most: int = _NAME) -> str:
    """Write a value of whatever size as a message shows it, on one line, of text at most so many characters."""
    return _Brief(most).repr(value)


def listed(names: Iterable[str]) -> str:
    """Write the names of columns, choices, ... as a message shows them: the first twenty, long ones shortened."""
    known = list(names)
    shown = [each if len(each) <= _NAME and each.isprintable() else brief(each) for each in known[:_LISTED]]
    return ", ".join([*shown, *([f"and {len(known) - _LISTED:,} more"] if len(known) > _LISTED else [])]) or "none"


def _readable(line: str) -> str:
    if len(line) <= _MOST:
        return line
    half = _MOST // 2
    return f"{line[:half]} ... ({len(line) - _MOST:,} characters left out) ... {line[-half:]}"
