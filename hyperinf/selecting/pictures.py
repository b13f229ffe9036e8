"""The pictures of rows: checked, and kept below the state's folder under names that tell their content."""

from pathlib import Path
from typing import Any

from hyperinf.data.formats.field_parsers import RowError
from hyperinf.data.image_cells import image_parts
from hyperinf.data.images import BadImageError, name_of


def kept_picture(cell: Any, below: Path, folder: Path) -> str:
    """Copy a picture to where the model reads it.

    Args:
        cell: a path relative to ``below``, bytes, or ``{bytes, path}``.
        below: folder of paths.
        folder: to keep it in.

    Returns:
        Its path relative to ``folder``.

    Raises:
        RowError: it is missing or no picture.
    """
    content, path = (None, cell) if isinstance(cell, str) else image_parts(cell)
    try:
        content = content or (below / path).read_bytes()
        name = name_of(content)
    except OSError as error:
        raise RowError(f"image {path}: got no such file ({error.strerror}), expected an image") from None
    except BadImageError as error:
        raise RowError(f"image {path}: got {error}, expected an image") from None
    target = folder / name
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return name
