"""The rule of the ledger, and that a second reader can recompute every verdict from its CSV with numpy alone."""

import io
import math

import numpy as np
import pandas as pd
import pytest
import yaml
from recomputing import recomputed
from scipy import stats

from hyperinf.reporting.claims import Claim, claims_frame, primary_frame, read_values, values_text
from hyperinf.reporting.ledger import primary_table, verdict_text
from hyperinf.reporting.rule import rule, rule_hash, rule_text
from hyperinf.reporting.verdicts import (
    CONTRADICTED,
    DEGENERATE,
    NO_DIFFERENCE,
    NOT_TESTED,
    SUPPORTED,
    UNDECIDED,
    counted_verdict,
    decide,
    distance_verdict,
    holm_levels,
)

MARGIN = 0.02


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([0.1, 0.11, 0.12], SUPPORTED),
        ([-0.1, -0.11, -0.12], CONTRADICTED),
        ([0.1, -0.1, 0.05], UNDECIDED),
        ([0.001, 0.002, 0.001], NO_DIFFERENCE),
        ([0.019, 0.019, 0.019], NO_DIFFERENCE),
        ([0.1, 0.1, 0.1], SUPPORTED),
        ([0.0, 0.0, 0.0], DEGENERATE),
        ([0.1], NOT_TESTED),
        ([], NOT_TESTED),
        ([0.1, math.nan, 0.1], NOT_TESTED),
        ([0.1, math.inf, 0.1], NOT_TESTED),
    ],
)
def test_a_verdict_follows_the_interval(values, verdict):
    assert decide(values, MARGIN).verdict == verdict


def test_the_probability_is_that_of_a_paired_test():
    first, second = np.random.default_rng(0).normal(size=(2, 12))
    found = decide((first - second).tolist(), 1e-9)
    assert found.p == pytest.approx(stats.ttest_rel(first, second).pvalue)


@pytest.mark.parametrize("seed", range(20))
def test_as_many_seeds_as_it_names_decide_and_one_fewer_does_not(seed):
    values = np.random.default_rng(seed).normal(0.01, 0.05, 4)
    found = decide(values.tolist(), 0.0)
    mean, spread = values.mean(), values.std(ddof=1)

    def decides(n):
        half = stats.t.ppf(0.975, n - 1) * spread / math.sqrt(n)
        return half < abs(mean)

    if found.verdict != UNDECIDED:
        assert decides(4)
    elif found.needed is None:
        assert not decides(rule().most)
    else:
        assert found.needed > 4
        assert decides(found.needed)
        assert not decides(found.needed - 1)


def test_holm_gives_each_claim_its_level():
    assert holm_levels([0.001, 0.04, math.nan, 0.02]) == pytest.approx([0.05 / 3, 0.05, 0.05, 0.05 / 2])
    missed = holm_levels([0.001, 0.04, 0.03])
    assert missed == pytest.approx([0.05 / 3, 0.025, 0.025])  # .03 misses .025, and with it .04
    assert holm_levels([]) == []


def test_what_is_counted_holds_in_every_seed_or_in_none():
    assert [counted_verdict(held) for held in ([1, 1], [0, 0], [1, 0], [1], [0.75, 0.625])] == [
        SUPPORTED,
        CONTRADICTED,
        UNDECIDED,
        NOT_TESTED,
        SUPPORTED,
    ]


def test_a_distance_is_near_far_or_between():
    assert [distance_verdict(each) for each in (0.1, 0.2, 0.4, math.nan)] == [
        SUPPORTED,
        UNDECIDED,
        CONTRADICTED,
        NOT_TESTED,
    ]


def ledger():
    """Claims of every kind, in settings of every kind."""
    draw = np.random.default_rng(5)
    claims = []
    for number, shift in enumerate((0.2, 0.06, 0.03, 0.0, -0.08)):
        for source in ("a paper", ""):
            for setting in range(3):
                values = {seed: float(value) for seed, value in enumerate(draw.normal(shift, 0.03, 6), 11)}
                claims.append(Claim(f"claim {number}", source, f"setting {setting}", "difference", "accuracy", values))
    same = dict.fromkeys(range(11, 17), 0.0)
    claims += [
        Claim("claim 0", "a paper", "same", "difference", "accuracy", same),
        Claim("level", "a paper", "a", "difference", "accuracy", {11: 0.001, 12: 0.0, 13: 0.001, 14: -0.001}),
        Claim("equal", "a paper", "a", "equality", "log_ratio", {11: 0.01, 12: 0.0, 13: 0.02, 14: -0.01}),
        Claim("unequal", "a paper", "a", "equality", "log_ratio", {11: 0.41, 12: 0.4, 13: 0.42, 14: 0.43}),
        Claim("both the same", "a paper", "same", "difference", "accuracy", same),
        Claim("not run", "a paper", "nowhere", "difference", "roc_auc", {}),
        Claim("one seed less", "a paper", "a", "difference", "roc_auc", {11: 0.05, 12: 0.07, 13: 0.06}),
        Claim("one seed less", "a paper", "b", "difference", "roc_auc", {11: 0.04, 13: 0.05}),
        Claim("counted", "a paper", "a", "count", "", {11: 1.0, 12: 1.0}, rule="it holds"),
        Claim("counted", "a paper", "b", "count", "", {11: 1.0, 12: 0.0}, rule="it holds"),
        Claim("near", "a paper", "a", "distance", "", {0: 0.05}, rule="distance"),
    ]
    return claims_frame(claims)


def test_every_verdict_can_be_recomputed_from_the_csv_with_numpy():
    frame = pd.read_csv(io.StringIO(ledger().to_csv(index=False)), keep_default_na=False)
    primary = primary_frame(frame)
    found = {(row["origin"], row["statement"]): row["verdict"] for _, row in primary.iterrows()}
    assert found == recomputed(frame, yaml.safe_load(rule_text()))
    assert {SUPPORTED, CONTRADICTED, NO_DIFFERENCE, UNDECIDED, DEGENERATE, NOT_TESTED} <= set(primary["verdict"])


def test_a_claim_leaves_out_settings_that_tell_nothing():
    primary = primary_frame(ledger()).set_index(["origin", "statement"])
    assert tuple(primary.loc[("published", "claim 0"), ["settings", "left_out"]]) == (3, 1)
    assert set(read_values(primary.loc[("published", "one seed less"), "values"])) == {11, 13}
    assert primary.loc[("published", "both the same"), "verdict"] == DEGENERATE
    assert primary.loc[("published", "not run"), "measured"] == "not run"


def test_a_verdict_of_many_claims_is_harder_to_come_by():
    alone = Claim("alone", "a paper", "a", "difference", "accuracy", {11: 0.1, 12: 0.14, 13: 0.12})
    assert alone.decision.verdict == SUPPORTED
    others = [Claim(f"{n}", "a paper", "a", "difference", "accuracy", {11: 0.1, 12: -0.1}) for n in range(40)]
    assert primary_frame(claims_frame([alone]))["verdict"].tolist() == [SUPPORTED]
    primary = primary_frame(claims_frame([alone, *others]))
    assert primary["verdict"].iloc[0] == UNDECIDED
    assert int(primary["needed"].iloc[0]) > 3


def test_a_corrected_interval_tells_the_verdict_of_its_claim():
    primary = primary_frame(ledger())
    told = primary[primary["corrected_low"].map(np.isfinite) & (primary["kind"] == "difference")]
    assert {SUPPORTED, CONTRADICTED, NO_DIFFERENCE, UNDECIDED} <= set(told["verdict"])
    margins = yaml.safe_load(rule_text())["margins"]
    for _, row in told.iterrows():
        low, high = row["corrected_low"], row["corrected_high"]
        assert low <= row["low"] <= row["high"] <= high
        if max(abs(low), abs(high)) <= margins[row["metric"]]:
            assert row["verdict"] == NO_DIFFERENCE
        else:
            assert row["verdict"] == (SUPPORTED if low > 0 else CONTRADICTED if high < 0 else UNDECIDED)


def test_numbers_of_seeds_are_written_without_loss():
    values = {11: 0.1 + 0.2, 12: -1e-300, 3: 5.0}
    assert read_values(values_text(values)) == values


def test_the_table_says_the_rule_by_its_hash_and_how_many_seeds_would_decide():
    table = primary_table(primary_frame(ledger()))
    assert rule_hash() in table.note
    undecided = claims_frame([Claim("a", "", "b", "difference", "accuracy", {1: 0.05, 2: -0.01, 3: 0.06})]).iloc[0]
    assert verdict_text(undecided) == f"undecided ({undecided['needed']} seeds would)"
