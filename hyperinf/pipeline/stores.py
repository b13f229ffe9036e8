"""Scores from gradient stores that the user has written: one's own model and data, no task of ours needed."""

from pathlib import Path

from hyperinf.artifacts.files import write_parquet
from hyperinf.errors import InputError
from hyperinf.gradients import GradientStore
from hyperinf.influence import score_methods
from hyperinf.pipeline.scoring import ScoringOptions


def score_stores(train: Path, target: Path, options: ScoringOptions, out: Path) -> None:
    """Write a Parquet file of ``sample_id`` and ``influence_<method>`` columns; positive is harmful.

    Args:
        train: store of the training samples' gradients.
        target: store of the target samples' gradients.
        options: which scores to take, and how; baselines are not taken.
        out: file to write.

    Raises:
        InputError: a store that cannot be used, or stores that do not fit each other.
    """
    train_store, target_store = GradientStore(train), GradientStore(target)
    train_store.verify()
    target_store.verify()
    try:
        table = score_methods(train_store, target_store, options.own, **options.common)
    except ValueError as error:
        raise InputError(str(error)) from error
    columns = {f"influence_{name}": values.numpy() for name, values in table.influence.items()}
    write_parquet(out, {"sample_id": table.sample_ids, **columns})
