"""The tools, by name; each is imported only where it is measured, as one may be missing."""

from importlib import import_module
from types import ModuleType

TOOLS = {
    "hyperinf": "ours",
    "torch": "plain",
    "kronfluence": "with_kronfluence",
    "dattri-llm": "with_dattri_llm",
    "bergson": "with_bergson",
    "TRAK": "with_trak",
    "dattri": "with_dattri",
    "Opacus": "with_opacus",
}
METHODS = {
    "hyperinf": ("hyperinf", "ekfac", "datainf", "tracin"),
    "kronfluence": ("EK-FAC", "EK-FAC, heuristic damping", "K-FAC", "K-FAC, heuristic damping"),
    "dattri-llm": ("EK-FAC", "EK-FAC, relative damping", "K-FAC", "GradCos", "GradDot"),
    "bergson": ("EK-FAC", "K-FAC", "cosines"),
    "TRAK": ("TRAK, 2,048 dimensions", "TRAK, fewer dimensions than samples"),
    "dattri": ("EK-FAC", "DataInf", "TracIn"),
}
"""What is judged: known without an import, so that a tool that cannot be imported is told of."""
EXTRACTING = ("torch", "hyperinf", "Opacus", "dattri-llm", "bergson", "kronfluence", "TRAK")


def opened(tool: str) -> ModuleType:
    """Import what is known of a tool."""
    return import_module(f"benchmarks.peers.{TOOLS[tool]}")
