"""Causal language models of transformers: from the hub, a folder, a GGUF file, or made new from a shape."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hyperinf.artifacts.environment import hashed
from hyperinf.artifacts.files import atomic_directory
from hyperinf.artifacts.records import PREPARED, write_record
from hyperinf.data.assets import fetch_asset
from hyperinf.data.folders import check_replaced
from hyperinf.data.sources import Source, resolve_model_folder
from hyperinf.errors import InputError
from hyperinf.models.loading import load_config, load_model, load_tokenizer, loaded, quiet
from hyperinf.models.shapes import new_model
from hyperinf.runtime.devices import torch_dtype


def load_causal(folder: str, dtype: str = "float32") -> Any:
    """A causal language model with its pretrained weights.

    Args:
        folder: local model folder or hub name.
        dtype: of all weights.

    Raises:
        InputError: no such model, or not a causal language model.
    """
    from transformers import AutoModelForCausalLM

    causal_config(folder)
    model = load_model(AutoModelForCausalLM, folder, dtype)
    model.get_output_embeddings().register_forward_pre_hook(contiguous_input)
    return model


def causal_config(folder: str) -> Any:
    """Read the configuration of a model that is to continue texts, before anything else of it is read.

    Raises:
        InputError: no such model, or one that does not read a text from left to right: an encoder, which would see the
            answer that it is to give, or a model of sequence to sequence.
    """
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING

    expected = "a causal language model (a decoder, such as Llama or GPT-2)"
    config = load_config(folder, MODEL_FOR_CAUSAL_LM_MAPPING, expected)
    encoder = type(config) in MODEL_FOR_MASKED_LM_MAPPING and not getattr(config, "is_decoder", False)
    if encoder or config.is_encoder_decoder:
        kind = "a sequence-to-sequence model" if config.is_encoder_decoder else "an encoder"
        raise InputError(f"{folder}: got {kind}, {config.model_type!r}, expected {expected}")
    return config


def prepare_causal(
    source: Source, out: Path, cache: Path, wheels: Sequence[Path] = (), layers: int | None = None, seed: int = 0
) -> None:
    """Write a model and its tokenizer as a plain folder that loads fast, with a note of what was done to it.

    Needed for a GGUF file, which has to be dequantised, for a model that is cut, and for one that is made new.

    Args:
        source: where the model comes from; an asset or a path may be a GGUF file, a shape is made with random weights.
        out: folder to write; whole or not at all.
        cache: folder of assets.
        wheels: wheels brought by hand.
        layers: keep only so many of the first decoder layers; all when None.
        seed: of random weights.

    Raises:
        InputError: the model cannot be loaded, or has fewer layers.
    """
    check_replaced(out, PREPARED)
    quiet()
    model, tokenizer = new_model(source.name, seed) if source.kind == "shape" else _loaded(source, cache, wheels)
    notes = [f"{source.name} with random weights" if source.kind == "shape" else source.name]
    if layers is not None:
        total = len(decoder_layers(model))
        _cut(model, layers, str(source))
        if layers < total:
            notes.append(f"cut to the first {layers} of its {total} decoder layers")
    _forget_quantiser(model)
    note = " ".join(notes) if source.kind == "shape" or len(notes) > 1 else ""
    with atomic_directory(out) as temporary:
        model.save_pretrained(str(temporary))
        tokenizer.save_pretrained(str(temporary))
        made = {"source": str(source), "note": note, "outputs": hashed(temporary, "*")}
        write_record(temporary / PREPARED, made)


def _loaded(source: Source, cache: Path, wheels: Sequence[Path]) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, gguf = _files(source, cache, wheels)
    if not gguf:
        causal_config(folder)
        return load_model(AutoModelForCausalLM, folder, "float32"), load_tokenizer(folder)
    extra: dict[str, Any] = {"gguf_file": gguf, "trust_remote_code": False}
    tokenizer = loaded(str(source), "tokenizer", lambda: AutoTokenizer.from_pretrained(folder, **extra))
    dtype = torch_dtype("float32")
    model = loaded(str(source), "model", lambda: AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, **extra))
    return model, tokenizer


def decoder_layers(model: Any) -> Any:
    """The ``ModuleList`` of a causal language model's decoder layers, whatever the model calls it.

    It is the list of as many modules as the configuration has layers, the outermost one where there are several: the
    experts of a layer, for one, may be as many.

    Args:
        model: of transformers, behind an adapter of PEFT or not.

    Raises:
        InputError: the model has no such list.
    """
    from torch import nn

    model = model.get_base_model() if hasattr(model, "get_base_model") else model
    count = getattr(model.config.get_text_config(decoder=True), "num_hidden_layers", None)
    decoder = model.get_decoder() if hasattr(model, "get_decoder") else model
    lists = [
        (name.count("."), module)
        for name, module in decoder.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == count
    ]
    if not lists:
        raise InputError(
            f"model: got a {type(model).__name__} without a list of its {count} decoder layers, expected one"
        )
    return min(lists, key=lambda each: each[0])[1]


def contiguous_input(_: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """The input of the output layer as one block of memory.

    The last positions of a batch are a strided slice, which torch multiplies sample by sample: on a CPU, with a large
    vocabulary, that took half of a training step.
    """
    return (arguments[0].contiguous(), *arguments[1:])


def _files(source: Source, cache: Path, wheels: Sequence[Path]) -> tuple[str, str | None]:
    """Folder, and name of the GGUF file in it if that is what the source is."""
    if source.kind == "path" and Path(source.name).suffix == ".gguf":
        path = Path(source.name).expanduser()
        if not path.is_file():
            raise InputError(f"{source}: no such file")
        return str(path.parent), path.name
    if source.kind == "asset":
        folder = fetch_asset(source.name, cache, wheels)
        files = sorted(folder.glob("*.gguf"))
        if files:
            return str(folder), files[0].name
    return resolve_model_folder(source, cache, wheels), None


def _cut(model: Any, layers: int, name: str) -> None:
    there = decoder_layers(model)
    if not 1 <= layers <= len(there):
        raise InputError(f"{name}: layers: {layers} asked for, expected 1 to {len(there)}")
    del there[layers:]
    model.config.num_hidden_layers = layers
    if getattr(model.config, "layer_types", None) is not None:
        model.config.layer_types = model.config.layer_types[:layers]


def _forget_quantiser(model: Any) -> None:
    """A dequantised GGUF model still says that it is quantised, and transformers then refuses to save it."""
    for name in ("quantization_config", "_pre_quantization_dtype"):
        if hasattr(model.config, name):
            delattr(model.config, name)
    for name in ("hf_quantizer", "is_quantized", "quantization_method"):
        if hasattr(model, name):
            delattr(model, name)
