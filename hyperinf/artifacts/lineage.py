"""Follow the chain of a result file, back to data, model and assets, by the hashes that every stage wrote down.

A stage's record (``info.json``, or ``NAME.info.json`` beside a table) names what it read (``inputs``) and what it wrote
(``outputs``), each with its SHA-256. Records belong together where one's input has the hash of another's output: no
layout of folders is assumed. Figures and tables are traced by the manifest that names them, and
``tables/STUDY_sources.csv`` beside it.
"""

import os.path
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from hyperinf.artifacts.files import read_json, sha256_file
from hyperinf.artifacts.records import PREPARED, RECORD, RUN_FROM
from hyperinf.errors import InputError
from hyperinf.settings.runtime import CacheSettings

OK, CHANGED, MISSING, UNRECORDED = "matches", "CHANGED", "MISSING", "not recorded"
LOST = f"{UNRECORDED} by any stage here"
BROKEN = (CHANGED, MISSING)
_DRAWN = ("figures", "tables")
_SOURCE = re.compile(r"(asset|hub|path|shape):.+")


@dataclass(frozen=True)
class Link:
    """One line of a chain.

    Attributes:
        depth: how many steps before the result.
        name: a file, a stage or a source.
        state: one of ``matches``, ``CHANGED``, ``MISSING``, ``not recorded``, or what it was made with.
    """

    depth: int
    name: str
    state: str

    def __str__(self) -> str:
        return f"{'  ' * self.depth}{self.name}: {self.state}"


@dataclass(frozen=True)
class Record:
    """What a stage wrote of itself."""

    path: Path
    content: Mapping[str, Any]

    @property
    def run_from(self) -> Path:
        """The folder that paths in the record start from; this process's own where an older version has written it."""
        return self.path.parent.resolve() / str(self.content[RUN_FROM]) if RUN_FROM in self.content else Path()

    def is_own(self, name: str) -> bool:
        """Whether an input is a file of the user's own, rather than what another stage wrote."""
        sources = (each.partition(":") for each in _sources(self.content))
        return any(kind == "path" and Path(name).is_relative_to(path) for kind, _, path in sources)

    def hashes(self, key: str) -> dict[str, str]:
        """Look up ``inputs`` or ``outputs``: SHA-256 by name; none where an older version has written the record."""
        found = self.content.get(key)
        return dict(found) if isinstance(found, Mapping) else {}


class Results:
    """The records below a results folder.

    Raises:
        InputError: there is no such folder, or a record is not JSON.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise InputError(f"{folder}: got no such folder, expected one of results")
        self.folder = folder
        self.records: list[Record] = []
        self._by_output: dict[str, Record] = {}
        self._add(folder)

    def _add(self, folder: Path) -> None:
        paths = sorted({*folder.rglob("info.json"), *folder.rglob("*.info.json")})
        contents = [(path, read_json(path)) for path in paths if "assets" not in path.relative_to(folder).parts]
        found = [Record(path, content) for path, content in contents if isinstance(content, Mapping)]
        self.records += found
        self._by_output |= {digest: record for record in found for digest in record.hashes("outputs").values()}

    def reported(self, name: str) -> Path:
        """Find a file that a report was made from; a run that lies elsewhere is read first."""
        file = Path(os.path.normpath(self.folder / name))
        known = [self.folder, *(record.path.parent for record in self.records)]
        run = next((each for each in file.parents if (each / "scores").is_dir()), None)
        if run is not None and not any(file.is_relative_to(folder) for folder in known):
            self._add(run)
        return file

    def written_by(self, digest: str) -> Record | None:
        """Find the stage among whose outputs is a file of this SHA-256."""
        return self._by_output.get(digest)

    def of_file(self, path: Path) -> Record | None:
        """Find the record of the stage that wrote a file: the nearest one beside or above it."""
        beside = [record for record in self.records if path.name in record.hashes("outputs")]
        for folder in path.resolve().parents:
            for record in [*beside, *self.records]:
                if record.path.parent.resolve() == folder and (record in beside or record.path.name == "info.json"):
                    return record
            if folder == self.folder.resolve():
                return None
        return None


def results_of(path: Path) -> Path:
    """Find the results folder that a file lies in: the nearest one above it with tables, assets or logs in it.

    Of stages that were run by hand it is the one above what the stage has written.

    Raises:
        InputError: there is none, or no such file.
    """
    if not path.exists():
        raise InputError(f"{path}: got no such file, expected one of a run")
    for folder in path.resolve().parents:
        if folder.name not in _DRAWN and any((folder / name).is_dir() for name in ("tables", "assets", "logs")):
            return folder
    for folder in path.resolve().parents:
        if (folder / RECORD).is_file():
            return folder.parent
    raise InputError(f"{path}: got no folder above it with tables, assets or logs, expected one, or --results")


def chain(path: Path, results: Path | None = None) -> list[Link]:
    """Follow a result file back to its sources: what it was made of by what, and whether the hashes still match.

    Args:
        path: a figure, a table, the page, scores, metrics or any other file of a stage.
        results: the results folder; found above the file when None.

    Raises:
        InputError: no such file, or nothing is known of it.
    """
    path = path.absolute()
    found = Results(results or results_of(path))
    start = Link(0, str(path), f"sha256 {sha256_file(path)}" if path.is_file() else "folder")
    links = [start, *(_drawn(path, found) if _is_drawn(path, found.folder) else _made(found.of_file(path), found, 1))]
    if len(links) == 1:
        raise InputError(f"{path}: got no record beside or above it, expected one that says what it was made of")
    return list(dict.fromkeys(links))


def _is_drawn(path: Path, results: Path) -> bool:
    return path.parent.name in _DRAWN or path.resolve().parent == results.resolve()


def _drawn(path: Path, results: Results) -> Iterator[Link]:
    """Yield the files that a report was made from; those of all reports where no manifest names the file."""
    manifests = [read_json(file) for file in sorted((results.folder / "tables").glob("*_manifest.json"))]
    named = f"{path.parent.name}/{path.name}"
    own = [each for each in manifests if any(named in entry["files"] for entry in each["entries"])]
    for manifest in own or manifests:
        table = results.folder / "tables" / f"{manifest['study']}_sources.csv"
        yield Link(1, str(table), "the runs that it was drawn from")
        for _, row in pd.read_csv(table).fillna("").iterrows():
            file = results.reported(row["file"])
            yield Link(2, str(file), _state(file, row["sha256"]))
            yield from _made(results.of_file(file), results, 3)


def _made(record: Record | None, results: Results, depth: int) -> Iterator[Link]:
    """Yield the stage, its outputs, what it read, and the stages that wrote that."""
    if record is None:
        return
    yield Link(depth, str(record.path), _made_with(record.content))
    for name, digest in record.hashes("outputs").items():
        path = record.path.parent / name
        yield Link(depth + 1, str(path), _state(path, digest))
    before: dict[Path, Record] = {}
    for name, digest in record.hashes("inputs").items():
        writer = results.written_by(digest)
        if writer is None:
            # A file of the user's own is named by its path; of anything else only the hash is known.
            own = record.is_own(name)
            yield Link(depth + 1, name, _state(record.run_from / name, digest) if own else LOST)
        elif writer.path != record.path:
            before[writer.path] = writer
    for source in sorted(set(_sources(record.content))):
        yield from _origin(source, record.run_from, results, depth + 1)
    for writer in before.values():
        yield from _made(writer, results, depth + 1)


def _made_with(content: Mapping[str, Any]) -> str:
    settings = content.get("settings", content)
    packages = content.get("packages") or {}
    parts = {
        "hyperinf": content.get("hyperinf"),
        "torch": packages.get("torch"),
        "device": content.get("device"),
        "seed": settings.get("seed"),
        "settings": str(content.get("settings_sha256", ""))[:12],
        "content": str(content.get("content_sha256", ""))[:12],
    }
    return ", ".join(f"{name} {value}" for name, value in parts.items() if value not in (None, ""))


def _sources(content: Any) -> Iterator[str]:
    """Yield every model and data source that a record names."""
    if isinstance(content, Mapping):
        named = {key: value for key, value in content.items() if value is not None}
        if len(named) == 1 and content.keys() <= {"asset", "hub", "path", "shape"}:
            yield ":".join(map(str, *named.items()))
            return
        for key, value in content.items():
            if key not in ("inputs", "outputs", "reports"):
                yield from _sources(value)
    elif isinstance(content, list):
        for value in content:
            yield from _sources(value)
    elif isinstance(content, str) and _SOURCE.fullmatch(content):
        yield content


def _origin(source: str, run_from: Path, results: Results, depth: int) -> Iterator[Link]:
    kind, _, name = source.partition(":")
    prepared = run_from / name / PREPARED
    if kind == "path" and prepared.is_file():
        made = Record(prepared, read_json(prepared))
        yield Link(depth, source, str(made.content.get("note") or "as it came"))
        yield from _origin(str(made.content.get("source")), made.run_from, results, depth + 1)
        return
    if kind == "path":
        return  # its files are among the inputs
    record = results.folder / "assets" / f"{name}.json"
    if kind != "asset" or not record.is_file():
        yield Link(depth, source, UNRECORDED if kind == "asset" else "not ours to hash")
        return
    asset = read_json(record)
    yield Link(depth, source, f"{asset['origin']}; {asset['licence']}; wheel sha256 {asset['wheel_sha256']}")
    caches = [results.folder / "assets" / name, run_from / CacheSettings().cache_folder / name]
    folder = next((each for each in caches if each.is_dir()), None)
    if folder is not None:
        states = {_state(folder / member["path"], member["sha256"]) for member in asset["members"]}
        worst = next((state for state in (MISSING, CHANGED) if state in states), OK)
        yield Link(depth + 1, f"{len(asset['members'])} files of {folder}", worst)


def _state(path: Path, digest: object) -> str:
    if not path.is_file():
        return MISSING
    if not isinstance(digest, str) or not digest:
        return UNRECORDED
    return OK if sha256_file(path) == digest else CHANGED
