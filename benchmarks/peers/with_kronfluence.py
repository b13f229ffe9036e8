"""kronfluence: K-FAC and EK-FAC on every trained linear layer, the head's bias with it."""

import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from kronfluence.analyzer import Analyzer, prepare_model
from kronfluence.arguments import FactorArguments, ScoreArguments
from kronfluence.task import Task
from kronfluence.utils.dataset import DataLoaderKwargs
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.peers.study import BATCH, Rows, Study, losses, trained_layers

PACKAGE = "kronfluence"
SETTINGS = (
    "its defaults: labels drawn from the model for the Fisher information, damping of 1e-8; and beside it damping of"
    " None, its heuristic of 0.1 times the mean eigenvalue"
)


class Classifying(Task):
    """Each sample's loss, as its own examples of classification have it."""

    def __init__(self, layers: list[str]) -> None:
        self.layers = layers

    def compute_train_loss(self, batch: dict[str, Tensor], model: nn.Module, sample: bool = False) -> Tensor:
        """Sum the losses, of labels drawn from the model where it is asked for."""
        if not sample:
            return losses(model, batch).sum()
        logits = model(**{name: value for name, value in batch.items() if name != "labels"}).logits
        with torch.no_grad():
            drawn = torch.multinomial(torch.softmax(logits.detach(), dim=-1), num_samples=1).flatten()
        return cross_entropy(logits, drawn, reduction="sum")

    def compute_measurement(self, batch: dict[str, Tensor], model: nn.Module) -> Tensor:
        """Sum the target samples' losses."""
        return losses(model, batch).sum()

    def get_influence_tracked_modules(self) -> list[str]:
        """Name the layers."""
        return self.layers

    def get_attention_mask(self, batch: dict[str, Tensor]) -> Tensor:
        """Leave padding out."""
        return batch["attention_mask"]


def analysed(model: Any, folder: str) -> Analyzer:
    """Open its analysis of the model."""
    task = Classifying(trained_layers(model))
    found = Analyzer("peers", prepare_model(model, task), task, cpu=True, output_dir=folder, disable_tqdm=True)
    found.set_dataloader_kwargs(DataLoaderKwargs(collate_fn=stacked))
    return found


def stacked(rows: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Put rows of one length together."""
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}


def scored(study: Study, model: Any, strategy: str, damping: float | None) -> np.ndarray:
    """Fit its factors, and score every pair."""
    train, targets = study.rows("train"), study.rows("validation")
    with tempfile.TemporaryDirectory() as folder:
        analyzer = analysed(model, folder)
        how = FactorArguments(strategy=strategy)
        analyzer.fit_all_factors("factors", train, per_device_batch_size=BATCH, factor_args=how)
        analyzer.compute_pairwise_scores(
            "scores",
            "factors",
            targets,
            train,
            per_device_query_batch_size=BATCH,
            per_device_train_batch_size=BATCH,
            score_args=ScoreArguments(damping_factor=damping),
        )
        scores = analyzer.load_pairwise_scores("scores")["all_modules"]
    return study.harmful(scores.T, train, targets)


METHODS: dict[str, Callable[[Study, Any], np.ndarray]] = {
    "EK-FAC": lambda study, model: scored(study, model, "ekfac", ScoreArguments().damping_factor),
    "EK-FAC, heuristic damping": lambda study, model: scored(study, model, "ekfac", None),
    "K-FAC": lambda study, model: scored(study, model, "kfac", ScoreArguments().damping_factor),
    "K-FAC, heuristic damping": lambda study, model: scored(study, model, "kfac", None),
}


def extraction(model: Any, rows: Rows) -> dict[str, Callable[[], None]]:
    """Ask for squared norms: it gives no gradients out, and these take them and little else."""
    folder = tempfile.mkdtemp(prefix="peers-kronfluence-")
    analyzer = analysed(model, folder)
    how = FactorArguments(strategy="identity")
    analyzer.fit_all_factors("factors", rows, per_device_batch_size=BATCH, factor_args=how, overwrite_output_dir=True)

    def sweep() -> None:
        analyzer.compute_self_scores(
            "norms", "factors", rows, per_device_train_batch_size=BATCH, overwrite_output_dir=True
        )

    return {"kronfluence, squared norms": sweep}
