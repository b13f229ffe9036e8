import pytest

from hyperinf.reporting.costs import cost_tables
from hyperinf.reporting.detection_tables import detection_tables, epochs_tables
from hyperinf.reporting.kinds_tables import kinds_tables
from hyperinf.reporting.selection_tables import accuracy_tables, details_tables
from hyperinf.reporting.settings_tables import settings_tables
from hyperinf.reporting.summary import study_sentences
from hyperinf.reporting.table_writers import markdown, plain

OURS, THEIRS, RANDOM = [0.65, 0.60, 0.72], [0.61, 0.57, 0.65], [0.50, 0.46, 0.56]


def texts(row):
    return [plain(cell) for cell in row]


def test_finding_is_shown_at_one_checkpoint_and_against_all_of_them(study):
    read = study(
        found={"hyperinf": OURS, "datainf": THEIRS},
        checkpoints=("epoch-1", "epoch-3"),
        shape={"family": "classifier", "checkpoint": "epoch-3"},
    )
    rows, (means, differences) = detection_tables(read)
    assert set(rows["checkpoint"]) == {"epoch-3"}
    assert means.title == "Finding flipped labels: headlines, smol, LoRA rank 8, epoch 3, 3 seeds"
    assert means.headers[1:] == (
        "ROC-AUC",
        "found at 20 % inspected",
        "found at 40 % inspected",
        "area under the detection curve",
    )
    assert texts(means.rows[0]) == ["HyperINF", *["0.657 ± 0.150"] * 4]
    assert texts(differences.rows[0])[0] == "HyperINF − DataInf"
    _, (means, _) = epochs_tables(read)
    assert means.headers == ("method", "1 epoch", "3 epochs")
    assert texts(means.rows[-1]) == ["test accuracy of the model", *["0.750 ± 0.000"] * 2]


def test_one_seed_marks_no_best_and_shows_no_interval(study):
    read = study({"hyperinf": [0.8], "datainf": [0.1]}, {"hyperinf": [0.8], "datainf": [0.1]})
    assert markdown(detection_tables(read)[1][:1]).count("0.800 (n/a)") == 4
    table = accuracy_tables(read)[1][0]
    assert {row[2] for row in table.rows if row[0] == "highest mean"} == {"HyperINF, one seed"}
    assert "**0." not in markdown([table])
    assert "1 seed" in table.title


@pytest.mark.parametrize(
    ("ours", "theirs", "said"), [(OURS, RANDOM, "clear"), ([0.8, 0.5, 0.7], [0.6, 0.7, 0.5], "within noise")]
)
def test_the_best_is_bold_only_when_it_is_clear_of_the_second(study, ours, theirs, said):
    table = accuracy_tables(study({"hyperinf": ours, "random": theirs}))[1][0]
    assert {row[2] for row in table.rows if row[0] == "highest mean"} == {f"HyperINF, {said}"}
    assert ("**0." in markdown([table])) == (said == "clear")


def test_every_table_names_the_model_and_what_is_to_be_known_of_it(study):
    read = study({"hyperinf": OURS, "random": RANDOM}, {"hyperinf": OURS})
    for builder in (accuracy_tables, details_tables, detection_tables):
        for table in builder(read)[1]:
            assert "smol is Smol cut to 4 layers." in table.note
    assert cost_tables(read)[1][0].title.endswith("headlines, smol (Smol cut to 4 layers), LoRA rank 8")


def test_tasks_are_columns_and_models_have_tables_of_their_own(study):
    names = [{"task": task, "model": model} for task in ("a", "b") for model in ("large", "smol")]
    shape = {"tasks": ["a", "b"], "models": ["large", "smol"]}
    tables = accuracy_tables(study({"hyperinf": [0.6]}, names=names, shape=shape))[1]
    of_large, of_smol = (table for table in tables if table.title.startswith("Accuracy"))
    assert "large" in of_large.title
    assert of_smol.headers == ("method", "selection", "a, 20 %", "a, 40 %", "b, 20 %", "b, 40 %")


def test_references_that_were_not_run_are_left_out(study):
    tables = accuracy_tables(study({"hyperinf": OURS, "random": RANDOM}, fractions=(0.2,)))[1]
    assert [table.title.split(":")[0] for table in tables] == [
        "Accuracy after fine-tuning on the samples kept",
        "Difference in accuracy",
    ]
    assert "HyperINF − whole training set" not in {row[0] for row in tables[1].rows}


def test_details_show_what_was_kept_and_leave_out_what_is_unknown(study):
    known = details_tables(study({"hyperinf": OURS, "random": RANDOM}, truncated=(1200, 2, 3)))[1]
    assert [table.title.split(":")[0] for table in known] == ["What was kept at 20 %", "What was kept at 40 %"]
    assert known[0].headers[2:] == (
        "accuracy, by likelihood per character",
        "clean samples among the kept",
        "share of the most frequent answer",
        "samples kept",
    )
    assert texts(known[0].rows[0]) == ["HyperINF", "plain", "0.557 ± 0.150", "0.757 ± 0.150", "1.000 ± 0.000", "300"]
    assert "train 1,200, validation 2, test 3." in known[0].note


def test_details_without_corruption_have_no_clean_fraction(study):
    tables = details_tables(study({"hyperinf": OURS}, clean=False))[1]
    assert "clean samples among the kept" not in tables[0].headers


def test_kinds_are_columns_with_a_dash_where_a_kind_is_unknown(study):
    tables = kinds_tables(study({"hyperinf": OURS, "random": RANDOM}, kinds={"yes_no": -0.1, "colour": 0.2}))[1]
    assert [table.title.partition(":")[0][-8:] for table in tables] == ["0 % kept"] * 2
    assert tables[0].headers == ("method", "selection", "all questions", "colour", "yes/no")
    rows = {row[:2]: texts(row[2:]) for row in tables[0].rows}
    assert rows["whole training set", "–"] == ["0.550 ± 0.000", "0.750 ± 0.000", "0.450 ± 0.000"]
    assert rows["most frequent answer", "–"] == ["0.510 ± 0.000", "–", "–"]


def test_questions_without_kinds_have_a_table_that_says_so(study):
    rows, (table,) = kinds_tables(study({"hyperinf": OURS}))
    assert rows["metric"].eq("accuracy").all()
    assert "not told apart by kind" in table.note


def test_settings_stand_side_by_side_and_those_that_train_the_same_are_subtracted(study):
    settings = ["lora-8", "lora-8.of-projector", "last_layer"]
    names = [{"setting": setting} for setting in settings]
    read = study({"hyperinf": OURS, "random": RANDOM}, names=names, shape={"settings": settings})
    _, (accuracies, differences) = settings_tables(read)
    assert {row[2] for row in accuracies.rows} == {
        "LoRA rank 8",
        "LoRA rank 8, gradients of the projector only",
        "last layer",
    }
    assert {(row[0], row[2]) for row in differences.rows} == {("HyperINF", "projector − all")}
    assert texts(differences.rows[0])[3:] == ["+0.000 ± 0.000"] * 2


def test_sentences_say_what_differs_and_of_which_model(study):
    values = {"hyperinf": OURS, "datainf": [0.60, 0.63, 0.66], "random": RANDOM}
    ((where, said),) = study_sentences(study(values, values, fractions=(0.2,))).items()
    assert where == "headlines, smol (Smol cut to 4 layers), LoRA rank 8"
    assert said[0] == (
        "HyperINF's ROC-AUC is 0.657 ± 0.150 (3 seeds): above random order (by 0.150); undecided against DataInf."
    )
    assert said[2] == (
        "Stratified selection, 3 seeds: HyperINF's accuracy – 20 % kept: 0.657 ± 0.150 (above random selection (by "
        "0.150); undecided against DataInf)."
    )


def test_a_selection_of_one_answer_is_called_collapsed(study):
    (said,) = study_sentences(study({"hyperinf": OURS, "datainf": THEIRS, "random": RANDOM})).values()
    (sentence,) = (sentence for sentence in said if "collapsed" in sentence)
    assert sentence.startswith("Plain selection collapsed")
    assert "HyperINF, DataInf (at 20 %, 40 % kept)" in sentence
