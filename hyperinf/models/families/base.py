"""What every family of models offers: all stages of the pipeline are the same for all of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from hyperinf.data.samples import Sample
from hyperinf.gradients.losses import LossFunction
from hyperinf.models.encoding import Encoded
from hyperinf.settings.training import Adaptation, GradientsOf

Evaluation = Callable[[nn.Module], dict[str, float]]
"""What a model scores: ``{metric: value}``, ``accuracy`` among them."""


class EncodedSamples(Encoded, Protocol):
    """Samples that are ready to be trained on."""

    truncated: int
    """How many lost tokens because they were too long."""

    @property
    def kinds(self) -> tuple[bool, ...]:
        """Samples of different kinds must not share a batch when gradients are taken."""
        ...

    def subset(self, indices: Sequence[int]) -> "EncodedSamples":
        """The samples at ``indices``."""
        ...


@dataclass(frozen=True)
class Task:
    """What a model is to do.

    Attributes:
        data: folder of the prepared samples, where their pictures are.
        templates: ``{source of a sample: name of its prompt template}``.
        labels: names of the classes, in the order of their numbers; none where samples have no classes in common.
    """

    data: Path
    templates: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()


class ModelFamily(Protocol):
    """A family of models: how one is loaded and adapted, how samples are encoded for it, how it is judged."""

    loss: LossFunction | None
    """``(model, batch) -> Tensor[b]``; None for the model's own."""
    max_length: int
    """Tokens of a sample, at most: what was asked for, or the model's own limit."""
    notes: Mapping[str, Any]
    """What a record must say that no setting does, such as the token that a tokenizer without one pads with."""

    def adapted(self, adaptation: Adaptation, seed: int) -> Any:
        """Load the pretrained model with whatever is trained of it made new, on the CPU."""
        ...

    def restored(self, adaptation: Adaptation, seed: int, folder: Path) -> Any:
        """Load the model with the weights that :meth:`save` wrote, on the CPU."""
        ...

    def save(self, model: Any, source: str, folder: Path) -> None:
        """Write what is trained, naming ``source`` as the base model."""
        ...

    def gradient_layers(self, model: Any, of: GradientsOf) -> list[str] | None:
        """Name the weights whose gradients are taken; None for all that are trained."""
        ...

    def fitting(self, samples: Sequence[Sample]) -> tuple[Sample, ...]:
        """Leave out the samples that are skipped as too long."""
        ...

    def encode(self, samples: Sequence[Sample]) -> EncodedSamples:
        """Encode samples with their observed answers."""
        ...

    def check(self, model: Any, encoded: Mapping[str, EncodedSamples]) -> None:
        """Refuse samples that the model cannot be trained on, before it is."""
        ...

    def evaluation(self, samples: Sequence[Sample]) -> Evaluation:
        """Prepare, once for many models, what a model scores on the samples' true answers."""
        ...

    def majority(self, samples: Sequence[Sample]) -> dict[str, float]:
        """Score a model that always gives the most frequent true answer."""
        ...
