"""Whether it helped: the loss on targets held out after training on what is kept, and on as many rows at random."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hyperinf.artifacts.environment import digest
from hyperinf.artifacts.files import read_json, write_json
from hyperinf.gradients.losses import IGNORED, answer_logits, mean_over_tokens
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
_SHORT = 8
"""Tokens of a target's median answer up to which it is told how many are right word for word."""
_RIGHT = "right: "


@dataclass(frozen=True)
class Helped:
    """Losses on a target held out, lower is better.

    Attributes:
        target: its name; the mean over all where there are several.
        losses: by ``kept``, ``random`` and ``untrained``, a value for each seed.
        right: the same of the share of rows whose answer is, word for word, what the model would say; None where the
            answers are long.
    """

    target: str
    losses: Mapping[str, Sequence[float]]
    right: Mapping[str, Sequence[float]] | None = None

    @property
    def difference(self) -> Interval:
        """The loss after training on what is kept minus that on random rows, paired over the seeds."""
        return _apart(self.losses)

    @property
    def gain(self) -> Interval | None:
        """The share of right answers after training on what is kept minus that on random rows, where it is told."""
        return None if self.right is None else _apart(self.right)

    @property
    def verdict(self) -> str:
        """Say in words whether it helped."""
        kept, drawn = (t_interval(self.losses[side]).mean for side in (KEPT, RANDOM))
        found = self.difference
        said = {-1: "it helped", 1: "it did harm", 0: "no difference that could be told", None: "too few seeds to tell"}
        return (
            f"loss {kept:.3f} after the kept, {drawn:.3f} after random rows, {self.losses[BASE][0]:.3f} untrained;"
            f" difference {found.mean:+.3f} ± {found.half_width:.3f}: {said[found.sign]}{self._accuracy}"
        )

    @property
    def _accuracy(self) -> str:
        if self.right is None or self.gain is None:
            return ""
        shares = {side: f"{t_interval(values).mean:.1%}" for side, values in self.right.items()}
        return (
            f"; answers right: {shares[KEPT]} after the kept, {shares[RANDOM]} after random rows, {shares[BASE]}"
            f" untrained; difference {100 * self.gain.mean:+.1f} ± {100 * self.gain.half_width:.1f} points"
        )


def _apart(values: Mapping[str, Sequence[float]]) -> Interval:
    return paired_interval(dict(enumerate(values[KEPT])), dict(enumerate(values[RANDOM])))


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
    special = opened.tokeniser.special
    names = [*tests, *(f"{_RIGHT}{name}" for name, rows in tests.items() if _answer_length(rows) <= _SHORT)]
    found: dict[str, dict[str, list[float]]] = {name: {KEPT: [], RANDOM: [], BASE: []} for name in names}
    for seed in range(settings.seed, settings.seed + settings.evaluation_seeds):
        model = opened.family.adapted(adaptation, seed).to(settings_device(settings))
        own = digest(
            [identity, opened.identity, adaptation.deciding(), training.deciding(), seed, settings.dtype, _RIGHT]
        )
        trainings = SubsetTraining(
            training,
            seed,
            pool,
            opened.family.loss,
            lambda model: _measured(model, tests, special),
            model,
            state,
            own,
            save_seconds,
        )
        drawn = np.random.default_rng([seed, 2]).choice(len(pool), len(kept), replace=False)
        parts = [tuple(sorted(kept)), tuple(sorted(drawn.tolist()))]
        sides = dict(zip((KEPT, RANDOM), trainings.finetune_on_subsets(parts), strict=True))
        for name in names:
            for side in (KEPT, RANDOM):
                found[name][side].append(sides[side][name])
    done = state / f"{digest([identity, opened.identity, settings.dtype, _RIGHT])}.json"
    if not done.is_file():
        family: Any = opened.family
        write_json(done, _measured(family.pretrained().to(settings_device(settings)), tests, special))
    base = read_json(done)
    for name in names:
        found[name][BASE] = [base[name]] * settings.evaluation_seeds
    helped = [Helped(name, found[name], found.get(f"{_RIGHT}{name}")) for name in tests]
    if len(helped) > 1:
        right = [each.right for each in helped if each.right is not None]
        losses = _mean([each.losses for each in helped])
        helped.append(Helped("all targets", losses, _mean(right) if len(right) == len(helped) else None))
    return helped


def _mean(of: Sequence[Mapping[str, Sequence[float]]]) -> dict[str, list[float]]:
    return {side: np.mean([each[side] for each in of], axis=0).tolist() for side in (KEPT, RANDOM, BASE)}


def _answer_length(rows: EncodedFile) -> float:
    return float(np.median([int((rows.stored(index) >= 0).sum()) for index in range(len(rows))]))


def _measured(model: Any, tests: Mapping[str, EncodedFile], special: Collection[int]) -> dict[str, float]:
    """Compute the mean loss of each target's rows, and the share of answers that the model would give itself.

    Tokens that end an answer, and what a template has after them, are no part of it.
    """
    model.eval()
    device = next(model.parameters()).device
    ends = torch.tensor(sorted(special), device=device)
    found = {}
    with torch.no_grad():
        for name, rows in tests.items():
            total = right = 0.0
            for _, batch in track(Batches(rows, 8, kinds=rows.kinds), None, f"evaluation on {name}", "batches"):
                logits, targets = answer_logits(model, {key: value.to(device) for key, value in batch.items()})
                total += float(mean_over_tokens(logits, targets).sum())
                passed = torch.isin(targets, ends)
                passed[:, 1:] |= passed[:, :-1].clone()
                right += int(((logits.argmax(dim=-1) == targets) | (targets == IGNORED) | passed).all(dim=1).sum())
            found[name], found[f"{_RIGHT}{name}"] = total / len(rows), right / len(rows)
    return found
