"""Forms of scores, and scores over checkpoints, as the stages take them."""

import numpy as np
import pandas as pd
import pytest
from stage_runs import table

from hyperinf.errors import InputError
from hyperinf.settings.checking import SettingsError, checked
from hyperinf.settings.scoring import ScoringSettings
from hyperinf.training.schedule import schedule

POOLED = ("hyperinf", "hyperinf_unit", "tracin", "tracin_cp", "hyperinf_epochs", "hyperinf_unit_epochs")
COLUMNS = [f"influence_{name}" for name in POOLED]


@pytest.fixture(scope="module")
def both(run_of, tmp_path_factory):
    """Scores at both checkpoints; the second knows the first."""
    run, out = run_of("classifier"), tmp_path_factory.mktemp("pooled")
    first = run.score(out / "epoch-1", checkpoint="epoch-1", methods=POOLED)
    return first, run.score(out / "epoch-4", methods=POOLED, earlier=(str(first),))


def frames(both):
    return [pd.read_parquet(folder / "scores.parquet") for folder in both]


def test_scores_over_checkpoints_are_weighted_sums_and_means_of_each_checkpoint_s(both, run_of):
    one, two = frames(both)
    assert two.columns.tolist()[4 : 4 + len(POOLED)] == COLUMNS
    training = table(run_of("classifier").finetuned, "training.csv").set_index("epoch")["step"]
    total = int(training.loc[4])
    rates = [5e-3 * schedule(int(training.loc[epoch]) - 1, total, 0.06) for epoch in (1, 4)]
    assert rates[0] > rates[1] > 0
    summed = rates[0] * one["influence_tracin"] + rates[1] * two["influence_tracin"]
    np.testing.assert_allclose(two["influence_tracin_cp"], summed, rtol=1e-12)
    for name in ("hyperinf", "hyperinf_unit"):
        mean = (one[f"influence_{name}"] + two[f"influence_{name}"]) / 2
        np.testing.assert_allclose(two[f"influence_{name}_epochs"], mean, rtol=1e-12)


def test_at_the_first_checkpoint_they_are_that_checkpoint_s_own(both):
    one, _ = frames(both)
    np.testing.assert_array_equal(one["influence_hyperinf_epochs"], one["influence_hyperinf"])
    ratio = one["influence_tracin_cp"] / one["influence_tracin"]
    np.testing.assert_allclose(ratio, ratio[0])


def test_a_cosine_is_a_score_by_the_norm_of_the_gradient(both):
    _, frame = frames(both)
    ratio = frame["influence_hyperinf_unit"] * frame["baseline_grad_norm"] / frame["influence_hyperinf"]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-6)
    assert frame["influence_hyperinf_unit"].abs().max() <= 1


@pytest.mark.parametrize("given", ["none", "itself", "twice the last"])
def test_scores_over_checkpoints_need_those_of_all_checkpoints_before(both, run_of, tmp_path, given):
    earlier = {"none": (), "itself": both[1:], "twice the last": both}[given]
    with pytest.raises(InputError, match=r"^earlier: got scores at .*, expected them at epoch-1"):
        run_of("classifier").score(tmp_path / "out", methods=POOLED, earlier=tuple(map(str, earlier)))


def test_scores_over_checkpoints_are_not_made_of_another_run_s(run_of, both, tmp_path):
    other = run_of("classifier").score(tmp_path / "other", checkpoint="epoch-1", methods=POOLED, seed=2)
    with pytest.raises(InputError, match=r"other: got scores of another run"):
        run_of("classifier").score(tmp_path / "out", methods=POOLED, earlier=(str(other),))


def test_scores_over_checkpoints_need_their_own_column_in_the_earlier_file(run_of, both, tmp_path):
    first = run_of("classifier").score(tmp_path / "first", checkpoint="epoch-1", methods=("tracin",))
    with pytest.raises(InputError, match=r"scores\.parquet: got no column influence_hyperinf"):
        run_of("classifier").score(tmp_path / "out", methods=POOLED, earlier=(str(first),))


@pytest.mark.parametrize(
    ("methods", "place"),
    [(["tracin_cp"], 0), (["hyperinf", "hyperinf_unit_epochs"], 1), (["tracin", "hyperinf_epochs"], 1)],
)
def test_a_score_over_checkpoints_without_that_at_each_is_refused_in_the_settings(methods, place):
    with pytest.raises(SettingsError) as caught:
        checked(ScoringSettings, {"methods": methods})
    assert [mistake.place for mistake in caught.value.mistakes] == [("methods", place)]


@pytest.mark.parametrize("name", ["tracin_unit_cp_cp", "tracin_cp_unit", "unit", "loss_unit", "hyperinf_Unit", ""])
def test_a_score_that_there_is_not_is_refused_by_name(name):
    with pytest.raises(SettingsError) as caught:
        checked(ScoringSettings, {"methods": [name]})
    assert "theta_relative" in str(caught.value)
