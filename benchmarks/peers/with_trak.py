"""TRAK of one checkpoint, on a CPU: its projector in plain torch, as its kernels need CUDA."""

import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from trak import TRAKer
from trak.gradient_computers import FunctionalGradientComputer
from trak.modelout_functions import TextClassificationModelOutput

from benchmarks.peers.functional import Logits, tuples
from benchmarks.peers.study import BATCH, Rows, Study

PACKAGE = "traker"
SETTINGS = (
    "one checkpoint; its task text_classification; projected to 2,048, its default, with no ridge; and beside it to"
    " the largest power of two that is at most half of the samples, as their products cannot be inverted with more"
    " dimensions than samples; float32, as half precision is for GPUs; its projector in plain torch; frozen weights are"
    " buffers, as it takes gradients of every parameter"
)


def scored(study: Study, model: Any, dimensions: int) -> np.ndarray:
    """Featurize the training samples, and score every pair."""
    train, targets = study.rows("train"), study.rows("validation")
    wrapped = Logits(model)
    with tempfile.TemporaryDirectory() as folder:
        traker = TRAKer(
            wrapped,
            "text_classification",
            len(train),
            save_dir=folder,
            device="cpu",
            proj_dim=dimensions,
            use_half_precision=False,
            logging_level=100,
        )
        state = wrapped.state_dict()
        traker.load_checkpoint(state, model_id=0)
        for batch in tuples(train, BATCH):
            traker.featurize(batch, num_samples=len(batch[0]))
        traker.finalize_features()
        traker.start_scoring_checkpoint("targets", state, model_id=0, num_targets=len(targets))
        for batch in tuples(targets, BATCH):
            traker.score(batch, num_samples=len(batch[0]))
        scores = np.array(traker.finalize_scores("targets"))
    return study.harmful(scores, train, targets)


def half(study: Study) -> int:
    """Find the largest power of two that is at most half of the samples; no less than its projector can do twice."""
    return max(128, 2 ** ((len(study.ids("train")) // 2).bit_length() - 1))


METHODS: dict[str, Callable[[Study, Any], np.ndarray]] = {
    "TRAK, 2,048 dimensions": lambda study, model: scored(study, model, 2048),
    "TRAK, fewer dimensions than samples": lambda study, model: scored(study, model, half(study)),
}


def extraction(model: Any, rows: Rows) -> dict[str, Callable[[], None]]:
    """Take the gradients of its output function, which is no loss, by ``torch.func``; none is projected."""
    wrapped, task = Logits(model), TextClassificationModelOutput()
    size = sum(weight.numel() for weight in wrapped.parameters())
    computer = FunctionalGradientComputer(wrapped, task, size, torch.float32, "cpu")

    def sweep() -> None:
        for batch in tuples(rows, BATCH):
            computer.compute_per_sample_grad(batch)

    return {"TRAK, torch.func": sweep}
