"""Who is best over seeds, and whether that is more than noise."""

from collections.abc import Mapping
from dataclasses import dataclass

from hyperinf.reporting.intervals import paired_interval, t_interval
from hyperinf.reporting.labels import ORACLE_OF

BySeed = Mapping[int, float]


@dataclass(frozen=True)
class Leader:
    """The method with the highest mean.

    Attributes:
        method: its name.
        sign: of the paired interval against the second best: 1 is clear of it, 0 within noise, None has no interval.
    """

    method: str
    sign: int | None


def leader(values: Mapping[str, BySeed]) -> Leader | None:
    """The method with the highest mean over seeds; None where fewer than two have a value.

    A method that solves another's equation exactly (``ORACLE_OF``) does not contend with it: it is left out.

    Args:
        values: each method's value per seed; of equal means the first method given leads.
    """
    known = {method: seeds for method, seeds in values.items() if seeds}
    contenders = {method: seeds for method, seeds in known.items() if ORACLE_OF.get(method) not in known}
    if len(contenders) < 2:
        return None
    means = {method: t_interval(list(seeds.values())).mean for method, seeds in contenders.items()}
    first, second = sorted(means, key=lambda method: -means[method])[:2]
    return Leader(first, paired_interval(contenders[first], contenders[second]).sign)
