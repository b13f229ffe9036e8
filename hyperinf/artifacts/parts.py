"""What a killed command goes on from: the results of each finished part, in whole files."""

import shutil
import tempfile
import weakref
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperinf.artifacts.files import atomic_file, write_text
from hyperinf.artifacts.views import StoredView, View, write_view

Arrays = dict[str, NDArray[Any]]
_FINGERPRINT = "fingerprint"


class State:
    """Results of parts in a folder, which are computed once.

    Args:
        folder: where they are kept; None for a temporary one, which goes with the state.
        fingerprint: of rows and settings; what another one has left is removed.
    """

    def __init__(self, folder: Path | None, fingerprint: str) -> None:
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="hyperinf-"))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._folder, self._fingerprint, self._begun = folder, fingerprint, False

    def once(self, name: str, compute: Callable[[], Mapping[str, NDArray[Any]]]) -> Arrays:
        """Compute arrays, or read them where they have been computed."""
        path = self._path(f"{name}.npz")
        try:
            with np.load(path, allow_pickle=False) as file:
                return {key: file[key] for key in file.files}
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
            pass  # not there yet, or damaged: it is made again
        arrays = dict(compute())
        self._mark()
        with atomic_file(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, **arrays)  # type: ignore[arg-type]
        return arrays

    def view(self, name: str, rows: int, parts: Callable[[], Iterable[NDArray[np.float32]]]) -> View:
        """Compute rows part after part and keep them in a file, or find them where they have been computed.

        Args:
            name: of the view.
            rows: of all parts together.
            parts: computes them, one below the other.
        """
        path = self._path(f"{name}.npy")
        try:
            return StoredView(path)
        except (OSError, ValueError, EOFError):
            pass
        with atomic_file(path) as temporary:
            write_view(temporary, rows, parts())
        self._mark()
        return StoredView(path)

    def remove(self) -> None:
        """Remove what is kept, once all is done."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, name: str) -> Path:
        """Name a file, after what other rows or settings have left is removed."""
        mark = self._folder / _FINGERPRINT
        if not self._begun and not (mark.is_file() and mark.read_text(encoding="utf-8") == self._fingerprint):
            for each in [mark, *self._folder.glob("*.np[yz]")]:
                each.unlink(missing_ok=True)
        self._begun = True
        return self._folder / name

    def _mark(self) -> None:
        """Say whose results these are; nothing is written before there is something to keep."""
        mark = self._folder / _FINGERPRINT
        if not mark.is_file():
            write_text(mark, self._fingerprint)
