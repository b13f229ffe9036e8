"""Ways to spoil an input. Each makes a function of the test's own folder and of the folder of good inputs."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

Spoil = Callable[[Path, Path], None]


def _own(here: Path, world: Path, name: str) -> Path:
    """The path in the test's folder, where the input that it is part of has been copied to."""
    top = name.partition("/")[0]
    if not (here / top).exists():
        copy = shutil.copytree if (world / top).is_dir() else shutil.copy2
        copy(world / top, here / top)
    return here / name


def written(name: str, content: str | bytes) -> Spoil:
    """A file of one's own."""

    def spoil(here: Path, world: Path) -> None:
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return spoil


def folder(name: str) -> Spoil:
    """An empty folder."""
    return lambda here, world: (here / name).mkdir(parents=True)


def removed(*names: str) -> Spoil:
    """Files that are missing."""

    def spoil(here: Path, world: Path) -> None:
        for name in names:
            _own(here, world, name).unlink()

    return spoil


def cut(name: str, keep: float) -> Spoil:
    """A file that is cut off after a share of its bytes."""

    def spoil(here: Path, world: Path) -> None:
        path = _own(here, world, name)
        os.truncate(path, int(path.stat().st_size * keep))

    return spoil


def overwritten(name: str, content: str | bytes) -> Spoil:
    """A file with another content."""

    def spoil(here: Path, world: Path) -> None:
        _own(here, world, name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return spoil


def edited(name: str, before: str, after: str) -> Spoil:
    """A text file in which something was replaced."""

    def spoil(here: Path, world: Path) -> None:
        path = _own(here, world, name)
        text = path.read_text()
        assert before in text, f"{name} holds no {before}"
        path.write_text(text.replace(before, after))

    return spoil


def beside(name: str) -> Spoil:
    """A good file that lies beside a spoiled one."""

    def spoil(here: Path, world: Path) -> None:
        _own(here, world, name)

    return spoil


def flipped(name: str, place: float) -> Spoil:
    """A file with one bit flipped, at a share of its length."""

    def spoil(here: Path, world: Path) -> None:
        path = _own(here, world, name)
        content = bytearray(path.read_bytes())
        content[int(len(content) * place)] ^= 4
        path.write_bytes(content)

    return spoil


def changed(name: str, change: Callable[[Any], Any]) -> Spoil:
    """A JSON file whose value is changed in place, and which says nothing of what it was."""

    def spoil(here: Path, world: Path) -> None:
        path = _own(here, world, name)
        value = json.loads(path.read_text())
        change(value)
        if isinstance(value, dict):
            value.pop("record_sha256", None)
        path.write_text(json.dumps(value))

    return spoil


def swapped(name: str, other: str) -> Spoil:
    """A file or folder in the place of another."""

    def spoil(here: Path, world: Path) -> None:
        path = _own(here, world, name)
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        copy = shutil.copytree if (world / other).is_dir() else shutil.copy2
        copy(world / other, path)

    return spoil


# A pickle that makes a file ``ran`` where it is loaded.
_ATTACK = b"cio\nopen\n(S'ran'\nS'w'\ntR."


def pickled(name: str, instead_of: str) -> Spoil:
    """A pickle that runs a program when it is loaded, instead of another file."""
    return both(removed(instead_of), written(name, _ATTACK))


def model_of(name: str, kind: str, auto: str, **changes: Any) -> Spoil:
    """A tiny model of a type of transformers, by one of its automatic classes, that is whole and of the wrong kind."""

    def spoil(here: Path, world: Path) -> None:
        import transformers
        from tiny_models import write_tiny

        write_tiny(here / name, kind, getattr(transformers, auto), **changes)

    return spoil


def both(*spoils: Spoil) -> Spoil:
    """One after the other."""

    def spoil(here: Path, world: Path) -> None:
        for each in spoils:
            each(here, world)

    return spoil
