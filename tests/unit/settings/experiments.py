"""The default experiment, changed, and what is said of it."""

import copy
from pathlib import Path
from typing import Any

import yaml

from hyperinf.settings.checking import SettingsError
from hyperinf.settings.experiment import checked_experiment
from hyperinf.settings.yaml_files import merged, read_yaml

ROOT = Path(__file__).parents[3]
GOOD = read_yaml(ROOT / "config.yaml")
OVERLAYS = (("smoke",), ("paper",), ("paper", "paper_vlm"))


def overlaid(*names: str) -> dict[str, Any]:
    """config.yaml with overlays of the project."""
    return merged(GOOD, *(read_yaml(ROOT / f"workflow/config/{name}.yaml") for name in names))


def changed(overlay: str) -> dict[str, Any]:
    """config.yaml with an overlay, given as YAML."""
    return merged(copy.deepcopy(GOOD), yaml.safe_load(overlay))


def refusal(values: Any, base: Path | None = ROOT) -> list[str]:
    """The lines that are said of an experiment; none if it is accepted."""
    try:
        checked_experiment(values, base)
    except SettingsError as error:
        return str(error).split("\n")
    return []
