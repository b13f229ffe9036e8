"""A fine-tuned and scored model of each family of texts, for all tests of stages that take any family."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stage_runs import finetuned, questions, scored

METHODS = ("hyperinf", "gfim", "tracin")
HOW = {
    "classifier": {"epochs": 4, "checkpoints": (1, 4), "batch_size": 4, "learning_rate": 5e-3, "max_length": 32},
    "causal": {"max_steps": 5, "batch_size": 4, "learning_rate": 5e-3},
}


@dataclass(frozen=True)
class Run:
    """A run of the first stages.

    Attributes:
        family: of the model.
        data: prepared samples.
        model: folder of the pretrained model.
        finetuned: what was trained.
        scores: of the last checkpoint, by ``METHODS``.
    """

    family: str
    data: Path
    model: Path
    finetuned: Path
    scores: Path

    @property
    def checkpoints(self) -> tuple[str, ...]:
        return ("epoch-1", "epoch-4") if self.family == "classifier" else ("last",)

    def finetune(self, out: Path, save_seconds: float = 0.0, **change: Any) -> Path:
        """The same fine-tuning elsewhere."""
        return finetuned(out, self.data, self.model, self.family, save_seconds, **{**HOW[self.family], **change})

    def score(self, out: Path, **change: Any) -> Path:
        """The same scoring elsewhere."""
        return scored(out, self.data, self.finetuned, **{"methods": METHODS, **change})


@pytest.fixture(scope="session")
def letters(tmp_path_factory):
    """Which letter is repeated? 40 % of the training answers are wrong."""
    rng = np.random.default_rng(0)
    rows = []
    for index in range(60):
        letter = "ab"[rng.integers(2)]
        rows.append({"id": f"q{index}", "question": f"{index}: {letter * 5}?", "choices": ["a", "b"], "answer": letter})
    sizes = {"train": 30, "validation": 10, "test": 20}
    return questions(tmp_path_factory.mktemp("letters") / "prepared", rows, **sizes, label_noise=0.4)


@pytest.fixture(scope="session")
def run_of(request, tmp_path_factory):
    """Give the run of a family, made when it is first asked for."""

    @cache
    def made(family: str) -> Run:
        data, model = {"classifier": ("word_task", "tiny_bert"), "causal": ("letters", "tiny_llama")}[family]
        data, model = request.getfixturevalue(data), request.getfixturevalue(model)
        folder = tmp_path_factory.mktemp(family)
        finetuned(folder / "finetuned", data, model, family, 0.0, **HOW[family])
        scored(folder / "scores", data, folder / "finetuned", methods=METHODS)
        return Run(family, data, model, folder / "finetuned", folder / "scores")

    return made


@pytest.fixture(params=["classifier", "causal"])
def run(request, run_of):
    """One run for each family of texts."""
    return run_of(request.param)
