"""Mislabel detection scored in shards against one process."""

import numpy as np
import pandas as pd
import pytest
from test_mislabel import adapter as adapter
from test_mislabel import score_config
from test_sharding import sharded

from hyperinf.errors import InputError
from hyperinf.influence import METHODS
from hyperinf.pipeline.checkpoints import Checkpoints
from hyperinf.pipeline.mislabel import run_scores
from hyperinf.pipeline.scoring import ScoringOptions
from hyperinf.pipeline.sharding.steps import ShardedScores

METHODS_OF_SHARDS = tuple(name for name in METHODS if name != "fim" and not name.startswith("lissa"))
OPTIONS = ScoringOptions(methods=METHODS_OF_SHARDS)
EPOCHS = (1, 4)


@pytest.fixture(scope="module")
def files(word_task, adapter, tmp_path_factory):
    """The files of both epochs, each scored in three shards of batches of seven."""
    folder = tmp_path_factory.mktemp("shards")
    opened = Checkpoints.opened(word_task, adapter, folder, (), "cpu")
    found = []
    for epoch in EPOCHS:
        model = opened.model(epoch)
        (folder / str(epoch)).mkdir()
        found.append(
            sharded(
                folder / str(epoch),
                opened.gradients(model, "validation", 7),
                lambda shard, model=model: opened.gradients(model, "train", 7, shard),
                3,
                OPTIONS,
                opened.origin(epoch),
            )
        )
    return found


def together(files):
    return ShardedScores(
        tuple(path for each in files for path in each.products), tuple(path for each in files for path in each.scores)
    )


def test_every_epoch_s_scores_are_those_of_one_process(word_task, adapter, files, tmp_path):
    config = score_config(word_task, adapter, methods=METHODS_OF_SHARDS)
    run_scores(config, tmp_path / "whole", "cpu", 1, gradients="live", batch_size=7)
    run_scores(config, tmp_path / "sharded", "cpu", 1, shards=together(files))
    names = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "sharded").iterdir())
    for epoch in EPOCHS:
        expected, found = (pd.read_parquet(tmp_path / name / f"epoch-{epoch}.parquet") for name in ("whole", "sharded"))
        assert list(found.columns) == list(expected.columns)
        assert found["sample_id"].tolist() == expected["sample_id"].tolist()
        for column in expected.columns[4:]:
            error = np.linalg.norm(found[column] - expected[column]) / np.linalg.norm(expected[column])
            assert error < 1e-9, (epoch, column)


def test_an_epoch_without_its_shards_is_named(word_task, adapter, files, tmp_path):
    config = score_config(word_task, adapter, methods=METHODS_OF_SHARDS)
    with pytest.raises(InputError, match="products: no file of epoch 4; expected those of every epoch that was kept"):
        run_scores(config, tmp_path / "out", "cpu", 1, shards=together(files[:1]))
    without = ShardedScores(together(files).products, files[0].scores)
    with pytest.raises(InputError, match="parts: no file of epoch 4; expected"):
        run_scores(config, tmp_path / "out", "cpu", 1, shards=without)
    with pytest.raises(InputError, match="parts: shard 3 of 3 is missing beside"):
        fewer = ShardedScores(together(files).products, (*files[0].scores[1:], *files[1].scores))
        run_scores(config, tmp_path / "out", "cpu", 1, shards=fewer)
    assert not (tmp_path / "out").exists()


def test_an_epoch_that_was_not_kept_is_refused(word_task, adapter, tmp_path):
    with pytest.raises(InputError, match="epoch: expected one of 1, 4, got 2"):
        Checkpoints.opened(word_task, adapter, tmp_path, (), "cpu").model(2)
