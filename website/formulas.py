"""Hook of mkdocs: formulas become MathML when the site is built, so that no script draws them."""

import html
import re
from typing import Any

from latex2mathml.converter import convert

_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)


def on_page_content(text: str, **_: Any) -> str:
    """Replace each formula, ``$...$`` or ``$$...$$`` in the page's Markdown."""
    return _FORMULA.sub(_drawn, text)


def _drawn(found: re.Match[str]) -> str:
    display = "block" if found[2] == "[" else "inline"
    return f'<{found[1]} class="formula">{convert(html.unescape(found[3]), display=display)}</{found[1]}>'
