import pytest

from hyperinf.answers import answer_metrics, normalised, plain, soft_accuracy
from hyperinf.data.questions import Question


def question(true, kind="", accepted=()):
    return Question("q", "", "?", (), true, true, kind=kind, accepted=tuple(accepted))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Two dogs.", "2 dogs"),
        ("1.5", "1.5"),
        ("100,978 people", "100978 people"),
        ("yes, it is", "yes it is"),
        ("Dont know", "don't know"),
        ("10:30", "10:30"),
        ("man's", "man's"),
        ("red/white", "red white"),
        ("", ""),
    ],
)
def test_answers_are_normalised_by_the_published_rules(text, expected):
    assert normalised(text) == expected


def test_soft_accuracy_is_the_mean_over_nine_of_ten_people():
    # Three of ten said so: leaving out one of the three gives 2/3, leaving out one of the others gives 1.
    assert soft_accuracy("cat", ["cat"] * 3 + ["dog"] * 7) == pytest.approx((3 * 2 / 3 + 7) / 10)
    assert soft_accuracy("cat", ["cat"] * 1 + ["dog"] * 9) == pytest.approx(9 * (1 / 3) / 10)
    assert soft_accuracy("cat", ["cat"] * 4 + ["dog"] * 6) == 1
    assert soft_accuracy("bird", ["cat"] * 10) == 0
    assert soft_accuracy("cat", []) == 0


def test_the_first_line_counts_without_case_or_full_stop():
    assert plain("  A Red.\nand more") == "a red"
    assert plain(" ") == ""


def test_metrics_are_given_for_all_questions_and_for_each_kind():
    questions = [question("red", "colour"), question("blue", "colour"), question("circle", "The shape!"), question("x")]
    found = answer_metrics(questions, [" Red.", "red", "circle", "y"])
    assert found == {"accuracy": 0.5, "accuracy_colour": 0.5, "accuracy_the_shape": 1.0}


def test_questions_that_people_have_answered_score_softly():
    found = answer_metrics([question("2", accepted=["two"] * 4 + ["3"] * 6), question("x")], ["2", "x"])
    assert found == {"accuracy": 1.0}


def test_pope_is_reported_with_precision_and_recall_of_yes():
    true = ["yes", "yes", "yes", "no", "no"]
    said = ["Yes", "yes", "no", "yes", "no"]
    found = answer_metrics([question(each, "popular") for each in true], said)
    assert found["accuracy"] == found["accuracy_popular"] == pytest.approx(3 / 5)
    assert found["precision"] == found["recall"] == found["f1"] == pytest.approx(2 / 3)
    assert found["yes_share"] == pytest.approx(3 / 5)
