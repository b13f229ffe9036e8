"""Fine-tuning: what of a model is trained, on how much text, for how long."""

from typing import Literal, Self

from pydantic import model_validator

from hyperinf.settings.base import MisfitError, Settings, setting
from hyperinf.settings.types import Count, Counts, Fraction, Positive, Switch, Words

Dtype = Literal["float32", "bfloat16", "float64"]
NARROW_HELP = (
    "bfloat16 takes half of their memory, is faster where the processor has it, and changes scores (docs/speed.md)"
)
"""What each setting of a dtype says."""
TooLong = Literal["truncate", "skip", "refuse"]
Trained = Literal["lora", "last_layer", "projector", "lora_projector"]
GradientsOf = Literal["trained", "lora", "last_layer", "projector"]


class LoraStrength(Settings):
    """How strong an adapter is."""

    alpha_over_rank: Positive = setting(2.0, help="alpha of the adapter, as a multiple of its rank")
    rslora: Switch = setting(True, help="scale the adapter by alpha / sqrt(rank) instead of alpha / rank")
    dropout: Fraction = setting(0.0, help="probability of dropout on the input of the adapter")


class LoraSettings(LoraStrength):
    """A low-rank adapter."""

    rank: Count = setting(8, help="rank of the adapter")
    target_modules: Words = setting(("query", "value"), help="names of the linear layers that get an adapter")


class Adaptation(LoraSettings):
    """What of a model is trained."""

    trained: Trained = setting(
        "lora",
        help="what is trained: an adapter (lora); the last_layer or the projector, densely; or lora_projector, an"
        " adapter on the language model and the projector densely",
    )

    @property
    def name(self) -> str:
        """Name it as folders and tables do: ``lora-8``, ``last_layer``, ``projector`` or ``lora_projector-8``."""
        return f"{self.trained}-{self.rank}" if self.trained.startswith("lora") else self.trained


class EncodingSettings(Settings):
    """How samples become tokens."""

    max_length: int = setting(
        128,
        ge=2,
        lt=2**63,
        help="length of the longest sample, prompt and answer; a longer one loses the left of its context",
        unit="tokens",
    )
    dtype: Dtype = setting(
        "float32",
        help=f"precision of the frozen weights; what is trained stays in float32 at least. {NARROW_HELP}",
    )
    too_long: TooLong = setting(
        "truncate",
        help="what to do with a sample that does not fit even without its context: truncate its prompt's left, skip"
        " it, or refuse to go on",
    )


AT_ONCE_HELP = (
    "number of adapters that are trained side by side in one model, where they can be; results differ in the last"
    " digits only"
)


ORDERS_HELP = (
    "number of trainings on each selection, each in another order of the samples; what they come to is averaged"
)


class TrainingSettings(Settings):
    """AdamW with a rate that rises linearly, then falls linearly to 0."""

    epochs: Count | None = setting(None, help="number of passes over the training samples; give this or `max_steps`")
    max_steps: Count | None = setting(
        None, help="number of updates, however many passes they take; give this or `epochs`"
    )
    batch_size: Count = setting(16, help="number of samples of each update")
    learning_rate: Positive = setting(2e-3, help="peak learning rate of AdamW")
    weight_decay: float = setting(0.01, ge=0, help="weight decay of AdamW, on weight matrices")
    warmup_ratio: Fraction = setting(0.06, help="fraction of the updates over which the learning rate rises")

    @model_validator(mode="after")
    def _length(self) -> Self:
        if self.epochs is None and self.max_steps is None:
            raise MisfitError({"max_steps": "got neither max_steps nor epochs, expected one of the two"})
        if self.epochs is not None and self.max_steps is not None:
            raise MisfitError(
                {"max_steps": f"got {self.max_steps} beside {self.epochs} epochs, expected one of the two"}
            )
        return self


class FinetuningSettings(EncodingSettings, TrainingSettings):
    """A fine-tuning whose weights gradients are taken at."""

    checkpoints: Counts | None = setting(
        None, help="epochs after which the weights are kept, to be scored; by default only at the end"
    )
    gradient_checkpointing: Switch = setting(
        False, help="compute activations a second time in the backward pass, which saves memory"
    )

    keep_moments: Switch = setting(
        False, help="keep AdamW's moments beside the weights of every checkpoint, which the baseline less needs"
    )

    @model_validator(mode="after")
    def _kept(self) -> Self:
        if self.checkpoints is None or max(self.checkpoints) == self.epochs:
            return self
        given = f"got {list(self.checkpoints)}"
        if self.epochs is None:
            raise MisfitError({"checkpoints": f"{given} beside max_steps, expected epochs instead of max_steps"})
        raise MisfitError(
            {"checkpoints": f"{given} of {self.epochs} epochs, expected the last to be epoch {self.epochs}"}
        )

    @property
    def checkpoint_names(self) -> tuple[str, ...]:
        """Name the folders of the kept weights: ``epoch-E``, or ``last`` where training is counted in steps."""
        if self.epochs is None:
            return ("last",)
        return tuple(f"epoch-{epoch}" for epoch in sorted(self.checkpoints or (self.epochs,)))


class AlignmentSettings(EncodingSettings, TrainingSettings):
    """How a vision-language model that knows no pictures yet learns to write their captions."""

    parts: tuple[Literal["projector", "language_model"], ...] = setting(
        ("projector",), min_length=1, help="parts whose weights are all trained on the captions; the tower is frozen"
    )
    tower_epochs: int = setting(
        0, ge=0, lt=2**63, help="number of passes in which the vision tower first learns to tell the captions apart"
    )
    tower_learning_rate: Positive = setting(1e-3, help="peak learning rate of those passes")
