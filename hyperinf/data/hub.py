"""Data sets in the hub's layout, from the hub or from a local folder, through ``datasets``."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hyperinf.data.corpus import (
    Columns,
    Corpus,
    EmptyRowError,
    Example,
    RowError,
    check_ids,
    check_labels,
    example,
    label_name,
    order_names,
)
from hyperinf.data.roles import Roles
from hyperinf.errors import InputError

_HIDDEN = -1


def read_hub(
    name: str, subset: str | None, columns: Columns, roles: Roles, cache: Path, revision: str | None = None
) -> Corpus:
    """Read a data set from the hub, for example ``nyu-mll/glue`` with the subset ``qnli``.

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
    where = f"hub:{name}" + (f" ({subset})" if subset else "")
    return _read(where, _load(where, cache, name, subset, revision), columns, roles)


def read_folder(folder: Path, subset: str | None, columns: Columns, roles: Roles, cache: Path) -> Corpus:
    """Read a data set from a local folder in the hub's layout.

    Splits are found by file name (``train-00000-of-00001.parquet``, ``validation.csv``, ...), in the sub-folder of the
    subset's name if there is one, or as the folder's README.md declares them.

    Raises:
        InputError: as in :func:`read_hub`; also an unknown subset, naming those there.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    if subset is None:
        return _read(str(folder), _load(str(folder), cache, str(folder.absolute())), columns, roles)
    below = folder / subset
    if below.is_dir():
        return _read(str(below), _load(str(below), cache, str(below.absolute())), columns, roles)
    if not (folder / "README.md").is_file():
        there = sorted(each.name for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))
        raise InputError(f"{folder}: no subset {subset!r}; sub-folders there: {', '.join(there) or 'none'}")
    where = f"{folder} ({subset})"
    return _read(where, _load(where, cache, str(folder.absolute()), subset), columns, roles)


def _load(where: str, cache: Path, path: str, subset: str | None = None, revision: str | None = None) -> Any:
    import datasets

    try:
        with _quiet():
            return datasets.load_dataset(path, subset, cache_dir=str(cache / "datasets"), revision=revision)
    # RuntimeError: a loading script, which this version of datasets refuses to run.
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        reason = error.__cause__ if isinstance(error, datasets.exceptions.DatasetGenerationError) else error
        lines = str(reason or error).strip().splitlines()
        raise InputError(f"{where}: cannot be loaded ({lines[0] if lines else type(error).__name__})") from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars, logging

    disabled, verbosity = are_progress_bars_disabled(), logging.get_verbosity()
    disable_progress_bars()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if not disabled:
            enable_progress_bars()


def _read(where: str, loaded: Any, columns: Columns, roles: Roles) -> Corpus:
    splits: dict[str, list[Example]] = {}
    hidden = []
    skipped = 0
    names: set[str] = set()
    declared: tuple[str, ...] | None = None
    for split in roles.assign(where, list(loaded)).names:
        columns.check(f"{where}, split {split!r}", loaded[split].column_names)
        feature = loaded[split].features[columns.label]
        class_names = tuple(getattr(feature, "names", None) or ())
        rows = loaded[split].select_columns(columns.names).to_list()
        if rows and all(row[columns.label] in (_HIDDEN, None) for row in rows):
            hidden.append(split)
            continue
        splits[split], left_out = _examples(where, split, rows, columns, class_names)
        skipped += left_out
        declared = class_names or declared
        names |= {each.label for each in splits[split]}
    everything = [each for examples in splits.values() for each in examples]
    if not everything:
        raise InputError(f"{where}: no labelled row in {', '.join(map(repr, loaded))}")
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
