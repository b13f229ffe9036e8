"""The synthetic studies: solver convergence, the GFIM against the FIM, time to invert.

Nothing is imported here: a change in one study must not rerun the others.
"""
