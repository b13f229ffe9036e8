"""Fine-tune whatever of a model can be trained: AdamW, linear warm-up and decay, exact resume after a kill."""

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from hyperinf.artifacts.files import atomic_file
from hyperinf.artifacts.hashing import tensors_sha256
from hyperinf.errors import InputError
from hyperinf.gradients.losses import LossFunction, default_loss
from hyperinf.models.encoding import Encoded
from hyperinf.runtime.distributed import copy_into, full_tensor, processes_of_command

GROUP = 50


@dataclass(frozen=True)
class TrainingSettings:
    """How to fine-tune.

    Attributes:
        epochs: passes over the samples; this or ``steps``.
        steps: updates, however many passes that takes; this or ``epochs``.
        batch_size: samples a step.
        learning_rate: at the end of the warm-up.
        weight_decay: AdamW's, on weight matrices; biases and norms have none.
        warmup: share of the steps over which the rate rises linearly; it then falls linearly to 0.
        seed: of the order of samples and of dropout.
        save_seconds: seconds between two saves of the state to resume from; results do not depend on it.
    """

    epochs: int | None = None
    steps: int | None = None
    batch_size: int = 32
    learning_rate: float = 5e-4
    weight_decay: float = 0.01
    warmup: float = 0.06
    seed: int = 0
    save_seconds: float = 60.0

    def __post_init__(self) -> None:
        if (self.epochs is None) == (self.steps is None):
            raise InputError(f"epochs, steps: expected one of the two, got {self.epochs} and {self.steps}")
        for name in ("epochs", "steps", "batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name}: expected at least 1, got {value}")
        if not 0 < self.learning_rate < math.inf:
            raise InputError(f"learning_rate: expected a positive number, got {self.learning_rate}")
        if not 0 <= self.warmup < 1:
            raise InputError(f"warmup: expected a share 0 <= w < 1, got {self.warmup}")
        if not 0 <= self.weight_decay < math.inf:
            raise InputError(f"weight_decay: expected 0 or more, got {self.weight_decay}")

    def steps_of_an_epoch(self, samples: int) -> int:
        """Updates that one pass over so many samples takes; the last one may be of a smaller batch."""
        return math.ceil(samples / self.batch_size)

    def total_steps(self, samples: int) -> int:
        """Updates in all."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return self.epochs * self.steps_of_an_epoch(samples)


@dataclass(frozen=True)
class EpochLog:
    """Mean training loss of one epoch, and the steps taken by its end."""

    epoch: int
    step: int
    loss: float


def finetune(
    model: nn.Module,
    encoded: Encoded,
    settings: TrainingSettings,
    state: Path,
    fingerprint: str,
    on_epoch: Callable[[int], None] | None = None,
    loss_fn: LossFunction | None = None,
) -> list[EpochLog]:
    """Train in place; a run that was killed goes on where its last state was saved and ends in the same weights.

    Processes that ``accelerate launch`` started share every batch: the steps are those of one process, up to rounding
    (and dropout, whose draws are a process's own). The state has all weights, whatever they are sharded over.

    Args:
        model: its parameters with ``requires_grad`` are trained, on the device they are on.
        encoded: the training samples.
        settings: see :class:`TrainingSettings`.
        state: file to resume from, written now and then; the caller removes it when all is done.
        fingerprint: a state with another one is not resumed from but written over.
        on_epoch: called after every whole epoch (1, 2, ...), again for the last one if killed before the next save.
        loss_fn: ``(model, batch) -> Tensor[b]``; the mean over the batch is minimised.

    Returns:
        One record an epoch; the last one may be of a part of an epoch.

    Raises:
        InputError: nothing can be trained, or the loss is no longer finite (names the step).
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
    per_epoch, total = settings.steps_of_an_epoch(samples), settings.total_steps(samples)

    done, loss_sum, logs = _resume(state, fingerprint, trained, optimizer)
    saved_at = time.monotonic()
    model.train()
    for epoch in range(done // per_epoch, math.ceil(total / per_epoch)):
        seen = min((done - epoch * per_epoch) * settings.batch_size, samples) if done > epoch * per_epoch else 0
        for index, rows in enumerate(epoch_batches(encoded.lengths, settings.batch_size, settings.seed, epoch)):
            step = epoch * per_epoch + index
            if step < done:
                continue
            if step == total:
                break
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * schedule(step, total, settings.warmup)
            # Dropout's draws do not depend on where we resumed; no two processes have the same.
            torch.manual_seed(settings.seed * 1_000_003 + step + (processes.index << 40))
            batch = {key: value.to(device) for key, value in encoded.collate(processes.own(rows)).items()}
            part = processes.mean(loss_fn(called, batch), rows)
            loss, overdue = processes.total(part, time.monotonic() - saved_at > settings.save_seconds)
            if not math.isfinite(loss):
                raise InputError(f"training diverged: the loss is {loss} at step {step}; lower learning_rate")
            optimizer.zero_grad(set_to_none=True)
            processes.backward(part)
            optimizer.step()
            loss_sum += loss * len(rows)
            seen += len(rows)
            done = step + 1
            if done % per_epoch == 0 or done == total:
                logs.append(EpochLog(epoch + 1, done, loss_sum / seen))
                loss_sum = 0.0
                if on_epoch is not None and done % per_epoch == 0:
                    on_epoch(epoch + 1)
                    model.train()
            if done % per_epoch == 0 or done == total or overdue:
                _save(state, fingerprint, trained, optimizer, done, loss_sum, logs)
                saved_at = time.monotonic()
    processes.teardown()
    return logs


def schedule(step: int, total: int, warmup: float) -> float:
    """Factor on the learning rate: linear up over ``warmup * total`` steps, then linear down to 0 at ``total``."""
    rising = math.ceil(warmup * total)
    if step < rising:
        return (step + 1) / (rising + 1)
    return (total - step) / max(1, total - rising)


def _groups(trained: dict[str, nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    return [
        {"params": [p for p in trained.values() if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained.values() if p.ndim < 2], "weight_decay": 0.0},
    ]


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


def _save(
    state: Path,
    fingerprint: str,
    trained: dict[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    done: int,
    loss_sum: float,
    logs: list[EpochLog],
) -> None:
    tensors: dict[str, Tensor] = {}
    for name, parameter in trained.items():
        tensors[f"weight/{name}"] = full_tensor(parameter.detach()).cpu().contiguous()
        for key, value in optimizer.state[parameter].items():
            tensors[f"{key}/{name}"] = full_tensor(value.detach()).cpu().contiguous()
    progress = json.dumps(
        {"done": done, "loss_sum": loss_sum, "logs": [[log.epoch, log.step, log.loss] for log in logs]}
    )
    metadata = {"fingerprint": fingerprint, "progress": progress, "sha256": tensors_sha256(tensors, progress)}
    with atomic_file(state) as temporary:
        save_file(tensors, str(temporary), metadata=metadata)


def _resume(
    state: Path, fingerprint: str, trained: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer
) -> tuple[int, float, list[EpochLog]]:
    """Load the state if there is one of this very run; an unreadable, damaged or foreign one means starting again."""
    try:
        with safe_open(str(state), framework="pt") as stored:
            metadata = stored.metadata() or {}
            if metadata.get("fingerprint") != fingerprint:
                return 0, 0.0, []
            tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118 (not a mapping)
    except (OSError, SafetensorError):
        return 0, 0.0, []
    if metadata.get("sha256") != tensors_sha256(tensors, metadata.get("progress", "")):
        return 0, 0.0, []
    progress = json.loads(metadata["progress"])
    with torch.no_grad():
        for name, parameter in trained.items():
            copy_into(parameter, tensors[f"weight/{name}"])
            if f"step/{name}" not in tensors:  # the loss does not depend on this weight: AdamW has nothing of it
                continue
            optimizer.state[parameter]["step"] = tensors[f"step/{name}"]
            for key in ("exp_avg", "exp_avg_sq"):
                optimizer.state[parameter][key] = torch.zeros_like(parameter)
                copy_into(optimizer.state[parameter][key], tensors[f"{key}/{name}"])
    return progress["done"], progress["loss_sum"], [EpochLog(*log) for log in progress["logs"]]
