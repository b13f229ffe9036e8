"""Which samples to keep: the least harmful part, over all samples or within each answer."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hyperinf.errors import InputError

STRATEGIES = ("plain", "stratified")


def keep_least_harmful(
    harmfulness: NDArray[np.float64], fraction: float, strata: Sequence[str] | None = None
) -> NDArray[np.int64]:
    """Choose the ``round(fraction * n)`` samples with the smallest influence.

    Equal scores are taken in the order of the samples. With ``strata`` the fraction is taken within each stratum, so
    that what is kept is made up of the strata as all samples are; what rounding leaves goes to the strata with the
    largest remainders (Hamilton's method), the first of equals first.

    Args:
        harmfulness: ``[n]``, positive is harmful.
        fraction: what to keep, in (0, 1].
        strata: n names, or None.

    Returns:
        The kept indices, in ascending order.

    Raises:
        InputError: a fraction out of range or of less than one sample; scores that are not finite.
    """
    n = len(harmfulness)
    if not 0 < fraction <= 1:
        raise InputError(f"fraction: got {fraction}, expected one above 0 and at most 1")
    kept = round(fraction * n)
    if kept < 1:
        raise InputError(f"fraction: got {fraction} of {n} samples, expected at least one sample")
    if not np.isfinite(harmfulness).all():
        raise InputError("influence: got scores that are not finite, expected finite ones; training may have diverged")
    if strata is None:
        return np.sort(np.argsort(harmfulness, kind="stable")[:kept])
    names = np.asarray(strata, dtype=object)
    chosen = []
    for name, quota in quotas(strata, kept).items():
        members = np.flatnonzero(names == name)
        chosen.append(members[np.argsort(harmfulness[members], kind="stable")[:quota]])
    return np.sort(np.concatenate(chosen))


def keep_random(n: int, fraction: float, seed: int, strata: Sequence[str] | None = None) -> NDArray[np.int64]:
    """Choose as :func:`keep_least_harmful` does by scores that are drawn uniformly.

    Raises:
        InputError: as :func:`keep_least_harmful`.
    """
    return keep_least_harmful(np.random.default_rng([seed, 1]).random(n), fraction, strata)


def quotas(strata: Sequence[str], kept: int) -> dict[str, int]:
    """Share ``kept`` out among the strata as they are among all samples, by Hamilton's method."""
    names, counts = np.unique(np.asarray(strata, dtype=object), return_counts=True)
    exact = {str(name): kept * int(count) / len(strata) for name, count in zip(names, counts, strict=True)}
    whole = {name: math.floor(part) for name, part in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (whole[name] - exact[name], name))
    for name in by_remainder[: kept - sum(whole.values())]:
        whole[name] += 1
    return whole
