"""The front door in Python: fit on training data, then score them on any target."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from hyperinf.errors import InputError
from hyperinf.gradients import GradientSource, GradientStore, LiveSource
from hyperinf.gradients.batches import samples_in
from hyperinf.gradients.foretold import held_bytes
from hyperinf.gradients.kept import KeptSource
from hyperinf.gradients.losses import LossFunction
from hyperinf.gradients.sweeping import check_layers
from hyperinf.gradients.weights import GfimAxis
from hyperinf.influence import InfluenceMethod, build_methods, mean_gradient
from hyperinf.influence.forms import own_products
from hyperinf.influence.memory import planned
from hyperinf.influence.methods.base import gfim_form
from hyperinf.influence.methods.building import DEFAULTS
from hyperinf.influence.queries import queries_at_once, query_vectors, score_vectors
from hyperinf.influence.tokens import token_frame, token_scores
from hyperinf.models.encoding import Batches
from hyperinf.runtime.memory import free_bytes
from hyperinf.settings.methods import MethodOptions


@dataclass(frozen=True)
class _Data:
    """A source, and the order in which its samples were given where it sweeps them in another."""

    source: GradientSource
    order: tuple[str, ...] | None = None


class Attributor:
    """Influence of training samples on targets, by one method, from statistics that are taken once.

    Data are given to :meth:`fit`, :meth:`score`, ... in any of these forms:

    - a ``GradientSource``: a ``TensorSource``, a ``GradientStore``, a ``LiveSource`` or one of your own;
    - batches that can be iterated again and again (a DataLoader that does not shuffle, a list), each ``batch`` or
      ``(sample ids, batch)``, of the form that ``loss`` takes; without ids samples are called ``"0"``, ``"1"``, ...;
    - rows, as a ``datasets.Dataset``, a pandas DataFrame or a list of mappings: model inputs of any length with
      ``labels``, or text (see ``columns``); or whatever ``collator`` makes batches of;
    - a path: of a gradient store's folder, or of rows as CSV, TSV, JSON lines or Parquet.

    Args:
        model: any torch module; it must not change between :meth:`fit` and scores. None where all data are sources.
        method: a name in ``METHODS``.
        damping: delta of ``lambda[l] = delta * mean(g**2)``.
        layers: names of the weights; every trainable weight matrix when None.
        loss: ``(model, batch) -> Tensor[b]``; the model's own when None.
        tokenizer: for rows of text: of transformers, or the folder or hub name that it is loaded from.
        columns: for rows, ``{what: column}``, where a column is not called what it is: ``text``, ``pair`` and ``label``
            for a classifier; ``prompt`` and ``answer``, or ``text``, for a causal language model; ``id`` for any.
        collator: makes a batch of a list of a dataset's rows, such as one of transformers; a column ``sample_id`` or
            ``id`` of the dataset names them. Without it, rows are padded as the model needs it.
        batch_size: of rows.
        max_length: tokens of a row of text, at most; what the model can take when None.
        solver: of ``hyperinf``: ``"auto"``, ``"schulz"`` or ``"cholesky"``.
        gfim_axis: see ``adapted_layers``.
        check: compare a few samples' gradients with autograd.
        memory_bytes: that gradients of training data may take between the sweeps over them, so that the model is run
            once for all of them; where they are more and there is no ``scratch``, what the model's frozen part gives
            may take it (see ``KeptSource``). When None half of what is free, the GFIM left out; 0 to keep nothing.
        scratch: folder on the disk for what does not fit into memory: gradients of training data, unless none are to be
            kept, and the GFIM's matrices, which are refused when None. It is empty again once this is gone; a process
            that is killed leaves its gradients there.
        **options: the method's own, ``gfim_scale``, and ``gfim_dtype``: ``"auto"``, or ``"float64"``, ``"float32"`` or
            ``"bfloat16"`` for GFIMs in half, a quarter or an eighth of the memory, see ``docs/methods.md``.

    Raises:
        ValueError: an unknown method, or an option that cannot be.
    """

    def __init__(
        self,
        model: nn.Module | None,
        method: str = "hyperinf",
        damping: float = DEFAULTS.damping,
        layers: Sequence[str] | None = None,
        loss: LossFunction | None = None,
        *,
        tokenizer: Any = None,
        columns: Mapping[str, str] | None = None,
        collator: Callable[[list[Any]], Any] | None = None,
        batch_size: int = 8,
        max_length: int | None = None,
        solver: str = "auto",
        gfim_axis: GfimAxis = "larger",
        check: bool = True,
        memory_bytes: int | None = None,
        scratch: str | Path | None = None,
        **options: Any,
    ) -> None:
        self.model = model
        self._scratch = None if scratch is None else Path(scratch)
        self._memory_bytes = memory_bytes
        self.method = _built(method, {"damping": damping, "solver": solver, **options})
        self._live: dict[str, Any] = {"loss_fn": loss, "layers": layers, "gfim_axis": gfim_axis, "check": check}
        self._rows: dict[str, Any] = {"tokenizer": tokenizer, "columns": columns, "max_length": max_length}
        self._batch_size = batch_size
        self._collated = None if collator is None else partial(self._by_collator, collator)
        self._default: Any = None
        self._train: _Data | None = None

    @classmethod
    def from_pretrained(
        cls,
        base: str,
        adapter: str | None = None,
        family: str = "auto",
        *,
        dtype: str = "float32",
        bits: int | None = None,
        **kw: Any,
    ) -> Self:
        """Load a model, and perhaps an adapter, of folders or hub names.

        Args:
            base: see ``load_pretrained``; its tokenizer is loaded when rows of text are given.
            adapter: see ``load_pretrained``.
            family: see ``load_pretrained``.
            dtype: of the model's weights.
            bits: see ``load_pretrained``.
            **kw: this class's arguments.

        Raises:
            InputError: see ``load_pretrained``.
        """
        from hyperinf.models.pretrained import load_pretrained, tokenizer_folder

        model = load_pretrained(base, adapter, family, dtype, bits)
        return cls(model, **{"tokenizer": tokenizer_folder(base, adapter), **kw})

    @classmethod
    def from_trainer(cls, trainer: Any, **kw: Any) -> Self:
        """Take the model, the collator and the loss of a Trainer; :meth:`fit` alone then sweeps its training set.

        Datasets are given to :meth:`fit`, :meth:`score`, ... as the Trainer takes them, and in their order. A loss that
        the Trainer computes itself (label smoothing, ``compute_loss`` of a subclass) is taken one sample at a time.

        Args:
            trainer: of transformers, or of what builds on it, such as TRL's ``SFTTrainer``.
            **kw: this class's arguments.
        """
        from hyperinf.models.collated import collated_by, loss_of

        made = cls(trainer.model, **{"loss": loss_of(trainer), **kw})
        made._collated = partial(collated_by, trainer)
        made._default = trainer.train_dataset
        return made

    def with_options(self, **options: Any) -> Self:
        """Make another attributor of the same training data, which is not swept again: the sums outlive a damping.

        Args:
            **options: ``method`` and its options, such as ``damping`` or ``solver``; a method's own options are kept
                where they are not given and the method is the same.

        Raises:
            ValueError: an option that cannot be; or a method that needs the GFIM after one that does not.
        """
        other = copy(self)
        name = options.pop("method", self.method.name)
        kept = self.method.options.model_dump()
        common = {key: kept[key] for key in MethodOptions.model_fields}
        other.method = _built(name, {**(kept if name == self.method.name else common), **options})
        if self._train is not None:
            now, wanted = (each.method.options.gfim_dtype for each in (self, other))
            if wanted != now:
                raise InputError(f"gfim_dtype: got {wanted!r}, expected {now!r}, which the GFIM is kept in since fit")
            other.method.fit(self._train.source, self.method.statistics)
        return other

    def fit(self, train: Any = None) -> Self:
        """Sweep the training gradients once, for statistics only.

        Args:
            train: in any form that the class takes; of :meth:`from_trainer` the Trainer's training set when None.

        Raises:
            ValueError: data that cannot be used, or gradients that are not finite.
        """
        data = self._data(self._default if train is None else train, "train")
        if isinstance(data.source, LiveSource):
            scratch = None if self._memory_bytes == 0 else self._scratch
            data = replace(data, source=KeptSource(data.source, self._budget(data.source), scratch))
        self.method.fit(data.source, scratch=self._scratch)
        self._train = data
        return self

    def score(self, target: Any, by_layer: bool = False) -> pd.DataFrame:
        """Score every training sample on the mean loss of the target; positive is harmful.

        Args:
            target: in any form that the class takes.
            by_layer: give what each layer adds instead of ``influence`` as one number.

        Returns:
            Index ``sample_id`` in the order of the training data; columns ``influence``, ``loss`` (NaN where it is not
            known) and ``grad_norm``. By layer the columns have two levels, the second of which is ``layer``:
            ``scores["influence"]`` is then n x layers, and its rows sum to the influence; the layer of the others is
            ``""``.

        Raises:
            ValueError: not fitted, an empty target, other layers than in training, a model that changed.
        """
        ids, parts, losses = score_vectors(self.method, self._mean_vector(target), ["influence"], by_layer)
        columns: dict[Any, Any] = _columns(parts, ["influence"], by_layer)
        for name, values in (("loss", losses), ("grad_norm", self.method.statistics.grad_norm)):
            key = (name, "") if by_layer else name
            columns[key] = float("nan") if values is None else values.double().cpu().numpy()
        return self._frame(ids, columns, [None, "layer"] if by_layer else [None])

    def score_each(self, queries: Any, by_layer: bool = False, memory_bytes: int | None = None) -> pd.DataFrame:
        """Score every training sample on each query's own loss.

        The training data are swept once for all queries, and the queries once. Where the queries' vectors need more
        than ``memory_bytes``, training is swept once for each part of them that fits.

        Args:
            queries: in any form that the class takes.
            by_layer: give what each layer adds.
            memory_bytes: bound on what the queries' vectors and all that is computed of them take at a time (but for
                one query, which is always taken). When None half of what is free; where training gradients stay in
                memory, as much as those, 128 MiB at the least. A block of training gradients, a layer's matrices and
                the scores themselves come on top.

        Returns:
            Index ``sample_id``, a column a query, named ``query``. By layer the columns have two levels, ``query`` and
            ``layer``: ``scores[query]`` is then n x layers, and its rows sum to the score.

        Raises:
            ValueError: as :meth:`score`.
        """
        method = self._fitted()
        data = self._like_train(queries, "queries")
        most = queries_at_once(method, data.source.layers, memory_bytes)
        frames = []
        vectors = query_vectors(data.source, "queries", most, method.statistics.devices)
        for names, block in vectors:
            ids, parts, _ = score_vectors(method, block, names, by_layer)
            del block
            frames.append(self._frame(ids, _columns(parts, names, by_layer), ["query", "layer"][: 1 + by_layer]))
        if not frames:
            raise InputError("queries: got no samples, expected at least one")
        scores = pd.concat(frames, axis=1) if len(frames) > 1 else frames[0]
        return scores if data.order is None else scores[list(data.order)]

    def top(self, queries: Any, k: int = 10, harmful: bool = False, memory_bytes: int | None = None) -> pd.DataFrame:
        """List the k training samples that help each query most, or harm it most.

        Args:
            queries: in any form that the class takes.
            k: samples a query.
            harmful: list those that harm.
            memory_bytes: as in :meth:`score_each`.

        Returns:
            Columns ``query``, ``rank`` (from 1), ``sample_id`` and ``influence``, k rows a query.
        """
        rows = []
        for query, column in self.score_each(queries, memory_bytes=memory_bytes).items():
            best = column.sort_values(ascending=not harmful, kind="stable").head(k)
            rows += [(query, rank, sample, value) for rank, (sample, value) in enumerate(best.items(), start=1)]
        return pd.DataFrame(rows, columns=["query", "rank", "sample_id", "influence"])

    def score_tokens(self, target: Any) -> pd.DataFrame:
        """Tell which tokens of each training text carry its influence on the mean loss of the target.

        Args:
            target: in any form that the class takes.

        Returns:
            Columns ``sample_id``, ``part`` (``input``; of a sequence-to-sequence model ``answer`` for the tokens that
            are predicted), ``position``, ``token`` (its id) and ``influence``, a row a token, samples in the order of
            the training data. A sample's rows sum to its influence: what belongs to no token, as of a head that sees
            the whole text, is a row ``rest`` with -1 as position and token.

        Raises:
            ValueError: as :meth:`score`; training data that are no batches of texts with ``input_ids``.
        """
        vector = self._mean_vector(target)
        source = self.method.source
        source = source.live if isinstance(source, KeptSource) else source
        if not isinstance(source, LiveSource):
            raise InputError(f"train: got a {type(source).__name__}, expected batches or rows: it holds no tokens")
        hvp = self.method.precondition({layer: stack[0] for layer, stack in vector.items()})
        blocks = token_scores(source, hvp, self.method.statistics)
        frame = pd.concat([token_frame(block) for block in blocks], ignore_index=True)
        order = None if self._train is None else self._train.order
        if order is None:
            return frame
        place = frame["sample_id"].map({sample: place for place, sample in enumerate(order)})
        return frame.iloc[np.argsort(place.to_numpy(), kind="stable")].reset_index(drop=True)

    def self_influence(self, by_layer: bool = False, memory_bytes: int | None = None) -> pd.DataFrame:
        """Compute ``<g_i, H^-1 g_i>`` of every training sample.

        Args:
            by_layer: give what each layer adds.
            memory_bytes: as in :meth:`score_each`; methods that sweep do so once for each part that fits.

        Returns:
            Index ``sample_id``, column ``self_influence``; by layer with a second level ``layer`` of columns, whose
            rows sum to it.
        """
        method = self._fitted()
        ids: list[str] = []
        parts: list[Tensor] = []
        for names, vectors, hvp in own_products(method, memory_bytes):
            ids += names
            parts.append(torch.stack([(hvp[layer] * g).sum(dim=(1, 2)).cpu() for layer, g in vectors.items()]))
        values = torch.cat(parts, dim=1)[:, :, None]
        layers = dict(zip(method.source.layers, values)) if by_layer else {"": values.sum(dim=0)}
        columns = _columns(layers, ["self_influence"], by_layer)
        return self._frame(ids, columns, [None, "layer"] if by_layer else [None])

    def _budget(self, source: LiveSource) -> int:
        """Count the bytes that gradients may take between sweeps."""
        if self._memory_bytes is not None:
            return self._memory_bytes
        beside = held_bytes(source.foretold(), source.device)
        form = gfim_form([self.method], self._scratch)
        if form:
            beside += planned(source.layers, source.known_length, source.device, form, beside).memory_bytes
        return max(0, (free_bytes(source.device) or 0) - beside) // 2

    def _mean_vector(self, target: Any) -> dict[str, Tensor]:
        """Take the mean gradient of a target to where training gradients are, ``{layer: Tensor[1, r, d]}``."""
        devices = self._fitted().statistics.devices
        v = mean_gradient(self._like_train(target, "target").source)
        return {layer: x[None].to(devices.get(layer, x.device)) for layer, x in v.items()}

    def _frame(self, ids: Sequence[str], columns: Mapping[Any, Any], levels: Sequence[str | None]) -> pd.DataFrame:
        frame = pd.DataFrame(columns, index=pd.Index(ids, name="sample_id")).rename_axis(columns=list(levels))
        order = None if self._train is None else self._train.order
        return frame if order is None else frame.loc[list(order)]

    def _fitted(self) -> InfluenceMethod:
        if self._train is None:
            raise InputError("Attributor: got no training data yet, expected fit(train) first")
        return self.method

    def _like_train(self, data: Any, role: str) -> _Data:
        layers = self._fitted().statistics.layers
        found = self._data(data, role)
        check_layers(found.source.layers, layers, role)
        return found

    def _data(self, data: Any, role: str) -> _Data:
        if isinstance(data, (str, Path)) and Path(data).is_dir():
            data = GradientStore(data)
        if isinstance(data, pd.DataFrame):
            data = data.to_dict("records")
        if hasattr(data, "layers"):
            return _Data(data)
        if self.model is None:
            raise InputError(f"model: got None, expected a torch module, as {role} is no GradientSource")
        if isinstance(data, (str, Path)):
            from hyperinf.models.rows import read_own_rows

            data = read_own_rows(Path(data), self._rows["columns"] or {})
        if self._collated is not None and _is_dataset(data):
            return _Data(LiveSource(self.model, _told(role, self._collated, data), **self._live))
        if hasattr(data, "with_format"):  # rows as they are, whatever a datasets.Dataset would make tensors of
            data = list(data.with_format(None))
        _check_batches(data, role)
        first = next(iter(data), None)
        if first is None:
            raise InputError(f"{role}: got no samples, expected at least one")
        if isinstance(first, Mapping) and not any(isinstance(value, Tensor) for value in first.values()):
            return self._of_rows(list(data), role)
        batches = data if _has_ids(first) else _Numbered(data, role)
        return _Data(LiveSource(self.model, batches, **self._live))

    def _of_rows(self, rows: Sequence[Mapping[str, Any]], role: str) -> _Data:
        from hyperinf.models.rows import encode_rows

        assert self.model is not None
        encoded = _told(role, partial(encode_rows, model=self.model, **self._rows), rows)
        return _Data(LiveSource(self.model, Batches(encoded, self._batch_size), **self._live), tuple(encoded.ids))

    def _by_collator(self, collator: Callable[[list[Any]], Any], dataset: Any) -> Any:
        from hyperinf.models.collated import collated

        assert self.model is not None
        return collated(dataset, self.model, collator, self._batch_size)


class _Numbered:
    """Batches without ids, their samples called ``"0"``, ``"1"``, ... in order."""

    def __init__(self, batches: Iterable[Any], role: str) -> None:
        self._batches, self._role = batches, role
        if isinstance(batches, Sequence):  # they are there already: counting them costs nothing
            self.sample_ids = tuple(name for names, _ in self for name in names)

    def __iter__(self) -> Iterator[tuple[list[str], Any]]:
        start = 0
        for batch in self._batches:
            count = samples_in(batch)
            if count is None:
                raise InputError(f"{self._role}: got a {type(batch).__name__} without tensors, expected a batch")
            yield [str(place) for place in range(start, start + count)], batch
            start += count


def _told(role: str, make: Callable[[Any], Any], data: Any) -> Any:
    """Make something of data; what is wrong with them is told with their role."""
    try:
        return make(data)
    except InputError as error:
        raise InputError(f"{role}: {error}") from None


def _is_dataset(data: Any) -> bool:
    """Tell rows, which a collator makes batches of, from batches."""
    if isinstance(data, list):
        return bool(data) and isinstance(data[0], Mapping) and not any(isinstance(x, Tensor) for x in data[0].values())
    return hasattr(data, "with_format") or isinstance(data, torch.utils.data.Dataset)


def _built(name: str, options: Mapping[str, Any]) -> InfluenceMethod:
    common = {key: options[key] for key in ("damping", "gfim_scale", "solver") if key in options}
    own = {key: value for key, value in options.items() if key not in common}
    return build_methods({name: own}, **common)[name]


def _columns(parts: Mapping[str, Tensor], names: Sequence[str], by_layer: bool) -> dict[Any, np.ndarray]:
    """Name the columns of ``{layer: Tensor[n, k]}``, by name and, if asked for, by layer."""
    tables = {layer: part.cpu().numpy() for layer, part in parts.items()}
    return {
        (name, layer) if by_layer else name: table[:, place]
        for place, name in enumerate(names)
        for layer, table in tables.items()
    }


def _check_batches(data: Any, role: str) -> None:
    """Refuse what gives no batches, or not the same ones every time."""
    if isinstance(data, (str, Mapping)) or not isinstance(data, Iterable):
        raise InputError(f"{role}: got a {type(data).__name__}, expected a GradientSource, batches, rows or a file")
    if iter(data) is data:
        raise InputError(f"{role}: got an iterator, expected what can be iterated again, such as a list")
    for sampler in (getattr(data, "sampler", None), getattr(getattr(data, "batch_sampler", None), "sampler", None)):
        if "Random" in type(sampler).__name__ or getattr(sampler, "shuffle", False):
            raise InputError(f"{role}: got a DataLoader that shuffles, expected shuffle=False")


def _has_ids(pair: Any) -> bool:
    """Tell ``(ids, batch)`` from ``(inputs, labels)``."""
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        return False
    ids, batch = pair
    if isinstance(ids, Tensor):
        return ids.ndim == 1 and not ids.is_floating_point() and not isinstance(batch, Tensor)
    return isinstance(ids, (tuple, list)) and all(isinstance(each, (str, int)) for each in ids)
