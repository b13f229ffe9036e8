"""Folders of prepared data: replaced whole, and never anything else in their place."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from hyperinf.artifacts.files import atomic_directory
from hyperinf.artifacts.records import RECORD
from hyperinf.errors import InputError


def check_out(out: Path, names: Sequence[str]) -> None:
    """Refuse a place where something else lies already.

    Args:
        out: the folder to be written.
        names: what such a folder holds besides its description; ``*`` stands for anything.

    Raises:
        InputError: ``out`` is a file, or holds something that is not of those names.
    """
    # Snakemake marks folders that are outputs.
    expected = {RECORD, ".snakemake_timestamp", *names}
    if out.is_dir():
        there = sorted(each.name for each in out.iterdir())
        foreign = [name for name in there if not any(fnmatch(name, pattern) for pattern in expected)]
        if foreign:
            raise InputError(f"{out}: holds {foreign[0]!r}, which is no part of a task; expected a new or empty folder")
    elif out.exists():
        raise InputError(f"{out}: is a file; expected a new or empty folder")


def check_replaced(out: Path, marker: str) -> None:
    """Refuse to replace a folder that is not empty and has no file of the name that tells what we wrote.

    Raises:
        InputError: it is something else.
    """
    there = sorted(each.name for each in out.iterdir()) if out.is_dir() else []
    if there and marker not in there:
        raise InputError(f"{out}: holds {there[0]!r} and no {marker}; expected a new or empty folder")


def check_content_hash(path: Path, info: Mapping[str, Any]) -> None:
    """Refuse the description of prepared data that does not say which data.

    Raises:
        InputError: it has no ``content_sha256``.
    """
    if not isinstance(info.get("content_sha256"), str):
        raise InputError(f"{path}: no content_sha256, the hash of the data; expected what the data command wrote")


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
