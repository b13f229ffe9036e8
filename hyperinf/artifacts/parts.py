"""What a killed command goes on from: the results of each finished part, in whole files."""

import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperinf.artifacts.files import atomic_file, write_text

Arrays = dict[str, NDArray[Any]]
_FINGERPRINT = "fingerprint"


class State:
    """Results of parts in a folder, which are computed once.

    Args:
        folder: where they are kept; None to keep nothing.
        fingerprint: of rows and settings; what another one has left is removed.
    """

    def __init__(self, folder: Path | None, fingerprint: str) -> None:
        self._folder, self._fingerprint, self._begun = folder, fingerprint, False

    def _begin(self, folder: Path) -> None:
        """Remove what other rows or settings have left; nothing is written before there is something to keep."""
        if self._begun:
            return
        self._begun, mark = True, folder / _FINGERPRINT
        if mark.is_file() and mark.read_text(encoding="utf-8") == self._fingerprint:
            return
        for each in [mark, *folder.glob("*.npz")]:
            each.unlink(missing_ok=True)

    def once(self, name: str, compute: Callable[[], Mapping[str, NDArray[Any]]]) -> Arrays:
        """Compute arrays, or read them where they have been computed."""
        if self._folder is None:
            return dict(compute())
        self._begin(self._folder)
        path = self._folder / f"{name}.npz"
        try:
            with np.load(path, allow_pickle=False) as file:
                return {key: file[key] for key in file.files}
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
            pass  # not there yet, or damaged: it is made again
        arrays = dict(compute())
        mark = self._folder / _FINGERPRINT
        if not mark.is_file():
            write_text(mark, self._fingerprint)
        with atomic_file(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, **arrays)  # type: ignore[arg-type]
        return arrays

    def remove(self) -> None:
        """Remove what is kept, once all is done."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
