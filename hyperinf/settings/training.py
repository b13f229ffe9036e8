"""Fine-tuning: what of a model is trained, on how much text, for how long."""

from typing import Literal, Self

from pydantic import model_validator

from hyperinf.settings.base import Settings, setting
from hyperinf.settings.types import Count, Counts, Fraction, Positive, Words

Dtype = Literal["float32", "bfloat16", "float64"]
TooLong = Literal["truncate", "skip", "refuse"]
Trained = Literal["lora", "last_layer", "projector", "lora_projector"]
GradientsOf = Literal["trained", "lora", "last_layer", "projector"]


class LoraStrength(Settings):
    """How strong an adapter is."""

    alpha_over_rank: Positive = setting(2.0, help="alpha of the adapter is so many times its rank")
    rslora: bool = setting(True, help="scale the adapter by alpha / sqrt(rank) instead of alpha / rank")
    dropout: Fraction = setting(0.0, help="probability of dropout on the adapter's input")


class LoraSettings(LoraStrength):
    """A low-rank adapter."""

    rank: Count = setting(8, help="rank of the adapter")
    target_modules: Words = setting(("query", "value"), help="linear layers that get an adapter")


class Adaptation(LoraSettings):
    """What of a model is trained."""

    trained: Trained = setting("lora", help="what is trained: an adapter, dense linear layers, or both")

    @property
    def name(self) -> str:
        """Name it as folders and tables do: ``lora-8``, ``last_layer``, ``projector`` or ``lora_projector-8``."""
        return f"{self.trained}-{self.rank}" if self.trained.startswith("lora") else self.trained


class EncodingSettings(Settings):
    """How samples become tokens."""

    max_length: int = setting(
        128, ge=2, help="tokens of a sample; a longer one loses its context's left", unit="tokens"
    )
    dtype: Dtype = setting("float32", help="of all weights")
    too_long: TooLong = setting(
        "truncate",
        help="a sample that does not fit even without its context: cut its prompt's left, leave it out, or stop",
    )


class TrainingSettings(Settings):
    """AdamW with a rate that rises linearly, then falls linearly to 0."""

    epochs: Count | None = setting(None, help="passes over the training samples; this or max_steps", unit="epochs")
    max_steps: Count | None = setting(None, help="updates, however many passes they take; this or epochs", unit="steps")
    batch_size: Count = setting(16, help="samples of an update", unit="samples")
    learning_rate: Positive = setting(2e-3, help="peak learning rate of AdamW")
    weight_decay: float = setting(0.01, ge=0, help="weight decay of AdamW, on weight matrices")
    warmup_ratio: Fraction = setting(0.06, help="fraction of the steps over which the learning rate rises")

    @model_validator(mode="after")
    def _length(self) -> Self:
        if (self.epochs is None) == (self.max_steps is None):
            raise ValueError(f"got epochs {self.epochs} and max_steps {self.max_steps}, expected one of the two")
        return self


class FinetuningSettings(EncodingSettings, TrainingSettings):
    """A fine-tuning whose weights gradients are taken at."""

    checkpoints: Counts | None = setting(
        None, help="epochs after which the weights are kept and scored; null for the end alone"
    )
    gradient_checkpointing: bool = setting(False, help="compute activations twice to save memory in training")

    @model_validator(mode="after")
    def _kept(self) -> Self:
        if self.checkpoints is not None and (self.epochs is None or max(self.checkpoints) != self.epochs):
            raise ValueError(
                f"got checkpoints {list(self.checkpoints)} with epochs {self.epochs}, expected the last to be it"
            )
        return self

    @property
    def checkpoint_names(self) -> tuple[str, ...]:
        """Name the folders of the kept weights: ``epoch-E``, or ``last`` where training is counted in steps."""
        if self.epochs is None:
            return ("last",)
        return tuple(f"epoch-{epoch}" for epoch in sorted(self.checkpoints or (self.epochs,)))


class AlignmentSettings(EncodingSettings, TrainingSettings):
    """How a vision-language model that knows no pictures yet learns to write their captions."""

    parts: tuple[Literal["projector", "language_model"], ...] = setting(
        ("projector",), min_length=1, help="parts whose weights are all trained on the captions, the tower being frozen"
    )
    tower_epochs: int = setting(0, ge=0, help="passes in which the tower first learns to tell the captions apart")
    tower_learning_rate: Positive = setting(1e-3, help="peak learning rate for those")
