"""The rooms of the package: what may import what, read from the source."""

import ast
from itertools import pairwise
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "hyperinf"
ORDER = (
    "errors",
    "settings",
    "runtime",
    "artifacts",
    "linalg",
    "gradients",
    "data",
    "evaluation",
    "models",
    "training",
    "influence",
    "simulation",
    "pipeline",
    "attributor",
    "reporting",
    "selecting",
    "attribution",
    "mislabeled",
    "validating",
    "cli",
)
"""From the ground up: a room imports from those before it, and from no other."""
ALONE: dict[str, set[str]] = {"settings": set(), "linalg": set(), "errors": set()}
"""Rooms that import nothing of the package."""


def room(module: str) -> str:
    """The room of ``hyperinf.room.module``; ``""`` for the package itself."""
    return ([*module.split("."), ""])[1]


def imports(file: Path) -> set[str]:
    """Every module that a file imports when it runs, inside functions, too."""
    found = set()
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for typing_only in [
        node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    ]:
        typing_only.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            folder = PACKAGE.parent.joinpath(*node.module.split("."))
            below = {each.name for each in node.names if folder.joinpath(f"{each.name}.py").is_file()}
            found |= {f"{node.module}.{name}" for name in below}
            found |= {node.module} if len(below) < len(node.names) else set()
    return found


@pytest.fixture(scope="module")
def arrows() -> dict[tuple[str, str], list[str]]:
    """From which room to which, and in which files."""
    found: dict[tuple[str, str], list[str]] = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        own = room(f"hyperinf.{'.'.join(file.relative_to(PACKAGE).with_suffix('').parts)}")
        for module in imports(file):
            other = room(module) if module.startswith("hyperinf.") else ""
            if other and own not in ("", "__init__", "__main__", other):
                found.setdefault((own, other), []).append(file.name)
    return found


def test_nothing_imports_upwards(arrows):
    upwards = {pair: files for pair, files in arrows.items() if ORDER.index(pair[0]) <= ORDER.index(pair[1])}
    assert not upwards


def test_some_rooms_know_nothing_of_the_others(arrows):
    for own in ALONE:
        # An error is what all rooms tell a user with.
        assert {other for each, other in arrows if each == own} <= {"errors"}


def test_there_are_fewer_than_70_arrows_between_rooms(arrows):
    # Commands on people's files stand on all that is below them.
    assert len([own for own, _ in arrows if own not in ("selecting", "attribution", "mislabeled", "validating")]) < 70


def test_no_file_is_in_a_circle_of_imports():
    files = {
        f"hyperinf.{'.'.join(file.relative_to(PACKAGE).with_suffix('').parts)}": file for file in PACKAGE.rglob("*.py")
    }
    files = {name.removesuffix(".__init__"): file for name, file in files.items()}
    above: dict[str, set[str]] = {
        name: {each for each in imports(file) if each in files} for name, file in files.items()
    }
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path[path.index(name) :], name))
        if name not in done:
            for other in above[name]:
                visit(other, (*path, name))
            done.add(name)

    for name in above:
        visit(name, ())


def test_the_order_names_every_room():
    there = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert there - {"__init__", "__main__"} == set(ORDER)
    assert len(set(ORDER)) == len(ORDER) > len(list(pairwise(ORDER)))
