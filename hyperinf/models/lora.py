"""LoRA on a model, through PEFT, as the paper has it: alpha = 2r and rank-stabilised scaling."""

import math
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


def add_lora(model: Any, settings: LoraSettings, task_type: str | None = None) -> Any:
    """The model with a fresh adapter; only the adapter, and a classification head if there is one, can be trained.

    Args:
        model: a transformers model.
        settings: see :class:`LoraSettings`.
        task_type: PEFT's name of the task; ``SEQ_CLS`` for a model with a classification head when None.

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
    )
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        linear = sorted({name.rpartition(".")[2] for name, module in model.named_modules() if _is_linear(module)})
        reason = str(error).splitlines()[0]
        raise InputError(f"targets: {settings.targets!r}: {reason}; linear layers here: {', '.join(linear)}") from None


def _is_linear(module: Any) -> bool:
    return type(module).__name__ in {"Linear", "Conv1D"}
