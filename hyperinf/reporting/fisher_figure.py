"""Draw the FIM beside its approximation by the GFIM, as heat maps with a corner enlarged."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.colors import SymLogNorm
from matplotlib.patches import Rectangle

from hyperinf.reporting import style
from hyperinf.reporting.manifest import Entry
from hyperinf.reporting.simulation_inputs import Pair, SimulationResults

OVERVIEW_CELLS = 100
CORNER_ENTRIES = 80
LINEAR_SHARE = 0.1
_CASE_LABELS = {
    "independent": "independent entries\n(the published case)",
    "correlated_rows": "correlated rows\n(outside the assumption)",
}


def _pooled(matrix: np.ndarray, factor: int) -> np.ndarray:
    """The entry of largest magnitude of every ``factor x factor`` tile, so that thin diagonals survive."""
    size = -(-len(matrix) // factor) * factor
    padded = np.zeros((size, size))
    padded[: len(matrix), : len(matrix)] = matrix
    tiles = padded.reshape(size // factor, factor, size // factor, factor).transpose(0, 2, 1, 3)
    flat = tiles.reshape(size // factor, size // factor, -1)
    return np.take_along_axis(flat, np.abs(flat).argmax(axis=2)[..., None], axis=2)[..., 0]


def fisher_data(pairs: Mapping[str, Pair]) -> pd.DataFrame:
    """Gather what the heat maps draw.

    Returns:
        Columns case, matrix (fim, gfim), view (overview, corner), tile (entries per side), row, column, value.
    """
    frames = []
    for case, pair in pairs.items():
        for name, matrix in zip(("fim", "gfim"), pair, strict=True):
            factor = max(1, -(-len(matrix) // OVERVIEW_CELLS))
            views = {
                "overview": (_pooled(matrix, factor), factor),
                "corner": (matrix[:CORNER_ENTRIES, :CORNER_ENTRIES], 1),
            }
            for view, (values, tile) in views.items():
                row, column = np.indices(values.shape)
                fixed = {"case": case, "matrix": name, "view": view, "tile": tile}
                cells = {"row": row.ravel(), "column": column.ravel(), "value": values.ravel().astype(np.float32)}
                frames.append(pd.DataFrame(cells).assign(**fixed)[[*fixed, *cells]])
    return pd.concat(frames, ignore_index=True)


def fisher_figure(read: SimulationResults, entry: Entry) -> style.Drawing:
    """Draw one row per case: FIM, I (x) GFIM / r, then both corners; one colour scale for all."""
    data = fisher_data(read.pairs)
    cases = list(dict.fromkeys(data["case"]))
    figure, axes = style.new_figure(len(cases), 4, 0.45 + 1.5 * len(cases))
    limit = float(data.loc[data["view"] == "corner", "value"].abs().max())
    linear = LINEAR_SHARE * limit
    norm = SymLogNorm(linthresh=linear, linscale=0.6, vmin=-limit, vmax=limit)
    image = None
    for i, case in enumerate(cases):
        for j, (view, name) in enumerate((v, n) for v in ("overview", "corner") for n in ("fim", "gfim")):
            axis = axes[i][j]
            part = data[(data["case"] == case) & (data["matrix"] == name) & (data["view"] == view)]
            size, tile = int(part["row"].max()) + 1, int(part["tile"].iloc[0])
            grid = part["value"].to_numpy(dtype=float).reshape(size, size)
            extent = (0, size * tile, size * tile, 0)
            image = axis.imshow(grid, cmap="RdBu_r", norm=norm, extent=extent, interpolation="nearest")
            axis.grid(False)
            axis.set_xticks([0, size * tile])
            axis.set_yticks([0, size * tile])
            axis.tick_params(length=2)
            if view == "overview":
                corner = int(data.loc[data["view"] == "corner", "row"].max()) + 1
                axis.add_patch(Rectangle((0, 0), corner, corner, fill=False, edgecolor=style.INK, linewidth=0.8))
            if i == 0:
                title = "FIM" if name == "fim" else "I ⊗ GFIM / r"
                axis.set_title(title if view == "overview" else f"{title}, corner")
        axes[i][0].set_ylabel(_CASE_LABELS.get(case, case), labelpad=6)
    assert image is not None
    bar = figure.colorbar(image, ax=[axis for row in axes for axis in row], shrink=0.8, pad=0.01, aspect=26)
    ticks = [-limit, -linear, 0.0, linear, limit]
    bar.set_ticks(ticks, labels=[f"{tick:.2g}".replace("-", "−") for tick in ticks])
    bar.ax.minorticks_off()
    bar.set_label("entry (logarithmic beyond the inner ticks)", color=style.INK, fontsize=8)
    bar.ax.tick_params(labelsize=7, color=style.MUTED)
    bar.outline.set_linewidth(0.4)
    figure.supxlabel("entry index", fontsize=8, color=style.INK)
    return style.Drawing(data, figure)
