"""What a stage says of the files it wrote, and whether they still are what it wrote.

A disk's error must not become a result, nor a table that was edited pass as measured.
"""

import json
import os.path
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperinf.artifacts.environment import digest, to_json
from hyperinf.artifacts.files import read_json, sha256_file, write_json, write_text
from hyperinf.errors import InputError

if TYPE_CHECKING:
    from hyperinf.settings.base import Settings

RECORD = "info.json"
SETTINGS = "settings.yaml"
"""The settings of a stage beside what it wrote: ``hyperinf STAGE --config`` of that file does it again."""
PREPARED = "prepared.json"
"""The record of a folder that holds a model for transformers."""
RUN_FROM = "run_from"
_OWN = "record_sha256"


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Write a record as JSON, with its own SHA-256.

    Paths in it are relative to the folder that the stage was run from, which stands in it as a path from its own.

    Args:
        path: file to write.
        record: ``outputs`` are ``{name below the record's folder: SHA-256}``.
    """
    run_from = os.path.relpath(Path.cwd(), path.parent.resolve())
    plain = json.loads(json.dumps(to_json({**record, RUN_FROM: run_from})))
    write_json(path, {**plain, _OWN: digest(plain)})


def write_settings(folder: Path, settings: "Settings") -> None:
    """Write all settings of a stage as YAML into its folder; equal settings give equal bytes."""
    import yaml

    write_text(folder / SETTINGS, yaml.safe_dump(settings.plain(), sort_keys=False, allow_unicode=True))


def read_record(path: Path) -> Any:
    """A record, after it and all of its outputs that are there were compared with what was written.

    A record or an output without a SHA-256 is taken as it is.

    Raises:
        InputError: it is missing or not JSON, or it or an output has changed since; the message names the file.
    """
    record = _itself(path)
    for name, expected in _outputs(record).items():
        file = path.parent / name
        if file.is_file() and sha256_file(file) != expected:
            raise _changed(file, path.parent)
    return record


def check_written(path: Path) -> None:
    """Compare a table with the record beside it, if there is one that names it.

    Raises:
        InputError: the table or its record has changed since they were written.
    """
    for beside in (path.with_suffix(f".{RECORD}"), path.with_name(RECORD)):
        if path.is_file() and beside.is_file():
            expected = _outputs(_itself(beside)).get(path.name)
            if expected is not None and sha256_file(path) != expected:
                raise _changed(path, path)


def _itself(path: Path) -> Any:
    """A record that has not changed; its outputs are not looked at."""
    record = read_json(path)
    own = record.pop(_OWN, None) if isinstance(record, dict) else None
    if own is not None and own != digest(record):
        raise _changed(path, _written_with(path))
    return record


def _written_with(record: Path) -> Path:
    """What is made again with a record: its folder, or the one table that it lies beside."""
    if not record.name.endswith(f".{RECORD}"):
        return record.parent
    tables = record.parent.glob(f"{record.name.removesuffix(RECORD)}*")
    return next((each for each in sorted(tables) if each != record), record)


def _outputs(record: Any) -> dict[str, Any]:
    outputs = record.get("outputs") if isinstance(record, dict) else None
    return outputs if isinstance(outputs, dict) else {}


def _changed(file: Path, remove: Path) -> InputError:
    return InputError(
        f"{file}: has changed since it was written (another SHA-256 than in its record): damaged or edited; "
        f"remove {remove} to have it made again"
    )
