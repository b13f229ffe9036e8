"""One model that is trained again and again from the same start, each time on a part of the samples."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperinf.artifacts.environment import digest
from hyperinf.artifacts.files import read_json, write_json
from hyperinf.errors import InputError
from hyperinf.gradients.losses import LossFunction
from hyperinf.models.families.base import EncodedSamples, Evaluation
from hyperinf.models.trainable import restore, trained_weights
from hyperinf.runtime.process import wait_for_all
from hyperinf.settings.training import TrainingSettings
from hyperinf.training.loop import SAVE_SECONDS, train
from hyperinf.training.schedule import total_steps


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

    def __post_init__(self) -> None:
        self.start = trained_weights(self.model)

    def finetune_on_subset(self, indices: tuple[int, ...]) -> dict[str, float]:
        """Train afresh on the samples and evaluate, or give what an earlier training on the same samples came to."""
        name = digest([self.identity, indices])
        done = self.state / f"{name}.json"
        if _finished(done) is None:
            restore(self.model, self.start)
            resume = self.state / f"{name}.safetensors"
            samples = self.samples.subset(indices)
            train(self.model, samples, self.settings, self.seed, resume, name, None, self.loss, self.save_seconds)
            steps = float(total_steps(self.settings, len(indices)))
            found = {**self.evaluation(self.model), "steps": steps}
            write_json(done, {"metrics": found, "sha256": digest(found)})
            wait_for_all()  # all must see that it is done
            resume.unlink(missing_ok=True)
        return _finished(done) or {}


def _finished(done: Path) -> dict[str, float] | None:
    """Read what an earlier training came to; None if there is none, or its file was damaged since."""
    try:
        record = read_json(done)
    except InputError:
        return None
    whole = isinstance(record, dict) and record.get("sha256") == digest(record.get("metrics"))
    metrics: dict[str, float] | None = record["metrics"] if whole else None
    return metrics
