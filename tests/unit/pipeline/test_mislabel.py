import filecmp
import shutil

import numpy as np
import pandas as pd
import pytest

import hyperinf.pipeline.finetune as finetune_module
from hyperinf.artifacts.records import read_record, write_record
from hyperinf.errors import InputError
from hyperinf.influence import METHODS
from hyperinf.models.lora import LoraSettings
from hyperinf.pipeline.finetune import FinetuneConfig, run_finetune
from hyperinf.pipeline.mislabel import ScoreConfig, run_scores
from hyperinf.pipeline.scoring import BASELINES, ScoringOptions
from hyperinf.training.loop import TrainingSettings


def finetune_config(tiny_bert, data, **change):
    training = TrainingSettings(epochs=4, batch_size=4, learning_rate=5e-3, seed=1, save_seconds=0.0)
    settings = {"data": data, "model": f"path:{tiny_bert}", "lora": LoraSettings(rank=3), "training": training}
    return FinetuneConfig(**{**settings, "keep": (1, 4), "max_length": 32, **change})


def score_config(data, adapter, **change):
    settings = {"data": data, "adapter": adapter, "task": "words", "model": "tiny", "seed": 1}
    scoring = ScoringOptions(**{"methods": tuple(METHODS), **change})
    return ScoreConfig(**settings, scoring=scoring)


def same_files(left, right, but=()):
    names = sorted(str(path.relative_to(left)) for path in left.rglob("*") if path.is_file() and path.name not in but)
    others = sorted(
        str(path.relative_to(right)) for path in right.rglob("*") if path.is_file() and path.name not in but
    )
    assert names == others
    assert filecmp.cmpfiles(left, right, names, shallow=False)[1:] == ([], [])


@pytest.fixture(scope="module")
def adapter(tiny_bert, word_task, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    run_finetune(finetune_config(tiny_bert, word_task), folder / "state", folder / "adapter", "cpu", 1)
    return folder / "adapter"


@pytest.fixture(scope="module")
def scores(word_task, adapter, tmp_path_factory):
    out = tmp_path_factory.mktemp("scores")
    run_scores(score_config(word_task, adapter), out, "cpu", 1)
    return out


def test_fine_tuning_learns_the_task_and_keeps_the_epochs_asked_for(adapter):
    log = pd.read_csv(adapter / "training.csv")
    assert log["epoch"].tolist() == [1, 2, 3, 4]
    assert log["test_accuracy"].isna().tolist() == [False, True, True, False]
    assert log["test_accuracy"].iloc[-1] > 0.8
    assert sorted(path.name for path in adapter.iterdir()) == ["epoch-1", "epoch-4", "info.json", "training.csv"]
    assert not (adapter.parent / "state").exists()


def kill_after_epoch(number, config, folder, monkeypatch):
    """Start a fine-tuning that stops once this epoch's adapter is kept, leaving its state in ``folder``."""
    real = finetune_module.finetune

    def killed(*arguments):
        *rest, on_epoch = arguments

        def dies(epoch):
            on_epoch(epoch)
            if epoch == number:
                raise KeyboardInterrupt

        return real(*rest, dies)

    with monkeypatch.context() as patch:
        patch.setattr(finetune_module, "finetune", killed)
        with pytest.raises(KeyboardInterrupt):
            run_finetune(config, folder / "state", folder / "adapter", "cpu", 1)
    assert not (folder / "adapter").exists()


@pytest.mark.parametrize("kill_at_epoch", [1, 3, 4])
def test_a_fine_tuning_killed_and_started_again_ends_in_the_same_files(
    tiny_bert, word_task, adapter, tmp_path, monkeypatch, kill_at_epoch
):
    config = finetune_config(tiny_bert, word_task)
    kill_after_epoch(kill_at_epoch, config, tmp_path, monkeypatch)
    run_finetune(config, tmp_path / "state", tmp_path / "adapter", "cpu", 1)
    same_files(tmp_path / "adapter", adapter)
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("name", ["identity", "kept/epoch-1/adapter_model.safetensors", "kept/epoch-1/accuracy.json"])
def test_a_bit_flipped_in_what_a_killed_run_left_means_beginning_again(
    tiny_bert, word_task, adapter, tmp_path, monkeypatch, name
):
    config = finetune_config(tiny_bert, word_task)
    kill_after_epoch(1, config, tmp_path, monkeypatch)
    path = tmp_path / "state" / name
    content = bytearray(path.read_bytes())
    content[-9] ^= 128
    path.write_bytes(content)
    run_finetune(config, tmp_path / "state", tmp_path / "adapter", "cpu", 1)
    same_files(tmp_path / "adapter", adapter)


def test_what_a_killed_run_of_other_settings_left_is_not_used(tiny_bert, word_task, adapter, tmp_path):
    (tmp_path / "state" / "kept" / "epoch-1").mkdir(parents=True)
    (tmp_path / "state" / "kept" / "epoch-1" / "adapter_model.safetensors").write_bytes(b"of another run")
    (tmp_path / "state" / "identity").write_text("another")
    run_finetune(finetune_config(tiny_bert, word_task), tmp_path / "state", tmp_path / "adapter", "cpu", 1)
    same_files(tmp_path / "adapter", adapter)


def test_every_method_scores_every_sample_and_finds_flipped_labels(scores, word_task):
    frame = pd.read_parquet(scores / "epoch-4.parquet")
    data = pd.read_parquet(word_task / "train.parquet")
    assert frame["sample_id"].tolist() == data["sample_id"].tolist()
    assert frame["flipped"].tolist() == data["flipped"].tolist()
    expected = [f"influence_{name}" for name in METHODS] + [f"baseline_{name}" for name in BASELINES]
    assert frame.columns.tolist() == ["sample_id", "label", "true_label", "flipped", *expected]
    assert np.isfinite(frame[expected].to_numpy()).all()
    metrics = pd.read_csv(scores / "metrics.csv")
    auc = metrics[(metrics["epoch"] == 4) & (metrics["metric"] == "roc_auc")].set_index("method")["value"]
    assert auc["hyperinf"] > 0.8
    assert auc["loss"] > 0.8
    # Schulz and Cholesky solve the same systems.
    assert np.allclose(frame["influence_hyperinf"], frame["influence_gfim"], rtol=1e-3, atol=1e-4)


def test_the_tables_are_tidy_and_complete(scores):
    metrics = pd.read_csv(scores / "metrics.csv")
    columns = ["task", "model", "method", "rank", "epoch", "fraction", "seed", "metric", "value"]
    assert metrics.columns.tolist() == columns
    methods = [*METHODS, *BASELINES]
    assert len(metrics) == 2 * (1 + 4 * len(methods))
    curves = pd.read_csv(scores / "curves.csv")
    assert len(curves) == 2 * 101 * len(methods)
    ends = curves[curves["inspected_percent"].isin([0, 100])].groupby("inspected_percent")["detected_percent"]
    assert ends.min().tolist() == ends.max().tolist() == [0, 100]
    cost = pd.read_csv(scores / "cost.csv")
    assert set(cost["method"]) == {"shared", *METHODS}
    assert (cost["seconds"] >= 0).all()
    assert not list(scores.glob(".gradients-*"))


@pytest.mark.parametrize(("gradients", "batch_size"), [("live", 7), ("memory", 60), ("disk", 1)])
def test_where_gradients_are_kept_and_the_batch_size_do_not_change_a_score(
    word_task, adapter, scores, tmp_path, gradients, batch_size
):
    config = score_config(word_task, adapter)
    run_scores(config, tmp_path, "cpu", 1, gradients=gradients, batch_size=batch_size)
    expected, actual = (pd.read_parquet(folder / "epoch-4.parquet") for folder in (scores, tmp_path))
    for column in expected.columns[4:]:
        scale = expected[column].abs().max()
        assert np.allclose(actual[column], expected[column], rtol=1e-4, atol=1e-5 * scale), column


def test_scoring_twice_gives_the_same_bytes(word_task, adapter, scores, tmp_path):
    run_scores(score_config(word_task, adapter), tmp_path, "cpu", 1)
    same_files(tmp_path, scores, but=("cost.csv",))


def test_data_that_the_adapter_was_not_trained_on_is_refused(word_task, adapter, tmp_path):
    shutil.copytree(word_task, tmp_path / "data")
    record = read_record(tmp_path / "data" / "info.json")
    write_record(tmp_path / "data" / "info.json", {**record, "content_sha256": "0" * 64})
    with pytest.raises(InputError, match="was trained on other data than"):
        run_scores(score_config(tmp_path / "data", adapter), tmp_path / "out", "cpu", 1)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"methods": ("hyperinf", "nothing")}, "methods: expected some of .*hyperinf.*'nothing'"),
        ({"methods": ()}, "methods: got none"),
        ({"baselines": ("luck",)}, "baselines: expected some of loss, grad_norm, random, got 'luck'"),
    ],
)
def test_a_wrong_scoring_request_is_refused_by_name(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        score_config(tmp_path, tmp_path, **change)


def test_epochs_that_cannot_be_kept_are_refused(tmp_path):
    for keep in ((), (0, 4), (1, 1, 4), (1, 2)):
        with pytest.raises(InputError, match="epochs: "):
            finetune_config(tmp_path, tmp_path, keep=keep)
