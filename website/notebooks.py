"""Hook of mkdocs: each notebook of ``docs/notebooks`` is a page, with the outputs that it was kept with."""

import posixpath
import re
from typing import Any

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbconvert import MarkdownExporter

# What pandas puts before a table, for looks that are the page's own matter.
_STYLE = re.compile(r"<style scoped>.*?</style>\s*", re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Put a page beside each notebook, and its pictures."""
    for notebook in [each for each in files if each.src_uri.endswith(".ipynb")]:
        place = notebook.src_uri.removesuffix(".ipynb")
        text, pictures = _page(notebook.content_string, posixpath.basename(place))
        files.append(File.generated(config, f"{place}.md", content=text))
        for name, content in pictures.items():
            files.append(File.generated(config, posixpath.join(posixpath.dirname(place), name), content=content))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Point other pages' links to a notebook to its page."""
    return markdown if page.file.src_uri.startswith("notebooks/") else markdown.replace(".ipynb)", ".md)")


def _page(source: str, name: str) -> tuple[str, dict[str, bytes]]:
    """The page's Markdown, and its pictures by the names that it has them under."""
    resources = {"unique_key": name, "output_files_dir": f"{name}_files"}
    text, made = MarkdownExporter().from_notebook_node(nbformat.reads(source, as_version=4), resources=resources)
    text = _STYLE.sub("", text).replace('<table border="1" class="dataframe">', "<table>")
    text = re.sub(r"!\[png\]", "![What the code above draws]", text)
    return (
        f"{text}\n\n---\n\nThis page is the notebook [`{name}.ipynb`]({name}.ipynb), with what a run of it showed.\n",
        made["outputs"],
    )
