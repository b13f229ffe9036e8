"""Every solver of the synthetic study: what it is called and how it is drawn."""

from collections.abc import Mapping
from dataclasses import dataclass

from hyperinf.settings.methods import METHODS, Line


@dataclass(frozen=True)
class SolverSpec:
    """A solver of the synthetic study.

    Attributes:
        name: in settings and tables.
        label: in figures.
        colour: of its line, as hexadecimal RGB.
        marker: matplotlib's name of its marker.
        line: how its line is drawn.
        filled: whether its marker is filled.
    """

    name: str
    label: str
    colour: str
    marker: str
    line: Line = "solid"
    filled: bool = True


def _of_method(name: str) -> SolverSpec:
    """An influence method's own inverse, drawn as the method is."""
    method = METHODS[name]
    return SolverSpec(name, method.label, method.colour, method.marker, method.line, method.filled)


_ALL = (
    SolverSpec("schulz_paper", "HyperINF, published start", "#0072B2", "o"),
    SolverSpec("schulz_paper_20", "Schulz, published start, 20 steps", "#0072B2", "o"),
    SolverSpec("schulz_paper_30", "Schulz, published start, 30 steps", "#0072B2", ">", "dashed"),
    SolverSpec("schulz", "Schulz, scaled start", "#56B4E9", "s", "dashed"),
    SolverSpec("chebyshev", "Schulz, Chebyshev-scaled", "#083d63", "D", "dash-dotted"),
    _of_method("lissa"),
    SolverSpec("neumann", "Neumann series", "#CC79A7", "P", "dashed"),
    SolverSpec("sor", "SOR", "#E69F00", "v", "dashed"),
    SolverSpec("cg", "conjugate gradient", "#882255", "X", "dash-dotted"),
    SolverSpec("gmres", "GMRES", "#999933", "d", "dash-dotted"),
    _of_method("datainf"),
    SolverSpec("cholesky", "Cholesky", "#111111", "p", "dashed"),
    SolverSpec("cholesky_solve", "Cholesky, 16 right-hand sides only", "#111111", "p", "dash-dotted", filled=False),
    SolverSpec("inv", "torch.linalg.inv", "#777777", "h", "dashed"),
)
SOLVERS: Mapping[str, SolverSpec] = {spec.name: spec for spec in _ALL}
"""The solvers by name, in the order of figures and tables."""
