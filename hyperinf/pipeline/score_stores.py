"""Score gradient stores that the user has written: one's own model and data, no stage of ours needed."""

from pathlib import Path

from hyperinf.artifacts.files import write_parquet
from hyperinf.gradients import GradientStore
from hyperinf.pipeline.scoring import score_table
from hyperinf.settings.stages import ScoreStores


def score_stores(settings: ScoreStores) -> None:
    """Write a Parquet file of ``sample_id`` and ``influence_<method>`` columns; positive is harmful.

    Baselines are not taken.

    Raises:
        InputError: a store that cannot be used, or stores that do not fit each other.
    """
    train, target = GradientStore(Path(settings.train)), GradientStore(Path(settings.target))
    train.verify()
    target.verify()
    table = score_table(train, target, settings)
    columns = {f"influence_{name}": values.numpy() for name, values in table.influence.items()}
    write_parquet(Path(settings.out), {"sample_id": table.sample_ids, **columns})
