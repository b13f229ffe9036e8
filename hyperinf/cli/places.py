"""What is not there, or cannot be written, is refused before anything is computed or much is imported."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hyperinf.settings.base import Settings, kind_of, mark
from hyperinf.settings.checking import Mistake
from hyperinf.settings.types import at_home


def unwritable(model: type[Settings], values: Mapping[str, Any]) -> Iterator[Mistake]:
    """List the places that a stage is to write and cannot.

    Args:
        model: the settings of the stage.
        values: of its settings, checked or not.
    """
    for name, field in model.model_fields.items():
        kind, value = mark(field, "writes"), values.get(name)
        if kind and isinstance(value, str) and value and (message := objection(value, kind)):
            yield Mistake((name,), message)


def missing(model: type[Settings], values: Mapping[str, Any]) -> Iterator[Mistake]:
    """List the places that a stage is to read and that are not there.

    Args:
        model: the settings of the stage.
        values: of its settings, checked or not.
    """
    for name, field in model.model_fields.items():
        given = values.get(name)
        if expected := mark(field, "reads"):
            paths = [given] if isinstance(given, str) else given if isinstance(given, list | tuple) else []
        elif expected := getattr(kind_of(field.annotation), "at_path", ""):
            paths = [_path_of(given)]
        else:
            continue
        for path in paths:
            if isinstance(path, str) and path and not _is_there(path):
                yield Mistake((name,), f"got {path!r}, no such file or folder, expected {expected}")


def _path_of(source: Any) -> Any:
    if isinstance(source, Mapping):
        return source.get("path")
    kind, _, name = str(source).partition(":")
    return name if kind == "path" else None


def _is_there(path: str) -> bool:
    try:
        return Path(at_home(path)).exists()
    except (OSError, ValueError):
        return True  # which is said where it is read


def objection(text: str, kind: str) -> str:
    """Say why a path cannot be written, ``got X, expected Y``; nothing where it can.

    Args:
        text: the path.
        kind: ``file`` or ``folder``.
    """
    expected = f"expected a {kind} to write"
    try:
        path = Path(at_home(text))
    except ValueError:
        return ""  # which the setting says itself
    try:
        there = next(each for each in (path, *path.absolute().parents) if each.exists())
        is_folder = there.is_dir()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return f"got {text!r}, which cannot be a path ({reason}), {expected}"
    if there != path and not is_folder:
        return f"got {text!r}, which is below the file {str(there)!r}, {expected}"
    if there == path and is_folder != (kind == "folder"):
        return f"got {text!r}, which is a {'folder' if is_folder else 'file'}, {expected}"
    if not os.access(there, os.W_OK):
        return f"got {text!r}, and no permission for {str(there)!r}, {expected}"
    return ""
