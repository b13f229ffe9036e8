"""Draw the time to invert a d x d matrix, this run's beside the published seconds."""

import pandas as pd

from hyperinf.reporting import style
from hyperinf.reporting.labels import counted, method_label, ordered_solvers
from hyperinf.reporting.manifest import Entry
from hyperinf.reporting.published import published_inversion
from hyperinf.reporting.simulation_inputs import SimulationResults

PUBLISHED = "published"
INVALID_LABEL = "not synchronised (invalid)"


def timing_data(frame: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Gather what the figure draws: series, method, dim, median, low, high, repeats, valid.

    Args:
        frame: ``simulation_inputs.read_timing``; every device, dtype and thread count is a series.
        published: ``published.published_inversion``.
    """
    threads = frame["threads"].map(_threads_text)
    run = frame.assign(series=frame["device"] + ", " + frame["dtype"] + threads)
    seconds = run.groupby(["series", "method", "dim"], sort=True)["seconds"]
    measured = seconds.agg(median="median", low="min", high="max", repeats="count").reset_index().assign(valid=True)
    reference = published.rename(columns={"seconds": "median"}).assign(series=PUBLISHED)
    reference = reference.sort_values(["method", "dim"])
    return pd.concat([measured, reference], ignore_index=True)[
        ["series", "method", "dim", "median", "low", "high", "repeats", "valid"]
    ]


def _threads_text(threads: float) -> str:
    return "" if pd.isna(threads) else f", {counted(round(threads), 'thread')}"


def timing_figure(read: SimulationResults, entry: Entry) -> style.Drawing:
    """Draw median seconds against d, both logarithmic: a panel per device, the published seconds in the last."""
    assert read.timing is not None  # there is an entry only where it was run
    data = timing_data(read.timing, published_inversion())
    measured = [series for series in dict.fromkeys(data["series"]) if series != PUBLISHED]
    names = [*measured, PUBLISHED]
    columns = min(len(names), 3)
    rows = -(-len(names) // columns)
    figure, axes = style.new_figure(rows, columns, 1.5 + 2.3 * rows, sharex=True, sharey=True)
    flat = [axis for row in axes for axis in row]
    for axis in flat[len(names) :]:
        axis.remove()
    for axis, name in zip(flat, names, strict=False):
        part = data[data["series"] == name]
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.set_title("published: notebook, unnamed CUDA GPU" if name == PUBLISHED else f"this run: {name}")
        for method in ordered_solvers(part["method"]):
            rows_of = part[part["method"] == method]
            options = style.line_options(method)
            if name == PUBLISHED:
                valid = bool(rows_of["valid"].all())
                face = options["color"] if valid else "white"
                options |= {"linestyle": style.PUBLISHED_LINE, "markerfacecolor": face, "markersize": 4 if valid else 6}
            axis.plot(rows_of["dim"], rows_of["median"], **options)
            if name != PUBLISHED:
                band = {"color": options["color"], "alpha": 0.2, "lw": 0}
                axis.fill_between(rows_of["dim"], rows_of["low"], rows_of["high"], **band)
    dims = sorted(set(data["dim"]))
    shown = dims if len(dims) <= 7 else dims[:: -(-len(dims) // 7)]
    for axis in flat[: len(names)]:
        style.dimension_axis(axis, shown)
    flat[0].set_ylabel("seconds (lower is better)")
    run = set(data.loc[data["series"] != PUBLISHED, "method"])
    invalid = set(data.loc[~data["valid"], "method"])
    handles = [style.legend_handle(method) for method in ordered_solvers(run)]
    dotted, hollow = {"linestyle": style.PUBLISHED_LINE}, {"markerfacecolor": "white", "markersize": 6}
    for method in ordered_solvers(set(data["method"]) - run - invalid):
        handles.append(style.handle(f"published: {method_label(method)}", **style.line_options(method) | dotted))
    for method in sorted(invalid):
        options = style.line_options(method) | dotted | hollow
        handles.append(style.handle(f"published: Schulz, {INVALID_LABEL}", **options))
    style.legend_below(figure, handles, 2)
    return style.Drawing(data, figure)
