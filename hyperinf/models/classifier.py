"""Sequence classifiers of transformers: fresh with LoRA, or with a saved adapter."""

import warnings
from collections.abc import Set
from pathlib import Path
from typing import Any

from hyperinf.artifacts.files import read_json, write_json
from hyperinf.errors import InputError
from hyperinf.models.loading import load_config, load_incomplete, loaded, refuse_missing
from hyperinf.models.lora import add_lora
from hyperinf.models.padding import read_last_token
from hyperinf.runtime.distributed import full_state
from hyperinf.settings.training import LoraSettings

# PEFT's own names of heads: what is called so is trained and saved without being asked for.
HEADS = ("classifier", "score")


def load_classifier(folder: str, labels: int, seed: int, dtype: str = "float32") -> Any:
    """A pretrained encoder or decoder with a classification head, a fresh one where the checkpoint has none.

    Args:
        folder: local model folder or hub name.
        labels: number of classes.
        seed: of a fresh head's weights.
        dtype: of all weights.

    Raises:
        InputError: no such model, or not one that classifies sequences into so many classes.
    """
    return _load(folder, labels, seed, dtype)[0]


def classifier_config(folder: str, labels: int) -> Any:
    """Read the configuration of a model that is to classify texts, before anything else of it is read.

    Raises:
        InputError: no such model, or one of pictures, of numbers instead of classes, or with another number of classes.
    """
    from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING

    expected = "one that classifies texts (with a class ...ForSequenceClassification in transformers)"
    config = load_config(folder, MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING, expected)
    if labels < 2:
        raise InputError(f"labels: got {labels} class, expected at least 2")
    if config.problem_type == "regression":
        raise InputError(f"{folder}: problem_type: got 'regression', expected a model of classes or a pretrained one")
    architectures = config.architectures or []
    if config.num_labels != labels and any(name.endswith("ForSequenceClassification") for name in architectures):
        raise InputError(
            f"{folder}: got a classification head of {config.num_labels} labels, expected {labels}, the number of"
            " classes in the data, or a pretrained model without a head"
        )
    return config


def _load(folder: str, labels: int, seed: int, dtype: str, **options: Any) -> tuple[Any, tuple[str, ...], set[str]]:
    """The model, the names of the modules that are its head, and of the weights that are fresh."""
    import torch
    from transformers import AutoModelForSequenceClassification

    classifier_config(folder, labels)
    torch.manual_seed(seed)
    model, fresh = load_incomplete(AutoModelForSequenceClassification, folder, dtype, num_labels=labels, **options)
    parts = head_parts(model, fresh)
    refuse_missing(folder, {name for name in fresh if not name.startswith(tuple(f"{part}." for part in parts))})
    read_last_token(model)
    return model, parts, fresh


def head_parts(model: Any, fresh: Set[str]) -> tuple[str, ...]:
    """Name the modules that make a classifier of a base model: all that stand beside it, and a pooler that it lacked.

    Whatever of a model is fresh has to be among them: they are trained and saved whole. A masked language model's
    checkpoint, for one, has no pooler, which transformers then puts inside the base model.

    Args:
        model: of transformers, with a base model below ``base_model_prefix``.
        fresh: names of the weights that its checkpoint lacked.
    """
    base = model.base_model_prefix
    beside = [
        name for name, module in model.named_children() if name != base and any(True for _ in module.parameters())
    ]
    within = [
        name
        for name, module in model.named_modules()
        if name.startswith(f"{base}.") and name.endswith(".pooler") and set() < _names(name, module) <= fresh
    ]
    return (*beside, *within)


def _names(prefix: str, module: Any) -> set[str]:
    return {f"{prefix}.{name}" for name, _ in module.named_parameters()}


def adapted_classifier(folder: str, labels: int, lora: LoraSettings, seed: int, dtype: str = "float32") -> Any:
    """A classifier with a fresh adapter; adapter and head can be trained, nothing else."""
    import torch

    from hyperinf.models.precision import widen_trained

    model, parts, _ = _load(folder, labels, seed, dtype)
    torch.manual_seed(seed)
    adapted = add_lora(model, lora, trained=[part for part in parts if part not in HEADS])
    widen_trained(adapted)
    return adapted


def save_adapter(model: Any, source: str, folder: Path) -> None:
    """Write adapter and head as PEFT does (safetensors), naming ``source`` as the base model."""
    model.peft_config["default"].base_model_name_or_path = source
    # "auto" would ask a hub whether the vocabulary had been resized.
    model.save_pretrained(str(folder), save_embedding_layers=False, state_dict=full_state(model))
    (folder / "README.md").unlink(missing_ok=True)
    # PEFT writes a set of names in an order that differs from process to process.
    config = read_json(folder / "adapter_config.json")
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()
    write_json(folder / "adapter_config.json", config)


def load_adapted_classifier(folder: str, labels: int, adapter: Path, dtype: str = "float32", **options: Any) -> Any:
    """A classifier with the adapter and head that :func:`save_adapter` wrote; both can be trained.

    Raises:
        InputError: no adapter there, or one of another model.
    """
    from peft import PeftModel, get_peft_model_state_dict
    from peft.utils import load_peft_weights

    from hyperinf.models.precision import load_wide

    if not (adapter / "adapter_model.safetensors").is_file():
        raise InputError(f"{adapter}: expected a PEFT adapter (adapter_config.json and adapter_model.safetensors)")
    model, _, fresh = _load(folder, labels, seed=0, dtype=dtype, **options)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Found missing adapter keys")
        found = loaded(
            str(adapter), "adapter", lambda: PeftModel.from_pretrained(model, str(adapter), is_trainable=True)
        )
    there = load_peft_weights(str(adapter), device="cpu").keys()
    expected = get_peft_model_state_dict(found, save_embedding_layers=False).keys()
    # A weight that is fresh and not the adapter's own would be another one than in training.
    wrong = (there ^ expected) | ({f"base_model.model.{name}" for name in fresh} - there)
    if wrong:
        raise InputError(f"{adapter}: got an adapter of another model than {folder}: {min(wrong)!r} does not fit")
    return load_wide(found, adapter)
