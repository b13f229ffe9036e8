"""HyperINF by an adapter that did not see a row: how the row harms clean-looking ones, and what speaks against it."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from hyperinf.artifacts.views import View, sampled
from hyperinf.attributor import Attributor
from hyperinf.gradients import LiveSource
from hyperinf.mislabeled.adapter import AdaptedHead, Encodings, loss_of

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
_BATCH = 256
_MOST_TARGETS = 2_000
_KEPT = 2**27
"""Bytes of gradients that are kept between sweeps: memory must not grow with rows."""
_MOST_TRAINED = 20_000
"""Of more training rows than these, statistics are of a sample, and only those of it can speak against a label."""


class _Batches:
    """``(ids, batch)`` pairs, the same ones at every iteration."""

    def __init__(self, rows: Encodings) -> None:
        self._rows, self.sample_ids = rows, tuple(rows.ids)

    def __iter__(self) -> Iterator[tuple[tuple[str, ...], dict[str, torch.Tensor]]]:
        for start in range(0, len(self.sample_ids), _BATCH):
            part = range(start, min(start + _BATCH, len(self.sample_ids)))
            yield self.sample_ids[start : part.stop], self._rows.collate(part)


class FoldInfluence:
    """Influence by the model of a part, of which it has seen no row.

    Args:
        model: of the part.
        features: ``[n, d]`` of all rows.
        labels: ``[n]``.
        train: rows that it was trained on.
        judged: rows of the part.
        damping: of HyperINF.
        seed: of samples, where rows are many.
    """

    def __init__(
        self, model: AdaptedHead, features: View, labels: Ints, train: Ints, judged: Ints, damping: float, seed: int
    ) -> None:
        self._model, self._features, self._labels, self._seed = model, features, labels, seed
        self._train, self._judged = sampled(train, _MOST_TRAINED, seed), judged
        self._fitted = Attributor(model, damping=damping, solver="auto", loss=loss_of, memory_bytes=_KEPT)
        self._fitted.fit(self._source(np.concatenate([judged, self._train])))

    def on_clean(self, clean: Ints) -> Floats:
        """Compute each judged row's influence on the mean loss of clean rows, ``[b]``; positive is harmful.

        Args:
            clean: rows that look clean and that the model has not seen, or has; a sample of them where they are many.
        """
        scores = self._fitted.score(self._source(sampled(clean, _MOST_TARGETS, self._seed)))["influence"]
        return scores.loc[[str(row) for row in self._judged]].to_numpy(np.float32)

    def against(self, suspects: Ints, most: int) -> dict[int, list[int]]:
        """Name for each suspect the training rows that raise the loss of its given label most."""
        if not len(suspects):
            return {}
        table = self._fitted.score_each(self._source(suspects))
        of_train = table.loc[[str(row) for row in self._train]]
        found = {}
        for row in suspects:
            column = of_train[str(row)].to_numpy()
            order = np.argsort(-column, kind="stable")[:most]
            found[int(row)] = [int(self._train[each]) for each in order if column[each] > 0]
        return found

    def _source(self, rows: Ints) -> LiveSource:
        batches = _Batches(Encodings(self._features, self._labels, rows))
        return LiveSource(self._model, batches, loss_of, check=False)
