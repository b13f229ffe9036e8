"""Where a module's positions keep their sample: which axis, or which part of a flattened one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """How the samples of a batch lie in the positions of a call.

    Attributes:
        axes: number of axes of the positions.
        axis: the one that the samples lie in.
        places: places of one sample along that axis.
        outer: whether a sample's places follow each other (``[b * m]``), or the samples of a place do (``[m * b]``).
    """

    axes: int
    axis: int
    places: int = 1
    outer: bool = True

    def fits(self, lead: Sequence[int], samples: int, width: int, seen_width: int) -> bool:
        """Tell whether positions of this shape lie so.

        Args:
            lead: shape of the positions.
            samples: in the batch.
            width: of the batch, tokens for text.
            seen_width: of the batch that the layout was found in: places may be in proportion to it.
        """
        if len(lead) != self.axes or lead[self.axis] % samples:
            return False
        places = lead[self.axis] // samples
        return places == self.places or (self.places > 1 and places * seen_width == self.places * width)

    def by_sample(self, factor: Tensor, samples: int) -> Tensor:
        """``Tensor[*lead, k]`` as ``Tensor[b, positions, k]``; not a copy where the samples come first."""
        if samples == 1:
            return factor.reshape(1, -1, factor.shape[-1])
        length = factor.shape[self.axis]
        split = (samples, length // samples) if self.outer else (length // samples, samples)
        if length != samples:
            factor = factor.unflatten(self.axis, split)
        samples_first = factor.movedim(self.axis if length == samples or self.outer else self.axis + 1, 0)
        return samples_first.unsqueeze(1) if samples_first.ndim == 2 else samples_first.flatten(1, -2)


def layouts_of(lead: Sequence[int], samples: int) -> Iterator[Layout]:
    """List every way in which the samples may lie in positions of this shape, the likeliest first.

    Args:
        lead: shape of the positions.
        samples: in the batch.
    """
    axes = len(lead)
    if samples == 1:
        yield Layout(axes, 0, lead[0])
        return
    whole = [axis for axis, length in enumerate(lead) if length == samples]
    parts = [axis for axis, length in enumerate(lead) if length > samples and length % samples == 0]
    for axis in whole:
        yield Layout(axes, axis)
    for axis in parts:
        for outer in (True, False):
            yield Layout(axes, axis, lead[axis] // samples, outer)
