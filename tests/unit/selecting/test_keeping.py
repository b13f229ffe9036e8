"""Which rows are kept."""

import numpy as np
import pytest

from hyperinf.errors import InputError
from hyperinf.selecting.duplicates import groups, signature
from hyperinf.selecting.keeping import best_of_groups, in_turns, length_bias, number_kept, quarters, standardised

ALL = np.ones(6, dtype=bool)


@pytest.mark.parametrize(
    ("share", "rows", "kept"),
    [("20%", 10, 2), ("0.2", 10, 2), (".25", 8, 2), ("7", 10, 7), ("100%", 3, 3), ("1.0", 3, 3), ("12.5%", 16, 2)],
)
def test_a_share_is_so_many_rows(share, rows, kept):
    assert number_kept(share, rows) == kept


@pytest.mark.parametrize(("share", "rows"), [("20%", 2), ("7", 6), ("0.01", 20)])
def test_no_row_or_more_than_there_are_is_refused(share, rows):
    with pytest.raises(InputError, match=share):
        number_kept(share, rows)


def test_one_target_keeps_its_smallest():
    scores = np.array([[3.0], [1], [2], [0], [5], [4]])
    assert in_turns(scores, 3, ALL) == [3, 1, 2]


def test_targets_choose_in_turn_and_pass_over_what_is_taken():
    scores = np.array([[0.0, 1], [1, 0], [2, 5], [3, 4], [4, 3], [5, 2]])
    assert in_turns(scores, 4, ALL) == [0, 1, 2, 5]
    assert sorted(in_turns(scores, 6, ALL)) == list(range(6))
    assert len(in_turns(scores, 6, scores[:, 0] < 2)) == 2


def test_each_stratum_keeps_its_share():
    scores = np.arange(6.0)[:, None]
    assert sorted(in_turns(scores, 3, ALL, ["a", "a", "a", "a", "b", "b"])) == [0, 1, 4]


def test_scores_that_are_not_finite_are_refused():
    with pytest.raises(InputError, match="finite"):
        in_turns(np.array([[0.0], [np.nan]]), 1, np.ones(2, dtype=bool))


def test_no_target_outweighs_another():
    scores = np.array([[1.0, 1000], [2, 3000], [3, 2000]])
    assert np.allclose(standardised(scores).std(axis=0), 1)
    assert np.allclose(standardised(np.ones((3, 1))), 0)


def test_rows_that_are_nearly_the_same_are_one_group_and_the_best_of_it_stays():
    text = " ".join(f"word{place}" for place in range(40))
    texts = [text, text.upper(), text.replace("word39", "other"), "something else entirely, of other words", "", "  "]
    signatures = np.array([signature(each) for each in texts])
    found = groups(signatures)
    assert found[:4].tolist() == [0, 0, 0, 3]
    scores = np.array([2.0, 1, 3, 0, 5, 5])
    assert best_of_groups(found, scores)[:4].tolist() == [False, True, False, True]
    assert groups(signatures, [0, 3])[:4].tolist() == [0, 1, 2, 3]


def test_half_of_the_words_in_common_is_not_the_same():
    one, other = (" ".join(f"{each}{place}" for place in range(20)) for each in "ab")
    shared = " ".join(f"c{place}" for place in range(20))
    assert groups(np.array([signature(f"{one} {shared}"), signature(f"{other} {shared}")])).tolist() == [0, 1]


def test_lengths_fall_into_quarters():
    names = quarters(np.arange(100))
    assert {name: names.count(name) for name in dict.fromkeys(names)} == {
        "shortest": 25,
        "short": 25,
        "long": 25,
        "longest": 25,
    }


def test_bias_towards_long_answers_is_positive():
    lengths = np.arange(10)
    assert length_bias(-lengths.astype(float), lengths) == pytest.approx(1)
    assert length_bias(np.zeros(10), lengths) == 0
    assert length_bias(lengths.astype(float), np.ones(10, dtype=int)) == 0
