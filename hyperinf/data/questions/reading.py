"""Every usable question of a source."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hyperinf.data.assets import fetch_asset
from hyperinf.data.examples import Corpus, EmptyRowError, RowError, check_columns, check_ids
from hyperinf.data.hub import HubSet, load_folder, load_hub
from hyperinf.data.questions.config import QuestionSource
from hyperinf.data.questions.field_parsers import Row
from hyperinf.data.questions.formats import Format
from hyperinf.data.questions.question import NoAnswerError, Question
from hyperinf.data.split_assignment import Roles
from hyperinf.data.tables import read_rows
from hyperinf.errors import InputError


@dataclass(frozen=True)
class Reading:
    """What a source holds.

    Attributes:
        corpus: its questions by split, their images being paths on this machine; splits whose answers are withheld are
            ``hidden``.
        unusable: how many rows were left out for what reason.
    """

    corpus: Corpus[Question]
    unusable: Mapping[str, int]


@dataclass(frozen=True)
class _Split:
    """Rows of a split, with where each stands, and what is put before their own ids, or else their numbers.

    ``folder`` is what the paths of images are relative to; the hub has none.
    """

    name: str
    rows: Iterable[tuple[str, Row]]
    folder: Path | None
    before_id: str
    before_number: str
    digits: int = 1


def read_source(origin: QuestionSource, roles: Roles, cache: Path, wheels: Sequence[Path] = ()) -> Reading:
    """Read the splits of a source that are needed for ``roles``.

    Raises:
        InputError: the source cannot be read, or has a row that is none of its format.
    """
    form = origin.form
    if origin.images is not None and not origin.images.expanduser().is_dir():
        raise InputError(f"{origin.images}: no such folder of images")
    if origin.source.kind == "asset":
        return _read(origin, _asset_splits(origin, fetch_asset(origin.source.name, cache, wheels)), exact=True)
    if origin.source.kind == "hub":
        loaded = load_hub(origin.source.name, origin.subset, cache, origin.revision)
        return _read(origin, _hub_splits(loaded, form, roles, None), exact=False)
    if not origin.path.exists():
        raise InputError(f"{origin.path}: no such file or folder")
    if origin.path.is_file():
        return _read(origin, [_file(origin.path, form, alone=True)], exact=True)
    below = origin.path / origin.subset if origin.subset else origin.path
    files = _named_files(below, roles, form.types)
    if files:
        return _read(origin, [_file(path, form, alone=False) for path in files], exact=True)
    if form.splits:
        return _read(origin, _known_splits(below, form, ""), exact=True)
    if form.document is not None:
        expected = " or ".join(form.types)
        raise InputError(f"{below}: a folder; name its file of {origin.format}, or a file for each split ({expected})")
    loaded = load_folder(origin.path, origin.subset, cache)
    return _read(origin, _hub_splits(loaded, form, roles, below if below.is_dir() else origin.path), exact=False)


def _asset_splits(origin: QuestionSource, folder: Path) -> list[_Split]:
    form, name = origin.form, origin.source.name
    if form.splits:
        return _known_splits(folder, form, f"{name}/")
    return [_Split(name, _rows(folder / str(form.file), form), folder, f"{name}/", f"{name}/", digits=6)]


def _known_splits(folder: Path, form: Format, before: str) -> list[_Split]:
    files = {split: folder / str(form.file).format(split=split) for split in form.splits}
    return [
        _Split(split, _rows(path, form), path.parent, f"{before}{split}/", f"{before}{split}/")
        for split, path in files.items()
    ]


def _hub_splits(loaded: HubSet, form: Format, roles: Roles, folder: Path | None) -> Iterator[_Split]:
    for split in roles.assign(loaded.where, list(loaded.splits)).names:
        rows = loaded.rows(split, form.columns, form.optional)
        placed = ((f"{loaded.where}, split {split!r}, row {number}", row) for number, row in enumerate(rows))
        yield _Split(split, placed, folder, f"{split}/", f"{split}/")


def _named_files(folder: Path, roles: Roles, types: Sequence[str]) -> list[Path]:
    """The files of the folder that the user named as splits; none if they are splits in the hub's layout."""
    files = [Path(name) for name in roles.named if Path(name).suffix.lower() in types]
    if files and len(files) < len(roles.named):
        other = next(name for name in roles.named if Path(name) not in files)
        raise InputError(f"{folder}: split {str(files[0])!r} is a file, but {other!r} is not; name a file for both")
    if files and roles.train is None:
        raise InputError(f"{folder}: split {str(files[0])!r} is a file; name the pool's file, too")
    return [folder / path for path in files]


def _file(path: Path, form: Format, alone: bool) -> _Split:
    rows = _rows(path, form)
    if alone:
        return _Split(path.stem, rows, path.parent, "", f"{path.stem}/")
    return _Split(path.name, rows, path.parent, f"{path.stem}/", f"{path.stem}/")


def _rows(path: Path, form: Format) -> Iterable[tuple[str, Row]]:
    if form.document is None:
        return read_rows(path, form.columns, form.optional, form.types)
    if path.suffix.lower() not in form.types:
        raise InputError(f"{path}: unknown file type {path.suffix!r}; expected {', '.join(form.types)}")
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    return _checked(form.document(path), form.columns)


def _checked(rows: Iterable[tuple[str, Row]], columns: Sequence[str]) -> Iterator[tuple[str, Row]]:
    for where, row in rows:
        check_columns(where, columns, list(row))
        yield where, row


def _read(origin: QuestionSource, splits: Iterable[_Split], exact: bool) -> Reading:
    found: dict[str, list[Question]] = {}
    hidden = []
    unusable: Counter[str] = Counter()
    for split in splits:
        questions, withheld, reasons = _usable(origin, split)
        if withheld and not questions and not reasons:
            hidden.append(split.name)
            continue
        if withheld:
            reasons["no answer"] = withheld
        unusable += reasons
        found[split.name] = questions
    everything = [each for questions in found.values() for each in questions]
    if not everything:
        why = ", ".join(f"{reason}: {number:,} rows" for reason, number in unusable.items())
        raise InputError(f"{origin.where}: no question with an answer" + (f" ({why})" if why else ""))
    check_ids(origin.where, everything)
    corpus = Corpus(found, label_names=(), exact=exact, hidden=tuple(hidden), skipped=sum(unusable.values()))
    return Reading(corpus, dict(sorted(unusable.items())))


def _usable(origin: QuestionSource, split: _Split) -> tuple[list[Question], int, Counter[str]]:
    """The questions, the number of rows without an answer, and why other rows cannot be used."""
    form = origin.form
    questions = []
    withheld = 0
    reasons: Counter[str] = Counter()
    for number, (where, row) in enumerate(split.rows):
        try:
            question = form.read(row)
        except RowError as error:
            if form.own or not isinstance(error, EmptyRowError):
                raise InputError(f"{where}: {error}") from None
            if isinstance(error, NoAnswerError):
                withheld += 1
            else:
                reasons[str(error)] += 1
            continue
        if form.visual and not question.image and not origin.text_rows:
            reasons["no image"] += 1
            continue
        own = question.sample_id
        sample_id = split.before_id + own if own else f"{split.before_number}{number:0{split.digits}d}"
        image = _image(where, question.image, origin.images or split.folder)
        questions.append(replace(question, sample_id=sample_id, image=image, source=origin.name))
    return questions, withheld, reasons


def _image(where: str, image: str, folder: Path | None) -> str:
    """The image's path on this machine.

    A path that someone else has written must not name any file of this machine: it would be copied to the results.
    """
    if not image:
        return ""
    if folder is None:
        raise InputError(f"{where}: image {image!r} is a path, and no folder of images is named")
    folder = folder.expanduser()
    path = folder / image
    try:
        below = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"{where}: image {image[:100]!r} is no path of a file ({error})") from None
    if not below:
        raise InputError(f"{where}: image {image!r} is not below {folder}; expected a path relative to that folder")
    return str(path)
