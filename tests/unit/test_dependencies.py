import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from locks import LOCKS, PYTHONS, locked, pins
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT, BUILD = PYPROJECT["project"], PYPROJECT["build-system"]
TESTED = ("", "workflow", "crate", "cluster", "vision", "dev")
# Loaded by transformers, not by a line of ours.
LOADED_BY_OTHERS = {"gguf"}
# Pinned by the package beside it, so nobody can choose its release.
PART_OF = {"pydantic-core": "pydantic"}
# Older releases with which the library's tests were run as well, on the machine of docs/gpu.md.
OLDER = {"torch": "2.11.0", "transformers": "5.17.0", "pillow": "12.3.0", "pyarrow": "25.0.1"}
IN_CONDA = {"pytorch": "torch", "matplotlib-base": "matplotlib"}


def declared(extra: str = "") -> dict[str, Requirement]:
    lines = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    return {canonicalize_name(each.name): each for each in map(Requirement, lines)}


def imported(folder: str, late: bool) -> set[str]:
    """Distributions that the modules of a folder import: at the top of a module, or anywhere else."""
    distributions = packages_distributions()
    files = sorted((ROOT / folder).rglob("*.py"))
    own = {"hyperinf", *sys.stdlib_module_names}
    if not (ROOT / folder / "__init__.py").exists():  # scripts, which import each other by name
        own |= {path.stem for path in files}
    names = {name for path in files for name in _imports(ast.parse(path.read_text()), late)} - own
    found = {canonicalize_name(distributions[name][0]) for name in names}
    return {PART_OF.get(name, name) for name in found}


def _imports(tree: ast.Module, late: bool) -> Iterator[str]:
    at_top = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        if late == (id(node) in at_top):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_whatever_the_library_imports_is_declared_and_what_is_optional_is_imported_late():
    core, optional = set(declared()), set(declared("crate"))
    assert imported("hyperinf", late=False) - core == set()
    assert imported("hyperinf", late=True) - core - optional == set()


def test_whatever_the_workflow_imports_is_declared():
    always = set(declared()) | set(declared("workflow"))
    assert imported("workflow", late=False) - always == set()
    # What is known of a cluster is asked of its executor, where that is used.
    assert imported("workflow", late=True) - always - set(declared("cluster")) == set()


def test_nothing_is_declared_that_the_library_does_not_import():
    found = imported("hyperinf", late=False) | imported("hyperinf", late=True)
    assert set(declared()) | set(declared("crate")) == found | LOADED_BY_OTHERS


def ours() -> list[Requirement]:
    """All that is declared for what the tests run; benchmarks against other programs are run by hand."""
    found = [each for extra in TESTED for each in declared(extra).values() if each.name != "hyperinf"]
    return [*found, *map(Requirement, BUILD["requires"])]


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_has_every_declared_package_within_its_bounds(python):
    releases = locked(python)
    for requirement in ours():
        assert requirement.specifier.contains(releases[canonicalize_name(requirement.name)]), requirement


def test_the_locks_are_for_every_python_that_is_declared():
    declared_for = SpecifierSet(PROJECT["requires-python"])
    minors = [f"3.{minor}" for minor in range(8, 30) if f"3.{minor}" in declared_for]
    assert minors == list(PYTHONS)
    named = {line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", line)}
    assert named == set(PYTHONS)


def test_torch_and_what_only_its_build_needs_stand_apart_and_nothing_of_ours_is_locked():
    packages, of_torch = ({pin.name for pin in pins(lock)} for lock in LOCKS)
    assert "torch" in of_torch
    assert {name for name in packages if name.startswith(("torch", "nvidia", "cuda", "triton"))} == set()
    assert {name for name in of_torch if not name.startswith(("torch", "nvidia", "cuda", "triton"))} == set()
    assert "hyperinf" not in packages


def test_the_locks_name_no_index():
    for lock in LOCKS:
        assert "://" not in (ROOT / lock).read_text()
        assert all(pin.hashes for pin in pins(lock))


def test_the_extra_all_has_whatever_a_run_may_use():
    extras = PROJECT["optional-dependencies"]
    assert {"workflow", "cluster", "vision", "dev", "all"} <= set(extras)
    (everything,) = map(Requirement, extras["all"])
    assert {"workflow", "cluster", "crate", "vision"} <= everything.extras


def test_no_release_older_than_the_tested_one_is_declared_to_do():
    for requirement in ours():
        (floor,) = (each.version for each in requirement.specifier if each.operator == ">=")
        tested = Version(OLDER.get(requirement.name) or locked()[canonicalize_name(requirement.name)])
        assert len(Version(floor).release) >= 2, requirement
        assert Version(floor).release == tested.release[: len(Version(floor).release)], (str(requirement), str(tested))


def test_the_snakefile_wants_the_snakemake_that_is_declared():
    (wanted,) = re.findall(r'min_version\("([\d.]+)"\)', (ROOT / "Snakefile").read_text())
    assert f">={wanted}" in str(declared("workflow")["snakemake"].specifier)


def test_the_conda_environment_lists_every_package_that_the_library_needs():
    _, *packages = yaml.safe_load((ROOT / "envs/hyperinf.yaml").read_text())["dependencies"]
    listed = {package.split(" ==")[0] for package in packages}
    assert {canonicalize_name(IN_CONDA.get(name, name)) for name in listed} == set(declared())
