"""hyperinf: influence functions by GFIM and Schulz's iteration, and the pipeline that reproduces HyperINF.

The package knows nothing of Snakemake: every stage is a function here and a command of ``hyperinf --help``.
Importing it is cheap; torch and transformers are imported by the modules that need them.
"""

__version__ = "0.1.0"
