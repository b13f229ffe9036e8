"""Pictures of prepared questions as a vision tower takes them."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

from torch import Tensor

from hyperinf.data.images import read_image
from hyperinf.errors import InputError

# A small model's pictures all fit and are decoded once; a large model's do not, and its training takes far longer.
KEPT_BYTES = 2**28


class Pictures:
    """Pictures below a prepared folder, as pixels; those used last are kept, up to ``KEPT_BYTES``.

    Args:
        processor: of a vision-language model.
        folder: the prepared folder that the questions' paths of pictures are relative to.
    """

    def __init__(self, processor: Any, folder: Path) -> None:
        self._prepare = processor.image_processor
        self._folder = folder
        self._kept: OrderedDict[str, Tensor] = OrderedDict()
        self._bytes = 0

    def pixels(self, picture: str) -> Tensor:
        """One picture, ``Tensor[channels, height, width]``, float32.

        Raises:
            InputError: it is missing or damaged, or the model cuts pictures into several.
        """
        if picture in self._kept:
            self._kept.move_to_end(picture)
            return self._kept[picture]
        found: Tensor = self._prepare(images=[read_image(self._folder, picture)], return_tensors="pt")["pixel_values"]
        if found.ndim != 4 or len(found) != 1:
            raise InputError(
                f"picture {picture}: the model's processor makes {list(found.shape)} of it; expected one picture of"
                " [channels, height, width]: models that cut pictures into several are not supported"
            )
        pixels = found[0]
        self._keep(picture, pixels)
        return pixels

    def _keep(self, picture: str, pixels: Tensor) -> None:
        self._kept[picture] = pixels
        self._bytes += pixels.nbytes
        while self._bytes > KEPT_BYTES:
            self._bytes -= self._kept.popitem(last=False)[1].nbytes
