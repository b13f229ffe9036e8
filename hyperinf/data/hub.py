"""Data sets in the hub's layout, from the hub or from a local folder, through ``datasets``."""

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperinf.data.examples import (
    Columns,
    Corpus,
    EmptyRowError,
    Example,
    RowError,
    check_columns,
    check_ids,
    check_labels,
    example,
    label_name,
    order_names,
)
from hyperinf.data.split_assignment import Roles
from hyperinf.errors import InputError

_HIDDEN = -1
_SCRIPT = "scripts are no longer supported"


@dataclass(frozen=True)
class HubSet:
    """A loaded set.

    Attributes:
        where: the set, for messages.
        splits: the ``datasets.DatasetDict``.
    """

    where: str
    splits: Any

    def rows(self, split: str, columns: Sequence[str], optional: Collection[str] = ()) -> list[dict[str, Any]]:
        """The rows of a split, with the columns and those of the optional ones that are there.

        Raises:
            InputError: a column is missing.
        """
        table = self.splits[split]
        check_columns(f"{self.where}, split {split!r}", columns, table.column_names)
        chosen = [*columns, *(name for name in optional if name in table.column_names)]
        rows: list[dict[str, Any]] = table.select_columns(chosen).to_list()
        return rows


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
        raise InputError(f"{folder}: no such folder")
    if subset is None:
        return HubSet(str(folder), _load(str(folder), cache, str(folder.absolute())))
    below = folder / subset
    if below.is_dir():
        return HubSet(str(below), _load(str(below), cache, str(below.absolute())))
    if not (folder / "README.md").is_file():
        there = sorted(each.name for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))
        raise InputError(f"{folder}: no subset {subset!r}; sub-folders there: {', '.join(there) or 'none'}")
    where = f"{folder} ({subset})"
    return HubSet(where, _load(where, cache, str(folder.absolute()), subset))


def read_hub(
    name: str, subset: str | None, columns: Columns, roles: Roles, cache: Path, revision: str | None = None
) -> Corpus[Example]:
    """Read labelled texts from the hub.

    Args:
        name: the set's name on the hub.
        subset: one of the set's configurations, if it has several.
        columns: what to read.
        roles: which splits are wanted; the others are not read.
        cache: ``datasets`` keeps its files in the folder ``datasets`` below.
        revision: branch, tag or commit of the set on the hub.

    Raises:
        InputError: the set cannot be loaded, lacks a column or a split, or has a row that is no example.
    """
    return _read(load_hub(name, subset, cache, revision), columns, roles)


def read_folder(folder: Path, subset: str | None, columns: Columns, roles: Roles, cache: Path) -> Corpus[Example]:
    """Read labelled texts from a local folder in the hub's layout; see :func:`load_folder`.

    Raises:
        InputError: as in :func:`read_hub`; also an unknown subset, naming those there.
    """
    return _read(load_folder(folder, subset, cache), columns, roles)


def _load(where: str, cache: Path, path: str, subset: str | None = None, revision: str | None = None) -> Any:
    import datasets

    try:
        with _quiet():
            return datasets.load_dataset(path, subset, cache_dir=str(cache / "datasets"), revision=revision)
    # RuntimeError: a loading script, which this version of datasets refuses to run.
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        reason = error.__cause__ if isinstance(error, datasets.exceptions.DatasetGenerationError) else error
        lines = str(reason or error).strip().splitlines()
        said = lines[0] if lines else type(error).__name__
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


def _read(loaded: HubSet, columns: Columns, roles: Roles) -> Corpus[Example]:
    splits: dict[str, list[Example]] = {}
    hidden = []
    skipped = 0
    names: set[str] = set()
    declared: tuple[str, ...] | None = None
    where = loaded.where
    for split in roles.assign(where, list(loaded.splits)).names:
        rows = loaded.rows(split, columns.names)
        class_names = tuple(getattr(loaded.splits[split].features[columns.label], "names", None) or ())
        if rows and all(row[columns.label] in (_HIDDEN, None) for row in rows):
            hidden.append(split)
            continue
        splits[split], left_out = _examples(where, split, rows, columns, class_names)
        skipped += left_out
        declared = class_names or declared
        names |= {each.label for each in splits[split]}
    everything = [each for examples in splits.values() for each in examples]
    if not everything:
        raise InputError(f"{where}: no labelled row in {', '.join(map(repr, loaded.splits))}")
    label_names = declared or order_names(names)
    check_labels(where, columns.label, label_names, len(everything))
    check_ids(where, everything)
    return Corpus(splits=splits, label_names=label_names, exact=False, hidden=tuple(hidden), skipped=skipped)


def _label_reader(class_names: tuple[str, ...]) -> Callable[[Any], str | None]:
    if not class_names:
        return label_name

    def read(value: Any) -> str | None:
        # -1 is the hub's way of saying that nobody agreed on a label.
        if value is None or value == _HIDDEN:
            return None
        if not 0 <= value < len(class_names):
            raise RowError(f"label {value} is not the number of one of the {len(class_names)} classes")
        return class_names[value]

    return read


def _examples(
    where: str, split: str, rows: list[dict[str, Any]], columns: Columns, class_names: tuple[str, ...]
) -> tuple[list[Example], int]:
    read_label = _label_reader(class_names)
    examples = []
    for number, row in enumerate(rows):
        try:
            each = example(columns, row, f"{split}/{number}", read_label(row[columns.label]))
        except EmptyRowError:
            continue
        except RowError as error:
            raise InputError(f"{where}, split {split!r}, row {number}: {error}") from None
        if columns.id is not None:
            each = Example(f"{split}/{each.sample_id}", each.text, each.pair, each.label)
        examples.append(each)
    return examples, len(rows) - len(examples)
