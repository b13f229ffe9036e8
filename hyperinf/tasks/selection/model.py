"""The model of a selection run: where it comes from, what of it is trained, on which questions."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hyperinf.data.questions import read_questions_info
from hyperinf.data.sources import parse_source, resolve_model_folder
from hyperinf.errors import InputError
from hyperinf.files import read_json
from hyperinf.models.lora import LoraSettings
from hyperinf.models.trainable import adapt
from hyperinf.tasks.selection.family import LanguageFamily, ModelFamily

FAMILIES = {"language": LanguageFamily}
LAST_LAYER = "last_layer"


@dataclass(frozen=True)
class ModelConfig:
    """A model and what of it is trained.

    Attributes:
        source: ``asset:NAME``, ``hub:NAME`` or ``path:FOLDER``.
        family: ``language``.
        lora: where the adapter sits; None for dense training of the last decoder layer.
        seed: of the adapter's initial weights.
        max_length: tokens of a sample.
        dtype: of all weights.
        checkpointing: compute activations again in the backward pass of training, to save memory.
    """

    source: str
    lora: LoraSettings | None
    seed: int
    family: str = "language"
    max_length: int = 128
    dtype: str = "float32"
    checkpointing: bool = False

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise InputError(f"family: expected one of {', '.join(FAMILIES)}, got {self.family!r}")
        if self.max_length < 2:
            raise InputError(f"max_length: expected at least 2 tokens, got {self.max_length}")

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> "ModelConfig":
        """The configuration that a stage before this one has written down."""
        lora = plain["lora"]
        if lora is not None:
            targets = lora["targets"]
            lora = LoraSettings(**{**lora, "targets": targets if isinstance(targets, str) else tuple(targets)})
        return cls(**{**plain, "lora": lora})

    @property
    def setting(self) -> str:
        """Its name in the tables: ``lora-R`` or ``last_layer``."""
        return LAST_LAYER if self.lora is None else f"lora-{self.lora.rank}"


@dataclass(frozen=True)
class Places:
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


def open_family(config: ModelConfig, places: Places) -> ModelFamily:
    """The model's kind, with its tokenizer and the prompt templates of the data."""
    folder = resolve_model_folder(parse_source(config.source), places.cache, places.wheels)
    templates = read_questions_info(places.data)["templates"]
    return FAMILIES[config.family](folder, templates, config.max_length, places.data)


def open_model(config: ModelConfig, family: ModelFamily, places: Places) -> Any:
    """The pretrained model with a fresh adapter, on the device."""
    model = adapt(family.load(config.dtype), config.lora, config.seed)
    if config.checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return model.to(places.device)


def model_note(config: ModelConfig) -> str:
    """What a reader of the numbers must know of the model: that it was cut, or has random weights; else nothing."""
    kind, _, name = config.source.partition(":")
    prepared = Path(name) / "prepared.json"
    return str(read_json(prepared)["note"]) if kind == "path" and prepared.is_file() else ""
