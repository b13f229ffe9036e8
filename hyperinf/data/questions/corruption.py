"""A pool made worse on purpose: wrong answers, and questions of another task."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hyperinf.data.label_noise import other_classes
from hyperinf.data.questions.config import WrongMode
from hyperinf.data.questions.question import Question
from hyperinf.errors import InputError

WRONG_ANSWER = "wrong_answer"
OFF_TASK = "off_task"


def corrupt(
    where: str,
    pool: Sequence[Question],
    wrong: int,
    mode: WrongMode,
    off_task: Sequence[Question],
    places: np.random.Generator,
    answers: np.random.Generator,
) -> list[Question]:
    """Give ``wrong`` questions of the pool a wrong answer, and replace others by those of another task.

    Which question is corrupted follows from one permutation, wrong answers from its beginning and off-task questions
    from its end: the two share no place, more of one leaves the other as it is, and fewer are always a part of more.

    Args:
        where: the source, for messages.
        pool: the questions as drawn.
        wrong: how many get a wrong answer; with ``len(off_task)`` at most ``len(pool)``.
        mode: how a wrong answer is chosen among the question's other choices.
        off_task: the questions of another task, as many as are to be replaced.
        places: where the choice of places comes from.
        answers: where the choice of wrong answers comes from.

    Raises:
        InputError: wrong answers are asked for, and a question has no choices to be wrong with; or more is to be
            corrupted than there is.
    """
    if wrong + len(off_task) > len(pool):
        raise InputError(
            f"{where}: {wrong:,} wrong answers and {len(off_task):,} off-task questions do not fit"
            f" into a pool of {len(pool):,}"
        )
    order = places.permutation(len(pool))
    corrupted = list(pool)
    if wrong:
        replacements = _wrong_answers(where, pool, mode, answers)
        for index in order[:wrong]:
            corrupted[index] = replace(pool[index], answer=replacements[index], corruption=WRONG_ANSWER)
    for index, question in zip(order[::-1], off_task, strict=False):
        corrupted[index] = replace(question, sample_id=f"{OFF_TASK}/{question.sample_id}", corruption=OFF_TASK)
    return corrupted


def _wrong_answers(where: str, pool: Sequence[Question], mode: WrongMode, answers: np.random.Generator) -> list[str]:
    """A wrong answer for every question, whether it is used or not."""
    without = [each.sample_id for each in pool if not each.choices]
    if without:
        raise InputError(
            f"{where}: wrong answers are asked for, but {len(without):,} questions of the pool have no choices"
            f" (first {without[0]}); give each its choices, or set wrong_answers to 0"
        )
    sizes = np.array([len(each.choices) for each in pool], dtype=np.int64)
    true = np.array([each.choices.index(each.true_answer) for each in pool], dtype=np.int64)
    wrong: NDArray[np.int64] = (true + 1) % sizes if mode == "next" else other_classes(true, sizes, answers)
    return [each.choices[index] for each, index in zip(pool, wrong, strict=True)]
