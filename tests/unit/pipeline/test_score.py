import json
import shutil

import numpy as np
import pandas as pd
import pytest
from stage_runs import same_files, scored, table

from hyperinf.artifacts.records import read_record, write_record
from hyperinf.errors import InputError
from hyperinf.evaluation.detection import roc_auc
from hyperinf.settings.methods import METHODS as ALL
from hyperinf.settings.scoring import ScoringSettings

RUN = ["study", "task", "model", "family", "setting", "checkpoint", "seed"]


@pytest.fixture(scope="module")
def every_method(run_of, tmp_path_factory):
    names = {"study": "mislabel", "task": "words", "model_name": "tiny"}
    return run_of("classifier").score(tmp_path_factory.mktemp("all") / "scores", methods=tuple(ALL), **names)


def test_every_method_scores_every_sample_and_finds_wrong_labels(every_method, word_task):
    frame, data = (pd.read_parquet(path) for path in (every_method / "scores.parquet", word_task / "train.parquet"))
    for name in ("sample_id", "answer", "true_answer", "corruption"):
        assert frame[name].tolist() == data[name].tolist()
    scores = [*(f"influence_{name}" for name in ALL), *(f"baseline_{name}" for name in ScoringSettings().baselines)]
    assert frame.columns.tolist() == ["sample_id", "answer", "true_answer", "corruption", *scores]
    assert np.isfinite(frame[scores].to_numpy()).all()
    harmed = (frame["corruption"] == "label_noise").to_numpy()
    assert harmed.sum() == 12
    for name in ("influence_hyperinf", "baseline_loss"):
        assert roc_auc(frame[name].to_numpy(), harmed) > 0.8
    # Schulz and Cholesky solve the same systems.
    assert np.allclose(frame["influence_hyperinf"], frame["influence_gfim"], rtol=1e-3, atol=1e-4)


def test_costs_name_the_run_and_nothing_temporary_is_left(every_method):
    cost = table(every_method, "cost.csv")
    names = "study,task,model,family,setting,method,checkpoint,seed,stage,seconds,peak_memory_mib,forms"
    assert ",".join(cost.columns) == names
    run = cost[RUN].drop_duplicates().to_numpy().tolist()
    assert run == [["mislabel", "words", "tiny", "classifier", "lora-2", "epoch-4", 1]]
    assert set(cost["method"]) == {"shared", *ALL}
    assert (cost["seconds"] >= 0).all()
    assert {path.name for path in every_method.iterdir()} == {
        *("scores.parquet", "cost.csv", "info.json", "settings.yaml", "shards")
    }


def test_each_checkpoint_has_scores_of_its_own_and_the_last_is_taken_unless_another_is_named(run_of, tmp_path):
    run = run_of("classifier")
    first, last = (run.score(tmp_path / name, checkpoint=name) for name in run.checkpoints)
    same_files(last, run.scores, but=("cost.csv", "info.json", "settings.yaml"))
    assert not np.allclose(*(pd.read_parquet(each / "scores.parquet")["influence_tracin"] for each in (first, last)))
    assert set(table(first, "cost.csv")["checkpoint"]) == {"epoch-1"}
    with pytest.raises(InputError, match="^checkpoint: got 'epoch-2', expected one of epoch-1, epoch-4"):
        run.score(tmp_path / "out", checkpoint="epoch-2")


@pytest.mark.parametrize(("store", "batch"), [("live", 7), ("memory", 60), ("disk", 1)])
def test_where_gradients_are_kept_and_the_batch_do_not_change_a_score(run, tmp_path, store, batch):
    found = pd.read_parquet(run.score(tmp_path / "out", store=store, gradient_batch_size=batch) / "scores.parquet")
    expected = pd.read_parquet(run.scores / "scores.parquet")
    assert found["sample_id"].tolist() == expected["sample_id"].tolist()
    for column in expected.columns[4:]:
        scale = expected[column].abs().max()
        np.testing.assert_allclose(found[column] / scale, expected[column] / scale, atol=3e-5, err_msg=column)


def test_scoring_again_gives_the_same_bytes(run, tmp_path):
    same_files(run.score(tmp_path / "out"), run.scores, but=("cost.csv", "settings.yaml"))


def test_options_of_methods_that_are_not_taken_decide_nothing(run_of):
    info = read_record(run_of("causal").scores / "info.json")
    assert "lissa" not in info["settings"]
    assert info["settings"]["hyperinf"]["solver"] == "schulz"


def test_data_that_the_model_was_not_trained_on_is_refused(run, tmp_path):
    shutil.copytree(run.data, tmp_path / "data")
    record = read_record(tmp_path / "data" / "info.json")
    write_record(tmp_path / "data" / "info.json", {**record, "content_sha256": "0" * 64})
    with pytest.raises(InputError, match="trained on other data"):
        scored(tmp_path / "out", tmp_path / "data", run.finetuned)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("spoil", ["weights", "record", "none"])
def test_a_fine_tuning_that_is_damaged_or_none_is_refused_by_its_file(run_of, tmp_path, spoil):
    run, copy = run_of("causal"), tmp_path / "finetuned"
    shutil.copytree(run.finetuned, copy)
    if spoil == "weights":
        path = copy / "last" / "adapter_model.safetensors"
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    elif spoil == "record":
        write_record(copy / "info.json", {"settings": {"rank": 2}})
    else:
        (copy / "info.json").unlink()
    with pytest.raises(InputError, match=str(copy)) as caught:
        scored(tmp_path / "out", run.data, copy)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"methods": ("hyperinf", "nothing")}, "methods"),
        ({"methods": ()}, "methods"),
        ({"methods": ("tracin", "tracin")}, "tracin"),
        ({"baselines": ("luck",)}, "baselines"),
        ({"lissa": {"depth": 3}}, "lissa.depth"),
    ],
    ids=json.dumps,
)
def test_a_wrong_scoring_request_is_refused_by_name(change, name):
    with pytest.raises(ValueError, match=name):
        ScoringSettings(**change)
