"""One model that is trained again and again from the same start, each time on a part of the samples."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from hyperinf.artifacts.environment import digest
from hyperinf.artifacts.files import read_json, write_json
from hyperinf.errors import InputError
from hyperinf.gradients.losses import LossFunction
from hyperinf.models.families.base import EncodedSamples, Evaluation
from hyperinf.models.trainable import restore, trained_weights
from hyperinf.runtime.process import launched, wait_for_all
from hyperinf.settings.training import TrainingSettings
from hyperinf.training.loop import SAVE_SECONDS, train
from hyperinf.training.schedule import total_steps
from hyperinf.training.side_by_side import can_stack, drops_out, groups_of_one_size, train_subsets

Part = tuple[int, ...]
_APART = 2**31
"""Between seeds of orders: no study has such seeds of its own."""


@dataclass
class SubsetTraining:
    """Trainings from one start; what they come to is kept until ``state`` is removed.

    Attributes:
        settings: of every training.
        seed: of the order of samples.
        samples: all that parts are taken of.
        loss: ``(model, batch) -> Tensor[b]``; the model's own when None.
        evaluation: what a model scores.
        model: as it is before every training.
        state: folder of results, and of what a kill leaves to go on from.
        identity: of all that decides a result, but the part.
        save_seconds: between two saves of the state to go on from; no result depends on it.
        at_once: adapters that are trained side by side, where that is possible.
    """

    settings: TrainingSettings
    seed: int
    samples: EncodedSamples
    loss: LossFunction | None
    evaluation: Evaluation
    model: Any
    state: Path
    identity: str
    save_seconds: float = SAVE_SECONDS
    at_once: int = 1

    def __post_init__(self) -> None:
        self.start = trained_weights(self.model)

    def in_orders(self, number: int) -> "list[SubsetTraining]":
        """Give trainings in so many orders of the samples, its own first; to be called before any is run."""
        return [self, *map(self._in_order, range(1, number))]

    def _in_order(self, order: int) -> "SubsetTraining":
        return replace(self, seed=self.seed + order * _APART, identity=digest([self.identity, order]))

    def finetune_on_subsets(self, parts: Sequence[Part]) -> list[dict[str, float]]:
        """Train afresh on each part and evaluate, or give what an earlier training on the same samples came to."""
        different = list(dict.fromkeys(parts))
        # Groups are the same after a kill: what stands beside an adapter decides its last digits.
        for group in groups_of_one_size(different, self._together()):
            chosen = [different[index] for index in group]
            waiting = [part for part in chosen if _finished(self._done(part)) is None]
            if not waiting:
                continue
            name = digest([self.identity, *chosen])
            resume = self.state / f"{name}.safetensors"
            restore(self.model, self.start)
            trained = dict(zip(chosen, self._trained(chosen, resume, name), strict=True))
            for part in waiting:
                restore(self.model, trained[part])
                steps = float(total_steps(self.settings, len(part)))
                found = {**self.evaluation(self.model), "steps": steps}
                write_json(self._done(part), {"metrics": found, "sha256": digest(found)})
                wait_for_all()  # all must see that it is done
            resume.unlink(missing_ok=True)
        return [_finished(self._done(part)) or {} for part in parts]

    def _together(self) -> int:
        """Count the adapters that are trained side by side: one where model or processes allow no more."""
        if self.at_once == 1 or launched() or drops_out(self.model) or not can_stack(self.model, self.samples):
            return 1
        return self.at_once

    def _trained(self, parts: Sequence[Part], resume: Path, name: str) -> list[dict[str, Tensor]]:
        how = (self.settings, self.seed, resume, name)
        if len(parts) > 1:
            return train_subsets(self.model, self.samples, parts, *how, self.loss, self.save_seconds)
        train(self.model, self.samples.subset(parts[0]), *how, None, self.loss, self.save_seconds)
        return [trained_weights(self.model)]

    def _done(self, part: Part) -> Path:
        return self.state / f"{digest([self.identity, part])}.json"


def _finished(done: Path) -> dict[str, float] | None:
    """Read what an earlier training came to; None if there is none, or its file was damaged since."""
    try:
        record = read_json(done)
    except InputError:
        return None
    whole = isinstance(record, dict) and record.get("sha256") == digest(record.get("metrics"))
    metrics: dict[str, float] | None = record["metrics"] if whole else None
    return metrics
