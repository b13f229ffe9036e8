"""What a baseline sees of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

from torch import Tensor

from hyperinf.gradients import LiveSource
from hyperinf.models.encoding import Batches
from hyperinf.pipeline.opened import Finetuned
from hyperinf.runtime.profiling import Cost, metered
from hyperinf.settings.methods import BASELINES
from hyperinf.settings.training import GradientsOf


@dataclass(frozen=True)
class Scene:
    """A fine-tuned model at a checkpoint, with its data.

    Attributes:
        opened: the fine-tuning.
        checkpoint: whose weights are looked at.
        of: weights whose gradients are taken.
        batch_size: samples at a time.
    """

    opened: Finetuned
    checkpoint: str
    of: GradientsOf
    batch_size: int

    @cached_property
    def model(self) -> Any:
        """The model at the checkpoint, on the device."""
        return self.opened.model(self.checkpoint)

    def gradients(self, split: str) -> LiveSource:
        """Take the gradients of a split's samples whenever they are swept."""
        return self.opened.gradients(self.model, split, self.batch_size, self.of)

    def batches(self, split: str) -> Batches:
        """Put a split's samples into batches, in an order that the batches' ids tell."""
        encoded = self.opened.encoded(split)
        return Batches(encoded, self.batch_size, kinds=encoded.kinds)

    def in_order(self, split: str, ids: Sequence[str], values: Tensor) -> Tensor:
        """Put values that belong to ``ids`` into the order of a split's samples."""
        place = {sample: index for index, sample in enumerate(ids)}
        return values[[place[each.sample_id] for each in self.opened.samples(split)]]


def taken_baselines(scene: Scene, names: Sequence[str]) -> tuple[dict[str, Any], dict[tuple[str, str], Cost]]:
    """Take those of the baselines that have a function of their own.

    Args:
        scene: the run.
        names: in ``BASELINES``.

    Returns:
        ``{baseline_<name>: array[n]}`` in the order of the training samples, and costs by ``(name, "baseline")``.

    Raises:
        InputError: a run that a baseline cannot be taken of.
    """
    columns, costs = {}, {}
    for name in (name for name in names if BASELINES[name].implementation):
        module, _, function = BASELINES[name].implementation.partition(":")
        with metered(scene.opened.device) as costs[name, "baseline"]:
            columns[f"baseline_{name}"] = getattr(import_module(module), function)(scene).double().cpu().numpy()
    return columns, costs
