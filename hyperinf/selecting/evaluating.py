"""Whether it helped: the loss on targets held out after training on what is kept, and on as many rows at random."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hyperinf.artifacts.environment import digest
from hyperinf.artifacts.files import read_json, write_json
from hyperinf.gradients.losses import causal_loss
from hyperinf.models.encoding import Batches
from hyperinf.pipeline.subset_training import SubsetTraining
from hyperinf.reporting.intervals import Interval, paired_interval, t_interval
from hyperinf.runtime.progress import track
from hyperinf.selecting.opening import Opened, adaptation_of
from hyperinf.selecting.scoring import settings_device
from hyperinf.selecting.tokens import EncodedFile
from hyperinf.settings.selecting import SelectRows
from hyperinf.settings.training import TrainingSettings
from hyperinf.training.loop import SAVE_SECONDS

KEPT, RANDOM, BASE = "kept", "random", "untrained"


@dataclass(frozen=True)
class Helped:
    """Losses on a target held out, lower is better.

    Attributes:
        target: its name; the mean over all where there are several.
        losses: by ``kept``, ``random`` and ``untrained``, a value for each seed.
    """

    target: str
    losses: Mapping[str, Sequence[float]]

    @property
    def difference(self) -> Interval:
        """The loss after training on what is kept minus that on random rows, paired over the seeds."""
        return paired_interval(dict(enumerate(self.losses[KEPT])), dict(enumerate(self.losses[RANDOM])))

    @property
    def verdict(self) -> str:
        """Say in words whether it helped."""
        kept, drawn = (t_interval(self.losses[side]).mean for side in (KEPT, RANDOM))
        found = self.difference
        said = {-1: "it helped", 1: "it did harm", 0: "no difference that could be told", None: "too few seeds to tell"}
        return (
            f"loss {kept:.3f} after the kept, {drawn:.3f} after random rows, {self.losses[BASE][0]:.3f} untrained;"
            f" difference {found.mean:+.3f} ± {found.half_width:.3f}: {said[found.sign]}"
        )


def evaluate_kept(
    settings: SelectRows,
    opened: Opened,
    pool: EncodedFile,
    tests: Mapping[str, EncodedFile],
    kept: Sequence[int],
    identity: str,
    state: Path,
    save_seconds: float = SAVE_SECONDS,
) -> list[Helped]:
    """Train fresh adapters on the kept rows and on random ones, a seed at a time; goes on after a kill.

    Args:
        settings: of the command.
        opened: the model.
        pool: all rows.
        tests: targets held out, by name.
        kept: rows that are kept.
        identity: of the pool's and the tests' tokens.
        state: folder of finished trainings.
        save_seconds: between two saves of the state to go on from; no result depends on it.

    Returns:
        For each target, and last for the mean over them where there are several.
    """
    adaptation = adaptation_of(settings, opened.folder)
    training = TrainingSettings.of(settings, max_steps=settings.evaluation_steps)
    found: dict[str, dict[str, list[float]]] = {name: {side: [] for side in (KEPT, RANDOM, BASE)} for name in tests}
    for seed in range(settings.seed, settings.seed + settings.evaluation_seeds):
        model = opened.family.adapted(adaptation, seed).to(settings_device(settings))
        own = digest([identity, opened.identity, adaptation.deciding(), training.deciding(), seed, settings.dtype])
        trainings = SubsetTraining(
            training,
            seed,
            pool,
            opened.family.loss,
            lambda model: _losses(model, tests),
            model,
            state,
            own,
            save_seconds,
        )
        drawn = np.random.default_rng([seed, 2]).choice(len(pool), len(kept), replace=False)
        sides = {KEPT: trainings.finetune_on_subset(tuple(sorted(kept)))}
        sides[RANDOM] = trainings.finetune_on_subset(tuple(sorted(drawn.tolist())))
        for name in tests:
            for side in (KEPT, RANDOM):
                found[name][side].append(sides[side][name])
    base = _untrained(settings, opened, tests, digest([identity, opened.identity, settings.dtype]), state)
    for name in tests:
        found[name][BASE] = [base[name]] * settings.evaluation_seeds
    helped = [Helped(name, losses) for name, losses in found.items()]
    if len(helped) > 1:
        means = {
            side: np.mean([each.losses[side] for each in helped], axis=0).tolist() for side in (KEPT, RANDOM, BASE)
        }
        helped.append(Helped("all targets", means))
    return helped


def _untrained(
    settings: SelectRows, opened: Opened, tests: Mapping[str, EncodedFile], identity: str, state: Path
) -> Mapping[str, float]:
    done = state / f"{identity}.json"
    if not done.is_file():
        family: Any = opened.family
        model = family.pretrained().to(settings_device(settings))
        write_json(done, _losses(model, tests))
    found: dict[str, float] = read_json(done)
    return found


def _losses(model: Any, tests: Mapping[str, EncodedFile]) -> dict[str, float]:
    """Compute the mean loss of each target's rows."""
    model.eval()
    device = next(model.parameters()).device
    found = {}
    with torch.no_grad():
        for name, rows in tests.items():
            total = 0.0
            for _, batch in track(Batches(rows, 8, kinds=rows.kinds), None, f"evaluation on {name}", "batches"):
                total += float(causal_loss(model, {key: value.to(device) for key, value in batch.items()}).sum())
            found[name] = total / len(rows)
    return found
