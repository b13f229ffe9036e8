"""What a result was made with: versions, device, arguments."""

import dataclasses
import hashlib
import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hyperinf import __version__
from hyperinf.artifacts.files import sha256_file

PACKAGES = ("torch", "transformers", "peft", "datasets", "safetensors", "numpy", "scipy", "pandas")


def fingerprint(settings: Any, device: str, **more: Any) -> dict[str, Any]:
    """A JSON value that names versions, device and settings; no time stamp, so equal runs have equal bytes.

    Args:
        settings: a dataclass of the stage's settings.
        device: where it ran.
        **more: further JSON values, such as the hash of the data.
    """
    plain = to_json(settings)
    return {
        "hyperinf": __version__,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "device": device_name(device),
        "settings": plain,
        "settings_sha256": digest(plain),
        **more,
    }


def hashed(folder: Path, *patterns: str, below: str = "") -> dict[str, str]:
    """SHA-256 of the files of a folder, for ``inputs`` and ``outputs`` of a stage: whose outputs another one read.

    Args:
        folder: where they are.
        *patterns: of names below it.
        below: put before each name.

    Returns:
        ``{name: SHA-256}``, sorted by name; none where there is no such folder.
    """
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return {f"{below}{path.relative_to(folder).as_posix()}": sha256_file(path) for path in sorted(found)}


def source_files(source: object) -> dict[str, str]:
    """SHA-256 of the file or files of a data source ``path:FILE_OR_FOLDER``; nothing of other sources."""
    kind, _, name = str(source).partition(":")
    path = Path(name)
    if kind != "path":
        return {}
    return hashed(path, "**/*", below=f"{name}/") if path.is_dir() else {name: sha256_file(path)}


def model_files(source: str) -> dict[str, str]:
    """SHA-256 of the weights of ``path:FOLDER``; an asset has a record of its own, the hub its revisions."""
    kind, _, name = source.partition(":")
    return hashed(Path(name), "*.safetensors", below=f"{name}/") if kind == "path" else {}


def to_json(value: Any) -> Any:
    """Dataclasses, paths and tuples as plain JSON values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: to_json(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def digest(value: Any) -> str:
    """SHA-256 of a JSON value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def device_name(device: str) -> str:
    """The GPU's own name, or the processor's architecture."""
    if device.startswith("cuda"):
        import torch

        return str(torch.cuda.get_device_name(device))
    return f"cpu ({platform.machine()})"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
