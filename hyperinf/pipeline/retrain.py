"""Train afresh on random parts of the training samples: a bank of retrainings that any scores are judged by."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperinf.artifacts.environment import digest, fingerprint, hashed
from hyperinf.artifacts.files import discard, write_parquet
from hyperinf.artifacts.parts import State
from hyperinf.artifacts.records import RECORD, write_record, write_settings
from hyperinf.errors import InputError
from hyperinf.evaluation.subsets import draw_subsets
from hyperinf.pipeline.opened import Finetuned, ids_of, machine
from hyperinf.runtime.progress import track
from hyperinf.settings.stages import Retrain
from hyperinf.settings.training import TrainingSettings
from hyperinf.training.side_by_side import (
    Part,
    can_stack,
    groups_of_one_size,
    losses_side_by_side,
    train_side_by_side,
)

SUBSETS, LOSSES = "subsets.parquet", "losses.parquet"
ORDERS = ("first", "again")
_QUERIES = 32
_LEAST = 2


class Retraining:
    """Trainings of one model on parts of its training samples, each in whole files, so that a kill loses little.

    Args:
        opened: what is trained again.
        state: keeps the losses of each few parts.
        at_once: adapters to train side by side, where that is possible.
    """

    def __init__(self, opened: Finetuned, state: State, at_once: int) -> None:
        self._opened, self._state = opened, state
        self._samples, self._targets = opened.encoded("train"), opened.encoded("validation")
        self._at_once = at_once

    def losses(
        self, model: Any, parts: Sequence[Part], settings: TrainingSettings, seed: int, name: str
    ) -> NDArray[np.float64]:
        """Train on each part from the weights that the model has, and compute the loss of every target sample.

        Args:
            model: on its device; it keeps its weights.
            parts: ascending indices into the training samples.
            settings: how it is trained.
            seed: of the order of samples.
            name: of these trainings in the state.

        Returns:
            ``[parts, targets]``.
        """
        at_once = self._at_once if can_stack(model, self._samples) else 1
        found = np.empty((len(parts), len(self._targets.ids)))

        def compute(group: Sequence[int]) -> dict[str, Any]:
            chosen, loss_fn = [parts[index] for index in group], self._opened.family.loss
            losses = train_side_by_side(model, self._samples, chosen, settings, seed, loss_fn, self.losses_of)
            return {"losses": losses}

        for group in track(
            groups_of_one_size(parts, at_once), len(parts), f"retraining, {name}", "trainings", size=len
        ):
            key = digest([seed, _how(settings), [list(parts[index]) for index in group]])[:16]
            found[group] = self._state.once(f"{name}-{key}", lambda group=group: compute(group))["losses"]  # type: ignore[misc]
        return found

    def losses_of(self, model: Any, copies: int = 1) -> NDArray[np.float64]:
        """Compute the loss of every target sample by each adapter of a model, ``[copies, targets]``."""
        losses = losses_side_by_side(model, copies, self._targets, self._opened.family.loss, _QUERIES)
        return losses.numpy()


def _how(settings: TrainingSettings) -> dict[str, Any]:
    return TrainingSettings.of(settings).plain()


def retrain(settings: Retrain) -> None:
    """Write ``subsets.parquet``, ``losses.parquet`` and ``info.json``; goes on after a kill.

    Raises:
        InputError: inputs that cannot be used or do not belong together; too few samples; a loss that diverges.
    """
    out, device = Path(settings.out), machine(settings)
    opened = Finetuned.opened(Path(settings.finetuned), Path(settings.data), settings, device)
    ids = ids_of(opened.samples("train"))
    if len(ids) < _LEAST:
        raise InputError(f"{settings.data}: got {len(ids)} training sample, expected at least {_LEAST}")
    subsets = draw_subsets(len(ids), settings.subset_fraction, settings.subsets, settings.seed)
    parts = [np.flatnonzero(row).tolist() for row in subsets]
    identity = digest([settings.deciding(), opened.info["settings"], opened.info["data_sha256"]])
    state = State(Path(settings.state_folder), identity)
    retraining = Retraining(opened, state, settings.at_once)
    model = opened.family.adapted(opened.settings, opened.settings.seed).to(device)
    losses: dict[str, Any] = {}
    for order, chosen in zip(ORDERS, (parts, parts[: settings.again]), strict=True):
        found = retraining.losses(model, chosen, opened.settings, _order_seed(opened, order), order)
        losses |= {f"{order}_{number}": row for number, row in enumerate(found)}
    targets = ids_of(opened.samples("validation"))
    write_parquet(out / SUBSETS, {"sample_id": ids, **{f"subset_{n}": row for n, row in enumerate(subsets)}})
    write_parquet(out / LOSSES, {"sample_id": targets, **losses})
    more = {
        "data_sha256": opened.info["data_sha256"],
        "finetuned": opened.info["settings"],
        "stacked": can_stack(model, opened.encoded("train")),
        "outputs": hashed(out, SUBSETS, LOSSES),
    }
    write_settings(out, settings)
    write_record(out / RECORD, fingerprint(settings.deciding(), device, **more))
    discard(Path(settings.state_folder))


def _order_seed(opened: Finetuned, order: str) -> int:
    """The order of the fine-tuning, or another one."""
    seed = opened.settings.seed
    return seed if order == ORDERS[0] else seed + 2**31
