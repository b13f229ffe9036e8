"""dattri: EK-FAC, DataInf and products of gradients, by ``torch.func``.

EK-FAC of 0.3.0 fails where a layer's input has three axes: its covariance is taken of inputs of two.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from dattri.algorithm.influence_function import IFAttributorDataInf, IFAttributorEKFAC
from dattri.algorithm.tracin import TracInAttributor
from dattri.task import AttributionTask
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.peers.functional import FIELDS, Logits
from benchmarks.peers.study import BATCH, Rows, Study, trained_layers

PACKAGE = "dattri"
SETTINGS = (
    "EK-FAC on the trained linear layers, with its default damping of 0; DataInf with regularization of 0.1, which it"
    " names as its default where none is given; TracIn of one checkpoint; frozen weights are buffers, as it takes"
    " gradients of every parameter"
)


def task_of(model: Any) -> AttributionTask:
    """Describe the loss of a sample, or of several, as its functions take it."""
    wrapped = Logits(model)

    def loss(parameters: dict[str, Tensor], data: tuple[Tensor, ...]) -> Tensor:
        inputs, labels = [each if each.ndim == 2 else each[None] for each in data[:3]], data[3].reshape(-1)
        return cross_entropy(torch.func.functional_call(wrapped, parameters, tuple(inputs)), labels)

    return AttributionTask(loss, wrapped, wrapped.state_dict())


def loader(rows: Rows) -> DataLoader:
    """Give the rows as it takes them, all padded to the longest, as its data is a table of tensors."""
    batch = rows.encoded.collate(range(len(rows)))
    return DataLoader(TensorDataset(*(batch[name] for name in FIELDS)), batch_size=BATCH)


def ekfac(study: Study, model: Any) -> np.ndarray:
    """Score every pair by EK-FAC."""
    train, targets, task = study.rows("train"), study.rows("validation"), task_of(model)
    attributor = IFAttributorEKFAC(task, module_name=trained_layers(task.model))
    attributor.cache(loader(train))
    return study.harmful(attributor.attribute(loader(train), loader(targets)).detach().numpy(), train, targets)


def datainf(study: Study, model: Any) -> np.ndarray:
    """Score every pair by DataInf."""
    train, targets = study.rows("train"), study.rows("validation")
    attributor = IFAttributorDataInf(task_of(model), regularization=0.1)
    attributor.cache(loader(train))
    return study.harmful(attributor.attribute(loader(train), loader(targets)).detach().numpy(), train, targets)


def tracin(study: Study, model: Any) -> np.ndarray:
    """Score every pair by products of gradients."""
    train, targets = study.rows("train"), study.rows("validation")
    attributor = TracInAttributor(task_of(model), weight_list=torch.ones(1), normalized_grad=False)
    return study.harmful(attributor.attribute(loader(train), loader(targets)).detach().numpy(), train, targets)


METHODS: dict[str, Callable[[Study, Any], np.ndarray]] = {"EK-FAC": ekfac, "DataInf": datainf, "TracIn": tracin}
