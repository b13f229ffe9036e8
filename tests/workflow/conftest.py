"""Workspaces for the tests of the workflow; what they are stands in workspaces.py.

Whatever another module imports has a name of its own: `conftest` is that of another folder as well.
"""

import resource
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from workspaces import Workspace, job_counts, new_workspace


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.workflow)


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace in which nothing has run; tests must not change it."""
    return new_workspace(tmp_path_factory.mktemp("pristine"))


@pytest.fixture(scope="session")
def planned(pristine: Workspace) -> Callable[[str], tuple[dict[str, int], float]]:
    """Jobs of each rule of an overlay, and the seconds of processor time that it took to say so; asked for once."""

    @cache
    def plan(overlay: str) -> tuple[dict[str, int], float]:
        # Other jobs of the machine lengthen the wall time, and hardly this.
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        printed = pristine.snakemake("--dry-run", *(["--configfile", overlay] if overlay else []))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return job_counts(printed), after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return plan


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace in which the smoke experiment has run; tests must not change it."""
    workspace = new_workspace(tmp_path_factory.mktemp("finished"))
    workspace.smoke()
    return workspace


@pytest.fixture
def fresh(pristine: Workspace, tmp_path: Path) -> Workspace:
    """A workspace of the test's own in which nothing has run."""
    return pristine.copy(tmp_path / "workspace")


@pytest.fixture
def done(finished: Workspace, tmp_path: Path) -> Workspace:
    """A workspace of the test's own in which the smoke experiment has run."""
    return finished.copy(tmp_path / "workspace")


@pytest.fixture
def edit(done: Workspace) -> Callable[[str, Callable[[str], str]], None]:
    """Change a file of ``done``."""

    def change(path: str, how: Callable[[str], str]) -> None:
        file = done.root / path
        file.write_text(how(file.read_text()))

    return change
