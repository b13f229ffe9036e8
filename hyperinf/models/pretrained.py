"""A model as its folder or hub name has it, with an adapter that can be scored."""

import warnings
from pathlib import Path
from typing import Any

from hyperinf.artifacts.files import read_json
from hyperinf.errors import InputError
from hyperinf.models.causal import load_causal
from hyperinf.models.classifier import load_adapted_classifier
from hyperinf.models.llava import load_llava
from hyperinf.models.loading import load_model, loaded
from hyperinf.models.padding import read_last_token
from hyperinf.settings.registers import FAMILIES

_CLASSIFIER = "ForSequenceClassification"
_CAUSAL = ("ForCausalLM", "LMHeadModel")
_VISION = "ForConditionalGeneration"


def load_pretrained(base: str, adapter: str | None = None, family: str = "auto", dtype: str = "float32") -> Any:
    """Load a model with all its weights, from safetensors only, without running code of its folder.

    Args:
        base: local model folder or hub name. A classifier's may lack the head where the adapter has it.
        adapter: local folder or hub name of a PEFT adapter in safetensors; its weights can be trained, no others.
        family: ``classifier``, ``causal``, ``vision`` (in the form of LLaVA), or ``auto``: what the
            configurations of adapter and model say.
        dtype: of all weights.

    Raises:
        InputError: no such model or adapter, weights that are missing, or a family that cannot be told.
    """
    folder = None if adapter is None else _adapter_folder(adapter)
    if family == "auto":
        family = _family_of(base, folder)
    if family not in FAMILIES:
        raise InputError(f"family: got {family!r}, expected one of {', '.join(FAMILIES)}")
    if family == "classifier":
        return _classifier(base, folder, dtype)
    model = load_causal(base, dtype) if family == "causal" else load_llava(base, dtype)
    if folder is None:
        return model
    from peft import PeftModel

    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Found missing adapter keys")
        return loaded(str(adapter), "adapter", lambda: PeftModel.from_pretrained(model, str(folder), is_trainable=True))


def _classifier(base: str, folder: Path | None, dtype: str) -> Any:
    if folder is not None:
        return load_adapted_classifier(base, _labels(base, folder), folder, dtype)
    from transformers import AutoModelForSequenceClassification

    model = load_model(AutoModelForSequenceClassification, base, dtype)
    read_last_token(model)
    return model


def _adapter_folder(adapter: str) -> Path:
    """Find the folder of an adapter; one on the hub is fetched, of which nothing but two files is looked at."""
    from transformers.utils import cached_file

    def found(name: str) -> Path:
        return Path(loaded(adapter, "adapter", lambda: cached_file(adapter, name)))

    found("adapter_config.json")
    return found("adapter_model.safetensors").parent  # without it PEFT would turn to adapter_model.bin, a pickle


def _family_of(base: str, folder: Path | None) -> str:
    config = _config(base)
    names = tuple(config.architectures or ())
    task = None if folder is None else read_json(folder / "adapter_config.json").get("task_type")
    if task == "SEQ_CLS" or (task is None and any(name.endswith(_CLASSIFIER) for name in names)):
        return "classifier"
    if hasattr(config, "vision_config") and any(name.endswith(_VISION) for name in names):
        return "vision"
    if any(name.endswith(_CAUSAL) for name in names):
        return "causal"
    raise InputError(f"{base}: got a model of {', '.join(names) or 'no architecture'}, expected family to be given")


def _labels(base: str, folder: Path) -> int:
    """Count the classes: of the model's own head, or of the narrowest matrix that the adapter holds beside LoRA's."""
    config = _config(base)
    if any(name.endswith(_CLASSIFIER) for name in config.architectures or ()):
        return int(config.num_labels)
    from safetensors import safe_open

    def read() -> list[int]:
        with safe_open(str(folder / "adapter_model.safetensors"), framework="pt") as file:
            shapes = [file.get_slice(name).get_shape() for name in file.keys() if "lora_" not in name]  # noqa: SIM118
            return [shape[0] for shape in shapes if len(shape) == 2]

    return min(loaded(str(folder), "adapter", read), default=int(config.num_labels))


def _config(base: str) -> Any:
    from transformers import AutoConfig

    return loaded(base, "model", lambda: AutoConfig.from_pretrained(base, trust_remote_code=False))
