"""Folders of prepared data: replaced whole, and never anything else in their place."""

import contextlib
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

from hyperinf.artifacts.files import atomic_directory
from hyperinf.artifacts.records import RECORD, SETTINGS
from hyperinf.errors import InputError


def check_out(out: Path, names: Sequence[str]) -> None:
    """Refuse a place where something else lies already.

    Args:
        out: the folder to be written.
        names: what such a folder holds besides its record and settings; ``*`` stands for anything.

    Raises:
        InputError: ``out`` is a file, or holds something that is not of those names.
    """
    # Snakemake marks folders that are outputs.
    expected = {RECORD, SETTINGS, ".snakemake_timestamp", *names}
    if out.is_dir():
        there = sorted(each.name for each in out.iterdir())
        foreign = [name for name in there if not any(fnmatch(name, pattern) for pattern in expected)]
        if foreign:
            raise InputError(f"{out}: got a folder that holds {foreign[0]!r}, expected a new or empty one")
    elif out.exists():
        raise InputError(f"{out}: got a file, expected a new or empty folder")


def check_replaced(out: Path, marker: str) -> None:
    """Refuse to replace a folder that is not empty and has no file of the name that tells what we wrote.

    Raises:
        InputError: it is something else.
    """
    there = sorted(each.name for each in out.iterdir()) if out.is_dir() else []
    if there and marker not in there:
        raise InputError(f"{out}: got a folder that holds {there[0]!r} and no {marker}, expected a new or empty one")


@contextlib.contextmanager
def written_folder(out: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes ``out``, whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    try:
        with atomic_directory(out) as folder:
            yield folder
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror or error})") from None
