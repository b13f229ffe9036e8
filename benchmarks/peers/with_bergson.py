"""bergson: cosines, K-FAC and EK-FAC by its collectors.

Its commands load causal language models and take token ids as labels. Its collectors are hooks on any model, so that
three things are changed around them: the loss is the classifier's, in place of its two factories of one; the layers
that see a text as one vector are shown it as a text of one position, as its hooks take three axes only; and a token of
padding stands at the end of every text, as its mask leaves each text's last position out.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from bergson import GradientProcessor, IndexConfig, InMemoryCollector, Scorer
from bergson.collector import collector as collecting
from bergson.collector.collector import CollectorComputer
from bergson.config import InversionConfig
from bergson.config.config import HessianConfig
from bergson.hessians import hessian_approximations as fitting
from bergson.hessians.preconditioner import load_preconditioner
from bergson.score.score_writer import InMemorySequenceScoreWriter
from datasets import Dataset
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.peers.study import Rows, Study, trained_layers

PACKAGE = "bergson"
SETTINGS = (
    "its defaults: labels drawn from the model for the Fisher information, damping of 0.1 times the mean eigenvalue,"
    " float32, no projection, no biases; its collectors with the classifier's loss, as its commands take causal"
    " language models only"
)
PREFIX = "base_model."


class OnePosition(nn.Module):
    """A linear layer that is shown a text of one position, which its mask has as the first."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = nn.Linear(linear.in_features, linear.out_features)
        self.linear.weight, self.linear.bias = linear.weight, linear.bias

    def forward(self, x: Tensor) -> Tensor:
        """Compute what the layer does."""
        self.linear._positions = torch.zeros(len(x), 1, dtype=torch.long)
        return self.linear(x[:, None])[:, 0]


class Prepared:
    """The model with its layers as bergson takes them.

    Args:
        model: fine-tuned.
        folder: where it writes.
    """

    def __init__(self, model: Any, folder: str) -> None:
        for name in trained_layers(model):
            parent, _, last = name.rpartition(".")
            if ".lora_" not in name:
                setattr(model.get_submodule(parent), last, OnePosition(model.get_submodule(name)))
        self.model = model
        self.layers = {name.removeprefix(PREFIX) for name in trained_layers(model)}
        self.config = IndexConfig(run_path=str(Path(folder, "run")))
        self.config.partial_run_path.mkdir()

    def collector(self, data: Dataset, **options: Any) -> InMemoryCollector:
        """Make its collector of gradients, or of scores."""
        return InMemoryCollector(
            model=self.model.base_model,
            cfg=self.config,
            processor=GradientProcessor(),
            target_modules=self.layers,
            data=data,
            **options,
        )

    def run(self, data: Dataset, groups: list[list[int]], **options: Any) -> InMemoryCollector:
        """Sweep over the batches."""
        collector = self.collector(data, **options)
        computer = CollectorComputer(self.model, data, collector=collector, batches=groups, cfg=self.config)
        computer.run_with_collector_hooks(desc="gradients")
        return collector

    def fitted(self, data: Dataset, groups: list[list[int]], corrected: bool) -> Any:
        """Fit its Kronecker factors, and give their damped inverse."""
        path = str(self.config.partial_run_path)
        fitting.fit_factored_hessians(
            self.model,
            data,
            self.config,
            HessianConfig(method="kfac", ev_correction=corrected),
            target_modules=self.layers,
            attention_cfgs={},
            batches=groups,
            path=path,
            do_eigendecomposition=True,
        )
        return load_preconditioner(path, inversion_cfg=InversionConfig(), ev_correction=corrected)


def dataset(rows: Rows) -> Dataset:
    """Give the tokens of every row, one of padding after them, and its class."""
    made = [rows[index] for index in range(len(rows))]
    tokens = [[*row["input_ids"].tolist(), 0] for row in made]
    classes = [int(row["labels"]) for row in made]
    return Dataset.from_dict({"input_ids": tokens, "length": [len(each) for each in tokens], "target": classes})


def logits_of(model: Any, x: Tensor, batch: dict[str, Any]) -> Tensor:
    """Compute the classes' logits; the batch's padding is masked."""
    lengths = torch.tensor([len(tokens) - 1 for tokens in batch["input_ids"]])
    mask = (torch.arange(x.shape[1])[None, :] < lengths[:, None]).long()
    return model(input_ids=x, attention_mask=mask).logits


def classifying(*_: Any) -> Callable[..., Tensor]:
    """Stand in for its loss of language models."""

    def run(model: Any, x: Tensor, y: Tensor, batch: dict[str, Any]) -> Tensor:
        found = cross_entropy(logits_of(model, x, batch), torch.tensor(batch["target"]), reduction="none")
        found.sum().backward()
        model.zero_grad()
        return found

    return run


def drawing(*_: Any) -> Callable[..., Tensor]:
    """Stand in for its loss of drawn labels."""

    def run(model: Any, x: Tensor, y: Tensor, batch: dict[str, Any]) -> Tensor:
        logits = logits_of(model, x, batch)
        drawn = torch.multinomial(torch.softmax(logits.detach(), dim=-1), num_samples=1).flatten()
        found = cross_entropy(logits, drawn, reduction="none")
        found.sum().backward()
        model.zero_grad()
        return found

    return run


@contextmanager
def replaced() -> Iterator[None]:
    """Put the classifier's losses in place of a language model's."""
    with (
        patch.object(collecting, "fwd_bwd_factory", classifying),
        patch.object(fitting, "fwd_bwd_hessian_factory", drawing),
    ):
        yield


def scored(study: Study, model: Any, corrected: bool | None) -> np.ndarray:
    """Score every pair: by its inverse, or where that is None by cosines."""
    train, targets = study.rows("train"), study.rows("validation")
    with tempfile.TemporaryDirectory() as folder, replaced():
        prepared, data = Prepared(model, folder), dataset(train)
        queries = prepared.run(dataset(targets), targets.groups()).gradients
        cosines = corrected is None
        if corrected is None:
            norms = torch.cat(list(queries.values()), dim=1).norm(dim=1, keepdim=True)
            queries = {name: each / norms for name, each in queries.items()}
        else:
            queries = prepared.fitted(data, train.groups(), corrected).apply(queries)
        writer = InMemorySequenceScoreWriter(len(train), len(targets))
        scorer = Scorer(queries, list(queries), writer, torch.device("cpu"), torch.float32, unit_normalize=cosines)
        prepared.run(data, train.groups(), scorer=scorer)
    return study.harmful(writer.scores.numpy(), train, targets)


METHODS: dict[str, Callable[[Study, Any], np.ndarray]] = {
    "cosines": lambda study, model: scored(study, model, None),
    "K-FAC": lambda study, model: scored(study, model, False),
    "EK-FAC": lambda study, model: scored(study, model, True),
}


def extraction(model: Any, rows: Rows) -> dict[str, Callable[[], None]]:
    """Sweep with its collector, which forms every gradient and holds them all."""
    prepared, data = Prepared(model, tempfile.mkdtemp(prefix="peers-bergson-")), dataset(rows)

    def sweep() -> None:
        with replaced():
            prepared.run(data, rows.groups())

    return {"bergson, formed and held": sweep}
