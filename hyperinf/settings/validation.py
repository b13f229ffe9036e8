"""Whether scores predict what retraining comes to: how often is retrained, and what is judged."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from hyperinf.settings.base import Place, Settings, setting
from hyperinf.settings.scores import AScore
from hyperinf.settings.training import AT_ONCE_HELP
from hyperinf.settings.types import Count, Distinct, Switch

Share = Annotated[float, Field(gt=0, lt=1)]


class RetrainingSettings(Settings):
    """Training again on random parts of the training samples."""

    subsets: int = setting(50, ge=3, lt=2**31, help="number of random subsets that are trained on, one training each")
    subset_fraction: Share = setting(0.5, help="fraction of the training samples in each subset")
    again: int = setting(
        10,
        ge=0,
        lt=2**31,
        help="number of the subsets that are trained on once more in another order, which tells how well anything could"
        " predict; 0 for none",
    )
    at_once: Count = setting(5, help=AT_ONCE_HELP)


class RemovalSettings(Settings):
    """Training without the samples that scores find most helpful or most harmful."""

    fractions: Annotated[tuple[Share, ...], Field(min_length=1), Distinct] = setting(
        (0.01, 0.05, 0.1), help="fractions of the training samples that are left out, one training each"
    )
    methods: Annotated[tuple[Annotated[str, AScore()], ...], Distinct] = setting(
        (), help="methods whose samples are left out, by default the first of those scored by; random ones stand beside"
    )


class JudgingSettings(Settings):
    """What scores are judged by."""

    top_k: Count = setting(10, help="number of most helpful samples whose overlap between queries is measured")
    randomised: Switch = setting(
        True, help="score by a model with shuffled weights as well, to see whether scores tell of the model"
    )
    resamples: Count = setting(300, help="number of times that subsets are drawn again, for intervals")
    removal: RemovalSettings | None = setting(
        RemovalSettings,
        help="train without the most helpful and the most harmful samples, and on those alone a little further; null to"
        " leave it out",
    )


class ValidationSettings(RetrainingSettings, JudgingSettings):
    """Telling whether scores predict retraining."""


def removal_misfits(removal: RemovalSettings | None, scored: Sequence[str], *above: str) -> dict[str | Place, str]:
    """Say which methods samples are to be left out by that are not scored by, by their place.

    Args:
        removal: what is left out, if anything.
        scored: the methods that are scored by.
        *above: keys that lead to the section that holds ``removal``.
    """
    return {
        (
            *above,
            "removal",
            "methods",
            index,
        ): f"got {name!r}, expected one of the methods scored by: {', '.join(scored)}"
        for index, name in enumerate(removal.methods if removal else ())
        if name not in scored
    }
