"""Loading what transformers reads, with one line for whatever cannot be loaded."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from hyperinf.errors import InputError
from hyperinf.runtime.devices import torch_dtype


def load_tokenizer(folder: str) -> Any:
    """The tokenizer of a local model folder or a hub name.

    Raises:
        InputError: there is none; the message is transformers' first line.
    """
    from transformers import AutoTokenizer

    quiet()
    tokenizer = loaded(folder, "tokenizer", lambda: AutoTokenizer.from_pretrained(folder, trust_remote_code=False))
    # Of a folder that has none transformers makes an empty one by the model's kind: every word would be unknown.
    files = set(tokenizer.vocab_files_names.values())
    if Path(folder).is_dir() and not any((Path(folder) / file).is_file() for file in files):
        raise InputError(f"{folder}: no tokenizer; expected one of {', '.join(sorted(files))} beside the weights")
    return tokenizer


def load_config(folder: str, mapping: Any, expected: str) -> Any:
    """Read a model's configuration, and see that the model is of the kind that is needed before weights are read.

    Args:
        folder: local model folder or hub name.
        mapping: transformers' mapping from configurations to models of a kind (``MODEL_FOR_CAUSAL_LM_MAPPING``).
        expected: that kind in words.

    Raises:
        InputError: no configuration, or one of another kind.
    """
    from transformers import AutoConfig

    quiet()
    config = loaded(folder, "model", lambda: AutoConfig.from_pretrained(folder, trust_remote_code=False))
    if type(config) not in mapping:
        reason = f"got one of type {config.model_type!r}, expected {expected}"
        raise InputError(f"{folder}: the model cannot be loaded: {reason}")
    return config


def load_model(auto: Any, folder: str, dtype: str, **options: Any) -> Any:
    """A model of transformers with all its weights, from safetensors only, without running code of its folder.

    Args:
        auto: transformers' class of such models (``AutoModelForCausalLM``).
        folder: local model folder or hub name.
        dtype: of all weights.
        **options: further ones of ``from_pretrained``.

    Raises:
        InputError: no such model, or weights that are missing, damaged or not in safetensors.
    """
    model, missing = load_incomplete(auto, folder, dtype, **options)
    refuse_missing(folder, missing)
    return model


def refuse_missing(folder: str, missing: Collection[str]) -> None:
    """Refuse a model that lacks weights.

    Raises:
        InputError: names the first of them.
    """
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(f"{folder}: the model lacks the weights {min(missing)}{more}")


def load_incomplete(auto: Any, folder: str, dtype: str, **options: Any) -> tuple[Any, set[str]]:
    """A model as :func:`load_model` loads it, and the names of the weights that were missing and were made new.

    Raises:
        InputError: no such model, or weights that are damaged or not in safetensors.
    """
    quiet()
    model, info = loaded(
        folder,
        "model",
        lambda: auto.from_pretrained(
            folder,
            dtype=torch_dtype(dtype),
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            **options,
        ),
    )
    return model, set(info["missing_keys"])


def loaded(name: str, what: str, load: Callable[[], Any]) -> Any:
    """What ``load`` returns; its failure as one line.

    Raises:
        InputError: names ``name`` and ``what``.
    """
    try:
        return load()
    # Of a folder that is not what it seems, transformers and PEFT raise whatever comes up: SafetensorError, TypeError,
    # struct.error, ...
    except Exception as error:
        raise InputError(f"{name}: the {what} cannot be loaded: {first_line(error)}") from None


def first_line(error: Exception) -> str:
    """What an error says in its first line, with the second where the first only announces it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[: 2 if lines[0].endswith(":") else 1]) if lines else type(error).__name__


def quiet() -> None:
    """No warnings and no progress bars of transformers: they would fill a job's log."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
