"""hyperinf: influence functions by GFIM and Schulz's iteration, and the pipeline that reproduces HyperINF.

The package knows nothing of Snakemake: every stage is a function here and a command of ``hyperinf --help``.
Importing it is cheap; torch and transformers are imported by the modules that need them.
"""

from importlib import import_module

__version__ = "0.1.0"

# No import statements: what this module imports would count as the code of every rule of the workflow.
_HOMES = {
    "Attributor": "hyperinf.attributor",
    "GradientStore": "hyperinf.gradients",
    "HyperINFCallback": "hyperinf.attribution.callback",
    "LiveSource": "hyperinf.gradients",
    "METHODS": "hyperinf.influence",
    "TensorSource": "hyperinf.gradients",
    "find_mislabeled": "hyperinf.mislabeled.find",
    "influence_scores": "hyperinf.influence",
    "per_sample_gradients": "hyperinf.gradients",
}
__all__ = [*_HOMES]


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    """The public names, imported yet or not."""
    return sorted({*globals(), *_HOMES})
