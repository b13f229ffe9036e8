"""Judge claims on cost: the order of the methods in time and memory, and that HyperINF does not depend on the rank."""

import math
from collections.abc import Iterator

import pandas as pd

from hyperinf.reporting import labels
from hyperinf.reporting.claims import Claim
from hyperinf.reporting.costs import SHARED
from hyperinf.reporting.detection_claims import where
from hyperinf.reporting.frames import Cell, Place
from hyperinf.reporting.published import PUBLISHED_FAMILY, RELEASE, published_influence_seconds
from hyperinf.reporting.ranking import minus
from hyperinf.reporting.study_inputs import StudyResults

_NOTEBOOK = f"{RELEASE}: example.ipynb (MRPC, RoBERTa-large, unnamed GPU)"
_ABSTRACT = "HyperINF paper, abstract: cost independent of the rank"
_GFIM = "of which GFIM"
_STATISTICS = "statistics"
_ORDERS = ((labels.SUBJECT, "datainf"), (labels.SUBJECT, "lissa"), ("tracin", labels.SUBJECT))


def cost_claims(read: StudyResults) -> Iterator[Claim]:
    """Judge what is published on cost, of a classifier whose harmed samples are found, in every setting.

    HyperINF is charged for the GFIM as well (the shared stage ``of which GFIM``) where it is held against others; what
    serves every method alike, the gradients and their sweep, is charged to none.
    """
    if read.shape.family == PUBLISHED_FAMILY and read.shape.detection:
        yield from _orders(read)
        yield from _memory(read)
        yield from _by_rank(read)


def _orders(read: StudyResults) -> Iterator[Claim]:
    published = published_influence_seconds()
    for faster, slower in _ORDERS:
        for cell, rows in _cells(read.cost):
            yield Claim(
                f"{labels.method_label(faster)} takes less time than {labels.method_label(slower)} (HyperINF is "
                "charged for the GFIM)",
                _NOTEBOOK,
                where(read, Place(cell, "")),
                "difference",
                "log_ratio",
                minus(_log_seconds(rows, slower), _log_seconds(rows, faster)),
                f"{published[faster]:.3g} s against {published[slower]:.3g} s",
            )


def _memory(read: StudyResults) -> Iterator[Claim]:
    """HyperINF's peak against each rival's own, where the system told them."""
    for less, more in _ORDERS:
        for cell, rows in _cells(read.cost):
            values = minus(_log_peak(rows, more), _log_peak(rows, less))
            if values:
                yield Claim(
                    f"{labels.method_label(less)} takes less memory than {labels.method_label(more)} (HyperINF is "
                    "charged for the statistics)",
                    "",
                    where(read, Place(cell, "")),
                    "difference",
                    "log_ratio",
                    values,
                )


def _by_rank(read: StudyResults) -> Iterator[Claim]:
    """The largest rank of an adapter against the smallest: time and memory of the inverse, and the GFIM's own sum."""
    known: dict[tuple[str, str, str], list[tuple[int, Cell, pd.DataFrame]]] = {}
    for cell, rows in _cells(read.cost):
        kind, rank, _ = labels.setting_order(cell.setting)
        if rank:
            known.setdefault((cell.task, cell.model, kind), []).append((rank, cell, rows))
    for found in known.values():
        (low, cell, less), (high, _, more) = (pick(found, key=lambda each: each[0]) for pick in (min, max))
        if low == high:
            continue
        setting = f"{cell.task}, {cell.model}, rank {high} against {low}"
        inverse, gfim = ([rows[rows["stage"] == stage] for rows in (more, less)] for stage in ("precondition", _GFIM))
        parts = {
            "HyperINF's inverse takes the same time": [_log_seconds(rows, labels.SUBJECT) for rows in inverse],
            "HyperINF's inverse takes the same memory": [_log_peak(rows, labels.SUBJECT) for rows in inverse],
            "the sum of the GFIM takes the same time": [_log_seconds(rows, SHARED) for rows in gfim],
        }
        for name, (one, other) in parts.items():
            values = minus(one, other)
            if values:
                yield Claim(f"{name} at every rank", _ABSTRACT, setting, "equality", "log_ratio", values)


def _cells(cost: pd.DataFrame) -> Iterator[tuple[Cell, pd.DataFrame]]:
    for key, rows in cost.groupby(list(Cell._fields), sort=False):
        yield Cell(*map(str, key)), rows


def _log_seconds(rows: pd.DataFrame, method: str) -> dict[int, float]:
    """Per seed the mean over checkpoints of the log of the method's seconds."""
    own = rows[rows["method"] == method]
    if method == labels.SUBJECT and len(own):
        own = pd.concat([own, rows[(rows["method"] == SHARED) & (rows["stage"] == _GFIM)]])
    return _mean_log(own.groupby(["seed", "checkpoint"])["seconds"].sum())


def _log_peak(rows: pd.DataFrame, method: str) -> dict[int, float]:
    """Per seed the mean over checkpoints of the log of the largest peak of the method's own stages, in MiB.

    What is below one MiB counts as one: of a process no less can be told from what its allocator kept.
    """
    own = rows[rows["method"] == method]
    if method == labels.SUBJECT and len(own):
        own = pd.concat([own, rows[(rows["method"] == SHARED) & (rows["stage"] == _STATISTICS)]])
    peaks = own.groupby(["seed", "checkpoint"])["peak_memory_mib"].max()
    return _mean_log(peaks.dropna().clip(lower=1.0))


def _mean_log(by_checkpoint: pd.Series) -> dict[int, float]:
    logs = by_checkpoint[by_checkpoint > 0].map(math.log)
    return {int(seed): float(group.mean()) for seed, group in logs.groupby("seed")}
