"""Out-of-sample probabilities of logistic regressions, one a view, combined as experts that must all agree."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from hyperinf.artifacts.views import View, sampled

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
_LEAST = 1e-6
# Inverse strength of the penalty: of standardised encodings, and of the parts of unit rows of TF-IDF.
_STRENGTH = {"encoding": 0.01}
_OTHERS = 5.0
_MOST = 50_000
"""Of more rows than these a regression is fitted on a sample."""


def fit_and_predict(
    name: str, view: View, labels: Ints, classes: int, train: Ints, judged: Ints, weights: Floats, seed: int = 0
) -> Floats:
    """Fit on some rows and give the probabilities of others, ``[b, classes]``.

    A class without a row to train on has the probability ``1 / classes``: nothing is known of it.

    Args:
        name: of the view.
        view: of all n rows.
        labels: ``[n]``.
        classes: number of classes.
        train: rows to fit on; a sample of them where they are many.
        judged: rows whose probabilities are given.
        weights: ``[n]``.
        seed: of the sample.
    """
    from sklearn.linear_model import LogisticRegression

    train = sampled(train, _MOST, seed)
    known = np.unique(labels[train])
    if len(known) < 2:
        return np.full((len(judged), classes), 1 / classes, dtype=np.float32)
    model = LogisticRegression(C=_STRENGTH.get(name, _OTHERS), max_iter=200, tol=1e-3)
    model.fit(view[train], labels[train], sample_weight=weights[train])
    found = np.full((len(judged), classes), 1 / classes)
    found[:, known] = model.predict_proba(view[judged]) * (len(known) / classes)
    return found.astype(np.float32)


def product_of(experts: Iterable[Floats]) -> Floats:
    """Give the normalised geometric mean of probabilities, ``[n, classes]``."""
    logs = [np.log(np.clip(each, _LEAST, 1)) for each in experts]
    mean = sum(logs[1:], logs[0]) / len(logs)
    mean = np.exp(mean - mean.max(axis=1, keepdims=True))
    return (mean / mean.sum(axis=1, keepdims=True)).astype(np.float32)
