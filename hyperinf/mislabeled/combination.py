"""Signals of one kind each, and their combination; more is more suspicious."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from hyperinf.mislabeled.detection import ByAdapters, Evidence
from hyperinf.mislabeled.linear import product_of

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


def loss(probabilities: Floats, labels: Ints) -> Floats:
    """Give the negative log-probability of the label that a row bears, ``[n]``."""
    own = probabilities[np.arange(len(labels)), labels]
    return -np.log(np.clip(own, 1e-9, 1)).astype(np.float32)


def margin(probabilities: Floats, labels: Ints) -> Floats:
    """Give by how much the most likely other label is more probable than the one a row bears, ``[n]``, -1 to 1."""
    return margins(probabilities)[np.arange(len(labels)), labels]


def margins(probabilities: Floats) -> Floats:
    """Give what the margin of each row would be with each label, ``[n, classes]``."""
    rows, first = np.arange(len(probabilities)), probabilities.argmax(axis=1)
    others = np.repeat(probabilities[rows, first][:, None], probabilities.shape[1], axis=1)
    rest = probabilities.copy()
    rest[rows, first] = -np.inf
    others[rows, first] = rest.max(axis=1)
    return (others - probabilities).astype(np.float32)


def log_margin(probabilities: Floats, labels: Ints) -> Floats:
    """Give the log-odds of the most likely other class against the one a row bears, ``[n]``."""
    rows = np.arange(len(labels))
    logs = np.log(np.clip(probabilities, 1e-9, 1))
    own = logs[rows, labels]
    logs[rows, labels] = -np.inf
    return (logs.max(axis=1) - own).astype(np.float32)


def views_of(evidence: Evidence) -> Floats:
    """Combine what regressions on all views say, ``[n, classes]``."""
    return product_of(evidence.second.values())


def likely_labels(evidence: Evidence, labels: Ints) -> Floats:
    """Combine what the benchmark chose, and a text's copies that bear another label, ``[n, classes]``."""
    experts = list(evidence.second.values())
    if evidence.copies.contradictory.any():
        experts.append(evidence.copies.shares(labels, experts[0].shape[1]))
    return product_of(experts)


_OF_VIEWS: Mapping[str, Callable[[Evidence, Ints], Floats]] = {
    "combined": lambda evidence, labels: margin(likely_labels(evidence, labels), labels),
    "loss": lambda evidence, labels: loss(views_of(evidence), labels),
    "margin": lambda evidence, labels: margin(views_of(evidence), labels),
}
_OF_ADAPTERS: Mapping[str, Callable[[ByAdapters, Ints], Floats]] = {
    # Of rows with as many epochs, the more probable other label first.
    "agreement": lambda adapters, labels: adapters.agreement + 1e-3 * margin(adapters.probabilities, labels),
    "neighbours": lambda adapters, labels: margin(adapters.neighbours, labels),
    "hyperinf": lambda adapters, _: adapters.influence,
}


def signals(evidence: Evidence, labels: Ints) -> dict[str, Floats]:
    """Compute the signals that there is evidence for, ``{name: [n]}``; more is more suspicious."""
    found = {name: signal(evidence, labels) for name, signal in _OF_VIEWS.items()}
    if evidence.adapters is not None:
        found |= {name: signal(evidence.adapters, labels) for name, signal in _OF_ADAPTERS.items()}
    return found
