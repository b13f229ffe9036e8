"""What the executor starts in the tasks of a job array; tests/workflow/slurm does it for real."""

import base64
import json
import os
import subprocess
import sys
import zlib

import pytest
from array_task import ArrayError, own_command, take_over
from conftest import ROOT

WRAPPER = ["snakemake", "--executor", "slurm-jobstep", "--mode", "remote"]

PROGRAM = (
    "import os, sys; sys.path.insert(0, sys.argv.pop(1)); import array_task; "
    'array_task.take_over(sys.argv, os.environ); print("as it is")'
)


def handed_on(commands: dict[str, str]) -> str:
    packed = {task: zlib.compress(command.encode()).hex() for task, command in commands.items()}
    return base64.b64encode(json.dumps(packed).encode()).decode()


def task_of_array(task: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What a task prints whose array begins with task 3."""
    slurm = {"SLURM_ARRAY_TASK_ID": task, "SLURM_ARRAY_TASK_MIN": "3", "SLURM_MEM_PER_NODE": "9"}
    command = [sys.executable, "-c", PROGRAM, str(ROOT / "workflow"), *arguments]
    return subprocess.run(command, env={**os.environ, **slurm}, capture_output=True, text=True, check=False)


def test_a_task_runs_its_own_command_and_ends_as_that_ends() -> None:
    commands = handed_on({"4": "echo $SLURM_ARRAY_TASK_ID ${SLURM_MEM_PER_NODE-hidden}; exit 5", "5": "echo other"})
    done = task_of_array("4", *WRAPPER, f"--slurm-jobstep-array-execs={commands}")
    assert (done.stdout, done.returncode) == ("4 hidden\n", 5)


def test_the_first_task_and_what_the_tasks_start_go_on_as_they_are() -> None:
    option = f"--slurm-jobstep-array-execs={handed_on({'4': 'echo own'})}"
    assert task_of_array("3", *WRAPPER, option).stdout == "as it is\n"
    assert task_of_array("4", "snakemake", "--mode", "remote").stdout == "as it is\n"


def test_a_tasks_own_command_is_a_command_of_the_executor_itself() -> None:
    own = " ".join([f"'{sys.executable}'", "-c", f"'{PROGRAM}'", str(ROOT / "workflow"), *WRAPPER])
    done = task_of_array("4", *WRAPPER, f"--slurm-jobstep-array-execs={handed_on({'4': own})}")
    assert (done.stdout, done.returncode) == ("as it is\n", 0), done.stderr


def test_outside_of_an_array_nothing_happens() -> None:
    take_over(WRAPPER, {"SLURM_JOB_ID": "7"})


@pytest.mark.parametrize("given", [None, "", "no base64", handed_on({"5": "echo other"})])
def test_a_task_without_a_command_is_refused_and_runs_no_other(given: str | None) -> None:
    arguments = WRAPPER if given is None else [*WRAPPER, f"--slurm-jobstep-array-execs={given}"]
    with pytest.raises(ArrayError, match="task 4 of a job array has no command of its own; a lower slurm-array-limit"):
        take_over(arguments, {"SLURM_ARRAY_TASK_ID": "4", "SLURM_ARRAY_TASK_MIN": "3"})


def test_a_command_comes_out_as_it_was() -> None:
    assert own_command(handed_on({"12": "echo 'ä' \"$HOME\""}), "12") == "echo 'ä' \"$HOME\""
