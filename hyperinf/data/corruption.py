"""Training samples harmed on purpose: wrong labels or answers, and samples of another task."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hyperinf.data.samples import Sample
from hyperinf.errors import InputError
from hyperinf.settings.data import CorruptionSettings

LABEL_NOISE = "label_noise"
OFF_TASK = "off_task"


def corrupt(
    where: str,
    samples: Sequence[Sample],
    settings: CorruptionSettings,
    foreign: Sequence[Sample],
    places: np.random.Generator,
    answers: np.random.Generator,
    labelled: bool,
) -> list[Sample]:
    """Give exactly ``round(label_noise * n)`` samples a wrong answer, and replace others by those of another task.

    Which question is harmed follows from one permutation, wrong answers from its beginning and off-task samples from
    its end: the two share no place, more of one leaves the other as it is, and fewer are always a part of more. Which
    label is flipped is told by the stream that tells what it becomes.

    Args:
        where: the source, for messages.
        samples: the ``n`` samples as drawn.
        settings: how many become wrong, and how.
        foreign: the samples of another task, as many as are to be replaced.
        places: where the choice of places comes from.
        answers: where the choice of wrong answers comes from.
        labelled: the samples are texts with labels, not questions.

    Raises:
        InputError: wrong answers are asked for, and a sample has no choices to be wrong with; or more is to be
            harmed than there is.
    """
    wrong = round(settings.label_noise * len(samples))
    _check(where, samples, wrong, len(foreign))
    order = places.permutation(len(samples))
    if labelled:
        chosen = answers.choice(len(samples), size=wrong, replace=False)
        others = _others([samples[index] for index in chosen], settings, answers)
        free = order[~np.isin(order, chosen)]
    else:
        chosen, free = order[:wrong], order[::-1]
        # One for every sample, whether it is used or not.
        everyone = _others(samples, settings, answers) if wrong else []
        others = [everyone[index] for index in chosen]
    harmed = list(samples)
    for index, answer in zip(chosen, others, strict=True):
        harmed[index] = replace(samples[index], answer=answer, corruption=LABEL_NOISE)
    for index, sample in zip(free, foreign, strict=False):
        harmed[index] = replace(sample, sample_id=f"{OFF_TASK}/{sample.sample_id}", corruption=OFF_TASK)
    return harmed


def _check(where: str, samples: Sequence[Sample], wrong: int, foreign: int) -> None:
    if wrong + foreign > len(samples):
        raise InputError(
            f"{where}: got {wrong:,} wrong answers and {foreign:,} off-task samples to put in,"
            f" expected no more than the {len(samples):,} training samples"
        )
    without = [each.sample_id for each in samples if not each.choices] if wrong else []
    if without:
        raise InputError(
            f"{where}: got {len(without):,} training samples without choices (first {without[0]}), expected choices"
            " for each that may get a wrong answer; give them, or set label_noise to 0"
        )


def _others(samples: Sequence[Sample], settings: CorruptionSettings, rng: np.random.Generator) -> list[str]:
    """Choose for each sample another of its choices: uniformly, or the next one, the first after the last."""
    sizes = np.array([len(each.choices) for each in samples], dtype=np.int64)
    true = np.array([each.choices.index(each.true_answer) for each in samples], dtype=np.int64)
    # An offset of 1 to size - 1 reaches every other choice with the same probability, and never the own one.
    offsets = 1 if settings.noise_mode == "next" else rng.integers(1, np.maximum(sizes, 2))
    wrong: NDArray[np.int64] = (true + offsets) % sizes
    return [each.choices[index] for each, index in zip(samples, wrong, strict=True)]
