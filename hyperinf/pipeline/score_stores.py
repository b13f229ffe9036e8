"""Score gradient stores that the user has written: one's own model and data, no stage of ours needed."""

from pathlib import Path

from hyperinf.artifacts.files import write_parquet
from hyperinf.errors import InputError
from hyperinf.gradients import GradientStore
from hyperinf.pipeline.scoring import score_table
from hyperinf.settings.scores import ScoreName
from hyperinf.settings.stages import ScoreStores


def score_stores(settings: ScoreStores) -> None:
    """Write a Parquet file of ``sample_id`` and ``influence_<score>`` columns; positive is harmful.

    Baselines are not taken.

    Raises:
        InputError: a store that cannot be used, or stores that do not fit each other.
    """
    for name in (name for name in settings.methods if ScoreName.of(name).pool):
        raise InputError(f"methods: got {name}, expected scores of one checkpoint: stores know no other")
    train, target = GradientStore(Path(settings.train)), GradientStore(Path(settings.target))
    train.verify()
    target.verify()
    table = score_table(train, target, settings)
    columns = {f"influence_{name}": table.influence[name].numpy() for name in settings.methods}
    write_parquet(Path(settings.out), {"sample_id": table.sample_ids, **columns})
