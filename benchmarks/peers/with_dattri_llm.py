"""dattri-llm: EK-FAC, K-FAC and cosines of gradients that its hooks capture."""

import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
from dattri_llm import (
    AttributionArguments,
    AttributionTask,
    EKFACAttributor,
    HookManagerConfig,
    KFACAttributor,
    TracInAttributor,
)
from dattri_llm.gradient.hooks import REGISTER_ALL
from dattri_llm.gradient.streaming import GradientStreamer
from dattri_llm.utils.hashing import hash_sample
from torch import Tensor, nn

from benchmarks.peers.study import BATCH, Rows, Study, losses

PACKAGE = "dattri-llm"
SETTINGS = (
    "its defaults: the labels' own Fisher information, damping of 1e-3; beside it relative_damping with 0.1; sums of"
    " losses, so that each sample's gradient is its own; all trained linear layers"
)


def summed(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """Sum the losses."""
    return losses(model, batch).sum()


def arguments(folder: str) -> AttributionArguments:
    """Set the sizes of its batches."""
    return AttributionArguments(
        output_dir=folder,
        per_device_train_batch_size=BATCH,
        per_device_eval_batch_size=BATCH,
        use_cpu=True,
        dataloader_pin_memory=False,
    )


def hooks() -> HookManagerConfig:
    """Name all linear layers; those that are frozen are left out by itself."""
    return HookManagerConfig(linear_io=REGISTER_ALL)


def scored(study: Study, model: Any, kind: type, **options: Any) -> np.ndarray:
    """Score every pair on the fly."""
    train, targets = study.rows("train"), study.rows("validation")
    with tempfile.TemporaryDirectory() as folder:
        task = AttributionTask(summed, model)
        found = kind(arguments(folder), task=task).attribute(train, targets, hook_config=hooks(), **options)
        scores = found.query(hashes(train), hashes(targets))
    return study.harmful(scores.float().cpu().numpy(), train, targets)


def hashes(rows: Rows) -> list[str]:
    """Name rows as it does, by what the model was given of them."""
    given = ({name: value for name, value in rows[index].items() if name != "labels"} for index in range(len(rows)))
    return [hash_sample(each) for each in given]


METHODS: dict[str, Callable[[Study, Any], np.ndarray]] = {
    "EK-FAC": lambda study, model: scored(study, model, EKFACAttributor),
    "EK-FAC, relative damping": lambda study, model: scored(
        study, model, EKFACAttributor, damping=0.1, relative_damping=True
    ),
    "K-FAC": lambda study, model: scored(study, model, KFACAttributor),
    "GradCos": lambda study, model: scored(study, model, TracInAttributor, normalized_grad=True),
    "GradDot": lambda study, model: scored(study, model, TracInAttributor),
}


def extraction(model: Any, rows: Rows) -> dict[str, Callable[[], None]]:
    """Stream its gradients, as the factors that it captures, and materialized."""
    folder = tempfile.mkdtemp(prefix="peers-dattri-llm-")
    stream = GradientStreamer(model, rows, arguments(folder), batch_size=BATCH, loss_fn=summed, config=hooks())

    def factors() -> None:
        with stream:
            for _, block, _ in stream:
                assert block.batch_size

    def formed() -> None:
        with stream:
            for _, block, _ in stream:
                block.materialize()

    return {"dattri-llm, factors": factors, "dattri-llm, formed": formed}
