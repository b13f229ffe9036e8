"""Loading what transformers reads, with one line for whatever cannot be loaded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hyperinf.devices import torch_dtype
from hyperinf.errors import InputError


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


def load_model(
    auto: Any, folder: str, dtype: str, may_lack: Callable[[str], bool] = lambda _: False, **options: Any
) -> Any:
    """A model of transformers with all its weights, from safetensors only, without running code of its folder.

    Args:
        auto: transformers' class of such models (``AutoModelForCausalLM``).
        folder: local model folder or hub name.
        dtype: of all weights.
        may_lack: whether a weight, by its name, may be missing and be made new.
        **options: further ones of ``from_pretrained``.

    Raises:
        InputError: no such model, or weights that are missing, damaged or not in safetensors.
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
    missing = sorted(name for name in info["missing_keys"] if not may_lack(name))
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(f"{folder}: the model lacks the weights {missing[0]}{more}")
    return model


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
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise InputError(f"{name}: the {what} cannot be loaded: {reason}") from None


def quiet() -> None:
    """No warnings and no progress bars of transformers: they would fill a job's log."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
