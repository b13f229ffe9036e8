"""The published claims that mislabel detection can speak to."""

import math
from collections.abc import Iterator

import pandas as pd

from hyperinf.reporting.claims import (
    OWN_QUESTION,
    PAIRED_RULE,
    PUBLISHED_CLAIM,
    Claim,
    points_text,
    sign_verdict,
)
from hyperinf.reporting.intervals import paired_interval, t_interval
from hyperinf.reporting.labels import method_label
from hyperinf.reporting.mislabel_frames import SUBJECT, by_seed, cells, named_metrics
from hyperinf.reporting.published import RELEASE

_CURVES = f"{RELEASE}: Mislabeled_Data_Detection/cola_r=16_detection_rate.pdf (CoLA, RoBERTa-large)"
_NOTEBOOK = f"{RELEASE}: example.ipynb (MRPC, RoBERTa-large, unnamed GPU)"
_RIVALS = ("datainf", "tracin", "lissa")
_CHEAP = ("loss", "grad_norm", "random")


def detection_claims(metrics: pd.DataFrame, published: pd.DataFrame) -> Iterator[Claim]:
    """HyperINF against each rival and each cheap baseline at 20 % and 40 % inspected, in every cell of the run.

    Args:
        metrics: ``inputs.read_mislabel(...).metrics``.
        published: ``published.published_detection``.
    """
    named = named_metrics(metrics)
    for rival in (*_RIVALS, *_CHEAP):
        origin, source = (PUBLISHED_CLAIM, _CURVES) if rival in _RIVALS else (OWN_QUESTION, "")
        for percent in (20, 40):
            for cell in cells(named):
                task, model, rank, epoch = cell
                ours = by_seed(named, cell, SUBJECT, f"detected_{percent}")
                theirs = by_seed(named, cell, rival, f"detected_{percent}")
                interval = paired_interval(ours, theirs)
                yield Claim(
                    statement=f"HyperINF finds more flipped labels than {method_label(rival)} at {percent} % inspected",
                    origin=origin,
                    source=source,
                    setting=f"{task}, {model}, rank {rank}, epoch {epoch}",
                    published=_published_gap(published, rival, percent) if rival in _RIVALS else "",
                    measured=points_text(interval),
                    rule=PAIRED_RULE,
                    verdict=sign_verdict(interval.sign),
                )


def _published_gap(published: pd.DataFrame, rival: str, percent: int) -> str:
    at = published[published["inspected_percent"] == percent].set_index("method")["detected_percent"]
    return f"{at['hyperinf'] - at[rival]:+.1f} points"


def cost_claims(cost: pd.DataFrame, published: dict[str, float]) -> Iterator[Claim]:
    """The published order of the methods' times, for every task, model and rank.

    HyperINF is charged for the GFIM as well (the shared stage ``of which GFIM``); what serves every method alike, the
    gradients and their sweep, is charged to none.

    Args:
        cost: ``inputs.read_mislabel(...).cost``.
        published: ``published.published_influence_seconds``.
    """
    orders = ((SUBJECT, "datainf"), (SUBJECT, "lissa"), ("tracin", SUBJECT))
    for faster, slower in orders:
        for (task, model, rank), rows in cost.groupby(["task", "model", "rank"], sort=True):
            first, second = _log_seconds(rows, faster), _log_seconds(rows, slower)
            interval = paired_interval(second, first)
            ratio = "not run" if interval.n == 0 else f"{math.exp(interval.mean):.3g} times as long"
            if not math.isnan(interval.half_width):
                ratio += f" (95 %: {math.exp(interval.low):.3g} to {math.exp(interval.high):.3g}, {interval.n} seeds)"
            yield Claim(
                statement=f"{method_label(faster)} takes less time than {method_label(slower)}",
                origin=PUBLISHED_CLAIM,
                source=_NOTEBOOK,
                setting=f"{task}, {model}, rank {rank}",
                published=f"{published[faster]:.3g} s against {published[slower]:.3g} s",
                measured=f"{method_label(slower)} takes {ratio}" if interval.n else "not run",
                rule="95 % t-interval of the log ratio of seconds, paired over seeds (mean over checkpoints, "
                "HyperINF charged for the "
                "GFIM): above 0 supported, below 0 contradicted, holding 0 within noise; fewer than two common "
                "seeds: not tested",
                verdict=sign_verdict(interval.sign),
            )


def _log_seconds(rows: pd.DataFrame, method: str) -> dict[int, float]:
    """Per seed the mean over checkpoints of the log of the method's seconds."""
    own = rows[rows["method"] == method]
    if own.empty:
        return {}
    if method == SUBJECT:
        own = pd.concat([own, rows[rows["stage"] == "of which GFIM"]])
    totals = own.groupby(["seed", "epoch"], dropna=False)["seconds"].sum()
    totals = totals[totals > 0]
    by_checkpoint = totals.map(math.log).reset_index()
    return {int(seed): t_interval(group["seconds"].to_list()).mean for seed, group in by_checkpoint.groupby("seed")}
