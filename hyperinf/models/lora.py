"""LoRA on a model, through PEFT, as the paper has it: alpha = 2r and rank-stabilised scaling."""

import warnings
from collections.abc import Sequence
from typing import Any

from hyperinf.errors import InputError
from hyperinf.settings.training import LoraSettings


def add_lora(
    model: Any,
    settings: LoraSettings,
    task_type: str | None = None,
    trained: Sequence[str] = (),
    target_modules: str | None = None,
) -> Any:
    """The model with a fresh adapter; only the adapter, and a classification head if there is one, can be trained.

    Args:
        model: a transformers model.
        settings: rank, scaling, dropout, and the names of the linear layers that get an adapter.
        task_type: PEFT's name of the task; ``SEQ_CLS`` for a model with a classification head when None.
        trained: names of modules that are trained and saved whole beside the adapter.
        target_modules: one regular expression for the whole names of those layers, instead of their names.

    Raises:
        InputError: no layer of the model is among its target modules.
    """
    from peft import LoraConfig, get_peft_model

    if task_type is None and type(model).__name__.endswith("ForSequenceClassification"):
        task_type = "SEQ_CLS"
    targets = target_modules or list(settings.target_modules)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha_over_rank * settings.rank,
        use_rslora=settings.rslora,
        lora_dropout=settings.dropout,
        target_modules=targets,
        task_type=task_type,
        modules_to_save=list(trained) or None,
    )
    try:
        with warnings.catch_warnings():
            # PEFT finds out by itself that GPT-2's layers hold their weights transposed, and says so.
            warnings.filterwarnings("ignore", "fan_in_fan_out is set to False")
            return get_peft_model(model, config)
    except ValueError as error:
        linear = sorted({name.rpartition(".")[2] for name, module in model.named_modules() if is_linear(module)})
        reason = str(error).splitlines()[0]
        raise InputError(
            f"target_modules: got {targets!r}, expected linear layers of the model: {', '.join(linear)} ({reason})"
        ) from None


def is_linear(module: Any) -> bool:
    """Whether a module is a linear layer, GPT-2's with its transposed weight included."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    return isinstance(module, (nn.Linear, Conv1D))
