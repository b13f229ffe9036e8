"""The synthetic studies: solver convergence, the GFIM against the FIM, time to invert."""

from hyperinf.simulation.convergence import ConvergenceConfig, run_convergence
from hyperinf.simulation.fisher import FisherConfig, run_fisher_heatmap
from hyperinf.simulation.timing import TimingConfig, run_timing

__all__ = [
    "ConvergenceConfig",
    "FisherConfig",
    "TimingConfig",
    "run_convergence",
    "run_fisher_heatmap",
    "run_timing",
]
