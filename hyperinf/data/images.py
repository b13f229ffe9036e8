"""Images of samples: decoded whole, and kept in the prepared folder under names that tell their content."""

import hashlib
import io
import re
import warnings
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hyperinf.data.samples import Sample
from hyperinf.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGES = "images"
_COPIED = re.compile("[0-9a-f]{32}")
# Pillow reads more than these; some (EPS) by running another program on the file.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_SUFFIXES = {"JPEG": "jpg", "MPO": "jpg", "TIFF": "tif"}


class BadImageError(ValueError):
    """A file that cannot serve as an image: says why, without saying which."""


def decode_image(content: bytes) -> "Image":
    """Decode an image to its last pixel (of the first frame, if it moves).

    Raises:
        BadImageError: it is not an image, or is cut off or damaged, or has more pixels than Pillow's limit.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content), formats=_FORMATS)
            image.load()
    except UnidentifiedImageError:
        raise BadImageError(f"no image of a known kind ({', '.join(_FORMATS)})") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise BadImageError(f"more than {Image.MAX_IMAGE_PIXELS:,} pixels") from None
    # Of a damaged file Pillow's decoders raise whatever comes up: OSError, SyntaxError, ValueError, struct.error, ...
    except Exception as error:
        raise BadImageError(f"a damaged image ({' '.join(str(error).split()) or type(error).__name__})") from None
    return image


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
        return decode_image(content).convert("RGB")
    except OSError as error:
        raise InputError(f"{path}: no such image ({error.strerror}), expected what was copied here") from None
    except BadImageError as error:
        raise InputError(f"{path}: got {error}, expected an image") from None


class Images:
    """The images that samples of the sources are about, each file read and decoded once.

    In the prepared folder an image is ``images/<half the SHA-256 of its bytes>.<kind>``: copies are one, a hash over
    the samples covers their images, and samples about copies of one image are known for what they are.

    Args:
        skip_bad: names of sources of which a sample whose image is missing or cannot be decoded is passed over, rather
            than refused.

    Attributes:
        skipped: ids of the samples passed over.
    """

    def __init__(self, skip_bad: Collection[str]) -> None:
        self.skipped: list[str] = []
        self._skip_bad = skip_bad
        self._names: dict[str, str] = {}
        self._files: dict[str, Path] = {}
        self._bad: dict[str, str] = {}

    def place(self, sample: Sample) -> Sample | None:
        """Give the sample its image's path in the prepared folder; None if it is to be passed over.

        Args:
            sample: as it was read, its image being a path on this machine.

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
            content = self._files[name].read_bytes()
            if _digest(content) != Path(name).stem:
                raise InputError(
                    f"{self._files[name]}: got another image than before, expected none to change; try again"
                )
            target = folder / name
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(content)

    def _name(self, path: str) -> None:
        try:
            # Of a pipe or a device there would be no end.
            if not Path(path).is_file():
                raise BadImageError("what is not a file" if Path(path).exists() else "no such file")
            content = Path(path).read_bytes()
        except OSError as error:
            raise BadImageError(error.strerror or "what cannot be read") from None
        kind = decode_image(content).format or ""
        name = f"{IMAGES}/{_digest(content)}.{_SUFFIXES.get(kind, kind.lower())}"
        self._names[path] = name
        self._files.setdefault(name, Path(path))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
