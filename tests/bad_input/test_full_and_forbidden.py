"""A disk that is full, and folders that may not be written: one line, and nothing half-written is left."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import commands
import pytest
from commands import Run, tree

KIB = 64


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of a few KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={KIB}k", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"a disk that can be filled needs leave to mount: {mounted.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.mark.parametrize("command", commands.WRITES)
def test_a_full_disk_is_one_line_that_names_it_and_nothing_is_left(
    command: str, world: Path, run: Run, small: Path, tmp_path: Path
) -> None:
    # Something of the command's own is there already, so that only the writing itself can fail.
    (small / "filler").write_bytes(b"x" * KIB * 1024)
    out = commands.COMMANDS[command]["--out"].replace("{here}", str(small))
    words = commands.words(command, {"--out": out, **_state(command, tmp_path)}, {"here": small, "world": world})
    ended = run(words, tmp_path)
    lines = [line for line in ended.err.splitlines() if ": warning: " not in line]
    assert ended.code == 2, ended.err
    assert len(lines) == 1, ended.err
    assert "No space left on device" in lines[0]
    left = [name for name, (size, _) in tree(small).items() if size and name != "filler"]
    assert left == []


def _state(command: str, place: Path) -> dict[str, str]:
    """What training goes on from lies elsewhere, so that only its result meets the full disk."""
    return {"--state": str(place / "state")} if command in commands.TRAINS else {}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_one_line(world: Path, run: Run, tmp_path: Path) -> None:
    forbidden = tmp_path / "forbidden"
    forbidden.mkdir(mode=0o500)
    ended = run(commands.words("prepare", {}, {"here": forbidden, "world": world}), tmp_path)
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert "no permission" in ended.err
    assert str(forbidden) in ended.err
