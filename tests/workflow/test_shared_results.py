"""Results that a colleague may or may not write to, a full disk, a file system without locks: one line, or it works."""

import fcntl
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import run_lock
from second_user import ANNA, BERT, GROUP, as_user, needs_two_users, shared_folder
from workspaces import SMOKE, Workspace, environment

FEW = ("--until", "simulation_fisher")


def owned(path: Path, user: int, mode: int | None = None) -> None:
    """Give a file, or a folder and all in it, to a user."""
    for each in [path, *path.rglob("*")]:
        os.chown(each, user, GROUP)
    if mode is not None:
        path.chmod(mode)


def run(workspace: Workspace, user: int, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """``make run`` by a user, of a little."""
    wrapper = [sys.executable, "workflow/run.py", "--cores", "2", "--configfile", SMOKE, *(arguments or FEW)]
    places = {"XDG_CACHE_HOME": str(workspace.root.parent / f"cache-{user}"), "HOME": str(workspace.root.parent)}
    return subprocess.run(
        [*as_user(user), *wrapper],
        cwd=workspace.root,
        env={**environment(), **places, "PYTHONDONTWRITEBYTECODE": "1", **variables},
        capture_output=True,
        text=True,
        umask=0o022,
        check=False,
    )


def line_of(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a refusal; what Snakemake prints as it starts is none."""
    assert done.returncode, done.stdout + done.stderr
    own = [line for line in done.stderr.splitlines() if ": got " in line or "nothing was started" in line]
    assert len(own) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 17, done.stderr
    return own[0]


@pytest.fixture
def shared(pristine: Workspace) -> Iterator[Workspace]:
    """A project folder of a group."""
    with shared_folder() as folder:
        workspace = pristine.copy(folder / "project")
        owned(workspace.root, BERT, 0o2775)
        yield workspace


@needs_two_users
@pytest.mark.parametrize("kind", ["a colleague's", "below a colleague's", "a file"])
def test_results_that_cannot_be_written_are_one_line_and_another_folder_works(shared: Workspace, kind: str) -> None:
    results = shared.root / "results"
    if kind == "a file":
        results.write_text("mine")
    else:
        folder = results / "smoke" if kind == "a colleague's" else results
        folder.mkdir(parents=True)
        owned(results, ANNA, 0o755)
    line = line_of(run(shared, BERT))
    assert "results" in line.partition(": ")[0]
    assert "set results" in line
    (shared.root / "mine.yaml").write_text("results: mine\n")
    done = run(shared, BERT, "mine.yaml", *FEW)
    assert done.returncode == 0, done.stderr
    assert (shared.root / "mine/simulation/fisher/summary.csv").is_file()


@needs_two_users
def test_a_folder_in_the_results_that_is_a_colleagues_is_named_before_the_first_job(shared: Workspace) -> None:
    folder = shared.root / "results/smoke/simulation/fisher"
    folder.mkdir(parents=True)
    owned(shared.root / "results", BERT)
    owned(folder, ANNA, 0o755)
    line = line_of(run(shared, BERT))
    assert line.startswith("results/smoke/simulation/fisher: ")
    assert not (shared.root / "calls.jsonl").exists()
    folder.chmod(0o775)  # leave to write there
    assert run(shared, BERT).returncode == 0


@needs_two_users
def test_a_lock_is_the_groups_where_the_folder_is_so_that_a_colleague_goes_on(shared: Workspace) -> None:
    smoke = shared.root / "results/smoke"
    smoke.mkdir(parents=True)
    owned(shared.root / "results", ANNA)
    for folder in (shared.root / "results", smoke):
        folder.chmod(0o2775)
    code = f"import sys; sys.path.insert(0, 'workflow/lib'); import run_lock; run_lock.acquire({str(smoke)!r}).settle()"
    subprocess.run(
        [*as_user(ANNA), sys.executable, "-c", code], cwd=shared.root, env=environment(), check=True, umask=0o022
    )
    assert (smoke / ".lock").stat().st_uid == ANNA
    assert (smoke / ".lock").stat().st_mode & stat.S_IWGRP
    done = run(shared, BERT)
    assert done.returncode == 0, done.stderr


@needs_two_users
def test_a_colleagues_lock_that_cannot_be_written_is_one_line_and_its_advice_works(shared: Workspace) -> None:
    smoke = shared.root / "results/smoke"
    smoke.mkdir(parents=True)
    owned(shared.root / "results", BERT)
    smoke.chmod(0o2775)
    lock = smoke / ".lock"
    lock.touch()
    owned(lock, ANNA, 0o644)
    line = line_of(run(shared, BERT))
    assert line.startswith("results/smoke/.lock: got a lock of ")
    assert f"remove {lock.relative_to(shared.root)}" in line
    # While a run of hers is at work it is not to be removed, and nobody says so.
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        line = line_of(run(shared, BERT))
    assert line.startswith("results/smoke: another run")
    assert "remove" not in line
    lock.unlink()
    assert run(shared, BERT).returncode == 0


@needs_two_users
def test_a_run_of_a_colleague_is_named_with_its_user(shared: Workspace) -> None:
    smoke = shared.root / "results/smoke"
    smoke.mkdir(parents=True)
    lock = smoke / ".lock"
    lock.write_text(json.dumps({"process": 7, "host": "node1", "user": "anna"}))
    owned(shared.root / "results", BERT)
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        line = line_of(run(shared, BERT))
    assert "process 7 of anna on node1" in line


@needs_two_users
def test_what_a_colleagues_killed_run_left_is_mentioned(tmp_path: Path) -> None:
    left = {"process": 7, "host": socket.gethostname(), "user": "anna", "mark": "m", "began": 1.0}
    (tmp_path / ".lock").write_text(json.dumps(left))
    assert "process 7 of anna" in run_lock.acquire(tmp_path).note


@needs_two_users
@pytest.mark.parametrize("place", [".snakemake", "cache"])
def test_folders_of_snakemakes_own_that_are_closed_are_one_line_with_a_way_out(shared: Workspace, place: str) -> None:
    closed = shared.root / ".snakemake" if place == ".snakemake" else shared.root.parent / "closed"
    closed.mkdir(exist_ok=True)
    owned(closed, ANNA, 0o755)
    variables = {} if place == ".snakemake" else {"XDG_CACHE_HOME": str(closed)}
    done = run(shared, BERT, **variables)
    assert done.returncode == 2
    assert str(closed.relative_to(shared.root) if place == ".snakemake" else closed) in line_of(done)
    if place == ".snakemake":
        subprocess.run(["chmod", "-R", "g+w", closed], check=True)
    assert run(shared, BERT).returncode == 0


def test_a_full_disk_is_one_line_before_the_first_job_and_with_room_it_works(fresh: Workspace) -> None:
    results = fresh.root / "results"
    results.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", results], capture_output=True)
    if mounted.returncode:
        pytest.skip("a disk that can be filled needs leave to mount")
    try:
        (results / "filler").write_bytes(b"x" * 8192)
        (results / "more").write_bytes(b"x" * 8192)
    except OSError:
        pass
    try:
        running = fresh.start("--configfile", SMOKE, "--cores", "2", *FEW)
        printed, _ = running.communicate(timeout=300)
        assert running.returncode
        assert "Traceback" not in printed
        assert "No space left on device" in printed.splitlines()[-1]
        assert "results/smoke" in printed.splitlines()[-1]
        for file in ("filler", "more"):
            (results / file).unlink(missing_ok=True)
        subprocess.run(["mount", "-o", "remount,size=8m", results], check=True)
        fresh.smoke(*FEW)
    finally:
        subprocess.run(["umount", "--lazy", results], check=True)


def test_a_file_system_without_locks_is_run_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    lock = run_lock.acquire(tmp_path)
    lock.settle()
    assert json.loads((tmp_path / ".lock").read_text())["process"] == os.getpid()
    shutil.rmtree(tmp_path)
