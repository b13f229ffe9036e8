import math

import pandas as pd
import pytest

from hyperinf.reporting.claims import untested
from hyperinf.reporting.ledger import summary_table
from hyperinf.reporting.simulation_claims import (
    convergence_claims,
    datainf_claims,
    excess_distance,
    fisher_claims,
    timing_claims,
)
from hyperinf.reporting.simulation_inputs import SimulationResults, read_convergence, read_fisher_summary, read_timing
from hyperinf.reporting.verdicts import CONTRADICTED, NOT_TESTED, SUPPORTED, UNDECIDED


def verdicts(claims, word):
    return {claim.setting: claim.decision.verdict for claim in claims if word in claim.statement}


def test_schulz_against_lissa_is_supported_where_only_schulz_converges(convergence_files):
    frame = read_convergence(convergence_files())
    found = verdicts(convergence_claims(SimulationResults(frame)), "LiSSA does not")
    assert found == {f"d = {d}, N = {n}": SUPPORTED for d in (512, 1024) for n in (200, 6400)}


def test_schulz_against_lissa_is_contradicted_when_lissa_converges_too(convergence_files):
    frame = read_convergence(convergence_files())
    frame.loc[frame["method"] == "lissa", "error_relative"] = 1e-6
    assert set(verdicts(convergence_claims(SimulationResults(frame)), "LiSSA does not").values()) == {CONTRADICTED}


def test_schulz_against_lissa_is_undecided_when_the_seeds_disagree(convergence_files):
    frame = read_convergence(convergence_files())
    frame.loc[(frame["method"] == "schulz_paper") & (frame["seed"] == 12), "error_relative"] = 0.5
    assert set(verdicts(convergence_claims(SimulationResults(frame)), "LiSSA does not").values()) == {UNDECIDED}


@pytest.mark.parametrize("part", [{"methods": ["schulz_paper"]}, {"iterations": 20}, {"seeds": (11,)}])
def test_schulz_against_lissa_is_not_tested_without_the_data_for_it(convergence_files, part):
    frame = read_convergence(convergence_files(**part))
    assert set(verdicts(convergence_claims(SimulationResults(frame)), "LiSSA does not").values()) == {NOT_TESTED}


def test_published_numbers_stand_only_beside_cells_that_were_published(convergence_files):
    frame = read_convergence(convergence_files(dims=(96, 512), samples=(200,)))
    published = {c.setting: c.published for c in convergence_claims(SimulationResults(frame)) if "LiSSA" in c.statement}
    assert published["d = 96, N = 200"] == ""
    assert "LiSSA 9.9e-01" in published["d = 512, N = 200"]


def test_a_run_that_left_the_finite_numbers_counts_as_not_converged(convergence_files):
    frame = read_convergence(convergence_files())
    gone = (frame["method"] == "schulz_paper") & (frame["iteration"] > 10)
    frame = frame[~gone]
    frame.loc[(frame["method"] == "schulz_paper") & (frame["iteration"] == 10), "status"] = "diverged"
    found = verdicts(convergence_claims(SimulationResults(frame)), "LiSSA does not")
    assert set(found.values()) == {CONTRADICTED}


def test_chebyshev_is_counted_in_iterations(convergence_files):
    frame = read_convergence(convergence_files())
    found = verdicts(convergence_claims(SimulationResults(frame)), "Chebyshev")
    assert set(found) == {f"d = {d}, N = {n}" for d in (512, 1024) for n in (200, 6400)}
    never = frame.copy()
    never.loc[never["method"] == "schulz_paper", "error_relative"] = 1.0
    assert set(verdicts(convergence_claims(SimulationResults(never)), "Chebyshev").values()) == {SUPPORTED}


def test_datainf_error_that_rises_with_d_supports_the_claim(convergence_files):
    frame = read_convergence(convergence_files())
    rows = frame["method"] == "datainf"
    wiggle = 1 + 0.01 * (frame.loc[rows, "seed"] - 12)
    for power, verdict in ((1.0, SUPPORTED), (-1.0, CONTRADICTED)):
        for column in ("error_l2", "error_relative"):
            frame.loc[rows, column] = wiggle * frame.loc[rows, "dim"] ** power
        found = verdicts(datainf_claims(SimulationResults(frame)), "grows with d")
        assert set(found) == {"N = 200, d = 512 to 1024", "N = 6400, d = 512 to 1024"}
        assert set(found.values()) == {verdict}


def test_datainf_growth_is_not_tested_with_one_dimension(convergence_files):
    frame = read_convergence(convergence_files(dims=(512,)))
    assert set(verdicts(datainf_claims(SimulationResults(frame)), "grows with d").values()) == {NOT_TESTED}


def test_excess_distance_takes_the_sampling_error_out():
    # P = (3, 0), G = (3, 4) - (0, 4) = P + (0, 0): with noise (0, 4) alone the distance is 4/5 and the excess 0
    assert excess_distance(4 / 5, 4 / 3) == pytest.approx(0.0, abs=1e-7)
    # G = P + (0, 0, 1.5): ||G - F||^2 = 16 + 2.25, ||F||^2 = 25, so the excess is 1.5 / 3
    assert excess_distance(math.sqrt(18.25) / 5, 4 / 3) == pytest.approx(0.5)


def test_fisher_verdicts_follow_the_excess_distance(fisher_folder):
    read = SimulationResults(pd.DataFrame(), summary=read_fisher_summary(fisher_folder))
    assert [claim.decision.verdict for claim in fisher_claims(read)] == [SUPPORTED, CONTRADICTED]
    assert math.isnan(excess_distance(math.nan, 0.1))


def test_schulz_ten_times_slower_contradicts_the_published_speed(timing_file):
    claims = list(timing_claims(SimulationResults(pd.DataFrame(), timing=read_timing(timing_file))))
    assert {claim.decision.verdict for claim in claims} == {CONTRADICTED}
    assert "(invalid)" in claims[0].published


def test_the_summary_counts_the_settings_of_each_verdict():
    fixed = {"statement": "s", "origin": "published", "source": "x"}
    frame = pd.DataFrame([{**fixed, "verdict": v} for v in (SUPPORTED, SUPPORTED, CONTRADICTED)])
    assert summary_table(frame).rows == (("s", "2", "1", "0", "0", "0", "0", "published", "x"),)


def test_a_dimension_that_a_run_has_tested_is_not_among_what_is_untested():
    without = {claim.statement for claim in untested()}
    tested = {
        claim.statement for claim in untested([pd.DataFrame({"setting": ["d = 512, N = 200", "d = 2048, N = 200"]})])
    }
    assert {statement[-17:] for statement in without - tested} == {"at d of 2048, too"}
    assert tested < without
