"""A copy of the workflow with stubs for commands, and what Snakemake says in it."""

import atexit
import os
import re
import shutil
import subprocess
import sys
import tempfile
import traceback
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NoReturn

import pydantic  # noqa: F401 (as the next two: imported once, for all forks)
import smart_open  # noqa: F401
import snakemake.benchmark
import snakemake.cli

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "workflow" / "lib"
sys.path.insert(0, str(LIBRARY))

import meaning  # noqa: E402

PARTS = ("Snakefile", "config.yaml", "workflow", "profiles", "envs", "hyperinf")
SMOKE = "workflow/config/smoke.yaml"


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
        """Run ``snakemake`` and return what it printed.

        In a fork of this process, which has imported Snakemake and read the library: most of the time of a dry run.
        """
        read_once()
        printed, variables = self.root / "printed.txt", {**environment(), **variables}
        child = os.fork()
        if not child:
            _become_snakemake(arguments, self.root, printed, variables)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if check and status:
            raise AssertionError(printed.read_text())
        return printed.read_text()

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


def _become_snakemake(arguments: tuple[str, ...], root: Path, printed: Path, variables: dict[str, str]) -> NoReturn:
    status = 1
    try:
        with printed.open("w", buffering=1) as stream:
            for descriptor in (1, 2):
                os.dup2(stream.fileno(), descriptor)
            sys.stdout = sys.stderr = stream
            os.environ.clear()
            os.environ.update(variables)
            os.chdir(root)
            # What was imported from the repository must come from the workspace, but for what sources mean.
            own = {"hyperinf", *(path.stem for path in LIBRARY.glob("*.py"))} - {meaning.__name__}
            for name in [*sys.modules]:
                if name.partition(".")[0] in own:
                    del sys.modules[name]
            sys.path[:] = [path for path in sys.path if Path(path) not in (ROOT, LIBRARY)]
            sys.argv = ["snakemake", *arguments]
            snakemake.cli.main(list(arguments))
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


@cache
def read_once() -> None:
    """Do what every run of Snakemake begins with, so that forks find it done."""
    snakemake.cli.get_argument_parser()  # it looks for plugins
    for path in (ROOT / "hyperinf").rglob("*.py"):
        meaning.meaning(path.read_bytes())


GIVEN = ("ARGS", "CORES", "PYTHON", "TORCH")
"""What `make test ARGS=...` was given, which make hands on."""


def environment() -> dict[str, str]:
    """Without the settings of a run that the tests may be part of."""
    ours = ("HYPERINF_", "SNAKEMAKE_", "STUB_", "CUDA_VISIBLE_DEVICES", "MAKE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours) and name not in GIVEN}
    return {**kept, "STUB_KNOWN": known_commands(), "XDG_CACHE_HOME": own_cache()}


@cache
def own_cache() -> str:
    """A folder for what Snakemake, and the workflow of its runs, note in the user's."""
    folder = tempfile.mkdtemp(prefix="hyperinf-cache-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def known_commands() -> str:
    """The folder in which the stubs of these tests, in all of their processes, keep what commands promise."""
    folder = Path(tempfile.gettempdir(), f"hyperinf-stubs-{os.environ.get('PYTEST_XDIST_TESTRUNUID', os.getpid())}")
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)  # another user's runs are among the tests
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return str(folder)


def job_counts(printed: str) -> dict[str, int]:
    """Snakemake's first table of jobs, without the target rule."""
    table = printed.partition("Job stats:\n")[2].partition("\n\n")[0]
    counts = {name: int(number) for name, number in re.findall(r"^(\w+) +(\d+)$", table, re.M)}
    return {name: number for name, number in counts.items() if name not in ("all", "total")}


def files_of(workspace: Workspace) -> dict[str, str]:
    """The content of every file of the results that is not hidden; logs and the settings of them all apart."""
    results = workspace.root / "results"
    found = {path.relative_to(results).as_posix(): path for path in sorted(results.rglob("*")) if path.is_file()}
    hidden = {name for name in found if "/." in f"/{name}" or "/logs/" in f"/{name}" or "/benchmarks/" in f"/{name}"}
    # The latter are there only while the results are whole.
    return {name: path.read_text() for name, path in found.items() if name not in {*hidden, "smoke/settings.yaml"}}


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
