"""Images of samples: decoded whole, and kept in the prepared folder under names that tell their content."""

import hashlib
import io
import re
import warnings
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hyperinf.data.samples import Sample
from hyperinf.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

IMAGES = "images"
_COPIED = re.compile("[0-9a-f]{32}")
# Pillow reads more than these; some (EPS) by running another program on the file.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_SUFFIXES = {"JPEG": "jpg", "MPO": "jpg", "TIFF": "tif"}

# What may be white in numbers of which no depth says it; floats below the last one are neither.
_WHITES = (1.0, 255.0, 65_535.0)
_TOO_DARK = 16.0


class BadImageError(ValueError):
    """A file that cannot serve as an image: says why, without saying which."""


@dataclass(frozen=True)
class Decoded:
    """An image, upright and in RGB, and the kind of file that it came from."""

    image: "Image"
    kind: str


def decode_image(content: bytes) -> Decoded:
    """Decode an image to its last pixel (of the first frame, if it moves), turned as its EXIF data say.

    Greys of more than 8 bits keep their brightness: the largest of 16 bits is white. Of numbers that no depth tells the
    white of (floats, whole numbers of 32 bits) it is the least of 1 (floats only), 255 and 65,535 that none exceeds.

    Raises:
        BadImageError: it is not an image, or is cut off or damaged, has more pixels than Pillow's limit, or greys whose
            white is not known.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content), formats=_FORMATS)
            image.load()
            kind = image.format or ""
            return Decoded(_eight_bits(_upright(image), kind).convert("RGB"), kind)
    except BadImageError:
        raise
    except UnidentifiedImageError:
        raise BadImageError(f"no image of a known kind ({', '.join(_FORMATS)})") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise BadImageError(f"more than {Image.MAX_IMAGE_PIXELS:,} pixels") from None
    # Of a damaged file Pillow's decoders raise whatever comes up: OSError, SyntaxError, ValueError, struct.error, ...
    except Exception as error:
        raise BadImageError(f"a damaged image ({' '.join(str(error).split()) or type(error).__name__})") from None


def _upright(image: "Image") -> "Image":
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(image)
    except Exception:
        return image  # EXIF data that cannot be read say nothing; the pixels are all there


def _eight_bits(image: "Image", kind: str) -> "Image":
    """Bring greys of more than 8 bits to 8; Pillow would cut them off at 255."""
    from PIL import Image

    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image, dtype=np.float64)
    # Of these two kinds Pillow brings 32 bits to the range of 16.
    is_16_bits = image.mode.startswith("I;16") or (image.mode == "I" and kind in ("PNG", "PPM"))
    white = _WHITES[-1] if is_16_bits else _white(values, is_float=image.mode == "F")
    return Image.fromarray(np.round(values * (255 / white)).astype(np.uint8))


def _white(values: "NDArray[np.float64]", is_float: bool) -> float:
    least, most = float(values.min()), float(values.max())
    known = _WHITES if is_float else _WHITES[1:]
    # Floats a little above 1 would be black next to 255.
    found = next((white for white in known if most <= white), None) if least >= 0 else None
    if found is None or (is_float and 1 < most < _TOO_DARK):
        raise BadImageError(f"greys from {least:g} to {most:g}, whose white is not known")
    return found


def read_image(folder: Path, image: str) -> "Image":
    """Read the image of a prepared sample, in RGB.

    Args:
        folder: the prepared folder.
        image: :attr:`hyperinf.data.samples.Sample.image`.

    Raises:
        InputError: it is not there, or no longer what was copied.
    """
    path = Path(folder) / image
    try:
        content = path.read_bytes()
        if _COPIED.fullmatch(path.stem) and _digest(content) != path.stem:
            raise InputError(
                f"{path}: got another SHA-256, expected that in its name: it has changed since it was copied here"
            )
        return decode_image(content).image
    except OSError as error:
        raise InputError(f"{path}: no such image ({error.strerror}), expected what was copied here") from None
    except BadImageError as error:
        raise InputError(f"{path}: got {error}, expected an image") from None


class Images:
    """The images that samples of the sources are about, each read and decoded once.

    In the prepared folder an image is ``images/<half the SHA-256 of its bytes>.<kind>``: copies are one, a hash over
    the samples covers their images, and samples about copies of one image are known for what they are.

    Args:
        skip_bad: names of sources of which a sample whose image is missing or cannot be decoded is passed over, rather
            than refused.

    Attributes:
        skipped: ids of the samples passed over.
        embedded: reads the bytes of an image that lies in a cell of a table, by what its samples have as its path.
    """

    def __init__(self, skip_bad: Collection[str]) -> None:
        self.skipped: list[str] = []
        self.embedded: dict[str, Callable[[], bytes]] = {}
        self._skip_bad = skip_bad
        self._names: dict[str, str] = {}
        self._origins: dict[str, str] = {}
        self._bad: dict[str, str] = {}

    def place(self, sample: Sample) -> Sample | None:
        """Give the sample its image's path in the prepared folder; None if it is to be passed over.

        Args:
            sample: as it was read, its image being a path on this machine, or one of ``embedded``.

        Raises:
            InputError: the image is missing or bad, and such samples are not to be passed over.
        """
        path = sample.image
        if not path:
            return sample
        if path not in self._names and path not in self._bad:
            try:
                self._name(path)
            except BadImageError as error:
                self._bad[path] = str(error)
        if path not in self._bad:
            return replace(sample, image=self._names[path])
        if sample.source not in self._skip_bad:
            raise InputError(
                f"sample {sample.sample_id}: image {path}: got {self._bad[path]}, expected an image;"
                " mend it, or have such samples passed over (skip_bad_images)"
            )
        self.skipped.append(sample.sample_id)
        return None

    def copy(self, samples: Iterable[Sample], folder: Path) -> None:
        """Copy the images of placed samples to their places in a prepared folder.

        Raises:
            InputError: an image has changed since it was decoded.
        """
        for name in sorted({each.image for each in samples if each.image}):
            content = self._content(self._origins[name])
            if _digest(content) != Path(name).stem:
                raise InputError(
                    f"{self._origins[name]}: got another image than before, expected none to change; try again"
                )
            target = folder / name
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(content)

    def _content(self, path: str) -> bytes:
        return self.embedded[path]() if path in self.embedded else Path(path).read_bytes()

    def _name(self, path: str) -> None:
        try:
            # Of a pipe or a device there would be no end.
            if path not in self.embedded and not Path(path).is_file():
                raise BadImageError("what is not a file" if Path(path).exists() else "no such file")
            content = self._content(path)
        except OSError as error:
            raise BadImageError(error.strerror or "what cannot be read") from None
        name = name_of(content)
        self._names[path] = name
        self._origins.setdefault(name, path)


def name_of(content: bytes) -> str:
    """Give an image its name in a prepared folder, made of its content.

    Raises:
        BadImageError: see :func:`decode_image`.
    """
    kind = decode_image(content).kind
    return f"{IMAGES}/{_digest(content)}.{_SUFFIXES.get(kind, kind.lower())}"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
