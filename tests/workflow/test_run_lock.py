import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from asking import Asking
from jobs import Jobs
from run_hooks import RunHooks
from run_lock import redate_the_future
from workspaces import LIBRARY, SMOKE, Workspace, environment, job_counts

from hyperinf.settings.default_experiment import default_experiment

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
HANG = {"STUB_HANG": "finetune@/mislabel/"}


def wait_until(condition: Callable[[], object], seconds: float = 300.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def started_until_it_hangs(workspace: Workspace) -> tuple[subprocess.Popen[str], int]:
    """A run that waits in its fine-tuning job, and that job's process id."""
    running = workspace.start("--configfile", SMOKE, "--cores", "2", **HANG)
    marker = workspace.root / "hanging.pid"
    wait_until(lambda: marker.exists() and marker.read_text())
    return running, int(marker.read_text())


def calls(workspace: Workspace, command: str, part: str) -> list[list[str]]:
    """The arguments of the calls of a command so far, of those with this part in them."""
    told = [json.loads(line) for line in (workspace.root / "calls.jsonl").read_text().splitlines()]
    return [call for call in told if call[0] == command and part in " ".join(call)]


def test_a_second_run_in_the_same_results_is_refused_in_one_line(fresh: Workspace) -> None:
    running, job = started_until_it_hangs(fresh)
    try:
        refused = fresh.start("--configfile", SMOKE, "--cores", "2")
        printed, _ = refused.communicate(timeout=300)
        assert refused.returncode == 1
        line = printed.splitlines()[-1]
        assert line.startswith("results/smoke: ")
        assert f"process {running.pid} on {socket.gethostname()}" in line
        assert "Traceback" not in printed
        assert alive(job)
        # Looking is allowed meanwhile.
        assert fresh.would_run() != {}
    finally:
        running.kill()
        running.wait()
        os.kill(job, signal.SIGKILL)


@pytest.mark.parametrize("patience", [0.0, 0.05, 0.2, 0.5])
def test_ctrl_c_when_a_job_is_announced_does_not_wait_for_it(fresh: Workspace, patience: float) -> None:
    slow = json.dumps({"finetune": 3600, "prepare": 0.1})
    running = fresh.start("--configfile", SMOKE, "--cores", "2", "--until", "finetune", STUB_SLEEP=slow)
    assert running.stdout is not None
    while "Fine-tune " not in (line := running.stdout.readline()):
        assert line, "the run has ended"
    time.sleep(patience)
    # To the run alone: what a terminal sends goes to the jobs that there are as well.
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=300)
    assert running.returncode != 0
    assert "finetune" not in [line.split('"')[1] for line in ended(fresh)]
    # What was interrupted is made by the next run.
    fresh.smoke("--until", "finetune")
    assert job_counts(fresh.smoke("--until", "finetune", "--dry-run")) == {}


def ended(workspace: Workspace) -> list[str]:
    """First words of the commands that came to their end, as JSON."""
    spans = [json.loads(line) for line in (workspace.root / "spans.jsonl").read_text().splitlines()]
    return [json.dumps(words) for event, _, words, _ in spans if event == "ends"]


def test_after_a_kill_the_next_run_ends_what_was_left_and_finishes(fresh: Workspace) -> None:
    running, job = started_until_it_hangs(fresh)
    running.kill()
    running.wait()
    assert alive(job)
    fresh.smoke()
    assert not alive(job)
    assert (fresh.root / "results/smoke/report.html").is_file()
    assert fresh.would_run() == {}
    assert len(calls(fresh, "finetune", "/mislabel/")) == 2
    assert len(calls(fresh, "prepare", "/mislabel/")) == 1


def test_a_run_started_by_make_ends_with_it(fresh: Workspace) -> None:
    makefile = fresh.root / "Makefile"
    makefile.write_text(f"run:\n\t{sys.executable} workflow/run.py --configfile {SMOKE} --cores 2\n")
    make = subprocess.Popen(["make", "run"], cwd=fresh.root, env={**environment(), **HANG}, stdout=subprocess.DEVNULL)
    marker, lock = fresh.root / "hanging.pid", fresh.root / "results/smoke/.lock"
    wait_until(lambda: marker.exists() and marker.read_text())
    run = json.loads(lock.read_text())["process"]
    make.kill()
    make.wait()
    wait_until(lambda: not alive(run))
    fresh.smoke()
    assert not alive(int(marker.read_text()))
    assert fresh.would_run() == {}


def test_only_processes_of_the_killed_run_are_ended(tmp_path: Path) -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(LIBRARY)!r}); import run_lock; "
        "print(*run_lock.end_marked_processes(sys.argv[1]))"
    )
    sleeping = [sys.executable, "-c", "import time; time.sleep(600)"]
    ours = subprocess.Popen(sleeping, env={**environment(), "HYPERINF_RUN": "first"})
    other = subprocess.Popen(sleeping, env={**environment(), "HYPERINF_RUN": "second"})
    try:
        wait_until(lambda: b"HYPERINF_RUN=first" in Path(f"/proc/{ours.pid}/environ").read_bytes())
        command = [sys.executable, "-c", program]
        printed = subprocess.run([*command, "first"], capture_output=True, text=True, check=True).stdout
        assert printed.split() == [str(ours.pid)]
        assert ours.wait(timeout=300) == -signal.SIGKILL
        assert subprocess.run([*command, ""], capture_output=True, text=True, check=True).stdout.split() == []
        assert other.poll() is None
    finally:
        for process in (ours, other):
            process.kill()
            process.wait()


def stand_in(folder: Path, **commands: str) -> str:
    """Commands of Slurm as scripts, and a PATH that finds them first."""
    folder.mkdir()
    for name, script in commands.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def acquired(folder: Path, path: str) -> subprocess.CompletedProcess[str]:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import run_lock; lock = run_lock.acquire(sys.argv[2]); "
        "print(lock.note); lock.begin(slurm=True)"
    )
    command = [sys.executable, "-c", program, str(LIBRARY), str(folder)]
    return subprocess.run(command, env={**environment(), "PATH": path}, capture_output=True, text=True, check=False)


def left_in_slurm(folder: Path) -> Path:
    """The lock of a run that was killed with jobs in Slurm."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {"process": 1, "host": socket.gethostname(), "mark": "the-old-run", "began": 1.0, "slurm": True}
    (folder / ".lock").write_text(json.dumps(record))
    return folder / ".lock"


def test_jobs_that_a_killed_run_left_in_slurm_are_cancelled_and_no_others(tmp_path: Path) -> None:
    left, cancelled = tmp_path / "left", tmp_path / "cancelled"
    left.write_text("16 another-run_uuid\n17 the-old-run_uuid\n18_[3-4] mine-the-old-run_uuid\n")
    path = stand_in(
        tmp_path / "bin",
        squeue=f"cat {left}",
        scancel=f'echo "$@" > {cancelled}; echo "16 another-run_uuid" > {left}',
    )
    lock = left_in_slurm(tmp_path)
    done = acquired(tmp_path, path)
    assert done.returncode == 0, done.stderr
    assert cancelled.read_text() == "17 18_[3-4]\n"
    record = json.loads(lock.read_text())
    assert record["slurm"] is True
    assert record["mark"] not in ("", "the-old-run")


def test_a_run_is_refused_in_one_line_while_jobs_in_slurm_cannot_be_ended(fresh: Workspace, tmp_path: Path) -> None:
    lock = left_in_slurm(fresh.root / "results/smoke")
    record = lock.read_text()
    path = stand_in(tmp_path / "bin", squeue="echo 'slurm_load_jobs error: no controller' >&2; exit 1")
    refused = fresh.start("--configfile", SMOKE, "--cores", "2", PATH=path)
    printed, _ = refused.communicate(timeout=300)
    assert refused.returncode == 1
    line = printed.splitlines()[-1]
    assert line.startswith("results/smoke: ")
    for word in ("slurm_load_jobs error: no controller", "nothing was started", "the-old-run", "results/smoke/.lock"):
        assert word in line
    assert not (fresh.root / "calls.jsonl").exists()
    assert lock.read_text() == record


def test_a_run_that_was_killed_on_another_machine_is_mentioned(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text(json.dumps({"process": 7, "host": "elsewhere", "mark": "m"}))
    note = acquired(tmp_path, os.environ["PATH"]).stdout
    assert note.startswith(f"{tmp_path}: ")
    assert "process 7 on elsewhere" in note
    # A run that started no job has left none.
    (tmp_path / ".lock").write_text(json.dumps({"process": 7, "host": "elsewhere"}))
    assert acquired(tmp_path, os.environ["PATH"]).stdout == "\n"


def test_a_run_that_finds_nothing_to_do_leaves_nothing_to_end_either(done: Workspace) -> None:
    lock = done.root / "results/smoke/.lock"
    lock.write_text(json.dumps({"process": 7, "host": socket.gethostname(), "mark": "m", "began": time.time()}))
    done.smoke()
    assert "mark" not in json.loads(lock.read_text())


def test_a_snakemake_that_does_not_say_that_it_plans_starts_no_job() -> None:
    with pytest.raises(SystemExit, match="^results: "):
        RunHooks(SimpleNamespace(is_main_process=False), Jobs(default_experiment(), "results"), Asking()).start()


def test_a_run_that_ended_by_itself_leaves_nothing_to_end(finished: Workspace) -> None:
    assert json.loads((finished.root / "results/smoke/.lock").read_text()) == {}


def test_files_that_a_clock_set_back_left_in_the_future_are_dated_now_and_others_are_left(tmp_path: Path) -> None:
    now = time.time()
    dates = {"ahead": now + 3600, "skewed": now + 3, "before": now - 3600}
    for name, date in dates.items():
        (tmp_path / name).write_text(name)
        os.utime(tmp_path / name, (date, date))
    assert redate_the_future(tmp_path) == [tmp_path / "ahead"]
    assert (tmp_path / "ahead").stat().st_mtime == pytest.approx(now, abs=5)
    for name in ("skewed", "before"):
        assert (tmp_path / name).stat().st_mtime == pytest.approx(dates[name], abs=1e-3)
