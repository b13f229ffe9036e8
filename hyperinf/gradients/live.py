"""Gradients taken from a model again at every sweep: nothing is stored, time is paid instead of memory."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from copy import copy
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from hyperinf.gradients.batches import CannotSplitError, mask_of, moved, rows_of
from hyperinf.gradients.column import Column
from hyperinf.gradients.contractions import LayerGradients
from hyperinf.gradients.foretold import FEW, Foreteller, Foretold
from hyperinf.gradients.frozen_outputs import FrozenOutputs
from hyperinf.gradients.kinds import unwrapped
from hyperinf.gradients.losses import LossFunction, default_loss
from hyperinf.gradients.modes import differentiable
from hyperinf.gradients.per_sample import Extraction
from hyperinf.gradients.rounding import close
from hyperinf.gradients.source import GradientBlock, GradientSource
from hyperinf.gradients.sweeping import check_order, clean_ids
from hyperinf.gradients.weights import GfimAxis, adapted_layers

Batch = tuple[Sequence[str], Any]


class LiveSource(GradientSource):
    """A ``GradientSource`` that extracts gradients whenever it is swept, as factors: none is formed unless asked for.

    Args:
        model: any module; it must not change between sweeps.
        batches: iterable again and again, yields ``(sample ids, batch)``; tensors are moved to the model's device.
            Its ids are those that it has as ``sample_ids``, or those of a list's pairs. Of what else can be iterated
            they are noted in the first sweep; asking for them before makes every batch once more.
        loss_fn: ``(model, batch) -> Tensor[b]``; :func:`default_loss` when None.
        layers: names of the weights; every trainable weight matrix when None.
        gfim_axis: which axis of a weight that is no LoRA factor the GFIM is over; see :func:`adapted_layers`.
        check: compare a few samples of the first batch with autograd, see :class:`Extraction`; and see that the passes
            of the widest batch fit into memory, see :class:`Foreteller`.

    Raises:
        ValueError: ``batches`` can be iterated only once, is empty, gives no ids, or repeats one (of what makes its
            batches as it is iterated: in the first sweep); see ``adapted_layers``. While it is swept: see
            :class:`Extraction`; other samples, another order or other losses than in the first sweep; before it, passes
            of a batch that do not fit into the memory that is free.
    """

    def __init__(
        self,
        model: nn.Module,
        batches: Iterable[Batch],
        loss_fn: LossFunction | None = None,
        layers: Sequence[str] | None = None,
        *,
        gfim_axis: GfimAxis = "larger",
        check: bool = True,
    ) -> None:
        if iter(batches) is batches:
            raise ValueError(
                "batches: got an iterator, expected what can be iterated again: a list, or a loader of pairs"
            )
        model = unwrapped(model)
        self._batches = batches
        self._adapted = adapted_layers(model, layers, gfim_axis)
        self._extraction = Extraction(model, loss_fn or default_loss, self._adapted, check)
        known = getattr(batches, "sample_ids", None)
        self._ids: tuple[str, ...] | None = None
        if known is not None:
            self._ids = _distinct(clean_ids(known))
        elif isinstance(batches, Sequence):
            self._ids = _all_ids(batches)
        else:
            _all_ids(islice(batches, 1))  # see that the first is a pair
        self._losses: Tensor | None = None
        extraction = self._extraction
        self._foreteller = Foreteller(extraction.model, batches, extraction.loss_fn, self._adapted) if check else None
        self._frozen: FrozenOutputs | None = None

    @property
    def layers(self) -> dict[str, tuple[int, int]]:
        """``{layer name: (r, d)}``."""
        return {layer.name: layer.shape for layer in self._adapted}

    def laid_out(self, layer: str, tensor: Tensor) -> Tensor:
        """Lay a tensor in the shape of a layer's weight out as the layer's gradients are, ``Tensor[r, d]``."""
        return next(each for each in self._adapted if each.name == layer).laid_out(tensor)

    @property
    def batches(self) -> Iterable[Batch]:
        """The pairs that it was given."""
        return self._batches

    @property
    def model(self) -> nn.Module:
        """The model, not wrapped."""
        return self._extraction.model

    @property
    def device(self) -> torch.device:
        """Where the gradients are."""
        return self._extraction.device

    @property
    def sample_ids(self) -> tuple[str, ...]:
        """The ids of all samples, in the order of every sweep."""
        if self._ids is None:
            self._ids = _all_ids(self._batches)
        return self._ids

    @property
    def known_length(self) -> int | None:
        """The number of samples; None where a sweep would be needed to tell it."""
        return None if self._ids is None else len(self._ids)

    @property
    def left_out(self) -> tuple[str, ...]:
        """Names of the model's trainable weights whose gradients are not taken: what they learn is in no score."""
        return self._extraction.left_out

    @property
    def one_at_a_time(self) -> tuple[str, ...]:
        """Names of the weights whose gradients need a backward pass for every sample, as far as is known."""
        return self._extraction.one_at_a_time

    def foretold(self) -> Foretold | None:
        """Tell what the passes through the widest batch will take, by running a few of its samples, once.

        None where batches are made as they are asked for, and none was; of those that cannot be cut; and unchecked.
        """
        return None if self._foreteller is None else self._foreteller.ahead()

    def keep_frozen(self, memory_bytes: int) -> None:
        """Keep what the part of the model below its first layer gives, from now on: later sweeps do not run it again.

        Args:
            memory_bytes: that it may take; what does not fit is run again.
        """
        extraction = self._extraction
        if memory_bytes > 0 and extraction.check:
            self._frozen = FrozenOutputs(extraction.model, extraction.loss_fn, self._adapted, memory_bytes)

    @property
    def frozen_bytes(self) -> int:
        """What is kept by :meth:`keep_frozen` takes."""
        return 0 if self._frozen is None else self._frozen.held_bytes

    def after(self, count: int) -> "LiveSource":
        """Leave out the batches whose samples are all among the first ``count``, of a source that has more.

        What is left stays in the batches that it is in: the gradients are the same to the last bit.
        """
        passed = batches = 0
        for names in (_pair(pair)[0] for pair in self._batches):
            if passed + len(names) > count:
                break
            passed += len(names)
            batches += 1
        rest = copy(self)
        rest._batches, rest._ids, rest._losses = _From(self._batches, batches), self.sample_ids[passed:], None
        rest._frozen = None
        return rest

    def check_unchanged(self) -> None:
        """Compare losses of the first batch with those of the first sweep, by a pass forward; before one, do nothing.

        Two samples of it do, where a sample's loss was seen to be its own.

        Raises:
            ValueError: other samples come, or the model has changed.
        """
        if self._losses is None:
            return
        for pair in self._batches:
            names, batch = _pair(pair)
            break
        else:
            raise ValueError(f"batches: got 0 samples in a sweep, expected {len(self.sample_ids)} as in the first")
        check_order(names, 0, self.sample_ids, "batches")
        if self._foreteller is not None and len(names) > FEW:
            with suppress(CannotSplitError):
                batch, names = rows_of(batch, range(FEW), len(names)), names[:FEW]
        with differentiable(self.model, self._adapted):
            losses = self._extraction.loss_fn(self.model, moved(batch, self.device)).detach()
        self._compare(losses, names, 0)

    def __iter__(self) -> Iterator[GradientBlock]:
        device = self._extraction.device
        foreteller = self._foreteller if self._losses is None else None
        if foreteller is not None:
            foreteller.check()
        if self._frozen:  # which would not tell a base that has changed
            self.check_unchanged()
        seen = 0
        met: list[str] = []
        swept = Column(self.known_length)
        for place, pair in enumerate(self._batches):
            names, batch = _pair(pair)
            if self._ids is None:
                met.extend(names)
            else:
                check_order(names, seen, self._ids, "batches")
                names = self._ids[seen : seen + len(names)]  # equal, and held once for all sweeps
            if foreteller is not None:
                foreteller.check(batch)
            batch = moved(batch, device)
            gradients, losses = self._extracted(place, batch, names, seen)
            if losses.shape[0] != len(names):
                raise ValueError(f"batch: got {losses.shape[0]} losses for {len(names)} sample ids, expected as many")
            self._compare(losses, names, seen)
            swept.extend(losses)
            seen += len(names)
            block = GradientBlock(gradients, names, losses, mask_of(batch))
            del gradients, batch, pair  # while the next batch is extracted, this one is its consumer's alone to keep
            yield block
            del block
        if self._ids is None:
            self._ids = _distinct(met)
        if seen != len(self._ids):
            raise ValueError(f"batches: got {seen} samples in a sweep, expected {len(self._ids)} as in the first")
        if self._losses is None:
            self._losses = swept.joined()

    def _extracted(
        self, place: int, batch: Any, names: Sequence[str], seen: int
    ) -> tuple[dict[str, LayerGradients], Tensor]:
        """Take the gradients and losses of a batch, without the frozen part of the model where its output is kept."""
        if self._frozen is None:
            return self._extraction(batch, names)

        def same(found: tuple[dict[str, LayerGradients], Tensor]) -> bool:
            return len(found[1]) == len(names) and self._as_first(found[1], seen)

        again = None if self._losses is None else same
        return self._frozen.run(place, batch, lambda: self._extraction(batch, names), again)

    def _as_first(self, losses: Tensor, seen: int) -> bool:
        """Tell whether losses are those of the first sweep, where there was one."""
        if self._losses is None:
            return True
        first = self._losses[seen : seen + len(losses)]
        known = torch.isfinite(first)
        return close(losses[known], first[known], self._extraction.epsilon)

    def _compare(self, losses: Tensor, names: Sequence[str], seen: int) -> None:
        """Check losses: ids may stay where their samples do not, and a model may have been trained further."""
        if self._losses is None or self._as_first(losses, seen):
            return
        first = self._losses[seen : seen + len(losses)]
        known = torch.isfinite(first)
        place = int(torch.where(known, (losses - first).abs(), 0).argmax())
        raise ValueError(
            f"sample {names[place]!r}: got a loss of {float(losses[place]):.6g} in a later sweep, expected"
            f" {float(first[place]):.6g} as in the first; batches must come in the same order with the same content,"
            " and the model must not change"
        )


class _From:
    """Batches without the first ones."""

    def __init__(self, batches: Iterable[Batch], first: int) -> None:
        self._batches, self._first = batches, first

    def __iter__(self) -> Iterator[Batch]:
        return islice(iter(self._batches), self._first, None)


def _all_ids(batches: Iterable[Batch]) -> tuple[str, ...]:
    return _distinct(name for pair in batches for name in _pair(pair)[0])


def _distinct(sample_ids: Iterable[str]) -> tuple[str, ...]:
    ids = tuple(sample_ids)
    if not ids:
        raise ValueError("batches: got none, expected at least one sample")
    seen: set[str] = set()
    for name in ids:
        if name in seen:
            raise ValueError(f"batches: got sample {name!r} more than once, expected every sample once")
        seen.add(name)
    return ids


def _pair(pair: Any) -> tuple[tuple[str, ...], Any]:
    """Take the ids and the batch apart, where it is such a pair."""
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise ValueError(f"batches: got a {type(pair).__name__}, {_EXPECTED}")
    ids, batch = pair
    are_ids = hasattr(ids, "__len__") and not isinstance(ids, str)
    if isinstance(ids, Tensor):
        are_ids = ids.ndim == 1 and not ids.is_floating_point()
    if not are_ids:
        raise ValueError(f"batches: got a {type(ids).__name__} in the place of sample ids, {_EXPECTED}")
    return clean_ids(ids), batch


_EXPECTED = (
    "expected pairs of sample ids and their batch; of a plain DataLoader that is not shuffled make"
    " [([str(i), ...], batch), ...]"
)
