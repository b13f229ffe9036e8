"""What the stages of one selection run have in common: its name, its model, the columns of its tables."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperinf.artifacts.environment import digest, to_json
from hyperinf.artifacts.files import sha256_file
from hyperinf.artifacts.records import RECORD, read_record
from hyperinf.data.questions import read_questions_info
from hyperinf.errors import InputError
from hyperinf.pipeline.selection.model import ModelConfig, RunPaths

METRIC_COLUMNS = ["task", "model", "setting", "method", "strategy", "fraction", "seed", "metric", "value"]


@dataclass(frozen=True)
class SelectionKey:
    """What a run is called in the tables.

    Attributes:
        task: name of the data.
        model: name of the model.
        seed: of all that is drawn.
        setting: what is trained and scored; None for what the model's configuration says.
    """

    task: str
    model: str
    seed: int
    setting: str | None = None


def named(key: SelectionKey, model: ModelConfig) -> dict[str, Any]:
    """The key as columns of a table."""
    return {**vars(key), "setting": key.setting or model.setting}


def read_warmup(warmup: Path, places: RunPaths) -> tuple[ModelConfig, dict[str, Any]]:
    """The model that was warmed up, and what its ``info.json`` says.

    Raises:
        InputError: it was warmed up on other data, or what was written has changed since.
    """
    path = warmup / RECORD
    trained: dict[str, Any] = read_record(path)
    try:
        data, model = trained["data_sha256"], ModelConfig.from_json(trained["settings"]["model"])
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not of a warm-up ({type(error).__name__}: {error})") from None
    if data != read_questions_info(places.data)["content_sha256"]:
        raise InputError(f"{warmup}: was trained on other data than {places.data}")
    return model, trained


def origin_of(warmup: Path, trained: dict[str, Any], gradients_of: str) -> dict[str, str]:
    """What gradients at the warmed-up weights are taken of: the parts of a sharded scoring must agree on it."""
    weights = {path.name: sha256_file(path) for path in sorted(warmup.glob("*.safetensors"))}
    model = digest([trained["settings"]["model"], weights])
    return {"data": trained["data_sha256"], "model": model, "part of the model": gradients_of}


def stable(config: Any) -> Any:
    """A configuration without what decides no result: how often training is saved."""
    plain = to_json(config)
    plain["training"].pop("save_seconds")
    return plain
