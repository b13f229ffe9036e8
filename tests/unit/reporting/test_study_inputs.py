import hashlib
import json

import pandas as pd
import pytest

from hyperinf.errors import InputError
from hyperinf.reporting import report_study
from hyperinf.reporting.frames import Cell
from hyperinf.reporting.study_inputs import read_study

ACCURACY, FOUND = {"hyperinf": 0.63, "random": 0.5}, {"hyperinf": 0.8, "loss": 0.7}
CELL = Cell("headlines", "smol", "lora-8")


@pytest.fixture
def run(run_folder):
    return run_folder(11, ACCURACY, FOUND)


def refused(match):
    return pytest.raises(InputError, match=match)


def rewritten(path, change):
    change(pd.read_csv(path)).to_csv(path, index=False)


def test_runs_are_read_with_their_notes_and_what_was_cut(run_folder, tmp_path, shape):
    runs = [
        run_folder(12, ACCURACY, FOUND, truncated=(7, 2, 1)),
        run_folder(11, ACCURACY, FOUND, truncated=(1200, 0, 3), note="another\n cut"),
    ]
    read = read_study(shape(), runs, tmp_path)
    assert [each.seed for each in read.runs] == [11, 12]
    assert read.note(CELL) == "another cut | Smol cut to 4 layers"
    assert read.where(CELL) == "headlines, smol (another cut | Smol cut to 4 layers), LoRA rank 8"
    assert read.truncated(CELL) == {"train": 1200, "validation": 2, "test": 3}
    assert read.harmed(CELL) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("fraction-0.2/metrics.csv", lambda rows: rows.drop(columns="strategy"), "no column strategy"),
        ("fraction-0.2/metrics.csv", lambda rows: pd.concat([rows, rows.iloc[:1]]), "a second row for headlines"),
        ("fraction-0.2/metrics.csv", lambda rows: rows.assign(value=63.0), "hyperinf: got 63, expected a fraction"),
        ("fraction-0.2/metrics.csv", lambda rows: rows.assign(strategy="greedy"), "got 'greedy', expected plain"),
        ("fraction-0.2/metrics.csv", lambda rows: rows.assign(strategy=""), "column strategy: got ''"),
        ("fraction-0.2/metrics.csv", lambda rows: rows.assign(fraction=0.4), "got 0.4, expected 0.2"),
        ("fraction-0.2/metrics.csv", lambda rows: rows.assign(seed=99), "seed 99, expected .*seed 11 as beside it"),
        ("fraction-0.2/metrics.csv", lambda rows: rows.assign(value="?"), r"got '\?', expected a number"),
        ("fraction-0.4/metrics.csv", lambda rows: rows.iloc[:0], "got no rows"),
        ("detection/metrics.csv", lambda rows: rows.assign(value=-0.1), "got -0.1"),
        (
            "detection/metrics.csv",
            lambda rows: rows.assign(checkpoint="epoch-1"),
            "got checkpoints epoch-1, expected last",
        ),
        ("detection/curves.csv", lambda rows: rows.assign(detected=40.0), "column detected: got 40"),
        ("scores/last/cost.csv", lambda rows: rows.assign(model="other"), "got rows of headlines, other"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_in_one_line_that_names_it(run, tmp_path, file, change, said, shape):
    rewritten(run / file, change)
    with refused(said) as error:
        read_study(shape(), [run], tmp_path)
    assert "\n" not in str(error.value)
    assert file in str(error.value)


def test_an_accuracy_of_a_kind_is_a_fraction_too(run_folder, tmp_path, shape):
    run = run_folder(11, {"hyperinf": 0.65}, FOUND, kinds={"colour": 1.0})
    with refused("accuracy_colour of hyperinf: got 1.55"):
        read_study(shape(), [run], tmp_path)


def test_the_same_run_given_twice_is_refused(run, tmp_path, shape):
    with refused("given twice"):
        read_study(shape(), [run, run], tmp_path)


def test_only_the_fractions_of_the_study_are_read(run, tmp_path, shape):
    (run / "fraction-0.4/metrics.csv").write_text("left over from another experiment")
    frame = read_study(shape(fractions=[0.2]), [run], tmp_path).frame
    assert [at for _, at in frame.selections(CELL)] == [0.2, 0.2]
    with refused("no folder fraction-0.3"):
        read_study(shape(fractions=[0.2, 0.3]), [run], tmp_path)


def test_a_study_may_find_without_selecting_and_select_without_finding(run_folder, tmp_path, shape):
    found = read_study(shape(fractions=()), [run_folder(11, found=FOUND)], tmp_path / "a")
    assert found.frame.selections(CELL) == []
    kept = read_study(shape(detection=False), [run_folder(12, ACCURACY)], tmp_path / "b")
    assert kept.curves.empty
    assert kept.harmed(CELL) is None


def test_a_study_where_nothing_was_harmed_has_no_curve(run, tmp_path, shape):
    rewritten(run / "detection/metrics.csv", lambda rows: rows[rows["method"] == "model"])
    rewritten(run / "detection/curves.csv", lambda rows: rows.iloc[:0])
    assert read_study(shape(), [run], tmp_path).curves.empty


def test_runs_must_be_those_of_the_study(run, tmp_path, shape):
    with refused("got none of headlines, smol, lora-16, expected at least one"):
        read_study(shape(settings=["lora-8", "lora-16"]), [run], tmp_path)
    with refused("got one of headlines, smol, lora-8, expected none"):
        read_study(shape().model_copy(update={"settings": ()}), [run], tmp_path)
    with refused("absent: no such folder"):
        read_study(shape(), [tmp_path / "absent"], tmp_path)


@pytest.mark.parametrize("file", ["scores/last/cost.csv", "detection/metrics.csv", "fraction-0.4/metrics.csv"])
def test_a_file_that_is_missing_is_named_and_nothing_is_written(run, tmp_path, file, shape):
    (run / file).unlink()
    with refused(f"{file}: no such file"):
        report_study(shape(), [run], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", ["", "[]"])
def test_a_record_that_is_no_object_is_refused(run, tmp_path, content, shape):
    (run / "scores/last/info.json").write_text(content)
    with refused(r"info\.json"):
        read_study(shape(), [run], tmp_path)


def test_tables_that_have_changed_since_they_were_written_are_refused(run, tmp_path, shape):
    outputs = {"metrics.csv": hashlib.sha256(b"other metrics").hexdigest()}
    (run / "detection/info.json").write_text(json.dumps({"outputs": outputs}))
    with refused(r"metrics\.csv: has changed since it was written"):
        read_study(shape(), [run], tmp_path)
