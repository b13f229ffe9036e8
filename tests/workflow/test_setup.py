"""``make setup`` after a kill at whatever point; pip and venv are stubs that write down what they are told."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.lock", "requirements-cu130.lock")
# As python -m venv does, a half-made environment has its python before its pip.
PYTHON = """#!/bin/sh
echo "$*" >> "$HERE/calls"
die() { if [ "$DIE_AT" = "$1" ]; then kill -9 $MAKE_PID; exit 1; fi; }
case "$*" in
  *"import sys"*) exit ${OLD:-0};;
  *importlib.metadata*) cat .venv/torch 2> /dev/null;;
  *uninstall*torch) rm .venv/torch;;
  "-m venv --clear .venv")
    rm -rf .venv; mkdir -p .venv/bin; cp "$0" .venv/bin/python; die venv; touch .venv/pip;;
  "-m pip --version") test -e .venv/pip;;
  *requirements.lock*) touch .venv/half; die packages; touch .venv/packages; rm .venv/half;;
  *torch* | *cu130.lock*)
    if [ -n "$UNREACHABLE" ]; then echo "ERROR: no such build" >&2; exit 1; fi
    touch .venv/half; die torch; echo 2.13.0 > .venv/torch; rm .venv/half;;
  *editable*) die package; touch .venv/package;;
esac
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "packaging").mkdir()
    for name in ("Makefile", *LOCKS, "packaging/torch.sh"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "path").mkdir()
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    return tmp_path


def setup(project: Path, die_at: str = "", words: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """Run it through a shell whose process becomes make, so that the stub knows whom to kill."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    # Whatever machine this is, its cards are those of the test's own nvidia-smi, and its kind is the usual one.
    for name, printed in (("uname", "Linux x86_64"), ("nvidia-smi", variables.get("CARDS", ""))):
        (project / "path" / name).write_text(f"#!/bin/sh\necho '{printed}'\n")
        (project / "path" / name).chmod(0o755)
    environment["PATH"] = f"{project / 'path'}:{os.environ['PATH']}"
    return subprocess.run(
        ["sh", "-c", f"MAKE_PID=$$ exec make setup PYTHON=./python {words}"],
        cwd=project,
        env={**environment, "HERE": str(project), "DIE_AT": die_at, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def pip_calls(project: Path) -> list[str]:
    """What pip was told to install, in order."""
    return [line for line in (project / "calls").read_text().splitlines() if line.startswith("-m pip install")]


def calls(project: Path) -> list[str]:
    lines = (project / "calls").read_text().splitlines() if (project / "calls").is_file() else []
    (project / "calls").unlink(missing_ok=True)
    return [line.split()[1] for line in lines if line.startswith("-m") and "--version" not in line]


def is_whole(project: Path) -> bool:
    return all(
        (project / ".venv" / name).exists() for name in (".installed", "pip", "packages", "torch", "package")
    ) and not any((project / ".venv" / name).exists() for name in (".installing", "half"))


def test_a_first_setup_installs_and_a_second_finds_nothing_to_do(project):
    assert setup(project).returncode == 0
    assert is_whole(project)
    calls(project)
    assert setup(project).returncode == 0
    assert calls(project) == []


@pytest.mark.parametrize(
    ("point", "installed"),
    [
        ("venv", False),
        ("packages", False),
        ("torch", False),
        ("package", False),
        ("packages", True),
        ("torch", True),
        ("package", True),
    ],
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


def test_every_package_is_installed_by_its_hash_and_the_user_is_told_how_far_it_is(project):
    done = setup(project, words="TORCH=cu130")
    packages, torch, package = pip_calls(project)
    assert "--require-hashes --requirement requirements.lock" in packages
    assert "--require-hashes --requirement requirements-cu130.lock" in torch
    assert "--editable ." in package
    told = [line for line in done.stdout.splitlines() if " of 3: " in line]
    assert [line[0] for line in told] == ["1", "2", "3"]
    assert ".venv/bin/hyperinf" in done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "cards", "wanted"),
    [
        ("", "", ["/whl/cpu", "torch==2.13.0+cpu"]),
        ("", "GPU 0: a card", ["--require-hashes", "requirements-cu130.lock"]),
        ("TORCH=auto", "", ["torch==2.13.0+cpu"]),
        ("TORCH=cpu", "GPU 0: a card", ["torch==2.13.0+cpu"]),
        ("TORCH=cu126", "", ["/whl/cu126", "torch==2.13.0+cu126"]),
        ("TORCH=index", "", ["install --disable-pip-version-check torch==2.13.0"]),
        ("TORCH=./torch-2.13.0.whl", "", ["--no-deps ./torch-2.13.0.whl"]),
    ],
)
def test_the_build_of_torch_is_the_one_named_or_the_one_for_the_cards_that_are_there(project, words, cards, wanted):
    (project / "torch-2.13.0.whl").touch()
    assert setup(project, words=words, CARDS=cards).returncode == 0
    assert all(part in pip_calls(project)[1] for part in wanted)
    assert setup(project, CARDS=cards).returncode == 0
    assert len(pip_calls(project)) == 3, "the build stays until another one is named"


def test_another_build_of_torch_replaces_the_one_that_is_there(project):
    setup(project)
    calls(project)
    (project / ".venv" / "torch").write_text("2.13.0+cpu\n")
    assert setup(project, words="TORCH=cu130").returncode == 0
    assert "uninstall" in (project / "calls").read_text()
    assert is_whole(project)


@pytest.mark.parametrize("words", ["", "TORCH=cu126", "TORCH=cu130", "TORCH=index"])
def test_a_build_that_is_not_to_be_had_is_told_in_one_line_with_the_way_out(project, words):
    done = setup(project, words=words, UNREACHABLE="1")
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("torch: ")]
    assert "make setup TORCH=index" in line
    assert not (project / ".venv" / ".installed").exists()
    assert setup(project, words="TORCH=index").returncode == 0, "what the line advises works"
    assert is_whole(project)


@pytest.mark.parametrize("choice", ["rocm", "cu12", "nowhere.whl"])
def test_an_unknown_build_of_torch_is_refused_in_one_line(project, choice):
    done = setup(project, words=f"TORCH={choice}")
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("torch: ")]
    assert choice in line
