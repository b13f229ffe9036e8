"""Say in one sentence whether scores may be trusted."""

import math

from hyperinf.reporting.labels import method_label

_NOTHING, _MOST = 0.1, 0.5


def verdict(method: str, lds: float, low: float, high: float, ceiling: float) -> str:
    """Say whether the scores of a method may be trusted, and why.

    They may not where the interval of their score holds 0; they may with care where they reach less than half of what
    retraining in another order does; and nothing can be told where that itself predicts next to nothing.

    Args:
        method: whose scores.
        lds: linear datamodeling score, mean over the target rows.
        low: of its 95 % interval.
        high: of it.
        ceiling: the score of retraining in another order; NaN where that was not done.
    """
    name = method_label(method)
    if math.isnan(lds):
        return f"Nothing can be told of {name}: the loss, or the score, is the same whatever is trained on."
    known = not math.isnan(ceiling)
    reached = f"; retraining in another order predicts {ceiling:.2f}" if known else ""
    if known and ceiling < _NOTHING:
        judged = f"Nothing can be told of {name}: what training comes to depends on little but the order of rows"
    elif low <= 0:
        judged = f"The scores of {name} may not be trusted here: they predict retraining no better than chance"
    elif known and lds < _MOST * ceiling:
        judged = f"The scores of {name} may be trusted with care here: they predict a part of retraining"
    else:
        judged = f"The scores of {name} may be trusted here: they predict retraining"
    return f"{judged} (LDS {lds:.2f}, 95 % {low:.2f} to {high:.2f}{reached})."
