"""Gradients of a live source that stay after its first sweep, in memory or on the disk: the model is run once."""

import logging
import math
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from hyperinf.gradients.contractions import Dense, Factors, LayerGradients
from hyperinf.gradients.foretold import Foretold
from hyperinf.gradients.live import LiveSource
from hyperinf.gradients.scratch import Scratch
from hyperinf.gradients.source import GradientBlock, GradientSource
from hyperinf.gradients.store import GradientStore
from hyperinf.runtime.choice import chosen

_log = logging.getLogger(__name__)
MIB = 2**20
_PLAINLY = 1.5
"""Times the memory that there is: blocks of longer and of shorter texts differ."""


class KeptSource(GradientSource):
    """A live source whose blocks are kept in its first whole sweep, each layer's in the form with fewer numbers.

    Where they do not fit they are written to the disk, if there is a folder for them with room. Else every sweep takes
    them from the model again, but for what the model's frozen part gives, which is kept instead
    (``LiveSource.keep_frozen``). A later sweep over what was kept runs two samples once more, forward, so that a model
    that has changed is told.

    Args:
        live: where gradients are taken.
        memory_bytes: that what is kept may take.
        scratch: folder for gradients that are more, where their number is known; they are removed with this.

    Attributes:
        live: as given.
    """

    def __init__(self, live: LiveSource, memory_bytes: int, scratch: Path | None = None) -> None:
        self.live = live
        self._left = memory_bytes
        self._scratch = scratch
        self._store: GradientStore | None = None
        self._blocks: list[GradientBlock] | None = None
        self._fits = memory_bytes > 0

    @property
    def layers(self) -> Mapping[str, tuple[int, int]]:
        """``{layer name: (r, d)}``."""
        return self.live.layers

    @property
    def device(self) -> torch.device:
        """Where the gradients are."""
        return self.live.device

    @property
    def sample_ids(self) -> tuple[str, ...]:
        """The ids of all samples."""
        return self.live.sample_ids

    @property
    def known_length(self) -> int | None:
        """The number of samples; None where a sweep would be needed to tell it."""
        return self.live.known_length

    def foretold(self) -> Foretold | None:
        """Tell what the passes through the widest batch will take."""
        return self.live.foretold()

    @property
    def held_bytes(self) -> int:
        """What is kept takes; 0 where nothing is."""
        kept = self._blocks or ()
        return sum(_bytes(each) for block in kept for each in block.gradients.values())

    @property
    def origin(self) -> LiveSource | None:
        """Where factors can be had again, if they are not what was kept."""
        held = self._blocks is not None and any(
            isinstance(each, Dense) for block in self._blocks for each in block.gradients.values()
        )
        return self.live if held or self._store is not None else None

    def __iter__(self) -> Iterator[GradientBlock]:
        if self._blocks is not None:
            self.live.check_unchanged()
            scratch = Scratch()  # one for all: each gradient's own would be a copy of it in float64 that stays
            for kept in self._blocks:
                yield replace(kept, gradients={layer: _with(each, scratch) for layer, each in kept.gradients.items()})
            return
        if self._store is not None:
            self.live.check_unchanged()
        elif self._fit_the_disk_alone():
            self._store = self._written()
        if self._store is not None:
            yield from self._store
            return
        blocks: list[GradientBlock] = []
        left = self._left
        first = self._fits
        for block in self.live:
            if self._fits:
                smaller = GradientBlock(
                    {layer: _smaller(each) for layer, each in block.gradients.items()},
                    block.sample_ids,
                    block.losses,
                    block.mask,
                )
                left -= sum(map(_bytes, smaller.gradients.values()))
                blocks.append(smaller)
                if left < 0 or self._too_many(blocks, self._left - left):
                    self._fits = False
                    blocks.clear()
                    self.live.keep_frozen(self._left)
                del smaller
            yield block
            del block
        if self._fits:
            self._blocks = blocks
            size = (self._left - left) / MIB
            _log.info("gradients of %d samples stay in memory for later sweeps, %.0f MiB", len(self), size)
        elif first:
            _log.info("gradients do not fit into %.0f MiB, and are taken again at every sweep", self._left / MIB)

    def _fit_the_disk_alone(self) -> bool:
        """Tell whether gradients are too many for the memory that there is, and a disk has room for them."""
        samples = self.known_length
        if self._scratch is None or samples is None:
            return False
        needed = 4 * samples * sum(map(math.prod, self.layers.values()))
        if needed <= self._left:
            return False
        self._scratch.mkdir(parents=True, exist_ok=True)
        return needed <= shutil.disk_usage(self._scratch).free // 2

    def _written(self) -> GradientStore:
        folder = Path(tempfile.mkdtemp(prefix="gradients-", dir=self._scratch))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        _log.info("gradients do not fit into %.0f MiB, and are kept in %s", self._left / MIB, folder)
        GradientStore.write(folder / "store", self.live)
        return GradientStore(folder / "store", device=self.live.device)

    def _too_many(self, blocks: Sequence[GradientBlock], held: int) -> bool:
        """Tell by the first block whether all will be more than fit, by so much that it need not be tried."""
        samples = self.known_length
        return samples is not None and len(blocks) == 1 and held * samples > _PLAINLY * self._left * len(blocks[0])


def _smaller(gradients: LayerGradients) -> LayerGradients:
    """Give gradients in the form with fewer numbers: views of a model's activations are copied."""
    if isinstance(gradients, Factors) and chosen("kept", "gradients" if gradients.smaller else "factors") == "factors":
        return Factors(gradients.left.clone(), gradients.right.clone())
    return Dense(gradients.dense().clone() if isinstance(gradients, Dense) else gradients.dense())


def _with(gradients: LayerGradients, scratch: Scratch) -> LayerGradients:
    return Dense(gradients.dense(), scratch) if isinstance(gradients, Dense) else gradients


def _bytes(gradients: LayerGradients) -> int:
    held = (gradients.left, gradients.right) if isinstance(gradients, Factors) else (gradients.dense(),)
    return sum(tensor.numel() * tensor.element_size() for tensor in held)
