"""Fill the templates of HTML pages, which share one base: its frame, its style sheet and its small script."""

import base64
import io
import mimetypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from PIL import Image

_BASE = "hyperinf.reporting"


def render(package: str, template: str, content: Mapping[str, Any]) -> str:
    """Fill a template; what it names has to be there, and text is escaped.

    Args:
        package: that has the template in its folder ``templates``; what it extends or includes may be there, too, or
            be one of those that all pages share.
        template: name of its file.
        content: what it names.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader(_BASE)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(content)


def embedded(image: Path) -> str:
    """Write an image file as a URL that holds it."""
    return _url(mimetypes.guess_type(image.name)[0] or "application/octet-stream", image.read_bytes())


def embedded_figure(image: Path) -> dict[str, Any]:
    """Write a figure as a URL that holds it, a third of its bytes, with all its pixels: ``url, width, height``."""
    with Image.open(image) as opened:
        smaller = io.BytesIO()
        opened.convert("RGB").save(smaller, "WEBP", lossless=True, method=4)
        width, height = opened.size
    return {"url": _url("image/webp", smaller.getvalue()), "width": width, "height": height}


def _url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
