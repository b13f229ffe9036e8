"""The site and its notebooks, where the extra ``docs`` is installed (``make docs``): it builds, needs no network."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mkdocs", reason="needs the extra docs: make docs")
pytest.importorskip("nbclient", reason="needs the extra docs: make docs")
ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "website"))
import nbformat  # noqa: E402
import run_notebooks  # noqa: E402

NOTEBOOKS = sorted((ROOT / "docs/notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    built = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr[-3000:]
    return folder


def test_pages_load_nothing_from_a_network(site):
    loading = r"<(?:script|img|iframe|link|source|video)\b[^>]*?(?:src|srcset|href)=\"(?:https?:)?//[^\"]*\"[^>]*>"
    for page in site.rglob("*.html"):
        assert re.findall(loading, page.read_text("utf-8")) == [], page.name
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(?:https?:)?//|@import", sheet.read_text("utf-8")), sheet.name


def test_links_between_pages_lead_to_files_and_places_in_them(site):
    places = {page: set(re.findall(r"\bid=\"([^\"]+)\"", page.read_text("utf-8"))) for page in site.rglob("*.html")}
    for page in places.keys() - {site / "404.html"}:  # which a server shows at any address
        for link, place in re.findall(r"<a [^>]*?href=\"([^\":#]*)(?:#([^\"]*))?\"", page.read_text("utf-8")):
            target = (page.parent / link).resolve() if link else page
            assert target.exists(), f"{page.name}: {link}"
            if place and target.suffix == ".html":
                assert place in places[target] or place.startswith("__"), f"{page.name}: {link}#{place}"


def test_formulas_and_notebooks_are_drawn(site):
    assert "<math" in (site / "theory.html").read_text("utf-8")
    assert "arithmatex" not in (site / "theory.html").read_text("utf-8")
    page = (site / "notebooks/find_wrong_labels.html").read_text("utf-8")
    assert "<table>" in page
    for picture in re.findall(r"<img [^>]*src=\"([^\"]+)\"", page):
        assert (site / "notebooks" / picture).is_file()


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_with_the_outputs_of_a_run(notebook):
    cells = [cell for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert any(cell.outputs for cell in cells)
    assert not any(output.output_type == "error" for cell in cells for output in cell.outputs)


@pytest.mark.assets
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(notebook, tmp_path):
    run = run_notebooks.executed(notebook, tmp_path)
    assert any("text/plain" in output.get("data", {}) for cell in run.cells for output in cell.get("outputs", []))
