"""The report of a study whose scores were judged by retraining."""

import json

import pandas as pd
import pytest

from hyperinf.errors import InputError
from hyperinf.reporting.lds_figure import lds_figure
from hyperinf.reporting.manifest import expected
from hyperinf.reporting.removal_figure import removal_figure
from hyperinf.reporting.reports import report_study
from hyperinf.reporting.study_inputs import read_study
from hyperinf.reporting.summary import study_sentences
from hyperinf.reporting.validation_claims import validation_claims
from hyperinf.reporting.validation_tables import lds_tables, removal_tables

COLUMNS = ["method", "strategy", "fraction", "checkpoint", "seed", "metric", "value"]
NAMES = {"study": "words", "task": "headlines", "model": "smol", "family": "causal", "setting": "lora-8"}
SCORES = {"hyperinf": 0.5, "datainf": 0.3, "random": 0.0}


def write_validation(run, seed, scores=SCORES, removal=True):
    """Judgements whose numbers grow a little with the seed."""
    key, more = {**NAMES, "seed": seed, "checkpoint": "last"}, (seed - 11) / 100
    lds = [
        {
            **key,
            "method": method,
            "target": target,
            "lds": value + more + (0.1 if target == "mean" else 0),
            "low": value - 0.2,
            "high": value + 0.2,
            "subsets": 10 if method == "retraining" else 50,
            "ceiling": 0.8,
            "seconds": {"hyperinf": 5.0, "datainf": 9.0}.get(method),
        }
        for method, value in {**scores, "retraining": 0.8}.items()
        for target in ("query", "mean")
    ]
    metrics = []
    for row in lds:
        name = {"query": "lds", "mean": "lds_mean_target"}[row["target"]]
        name = f"{name}_ceiling" if row["method"] == "retraining" else name
        metrics.append({**key, "method": row["method"], "metric": name, "value": row["lds"]})
    for name in ("top_overlap", "randomised_agreement", "lds_randomised"):
        metrics.append({**key, "method": "hyperinf", "metric": name, "value": -0.1 if name != "top_overlap" else 0.3})
    places = [("hyperinf", "helpful", 0.1), ("hyperinf", "harmful", -0.1), ("random", "random", 0.01)]
    for method, strategy, value in places if removal else ():
        for metric, sign in (("loss_without", 1), ("loss_patched", -1)):
            for fraction in (0.05, 0.1):
                row = {"method": method, "strategy": strategy, "fraction": fraction, "metric": metric}
                metrics.append({**key, **row, "value": sign * value * fraction + more})
    (run / "validation").mkdir(parents=True)
    pd.DataFrame(lds).to_csv(run / "validation/lds.csv", index=False)
    pd.DataFrame(metrics, columns=[*NAMES, *COLUMNS]).to_csv(run / "validation/metrics.csv", index=False)
    (run / "validation/info.json").write_text(json.dumps({"device": "cpu"}))


@pytest.fixture
def judged(run_folder, shape):
    """Give the shape and the runs of a study with so many seeds."""

    def make(seeds=3, **options):
        runs = [run_folder(11 + k) for k in range(seeds)]
        for k, run in enumerate(runs):
            write_validation(run, 11 + k, **options)
        own = shape(detection=False, fractions=(), validation=True, removal=options.get("removal", True))
        return own, runs

    return make


def test_a_report_has_all_that_its_manifest_names(judged, tmp_path):
    own, runs = judged()
    written = {str(path.relative_to(tmp_path)) for path in report_study(own, runs, tmp_path)}
    assert written == {file for entry in expected(own) for file in entry.files}
    assert {"tables/words_lds.csv", "figures/words_headlines_smol_lds.png", "tables/words_removal.csv"} <= written
    table = pd.read_csv(tmp_path / "tables/words_lds.csv")
    assert {"method", "seed", "target", "lds", "low", "high", "ceiling", "seconds"} <= set(table)
    assert len(table) == 3 * 4 * 2


def test_tables_show_means_over_seeds_and_paired_differences(judged, tmp_path):
    own, runs = judged()
    read = read_study(own, runs, tmp_path)
    _, (scores, differences, checks) = lds_tables(read)
    rows = {row[0]: row for row in scores.rows}
    assert rows["HyperINF"][1].mean == pytest.approx(0.51)
    assert rows["HyperINF"][1].bold
    assert rows["retraining in another order"][1].mean == pytest.approx(0.81)
    assert rows["HyperINF"][3] == "5"
    assert rows["random order"][3] == "–"
    assert {row[0]: row[1] for row in differences.rows}["HyperINF − DataInf"].mean == pytest.approx(0.2)
    assert checks.rows[0][1].mean == pytest.approx(0.3)
    _, removals = removal_tables(read)
    assert len(removals) == 2
    assert [row[0] for row in removals[0].rows] == ["HyperINF: helpful", "HyperINF: harmful", "random order"]


def test_every_method_is_held_against_hyperinf_by_retraining_per_target_sample(judged, tmp_path):
    own, runs = judged(scores={**SCORES, "gfim": 0.5})
    claims = {claim.statement: claim for claim in validation_claims(read_study(own, runs, tmp_path))}
    lead = "HyperINF's scores predict retraining better than those of "
    assert {name.partition(lead)[2] for name in claims} == {"DataInf", "random order"}  # not of its own oracle
    (found,) = (claim for name, claim in claims.items() if name.endswith("DataInf"))
    assert found.values == pytest.approx({11: 0.2, 12: 0.2, 13: 0.2})
    assert found.origin == "asked here"
    assert found.decision.verdict == "supported"


def test_one_seed_shows_the_interval_over_subsets(judged, tmp_path):
    own, runs = judged(1)
    read = read_study(own, runs, tmp_path)
    _, (scores, *_) = lds_tables(read)
    assert scores.rows[0][1] == "0.500 [0.300, 0.700]"


def test_figures_hold_what_they_show(judged, tmp_path):
    own, runs = judged()
    read = read_study(own, runs, tmp_path)
    entries = {entry.product.name: entry for entry in expected(own) if entry.kind == "figure"}
    data = lds_figure(read, entries["lds"]).data
    assert set(data["method"]) == {*SCORES, "retraining"}
    assert data.query("method == 'datainf' and target == 'query'")["seconds"].item() == 9
    assert set(removal_figure(read, entries["removal"]).data["strategy"]) == {"helpful", "harmful", "random"}


def test_a_sentence_says_what_the_score_is_and_what_could_be_reached(judged, tmp_path):
    own, runs = judged()
    said = " ".join(
        study_sentences(read_study(own, runs, tmp_path))["headlines, smol (Smol cut to 4 layers), LoRA rank 8"]
    )
    assert "0.510" in said
    assert "above DataInf (by 0.200)" in said
    assert "retraining in another order predicts 0.810" in said


def test_a_study_that_leaves_nothing_out_has_no_figure_of_it(judged, tmp_path):
    own, runs = judged(removal=False)
    names = {entry.product.name for entry in expected(own)}
    assert "lds" in names
    assert "removal" not in names
    report_study(own, runs, tmp_path)


def test_a_missing_or_foreign_judgement_is_refused(judged, tmp_path):
    own, runs = judged()
    path = runs[1] / "validation/lds.csv"
    frame = pd.read_csv(path)
    frame.assign(seed=99).to_csv(path, index=False)
    with pytest.raises(InputError, match="lds.csv"):
        read_study(own, runs, tmp_path)
    path.unlink()
    with pytest.raises(InputError, match="lds.csv"):
        read_study(own, runs, tmp_path)
