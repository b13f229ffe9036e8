"""Sequence classifiers of transformers: fresh with LoRA, or with a saved adapter."""

import warnings
from pathlib import Path
from typing import Any

from hyperinf.errors import InputError
from hyperinf.files import read_json, write_json
from hyperinf.models.loading import load_model, loaded
from hyperinf.models.lora import LoraSettings, add_lora
from hyperinf.team import whole_state


def load_classifier(folder: str, labels: int, seed: int, dtype: str = "float32") -> Any:
    """A pretrained encoder with a fresh classification head.

    Args:
        folder: local model folder or hub name.
        labels: number of classes.
        seed: of the head's weights.
        dtype: of all weights.

    Raises:
        InputError: no such model, or not one that classifies sequences.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    torch.manual_seed(seed)
    return load_model(AutoModelForSequenceClassification, folder, dtype, _is_head, num_labels=labels)


def _is_head(name: str) -> bool:
    """Whether a weight is of what is put on an encoder: a head, or BERT's pooler, which masked models lack."""
    return name.partition(".")[0] in ("classifier", "score", "pre_classifier") or ".pooler." in name


def adapted_classifier(folder: str, labels: int, lora: LoraSettings, seed: int, dtype: str = "float32") -> Any:
    """A classifier with a fresh adapter; adapter and head can be trained, nothing else."""
    import torch

    model = load_classifier(folder, labels, seed, dtype)
    torch.manual_seed(seed)
    return add_lora(model, lora)


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


def load_adapted_classifier(folder: str, labels: int, adapter: Path, dtype: str = "float32") -> Any:
    """A classifier with the adapter and head that :func:`save_adapter` wrote; both can be trained.

    Raises:
        InputError: no adapter there, or one of another model.
    """
    from peft import PeftModel

    if not (adapter / "adapter_model.safetensors").is_file():
        raise InputError(f"{adapter}: expected a PEFT adapter (adapter_config.json and adapter_model.safetensors)")
    model = load_classifier(folder, labels, seed=0, dtype=dtype)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Found missing adapter keys")
        return loaded(
            str(adapter), "adapter", lambda: PeftModel.from_pretrained(model, str(adapter), is_trainable=True)
        )
