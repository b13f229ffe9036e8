"""Labels and answers made wrong on purpose: how many, which, into what."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperinf.data.corruption import corrupt
from hyperinf.data.samples import Sample
from hyperinf.errors import InputError
from hyperinf.settings.data import CorruptionSettings

CLASSES = tuple("abcdefgh")


def samples(labels, classes=CLASSES):
    return [Sample(str(i), f"text {i}", "", classes, classes[k], classes[k]) for i, k in enumerate(labels)]


FOREIGN = [Sample(f"f{i}", f"other {i}", "", ("x", "y"), "x", "x") for i in range(60)]


def harmed(labelled, labels, seed=0, classes=CLASSES, foreign=0, **settings):
    places, answers = (np.random.default_rng(each) for each in np.random.SeedSequence(seed).spawn(2))
    drawn, asked = samples(labels, classes), CorruptionSettings(**settings)
    return corrupt("set", drawn, asked, FOREIGN[:foreign], places, answers, labelled)


BOTH = pytest.mark.parametrize("labelled", [False, True], ids=["questions", "labels"])


@BOTH
@given(
    labels=st.lists(st.integers(0, 4), max_size=60),
    noise=st.floats(0, 0.5),
    part=st.floats(0, 0.4),
    seed=st.integers(0, 2**32),
    mode=st.sampled_from(["uniform", "next"]),
)
def test_exactly_the_rounded_numbers_are_wrong_and_off_task_and_say_so(labelled, labels, noise, part, seed, mode):
    foreign = min(round(part * len(labels)), len(labels) - round(noise * len(labels)))
    found = harmed(labelled, labels, seed, foreign=foreign, label_noise=noise, noise_mode=mode)
    counts = Counter(each.corruption for each in found)
    assert (counts["label_noise"], counts["off_task"]) == (round(noise * len(labels)), foreign)
    for before, after in zip(samples(labels), found, strict=True):
        if after.corruption == "off_task":
            assert after.sample_id.startswith("off_task/f")
            assert after.answer == after.true_answer == "x"
            continue
        assert (after.sample_id, after.true_answer) == (before.sample_id, before.answer)
        assert (after.answer != after.true_answer) == (after.corruption == "label_noise")
        assert after.answer in CLASSES
        if after.corruption and mode == "next":
            assert CLASSES.index(after.answer) == (CLASSES.index(before.answer) + 1) % len(CLASSES)


@BOTH
def test_every_other_class_is_equally_likely(labelled):
    found = harmed(labelled, [2] * 60_000, 1, CLASSES[:4], label_noise=0.5)
    counts = Counter(each.answer for each in found if each.corruption)
    # 30,000 flips into three classes: five standard deviations are 408.
    assert counts.keys() == set("abd")
    assert max(abs(counts[name] - 10_000) for name in "abd") < 408


@BOTH
def test_every_sample_is_equally_likely_to_be_flipped(labelled):
    times = np.zeros(20)
    for seed in range(4_000):
        times += [bool(each.corruption) for each in harmed(labelled, [0, 1] * 10, seed, CLASSES[:2], label_noise=0.25)]
    # Binomial with 4,000 draws of probability 0.25: five standard deviations are 137.
    assert np.abs(times - 1_000).max() < 137


@BOTH
def test_the_same_seed_flips_the_same_labels_and_another_seed_others(labelled):
    assert harmed(labelled, [0, 1, 2] * 30, 3, label_noise=0.3) == harmed(labelled, [0, 1, 2] * 30, 3, label_noise=0.3)
    assert harmed(labelled, [0, 1, 2] * 30, 3, label_noise=0.3) != harmed(labelled, [0, 1, 2] * 30, 4, label_noise=0.3)


@BOTH
def test_off_task_samples_leave_the_wrong_answers_as_they_are(labelled):
    alone, both = (harmed(labelled, [0, 1] * 50, foreign=number, label_noise=0.5) for number in (0, 40))
    assert [each for each in both if each.corruption == "label_noise"] == [each for each in alone if each.corruption]


def test_labels_are_flipped_as_by_a_plain_loop_over_numpys_choice():
    rng = np.random.default_rng(np.random.SeedSequence(7).spawn(2)[1])
    labels = [i % 5 for i in range(200)]
    chosen = rng.choice(200, size=40, replace=False)
    expected = list(labels)
    for place, offset in zip(chosen, rng.integers(1, 5, size=40), strict=True):
        expected[place] = (labels[place] + offset) % 5
    found = harmed(True, labels, 7, CLASSES[:5], label_noise=0.2)
    assert [each.choices.index(each.answer) for each in found] == expected


@BOTH
def test_what_cannot_be_harmed_is_refused(labelled):
    short = [Sample(str(i), "c", "", (), "a", "a") for i in range(3)]
    places, answers = (np.random.default_rng(i) for i in range(2))
    with pytest.raises(InputError, match="set: got 3 training samples without choices"):
        corrupt("set", short, CorruptionSettings(label_noise=0.5), [], places, answers, labelled)
    with pytest.raises(InputError, match="2 wrong answers and 3 off-task samples .* expected no more than the 4"):
        harmed(labelled, [0] * 4, foreign=3, label_noise=0.5)
