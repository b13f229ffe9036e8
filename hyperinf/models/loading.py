"""Loading what transformers reads, with one line for whatever cannot be loaded."""

from collections.abc import Callable
from typing import Any

from hyperinf.errors import InputError


def load_tokenizer(folder: str) -> Any:
    """The tokenizer of a local model folder or a hub name.

    Raises:
        InputError: there is none; the message is transformers' first line.
    """
    from transformers import AutoTokenizer

    return loaded(folder, "tokenizer", lambda: AutoTokenizer.from_pretrained(folder))


def loaded(name: str, what: str, load: Callable[[], Any]) -> Any:
    """What ``load`` returns; its failure as one line.

    Raises:
        InputError: names ``name`` and ``what``.
    """
    try:
        return load()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise InputError(f"{name}: the {what} cannot be loaded: {reason}") from None


def quiet() -> None:
    """No warnings and no progress bars of transformers: they would fill a job's log."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
