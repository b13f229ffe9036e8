import math

import pytest
from scipy import stats

from hyperinf.reporting.selection_frames import accuracy_frame, details_frame
from hyperinf.reporting.selection_inputs import read_selection
from hyperinf.reporting.selection_tables import accuracy_tables, detail_tables
from hyperinf.reporting.summary import collapse_sentences, selection_sentences
from hyperinf.reporting.table_writers import markdown, plain

OURS, THEIRS, RANDOM = [0.65, 0.60, 0.72], [0.61, 0.57, 0.65], [0.50, 0.46, 0.56]


@pytest.fixture
def runs(seed_folder):
    def make(by_method, **options):
        count = len(next(iter(by_method.values())))
        return read_selection(
            "llm",
            [seed_folder(11 + k, {name: v[k] for name, v in by_method.items()}, **options) for k in range(count)],
        )

    return make


def row(frame, method, strategy="stratified", fraction=0.2):
    at = (frame["method"] == method) & (frame["strategy"] == strategy) & (frame["fraction"] == fraction)
    return frame[at].iloc[0]


def half_width(values):
    return stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)


def test_accuracy_and_difference_are_means_with_intervals_paired_over_seeds(runs):
    frame = accuracy_frame(runs({"hyperinf": OURS, "datainf": THEIRS}))
    differences = [a - b for a, b in zip(OURS, THEIRS, strict=True)]
    rival = row(frame, "datainf")
    assert rival["accuracy"] == pytest.approx(0.61)
    assert rival["accuracy_half_width"] == pytest.approx(half_width(THEIRS))
    assert rival["accuracy_difference"] == pytest.approx(sum(differences) / 3)
    assert rival["accuracy_difference_half_width"] == pytest.approx(half_width(differences))
    assert rival["accuracy_over_full"] == pytest.approx(0.61 - 0.55)
    assert rival["accuracy_over_full_half_width"] == pytest.approx(half_width(THEIRS))
    assert math.isnan(row(frame, "hyperinf")["accuracy_difference"])
    assert math.isnan(row(frame, "full", "plain", 1.0)["accuracy_over_full"])


def test_the_best_is_bold_only_when_it_is_clear_of_the_second(runs):
    clear = accuracy_tables(accuracy_frame(runs({"hyperinf": OURS, "random": RANDOM})))[0]
    assert "**0.657 ± 0.150**" in markdown([clear])
    assert {plain(row[2]) for row in clear.rows if row[0] == "highest mean"} == {"HyperINF, clear"}


def test_the_table_says_within_noise_where_the_seeds_cannot_tell(runs):
    close = accuracy_tables(accuracy_frame(runs({"hyperinf": [0.8, 0.5, 0.7], "datainf": [0.6, 0.7, 0.5]})))
    assert {row[2] for row in close[0].rows if row[0] == "highest mean"} == {"HyperINF, within noise"}
    assert "**0." not in markdown(close[:1])


def test_one_seed_has_a_highest_mean_but_no_interval(runs):
    frame = accuracy_frame(runs({"hyperinf": [0.7], "datainf": [0.6]}))
    table = accuracy_tables(frame)[0]
    assert frame["accuracy_half_width"].isna().all()
    assert {row[2] for row in table.rows if row[0] == "highest mean"} == {"HyperINF, one seed"}
    assert "0.700 (n/a)" in markdown([table])
    assert "1 seed" in table.title


def test_the_exact_counterpart_of_hyperinf_does_not_contend_with_it(runs):
    read = runs({"hyperinf": OURS, "gfim": [value + 0.01 for value in OURS], "random": RANDOM})
    frame = accuracy_frame(read)
    assert row(frame, "hyperinf")["accuracy_best"]
    assert row(frame, "hyperinf")["accuracy_clear"]
    assert not row(frame, "gfim")["accuracy_best"]


def test_every_table_names_the_model_and_what_is_to_be_known_of_it(runs):
    read = runs({"hyperinf": OURS, "random": RANDOM})
    for table in [*accuracy_tables(accuracy_frame(read)), *detail_tables(details_frame(read))]:
        assert "smol is Smol cut to 4 layers." in table.note


def test_tasks_are_columns_and_models_have_tables_of_their_own(seed_folder):
    folders = [seed_folder(task="a"), seed_folder(task="b"), seed_folder(task="b", model="large", percents=(20,))]
    tables = accuracy_tables(accuracy_frame(read_selection("llm", folders)))
    of_large, of_smol = (table for table in tables if table.title.startswith("Accuracy"))
    assert of_large.headers == ("method", "selection", "20 % kept")
    assert of_smol.headers == ("method", "selection", "a, 20 %", "a, 40 %", "b, 20 %", "b, 40 %")


def test_a_cell_that_was_not_run_is_a_dash(seed_folder):
    rest = {"percents": (40,), "accuracy": {"random": 0.5}}
    folders = [seed_folder(task="a", percents=(20,)), seed_folder(task="b", **rest)]
    table = accuracy_tables(accuracy_frame(read_selection("llm", folders)))[0]
    assert [plain(cell) for cell in table.rows[0][1:]] == ["plain", "0.530 (n/a)", "–"]


def test_references_that_were_not_run_are_left_out(runs):
    tables = accuracy_tables(accuracy_frame(runs({"hyperinf": OURS, "random": RANDOM}, percents=(20,))))
    assert [table.title.split(":")[0] for table in tables] == [
        "Accuracy after fine-tuning on the samples kept",
        "Difference in accuracy",
    ]


def test_details_show_what_was_kept_and_leave_out_what_is_unknown(runs):
    known = detail_tables(details_frame(runs({"hyperinf": OURS, "random": RANDOM})))
    assert known[0].rows[1][0] == "DataInf"
    assert plain(known[0].rows[1][2]) == "+0.100 ± 0.000"
    assert "clean samples among the kept" in known[1].headers


def test_details_tell_how_many_samples_were_too_long_for_the_model(seed_folder):
    read = read_selection(
        "llm", [seed_folder(seed=11, truncated=(1200, 0, 3)), seed_folder(seed=12, truncated=(7, 2, 1))]
    )
    frame = details_frame(read)
    assert set(zip(frame["truncated_pool"], frame["truncated_validation"], frame["truncated_test"])) == {(1200, 2, 3)}
    kept = next(table for table in detail_tables(frame) if table.title.startswith("What was kept"))
    assert "too long for the model" in kept.note
    assert "(the most of any seed): pool 1,200, validation 2, test 3." in kept.note


def test_details_without_corruption_have_neither_roc_auc_nor_clean_shares(runs):
    tables = detail_tables(details_frame(runs({"hyperinf": OURS}, clean=False)))
    assert [table.title.split(":")[0] for table in tables] == ["What was kept at 20 %", "What was kept at 40 %"]
    assert "clean samples among the kept" not in tables[0].headers


def test_sentences_say_which_methods_differ_and_of_which_model(runs):
    read = runs({"hyperinf": OURS, "datainf": [0.60, 0.63, 0.66], "random": RANDOM}, percents=(20,))
    (where, plain_sentence), (_, stratified) = selection_sentences(accuracy_frame(read))
    assert where == "headlines, smol (Smol cut to 4 layers), LoRA rank 8"
    assert stratified == (
        "Stratified selection, 3 seeds: HyperINF's accuracy – 20 % kept: 0.657 ± 0.150 (above random selection; within "
        "noise of the others)."
    )
    assert plain_sentence.startswith("Plain selection")


def test_a_selection_of_one_answer_is_called_collapsed(runs):
    read = runs({"hyperinf": OURS, "datainf": THEIRS, "random": RANDOM})
    ((_, sentence),) = collapse_sentences(details_frame(read))
    assert "Plain selection collapsed" in sentence
    assert "HyperINF, DataInf (at 20 %, 40 % kept)" in sentence
