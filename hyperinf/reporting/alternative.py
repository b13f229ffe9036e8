"""Say in words what a figure shows, for those who cannot see it: computed from the CSV that lies beside it."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from hyperinf.reporting.costs import seconds_text
from hyperinf.reporting.labels import method_label, percent, selection_label

_OURS = "this run"


def alternative(entry: Mapping[str, Any], table: Path) -> str:
    """Write the alternative text of a figure.

    Args:
        entry: of the manifest.
        table: the CSV with what was drawn.

    Returns:
        Its title, of what it is, and the numbers of its main finding; without those where they are not known.
    """
    known = _FINDINGS.get(str(entry["caption"]))
    finding = ""
    if known is not None and table.is_file():
        frame = pd.read_csv(table)
        finding = known(frame) if len(frame) else "There is nothing to draw"
    about = ", ".join(part for part in (entry["title"], entry["heading"]) if part)
    return ". ".join(part for part in (about, finding) if part) + "."


def _each(
    frame: pd.DataFrame,
    value: str = "mean",
    text: Callable[[float], str] = "{:.3f}".format,
    called: Callable[[str], str] = method_label,
    by: str = "method",
) -> str:
    """Every method's number, over what else there is from the smallest to the largest."""
    parts = []
    for name, values in frame.groupby(by, sort=False)[value]:
        finite = values[values.map(math.isfinite)]
        if len(finite):
            span = dict.fromkeys([text(finite.min()), text(finite.max())])
            parts.append(f"{called(str(name))} {' to '.join(span)}")
    return ", ".join(parts)


def _detection(frame: pd.DataFrame) -> str:
    ours = frame[(frame["series"] == _OURS) & ((frame["inspected"] - 0.2).abs() < 1e-9)]
    return f"Found at 20 % inspected: {_each(ours, 'detected', lambda value: f'{100 * value:.0f} %')}"


def _epochs(frame: pd.DataFrame) -> str:
    found = frame[frame["metric"] == "roc_auc"]
    ends = sorted({found["epoch"].min(), found["epoch"].max()})
    return "; ".join(f"ROC-AUC after epoch {end:g}: {_each(found[found['epoch'] == end])}" for end in ends)


def _cost(frame: pd.DataFrame) -> str:
    own = frame[~frame["stage"].str.startswith("of which")]
    total = own.groupby(["setting", "method"], sort=False)["seconds"].sum().reset_index()
    return f"Seconds of one checkpoint: {_each(total, 'seconds', seconds_text)}"


def _accuracy(frame: pd.DataFrame) -> str:
    found = frame[(frame["metric"] == "accuracy") & frame["fraction"].between(0, 1, inclusive="neither")]
    least = found[found["fraction"] == found["fraction"].min()]
    return "; ".join(
        f"Accuracy with {percent(float(rows['fraction'].iloc[0]))} kept, {strategy} selection: "
        f"{_each(rows, called=selection_label)}"
        for strategy, rows in least.groupby("strategy", sort=False)
    )


def _lds(frame: pd.DataFrame) -> str:
    found = frame[frame["target"] == "query"]
    return f"Linear datamodeling score, each target sample: {_each(found)}"


def _removal(frame: pd.DataFrame) -> str:
    afresh = frame[(frame["metric"] == "loss_without") & (frame["fraction"] == frame["fraction"].max())]
    return "; ".join(
        f"Change of the loss without the {percent(float(rows['fraction'].iloc[0]))} that are {strategy}: "
        f"{_each(rows, text='{:+.3f}'.format)}"
        for strategy, rows in afresh.groupby("strategy", sort=False)
    )


def _contact(frame: pd.DataFrame) -> str:
    spoiled = frame.assign(spoiled=frame["corruption"].fillna("") != "")
    counts = spoiled.groupby(["method", "side"], sort=False)["spoiled"].agg(["sum", "count"]).reset_index()
    parts = (
        f"{row['sum']} of {row['count']} that {method_label(row['method'])} finds most {row['side']}"
        for _, row in counts.iterrows()
    )
    return f"Corrupted on purpose are {', '.join(parts)}"


def _convergence(frame: pd.DataFrame) -> str:
    ours = frame[(frame["series"] == _OURS) & frame["iteration"].notna()]
    last = ours.sort_values("iteration").groupby(["method", "dim", "samples"], sort=False).tail(1)
    return f"Error at the last iteration: {_each(last, text='{:.1e}'.format)}"


def _datainf(frame: pd.DataFrame) -> str:
    found = frame[frame["quantity"] == "error_relative"]
    return f"Relative error by dimension: {_each(found, text='{:.2f}'.format, by='dim', called='d = {}'.format)}"


def _fisher(frame: pd.DataFrame) -> str:
    ranges = frame.groupby(["case", "matrix"], sort=False)["value"].agg(["min", "max"])
    parts = (
        f"{case.replace('_', ' ')}, {matrix.upper()}: entries from {row['min']:.2f} to {row['max']:.2f}"
        for (case, matrix), row in ranges.iterrows()
    )
    return "; ".join(parts)


def _timing(frame: pd.DataFrame) -> str:
    ours = frame[frame["series"] != "published"]
    largest = ours[ours["dim"] == ours["dim"].max()]
    return f"Seconds at d = {largest['dim'].iloc[0]}: {_each(largest, 'median', seconds_text)}"


_FINDINGS: Mapping[str, Callable[[pd.DataFrame], str]] = {
    "figure_detection": _detection,
    "figure_epochs": _epochs,
    "figure_cost": _cost,
    "figure_accuracy": _accuracy,
    "figure_settings": _accuracy,
    "figure_lds": _lds,
    "figure_removal": _removal,
    "figure_contact": _contact,
    "figure_convergence": _convergence,
    "figure_convergence_relative": _convergence,
    "figure_datainf": _datainf,
    "figure_fisher": _fisher,
    "figure_timing": _timing,
}
