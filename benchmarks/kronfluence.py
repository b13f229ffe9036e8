"""Scores by kronfluence's K-FAC and EK-FAC on the model of ``tests/unit/influence/attending.py``, for its fixture.

    python -m venv env && env/bin/pip install torch kronfluence==1.0.1
    env/bin/python benchmarks/kronfluence.py

Writes ``tests/unit/influence/kronfluence.json``: a row a query, a column a training sample. The Fisher information is
the empirical one, all is in float64, and damping is kronfluence's own heuristic of 0.1.
"""

import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

ROOT = Path(__file__).resolve().parent.parent
# This folder has a file of the package's name.
sys.path[:] = [path for path in sys.path if Path(path or ".").resolve() != ROOT / "benchmarks"]
sys.path.append(str(ROOT / "tests" / "unit" / "influence"))

import attending  # noqa: E402
from kronfluence.analyzer import Analyzer, prepare_model  # noqa: E402
from kronfluence.arguments import FactorArguments, ScoreArguments  # noqa: E402
from kronfluence.task import Task  # noqa: E402

OUT = ROOT / "tests" / "unit" / "influence" / "kronfluence.json"
DAMPING = 0.1


class Samples(Dataset):
    """A batch, sample by sample."""

    def __init__(self, batch: dict[str, Tensor]) -> None:
        self.batch = batch

    def __len__(self) -> int:
        return len(self.batch["labels"])

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {name: value[index] for name, value in self.batch.items()}


class Classifying(Task):
    """Each sample's own loss."""

    def compute_train_loss(self, batch: dict[str, Tensor], model: nn.Module, sample: bool = False) -> Tensor:
        """Sum the losses; ``sample`` is never asked for, as the Fisher information is empirical."""
        return attending.losses(model, batch).sum()

    def compute_measurement(self, batch: dict[str, Tensor], model: nn.Module) -> Tensor:
        """Sum the queries' losses."""
        return attending.losses(model, batch).sum()

    def get_influence_tracked_modules(self) -> list[str]:
        """Name the layers."""
        return [name.removesuffix(".weight") for name in attending.LAYERS]

    def get_attention_mask(self, batch: dict[str, Tensor]) -> Tensor:
        """Leave padding out."""
        return batch["attention_mask"]


def main() -> None:
    """Write the fixture."""
    task, double = Classifying(), torch.float64
    train, queries = Samples(attending.batch(attending.SAMPLES, 1)), Samples(attending.batch(attending.QUERIES, 2))
    scores = {}
    for strategy in ("ekfac", "kfac"):
        with tempfile.TemporaryDirectory() as folder:
            analyzer = Analyzer("kronecker", prepare_model(attending.model(), task), task, cpu=True, output_dir=folder)
            how = FactorArguments(
                strategy=strategy,
                use_empirical_fisher=True,
                activation_covariance_dtype=double,
                gradient_covariance_dtype=double,
                per_sample_gradient_dtype=double,
                lambda_dtype=double,
                eigendecomposition_dtype=double,
            )
            analyzer.fit_all_factors("factors", train, per_device_batch_size=5, factor_args=how)
            analyzer.compute_pairwise_scores(
                "scores",
                "factors",
                queries,
                train,
                per_device_query_batch_size=2,
                per_device_train_batch_size=5,
                score_args=ScoreArguments(
                    damping_factor=None, score_dtype=double, per_sample_gradient_dtype=double, precondition_dtype=double
                ),
            )
            scores[strategy] = analyzer.load_pairwise_scores("scores")["all_modules"].tolist()
    known = {"kronfluence": version("kronfluence"), "torch": torch.__version__, "damping": DAMPING, "scores": scores}
    OUT.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
