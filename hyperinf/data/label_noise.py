"""Wrong labels on purpose: how many, which, and into what."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperinf.errors import InputError


def check_share(name: str, share: float) -> None:
    """Refuse what is not a share of the samples below one.

    Raises:
        InputError: naming the share.
    """
    if not 0 <= share < 1:
        raise InputError(f"{name} is {share}, expected a number from 0 up to, but without, 1")


def check_noise_rate(rate: float) -> None:
    """Refuse a rate that is not a share of the samples below one.

    Raises:
        InputError: naming the rate.
    """
    check_share("noise rate", rate)


def other_classes(
    labels: NDArray[np.int64], num_classes: int | NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Another class for each label, chosen uniformly.

    Args:
        labels: ``[n]`` integers in ``[0, num_classes)``.
        num_classes: number of classes; ``[n]`` where it differs from label to label. Below 2 there is no other.
        rng: where the choice comes from.
    """
    # An offset of 1 to num_classes - 1 reaches every other class with the same probability, and never the own one.
    return (labels + rng.integers(1, np.maximum(num_classes, 2), size=labels.size)) % num_classes


def flip_labels(
    labels: ArrayLike, rate: float, num_classes: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Flip exactly ``round(rate * n)`` distinct labels, each to another class chosen uniformly.

    Args:
        labels: ``[n]`` integers in ``[0, num_classes)``.
        rate: share of the labels to flip, in ``[0, 1)``; with 0 nothing changes.
        num_classes: number of classes.
        rng: where the choice comes from.

    Returns:
        The noisy labels ``[n]`` and a mask ``[n]`` that is true where a label was flipped; a flipped label always
        differs from the true one.

    Raises:
        InputError: the rate is out of range, a label is, or there is no other class to flip to.
    """
    check_noise_rate(rate)
    true = np.asarray(labels, dtype=np.int64)
    if num_classes < 2 and rate > 0:
        raise InputError(f"labels cannot be flipped among {num_classes} class; at least 2 are needed")
    if true.size and (true.min() < 0 or true.max() >= num_classes):
        raise InputError(f"labels lie in {true.min()}..{true.max()}, expected 0..{num_classes - 1}")
    chosen = rng.choice(true.size, size=round(rate * true.size), replace=False)
    noisy = true.copy()
    noisy[chosen] = other_classes(true[chosen], num_classes, rng)
    flipped = np.zeros(true.size, dtype=np.bool_)
    flipped[chosen] = True
    return noisy, flipped
