"""A hash of the code behind a rule: Snakemake reruns a job when it changes, and only then.

Snakemake compares a rule's shell command and parameters, not the Python modules that the command imports. A rule that
carries ``params: code=code_hash("hyperinf.pipeline.score")`` is rerun when that module, or any module of the package
that it reaches by imports, changes its meaning. Comments, docstrings and formatting do not count, nor does the
package's ``__version__``. The installed releases of the other packages that those modules import count as well: an
update of torch reruns what computes with torch, one of matplotlib what draws. What is reached is read from the source,
so nothing is imported here. What is imported by a name in a register (a family, a method, a format) a rule names
itself.
"""

import ast
import hashlib
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from meaning import meaning


def _root() -> Path:
    """The folder that holds the package: that of this workflow, or where it is installed (``hyperinf init``)."""
    own = Path(__file__).resolve().parents[2]
    if (own / "hyperinf").is_dir() or not (installed := find_spec("hyperinf")) or not installed.origin:
        return own
    return Path(installed.origin).parents[1]


ROOT = _root()
# What settings decide is among a job's parameters, as values: how they are declared, described and checked is not.
DECLARED = "hyperinf.settings"
# Where a distribution has another name than the package that it installs.
DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn", "yaml": "PyYAML"}


def code_hash(*modules: str, data: Sequence[str] = (), root: Path = ROOT) -> str:
    """Hash everything that ``modules`` run inside their package, and the releases of what they import from outside.

    Args:
        modules: dotted names, such as ``hyperinf.pipeline.score``.
        data: glob patterns, relative to ``root``, of further files whose bytes count (templates, published numbers).
        root: folder that holds the package.

    Returns:
        16 hexadecimal digits.

    Raises:
        FileNotFoundError: a module does not exist, or a pattern matches no file.
    """
    return _code_hash(modules, tuple(data), root)


@cache
def _code_hash(modules: tuple[str, ...], data: tuple[str, ...], root: Path) -> str:
    """Every job of a rule asks for the same."""
    files = [path for pattern in data for path in sorted(root.glob(pattern)) or [_missing(pattern, root)]]
    parts = [f"{name} {_read(_locate(name, root))[0]}" for name in sorted(reached_modules(*modules, root=root))]
    parts += [f"{path.relative_to(root).as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files]
    parts += [f"{name}=={release(name)}" for name in sorted(imported_packages(*modules, root=root))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def reached_modules(*modules: str, root: Path = ROOT) -> set[str]:
    """The modules of the package that running ``modules`` can load, themselves and their parents included."""
    reached: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        reached.add(name)
        waiting += _parents(name)
        waiting += _imported(name, root)
    return reached


def imported_packages(*modules: str, root: Path = ROOT) -> set[str]:
    """The packages outside their own, and outside Python's library, that the reached modules import."""
    own = {name.partition(".")[0] for name in modules}
    reached = reached_modules(*modules, root=root)
    imports = [node for name in reached for node in _read(_locate(name, root))[1]]
    return {name for node in imports for name in _top_names(node)} - own - sys.stdlib_module_names


@cache
def release(package: str) -> str | None:
    """The installed version of a package; None without one.

    Its local part is left out: 2.13.0+cpu and 2.13.0+cu130 differ in where they run, which is never a reason to rerun.
    """
    try:
        return version(DISTRIBUTIONS.get(package, package)).partition("+")[0]
    except PackageNotFoundError:
        return None


def _top_names(node: ast.Import | ast.ImportFrom) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names}
    return set() if node.level else {(node.module or "").partition(".")[0]}


def _parents(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[:end]) for end in range(1, len(parts)))


@cache
def _imported(name: str, root: Path) -> tuple[str, ...]:
    """Modules of the same package that the module imports anywhere, also inside its functions."""
    path = _locate(name, root)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    top = name.partition(".")[0]
    found = []
    for node in _read(path)[1]:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        else:
            base = _absolute(node, package)
            found += [base, *(f"{base}.{alias.name}" for alias in node.names if _exists(f"{base}.{alias.name}", root))]
    own = (module for module in found if module.partition(".")[0] == top)
    return tuple(module for module in own if not f"{module}.".startswith(f"{DECLARED}."))


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    return ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])


def _exists(name: str, root: Path) -> bool:
    base = root.joinpath(*name.split("."))
    return base.with_suffix(".py").is_file() or base.is_dir()


def _locate(name: str, root: Path) -> Path:
    base = root.joinpath(*name.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    if base.is_dir():
        return base
    raise FileNotFoundError(f"no module {name} under {root}")


@cache
def _read(path: Path) -> tuple[str, tuple[ast.Import | ast.ImportFrom, ...]]:
    """A module's hash and its import statements; a package without ``__init__.py`` is an empty module."""
    try:
        return meaning(path.read_bytes() if path.is_file() else b"")
    except SyntaxError as error:
        error.filename = str(path)
        raise


def _missing(pattern: str, root: Path) -> Path:
    raise FileNotFoundError(f"no file {pattern} under {root}")
