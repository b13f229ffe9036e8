"""Sequence classifiers of transformers: fresh with LoRA, or with a saved adapter."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperinf.errors import InputError
from hyperinf.files import read_json, write_json
from hyperinf.models.loading import load_with_missing, loaded, refuse_missing
from hyperinf.models.lora import LoraSettings, add_lora
from hyperinf.team import whole_state


@dataclass(frozen=True)
class Classifier:
    """A pretrained model with what is new in it.

    Attributes:
        model: of transformers.
        fresh: names of the modules whose weights the model's folder lacks: the head, and a pooler where a language
            model was saved without one. They are random, so they have to be trained and saved with the adapter.
    """

    model: Any
    fresh: tuple[str, ...]


def load_classifier(folder: str, labels: int, seed: int, dtype: str = "float32", pad: int | None = None) -> Classifier:
    """Load a pretrained model with a classification head, which is fresh where the folder has none.

    Args:
        folder: local model folder or hub name.
        labels: number of classes.
        seed: of the head's weights.
        dtype: of all weights.
        pad: the id that texts are padded with: a decoder reads a text's class before the padding.

    Raises:
        InputError: no such model, one that does not classify sequences, lacks weights of its encoder, or classifies
            something else already.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    torch.manual_seed(seed)
    try:
        model, missing = load_with_missing(
            AutoModelForSequenceClassification, folder, dtype, num_labels=labels, problem_type=SINGLE
        )
    except InputError as error:
        head = str(error).partition("the weight ")[2].split(" ")[0]
        if head.partition(".")[0] in ("classifier", "score", "classification_head", "logits_proj"):
            raise InputError(f"{error}: a checkpoint that classifies already, but not into {labels} classes") from None
        raise
    refuse_missing(folder, [name for name in missing if not _is_head(name, model.base_model_prefix)])
    if pad is not None:
        for config in (model.config, model.config.get_text_config()):
            config.pad_token_id = pad
    return Classifier(model, tuple(dict.fromkeys(_module_of(name, model.base_model_prefix) for name in missing)))


SINGLE = "single_label_classification"


def _is_head(name: str, base: str) -> bool:
    """Whether a weight is of what is put on a base model: all outside it, and a pooler, which language models lack."""
    return not name.startswith(f"{base}.") or ".pooler." in name


def _module_of(name: str, base: str) -> str:
    """The module that a fresh weight belongs to: ``classifier``, ``bert.pooler``."""
    return f"{name.partition('.pooler.')[0]}.pooler" if name.startswith(f"{base}.") else name.partition(".")[0]


def adapted_classifier(
    folder: str, labels: int, lora: LoraSettings, seed: int, dtype: str = "float32", pad: int | None = None
) -> Any:
    """Load a classifier with a fresh adapter; adapter and all that is fresh can be trained, nothing else."""
    import torch

    loaded_model = load_classifier(folder, labels, seed, dtype, pad)
    torch.manual_seed(seed)
    return add_lora(loaded_model.model, lora, whole=loaded_model.fresh)


def save_adapter(model: Any, source: str, folder: Path) -> None:
    """Write adapter and head as PEFT does (safetensors), naming ``source`` as the base model."""
    model.peft_config["default"].base_model_name_or_path = source
    # "auto" would ask a hub whether the vocabulary had been resized.
    model.save_pretrained(str(folder), save_embedding_layers=False, state_dict=whole_state(model))
    (folder / "README.md").unlink(missing_ok=True)
    # PEFT writes a set of names in an order that differs from process to process.
    config = read_json(folder / "adapter_config.json")
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()
    write_json(folder / "adapter_config.json", config)


def load_adapted_classifier(
    folder: str, labels: int, adapter: Path, dtype: str = "float32", pad: int | None = None
) -> Any:
    """Load a classifier with the adapter and head that :func:`save_adapter` wrote; both can be trained.

    Raises:
        InputError: no adapter there, or one of another model, or one without what is fresh in the model.
    """
    from peft import PeftModel

    if not (adapter / "adapter_model.safetensors").is_file():
        raise InputError(f"{adapter}: expected a PEFT adapter (adapter_config.json and adapter_model.safetensors)")
    base = load_classifier(folder, labels, seed=0, dtype=dtype, pad=pad)
    saved = read_json(adapter / "adapter_config.json").get("modules_to_save") or []
    for name in base.fresh:
        if name not in saved:
            raise InputError(
                f"{adapter}: holds no weights of {name}, which {folder} lacks; expected an adapter with them"
            )
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Found missing adapter keys")
        return loaded(
            str(adapter), "adapter", lambda: PeftModel.from_pretrained(base.model, str(adapter), is_trainable=True)
        )
