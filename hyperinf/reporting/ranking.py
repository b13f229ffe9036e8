"""Tell who is best over seeds, and whether that is more than noise."""

from collections.abc import Mapping

from hyperinf.reporting.intervals import Interval, paired_interval, t_interval
from hyperinf.settings.scores import ScoreName

BySeed = Mapping[int, float]


def leader(values: Mapping[str, BySeed]) -> tuple[str, Interval] | None:
    """Find the method with the highest mean over seeds, and its lead over the second, paired over seeds.

    A method that solves another's equation exactly (``oracle_of``) does not contend with it: it is left out.

    Args:
        values: each method's value per seed; of equal means the first method given leads.

    Returns:
        None where fewer than two contend.
    """
    known = {method: seeds for method, seeds in values.items() if seeds}
    contenders = {name: seeds for name, seeds in known.items() if oracle_of(name) not in known}
    if len(contenders) < 2:
        return None
    means = {name: t_interval(list(seeds.values())).mean for name, seeds in contenders.items()}
    first, second = sorted(means, key=lambda name: -means[name])[:2]
    return first, paired_interval(contenders[first], contenders[second])


def oracle_of(method: str) -> str | None:
    """Name the method that this one is the exact counterpart of."""
    score = ScoreName.of(method)
    return score.spec.oracle_of if score.known else None
