"""Folders of prepared data: replaced whole, and never anything else in their place."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from hyperinf.errors import InputError
from hyperinf.files import atomic_directory

INFO = "info.json"


def check_out(out: Path, names: Sequence[str]) -> None:
    """Refuse a place where something else lies already.

    Args:
        out: the folder to be written.
        names: what such a folder holds besides its description.

    Raises:
        InputError: ``out`` is a file, or holds something that is not of those names.
    """
    # Snakemake marks folders that are outputs.
    expected = {INFO, ".snakemake_timestamp", *names}
    if out.is_dir():
        foreign = sorted(each.name for each in out.iterdir() if each.name not in expected)
        if foreign:
            raise InputError(f"{out}: holds {foreign[0]!r}, which is no part of a task; expected a new or empty folder")
    elif out.exists():
        raise InputError(f"{out}: is a file; expected a new or empty folder")


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
