"""Hook of mkdocs: what the pages link to outside of ``docs/`` is part of the site, so that its links work anywhere."""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
# Pages of their own; all other files are shown as their text.
PAGES = ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
LANGUAGES = {
    ".yaml": "yaml",
    ".yml": "yaml",
    ".json": "json",
    ".py": "python",
    ".toml": "toml",
    ".sh": "bash",
    ".smk": "python",
}
PICTURES = (".png", ".svg", ".jpg", ".webp")
_LINK = re.compile(r"(\]\()([^)\s#:]+)(#[^)\s]*)?(\))")
# What is longer is of no use on a page.
_LONGEST = 60_000


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and the files that are linked."""
    for name in PAGES:
        files.append(File.generated(config, name, content=(ROOT / name).read_text(encoding="utf-8")))
    for page in [each for each in files if each.src_uri.endswith(".md")]:
        for _, link, _, _ in _LINK.findall(page.content_string):
            place = _place(page.src_uri, link)
            shown = _shown(place)
            if shown and files.get_file_from_path(shown) is None:
                files.append(File.generated(config, shown, content=_text(place)))
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: Any) -> str:
    """Point links that lead out of ``docs/`` to where their targets are in the site."""

    def pointed(found: re.Match[str]) -> str:
        before, link, anchor, after = found.groups()
        place = _place(page.file.src_uri, link)
        target = place.removeprefix("docs/") if place.startswith("docs/") else _shown(place)
        if not target or files.get_file_from_path(target) is None:
            return found[0]
        relative = posixpath.relpath(target, posixpath.dirname(page.file.src_uri) or ".")
        return f"{before}{relative}{anchor or ''}{after}"

    return _LINK.sub(pointed, markdown)


def _place(page: str, link: str) -> str:
    """The path below the root of the project that a page's link means."""
    folder = "" if page in PAGES else posixpath.join("docs", posixpath.dirname(page))
    return posixpath.normpath(posixpath.join(folder, link))


def _shown(place: str) -> str:
    """Where a file or folder of the project stands in the site; nothing for one that does not."""
    path = ROOT / place
    if place in PAGES:
        return place
    if place.startswith(("docs/", "..")) or not path.exists() or path.suffix in PICTURES:
        return ""
    return f"files/{place}.md"


def _text(place: str) -> str:
    head = f"---\nsearch: {{exclude: true}}\n---\n# {place}\n\n"
    path = ROOT / place
    if path.is_dir():
        return head + "".join(f"- `{each.name}`\n" for each in sorted(path.iterdir()))
    text = path.read_text(encoding="utf-8")
    cut = f"\n\nThe first {_LONGEST:,} of {len(text):,} characters." if len(text) > _LONGEST else ""
    return f"{head}~~~~{LANGUAGES.get(path.suffix, 'text')}\n{text[:_LONGEST]}\n~~~~{cut}\n"
