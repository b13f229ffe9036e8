"""What a score is called: an influence method, perhaps in another form, perhaps taken over checkpoints.

``hyperinf`` is the method's own score, ``hyperinf_unit`` its cosine, ``tracin_cp`` TracIN summed over checkpoints,
``hyperinf_unit_epochs`` the cosine averaged over them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from hyperinf.settings.methods import METHODS, MethodSpec
from hyperinf.settings.types import OneOf


@dataclass(frozen=True)
class Ending:
    """What may follow the name of a method.

    Attributes:
        label: in figures and tables, after the method's.
        each: the inverse curvature is multiplied by the gradient of every training sample.
    """

    label: str
    each: bool = False


FORMS: Mapping[str, Ending] = {
    "unit": Ending("cosine"),
    "theta_relative": Ending("θ-relative", each=True),
    "loss_relative": Ending("ℓ-relative", each=True),
    "self_influence": Ending("self-influence", each=True),
}
"""What else is made of a method: see :mod:`hyperinf.influence.forms`."""

POOLS: Mapping[str, Ending] = {
    "cp": Ending("checkpoints by learning rate"),
    "epochs": Ending("mean over checkpoints"),
}
"""How scores of several checkpoints are one: ``sum_c eta_c score_c``, and their mean."""


@dataclass(frozen=True)
class ScoreName:
    """The parts of a score's name.

    Attributes:
        method: a name in ``METHODS``.
        form: a name in ``FORMS``; ``""`` for the method's own score.
        pool: a name in ``POOLS``; ``""`` for one checkpoint.
    """

    method: str
    form: str = ""
    pool: str = ""

    @classmethod
    def of(cls, name: str) -> "ScoreName":
        """Take a name apart; what is not known stays the method's name."""
        method, pool = _split(name, POOLS)
        method, form = _split(method, FORMS)
        return cls(method, form, pool) if method in METHODS else cls(name)

    def __str__(self) -> str:
        return "_".join(filter(None, (self.method, self.form, self.pool)))

    @property
    def at_one_checkpoint(self) -> "ScoreName":
        """What is taken at every checkpoint for it."""
        return replace(self, pool="")

    @property
    def known(self) -> bool:
        """Whether there is such a method."""
        return self.method in METHODS

    @property
    def needs_each(self) -> bool:
        """Whether every training sample's own product with the inverse curvature is needed."""
        return bool(self.form) and FORMS[self.form].each

    @property
    def spec(self) -> MethodSpec:
        """How it is called and drawn."""
        spec = METHODS[self.method]
        endings = [known[name].label for known, name in ((FORMS, self.form), (POOLS, self.pool)) if name]
        if not endings:
            return spec
        label = f"{spec.label}, {', '.join(endings)}"
        oracle = None if spec.oracle_of is None else str(replace(self, method=spec.oracle_of))
        return replace(spec, name=str(self), label=label, line="dashed", filled=False, oracle_of=oracle, main=False)


def _split(name: str, known: Mapping[str, Ending]) -> tuple[str, str]:
    if name not in METHODS:
        for ending in known:
            if name.endswith(f"_{ending}"):
                return name.removesuffix(f"_{ending}"), ending
    return name, ""


def methods_of(scores: Iterable[str]) -> tuple[str, ...]:
    """Name the methods that scores are made by, each once."""
    return tuple(dict.fromkeys(ScoreName.of(name).method for name in scores))


def not_sharded(scores: Iterable[str]) -> tuple[str, ...]:
    """Name those of the scores that cannot be taken in shards of the samples."""
    names = {name: ScoreName.of(name) for name in scores}
    return tuple(name for name, each in names.items() if each.needs_each or "gradients" in METHODS[each.method].needs)


class AScore(OneOf):
    """Marks text that must be the name of a score."""

    def __init__(self) -> None:
        super().__init__(METHODS)

    @property
    def expected(self) -> str:
        """What is expected, in words."""
        endings = " or ".join(f"_{name}" for name in FORMS)
        return f"one of {', '.join(METHODS)}; {endings} may follow, and {' or '.join(f'_{name}' for name in POOLS)}"

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        forms, pools = "|".join(FORMS), "|".join(POOLS)
        pattern = f"^({'|'.join(METHODS)})(_({forms}))?(_({pools}))?$"
        made: dict[str, Any] = handler(schema)
        return {**made, "pattern": pattern, "expected": self.expected, "examples": list(METHODS)}

    def _check(self, value: str) -> str:
        if not ScoreName.of(value).known:
            raise ValueError(self.expected)
        return value
