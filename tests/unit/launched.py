"""What the tests of several processes run in each of them; not a test itself."""

import os
import sys
from pathlib import Path

import torch
from test_training import SETTINGS, Net, Points
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

import hyperinf.training
from hyperinf.files import write_json
from hyperinf.losses import default_loss
from hyperinf.models.trainable import trained_weights
from hyperinf.team import Together, team
from hyperinf.training import finetune


class KilledError(Exception):
    """Stands for a kill: what is on disk is all that is left."""


class Sharding(Together):
    """Weights sharded as FSDP does; accelerate itself takes DDP where there is no GPU."""

    def prepare(self, model, optimizer):
        fully_shard(model.head, mesh=init_device_mesh("cpu", (2,)))
        groups = [{**group, "params": []} for group in optimizer.param_groups]
        for parameter in model.head.parameters():
            groups[parameter.ndim < 2]["params"].append(parameter)
        return model, torch.optim.AdamW(groups)


def train(folder: Path, kill_at: int | None = None) -> None:
    """Sixteen steps, or as many as are left of them."""
    model = Net()
    model.drop.p = 0.0
    model.left_out = nn.Linear(2, 2)  # the loss does not depend on it, like a projector's where no picture is
    epochs, taken = [], []

    def loss(model, batch):
        if len(taken) == kill_at:
            raise KilledError
        taken.append(0)
        return default_loss(model, batch)

    logs = finetune(model, Points(), SETTINGS, folder / "state", "a", epochs.append, loss)
    weights = {name: weight.tolist() for name, weight in trained_weights(model).items()}
    found = {"weights": weights, "logs": [vars(log) for log in logs], "epochs": epochs, "steps": len(taken)}
    # By every process under its own name: what the second one writes would be seen.
    write_json(folder / f"result-{os.environ.get('RANK', '0')}.json", found)


def train_killed_once(folder: Path) -> None:
    try:
        train(folder, kill_at=6)
    except KilledError:
        train(folder)


if __name__ == "__main__":
    from hyperinf.cli import main

    out, commands = Path(sys.argv[1]), sys.argv[2:]
    train_killed_once(out / "ddp")
    hyperinf.training.team = Sharding
    train_killed_once(out / "fsdp")
    hyperinf.training.team = team
    for command in commands:
        assert main(command.split("\t")) == 0
