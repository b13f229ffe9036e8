"""Rows cut into segments that they share, and when that is taken to be worth it."""

import random

import pytest

from hyperinf.models.prefixes import shared_segments, token_count
from hyperinf.models.sharing import sharing_plan


def rows_of(segments, before=()):
    """What the segments put together to: ``{row: indices of the rows that end in its last segment or before}``."""
    found: dict[tuple[int, ...], tuple[int, ...]] = {}
    for segment in segments:
        assert segment.start == len(before)
        assert segment.tokens
        whole = before + segment.tokens
        found |= rows_of(segment.after, whole) if segment.after else {whole: segment.rows}
    return found


def drawn(seed, count=40):
    draw = random.Random(seed)
    return sorted({tuple(draw.randrange(3) for _ in range(draw.randrange(1, 12))) for _ in range(count)}, key=hash)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("worth", [0, 2, 8])
def test_segments_put_together_are_the_rows_and_rows_that_begin_others_go_with_them(seed, worth):
    rows = drawn(seed)
    found = rows_of(shared_segments(rows, worth))
    assert sorted(index for indices in found.values() for index in indices) == list(range(len(rows)))
    for whole, indices in found.items():
        assert all(whole[: len(rows[index])] == rows[index] for index in indices)
        assert whole in {rows[index] for index in indices}


@pytest.mark.parametrize("seed", range(5))
def test_cut_wherever_rows_part_every_beginning_is_run_once(seed):
    rows = drawn(seed)
    beginnings = {row[:length] for row in rows for length in range(1, len(row) + 1)}
    assert token_count(shared_segments(rows, worth=0)) == len(beginnings)


def test_a_segment_has_all_rows_that_it_is_part_of():
    (segment,) = shared_segments([(1, 2, 3), (1, 2, 4), (1, 2)], worth=0)
    assert (segment.tokens, set(segment.rows), segment.end) == ((1, 2), {0, 1, 2}, 2)
    assert [(each.tokens, each.start) for each in segment.after] == [((3,), 2), ((4,), 2)]


@pytest.mark.parametrize(("shared", "ends", "cut"), [(16, 2, True), (15, 2, False), (11, 4, True), (10, 4, False)])
def test_a_beginning_is_cut_off_where_it_saves_eight_tokens_for_each_row_that_goes_on(shared, ends, cut):
    rows = [(*range(shared), 100 + end, 7) for end in range(ends)]
    assert (len(shared_segments(rows)) == 1) == cut
    assert token_count(shared_segments(rows)) == (shared + 2 * ends if cut else ends * (shared + 2))


def test_levels_are_an_instruction_for_all_a_context_for_some_a_question_and_its_choices():
    instruction = tuple(range(100, 120))
    contexts = [tuple(range(start, start + 30)) for start in (200, 300)]
    questions = [(*instruction, *context, *range(400 + 20 * n, 415 + 20 * n)) for context in contexts for n in range(3)]
    rows = [(*question, choice, 1, 2) for question in questions for choice in range(4)]
    assert token_count(shared_segments(rows)) == 20 + 2 * 30 + 6 * 15 + 24 * 3


def questions(prompt, choices, count=20, length=4):
    """Rows of questions that have nothing in common, and each one's indices."""
    rows = [
        (*range(1000 * n, 1000 * n + prompt), *range(-choice - 1, -choice - 1 - length, -1))
        for n in range(count)
        for choice in range(choices)
    ]
    return rows, [range(n * choices, (n + 1) * choices) for n in range(count)]


def test_what_saves_enough_tokens_is_shared_its_trial_included():
    rows, asked = questions(prompt=40, choices=4)
    plan = sharing_plan(rows, asked)
    assert token_count(plan.segments) == 20 * (40 + 4 * 4)
    assert set(plan.tried) == set(asked[0])
    assert sharing_plan(*questions(prompt=40, choices=4, count=1)) is None


def test_nothing_is_planned_where_little_is_saved():
    assert sharing_plan(*questions(prompt=20, choices=2, length=100)) is None
    assert sharing_plan([], []) is None
    assert sharing_plan([(1, 2), (3, 4)], [[0], [1]]) is None


def test_where_every_question_is_one_row_examples_before_it_are_shared_and_a_short_instruction_is_not():
    for shared, planned in ((15, False), (30, True)):
        rows = [(*range(shared), *range(1000 * n, 1000 * n + 20)) for n in range(1, 51)]
        plan = sharing_plan(rows, [[n] for n in range(50)])
        assert (plan is not None) == planned
    assert token_count(plan.segments) == 30 + 50 * 20
    assert len(plan.tried) == 2
    assert token_count(plan.tried_segments) == 30 + 2 * 20


def test_questions_whose_rows_have_nothing_in_common_are_no_trial():
    rows, asked = questions(prompt=40, choices=4)
    apart = [(*range(5000 + 100 * n, 5060 + 100 * n), n) for n in range(2)]
    plan = sharing_plan(rows + apart, [*asked, [len(rows), len(rows) + 1]])
    assert not {len(rows), len(rows) + 1} & set(plan.tried)
