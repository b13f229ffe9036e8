import shutil

import numpy as np
import pandas as pd
import pytest
from stage_runs import detected, finetuned, questions, scored, table

from hyperinf.artifacts.records import read_record
from hyperinf.errors import InputError
from hyperinf.evaluation.detection import curve_auc, detection_curve, roc_auc, roc_auc_within
from hyperinf.pipeline.tables import CURVE_COLUMNS, METRIC_COLUMNS

BASELINES = ("loss", "grad_norm", "random")
SCORES = ("hyperinf", "gfim", "tracin", *BASELINES)


@pytest.fixture(scope="module")
def detection(run_of, tmp_path_factory):
    """Detection at both checkpoints of a classifier."""
    run, folder = run_of("classifier"), tmp_path_factory.mktemp("detection")
    first = run.score(folder / "epoch-1", checkpoint="epoch-1")
    return detected(folder / "detection", run.finetuned, first, run.scores)


def test_the_metrics_are_those_of_the_scores_at_every_checkpoint(run_of, detection):
    run, metrics = run_of("classifier"), table(detection)
    names = "study,task,model,family,setting,method,strategy,fraction,checkpoint,seed,metric,value"
    assert ",".join(metrics.columns) == ",".join(METRIC_COLUMNS) == names
    assert len(metrics) == 2 * (1 + 5 * len(SCORES))
    assert metrics["strategy"].isna().all()
    frame = pd.read_parquet(run.scores / "scores.parquet")
    harmed = (frame["corruption"] != "").to_numpy()
    last = metrics[metrics["checkpoint"] == "epoch-4"].set_index(["method", "metric"])
    for name in SCORES:
        values = frame[f"{'baseline' if name in BASELINES else 'influence'}_{name}"].to_numpy()
        assert last.loc[(name, "roc_auc"), "value"].item() == roc_auc(values, harmed)
        within = roc_auc_within(values, harmed, frame["answer"].tolist())
        assert last.loc[(name, "roc_auc_within"), "value"].item() == within
        assert last.loc[(name, "curve_auc"), "value"].item() == curve_auc(values, harmed)
        found = last.loc[(name, "detected")].set_index("fraction")["value"]
        assert found.to_dict() == dict(zip((0.2, 0.4), detection_curve(values, harmed, np.array([0.2, 0.4]))))
    assert last.loc[("hyperinf", "roc_auc"), "value"].item() > 0.8


def test_the_model_s_own_accuracy_stands_beside_them(run_of, detection):
    accuracies = read_record(run_of("classifier").finetuned / "info.json")["accuracies"]
    own = table(detection).query("method == 'model'").set_index("checkpoint")["value"]
    assert own.to_dict() == {name: found["test"]["accuracy"] for name, found in accuracies.items()}


def test_the_curves_go_from_nothing_to_all(detection):
    curves = table(detection, "curves.csv")
    assert curves.columns.tolist() == list(CURVE_COLUMNS)
    assert len(curves) == 2 * len(SCORES) * 101
    ends = curves[curves["inspected"].isin([0.0, 1.0])].groupby("inspected")["detected"]
    assert ends.min().tolist() == ends.max().tolist() == [0, 1]


def test_where_nothing_was_harmed_there_is_only_the_model_s_own_accuracy(tiny_llama, tmp_path):
    rows = [{"question": f"{i}?", "choices": ["a", "b"], "answer": "ab"[i % 2]} for i in range(20)]
    data = questions(tmp_path / "data", rows, train=8, validation=4, test=4)
    run = finetuned(tmp_path / "run", data, tiny_llama, "causal", max_steps=1)
    metrics = table(detected(tmp_path / "out", run, scored(tmp_path / "scores", data, run, methods=("tracin",))))
    assert metrics[["method", "metric"]].to_numpy().tolist() == [["model", "accuracy"], ["model", "accuracy_norm"]]
    assert table(tmp_path / "out", "curves.csv").empty


def test_scores_of_another_model_or_that_have_changed_are_refused(run_of, tmp_path):
    run, other = run_of("classifier"), run_of("causal")
    with pytest.raises(InputError, match="scores of another model"):
        detected(tmp_path / "out", other.finetuned, run.scores)
    shutil.copytree(run.scores, tmp_path / "scores")
    pd.read_parquet(run.scores / "scores.parquet").iloc[1:].to_parquet(tmp_path / "scores" / "scores.parquet")
    with pytest.raises(InputError, match="changed since it was written"):
        detected(tmp_path / "out", run.finetuned, tmp_path / "scores")
    with pytest.raises(InputError, match="expected what 'hyperinf score' wrote"):
        detected(tmp_path / "out", run.finetuned, run.finetuned)
    assert not (tmp_path / "out").exists()


def test_scores_are_held_against_those_of_the_exact_fim_where_they_were_taken(run_of, tmp_path):
    run = run_of("classifier")
    folder = run.score(tmp_path / "scores", methods=("hyperinf", "fim"))
    metrics = table(detected(tmp_path / "out", run.finetuned, folder)).query("metric == 'fim_correlation'")
    frame = pd.read_parquet(folder / "scores.parquet")
    assert set(metrics["method"]) == {"hyperinf", *BASELINES}
    own = metrics.set_index("method")["value"]
    assert own["hyperinf"] == pytest.approx(frame["influence_hyperinf"].corr(frame["influence_fim"], method="spearman"))
