"""Fill the templates of HTML pages."""

import base64
import mimetypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def render(package: str, template: str, content: Mapping[str, Any]) -> str:
    """Fill a template; what it names has to be there, and text is escaped.

    Args:
        package: that has the template in its folder ``templates``.
        template: name of its file.
        content: what it names.
    """
    environment = Environment(
        loader=PackageLoader(package), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(template).render(content)


def embedded(image: Path) -> str:
    """Write an image file as a URL that holds it."""
    kind = mimetypes.guess_type(image.name)[0] or "application/octet-stream"
    return f"data:{kind};base64,{base64.b64encode(image.read_bytes()).decode('ascii')}"
