"""Data sets in the hub's layout, from the hub or from a local folder, through ``datasets``."""

import contextlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperinf.data.sources.notes import check_columns
from hyperinf.errors import InputError

_WITHHELD = -1
_SCRIPT = "scripts are no longer supported"
_ROWS = 256  # that are held at a time: they may hold images
_SAID = 300  # characters of what the library says


@dataclass(frozen=True)
class HubSet:
    """A loaded set.

    Attributes:
        where: the set, for messages.
        splits: the ``datasets.DatasetDict``.
    """

    where: str
    splits: Any

    def rows(
        self, split: str, columns: Sequence[str], optional: Collection[str] = (), label: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """Read the rows of a split, with the columns and those of the optional ones that are there.

        An image is a ``{bytes, path}``, not decoded.

        Args:
            split: its name.
            columns: those that every row must have.
            optional: those that are read if they are there.
            label: the column of the class: it then holds the name where the set declares names, and None where the
                class is withheld.

        Raises:
            InputError: a column is missing, or the label is the number of no class.
        """
        table = self.splits[split]
        check_columns(f"{self.where}, split {split!r}", columns, table.column_names)
        names = self.class_names(split, label) if label else ()
        # Where classes are plain numbers, -1 may be one of them; not if it is the only one.
        withheld = label and (names or {*table.unique(label)} <= {_WITHHELD, None})
        chosen = table.select_columns([*columns, *(name for name in optional if name in table.column_names)])
        rows = (row for batch in chosen.with_format("arrow").iter(_ROWS) for row in batch.to_pylist())
        if label is None or not withheld:
            return rows
        where = f"{self.where}, split {split!r}, row"
        return (
            {**row, label: self._class_name(f"{where} {number}", row[label], names)} for number, row in enumerate(rows)
        )

    def cell(self, split: str, column: str, row: int) -> Any:
        """Read one cell again."""
        return self.splits[split].with_format("arrow")[row : row + 1][column][0].as_py()

    def class_names(self, split: str, column: str) -> tuple[str, ...]:
        """Name the classes of a column in the order of their numbers; none where the set does not declare them."""
        return tuple(name.strip() for name in getattr(self.splits[split].features[column], "names", None) or ())

    def columns(self, split: str) -> list[str]:
        """Name the columns of a split."""
        return list(self.splits[split].column_names)

    def _class_name(self, where: str, value: Any, names: Sequence[str]) -> str | None:
        # -1 is the hub's way of saying that nobody agreed on a label.
        if value is None or value == _WITHHELD:
            return None
        if not 0 <= value < len(names):
            raise InputError(f"{where}: got label {value}, expected the number of one of the {len(names)} classes")
        return names[value]


def load_hub(name: str, subset: str | None, cache: Path, revision: str | None = None) -> HubSet:
    """Load a data set from the hub, for example ``nyu-mll/glue`` with the subset ``qnli``.

    Args:
        name: the set's name on the hub.
        subset: one of the set's configurations, if it has several.
        cache: ``datasets`` keeps its files in the folder ``datasets`` below.
        revision: branch, tag or commit of the set on the hub.

    Raises:
        InputError: the set cannot be loaded.
    """
    where = f"hub:{name}" + (f" ({subset})" if subset else "")
    return HubSet(where, _load(where, cache, name, subset, revision))


def load_folder(folder: Path, subset: str | None, cache: Path) -> HubSet:
    """Load a data set from a local folder in the hub's layout.

    Splits are found by file name (``train-00000-of-00001.parquet``, ``validation.csv``, ...), in the sub-folder of the
    subset's name if there is one, or as the folder's README.md declares them.

    Raises:
        InputError: the folder cannot be loaded, or has no such subset, naming those there.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise InputError(f"{folder}: got no such folder, expected one in the hub's layout")
    if subset is None:
        return HubSet(str(folder), _load(str(folder), cache, str(folder.absolute())))
    below = folder / subset
    if below.is_dir():
        return HubSet(str(below), _load(str(below), cache, str(below.absolute())))
    if not (folder / "README.md").is_file():
        there = sorted(each.name for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))
        raise InputError(
            f"{folder}: got subset {subset!r}, expected one of its sub-folders: {', '.join(there) or 'none'}"
        )
    where = f"{folder} ({subset})"
    return HubSet(where, _load(where, cache, str(folder.absolute()), subset))


def _load(where: str, cache: Path, path: str, subset: str | None = None, revision: str | None = None) -> Any:
    import datasets

    try:
        with _quiet():
            loaded = datasets.load_dataset(path, subset, cache_dir=str(cache / "datasets"), revision=revision)
        for split, table in loaded.items():
            spaced = {name: name.strip() for name in table.column_names if name != name.strip()}
            loaded[split] = table.rename_columns(spaced) if spaced else table
        return loaded
    # RuntimeError: a loading script, which this version of datasets refuses to run.
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        reason = error.__cause__ if isinstance(error, datasets.exceptions.DatasetGenerationError) else error
        lines = str(reason or error).strip().splitlines()
        # Some of what is said of a table holds the cell that it is about.
        said = lines[0] if lines else type(error).__name__
        said = said if len(said) <= _SAID else f"{said[:_SAID]}..."
        if where.startswith("hub:") and _SCRIPT in said:
            said += "; the hub keeps a copy without one, try revision refs/convert/parquet"
        raise InputError(f"{where}: cannot be loaded ({said})") from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars, logging

    disabled, verbosity = are_progress_bars_disabled(), logging.get_verbosity()
    disable_progress_bars()
    logging.set_verbosity(logging.CRITICAL)  # what goes wrong is told in one line, by us
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if not disabled:
            enable_progress_bars()
