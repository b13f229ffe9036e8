"""The front door in Python: fit on training data, then score them on any target."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

import pandas as pd
import torch
from torch import Tensor, nn

from hyperinf.errors import InputError
from hyperinf.gradients import GradientSource, LiveSource
from hyperinf.gradients.batches import samples_in
from hyperinf.gradients.losses import LossFunction
from hyperinf.gradients.sweeping import checked
from hyperinf.gradients.weights import GfimAxis
from hyperinf.influence import METHODS, InfluenceMethod, SweepingMethod, build_methods
from hyperinf.influence.memory import free_bytes
from hyperinf.influence.statistics import DEFAULT_DAMPING, gradient_statistics, mean_gradient
from hyperinf.influence.sweeps import sweep_scores

ROWS = 8


class Attributor:
    """Influence of training samples on targets, by one method, from statistics that are taken once.

    Args:
        model: any torch module; it must not change between :meth:`fit` and scores. None where all data are sources.
        method: a name in ``METHODS``.
        damping: delta of ``lambda[l] = delta * mean(g**2)``.
        layers: names of the weights; every trainable weight matrix when None.
        loss: ``(model, batch) -> Tensor[b]``; the model's own when None.
        solver: of ``hyperinf``: ``"auto"``, ``"schulz"`` or ``"cholesky"``.
        gfim_axis: see ``adapted_layers``.
        check: compare a few samples' gradients with autograd.
        **options: the method's own.

    Raises:
        ValueError: an unknown method, or an option that cannot be.
    """

    def __init__(
        self,
        model: nn.Module | None,
        method: str = "hyperinf",
        damping: float = DEFAULT_DAMPING,
        layers: Sequence[str] | None = None,
        loss: LossFunction | None = None,
        *,
        solver: str = "auto",
        gfim_axis: GfimAxis = "larger",
        check: bool = True,
        **options: Any,
    ) -> None:
        if method not in METHODS:
            raise InputError(f"method: got {method!r}, expected one of {', '.join(METHODS)}")
        self._settings: dict[str, Any] = {"methods": {method: options}, "damping": damping, "solver": solver}
        build_methods(**self._settings)
        self.model, self.name = model, method
        self._live: dict[str, Any] = {"loss_fn": loss, "layers": layers, "gfim_axis": gfim_axis, "check": check}
        self._fitted: InfluenceMethod | None = None

    @classmethod
    def from_pretrained(
        cls, base: str, adapter: str | None = None, family: str = "auto", *, dtype: str = "float32", **kw: Any
    ) -> Self:
        """Load a classifier or a causal language model (see ``load_pretrained``); ``kw`` are this class's arguments."""
        from hyperinf.models.pretrained import load_pretrained

        return cls(load_pretrained(base, adapter, family, dtype), **kw)

    def fit(self, train: Any) -> Self:
        """Sweep the training gradients once, for statistics only.

        Args:
            train: a ``GradientSource``, or batches that can be iterated again and again (a DataLoader, a list), with or
                without ids: ``(ids, batch)`` or ``batch``, whose samples are then called ``"0"``, ``"1"``, ...
        """
        source = self._source(train, "train")
        method = build_methods(**self._settings)[self.name]
        self._fitted = method.fit(source, gradient_statistics(source, gfim=method.needs_gfim))
        return self

    def score(self, target: Any, by_layer: bool = False) -> pd.DataFrame:
        """Score every training sample on the mean loss of the target; positive is harmful.

        Args:
            target: as in :meth:`fit`.
            by_layer: add a column ``influence/<layer>`` a layer, which sum to ``influence``.

        Returns:
            Index ``sample_id``, columns ``influence``, ``loss`` (NaN where it is not known) and ``grad_norm``.

        Raises:
            ValueError: not fitted, an empty target, other layers than in training, a model that changed.
        """
        method = self._method()
        v = mean_gradient(self._like_train(target, "target"))
        statistics = method.statistics
        hvp = method.precondition_each({layer: x[None].to(statistics.devices[layer]) for layer, x in v.items()})
        products = {self.name: {layer: stack[0] for layer, stack in hvp.items()}}
        scores = sweep_scores(method.source, products, statistics.sample_ids, statistics.exponents, by_layer)
        columns = {
            "influence": scores.influence[self.name].cpu().numpy(),
            "loss": float("nan") if scores.losses is None else scores.losses.double().cpu().numpy(),
            "grad_norm": statistics.grad_norm.double().cpu().numpy(),
            **{f"influence/{layer}": part[:, 0].cpu().numpy() for layer, part in scores.by_layer.items()},
        }
        return pd.DataFrame(columns, index=pd.Index(scores.sample_ids, name="sample_id"))

    def score_each(self, queries: Any, memory_bytes: int | None = None) -> pd.DataFrame:
        """Score every training sample on each query's own loss: one row a sample, one column a query.

        Args:
            queries: as in :meth:`fit`.
            memory_bytes: for the queries' vectors; where they need more, training is swept once for every part of them
                that fits. Half of what is free when None.
        """
        method = self._method()
        parts = []
        for ids, vectors in self._vectors(self._like_train(queries, "queries"), "queries", memory_bytes):
            hvp = method.precondition_each(vectors)
            products = {name: {layer: stack[row] for layer, stack in hvp.items()} for row, name in enumerate(ids)}
            statistics = method.statistics
            scores = sweep_scores(method.source, products, statistics.sample_ids, statistics.exponents)
            columns = {name: column.cpu().numpy() for name, column in scores.influence.items()}
            parts.append(pd.DataFrame(columns, index=pd.Index(scores.sample_ids, name="sample_id")))
        return pd.concat(parts, axis=1).rename_axis(columns="query")

    def top(self, queries: Any, k: int = 10, harmful: bool = False) -> pd.DataFrame:
        """List the k training samples that help each query most, or harm it most: query, rank, sample_id, influence."""
        rows = []
        for query, column in self.score_each(queries).items():
            best = column.sort_values(ascending=not harmful, kind="stable").head(k)
            rows += [(query, rank, sample, value) for rank, (sample, value) in enumerate(best.items(), start=1)]
        return pd.DataFrame(rows, columns=["query", "rank", "sample_id", "influence"])

    def self_influence(self, memory_bytes: int | None = None) -> pd.DataFrame:
        """Compute ``<g_i, H^-1 g_i>`` of every training sample: index ``sample_id``, column ``self_influence``."""
        method = self._method()
        ids: list[str] = []
        values: list[float] = []
        for names, vectors in self._vectors(method.source, "train", memory_bytes):
            hvp = method.precondition_each(vectors)
            ids += names
            values += (
                torch.stack([(hvp[layer] * g).sum(dim=(1, 2)).cpu() for layer, g in vectors.items()]).sum(0).tolist()
            )
        return pd.DataFrame({"self_influence": values}, index=pd.Index(ids, name="sample_id"))

    def _method(self) -> InfluenceMethod:
        if self._fitted is None:
            raise InputError("Attributor: got no training data yet, expected fit(train) first")
        return self._fitted

    def _source(self, data: Any, role: str) -> GradientSource:
        if isinstance(data, GradientSource):
            return data
        if self.model is None:
            raise InputError(f"model: got None, expected a torch module, as {role} is no GradientSource")
        if isinstance(data, (str, Mapping)) or not isinstance(data, Iterable):
            raise InputError(f"{role}: got a {type(data).__name__}, expected a GradientSource or batches")
        if iter(data) is data:
            raise InputError(f"{role}: got an iterator, expected what can be iterated again, such as a list")
        samplers = [getattr(data, "sampler", None), getattr(getattr(data, "batch_sampler", None), "sampler", None)]
        for sampler in samplers:
            if "Random" in type(sampler).__name__ or getattr(sampler, "shuffle", False):
                raise InputError(f"{role}: got a DataLoader that shuffles, expected shuffle=False")
        if hasattr(data, "with_format"):  # rows as they are, whatever a datasets.Dataset would make tensors of
            data = list(data.with_format(None))
        first = next(iter(data), None)
        if first is None:
            raise InputError(f"{role}: got no samples, expected at least one")
        if isinstance(first, Mapping) and not any(isinstance(value, Tensor) for value in first.values()):
            data = _batched(list(data), role)
        return LiveSource(self.model, data if _has_ids(first) else _Numbered(data, role), **self._live)

    def _like_train(self, data: Any, role: str) -> GradientSource:
        source = self._source(data, role)
        ours, theirs = dict(self._method().statistics.layers), dict(source.layers)
        for name in [*ours, *theirs]:
            if ours.get(name) != theirs.get(name):
                raise InputError(
                    f"{role}: got layer {name!r} as {theirs.get(name)}, expected {ours.get(name)} as in train"
                )
        if len(source) == 0:
            raise InputError(f"{role}: got no samples, expected at least one")
        return source

    def _vectors(
        self, source: GradientSource, role: str, memory_bytes: int | None
    ) -> Iterator[tuple[list[str], dict[str, Tensor]]]:
        """Ids and gradients ``{layer: Tensor[k, r, d]}`` of as many samples as fit into the memory at a time."""
        method = self._method()
        devices = method.statistics.devices
        free = free_bytes(next(iter(devices.values()))) if memory_bytes is None else 2 * memory_bytes
        each = 8 * sum(r * d for r, d in source.layers.values()) * (16 if isinstance(method, SweepingMethod) else 6)
        most = len(source) if free is None else max(1, free // 2 // each)
        ids: list[str] = []
        held: dict[str, list[Tensor]] = {layer: [] for layer in source.layers}
        for block in checked(source, role):
            for start in range(0, len(block), max(1, most)):
                rows = range(start, min(start + most, len(block)))
                for row in rows:
                    ids.append(block.sample_ids[row])
                for layer, pieces in held.items():
                    dense = block.contractions(layer).dense()[rows.start : rows.stop]
                    pieces.extend(dense.to(devices[layer], torch.float64))
                while len(ids) >= most:
                    yield ids[:most], {layer: torch.stack(pieces[:most]) for layer, pieces in held.items()}
                    ids, held = ids[most:], {layer: pieces[most:] for layer, pieces in held.items()}
        if ids:
            yield ids, {layer: torch.stack(pieces) for layer, pieces in held.items()}


class _Numbered:
    """Batches without ids, their samples called ``"0"``, ``"1"``, ... in order."""

    def __init__(self, batches: Iterable[Any], role: str) -> None:
        self._batches, self._role = batches, role

    def __iter__(self) -> Iterator[tuple[list[str], Any]]:
        start = 0
        for batch in self._batches:
            count = samples_in(batch)
            if count is None:
                raise InputError(f"{self._role}: got a {type(batch).__name__} without tensors, expected a batch")
            yield [str(place) for place in range(start, start + count)], batch
            start += count


def _batched(rows: Sequence[Mapping[str, Any]], role: str) -> list[dict[str, Tensor]]:
    """Rows of model inputs of one length, a few at a time; columns of text are left out."""
    names = [name for name, value in rows[0].items() if not isinstance(value, (str, bytes))]
    if "labels" not in names:
        raise InputError(
            f"{role}: got rows of {', '.join(rows[0])}, expected model inputs such as input_ids and labels"
        )
    try:
        columns = {name: torch.tensor([row[name] for row in rows]) for name in names}
    except (ValueError, TypeError, KeyError):
        raise InputError(f"{role}: got rows of different lengths, expected equal ones, or padded batches") from None
    starts = range(0, len(rows), ROWS)
    return [{name: column[start : start + ROWS] for name, column in columns.items()} for start in starts]


def _has_ids(pair: Any) -> bool:
    """Whether this is ``(ids, batch)``, not ``(inputs, labels)``."""
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        return False
    ids, batch = pair
    if isinstance(ids, Tensor):
        return ids.ndim == 1 and not ids.is_floating_point() and not isinstance(batch, Tensor)
    return isinstance(ids, (tuple, list)) and all(isinstance(each, (str, int)) for each in ids)
