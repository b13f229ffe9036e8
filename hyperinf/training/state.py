"""What a killed training goes on from: one safetensors file of weights, moments and progress."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from hyperinf.artifacts.files import atomic_file
from hyperinf.artifacts.hashing import tensors_sha256
from hyperinf.runtime.distributed import copy_into, full_tensor

MOMENTS = "moments.safetensors"
"""AdamW's at a checkpoint, where they are kept."""


@dataclass(frozen=True)
class EpochLog:
    """Mean training loss of one epoch, and the steps taken by its end."""

    epoch: int
    step: int
    loss: float


def save_state(
    state: Path,
    fingerprint: str,
    trained: dict[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    done: int,
    loss_sum: float,
    logs: list[EpochLog],
) -> None:
    """Write weights, AdamW's moments and the progress, whole or not at all.

    Args:
        state: file to write.
        fingerprint: of the run.
        trained: the weights that are trained, by name.
        optimizer: AdamW.
        done: steps taken.
        loss_sum: of the epoch so far.
        logs: of the epochs before.
    """
    tensors = {f"weight/{name}": full_tensor(weight.detach()).cpu().contiguous() for name, weight in trained.items()}
    tensors |= moments_of(trained, optimizer, copy=False)
    progress = json.dumps(
        {"done": done, "loss_sum": loss_sum, "logs": [[log.epoch, log.step, log.loss] for log in logs]}
    )
    metadata = {"fingerprint": fingerprint, "progress": progress, "sha256": tensors_sha256(tensors, progress)}
    with atomic_file(state) as temporary:
        save_file(tensors, str(temporary), metadata=metadata)


def moments_of(
    trained: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer, copy: bool = True
) -> dict[str, Tensor]:
    """Give what AdamW keeps of each weight, on the CPU: ``exp_avg/NAME``, ``exp_avg_sq/NAME`` and ``step/NAME``.

    Args:
        trained: the weights by name.
        optimizer: AdamW.
        copy: also what is on the CPU already, and changes with the next step.
    """
    return {
        f"{key}/{name}": full_tensor(value.detach()).to("cpu", copy=copy).contiguous()
        for name, parameter in trained.items()
        for key, value in optimizer.state[parameter].items()
    }


def load_state(
    state: Path, fingerprint: str, trained: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer
) -> tuple[int, float, list[EpochLog]]:
    """Load the state if there is one of this very run; an unreadable, damaged or foreign one means starting again.

    Returns:
        Steps taken, the loss of the epoch so far, and the logs of the epochs before.
    """
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
