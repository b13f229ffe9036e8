"""Gradients taken from a model again at every sweep: nothing is stored, time is paid instead of memory."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from torch import nn

from hyperinf.gradients.contractions import Materialising
from hyperinf.gradients.per_sample import adapted_layers, factors_and_losses
from hyperinf.gradients.source import GradientBlock
from hyperinf.losses import LossFunction, default_loss

Batch = tuple[Sequence[str], Any]


class LiveSource:
    """A ``GradientSource`` that extracts gradients whenever it is swept, as factors: none is formed unless asked for.

    Args:
        model: any module; it must not change between sweeps.
        batches: iterable again and again, yields ``(sample ids, batch)``; tensors of a mapping or a pair are moved
            to the model's device.
        loss_fn: ``(model, batch) -> Tensor[b]``; :func:`default_loss` when None.
        layers: names of the weights; every trainable weight matrix when None.

    Raises:
        ValueError: ``batches`` can be iterated only once, is empty, or repeats a sample id; see ``adapted_layers``.
    """

    def __init__(
        self,
        model: nn.Module,
        batches: Iterable[Batch],
        loss_fn: LossFunction | None = None,
        layers: Sequence[str] | None = None,
    ) -> None:
        if iter(batches) is batches:
            raise ValueError(
                "batches: expected something that can be iterated again (a list, a loader), got an iterator"
            )
        self._model = model
        self._batches = batches
        self._loss_fn = loss_fn or default_loss
        self._adapted = adapted_layers(model, layers)
        ids = [str(sample) for sample_ids, _ in batches for sample in sample_ids]
        if not ids:
            raise ValueError("batches: expected at least one sample, got none")
        if len(set(ids)) != len(ids):
            repeated = next(sample for index, sample in enumerate(ids) if sample in ids[:index])
            raise ValueError(f"batches: sample id {repeated!r} occurs more than once")
        self._count = len(ids)

    @property
    def layers(self) -> dict[str, tuple[int, int]]:
        """``{layer name: (r, d)}``."""
        return {layer.name: layer.shape for layer in self._adapted}

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[GradientBlock]:
        device = self._adapted[0].module.weight.device
        for sample_ids, batch in self._batches:
            factors, losses = factors_and_losses(self._model, _moved(batch, device), self._loss_fn, self._adapted)
            if losses.shape[0] != len(sample_ids):
                raise ValueError(f"batch of {len(sample_ids)} sample ids has {losses.shape[0]} losses")
            block = GradientBlock(Materialising(factors), tuple(map(str, sample_ids)), losses)
            del factors, losses  # while the next batch is extracted, this one is its consumer's alone to keep
            yield block
            del block


def _moved(value: Any, device: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _moved(item, device) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(_moved(item, device) for item in value)
    return value.to(device) if hasattr(value, "to") else value
