"""Judge every row by models that were not trained on it, part after part."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray

from hyperinf.artifacts.parts import Arrays, State
from hyperinf.artifacts.views import Beside, View, in_parts
from hyperinf.mislabeled.adapter import AdaptedHead, trained_head
from hyperinf.mislabeled.confident import looks_clean, row_weights
from hyperinf.mislabeled.copies import Copies
from hyperinf.mislabeled.influential import FoldInfluence
from hyperinf.mislabeled.linear import fit_and_predict, product_of
from hyperinf.mislabeled.nearest import label_shares
from hyperinf.runtime.progress import track
from hyperinf.settings.mislabeled import JudgeSettings

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
_AGAINST = 5
_TRAINED_ON = 0.2
"""Weight that a row must have for an adapter to be trained on it."""
_WORDS_SCALE = 8.0
"""Of views of unit rows beside an encoding whose numbers have unit variance."""


@dataclass(frozen=True)
class Rows:
    """Rows as they are judged.

    Attributes:
        views: ``{name: [n, d]}``; that of the model is called ``encoding``.
        classes: number of classes.
        folds: ``[n]``, the part of each row; -1 for rows that are trained on only.
        trusted: ``[n]``, rows whose labels are known to be right.
        keys: n values, equal for copies.
    """

    views: Mapping[str, View]
    classes: int
    folds: Ints
    trusted: Bools
    keys: tuple[str, ...]

    @property
    def features(self) -> View:
        """Put all views side by side, ``[n, d]``."""
        return Beside(self.views, {name: _WORDS_SCALE for name in self.views if name != "encoding"})


@dataclass(frozen=True)
class ByAdapters:
    """What the parts' adapters say of the rows that they did not see.

    Attributes:
        probabilities: mean over the epochs, ``[n, classes]``.
        agreement: ``[n]``, the fraction of epochs in which another class than the row's was the most likely.
        neighbours: what the nearest rows' labels say, ``[n, classes]``.
        influence: ``[n]``, HyperINF's influence on rows that look clean; positive is harmful.
        against: for the most suspicious rows, those that speak against their label most.
    """

    probabilities: Floats
    agreement: Floats
    neighbours: Floats
    influence: Floats
    against: Mapping[int, list[int]]


@dataclass(frozen=True)
class Evidence:
    """What is known of each row from models that did not see it.

    Attributes:
        first: probabilities by view, ``{name: [n, classes]}``, of regressions on all rows.
        second: the same, rows that look wrong by the first counting less.
        copies: rows of the same text.
        adapters: None where they were not asked.
    """

    first: Mapping[str, Floats]
    second: Mapping[str, Floats]
    copies: Copies
    adapters: ByAdapters | None = None


def judge(
    rows: Rows,
    labels: Ints,
    settings: JudgeSettings,
    state: State,
    adapters: bool = True,
    explained: int = 0,
) -> Evidence:
    """Judge all rows.

    Args:
        rows: what there is to see of them.
        labels: ``[n]`` class numbers.
        settings: how.
        state: keeps the results of each part.
        adapters: train an adapter for each part, too.
        explained: number of most suspicious rows for which the rows that speak against their label are looked for.
    """
    copies = Copies.found(rows.keys, labels)
    everything = np.ones(len(labels), dtype=np.float32)
    first = _linear(rows, labels, everything, settings, state, "first")
    seen = product_of(first.values())
    weights = np.where(rows.trusted, 1, row_weights(seen, labels)).astype(np.float32)
    second = _linear(rows, labels, weights, settings, state, "second")
    evidence = Evidence(first, second, copies)
    if not adapters:
        return evidence
    return replace(evidence, adapters=_by_adapters(rows, labels, weights, evidence, settings, state, explained))


def _by_adapters(
    rows: Rows,
    labels: Ints,
    weights: Floats,
    evidence: Evidence,
    settings: JudgeSettings,
    state: State,
    explained: int,
) -> ByAdapters:
    likely = product_of(evidence.second.values())
    dropped = weights < _TRAINED_ON
    clean = (looks_clean(likely, labels) & (weights == 1)) | rows.trusted
    suspects = np.argsort(likely[np.arange(len(labels)), labels], kind="stable")[:explained]
    features, pairs = rows.features, []
    found: Arrays = {}
    for fold in track(range(settings.folds), settings.folds, "judging: adapters and influence", "parts"):
        work = partial(_adapted, rows, features, labels, fold, dropped, clean, suspects, settings)
        part, own = state.once(f"adapter-{fold}", work), np.flatnonzero(rows.folds == fold)
        pairs.append(part.pop("against"))
        for key, values in part.items():
            whole = found.setdefault(key, np.zeros((len(labels), *values.shape[1:]), dtype=np.float32))
            whole[own] = values
    against: dict[int, list[int]] = {}
    for row, other in np.vstack(pairs).astype(np.int64):
        against.setdefault(int(row), []).append(int(other))
    return ByAdapters(**found, against=against)


def _linear(
    rows: Rows, labels: Ints, weights: Floats, settings: JudgeSettings, state: State, name: str
) -> dict[str, Floats]:
    # Rows that are trained on only are taken to be what they say they are.
    sure = np.eye(rows.classes, dtype=np.float32)[labels]
    found = {view: sure.copy() for view in rows.views}
    steps = [(view, fold) for view in rows.views for fold in range(settings.folds)]
    for view, fold in track(steps, len(steps), f"judging: regressions on views, {name} round", "parts"):
        own = np.flatnonzero(rows.folds == fold)
        train = np.flatnonzero((rows.folds != fold) & (weights > 0))

        def fitted(view: str = view, own: Ints = own, train: Ints = train) -> Arrays:
            seen = rows.views[view]
            return {"p": fit_and_predict(view, seen, labels, rows.classes, train, own, weights, settings.seed)}

        found[view][own] = state.once(f"{name}-{view}-{fold}", fitted)["p"]
    return found


def _adapted(
    rows: Rows,
    features: View,
    labels: Ints,
    fold: int,
    dropped: Bools,
    clean: Bools,
    suspects: Ints,
    settings: JudgeSettings,
) -> Arrays:
    own = np.flatnonzero(rows.folds == fold)
    train = np.flatnonzero((rows.folds != fold) & ~dropped)
    epochs: list[Floats] = []

    def note(model: AdaptedHead) -> None:
        epochs.append(_probabilities(model, features, own))

    with TemporaryDirectory() as folder:
        model = trained_head(
            features,
            labels,
            rows.classes,
            train,
            settings.rank,
            settings.epochs,
            settings.seed,
            Path(folder) / "state",
            note,
        )
    other = np.array([each.argmax(axis=1) != labels[own] for each in epochs], dtype=np.float32)
    influence = FoldInfluence(model, features, labels, train, own, settings.damping, settings.seed)
    speaks = influence.against(np.intersect1d(suspects, own), _AGAINST)
    pairs = [(row, each) for row, others in speaks.items() for each in others]
    targets = np.flatnonzero(clean & (rows.folds != fold))
    return {
        "probabilities": np.mean(epochs, axis=0).astype(np.float32),
        "agreement": other.mean(axis=0),
        "neighbours": label_shares(partial(_places, model, features), train, own, labels, rows.classes, settings.seed),
        "influence": influence.on_clean(targets if len(targets) else train),
        "against": np.array(pairs, dtype=np.float64).reshape(-1, 2),
    }


@torch.no_grad()
def _probabilities(model: AdaptedHead, features: View, rows: Ints) -> Floats:
    found = np.zeros((len(rows), model.head.out_features), dtype=np.float32)
    for part in in_parts(len(rows)):
        found[part] = model(torch.from_numpy(features[rows[part]])).softmax(dim=1).numpy()
    return found


@torch.no_grad()
def _places(model: AdaptedHead, features: View, rows: Ints) -> Floats:
    found = np.zeros((len(rows), features.shape[1]), dtype=np.float32)
    for part in in_parts(len(rows)):
        found[part] = model.adapted(torch.from_numpy(features[rows[part]])).numpy()
    return found
