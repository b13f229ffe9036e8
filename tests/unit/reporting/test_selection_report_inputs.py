import json

import pandas as pd
import pytest

from hyperinf.errors import InputError
from hyperinf.reporting import report_selection
from hyperinf.reporting.selection_inputs import read_selection


def refused(match):
    return pytest.raises(InputError, match=match)


def rewritten(path, change):
    change(pd.read_csv(path)).to_csv(path, index=False)


def test_runs_are_read_with_their_notes_and_shares(seed_folder):
    read = read_selection("llm", [seed_folder(seed=12), seed_folder(seed=11, note="")])
    assert read.cells == [("headlines", "smol", "lora-8")]
    assert read.note("headlines", "smol", "lora-8") == "Smol cut to 4 layers"
    assert read.runs["seed"].to_list() == [11, 12]
    assert set(read.runs["percents"]) == {"20 40 100"}


def test_scores_of_a_pool_without_corruption_may_hold_no_row(seed_folder):
    read = read_selection("llm", [seed_folder(clean=False)])
    assert not set(read.metrics["metric"]) & {"roc_auc", "clean_share"}


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("fraction-20", lambda rows: rows.drop(columns="strategy"), "no column strategy"),
        ("fraction-20", lambda rows: pd.concat([rows, rows.iloc[:1]]), "a second row for headlines, smol, lora-8, "),
        ("fraction-20", lambda rows: rows.assign(value=63.0), "hyperinf plain is 63; expected a share in 0..1"),
        ("fraction-20", lambda rows: rows.assign(strategy="greedy"), "holds 'greedy'; expected plain or stratified"),
        ("fraction-20", lambda rows: rows.assign(fraction=0.4), "has fraction 0.4; expected 0.2"),
        (
            "fraction-20",
            lambda rows: rows.assign(seed=99),
            "seed 99; expected headlines, smol, lora-8, seed 11 as beside it",
        ),
        ("fraction-20", lambda rows: rows.assign(value="?"), r"'\?' is not a number"),
        ("fraction-20", lambda rows: rows.assign(strategy=""), "column strategy of hyperinf is empty"),
        ("fraction-40", lambda rows: rows.iloc[:0], "no rows"),
        ("scores", lambda rows: rows.assign(fraction=0.2), "a score has a strategy or a fraction"),
        ("scores", lambda rows: rows.assign(value=-0.1), "roc_auc of hyperinf is -0.1"),
        ("scores", lambda rows: rows.assign(task="other"), "holds rows of other"),
    ],
)
def test_a_metrics_file_that_does_not_fit_is_refused_in_one_line_that_names_it(seed_folder, file, change, said):
    run = seed_folder()
    rewritten(run / file / "metrics.csv", change)
    with refused(said) as error:
        read_selection("llm", [run])
    assert "\n" not in str(error.value)
    assert "metrics.csv" in str(error.value)


def test_cost_of_another_run_is_refused(seed_folder):
    run = seed_folder()
    rewritten(run / "scores/cost.csv", lambda rows: rows.assign(model="other"))
    with refused(r"cost\.csv: holds rows of headlines, other"):
        read_selection("llm", [run])


def test_the_same_run_given_twice_is_refused(seed_folder):
    run = seed_folder()
    with refused("given twice"):
        read_selection("llm", [run, run])


def test_a_run_without_a_share_of_the_pool_is_refused(seed_folder):
    with refused("no folder fraction-P with P below 100"):
        read_selection("llm", [seed_folder(percents=(100,))])


def test_only_the_shares_asked_for_are_read(seed_folder):
    run = seed_folder()
    (run / "fraction-40/metrics.csv").write_text("left over from another experiment")
    read = read_selection("llm", [run], [100, 20])
    assert sorted(set(read.metrics["fraction"].dropna())) == [0.0, 0.2, 1.0]
    assert read.runs["percents"].to_list() == ["20 100"]
    with refused(r"seed-11: no folder fraction-30"):
        read_selection("llm", [run], [20, 30])


def test_what_is_not_there_is_named(seed_folder, tmp_path):
    with refused("no folder given"):
        read_selection("llm", [])
    with refused("absent: no such folder"):
        read_selection("llm", [tmp_path / "absent"])
    with refused("study: expected one of llm, vlm, got 'audio'"):
        read_selection("audio", [seed_folder()])
    run = seed_folder()
    (run / "fraction-40/metrics.csv").unlink()
    with refused(r"fraction-40/metrics\.csv: no such file"):
        read_selection("llm", [run])


@pytest.mark.parametrize("content", ["", "[]"])
def test_a_record_that_is_no_object_is_refused(seed_folder, content):
    run = seed_folder()
    (run / "scores/info.json").write_text(content)
    with refused(r"info\.json"):
        read_selection("llm", [run])


def test_notes_of_a_cell_that_differ_are_all_shown(seed_folder):
    runs = [seed_folder(seed=11), seed_folder(seed=12)]
    (runs[1] / "scores/info.json").write_text(json.dumps({"model_note": "another\n cut"}))
    assert read_selection("llm", runs).note("headlines", "smol", "lora-8") == "Smol cut to 4 layers | another cut"


def test_a_refused_run_leaves_nothing_written(seed_folder, tmp_path):
    runs = [seed_folder(seed=11), seed_folder(seed=12)]
    (runs[1] / "scores/cost.csv").write_text("")
    with refused(r"cost\.csv"):
        report_selection("llm", runs, tmp_path / "out")
    assert not (tmp_path / "out").exists()
