"""Tell who is best over seeds, and whether that is more than noise."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from hyperinf.reporting.intervals import Interval, paired_interval, t_interval
from hyperinf.reporting.labels import SUBJECT, ordered_methods
from hyperinf.settings.methods import BASELINES, METHODS
from hyperinf.settings.scores import ScoreName

if TYPE_CHECKING:
    from hyperinf.reporting.frames import Place, StudyFrame

BySeed = Mapping[int, float]


def minus(first: BySeed, second: BySeed) -> dict[int, float]:
    """Subtract the numbers of the seeds that both have."""
    return {seed: first[seed] - second[seed] for seed in sorted(set(first) & set(second))}


def difference(frame: "StudyFrame", place: "Place", rival: str) -> dict[int, float]:
    """Give HyperINF's number minus the rival's, by seed."""
    return minus(frame.seeds(place, SUBJECT), frame.seeds(place, rival))


def leader(values: Mapping[str, BySeed]) -> tuple[str, Interval, bool] | None:
    """Find the method with the highest mean over seeds, its lead over the second, and whether it is clear of all.

    It is clear where the intervals of its differences to all others, paired over seeds, lie above 0. A method that
    solves another's equation exactly (``oracle_of``) does not contend with it: it is left out.

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
    first, *others = sorted(means, key=lambda name: -means[name])
    leads = [paired_interval(contenders[first], contenders[other]) for other in others]
    return first, leads[0], all(lead.sign == 1 for lead in leads)


def rivals_among(methods: Iterable[str]) -> list[str]:
    """Name those that HyperINF is held against, in the house order: no counterpart of it, and no form of a method."""
    known = [name for name in ordered_methods(methods) if name in METHODS or name in BASELINES]
    return [name for name in known if name != SUBJECT and oracle_of(name) != SUBJECT]


def oracle_of(method: str) -> str | None:
    """Name the method that this one is the exact counterpart of."""
    score = ScoreName.of(method)
    return score.spec.oracle_of if score.known else None
