"""Retrainings as a bank, and scores that are judged by it."""

import shutil
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from stage_runs import retrained, table, validated

import hyperinf.pipeline.retrain as module
from hyperinf.artifacts.records import read_record
from hyperinf.data.samples import read_samples
from hyperinf.errors import InputError
from hyperinf.pipeline.bank import Bank
from hyperinf.pipeline.opened import Finetuned
from hyperinf.pipeline.retrain import LOSSES, SUBSETS
from hyperinf.pipeline.tables import METRIC_COLUMNS
from hyperinf.pipeline.validate import LDS_COLUMNS, RETRAINING
from hyperinf.settings.runtime import CacheSettings

METHODS = ("hyperinf", "tracin")
REMOVAL = {"fractions": (0.2,), "methods": ("hyperinf",)}


@pytest.fixture(scope="module")
def bank_of(run_of, tmp_path_factory):
    """Give the retrainings of a family's run."""
    made = {}

    def bank(family):
        if family not in made:
            run = run_of(family)
            made[family] = retrained(tmp_path_factory.mktemp("bank") / family, run.data, run.finetuned)
        return made[family]

    return bank


def judge(run, bank, out, **change):
    given = {"methods": METHODS, "removal": None, "randomised": False, **change}
    return validated(out, run.data, run.finetuned, bank, **given)


def test_a_bank_holds_every_subset_and_the_loss_of_every_target_sample(run, bank_of):
    bank = bank_of(run.family)
    subsets, losses = (pd.read_parquet(bank / name).set_index("sample_id") for name in (SUBSETS, LOSSES))
    assert subsets.index.tolist() == [each.sample_id for each in read_samples(run.data, "train")]
    assert losses.index.tolist() == [each.sample_id for each in read_samples(run.data, "validation")]
    assert subsets.shape[1] == 6
    assert set(subsets.sum()) == {round(len(subsets) / 2)}
    assert list(losses) == [*(f"first_{n}" for n in range(6)), *(f"again_{n}" for n in range(3))]
    assert np.isfinite(losses.to_numpy()).all()
    assert (losses["first_0"] != losses["first_1"]).any()
    assert (losses["first_0"] != losses["again_0"]).any()
    assert not bank.with_name(f"{bank.name}.state").exists()


def test_adapters_side_by_side_come_to_what_they_come_to_one_by_one(run, bank_of, tmp_path):
    alone = retrained(tmp_path / "alone", run.data, run.finetuned, at_once=1)
    found, expected = (pd.read_parquet(each / LOSSES).set_index("sample_id") for each in (bank_of(run.family), alone))
    pd.testing.assert_frame_equal(found, expected, check_exact=False, rtol=1e-3, atol=1e-4)


@contextmanager
def killed_in_the_third(monkeypatch):
    """What is computed here dies when it trains for the third time."""
    original, calls = module.train_side_by_side, []

    def dying(*arguments):
        calls.append(0)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(*arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "train_side_by_side", dying)
        yield


def test_a_killed_retraining_ends_in_the_same_bytes(run, bank_of, tmp_path, monkeypatch):
    original, calls = module.train_side_by_side, []
    with killed_in_the_third(monkeypatch):
        retrained(tmp_path / "bank", run.data, run.finetuned)
    assert not (tmp_path / "bank").exists()

    def counting(*arguments):
        calls.append(0)
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(module, "train_side_by_side", counting)
        retrained(tmp_path / "bank", run.data, run.finetuned)
    assert len(calls) == 3  # of five groups, two were done
    for name in (SUBSETS, LOSSES, "info.json"):
        assert (tmp_path / "bank" / name).read_bytes() == (bank_of(run.family) / name).read_bytes()


def test_what_a_killed_retraining_left_with_other_settings_or_damaged_is_not_gone_on_from(
    run_of, bank_of, tmp_path, monkeypatch
):
    run = run_of("classifier")
    monkeypatch.setattr(module, "discard", lambda state: None)
    retrained(tmp_path / "bank", run.data, run.finetuned, seed=2)
    other = (tmp_path / "bank" / LOSSES).read_bytes()
    retrained(tmp_path / "bank", run.data, run.finetuned)
    assert (tmp_path / "bank" / LOSSES).read_bytes() != other
    for file in (tmp_path / "bank.state").glob("*.npz"):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    retrained(tmp_path / "bank", run.data, run.finetuned)
    assert (tmp_path / "bank" / LOSSES).read_bytes() == (bank_of("classifier") / LOSSES).read_bytes()


def test_every_method_is_judged_per_target_sample_and_on_their_mean(run, bank_of, tmp_path):
    judge(run, bank_of(run.family), tmp_path / "judged")
    found = table(tmp_path / "judged", "lds.csv")
    assert found.columns.tolist() == list(LDS_COLUMNS)
    assert set(found["method"]) == {*METHODS, "loss", "grad_norm", "random", RETRAINING}
    assert set(found["target"]) == {"query", "mean"}
    assert len(found) == 2 * found["method"].nunique()
    timed = found["method"].isin(METHODS)
    assert (found.loc[timed, "seconds"] > 0).all()
    assert found.loc[~timed, "seconds"].isna().all()
    known = found["lds"].notna() & found["low"].notna()
    assert (found.loc[known, "low"] <= found.loc[known, "high"]).all()
    metrics = table(tmp_path / "judged")
    assert metrics.columns.tolist() == list(METRIC_COLUMNS)
    row = metrics.query("metric == 'lds' and method == 'tracin'")["value"].item()
    assert row == found.query("target == 'query' and method == 'tracin'")["lds"].item()
    assert not (tmp_path / "judged.state").exists()


def test_the_mean_target_is_judged_by_the_scores_that_the_scoring_stage_takes(run, bank_of, tmp_path):
    judge(run, bank_of(run.family), tmp_path / "judged", methods=("hyperinf",))
    scores = pd.read_parquet(run.scores / "scores.parquet").set_index("sample_id")["influence_hyperinf"]
    subsets, losses = (pd.read_parquet(bank_of(run.family) / name).set_index("sample_id") for name in (SUBSETS, LOSSES))
    sums = [scores[subsets.index[subsets[name]]].sum() for name in subsets]
    expected = spearmanr(sums, losses[[f"first_{n}" for n in range(6)]].mean()).statistic
    found = table(tmp_path / "judged", "lds.csv").query("target == 'mean' and method == 'hyperinf'")["lds"].item()
    assert found == pytest.approx(expected)


def test_forms_are_judged_like_methods(run_of, bank_of, tmp_path):
    names = ("tracin", "tracin_unit", "hyperinf_theta_relative", "hyperinf_self_influence")
    judge(run_of("classifier"), bank_of("classifier"), tmp_path / "judged", methods=names)
    found = table(tmp_path / "judged", "lds.csv").query("target == 'query'").set_index("method")
    assert {*names} <= set(found.index)
    assert "hyperinf" not in found.index
    assert (found.loc[list(names), "seconds"] > 0).all()
    assert found.loc["tracin", "lds"] != found.loc["tracin_unit", "lds"]


def test_scores_over_checkpoints_are_judged_as_the_scoring_stage_takes_them(run_of, bank_of, tmp_path):
    run, bank = run_of("classifier"), bank_of("classifier")
    names = ("tracin", "tracin_cp", "hyperinf_unit", "hyperinf_unit_epochs")
    first = run.score(tmp_path / "epoch-1", checkpoint="epoch-1", methods=names)
    last = run.score(tmp_path / "epoch-4", methods=names, earlier=(str(first),))
    scores = pd.read_parquet(last / "scores.parquet").set_index("sample_id")
    judge(run, bank, tmp_path / "judged", methods=names, randomised=True)
    found = table(tmp_path / "judged", "lds.csv").set_index(["target", "method"])
    subsets, losses = (pd.read_parquet(bank / name).set_index("sample_id") for name in (SUBSETS, LOSSES))
    mean = losses[[f"first_{n}" for n in range(6)]].mean()
    sums = [scores.loc[subsets.index[subsets[name]], "influence_tracin_cp"].sum() for name in subsets]
    assert found.loc[("mean", "tracin_cp"), "lds"] == pytest.approx(spearmanr(sums, mean).statistic)
    for pooled, own in (("tracin_cp", "tracin"), ("hyperinf_unit_epochs", "hyperinf_unit")):
        assert found.loc[("query", pooled), "lds"] != found.loc[("query", own), "lds"]
        assert found.loc[("query", pooled), "seconds"] > found.loc[("query", own), "seconds"]
    checks = table(tmp_path / "judged").query("metric == 'top_overlap'")
    assert set(checks["method"]) == set(names)


def test_removals_and_checks_stand_in_the_metrics(run, bank_of, tmp_path):
    metrics = table(judge(run, bank_of(run.family), tmp_path / "judged", removal=REMOVAL, randomised=True))
    for metric in ("loss_without", "loss_patched"):
        rows = metrics[metrics["metric"] == metric]
        assert set(zip(rows["method"], rows["strategy"], strict=True)) == {
            ("hyperinf", "helpful"), ("hyperinf", "harmful"), ("random", "random")
        }  # fmt: skip
        assert set(rows["fraction"]) == {0.2}
        assert (rows["value"] != 0).any()
    checks = metrics[metrics["metric"].isin(["top_overlap", "randomised_agreement", "lds_randomised"])]
    assert set(checks["method"]) == set(METHODS)
    assert checks.query("metric == 'top_overlap'")["value"].between(0, 1).all()
    assert (checks.query("metric == 'randomised_agreement'")["value"] < 0.99).all()


def test_a_killed_validation_ends_in_the_same_numbers(run_of, bank_of, tmp_path, monkeypatch):
    run, bank = run_of("classifier"), bank_of("classifier")
    judge(run, bank, tmp_path / "whole", removal=REMOVAL)
    with killed_in_the_third(monkeypatch):
        judge(run, bank, tmp_path / "again", removal=REMOVAL)
    judge(run, bank, tmp_path / "again", removal=REMOVAL)
    assert (tmp_path / "again" / "metrics.csv").read_bytes() == (tmp_path / "whole" / "metrics.csv").read_bytes()
    first, second = (table(tmp_path / name, "lds.csv").drop(columns="seconds") for name in ("whole", "again"))
    pd.testing.assert_frame_equal(first, second)


def test_another_tools_scores_are_judged_by_the_same_bank(run_of, bank_of, tmp_path):
    run, bank = run_of("classifier"), bank_of("classifier")
    where = CacheSettings()
    opened = Finetuned.opened(run.finetuned, run.data, where, "cpu")
    read = Bank.read(bank, opened)
    ids = [each.sample_id for each in read_samples(run.data, "train")]
    targets = [each.sample_id for each in read_samples(run.data, "validation")]
    # scores of a least-squares fit of the losses on what the subsets hold: more samples than subsets, so it is exact
    effects = np.linalg.lstsq(read.subsets - 0.5, read.losses - read.losses.mean(axis=0), rcond=None)[0]
    each = pd.DataFrame(effects, columns=targets).assign(sample_id=ids).sample(frac=1, random_state=0)
    each.to_parquet(tmp_path / "fitted.parquet")
    pd.DataFrame({"sample_id": ids, "influence_x": effects.mean(axis=1), "note": "a"}).to_parquet(
        tmp_path / "one.parquet"
    )
    given = tuple(str(tmp_path / name) for name in ("fitted.parquet", "one.parquet"))
    found = table(judge(run, bank, tmp_path / "judged", scores=given), "lds.csv").set_index(["method", "target"])["lds"]
    assert found["fitted:each", "query"] > 0.7
    assert found["one:x", "mean"] == pytest.approx(found["fitted:each", "mean"])


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda frame: frame.iloc[1:], "1 of"),
        (lambda frame: pd.concat([frame, frame.iloc[:1]]), "more than once"),
        (lambda frame: frame.assign(a=float("nan")), "column 'a'"),
        (lambda frame: frame.drop(columns="a"), "no column"),
        (lambda frame: frame.assign(influence_b="x"), "column 'influence_b'"),
        (lambda frame: frame.drop(columns="sample_id"), "sample_id"),
    ],
)
def test_a_table_of_scores_that_cannot_be_judged_is_refused(run_of, bank_of, tmp_path, spoil, named):
    run, path = run_of("classifier"), tmp_path / "theirs.parquet"
    ids = [each.sample_id for each in read_samples(run.data, "train")]
    spoil(pd.DataFrame({"sample_id": ids, "a": np.arange(len(ids), dtype=float)})).to_parquet(path)
    with pytest.raises(InputError) as refused:
        judge(run, bank_of("classifier"), tmp_path / "judged", scores=(str(path),))
    assert str(path) in str(refused.value)
    assert named in str(refused.value)
    assert not (tmp_path / "judged").exists()


def test_a_bank_of_another_run_or_that_was_changed_is_refused(run_of, bank_of, tmp_path):
    run = run_of("classifier")
    with pytest.raises(InputError, match="retrain"):
        judge(run, run.finetuned, tmp_path / "judged")
    other = run.finetune(tmp_path / "other", learning_rate=1e-3)
    with pytest.raises(InputError, match="retrain"):
        validated(tmp_path / "judged", run.data, other, bank_of("classifier"), methods=("tracin",))
    shutil.copytree(bank_of("classifier"), tmp_path / "bank")
    losses = pd.read_parquet(tmp_path / "bank" / LOSSES)
    losses.iloc[0, 1] += 1
    losses.to_parquet(tmp_path / "bank" / LOSSES)
    with pytest.raises(InputError, match="SHA-256"):
        judge(run, tmp_path / "bank", tmp_path / "judged")


def test_no_ceiling_is_told_where_nothing_is_trained_on_again(run_of, tmp_path):
    run = run_of("classifier")
    bank = retrained(tmp_path / "bank", run.data, run.finetuned, again=0)
    found = table(judge(run, bank, tmp_path / "judged", methods=("tracin",)), "lds.csv")
    assert RETRAINING not in set(found["method"])
    assert found["ceiling"].isna().all()
    assert read_record(tmp_path / "judged" / "info.json")["retrained"]["again"] == 0


def test_a_baseline_with_a_function_of_its_own_is_judged_by_its_own_scores():
    from types import SimpleNamespace

    from hyperinf.pipeline.validate import _baselines

    scored = SimpleNamespace(losses=np.array([1.0, 2.0]), grad_norm=np.array([3.0, 4.0]))
    settings = SimpleNamespace(baselines=("loss", "length"), seed=1)
    found = _baselines(settings, scored, {"baseline_length": np.array([-5.0, -6.0])}, 3)
    assert found["loss"].tolist() == [[1.0] * 3, [2.0] * 3]
    assert found["length"].tolist() == [[-5.0] * 3, [-6.0] * 3]
