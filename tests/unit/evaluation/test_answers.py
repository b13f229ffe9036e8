"""What counts as the same answer: against hand-computed values."""

import itertools

import pytest

from hyperinf.data.samples import Sample
from hyperinf.evaluation.answers import answer_metrics, plain, soft_accuracy
from hyperinf.evaluation.vqa_normalization import normalised


def question(answer: str, kind: str = "", accepted: tuple[str, ...] = (), choices: tuple[str, ...] = ()) -> Sample:
    return Sample("q", "", "What?", choices, "another", answer, kind=kind, accepted=accepted)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Red", "red"),
        ("  red.  ", "red"),
        ("a  red\tcircle", "a red circle"),
        ("red\nand more", "red"),
        ("\n red \r\n blue", "red"),
        ("3.5", "3.5"),
        ("", ""),
        (" \n ", ""),
    ],
)
def test_a_plain_answer_is_the_first_line_in_lower_case_without_a_full_stop(text, expected):
    assert plain(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Red car", "red car"),
        ("an apple a day", "apple day"),
        ("Yes.", "yes"),
        ("U.S.A.", "usa"),
        ("3.5 cm.", "3.5 cm"),
        ("100,978", "100978"),
        ("red, white", "red white"),
        ("red,white", "red white"),
        ("t-shirt", "t shirt"),
        ("left/right (both)!", "left right both"),
        ("2:50 pm", "2:50 pm"),
        ("girl's", "girl's"),
        ("$5", "$5"),
        ("100%", "100%"),
        ("two dogs", "2 dogs"),
        ("Ten", "10"),
        ("none", "0"),
        ("twotone", "twotone"),
        ("dont know", "don't know"),
        ("don't know", "don't know"),
        ("Im there", "i'm there"),
        ("theyre couldve thats whod itll wont", "they're could've that's who'd it'll won't"),
        ("its well were shell ill id", "its well were shell ill id"),
        ("5 oclock", "5 o'clock"),
        ("blue\nbecause it is", "blue"),
        ("the", ""),
        ("", ""),
    ],
)
def test_answers_of_people_are_compared_in_the_published_form(text, expected):
    assert normalised(text) == expected


# Of ten people m say it: the mean over the ten subsets of nine of min(matches / 3, 1), by hand. One: nine subsets have
# one match, (9 * 1/3) / 10. Two: (2 * 1/3 + 8 * 2/3) / 10. Three: (3 * 2/3 + 7 * 1) / 10. Four: all have three.
@pytest.mark.parametrize(("matches", "expected"), [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (10, 1.0)])
def test_the_soft_accuracy_of_ten_answers_is_that_of_the_challenge(matches, expected):
    accepted = ["The red."] * matches + ["blue"] * (10 - matches)
    assert soft_accuracy("red", accepted) == pytest.approx(expected, abs=1e-12)
    assert soft_accuracy("red", accepted[::-1]) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("people", range(4, 13))
def test_the_soft_accuracy_is_the_mean_over_the_subsets_that_leave_one_out(people):
    for matches in range(people + 1):
        accepted = [True] * matches + [False] * (people - matches)
        subsets = itertools.combinations(accepted, people - 1)
        slow = sum(min(sum(subset) / 3, 1) for subset in subsets) / people
        assert soft_accuracy("x", ["x" if each else "y" for each in accepted]) == pytest.approx(slow, abs=1e-12)


# Three people: two are left, and both must agree. Two: the one that is left. One: right or wrong.
@pytest.mark.parametrize(
    ("accepted", "expected"),
    [("rrr", 1.0), ("rrb", (2 * 0.5 + 1.0) / 3), ("rbb", 2 * 0.5 / 3), ("rr", 1.0), ("rb", 0.5), ("r", 1.0), ("b", 0)],
)
def test_where_fewer_than_four_have_answered_all_that_are_left_must_agree(accepted, expected):
    assert soft_accuracy("r", list(accepted)) == pytest.approx(expected, abs=1e-12)


def test_there_is_no_soft_accuracy_without_answers():
    with pytest.raises(ValueError, match="accepted is empty"):
        soft_accuracy("red", [])


def test_accuracy_is_given_for_all_questions_and_for_each_kind_under_a_safe_name():
    questions = [
        question("red", "Colour"),
        question("blue", "Colour"),
        question("teal", "Colour"),
        question("yes", "yes/no"),
        question("4", ""),
    ]
    assert answer_metrics(questions, ["Red.", "blue\nand", "a teal", "yes", "5"]) == {
        "accuracy": 3 / 5,
        "accuracy_colour": 2 / 3,
        "accuracy_yes_no": 1.0,
    }


def test_the_true_answer_counts_and_not_the_one_that_was_put_in_its_place():
    assert answer_metrics([question("red")], ["another"]) == {"accuracy": 0.0}


def test_questions_that_several_people_have_answered_count_softly_among_others():
    ten = ("two",) * 3 + ("three",) * 7
    questions = [question("three", "number", ten), question("three", "number", ten), question("red")]
    found = answer_metrics(questions, ["2", "3", "the red"])
    assert found == {"accuracy": pytest.approx((0.9 + 1 + 0) / 3), "accuracy_number": pytest.approx(0.95)}


def test_pope_is_reported_with_precision_recall_and_the_share_of_yes():
    truth = [("yes", "random"), ("yes", "random"), ("yes", "popular"), ("no", "popular"), ("no", "popular")]
    texts = ["Yes", "Yes, there is no doubt", "yes", "No, there is not.", "There is a dog. It is not a cat."]
    # Said: yes, no, yes, no, yes; two of three are right, and two of the three that are there are found.
    questions = [question(answer, kind, choices=("yes", "no")) for answer, kind in truth]
    assert answer_metrics(questions, texts) == {
        "accuracy": 3 / 5,
        "accuracy_random": 1 / 2,
        "accuracy_popular": 2 / 3,
        "precision": 2 / 3,
        "recall": 2 / 3,
        "f1": 2 / 3,
        "yes_fraction": 3 / 5,
    }


def test_pope_without_a_yes_has_no_precision_and_is_no_division_by_zero():
    questions = [question("yes", "random", choices=("yes", "no")), question("no", "random", choices=("yes", "no"))]
    found = answer_metrics(questions, ["no", "no"])
    assert (found["precision"], found["recall"], found["f1"], found["yes_fraction"]) == (0, 0, 0, 0)
    assert found["accuracy"] == 0.5


def test_other_yes_no_questions_are_not_taken_for_pope():
    questions = [question("yes", "yes_no", choices=("yes", "no"))]
    assert answer_metrics(questions, ["perhaps"]) == {"accuracy": 0.0, "accuracy_yes_no": 0.0}
