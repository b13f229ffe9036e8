"""TracIN: the Hessian-free baseline."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from hyperinf.influence.methods.base import InfluenceMethod
from hyperinf.settings.methods import METHODS


class TracIN(InfluenceMethod):
    """``hvp = v``: the dot product of gradients at one checkpoint (Pruthi et al. 2020)."""

    spec: ClassVar = METHODS["tracin"]
    needs_statistics: ClassVar[bool] = False
    copies: ClassVar[int] = 2

    def precondition(self, v: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Give ``v`` itself; a layer whose training gradients are all zero scores zero by itself."""
        return dict(v)

    def precondition_each(self, vectors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Give the vectors themselves."""
        return dict(vectors)
