"""Fine-tune whatever of a model can be trained: AdamW, linear warm-up and decay, exact resume after a kill.

transformers' ``Trainer`` resumes bit-equally, too. This loop stays for what it resumes from: one safetensors file of
the trained weights, their moments and the progress, with its SHA-256. The Trainer's state is a folder of pickles, and
where a disk has flipped a bit in it, it goes on with other weights and does not say so
(``tests/unit/training/test_against_trainer.py``).
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hyperinf.errors import InputError
from hyperinf.gradients.losses import LossFunction, default_loss
from hyperinf.models.encoding import Encoded
from hyperinf.runtime.distributed import processes_of_command
from hyperinf.runtime.process import launched
from hyperinf.runtime.progress import track
from hyperinf.settings.training import TrainingSettings
from hyperinf.training.foretold import check_step_fits
from hyperinf.training.schedule import schedule, steps_per_epoch, total_steps
from hyperinf.training.state import EpochLog, load_state, moments_of, save_state

Order = Callable[[int, int], Iterator[tuple[int, list[int]]]]
GROUP = 50
SAVE_SECONDS = 60.0
STACKED = "stacked"
"""Attribute of a weight: how many of its leading dimensions count adapters."""


def train(
    model: nn.Module,
    encoded: Encoded,
    settings: TrainingSettings,
    seed: int,
    state: Path,
    fingerprint: str,
    on_epoch: Callable[[int], None] | None = None,
    loss_fn: LossFunction | None = None,
    save_seconds: float = SAVE_SECONDS,
    on_moments: Callable[[dict[str, Tensor]], None] | None = None,
    order: Order | None = None,
    longest: Sequence[int] | None = None,
) -> list[EpochLog]:
    """Train in place; a run that was killed goes on where its last state was saved and ends in the same weights.

    Processes that ``accelerate launch`` started share every batch: the steps are those of one process, up to rounding
    (and dropout, whose draws are a process's own). The state has all weights, whatever they are sharded over.

    Args:
        model: its parameters with ``requires_grad`` are trained, on the device they are on.
        encoded: the training samples.
        settings: rate, batch size, and how long.
        seed: of the order of samples and of dropout.
        state: file to resume from, written now and then; the caller removes it when all is done.
        fingerprint: a state with another one is not resumed from but written over.
        on_epoch: called after every whole epoch (1, 2, ...), again for the last one if killed before the next save.
        loss_fn: ``(model, batch) -> Tensor[b]``; the mean over the batch is minimised.
        save_seconds: between two saves of the state; no result depends on it.
        on_moments: given AdamW's moments (see :func:`moments_of`) before every call of ``on_epoch``, and at the end.
        order: which samples each step takes, of the steps from one number up to another; by default :func:`batches`.
        longest: of what ``order`` takes, see :func:`check_step_fits`.

    Returns:
        One record an epoch; the last one may be of a part of an epoch.

    Raises:
        InputError: nothing can be trained, a step does not fit into memory, or the loss is no longer finite (names the
            step).
    """
    loss_fn = loss_fn or default_loss
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if not trained:
        raise InputError("model: nothing in it can be trained")
    processes = processes_of_command()
    called, optimizer = processes.prepare(
        model, torch.optim.AdamW(_groups(trained, settings.weight_decay), lr=settings.learning_rate)
    )
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    device = next(iter(trained.values())).device
    samples = len(encoded.ids)
    per_epoch, total = steps_per_epoch(settings, samples), total_steps(settings, samples)

    model.train()
    if not launched():
        check_step_fits(model, encoded, min(settings.batch_size, samples), loss_fn, longest)
    done, loss_sum, logs = load_state(state, fingerprint, trained, optimizer)
    saved_at = time.monotonic()
    seen = done % per_epoch * settings.batch_size
    if order is None:
        steps = batches(encoded.lengths, settings.batch_size, seed, done, total)
    else:
        steps = order(done, total)
    for step, rows in track(steps, total - done, "training", "steps"):
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * schedule(step, total, settings.warmup_ratio)
        optimizer.zero_grad(set_to_none=True)  # before the pass forward, which would hold them beside its own
        # Dropout's draws do not depend on where we resumed; no two processes have the same.
        torch.manual_seed(seed * 1_000_003 + step + (processes.index << 40))
        batch = {key: value.to(device) for key, value in encoded.collate(processes.own(rows)).items()}
        part = processes.mean(loss_fn(called, batch), rows)
        loss, overdue = processes.total(part, time.monotonic() - saved_at > save_seconds)
        if not math.isfinite(loss):
            raise InputError(
                f"learning_rate: got a loss of {loss} at step {step}, expected a lower rate that converges"
            )
        processes.backward(part)
        optimizer.step()
        loss_sum += loss * len(rows)
        seen += len(rows)
        done = step + 1
        whole_epoch = done % per_epoch == 0
        if whole_epoch or done == total:
            logs.append(EpochLog(step // per_epoch + 1, done, loss_sum / seen))
            loss_sum, seen = 0.0, 0
            if on_moments is not None and whole_epoch:
                on_moments(moments_of(trained, optimizer))
            if on_epoch is not None and whole_epoch:
                on_epoch(step // per_epoch + 1)
                model.train()
        if whole_epoch or done == total or overdue:
            save_state(state, fingerprint, trained, optimizer, done, loss_sum, logs)
            saved_at = time.monotonic()
    if on_moments is not None:
        on_moments(moments_of(trained, optimizer))
    processes.teardown()
    return logs


def _groups(trained: dict[str, nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Let weight matrices decay, and nothing else."""
    decaying = {name for name, weight in trained.items() if weight.ndim - getattr(weight, STACKED, 0) >= 2}
    return [
        {"params": [weight for name, weight in trained.items() if name in decaying], "weight_decay": weight_decay},
        {"params": [weight for name, weight in trained.items() if name not in decaying], "weight_decay": 0.0},
    ]


def batches(
    lengths: Sequence[int], batch_size: int, seed: int, done: int, total: int
) -> Iterator[tuple[int, list[int]]]:
    """Yield number and samples of each step that is left, epoch after epoch.

    Args:
        lengths: tokens of each sample.
        batch_size: samples of a step.
        seed: of the order.
        done: steps that were taken.
        total: steps in all.
    """
    per_epoch = math.ceil(len(lengths) / batch_size)
    for epoch in range(done // per_epoch, math.ceil(total / per_epoch)):
        for step, rows in enumerate(epoch_batches(lengths, batch_size, seed, epoch), start=epoch * per_epoch):
            if done <= step < total:
                yield step, rows


def epoch_batches(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> Iterator[list[int]]:
    """Indices of every sample once, in random batches of samples of like length, so that little is padded.

    Samples are shuffled, sorted by length within groups of ``GROUP`` batches, and the batches are shuffled; the only
    short batch is the last one.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    order = torch.randperm(len(lengths), generator=generator).tolist()
    group = GROUP * batch_size
    order = [
        i
        for start in range(0, len(order), group)
        for i in sorted(order[start : start + group], key=lengths.__getitem__)
    ]
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    full = len(order) // batch_size
    for index in torch.randperm(full, generator=generator).tolist():
        yield batches[index]
    yield from batches[full:]
