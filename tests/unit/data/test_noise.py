import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperinf.data.label_noise import flip_labels
from hyperinf.errors import InputError


@given(
    labels=st.lists(st.integers(0, 4), max_size=60),
    rate=st.floats(0, 1, exclude_max=True),
    extra=st.integers(0, 3),
    seed=st.integers(0, 2**32),
)
def test_exactly_the_rounded_share_of_labels_changes_and_the_mask_says_which(labels, rate, extra, seed):
    noisy, flipped = flip_labels(labels, rate, 5 + extra, np.random.default_rng(seed))
    assert flipped.sum() == round(rate * len(labels))
    for before, after, is_flipped in zip(labels, noisy, flipped, strict=True):
        assert (before != after) == is_flipped
        assert 0 <= after < 5 + extra


def test_with_two_classes_every_flip_is_to_the_other_one():
    labels = np.tile([0, 1], 500)
    noisy, flipped = flip_labels(labels, 0.2, 2, np.random.default_rng(0))
    assert flipped.sum() == 200
    np.testing.assert_array_equal(noisy, np.where(flipped, 1 - labels, labels))


def test_every_other_class_is_equally_likely():
    noisy, flipped = flip_labels(np.full(60_000, 2), 0.5, 4, np.random.default_rng(1))
    counts = np.bincount(noisy[flipped], minlength=4)
    assert counts[2] == 0
    # 30,000 flips into three classes: five standard deviations are 408.
    assert np.abs(counts[[0, 1, 3]] - 10_000).max() < 408


def test_every_sample_is_equally_likely_to_be_flipped():
    rng = np.random.default_rng(2)
    times = sum(flip_labels([0, 1] * 10, 0.25, 2, rng)[1].astype(int) for _ in range(4_000))
    # Binomial with 4,000 draws of probability 0.25: five standard deviations are 137.
    assert np.abs(times - 1_000).max() < 137


def test_the_same_seed_flips_the_same_labels_and_another_seed_others():
    def flip(seed):
        return flip_labels([0, 1, 2] * 30, 0.3, 3, np.random.default_rng(seed))[0].tolist()

    assert flip(3) == flip(3)
    assert flip(3) != flip(4)


def test_the_given_labels_are_left_as_they_are():
    labels = np.zeros(10, dtype=np.int64)
    flip_labels(labels, 0.9, 2, np.random.default_rng(0))
    assert not labels.any()


@pytest.mark.parametrize("rate", [-0.01, 1, 1.2, float("nan")])
def test_a_rate_outside_its_range_is_refused(rate):
    with pytest.raises(InputError, match=f"noise rate is {rate}"):
        flip_labels([0, 1], rate, 2, np.random.default_rng(0))


def test_labels_outside_the_classes_and_flips_within_one_class_are_refused():
    with pytest.raises(InputError, match=r"labels lie in 0\.\.2, expected 0\.\.1"):
        flip_labels([0, 2], 0.5, 2, np.random.default_rng(0))
    with pytest.raises(InputError, match="among 1 class"):
        flip_labels([0, 0], 0.5, 1, np.random.default_rng(0))
