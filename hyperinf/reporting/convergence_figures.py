"""Draw error against iteration on the d x N grid, with the published curves, and DataInf's error against d."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from hyperinf.reporting import style
from hyperinf.reporting.labels import method_label, ordered_solvers
from hyperinf.reporting.manifest import Entry
from hyperinf.reporting.published import published_convergence
from hyperinf.reporting.simulation_inputs import SimulationResults

RUN, PUBLISHED = "this run", "published"
_HEADROOM = 10.0
_DEPTH = 1e-12
_LOG_SPAN = 10.0
_COLUMNS = {"convergence": "error_l2", "convergence_relative": "error_relative"}
_AXIS_LABELS = {
    "error_l2": "absolute error  ‖A⁻¹v − x‖₂   (lower is better)",
    "error_relative": "relative error  ‖A⁻¹v − x‖₂ / ‖A⁻¹v‖₂   (lower is better)",
}


def convergence_data(frame: pd.DataFrame, published: pd.DataFrame, column: str) -> pd.DataFrame:
    """Gather what the convergence figures draw: mean, smallest and largest error over seeds, and the published errors.

    Args:
        frame: ``simulation_inputs.read_convergence``.
        published: ``published.published_convergence``; only dims and sample counts that ``frame`` has are kept.
        column: ``error_l2`` or ``error_relative``.

    Returns:
        Columns series, method, dim, samples, iteration (empty for direct methods), mean, low, high, seeds, diverged
        (seeds that diverged; the mean is then empty), below_reading_limit.
    """
    keys = ["method", "dim", "samples", "iteration"]
    grouped = frame.groupby(keys, dropna=False, sort=True)[column]
    run = grouped.agg(mean="mean", low="min", high="max", seeds="count").reset_index()
    run["diverged"] = grouped.agg(lambda values: int(np.isinf(values).sum())).to_numpy()
    # A seed that left the finite numbers has no rows after that: the others' mean would look as if all were well.
    in_all = frame.groupby(["method", "dim", "samples"])["seed"].nunique()
    cell = list(zip(run["method"], run["dim"], run["samples"], strict=True))
    run["diverged"] += in_all.loc[cell].to_numpy() - run["seeds"]
    run.loc[run["diverged"] > 0, ["mean", "low", "high"]] = np.nan
    run.insert(0, "series", RUN)
    run["below_reading_limit"] = False
    cells = set(zip(frame["dim"], frame["samples"], strict=True))
    inside = [cell in cells for cell in zip(published["dim"], published["samples"], strict=True)]
    reference = published[inside].rename(columns={column: "mean"}).assign(series=PUBLISHED)
    reference = reference.sort_values(keys)[["series", *keys, "mean", "below_reading_limit"]]
    columns = ["series", *keys, "mean", "low", "high", "seeds", "diverged", "below_reading_limit"]
    parts = [run] if reference.empty else [run, reference]
    return pd.concat(parts, ignore_index=True).reindex(columns=columns)


def convergence_figure(read: SimulationResults, entry: Entry) -> style.Drawing:
    """Draw small multiples, rows d and columns N, one shared axis: error (log) against iteration."""
    column = _COLUMNS[entry.product.name]
    data = convergence_data(read.convergence, published_convergence(), column)
    run = data[data["series"] == RUN]
    dims, samples = sorted(set(run["dim"])), sorted(set(run["samples"]))
    methods = ordered_solvers(run["method"])
    legend_rows = -(-(len(methods) + 3) // 4)
    height = 0.55 + 1.55 * len(dims) + 0.17 * legend_rows
    figure, axes = style.new_figure(len(dims), len(samples), max(height, 2.9), sharex=True, sharey=True)
    low, high = _limits(data)
    for i, dim in enumerate(dims):
        for j, sample in enumerate(samples):
            panel = data[(data["dim"] == dim) & (data["samples"] == sample)]
            _panel(axes[i][j], panel, methods, high)
            axes[i][j].set_title(f"d = {dim},  N = {sample}", color=style.INK)
    axes[0][0].set_ylim(low, high)
    axes[0][0].yaxis.set_major_locator(LogLocator(numticks=7))
    axes[0][0].yaxis.set_minor_formatter(NullFormatter())
    for axis in axes[-1]:
        axis.set_xlabel("iteration")
    label = _AXIS_LABELS[column]
    if len(dims) > 1:
        figure.supylabel(label, fontsize=8, color=style.INK)
    else:
        axes[0][0].set_ylabel(label.replace("   (", "\n("))
    handles = [style.legend_handle(method) for method in methods]
    if (data["series"] == PUBLISHED).any():
        published = ordered_solvers(data.loc[data["series"] == PUBLISHED, "method"])
        handles += [_published_handle(method) for method in published]
        hollow = {"marker": "v", "linestyle": "", "markerfacecolor": "white"}
        handles.append(style.handle("published: not readable below", color=style.INK, **hollow))
    style.legend_below(figure, handles, 3)
    return style.Drawing(data, figure)


def _published_handle(method: str) -> Line2D:
    name = "HyperINF" if method == "schulz_paper" else method_label(method)
    colour = _darker(style.line_options(method)["color"])
    return style.handle(f"published: {name}", color=colour, linestyle=style.PUBLISHED_LINE, linewidth=2.4)


def _darker(colour: str) -> str:
    red, green, blue = (int(colour[k : k + 2], 16) * 6 // 10 for k in (1, 3, 5))
    return f"#{red:02x}{green:02x}{blue:02x}"


def _direct(axes: Axes, error: float, method: str, top: float) -> None:
    """A line across the panel with the marker at its end; above the panel an arrow with the method's error."""
    options = style.line_options(method)
    if error <= top:
        axes.axhline(error, color=options["color"], linestyle=options["linestyle"], linewidth=1.0)
        axes.plot([1.0], [error], **options, clip_on=False, transform=axes.get_yaxis_transform())
        return
    text = f"{method_label(method)} {error:.2g} ↑"
    corner: dict[str, Any] = {"ha": "right", "va": "top", "transform": axes.transAxes}
    axes.text(0.98, 0.98, text, color=options["color"], fontsize=7, **corner)


def _panel(axes: Axes, panel: pd.DataFrame, methods: Sequence[str], top: float) -> None:
    axes.set_yscale("log")
    run = panel[panel["series"] == RUN]
    for place, method in enumerate(methods):
        rows = run[run["method"] == method]
        if rows.empty:
            continue
        options = style.line_options(method)
        iterated = rows[rows["iteration"].notna()]
        if iterated.empty:
            _direct(axes, _positive(rows["mean"])[0], method, top)
            continue
        x, mean = iterated["iteration"].to_numpy(), _positive(iterated["mean"])
        axes.plot(x, mean, **options, markevery=(place % 6, 8), linewidth=1.2)
        low, high = _positive(iterated["low"]), _positive(iterated["high"])
        axes.fill_between(x, low, high, color=options["color"], alpha=0.2, linewidth=0)
        failed = iterated[iterated["diverged"] > 0]
        finite = iterated[iterated["diverged"] == 0]
        if len(failed) and len(finite):
            last = finite.iloc[-1:]
            axes.plot(last["iteration"], last["mean"], "x", color=options["color"], markersize=6)
    for method, rows in panel[panel["series"] == PUBLISHED].groupby("method", sort=True):
        colour = _darker(style.line_options(str(method))["color"])
        below = rows["below_reading_limit"].to_numpy(dtype=bool)
        end = int(below.argmax()) + 1 if below.any() else len(rows)
        drawn = rows.iloc[:end]
        line: dict[str, Any] = {"linestyle": style.PUBLISHED_LINE, "linewidth": 2.4, "zorder": 4}
        axes.plot(drawn["iteration"], drawn["mean"], color=colour, **line)
        if below.any():
            last = drawn.iloc[-1:]
            hollow: dict[str, Any] = {"markerfacecolor": "white", "markersize": 5, "zorder": 5}
            axes.plot(last["iteration"], last["mean"], "v", color=colour, **hollow)


def _positive(values: pd.Series) -> np.ndarray:
    """Zero cannot stand on a logarithmic axis; an exact result is drawn at the smallest double."""
    array = values.to_numpy(dtype=float)
    return np.where(array == 0, np.finfo(float).tiny, array)


def _limits(data: pd.DataFrame) -> tuple[float, float]:
    """From the smallest error to a little above the start: a diverging curve leaves through the top."""
    start = data.loc[data["iteration"].notna(), ["dim", "samples", "method", "mean"]]
    first = start.groupby(["dim", "samples", "method"])["mean"].first()
    top = float(first[np.isfinite(first)].groupby(level=["dim", "samples"]).median().max()) * _HEADROOM
    positive = data["mean"][(data["mean"] > 0) & (data["mean"] <= top)]
    return float(max(positive.min() / 2, top * _DEPTH)), top


def datainf_data(frame: pd.DataFrame) -> pd.DataFrame:
    """Gather DataInf's error: quantity (error_l2, error_relative), samples, dim, mean, low, high, seeds."""
    rows = frame[frame["method"] == "datainf"]
    tall = rows.melt(["samples", "dim"], ["error_l2", "error_relative"], var_name="quantity", value_name="error")
    grouped = tall.groupby(["quantity", "samples", "dim"], sort=True)["error"]
    return grouped.agg(mean="mean", low="min", high="max", seeds="count").reset_index()


def datainf_figure(read: SimulationResults, entry: Entry) -> style.Drawing:
    """Draw DataInf's error against d, one line per N: absolute at the left, relative at the right."""
    data = datainf_data(read.convergence)
    figure, axes = style.new_figure(1, 2, 2.9)
    for axis, column in zip(axes[0], ("error_l2", "error_relative"), strict=True):
        part = data[data["quantity"] == column]
        axis.set_xscale("log", base=2)
        if len(part) and part["high"].max() > _LOG_SPAN * part["low"].min():
            axis.set_yscale("log")
        else:
            axis.set_ylim(0, max(1.1, 1.1 * part["high"].max()) if len(part) else 1.1)
        axis.set_ylabel(_AXIS_LABELS[column].replace("   (", "\n("))
        for k, samples in enumerate(sorted(set(data["samples"]))):
            rows = part[part["samples"] == samples]
            colour, marker = style.SERIES_COLOURS[k % 6], style.SERIES_MARKERS[k % 6]
            axis.fill_between(rows["dim"], rows["low"], rows["high"], color=colour, alpha=0.2, linewidth=0)
            axis.plot(rows["dim"], rows["mean"], color=colour, marker=marker)
        dims = sorted(set(data["dim"]))
        style.dimension_axis(axis, dims)
        if dims:
            axis.set_xlim(dims[0] / 1.3, dims[-1] * 1.3)
        else:
            axis.text(0.5, 0.5, "DataInf was not run", transform=axis.transAxes, ha="center", color=style.MUTED)
    axes[0][1].axhline(1.0, color=style.MUTED, linewidth=0.9, linestyle=(0, (4, 2)))
    if len(data):
        edge = axes[0][1].get_yaxis_transform()
        above: dict[str, Any] = {"xytext": (0, 3), "textcoords": "offset points"}
        text = "1 = no better than x = 0"
        axes[0][1].annotate(text, (0.02, 1.0), xycoords=edge, color=style.MUTED, fontsize=7, **above)
    handles = [
        style.handle(f"N = {samples}", color=style.SERIES_COLOURS[k % 6], marker=style.SERIES_MARKERS[k % 6])
        for k, samples in enumerate(sorted(set(data["samples"])))
    ]
    if handles:
        style.legend_below(figure, handles, len(handles))
    return style.Drawing(data, figure)
