import math

import pandas as pd
import pytest
from scipy import stats

from hyperinf.reporting.costs import cost_frame
from hyperinf.reporting.frames import Cell, Place, settings_alike
from hyperinf.reporting.ranking import leader

OURS, THEIRS, RANDOM = [0.65, 0.60, 0.72], [0.61, 0.57, 0.65], [0.50, 0.46, 0.56]
CELL = Cell("headlines", "smol", "lora-8")
STRATIFIED = Place(CELL, "accuracy", strategy="stratified", fraction=0.2)


def half_width(values):
    return stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)


def minus(first, second):
    return [a - b for a, b in zip(first, second, strict=True)]


def test_means_and_differences_of_detection_are_paired_over_seeds(study):
    frame = study(found={"hyperinf": OURS, "datainf": THEIRS}).frame
    places = [Place(CELL, metric, "last") for metric in ("roc_auc", "curve_auc")]
    places += [Place(CELL, "detected", "last", fraction=at) for at in (0.2, 0.4)]
    for place in places:
        rival = frame.row(place, "datainf")
        assert (rival.value.mean, rival.value.half_width) == pytest.approx((0.61, half_width(THEIRS)))
        assert rival.difference.mean == pytest.approx(sum(minus(OURS, THEIRS)) / 3)
        assert rival.difference.half_width == pytest.approx(half_width(minus(OURS, THEIRS)))
        assert math.isnan(frame.row(place, "hyperinf").difference.mean)


def test_selections_are_compared_with_training_on_all_samples_as_well(study):
    frame = study({"hyperinf": OURS, "datainf": THEIRS}).frame
    rival = frame.row(STRATIFIED, "datainf")
    assert rival.difference.mean == pytest.approx(sum(minus(OURS, THEIRS)) / 3)
    assert (rival.over_full.mean, rival.over_full.half_width) == pytest.approx((0.61 - 0.55, half_width(THEIRS)))
    full = frame.reference(CELL, "full")
    assert full.value.mean == pytest.approx(0.55)
    assert math.isnan(full.over_full.mean)
    assert frame.selections(CELL) == [("plain", 0.2), ("plain", 0.4), ("stratified", 0.2), ("stratified", 0.4)]


@pytest.mark.parametrize(
    ("ours", "theirs", "leads", "best"),
    [
        (OURS, RANDOM, "hyperinf", True),
        ([0.8, 0.5, 0.7], [0.6, 0.7, 0.5], "hyperinf", False),
        ([0.6], [0.7], "datainf", False),
    ],
)
def test_the_best_leads_and_is_clear_of_the_second(study, ours, theirs, leads, best):
    rows = study({"hyperinf": ours, "datainf": theirs}).frame.at(STRATIFIED)
    assert [name for name, row in rows.items() if row.leads] == [leads]
    assert any(row.best for row in rows.values()) == best


def test_the_exact_counterpart_of_hyperinf_does_not_contend_with_it(study):
    rows = study({"hyperinf": OURS, "gfim": [value + 0.01 for value in OURS], "random": RANDOM}).frame.at(STRATIFIED)
    assert rows["hyperinf"].best
    assert not rows["gfim"].leads
    found = leader({"gfim": {1: 0.9}, "loss": {1: 0.5}})
    assert found is not None
    assert found[0] == "gfim"  # beside its own method only
    assert leader({"hyperinf": {1: 0.9}, "gfim": {1: 0.9}}) is None


def test_settings_that_train_the_same_are_compared_in_pairs_over_seeds(run_folder, study, tmp_path):
    settings = ["lora-8", "lora-8.of-projector", "last_layer"]
    names = [{"setting": setting} for setting in settings]
    frame = study({"hyperinf": OURS}, names=names, shape={"settings": settings}).frame
    part = frame.row(STRATIFIED._replace(cell=CELL._replace(setting=settings[1])), "hyperinf")
    assert (part.against, part.over_setting.mean, part.over_setting.n) == ("lora-8", 0.0, 3)
    for setting in ("lora-8", "last_layer"):
        assert frame.row(STRATIFIED._replace(cell=CELL._replace(setting=setting)), "hyperinf").against == ""


def test_families_hold_what_trains_the_same_with_the_whole_first():
    cells = [Cell("t", "m", setting) for setting in ("lora-8.of-projector", "last_layer", "lora-8")]
    assert settings_alike(cells) == {
        ("t", "m", "lora-8"): ["lora-8", "lora-8.of-projector"],
        ("t", "m", "last_layer"): ["last_layer"],
    }


def test_the_table_is_tidy_and_reads_back_with_booleans_and_fractions(study, tmp_path):
    table = study({"hyperinf": OURS, "random": RANDOM}, {"hyperinf": OURS, "loss": RANDOM}).frame.table
    table.to_csv(tmp_path / "table.csv", index=False)
    read = pd.read_csv(tmp_path / "table.csv")
    key = ["study", "task", "model", "family", "setting", "method", "strategy", "fraction", "checkpoint", "metric"]
    assert list(read.columns[:13]) == [*key, "mean", "half_width", "n"]
    assert not read.duplicated(key).any()
    assert (read["leads"].dtype, read["best"].dtype) == (bool, bool)
    assert read["fraction"].dropna().between(0, 1).all()
    assert set(read["family"]) == {"causal"}


def test_costs_are_medians_with_extremes_and_shared_stages_come_first(study):
    read = study(found={"hyperinf": OURS}, checkpoints=("epoch-1", "epoch-3"))
    frame = cost_frame(read.cost)
    assert list(frame["stage"][:2]) == ["gradients", "of which GFIM"]
    gradients = frame.iloc[0]
    assert (gradients["seconds"], gradients["seconds_low"], gradients["seconds_high"]) == (52.0, 51.0, 53.0)
    assert gradients["runs"] == 6
