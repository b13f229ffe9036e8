"""Hook of mkdocs: what Markdown leaves over is drawn when the site is built, so that no script has to."""

import html
import re
from typing import Any

from latex2mathml.converter import convert

_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)
# Docstrings name their neighbours as Sphinx does.
_ROLE = re.compile(r":(?:meth|class|func|mod|attr):(?=<code>)")
# In a table a bar is escaped, in code as well; Python-Markdown leaves the backslash there.
_CELL = re.compile(r"<td>.*?</td>", re.DOTALL)


def on_page_content(text: str, **_: Any) -> str:
    """Make MathML of formulas, ``$...$`` or ``$$...$$``; leave out roles of docstrings and backslashes before bars."""
    return _CELL.sub(lambda cell: cell[0].replace("\\|", "|"), _ROLE.sub("", _FORMULA.sub(_drawn, text)))


def _drawn(found: re.Match[str]) -> str:
    display = "block" if found[2] == "[" else "inline"
    return f'<{found[1]} class="formula">{convert(html.unescape(found[3]), display=display)}</{found[1]}>'
