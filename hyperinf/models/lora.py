"""LoRA on a model, through PEFT, as the paper has it: alpha = 2r and rank-stabilised scaling."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hyperinf.errors import InputError


@dataclass(frozen=True)
class LoraSettings:
    """Where LoRA sits and how strong it is.

    Attributes:
        rank: r of the update ``B A``.
        targets: names of the linear layers that get an adapter, or one regular expression for whole names.
        alpha: numerator of the scaling; ``2 * rank`` when None.
        rslora: scale by ``alpha / sqrt(rank)`` instead of ``alpha / rank`` (Kalajdzievski 2023).
        dropout: probability on the adapter's input while training.
    """

    rank: int
    targets: tuple[str, ...] | str = ("query", "value")
    alpha: float | None = None
    rslora: bool = True
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise InputError(f"rank: expected at least 1, got {self.rank}")
        if not self.targets:
            raise InputError("targets: expected at least one layer name")
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout: expected 0 <= p < 1, got {self.dropout}")
        if self.alpha is not None and not 0 < self.alpha < math.inf:
            raise InputError(f"alpha: expected a positive finite number, got {self.alpha}")


def add_lora(model: Any, settings: LoraSettings, task_type: str | None = None, trained: Sequence[str] = ()) -> Any:
    """The model with a fresh adapter; only the adapter, and a classification head if there is one, can be trained.

    Args:
        model: a transformers model.
        settings: see :class:`LoraSettings`.
        task_type: PEFT's name of the task; ``SEQ_CLS`` for a model with a classification head when None.
        trained: names of modules that are trained and saved whole beside the adapter.

    Raises:
        InputError: no layer of the model matches ``targets``.
    """
    from peft import LoraConfig, get_peft_model

    if task_type is None and type(model).__name__.endswith("ForSequenceClassification"):
        task_type = "SEQ_CLS"
    targets = settings.targets if isinstance(settings.targets, str) else list(settings.targets)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=2 * settings.rank if settings.alpha is None else settings.alpha,
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
        raise InputError(f"targets: {settings.targets!r}: {reason}; linear layers here: {', '.join(linear)}") from None


def is_linear(module: Any) -> bool:
    """Whether a module is a linear layer, GPT-2's with its transposed weight included."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    return isinstance(module, (nn.Linear, Conv1D))
