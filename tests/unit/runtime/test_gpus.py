"""Which GPU a process takes, on a machine whose GPUs are names."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hyperinf.errors import InputError
from hyperinf.runtime import gpus

HOLD = "import time, sys; from hyperinf.runtime.gpus import *; import os; take(int(sys.argv[1])); print(os.environ['CUDA_VISIBLE_DEVICES'], flush=True); time.sleep(60)"  # noqa: E501


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Three GPUs, of which the second has a long name."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,GPU-8a/b,5")
    monkeypatch.setenv(gpus.LOCKS, str(tmp_path / "locks"))
    monkeypatch.setattr(gpus, "_held", [])
    return tmp_path / "locks"


def held(count: int) -> tuple["subprocess.Popen[str]", str]:
    """A process that has so many, and their names."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(count)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def test_each_process_has_gpus_of_its_own_and_a_killed_one_gives_them_back(machine: Path) -> None:
    first, second = held(1), held(2)
    try:
        assert (first[1], second[1]) == ("0", "GPU-8a/b,5")
        waiting = subprocess.Popen([sys.executable, "-c", HOLD, "1"], stdout=subprocess.PIPE, text=True)
        time.sleep(1)
        assert waiting.poll() is None
        first[0].kill()
        assert waiting.stdout is not None
        assert waiting.stdout.readline().strip() == "0"
        waiting.kill()
        waiting.wait()
    finally:
        for process, _ in (first, second):
            process.kill()
            process.wait()


def test_a_command_that_is_started_keeps_what_was_taken_for_it(machine: Path) -> None:
    shown = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'], 'HYPERINF_GPU_LOCKS' in os.environ)"
    command = [sys.executable, "-m", "hyperinf.runtime.gpus", "2", sys.executable, "-c", shown]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0,GPU-8a/b", "False"]


def test_more_than_there_are_is_refused(machine: Path) -> None:
    with pytest.raises(InputError, match=r"^gpu: got .*4.* 3"):
        gpus.take(4)


def test_nothing_is_taken_outside_a_run_or_by_who_names_one(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus.take_for("cuda:1")
    gpus.take_for("cpu")
    monkeypatch.delenv(gpus.LOCKS)
    gpus.take_for("cuda")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,GPU-8a/b,5"
    assert not machine.exists()


def test_a_number_for_several_processes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "launched", lambda: True)
    with pytest.raises(InputError, match=r"^device: got 'cuda:1'"):
        gpus.take_for("cuda:1")


@pytest.mark.parametrize(("given", "names"), [("", []), ("-1", []), ("2", ["2"]), ("0, 3", ["0", "3"])])
def test_the_visible_ones_are_those_of_the_variable(
    monkeypatch: pytest.MonkeyPatch, given: str, names: list[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert gpus.visible() == names
