import os

import pytest

from hyperinf.artifacts.files import atomic_directory, atomic_file, read_json, sha256_file, write_json
from hyperinf.errors import InputError


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "deep" / "a.txt"
    with atomic_file(target) as temporary:
        temporary.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    with pytest.raises(RuntimeError), atomic_file(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "new"
    assert [path.name for path in target.parent.iterdir()] == ["a.txt"]


def test_a_folder_replaces_the_old_one_only_when_it_is_complete(tmp_path):
    target = tmp_path / "run"
    for text in ("one", "two"):
        with atomic_directory(target) as temporary:
            (temporary / text).write_text(text)
    assert [path.name for path in target.iterdir()] == ["two"]
    with pytest.raises(RuntimeError), atomic_directory(target) as temporary:
        (temporary / "three").write_text("")
        raise RuntimeError
    assert [path.name for path in target.iterdir()] == ["two"]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_what_is_written_has_the_mode_that_the_user_s_mask_gives(tmp_path):
    old = os.umask(0o027)
    try:
        write_json(tmp_path / "a.json", {})
        with atomic_directory(tmp_path / "d"):
            pass
    finally:
        os.umask(old)
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "d").stat().st_mode & 0o777 == 0o750


def test_json_is_the_same_bytes_whatever_the_order_of_keys(tmp_path):
    write_json(tmp_path / "a", {"b": 1, "a": [1.5]})
    write_json(tmp_path / "b", {"a": [1.5], "b": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "c", {"a": float("nan")})
    assert not (tmp_path / "c").exists()


def test_json_that_is_none_names_the_file(tmp_path):
    with pytest.raises(InputError, match=r"x\.json: no such file"):
        read_json(tmp_path / "x.json")
    (tmp_path / "y.json").write_text("{")
    with pytest.raises(InputError, match=r"y\.json: not a JSON file"):
        read_json(tmp_path / "y.json")


def test_sha256_of_a_known_file(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_file(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
