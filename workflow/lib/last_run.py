"""Which configuration the last run had, so that Snakemake's report is one of that run."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_NOTE = Path(".snakemake/hyperinf-last-run.json")


def note_configuration(workflow: Any) -> None:
    """Write down the overlays of a run, below the folder that it runs in."""
    files = [str(Path(file).resolve()) for file in workflow.config_settings.configfiles or ()]
    _NOTE.write_text(json.dumps(files) + "\n", encoding="utf-8")


def with_configuration(arguments: Sequence[str]) -> list[str]:
    """Add the overlays of the last run to Snakemake's arguments where a report is asked for and none are named."""
    named = [each.partition("=")[0] for each in arguments]
    if "--report" not in named or {"--configfile", "--configfiles"} & set(named) or not _NOTE.is_file():
        return list(arguments)
    files = json.loads(_NOTE.read_text(encoding="utf-8"))
    return [*arguments, *(["--configfile", *files] if files else [])]
