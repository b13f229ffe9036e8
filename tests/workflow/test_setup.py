"""``make setup`` after a kill at whatever point; pip and venv are stubs that write down what they are told."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).resolve().parents[2] / "Makefile"
# As python -m venv does, a half-made environment has its python before its pip.
PYTHON = """#!/bin/sh
echo "$*" >> "$HERE/calls"
die() { if [ "$DIE_AT" = "$1" ]; then kill -9 $MAKE_PID; exit 1; fi; }
case "$*" in
  *"import sys"*) exit ${OLD:-0};;
  "-m venv --clear .venv")
    rm -rf .venv; mkdir -p .venv/bin; cp "$0" .venv/bin/python; die venv; touch .venv/pip;;
  "-m pip --version") test -e .venv/pip;;
  *requirement*) touch .venv/half; die packages; touch .venv/packages; rm .venv/half;;
  *editable*) die package; touch .venv/package;;
esac
"""


@pytest.fixture
def project(tmp_path):
    shutil.copy(MAKEFILE, tmp_path)
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    return tmp_path


def setup(project: Path, die_at: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """Run it through a shell whose process becomes make, so that the stub knows whom to kill."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["sh", "-c", "MAKE_PID=$$ exec make setup PYTHON=./python"],
        cwd=project,
        env={**environment, "HERE": str(project), "DIE_AT": die_at, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def calls(project: Path) -> list[str]:
    lines = (project / "calls").read_text().splitlines() if (project / "calls").is_file() else []
    (project / "calls").unlink(missing_ok=True)
    return [line.split()[1] for line in lines if line.startswith("-m") and "--version" not in line]


def is_whole(project: Path) -> bool:
    return all(
        (project / ".venv" / name).exists() for name in (".installed", "pip", "packages", "package")
    ) and not any((project / ".venv" / name).exists() for name in (".installing", "half"))


def test_a_first_setup_installs_and_a_second_finds_nothing_to_do(project):
    assert setup(project).returncode == 0
    assert is_whole(project)
    calls(project)
    assert setup(project).returncode == 0
    assert calls(project) == []


@pytest.mark.parametrize(
    ("point", "installed"),
    [("venv", False), ("packages", False), ("package", False), ("packages", True), ("package", True)],
)
def test_a_setup_that_was_killed_is_made_anew_by_the_next(project, point, installed):
    if installed:
        setup(project)
        os.utime(project / "requirements.lock")
    assert setup(project, die_at=point).returncode == -9
    assert not (project / ".venv" / ".installed").exists()
    calls(project)
    assert setup(project).returncode == 0
    assert is_whole(project)
    assert "venv" in calls(project)


def test_an_environment_that_is_whole_is_kept_when_the_lock_changes(project):
    setup(project)
    calls(project)
    (project / ".venv" / "mine").touch()
    os.utime(project / "requirements.lock", (2**31, 2**31))
    assert setup(project).returncode == 0
    assert "venv" not in calls(project)
    assert (project / ".venv" / "mine").exists()


def test_an_environment_of_an_interpreter_that_has_gone_is_made_anew(project):
    setup(project)
    (project / ".venv" / "bin" / "python").unlink()
    (project / ".venv" / "bin" / "python").symlink_to("/nowhere/python3")
    (project / ".venv" / ".installed").unlink()
    assert setup(project).returncode == 0
    assert is_whole(project)


def test_another_python_is_refused_in_one_line_and_nothing_is_made(project):
    done = setup(project, OLD="1")
    assert done.returncode != 0
    assert "make PYTHON=python3.12" in done.stderr
    assert not (project / ".venv").exists()
