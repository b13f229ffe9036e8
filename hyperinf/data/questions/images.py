"""Images of questions, brought into the prepared folder under names that tell their content."""

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from hyperinf.data.questions.question import Question
from hyperinf.errors import InputError
from hyperinf.files import sha256_file

IMAGES = "images"


def place_images(
    where: str, questions: Iterable[Question], origin: Path | None
) -> tuple[list[Question], dict[str, Path]]:
    """Name every image by the SHA-256 of its bytes.

    Args:
        where: the source, for messages.
        questions: their images are paths relative to ``origin``.
        origin: the folder of the source; None if it has none.

    Returns:
        The questions with the image's path in the prepared folder, and for each such path the file it comes from.

    Raises:
        InputError: an image is not there, or the source has no folder.
    """
    names: dict[str, str] = {}
    files: dict[str, Path] = {}
    placed = []
    for each in questions:
        if each.image and each.image not in names:
            if origin is None or not (origin / each.image).is_file():
                raise InputError(f"{where}: question {each.sample_id}: no image {each.image!r} beside the questions")
            path = origin / each.image
            names[each.image] = f"{IMAGES}/{sha256_file(path)[:32]}{path.suffix.lower()}"
            files[names[each.image]] = path
        placed.append(replace(each, image=names[each.image]) if each.image else each)
    return placed, files


def copy_images(files: Mapping[str, Path], folder: Path) -> None:
    """Copy images to their places in a prepared folder."""
    for name, path in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(path, folder / name)
