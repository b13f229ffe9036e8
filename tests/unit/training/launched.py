"""What the tests of several processes run in each of them; not a test itself."""

import os
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

from test_training import SEED, SETTINGS, Net, Points
from torch import nn

import hyperinf.training.loop
from hyperinf.artifacts.files import write_json
from hyperinf.gradients.losses import default_loss
from hyperinf.models.trainable import trained_weights
from hyperinf.runtime.distributed import DistributedProcesses
from hyperinf.runtime.process import wait_for_all


def write_slowly() -> None:
    """Have the first process take its time to give files their names: who reads them without waiting finds none."""
    replace = os.replace

    def late(*names, **more):
        time.sleep(0.1)
        replace(*names, **more)

    if os.environ["RANK"] == "0":
        os.replace = late


class KilledError(Exception):
    """Stands for a kill: what is on disk is all that is left."""


def shard_on_cpus() -> None:
    """Have accelerate do on CPUs with gloo what its configuration asks of it for GPUs: it takes DDP for FSDP there.

    Which it is going to do is decided when its state is made; from then on it goes its own way.
    """
    from accelerate.state import AcceleratorState, PartialState
    from accelerate.utils import DistributedType

    made = AcceleratorState.__init__

    def make(self, *arguments, fsdp_plugin=None, **more):
        made(self, *arguments, fsdp_plugin=fsdp_plugin, **more)
        if fsdp_plugin is not None and self.distributed_type == DistributedType.MULTI_CPU:
            self.distributed_type = PartialState._shared_state["distributed_type"] = DistributedType.FSDP
            self.fsdp_plugin = fsdp_plugin

    AcceleratorState.__init__ = make


def as_in_a_new_process() -> None:
    """Have accelerate forget what it was told of processes and models: nothing has, where a user's command begins."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)


class Watched(DistributedProcesses):
    """Says how the weights that it trains are held."""

    held: ClassVar[set[str]] = set()

    def prepare(self, model, optimizer):
        found = super().prepare(model, optimizer)
        self.held.update(type(weight).__name__ for weight in model.parameters())
        return found


def train(folder: Path, kill_at: int | None = None) -> None:
    """Sixteen steps, or as many as are left of them."""
    model: Any = Net()
    model.drop.p = 0.0
    model._no_split_modules = ["Linear"]
    model.left_out = nn.Linear(2, 2)  # the loss does not depend on it, like a projector's where no picture is
    epochs: list[int] = []
    taken: list[int] = []

    def loss(model, batch):
        if len(taken) == kill_at:
            raise KilledError
        taken.append(0)
        return default_loss(model, batch)

    logs = hyperinf.training.loop.train(
        model, Points(), SETTINGS, SEED, folder / "state", "a", epochs.append, loss, save_seconds=0.0
    )
    weights = {name: weight.tolist() for name, weight in trained_weights(model).items()}
    found = {"weights": weights, "logs": [vars(log) for log in logs], "epochs": epochs, "steps": len(taken)}
    # By every process under its own name: what the second one writes would be seen.
    write_json(folder / f"result-{os.environ.get('RANK', '0')}.json", found)


def train_killed_once(folder: Path) -> None:
    try:
        train(folder, kill_at=6)
    except KilledError:
        # A real kill ends all processes; here one would read the state that the other is still writing.
        wait_for_all()
        train(folder)


if __name__ == "__main__":
    from hyperinf.cli import main

    out, commands = Path(sys.argv[1]), sys.argv[2:]
    shard_on_cpus()
    write_slowly()
    hyperinf.training.loop.processes_of_command = Watched
    train_killed_once(out / "net")
    for command in commands:
        as_in_a_new_process()
        assert main(command.split("\t")) == 0
    write_json(out / f"held-{os.environ['RANK']}.json", sorted(Watched.held))
