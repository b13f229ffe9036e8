"""The model of a selection run: where it comes from, what of it is trained, on which questions."""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hyperinf.artifacts.files import read_json
from hyperinf.artifacts.records import PREPARED
from hyperinf.data.questions import read_questions_info
from hyperinf.data.sources import parse_source, resolve_model_folder
from hyperinf.errors import InputError
from hyperinf.models.language import TooLong, check_too_long
from hyperinf.models.lora import LoraSettings
from hyperinf.models.trainable import DENSE_PARTS, DensePart, adapt
from hyperinf.pipeline.selection.family import LanguageFamily, ModelFamily
from hyperinf.pipeline.selection.vision import VisionFamily

_log = logging.getLogger(__name__)

FAMILIES: dict[str, type[LanguageFamily]] = {"language": LanguageFamily, "vision": VisionFamily}


@dataclass(frozen=True)
class ModelConfig:
    """A model and what of it is trained.

    Attributes:
        source: ``asset:NAME``, ``hub:NAME`` or ``path:FOLDER``.
        lora: where the adapter sits; None for dense training alone.
        dense: the parts that are trained densely; without an adapter at least one.
        seed: of the adapter's initial weights.
        family: ``language`` or ``vision``.
        max_length: tokens of a sample; the model's own limit where that is less.
        dtype: of all weights.
        too_long: what is done with a sample that does not fit without its context: ``truncate`` cuts its prompt from
            the left, ``skip`` leaves the sample out, ``refuse`` names it and stops.
        checkpointing: compute activations again in the backward pass of training, to save memory.
    """

    source: str
    lora: LoraSettings | None
    seed: int
    dense: tuple[DensePart, ...] = ()
    family: str = "language"
    max_length: int = 128
    dtype: str = "float32"
    too_long: TooLong = "truncate"
    checkpointing: bool = False

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise InputError(f"family: expected one of {', '.join(FAMILIES)}, got {self.family!r}")
        for part in self.dense:
            if part not in DENSE_PARTS:
                raise InputError(f"dense: expected some of {', '.join(DENSE_PARTS)}, got {part!r}")
        if self.lora is None and not self.dense:
            raise InputError(f"dense: expected some of {', '.join(DENSE_PARTS)} where there is no adapter, got none")
        if self.max_length < 2:
            raise InputError(f"max_length: expected at least 2 tokens, got {self.max_length}")
        check_too_long(self.too_long)

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> "ModelConfig":
        """The configuration that a stage before this one has written down."""
        lora = plain["lora"]
        if lora is not None:
            targets = lora["targets"]
            lora = LoraSettings(**{**lora, "targets": targets if isinstance(targets, str) else tuple(targets)})
        return cls(**{**plain, "lora": lora, "dense": tuple(plain["dense"])})

    @property
    def setting(self) -> str:
        """Its name in the tables: ``lora-R``, ``last_layer``, ``projector``, or ``lora_projector-R``."""
        parts = "_".join([*(["lora"] if self.lora else []), *self.dense])
        return f"{parts}-{self.lora.rank}" if self.lora else parts


@dataclass(frozen=True)
class RunPaths:
    """Where a stage finds things; no result depends on it.

    Attributes:
        data: folder that ``hyperinf select data`` wrote.
        cache: folder of fetched assets.
        wheels: wheels brought by hand.
        device: resolved device.
    """

    data: Path
    cache: Path = Path("results/assets")
    wheels: tuple[Path, ...] = field(default=())
    device: str = "cpu"


def open_family(config: ModelConfig, places: RunPaths) -> ModelFamily:
    """The model's kind, with its tokenizer and the prompt templates of the data."""
    folder = resolve_model_folder(parse_source(config.source), places.cache, places.wheels)
    templates = read_questions_info(places.data)["templates"]
    return FAMILIES[config.family](folder, templates, config.max_length, places.data, config.too_long)


def warn_of_limit(family: ModelFamily, max_length: int) -> None:
    """Say that the model takes fewer tokens than were asked for."""
    if family.max_length < max_length:
        _log.warning("max_length: %d tokens are the model's limit, less than %d", family.max_length, max_length)


def open_model(config: ModelConfig, family: ModelFamily, places: RunPaths) -> Any:
    """The pretrained model with a fresh adapter, on the device."""
    model = adapt(family.load(config.dtype), config.lora, config.seed, config.dense)
    if config.checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return model.to(places.device)


def source_note(source: str) -> str:
    """What a reader of the numbers must know of a model: that it was cut, or had random weights; else nothing."""
    kind, _, name = source.partition(":")
    prepared = Path(name) / PREPARED
    return str(read_json(prepared)["note"]) if kind == "path" and prepared.is_file() else ""
