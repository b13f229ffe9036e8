"""Wrong labels made on purpose."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


def flipped(labels: Ints, encodings: Floats, kind: str, rate: float, seed: int) -> Ints:
    """Flip a share of the labels.

    Args:
        labels: ``[n]`` class numbers.
        encodings: ``[n, d]``, for the kinds that ask what is alike.
        kind: see ``protocol.yaml``.
        rate: share of the rows.
        seed: of the draw.
    """
    draw = np.random.default_rng(seed)
    classes, count = int(labels.max()) + 1, round(rate * len(labels))
    changed = labels.copy()
    if kind == "uniform":
        rows = draw.choice(len(labels), count, replace=False)
        changed[rows] = (labels[rows] + draw.integers(1, classes, count)) % classes
    elif kind == "class":
        means = np.stack([encodings[labels == each].mean(axis=0) for each in range(classes)])
        near = _unit(means - means.mean(axis=0))
        alike = near @ near.T
        np.fill_diagonal(alike, -np.inf)
        rows = draw.choice(len(labels), count, replace=False)
        changed[rows] = alike.argmax(axis=1)[labels[rows]]
    else:
        unit = _unit(encodings)
        alike = unit @ unit.T
        alike[labels[:, None] == labels[None, :]] = -np.inf
        # Among three times as many rows as are flipped, those that look most like a row of another class.
        pool = draw.choice(len(labels), min(len(labels), 3 * count), replace=False)
        rows = pool[np.argsort(-alike[pool].max(axis=1), kind="stable")[:count]]
        changed[rows] = labels[alike[rows].argmax(axis=1)]
    return changed


def _unit(rows: Floats) -> Floats:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
