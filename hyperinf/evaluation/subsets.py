"""Draw random subsets of the training samples."""

import numpy as np
from numpy.typing import NDArray


def draw_subsets(samples: int, fraction: float, count: int, seed: int) -> NDArray[np.bool_]:
    """Draw subsets of equal size, ``[count, samples]``; the first ones are the same however many are drawn.

    Args:
        samples: n, at least 2.
        fraction: of the samples in each, which makes at least one and leaves at least one out.
        count: m.
        seed: of the draws.
    """
    size = min(max(1, round(fraction * samples)), samples - 1)
    drawn = np.zeros((count, samples), dtype=bool)
    for number, row in enumerate(drawn):
        row[np.random.default_rng([seed, 2, number]).permutation(samples)[:size]] = True
    return drawn
