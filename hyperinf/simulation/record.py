"""What a study of the simulation was made with, beside its table."""

from pathlib import Path

from hyperinf.artifacts import records
from hyperinf.artifacts.environment import fingerprint
from hyperinf.artifacts.files import sha256_file
from hyperinf.settings.base import Settings


def record_path(out: Path) -> Path:
    """The record of a table: ``dim-64_seed-11.csv`` has ``dim-64_seed-11.info.json``."""
    return out.with_suffix(".info.json")


def write_record(out: Path, settings: Settings, device: object) -> None:
    """Write the record of the table ``out``: versions, device, settings, its SHA-256."""
    outputs = {out.name: sha256_file(out)}
    records.write_record(record_path(out), fingerprint(settings.deciding(), str(device), inputs={}, outputs=outputs))
