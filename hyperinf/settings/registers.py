"""What there is to choose from: families of models, forms of data, prompt templates, assets and shapes of models.

Each is named here once; what stands behind a name is imported when it is used.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_PROMPTS = Path(__file__).resolve().parent.parent / "data" / "prompts.yaml"


@dataclass(frozen=True)
class FamilySpec:
    """A family of models.

    Attributes:
        label: in figures and tables.
        implementation: ``module:Class``, a :class:`hyperinf.models.families.base.ModelFamily`.
        trains: what of a model can be trained, in one run each.
        images: its samples may have images.
    """

    label: str
    implementation: str
    trains: tuple[str, ...]
    images: bool = False


_ROOM = "hyperinf.models.families"

FAMILIES: Mapping[str, FamilySpec] = {
    "classifier": FamilySpec("Text classifier", f"{_ROOM}.classifier:ClassifierFamily", ("lora",)),
    "causal": FamilySpec("Language model", f"{_ROOM}.causal:CausalFamily", ("lora", "last_layer")),
    "vision": FamilySpec(
        "Vision-language model",
        f"{_ROOM}.vision:VisionFamily",
        ("lora", "last_layer", "projector", "lora_projector"),
        images=True,
    ),
}

FORMATS: Mapping[str, str] = {
    "labelled": "hyperinf.data.formats.labelled:LABELLED",
    "headlines": "hyperinf.data.formats.chat_formats:HEADLINES",
    "logiqa": "hyperinf.data.formats.published:LOGIQA",
    "logiqa_evals": "hyperinf.data.formats.chat_formats:LOGIQA_EVALS",
    "qasc": "hyperinf.data.formats.published:QASC",
    "qasc_facts": "hyperinf.data.formats.published:QASC_FACTS",
    "hellaswag": "hyperinf.data.formats.published:HELLASWAG",
    "piqa": "hyperinf.data.formats.published:PIQA",
    "quartz": "hyperinf.data.formats.chat_formats:QUARTZ",
    "record": "hyperinf.data.formats.user_jsonl:RECORD",
    "image_classes": "hyperinf.data.formats.visual:IMAGE_CLASSES",
    "easy_vqa": "hyperinf.data.formats.visual:EASY_VQA",
    "easy_vqa_all": "hyperinf.data.formats.visual:EASY_VQA_ALL",
    "easy_vqa_captions": "hyperinf.data.formats.visual:EASY_VQA_CAPTIONS",
    "llava": "hyperinf.data.formats.visual:LLAVA",
    "vqav2": "hyperinf.data.formats.visual:VQAV2",
    "textvqa": "hyperinf.data.formats.visual:TEXTVQA",
    "gqa": "hyperinf.data.formats.visual:GQA",
    "pope": "hyperinf.data.formats.visual:POPE",
}
"""How a row of a source becomes a sample: ``module:NAME`` of a :class:`hyperinf.data.formats.form.Format`."""


@dataclass(frozen=True)
class KnownModel:
    """A model that is known before it is there.

    Attributes:
        families: those that it can belong to.
        linear: names of the linear layers that can get an adapter.
    """

    families: tuple[str, ...]
    linear: tuple[str, ...]


_BERT = ("query", "key", "value", "dense")
_LLAMA = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

OF_ASSETS: Mapping[str, KnownModel] = {
    "minilm": KnownModel(("classifier",), _BERT),
    "smollm2": KnownModel(("causal", "classifier"), _LLAMA),
}
"""Models that a package index carries."""
OF_SHAPES: Mapping[str, KnownModel] = {
    "llama_tiny": KnownModel(("causal", "classifier"), _LLAMA),
    "llava_small": KnownModel(("vision",), _LLAMA),
    "llava_tiny": KnownModel(("vision",), _LLAMA),
}
"""Shapes of new models."""

MODEL_ASSETS = tuple(OF_ASSETS)
DATA_ASSETS = ("sarcasm", "logiqa", "quartz", "easy_vqa")
SHAPES = tuple(OF_SHAPES)


@cache
def templates() -> tuple[str, ...]:
    """Name the prompt templates: the keys of ``hyperinf/data/prompts.yaml``."""
    return tuple(re.findall(r"^([a-z][a-z0-9_]*):", _PROMPTS.read_text(encoding="utf-8"), re.MULTILINE))
