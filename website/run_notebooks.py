"""Run the notebooks of ``docs/notebooks`` and keep their outputs: ``python website/run_notebooks.py [NAME ...]``."""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[1] / "docs/notebooks"


def executed(notebook: Path, folder: Path) -> nbformat.NotebookNode:
    """Run a notebook in a folder, with this interpreter's commands first; give it with outputs, without progress."""
    read = nbformat.read(notebook, as_version=4)
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    NotebookClient(read, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
    for cell in read.cells:
        cell.metadata.clear()
        if cell.cell_type == "code":
            cell.outputs = [*_results(cell.outputs)]
    return read


def _results(outputs: list[nbformat.NotebookNode]) -> Iterator[nbformat.NotebookNode]:
    """Leave out progress: what goes to standard error, lines that are written over, and how long is left."""
    said = "".join(output.text for output in outputs if output.get("name") == "stdout")
    lines = [line.rstrip() for line in said.splitlines()]
    if kept := [f"{line}\n" for line in lines if line.strip() and not line.endswith(" left")]:
        yield nbformat.v4.new_output("stream", name="stdout", text="".join(kept))
    yield from (output for output in outputs if output.output_type != "stream")


if __name__ == "__main__":
    for name in sys.argv[1:] or sorted(each.stem for each in NOTEBOOKS.glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as folder:
            nbformat.write(executed(NOTEBOOKS / f"{name}.ipynb", Path(folder)), NOTEBOOKS / f"{name}.ipynb")
