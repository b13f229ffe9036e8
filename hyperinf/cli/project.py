"""``hyperinf init``: the workflow, as a folder of one's own."""

import shlex
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from hyperinf import __version__
from hyperinf.artifacts.files import write_text
from hyperinf.errors import InputError

_PACKAGE = Path(__file__).resolve().parents[1]
_MAKEFILE = "Makefile"


def write_project(folder: Path) -> None:
    """Write the workflow with its default experiment, its profiles and a Makefile.

    Args:
        folder: is made; where it is there, it must be empty.

    Raises:
        InputError: the folder holds something, or the package lacks the files.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"FOLDER: got {str(folder)!r}, which is not empty, expected a new or an empty folder")
    parts = dict(_parts())
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in parts.items():
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif name != _MAKEFILE:
            shutil.copyfile(source, folder / name)
    python = shlex.quote(sys.executable).replace("$", "$$")
    text = parts[_MAKEFILE].read_text(encoding="utf-8").replace("@python@", python).replace("@version@", __version__)
    write_text(folder / _MAKEFILE, text)


def _parts() -> Iterator[tuple[str, Path]]:
    """The files and folders of a project: those in the wheel, or those of the checkout that is installed editable."""
    inside, pyproject = _PACKAGE / "project", _PACKAGE.parent / "pyproject.toml"
    if inside.is_dir():
        yield from ((path.name, path) for path in sorted(inside.iterdir()))
    elif pyproject.is_file():
        named = tomllib.loads(pyproject.read_text(encoding="utf-8"))["tool"]["hyperinf"]["project"]
        yield from ((name, _PACKAGE.parent / source) for name, source in named.items())
    else:
        raise InputError(
            f"{_PACKAGE}: got a package without the workflow's files, expected those of its wheel; install it again"
        )
