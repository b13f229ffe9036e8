import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "workflow"))

PARTS = ("Snakefile", "config.yaml", "workflow", "profiles", "envs", "hyperinf")
SMOKE = "workflow/config/smoke.yaml"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.workflow)


@dataclass(frozen=True)
class Workspace:
    """A copy of the workflow and of the library's sources, in which every command is a stub that ends at once."""

    root: Path

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """Start ``snakemake`` with the smoke configuration."""
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", *arguments],
            cwd=self.root,
            env={**environment(), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def snakemake(self, *arguments: str, check: bool = True, **variables: str) -> str:
        """Run ``snakemake`` and return what it printed."""
        process = self.start(*arguments, **variables)
        printed, _ = process.communicate(timeout=120)
        if check and process.returncode:
            raise AssertionError(printed)
        return printed

    def smoke(self, *arguments: str, overlay: str = "", check: bool = True) -> str:
        """Run the smoke experiment, changed by an overlay in YAML."""
        (self.root / "overlay.yaml").write_text(overlay or "{}\n")
        return self.snakemake("--configfile", SMOKE, "overlay.yaml", "--cores", "2", *arguments, check=check)

    def would_run(self, overlay: str = "") -> dict[str, int]:
        """Jobs of each rule that the smoke experiment still has to run."""
        return job_counts(self.smoke("--dry-run", overlay=overlay))

    def copy(self, target: Path) -> "Workspace":
        """Another workspace in the same state; times of files are kept."""
        shutil.copytree(self.root, target, symlinks=True)
        return Workspace(target)


def environment() -> dict[str, str]:
    """Without the settings of a run that the tests may be part of."""
    ours = ("HYPERINF_", "SNAKEMAKE_", "STUB_", "CUDA_VISIBLE_DEVICES", "MAKE")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def job_counts(printed: str) -> dict[str, int]:
    """Snakemake's first table of jobs, without the target rule."""
    table = printed.partition("Job stats:\n")[2].partition("\n\n")[0]
    counts = {name: int(number) for name, number in re.findall(r"^(\w+) +(\d+)$", table, re.M)}
    return {name: number for name, number in counts.items() if name not in ("all", "total")}


def new_workspace(root: Path) -> Workspace:
    root.mkdir(parents=True, exist_ok=True)
    unneeded = shutil.ignore_patterns("__pycache__")
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, root / part, ignore=unneeded)
        else:
            shutil.copy2(source, root / part)
    shutil.copy2(Path(__file__).parent / "stub_commands.py", root / "hyperinf" / "__main__.py")
    return Workspace(root)


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace in which nothing has run; tests must not change it."""
    return new_workspace(tmp_path_factory.mktemp("pristine"))


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
