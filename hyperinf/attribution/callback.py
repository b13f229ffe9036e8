"""Scores while a Trainer trains: of its training set at chosen steps, averaged over them by their learning rates."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import torch
from transformers import TrainerCallback

from hyperinf.artifacts.files import atomic_file
from hyperinf.attributor import Attributor
from hyperinf.errors import InputError
from hyperinf.models.collated import Collated, collated_from

_log = logging.getLogger(__name__)


class HyperINFCallback(TrainerCallback):
    """Score a Trainer's training set at chosen steps, and name the suspects: the samples that harm the target most.

    The scores are the mean of those at the steps, weighted by the learning rate that each was trained with: with
    ``method="tracin"`` that is TracInCP (Pruthi et al. 2020) divided by the sum of the rates. Training goes on as it
    would without: neither weights nor random numbers change.

    Args:
        target: dataset whose mean loss is the target, tokenised as the training set is.
        steps: ``"epoch"`` for the end of each; a number for every so many updates; or the numbers of the updates.
        method: a name in ``METHODS``.
        top: suspects to name.
        out: file of the scores at the end of training, ``.parquet`` or ``.csv``; none when None.
        batch_size: of samples whose gradients are taken at a time.
        **options: further ones of ``Attributor``: ``damping``, ``layers``, ``loss`` (a Trainer's own cannot be seen
            from here: the model's is taken), ...

    Attributes:
        by_step: index ``sample_id``, a column a step: the influence there.
        learning_rates: index ``step``.

    Raises:
        ValueError: steps below 1, an unknown method or option.
    """

    def __init__(
        self,
        target: Any,
        steps: Literal["epoch"] | int | Sequence[int] = "epoch",
        method: str = "hyperinf",
        top: int = 10,
        out: str | Path | None = None,
        batch_size: int = 8,
        **options: Any,
    ) -> None:
        numbers = [steps] if isinstance(steps, int) else [] if isinstance(steps, str) else list(steps)
        if steps != "epoch" and (not numbers or min(numbers) < 1):
            raise InputError(f"steps: got {steps!r}, expected 'epoch', a number of updates, or numbers of updates")
        if out is not None and Path(out).suffix not in (".parquet", ".csv"):
            raise InputError(f"out: got {str(out)!r}, expected a name that ends in .parquet or .csv")
        Attributor(None, method, **options)  # wrong options are told before anything is trained
        self._target, self._steps, self._method, self._options = target, steps, method, options
        self._top, self._out, self._batch_size = top, out, batch_size
        self._rate = 0.0
        self._forget()

    def _forget(self) -> None:
        self.by_step = pd.DataFrame()
        self.learning_rates = pd.Series(dtype="float64", name="learning_rate").rename_axis("step")
        self._means = pd.DataFrame()

    @property
    def scores(self) -> pd.DataFrame:
        """The scores so far: index ``sample_id``, columns ``influence``, ``loss`` and ``grad_norm``, each a mean.

        Raises:
            ValueError: nothing was scored yet.
        """
        if self.by_step.empty:
            raise InputError("HyperINFCallback: got no scores yet, expected one of its steps to be trained")
        return self._means

    def suspects(self, count: int | None = None) -> pd.DataFrame:
        """Give the samples that harm the target most, the most harmful first."""
        return self.scores.nlargest(count or self._top, "influence")

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin anew, and see that both datasets can be read in order.

        Raises:
            ValueError: one of them has no length.
        """
        self._forget()
        self._batches(kwargs["train_dataloader"])

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Note the learning rate: after the update it is that of the next one."""
        self._rate = max(float(group["lr"]) for group in kwargs["optimizer"].param_groups)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Score, if this is one of the steps."""
        if self._steps == "epoch":
            return
        step = state.global_step
        if step % self._steps == 0 if isinstance(self._steps, int) else step in self._steps:
            self._score(state, kwargs["model"], kwargs["train_dataloader"])

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Score, if epochs are the steps."""
        if self._steps == "epoch":
            self._score(state, kwargs["model"], kwargs["train_dataloader"])

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write the scores."""
        if self.by_step.empty:
            _log.warning("none of the steps %s was trained: nothing is scored", self._steps)
        elif self._out is not None and state.is_world_process_zero:
            with atomic_file(self._out) as temporary:
                table = self.scores.join(self.by_step.add_prefix("step_")).reset_index()
                table.to_csv(temporary, index=False) if Path(self._out).suffix == ".csv" else table.to_parquet(
                    temporary
                )

    def _score(self, state: Any, model: Any, loader: Any) -> None:
        if not state.is_world_process_zero or state.global_step in self.learning_rates.index:
            return
        attributor = Attributor(model, self._method, **self._options)
        train, target = self._batches(loader)
        device = next(model.parameters()).device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            scores = attributor.fit(train).score(target)
        self._add(state.global_step, scores)
        worst = self.suspects()["influence"]
        named = ", ".join(f"{sample} ({value:+.3g})" for sample, value in worst.items())
        print(f"step {state.global_step}: {len(scores):,} samples scored; most harmful so far: {named}", flush=True)
        state.log_history.append({"step": state.global_step, "epoch": state.epoch, "suspects": list(worst.index)})

    def _batches(self, loader: Any) -> tuple[Collated, Collated]:
        return collated_from(loader, None, self._batch_size), collated_from(loader, self._target, self._batch_size)

    def _add(self, step: int, scores: pd.DataFrame) -> None:
        self.by_step = pd.concat([self.by_step, scores["influence"].rename(step)], axis=1).rename_axis(
            index="sample_id"
        )
        total = float(self.learning_rates.sum())
        self.learning_rates.loc[step] = self._rate
        # A rate of zero, as a schedule may end with, leaves the mean as it is.
        share = 1.0 if self._means.empty or not total + self._rate else self._rate / (total + self._rate)
        self._means = scores if self._means.empty else self._means + share * (scores - self._means)
