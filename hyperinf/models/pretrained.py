"""A model as its folder or hub name has it, with an adapter that can be scored."""

import re
import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hyperinf.artifacts.files import read_json
from hyperinf.errors import InputError
from hyperinf.models.causal import load_causal
from hyperinf.models.classifier import HEADS, load_adapted_classifier
from hyperinf.models.llava import load_llava
from hyperinf.models.loading import load_incomplete, load_model, loaded, refuse_missing
from hyperinf.models.padding import read_last_token
from hyperinf.runtime.devices import torch_dtype
from hyperinf.settings.registers import FAMILIES

_CLASSIFIER = "ForSequenceClassification"
_CAUSAL = ("ForCausalLM", "LMHeadModel")
_VISION = "ForConditionalGeneration"
_TAGGER = "ForTokenClassification"
KINDS = (*FAMILIES, "seq2seq", "tagger")
"""Families of models that can be loaded."""
_EMBEDDING = re.compile(r"(embed_tokens|word_embeddings|wte|shared)\b.*weight$")
_TASKS = {"SEQ_CLS": "classifier", "CAUSAL_LM": "causal", "SEQ_2_SEQ_LM": "seq2seq", "TOKEN_CLS": "tagger"}  # nosec B105
"""Families by the task types of PEFT."""


def load_pretrained(
    base: str, adapter: str | None = None, family: str = "auto", dtype: str = "float32", bits: int | None = None
) -> Any:
    """Load a model with all its weights, from safetensors only, without running code of its folder.

    Args:
        base: local model folder or hub name. A classifier's may lack the head where the adapter has it.
        adapter: local folder or hub name of a PEFT adapter in safetensors; its weights can be trained, no others.
        family: ``classifier``, ``causal``, ``vision`` (in the form of LLaVA), ``seq2seq``, ``tagger`` (a label a
            token), or ``auto``: what the configurations of adapter and model say.
        dtype: of all weights.
        bits: 4 or 8 to quantise the base model with bitsandbytes; not at all when None.

    Raises:
        InputError: no such model or adapter, weights that are missing, or a family that cannot be told.
    """
    folder = None if adapter is None else _adapter_folder(adapter)
    if family == "auto":
        family = _family_of(base, folder)
    if family not in KINDS:
        raise InputError(f"family: got {family!r}, expected one of {', '.join(KINDS)}")
    return _differentiable(_loaded(base, folder, family, dtype, _quantised(bits, dtype)))


def _loaded(base: str, folder: Path | None, family: str, dtype: str, options: Mapping[str, Any]) -> Any:
    if family == "classifier":
        return _classifier(base, folder, dtype, options)
    if folder is None:
        return _plain(base, family, dtype, options)
    from peft import PeftModel

    from hyperinf.models.precision import load_wide

    labels = _labels(base, folder) if family == "tagger" else None
    model = _fitted_to(_plain(base, family, dtype, options, labels), folder)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Found missing adapter keys")
        adapted = loaded(
            str(folder), "adapter", lambda: PeftModel.from_pretrained(model, str(folder), is_trainable=True)
        )
    return load_wide(adapted, folder)


def family_of(base: str, adapter: str | None = None) -> str:
    """Tell the family by the configurations of model and adapter.

    Raises:
        InputError: no such model or adapter, or a family that cannot be told.
    """
    return _family_of(base, None if adapter is None else _adapter_folder(adapter))


def _differentiable(model: Any) -> Any:
    """Keep bitsandbytes from layouts of weights that its products on a CPU have no backward pass for."""
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model


def tokenizer_folder(base: str, adapter: str | None) -> str:
    """Name where the tokenizer is: in the adapter's folder, as many trainers put it there, with tokens they added."""
    if adapter is not None and (Path(adapter) / "tokenizer_config.json").is_file():
        return adapter
    return base


def _plain(base: str, family: str, dtype: str, options: Mapping[str, Any], labels: int | None = None) -> Any:
    """Load a model without an adapter; a tagger whose head the adapter has gets a fresh one."""
    import transformers

    if family == "causal":
        return load_causal(base, dtype, **options)
    if family == "vision":
        return load_llava(base, dtype)
    if family == "seq2seq":
        return load_model(transformers.AutoModelForSeq2SeqLM, base, dtype, **options)
    auto = transformers.AutoModelForTokenClassification
    if labels is None:
        return load_model(auto, base, dtype, **options)
    model, fresh = load_incomplete(auto, base, dtype, num_labels=labels, **options)
    refuse_missing(base, {name for name in fresh if not name.startswith(HEADS)})
    return model


def _quantised(bits: int | None, dtype: str) -> dict[str, Any]:
    """Say how a model is loaded with weights of a few bits.

    Raises:
        InputError: not 4 or 8, or without the package that does it.
    """
    if bits is None:
        return {}
    if bits not in (4, 8):
        raise InputError(f"bits: got {bits}, expected 4 or 8")
    if find_spec("bitsandbytes") is None:
        raise InputError(f"bits: got {bits} without the package bitsandbytes, expected it: pip install bitsandbytes")
    from transformers import BitsAndBytesConfig

    if bits == 8:
        return {"quantization_config": BitsAndBytesConfig(load_in_8bit=True)}
    four = {"bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": torch_dtype(dtype)}
    return {"quantization_config": BitsAndBytesConfig(load_in_4bit=True, **four)}


def _fitted_to(model: Any, folder: Path) -> Any:
    """Give a model as many token embeddings as an adapter that holds some: tokens were added before it was trained."""
    own = model.get_input_embeddings().weight.shape[0]
    rows = [shape[0] for name, shape in _shapes(folder) if _EMBEDDING.search(name) and len(shape) == 2]
    if rows and max(rows) != own:
        model.resize_token_embeddings(max(rows), mean_resizing=False)
    return model


def _classifier(base: str, folder: Path | None, dtype: str, options: Mapping[str, Any]) -> Any:
    if folder is not None:
        return load_adapted_classifier(base, _labels(base, folder), folder, dtype, **options)
    from transformers import AutoModelForSequenceClassification

    model = load_model(AutoModelForSequenceClassification, base, dtype, **options)
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
    if hasattr(config, "vision_config") and any(name.endswith(_VISION) for name in names):
        return "vision"
    if task in _TASKS:
        return _TASKS[task]
    if any(name.endswith(_CLASSIFIER) for name in names):
        return "classifier"
    if any(name.endswith(_TAGGER) for name in names):
        return "tagger"
    if config.is_encoder_decoder and any(name.endswith((_VISION, *_CAUSAL)) for name in names):
        return "seq2seq"
    if any(name.endswith(_CAUSAL) for name in names):
        return "causal"
    raise InputError(f"{base}: got a model of {', '.join(names) or 'no architecture'}, expected family to be given")


def _labels(base: str, folder: Path) -> int:
    """Count the classes: of the model's own head, or of the narrowest matrix that the adapter holds beside LoRA's."""
    config = _config(base)
    if any(name.endswith((_CLASSIFIER, _TAGGER)) for name in config.architectures or ()):
        return int(config.num_labels)
    held = [shape[0] for name, shape in _shapes(folder) if "lora_" not in name and len(shape) == 2]
    return min(held, default=int(config.num_labels))


def _shapes(folder: Path) -> list[tuple[str, list[int]]]:
    """List what an adapter holds, with the shapes."""
    from safetensors import safe_open

    def read() -> list[tuple[str, list[int]]]:
        with safe_open(str(folder / "adapter_model.safetensors"), framework="pt") as file:
            return [(name, file.get_slice(name).get_shape()) for name in file.keys()]  # noqa: SIM118

    return loaded(str(folder), "adapter", read)


def _config(base: str) -> Any:
    from transformers import AutoConfig

    return loaded(base, "model", lambda: AutoConfig.from_pretrained(base, trust_remote_code=False))
