"""What the page begins with: lines of verdicts, three sentences a study, words for figures, where the time went."""

import json
import os

import pandas as pd
import pytest

from hyperinf.errors import InputError
from hyperinf.reporting import report_page, report_study
from hyperinf.reporting.alternative import _FINDINGS, alternative
from hyperinf.reporting.brief import SENTENCES, brief
from hyperinf.reporting.claims import OWN_QUESTION, PUBLISHED_CLAIM, Claim, claims_frame, primary_frame
from hyperinf.reporting.forest import SIGNS, forest, published_rows, short_label
from hyperinf.reporting.register import SIMULATION, STUDY
from hyperinf.reporting.run_time import duration, spent
from hyperinf.reporting.sample_list import sample_lists
from hyperinf.reporting.study_inputs import read_study
from hyperinf.reporting.verdict_lines import LINES, verdict_lines
from hyperinf.reporting.verdicts import VERDICTS
from hyperinf.settings.reporting import RUN_BEGAN


def claim(statement, values, source="a paper", metric="accuracy", kind="difference", **more):
    return Claim(statement, source, "here", kind, metric, dict(enumerate(values, 11)), **more)


def ledgers():
    """Claims of two studies, one of them judged in both."""
    words = [
        claim(
            "HyperINF finds more flipped labels than DataInf at 20 % inspected",
            [0.1, 0.11, 0.12],
            published="+20 points",
        ),
        claim(
            "Language model, plain selection: HyperINF's lead over LiSSA is larger where less is kept", [-0.3, 0.4, 0.2]
        ),
        claim("both", [0.7, 0.69, 0.71], metric="log_ratio", published="2 s against 3 s"),
        claim("asked", [0.0, 0.0, 0.0], source=""),
    ]
    pictures = [claim("both", [0.7, 0.69, 0.71], metric="log_ratio"), claim("counted", [1, 1], metric="", kind="count")]
    return [("Words", claims_frame(words)), ("Pictures", claims_frame(pictures))]


def drawn(origin=PUBLISHED_CLAIM):
    known = ledgers()
    return forest(primary_frame(pd.concat([frame for _, frame in known], ignore_index=True)), known, origin)


def test_a_claim_stands_in_the_study_that_judged_it_and_one_of_several_in_a_group_of_its_own():
    assert [(group["title"], [len(panel["lines"]) for panel in group["panels"]]) for group in drawn()] == [
        ("Words", [2]),
        ("Words and Pictures", [1]),
        ("Pictures", [1]),
    ]
    assert [group["title"] for group in drawn(OWN_QUESTION)] == ["Words"]


def test_lines_are_placed_by_their_numbers_and_what_leaves_the_axis_is_marked():
    (panel,) = drawn()[0]["panels"]
    clear, wide = panel["lines"]
    axis = panel["axis"]
    assert clear["mean"] == axis.at(11) > 50
    assert clear["ends"][0] < clear["mean"] < clear["ends"][1]
    assert clear["theirs"] == axis.at(20)
    assert wide["ends"][0] < 50 < wide["ends"][1]
    assert any(wide["beyond"])
    places = [place for line in panel["lines"] for place in (line["mean"], *line["ends"])]
    assert all(0 <= place <= 100 for place in places)
    assert [name for _, name in axis.ticks].count("0") == 1
    assert axis.at(0) == 50


def test_a_ratio_is_drawn_on_a_logarithmic_scale_around_one_and_a_count_without_an_axis():
    ratio, counted = (group["panels"][0] for group in drawn()[1:])
    assert (50, "1×") in ratio["axis"].ticks
    assert ratio["lines"][0]["mean"] > ratio["lines"][0]["theirs"] > 50
    assert counted["axis"] is None
    assert counted["lines"][0]["mean"] is None


@pytest.mark.parametrize("value", [1e-4, 0.02, 0.3, 2.0, 30.0])
@pytest.mark.parametrize("metric", ["accuracy", "log_ratio"])
def test_an_axis_of_any_reach_has_a_middle_and_few_ticks(value, metric):
    frame = claims_frame([claim("c", [value, 1.1 * value, 0.9 * value], metric=metric)])
    ((panel,),) = (group["panels"] for group in forest(primary_frame(frame), [("S", frame)], PUBLISHED_CLAIM))
    places = [place for place, _ in panel["axis"].ticks]
    assert 50 in places
    assert len(places) <= 9
    assert all(0 <= place <= 100 for place in places)
    assert 50 <= panel["lines"][0]["mean"] <= 98


def test_a_label_is_shorter_than_the_statement_and_its_own_where_it_has_one():
    claimed = "what DataInf keeps trains a less accurate model than the whole training set"
    row = pd.Series({"statement": f"Language model, plain selection: {claimed}"})
    assert short_label(row) == "plain: DataInf's picks fall short of all samples"
    assert short_label(pd.Series({"statement": "something else", "label": "mine"})) == "mine"
    assert short_label(pd.Series({"statement": "something else"})) == "something else"


def test_every_verdict_has_a_sign_of_its_own():
    assert set(SIGNS) == set(VERDICTS)
    assert len(set(SIGNS.values())) == len(SIGNS)


def test_what_was_published_stands_beside_what_was_measured():
    row, _ = published_rows(ledgers())
    assert row[0] == "Words"
    assert row[3:5] == ("+20 points", "+11.0 points ± 2.5 (3 seeds)")


@pytest.mark.parametrize("finds", [True, False])
def test_a_study_is_told_in_three_sentences_that_say_who_is_ahead(run_folder, shape, tmp_path, finds):
    found = {"hyperinf": 0.8, "datainf": 0.7} if finds else None
    runs = [run_folder(11 + k, {"hyperinf": 0.6, "datainf": 0.6, "random": 0.5 - k / 100}, found) for k in range(3)]
    told = brief(read_study(shape(detection=finds), runs, tmp_path))
    assert len(told) == SENTENCES
    assert "3 seeds" in told[0]
    accuracy = told[1]
    assert "collapsed onto one answer in 2 of 2" in accuracy
    assert "ahead of random selection in both cases" in accuracy
    assert ("ROC-AUC" in told[2]) == finds


def test_one_seed_is_said_to_give_no_interval(run_folder, shape, tmp_path):
    told = brief(read_study(shape(detection=False), [run_folder(11, {"hyperinf": 0.6, "random": 0.5})], tmp_path))
    assert "of one seed" in told[1]


def test_words_are_those_of_figures_that_there_are_and_any_other_says_its_title(tmp_path):
    figures = {product.caption_name for product in (*STUDY, *SIMULATION) if product.kind == "figure"}
    assert set(_FINDINGS) <= figures
    entry = {"caption": "figure_mine", "title": "Mine", "heading": "words"}
    assert alternative(entry, tmp_path / "mine.csv") == "Mine, words."


def test_words_for_what_removal_comes_to_name_the_largest_fraction():
    columns = ["metric", "method", "strategy", "fraction", "mean"]
    rows = [("loss_without", "hyperinf", "helpful", at, at) for at in (0.1, 0.2)]
    told = _FINDINGS["figure_removal"](
        pd.DataFrame([*rows, ("loss_patched", "lissa", "helpful", 0.2, 9)], columns=columns)
    )
    assert told == "Change of the loss without the 20 % that are helpful: HyperINF +0.200"


def test_the_words_for_a_figure_hold_the_numbers_that_are_drawn(run_folder, shape, tmp_path):
    study = shape(family="classifier")
    runs = [run_folder(seed, {"hyperinf": 0.6, "random": 0.5}, {"hyperinf": 0.8, "datainf": 0.7}) for seed in (11, 12)]
    report_study(study, runs, tmp_path / "out")
    told = {}
    for entry in json.loads((tmp_path / "out/tables/words_manifest.json").read_text())["entries"]:
        if entry["kind"] == "figure":
            told[entry["caption"]] = alternative(entry, tmp_path / "out" / entry["files"][2])
    assert "HyperINF 0.500" in told["figure_accuracy"]
    assert "random selection 0.400" in told["figure_accuracy"]
    assert "Found at 20 % inspected" in told["figure_detection"]
    assert "Seconds of one checkpoint" in told["figure_cost"]
    assert not [text for text in told.values() if "nan" in text]


@pytest.fixture
def texts(run_folder, tmp_path):
    """A run with a hundred texts: the k-th has influence k - 50; every tenth was given another answer."""
    run = run_folder(11, found={"hyperinf": 0.8})
    ids = [f"row-{k}" for k in range(100)]
    known = {"sample_id": ids, "answer": ["no"] * 100, "true_answer": ["no", *["yes"] * 9] * 10}
    known["corruption"] = ["", *["wrong_answer"] * 9] * 10
    scores = pd.DataFrame({**known, "influence_hyperinf": [k - 50.0 for k in range(100)]})
    scores.to_parquet(run / "scores/last/scores.parquet")
    data = tmp_path / "words/headlines/data/seed-11"
    data.mkdir(parents=True)
    (data / "info.json").write_text(json.dumps({"content_sha256": "headlines-11"}))
    long = ["<b>" + "w" * 400 if k == 99 else f"text {k}" for k in range(100)]
    pd.DataFrame({"sample_id": ids, "context": long, "question": ["?"] * 100}).to_parquet(data / "train.parquet")
    return run


def test_texts_to_look_at_are_the_extremes_with_what_was_changed_about_them(texts, shape, tmp_path):
    study = shape(fractions=())
    (found,) = sample_lists(read_study(study, [texts], tmp_path))
    helpful, harmful = (side["samples"] for side in found["sides"])
    assert [sample["id"] for sample in helpful] == [f"row-{k}" for k in range(5)]
    assert [sample["id"] for sample in harmful] == [f"row-{k}" for k in (99, 98, 97, 96, 95)]
    assert helpful[0] == {"id": "row-0", "text": "text 0 ?", "answer": "no", "truth": "", "influence": "−50"}
    assert harmful[0]["truth"] == "yes"
    assert len(harmful[0]["text"]) < 310
    report_study(study, [texts], tmp_path / "out")
    report_page(tmp_path / "out", tmp_path / "out/report.html")
    page = (tmp_path / "out/report.html").read_text()
    assert "text 0 ?" in page
    assert "&lt;b&gt;www" in page


def test_texts_of_other_data_than_was_scored_are_refused_and_no_data_is_no_list(texts, shape, tmp_path):
    read = read_study(shape(fractions=()), [texts], tmp_path)
    data = tmp_path / "words/headlines/data/seed-11"
    (data / "info.json").write_text(json.dumps({"content_sha256": "another"}))
    with pytest.raises(InputError, match="seed-11"):
        sample_lists(read)
    (data / "train.parquet").unlink()
    assert sample_lists(read) == []


def benchmark(results, name, seconds, age=0.0):
    file = results / f"benchmarks/{name}.tsv"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"s\th:m:s\tmax_rss\n{seconds}\t0:00:01\t1\n")
    os.utime(file, (1000 - age, 1000 - age))


def test_time_is_summed_by_study_and_stage_and_what_is_reused_is_said(tmp_path, monkeypatch):
    assert spent(tmp_path, {"words": "Words"}) is None
    for seed, age in ((11, 0), (12, 900)):
        benchmark(tmp_path, f"words/t/m/lora-8/seed-{seed}/finetune", 100, age)
        benchmark(tmp_path, f"words/t/m/lora-8/seed-{seed}/score-epoch-1", 300, age)
    benchmark(tmp_path, "words/t/m/lora-8/seed-11/shards-2/epoch-1/sums-1-1", 50)
    benchmark(tmp_path, "words/t/data/seed-11", 1)
    benchmark(tmp_path, "simulation/convergence/dim-8_seed-11", 20)
    benchmark(tmp_path, "assets/bert", 9)
    benchmark(tmp_path, "stale/t/m/lora-8/seed-11/finetune", 1e6)
    (tmp_path / "benchmarks/words/t/m/lora-8/seed-11/detection.tsv").write_text("")
    found = spent(tmp_path, {"simulation": "Synthetic study", "words": "Words"})
    assert found is not None
    assert [study["title"] for study in found["studies"]] == ["Models and data", "Synthetic study", "Words"]
    assert [part["text"] for part in found["studies"][2]["parts"]] == [
        "scoring: 11 min in 3 jobs",
        "fine-tuning: 3 min in 2 jobs",
        "drawing data: 1.0 s in 1 job",
    ]
    assert sum(part["width"] for part in found["studies"][2]["parts"]) == pytest.approx(100, abs=0.1)
    assert "8 jobs" in found["told"]
    assert "the run that made" in found["reused"]
    monkeypatch.setenv(RUN_BEGAN, "500")
    found = spent(tmp_path, {"words": "Words"})
    assert found is not None
    assert found["reused"].startswith("2 jobs (7 min) were reused")
    monkeypatch.setenv(RUN_BEGAN, "1")
    found = spent(tmp_path, {"words": "Words"})
    assert found is not None
    assert "All of them ran in this run" in found["reused"]


def test_a_duration_is_told_in_the_units_of_its_size():
    assert [duration(each) for each in (0.25, 42.3, 100, 7500)] == ["0.2 s", "42 s", "2 min", "2 h 05 min"]


def test_the_terminal_is_told_the_verdicts_in_few_aligned_lines_that_fit_it(run_folder, shape, tmp_path):
    assert verdict_lines(tmp_path, (), 80) == []
    study = shape(family="classifier", methods=("hyperinf", "datainf", "lissa", "tracin"), fractions=())
    found = {"hyperinf": 0.9, "datainf": 0.5, "lissa": 0.4, "tracin": 0.3}
    report_study(
        study,
        [run_folder(11 + k, found={name: value + k / 1e4 for name, value in found.items()}) for k in range(3)],
        tmp_path / "out",
    )
    lines = verdict_lines(tmp_path / "out", (), 60)
    assert 3 < len(lines) <= LINES
    assert "published claims" in lines[0]
    assert lines[1].startswith("Words")
    assert all(len(line) <= 60 for line in lines[2:])
    assert not [line for line in lines if "\x1b" in line]
    assert any("\x1b[34m✓\x1b[0m" in line for line in verdict_lines(tmp_path / "out", (), 60, colour=True))
    assert verdict_lines(tmp_path / "out", ("other",), 60) == []
