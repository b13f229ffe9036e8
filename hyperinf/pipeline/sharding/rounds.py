"""How often shards have to be summed for the methods of a run; without torch, so that a workflow can ask."""

from collections.abc import Sequence

NOT_SHARDED = ("fim",)
"""Methods that need all gradients of a layer at once."""


def rounds_of(methods: Sequence[str], lissa_iterations: int) -> int:
    """Sums over all samples, beyond the statistics, that ``methods`` need one after the other; they share them."""
    lissa = 5 + lissa_iterations  # five Lanczos steps find its scale
    own = {"datainf": 1, "datainf_gfim": 1, "lissa": lissa}
    return max(own.get(method, 0) for method in methods)
