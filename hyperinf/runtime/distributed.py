"""How the processes of one training share a step: all of it alone, or a part each where accelerate started several."""

import os
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from hyperinf.errors import InputError
from hyperinf.runtime.process import launched, on_cpus, started


class SingleProcess:
    """One process takes every batch whole."""

    index = 0

    def prepare(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[nn.Module, Any]:
        """The model to call and the optimizer to step."""
        return model, optimizer

    def own(self, rows: Sequence[int]) -> Sequence[int]:
        """This process's samples of a batch; at least one."""
        return rows

    def mean(self, losses: Tensor, rows: Sequence[int]) -> Tensor:
        """This process's part of the mean loss of the batch ``rows``, given the losses of its own samples."""
        return losses.mean()

    def total(self, part: Tensor, wanted: bool) -> tuple[float, bool]:
        """The sum of all processes' parts, and whether any of them wants something."""
        return float(part.detach()), wanted

    def backward(self, part: Tensor) -> None:
        """Gradients of the sum of all processes' parts."""
        part.backward()

    def teardown(self) -> None:
        """The training is over."""


class DistributedProcesses(SingleProcess):
    """Processes that accelerate started, with gradients averaged (DDP) or weights sharded as well (FSDP)."""

    def __init__(self) -> None:
        from accelerate import Accelerator, DistributedDataParallelKwargs

        # A batch of questions without a picture leaves a projector out.
        kwargs = DistributedDataParallelKwargs(find_unused_parameters=True)
        self._accelerator = Accelerator(cpu=on_cpus(), kwargs_handlers=[kwargs])
        self.index = int(self._accelerator.process_index)
        self._count = int(self._accelerator.num_processes)
        if self._count != started():
            raise InputError(
                f"accelerate: got {self._count} of the processes working together, expected all {started()}"
            )

    def prepare(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[nn.Module, Any]:
        """Wrapped, or sharded in place, as the configuration of accelerate says."""
        plugin = getattr(self._accelerator.state, "fsdp_plugin", None)
        if plugin is not None and "FSDP_TRANSFORMER_CLS_TO_WRAP" not in os.environ:
            plugin.transformer_cls_names_to_wrap = _sharded_apart(model)
        model, prepared = self._accelerator.prepare(model, optimizer)
        return model, prepared

    def own(self, rows: Sequence[int]) -> Sequence[int]:
        """Every count-th sample; the first one, which then has no weight, where there are too few."""
        return rows[self.index :: self._count] or rows[:1]

    def mean(self, losses: Tensor, rows: Sequence[int]) -> Tensor:
        """The sum of its own losses over the size of the whole batch."""
        return losses.sum() / len(rows) if self.index < len(rows) else losses.sum() * 0.0

    def total(self, part: Tensor, wanted: bool) -> tuple[float, bool]:
        """Over all processes: all get the same."""
        both = torch.stack([part.detach().double(), part.new_tensor(float(wanted)).double()])
        value, wants = self._accelerator.reduce(both, reduction="sum").tolist()
        return float(value), wants > 0

    def backward(self, part: Tensor) -> None:
        """Times their number, as gradients are averaged over the processes."""
        self._accelerator.backward(part * self._count)

    def teardown(self) -> None:
        """Wait for each other, and let go of the model: it may be trained again."""
        self._accelerator.wait_for_everyone()
        self._accelerator.free_memory()


def _sharded_apart(model: nn.Module) -> list[str]:
    """Name the classes of layers that are sharded one by one: those transformers names that are there.

    What holds the token embeddings (of BERT, and all of its kind) is none: accelerate shards these by themselves.
    """
    embedding: Any = getattr(model, "get_input_embeddings", lambda: None)()
    there = {
        type(module).__name__
        for module in model.modules()
        if module is embedding or not any(inner is embedding for inner in module.modules())
    }
    return [name for name in getattr(model, "_no_split_modules", None) or () if name in there]


def processes_of_command() -> SingleProcess:
    """The processes of this command."""
    return DistributedProcesses() if launched() else SingleProcess()


def full_tensor(tensor: Tensor) -> Tensor:
    """All of a tensor that may be sharded; every process has to ask."""
    full = getattr(tensor, "full_tensor", None)
    gathered: Tensor = full() if callable(full) else tensor
    return gathered


def full_state(model: nn.Module) -> dict[str, Tensor] | None:
    """All of what can be trained in a model whose weights are sharded, by name; None for any other model."""
    trained = {name: weight.detach() for name, weight in model.named_parameters() if weight.requires_grad}
    if not any(hasattr(weight, "full_tensor") for weight in trained.values()):
        return None
    return {name: full_tensor(weight) for name, weight in trained.items()}


def copy_into(tensor: Tensor, value: Tensor) -> None:
    """Copy a whole value into a tensor that may be sharded."""
    value, target = value.to(tensor.device), cast(Any, tensor)
    if hasattr(target, "full_tensor"):
        from torch.distributed.tensor import distribute_tensor

        value = distribute_tensor(value, target.device_mesh, target.placements)
    tensor.copy_(value)
