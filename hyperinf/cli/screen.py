"""What is printed on standard error: refusals, warnings, and what a stage has written. Secrets are never."""

import logging
import sys
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hyperinf.runtime.process import is_main
from hyperinf.runtime.redaction import redacted

_PACKAGE = str(Path(__file__).resolve().parents[1])
_MOST_FILES = 8


def say(text: object) -> None:
    """Print one line; of several processes of ``accelerate launch`` only the first one does."""
    if is_main():
        print(f"hyperinf: {redacted(one_line(text))}", file=sys.stderr)


def refuse(lines: Iterable[object]) -> int:
    """Print a line for each mistake.

    Returns:
        The exit status, 2.
    """
    for line in lines:
        print(f"hyperinf: error: {redacted(one_line(line))}", file=sys.stderr)
    return 2


def one_line(message: object) -> str:
    """The message without the line breaks that a path or a library may have put into it."""
    return " ".join(str(message).splitlines())


def show_warnings() -> None:
    """Print what is logged and warned of as lines of their own, for as long as the process lives."""
    log = logging.getLogger("hyperinf")
    if not any(isinstance(each, _Lines) for each in log.handlers):
        log.addHandler(_Lines(logging.WARNING))
    # Deprecations inside the libraries are theirs to mend; a user of this command can do nothing about them.
    warnings.filterwarnings("ignore", category=FutureWarning, module="(transformers|peft)")
    warnings.showwarning = _warned


def show_written(out: Path, then: Sequence[str] = ()) -> None:
    """Print what a command has written, and those that may follow."""
    files = sorted(each.name for each in out.iterdir() if not each.name.startswith(".")) if out.is_dir() else []
    more = [f"and {len(files) - _MOST_FILES} more"] if len(files) > _MOST_FILES else []
    say(f"wrote {out}{': ' if files else ''}{', '.join([*files[:_MOST_FILES], *more])}")
    show_next(*then)


def show_next(*then: str) -> None:
    """Print what may follow."""
    for number, command in enumerate(then):
        say(f"{'or' if number else 'next'}: {command}")


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(f"{record.levelname.lower()}: {record.getMessage()}")


_shown_by_python = warnings.showwarning


def _warned(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
) -> None:
    if filename.startswith(_PACKAGE):
        say(f"warning: {message}")
    else:
        _shown_by_python(message, category, filename, lineno, file, line)
