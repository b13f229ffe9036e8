import math

import pytest
from scipy import stats

from hyperinf.reporting.costs import cost_frame
from hyperinf.reporting.inputs import COST, METRICS, read_many
from hyperinf.reporting.mislabel_frames import COST_GROUP, clear_best, detection_frame, named_metrics
from hyperinf.reporting.mislabel_tables import detection_tables
from hyperinf.reporting.table_writers import markdown

CELL = ("sarcasm", "minilm", 16, 3)


@pytest.fixture
def metrics(scores_folder):
    def make(by_method):
        seeds = range(11, 11 + len(next(iter(by_method.values()))))
        runs = [
            scores_folder(seed=seed, epochs=(3,), values={m: v[k] for m, v in by_method.items()})
            for k, seed in enumerate(seeds)
        ]
        return read_many([run / "metrics.csv" for run in runs], METRICS)

    return make


def row(frame, method):
    return frame[frame["method"] == method].iloc[0]


def test_difference_is_hyperinf_minus_the_method_paired_over_seeds(metrics):
    ours, theirs = [0.80, 0.70, 0.90], [0.75, 0.60, 0.78]
    frame = detection_frame(metrics({"hyperinf": ours, "datainf": theirs}))
    differences = [a - b for a, b in zip(ours, theirs, strict=True)]
    expected = stats.t.ppf(0.975, 2) * stats.sem(differences)
    for metric in ("roc_auc", "detected_20", "detected_40", "curve_auc"):
        assert row(frame, "datainf")[f"{metric}_difference"] == pytest.approx(0.09)
        assert row(frame, "datainf")[f"{metric}_difference_half_width"] == pytest.approx(expected)
    assert math.isnan(row(frame, "hyperinf")["roc_auc_difference"])


def test_the_best_is_marked_only_when_it_is_clear_of_the_second(metrics):
    clear = named_metrics(metrics({"hyperinf": [0.80, 0.82, 0.81], "datainf": [0.60, 0.61, 0.62]}))
    assert clear_best(clear, CELL, ["hyperinf", "datainf"], "roc_auc") == "hyperinf"


def test_the_best_is_not_marked_within_noise(metrics):
    close = named_metrics(metrics({"hyperinf": [0.80, 0.70, 0.90], "datainf": [0.70, 0.80, 0.80]}))
    assert clear_best(close, CELL, ["hyperinf", "datainf"], "roc_auc") is None


def test_one_seed_marks_no_best_and_shows_no_interval(metrics):
    frame = detection_frame(metrics({"hyperinf": [0.8], "datainf": [0.1]}))
    assert not frame[frame["method"] != "model"]["roc_auc_best"].any()
    assert frame["roc_auc_half_width"].isna().all()
    assert markdown(detection_tables(frame)[:1]).count("0.800 (n/a)") == 4


def test_the_exact_counterpart_of_hyperinf_does_not_contend_with_it(metrics):
    rows = {"hyperinf": [0.80, 0.82, 0.81], "gfim": [0.80, 0.82, 0.81], "loss": [0.60, 0.61, 0.62]}
    named = named_metrics(metrics(rows))
    assert clear_best(named, CELL, list(rows), "roc_auc") == "hyperinf"


def test_costs_are_medians_with_extremes_and_shared_stages_come_first(scores_folder):
    cost = read_many([scores_folder(seed=seed) / "cost.csv" for seed in (11, 12, 13)], COST)
    frame = cost_frame(cost, COST_GROUP)
    assert list(frame["stage"][:2]) == ["gradients", "of which GFIM"]
    gradients = frame.iloc[0]
    assert (gradients["seconds"], gradients["seconds_low"], gradients["seconds_high"]) == (8.12, 8.11, 8.13)
    assert gradients["runs"] == 6
