"""Draw what ``run.py`` measured: the JSON, ``docs/sensitivity.md`` and its figure."""

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from benchmarks.machine import device_name
from hyperinf.reporting.intervals import t_interval

ROOT = Path(__file__).parents[2]
PAGE, FIGURE = ROOT / "docs" / "sensitivity.md", ROOT / "docs" / "sensitivity.png"
LEAD = 0.02
PUBLISHED = (0.1, "sum")


def report(rows: list[dict[str, Any]], confirmed: list[dict[str, Any]], protocol: dict[str, Any], result: Path) -> None:
    """Write the three files."""
    table = pd.DataFrame(rows)
    table["scale"] = table["scale"].fillna("")
    chosen = choose(table)
    where = {"machine": device_name(torch.device("cpu")), "torch": torch.__version__}
    content = {**where, "protocol": protocol, "rows": rows, "chosen": chosen, "confirmed": confirmed}
    result.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    draw(table, FIGURE)
    PAGE.write_text(page(table, chosen) + confirmation(confirmed), encoding="utf-8")


def choose(table: pd.DataFrame) -> dict[str, Any]:
    """Choose each method's damping and scale by the rule of the protocol."""
    means = mean_of(table, "lds").groupby(["method", "scale", "damping"])["lds"].mean()
    found: dict[str, Any] = {}
    for method, own in means.groupby("method"):
        _, scale, damping = own.idxmax()
        published = own.get((method, PUBLISHED[1] if scale else "", PUBLISHED[0]))
        found[str(method)] = {
            "damping": damping,
            "scale": scale,
            "lds": round(float(own.max()), 4),
            "lds_at_published": round(float(published), 4),
            "changed": bool(own.max() - published > LEAD),
        }
    return found


def mean_of(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Average over seeds; methods without a damping are left out."""
    own = table.dropna(subset=["damping"])
    return own.groupby(["task", "method", "scale", "damping"], as_index=False)[metric].mean()


def draw(table: pd.DataFrame, file: Path) -> None:
    """Draw the score and the ROC-AUC against the damping, a column a task."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    from hyperinf.reporting.labels import selection_label

    tasks = list(dict.fromkeys(table["task"]))
    names = {"lds": "linear datamodeling score\nper target sample", "roc_auc": "ROC-AUC of flipped labels"}
    figure, axes = plt.subplots(len(names), len(tasks), figsize=(5 * len(tasks), 6.4), sharex=True, squeeze=False)
    palette: Any = plt.get_cmap("tab10")
    colours = dict(zip(sorted(set(table["method"])), palette.colors, strict=False))
    for row, (metric, label) in enumerate(names.items()):
        means = mean_of(table, metric)
        for column, task in enumerate(tasks):
            axis = axes[row][column]
            for (method, scale), own in means[means["task"] == task].groupby(["method", "scale"]):
                name = selection_label(method) + (f", GFIM as a {scale}" if scale else "")
                style = "--" if scale == "mean" else "-"
                axis.plot(
                    own["damping"], own[metric], style, marker="o", markersize=4, color=colours[method], label=name
                )
            flat = table[(table["task"] == task) & table["damping"].isna()]
            for method, own in flat.groupby("method"):
                axis.axhline(own[metric].mean(), color=colours[method], linestyle=":", label=selection_label(method))
            axis.axvline(PUBLISHED[0], color="0.8", zorder=0)
            axis.set_xscale("log")
            axis.grid(alpha=0.3)
            if row == 0:
                axis.set_title(task)
            else:
                axis.set_xlabel("damping")
            if column == 0:
                axis.set_ylabel(label)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=4, frameon=False, fontsize=9)
    figure.tight_layout(rect=(0, 0.09, 1, 1))
    figure.savefig(file, dpi=110)
    plt.close(figure)


def page(table: pd.DataFrame, chosen: dict[str, Any]) -> str:
    """Write the page."""
    seeds = ", ".join(map(str, sorted(set(table["seed"]))))
    lines = [
        "# Damping and the scale of the GFIM",
        "",
        "Drawn by `python benchmarks/sensitivity/run.py FOLDER --report` from `benchmarks/results/sensitivity.json`,"
        " by a protocol that was fixed before: `benchmarks/sensitivity/protocol.yaml`.",
        f"Seeds {seeds}, which no reported number is of; means over them.",
        "",
        "![Accuracy against damping](sensitivity.png)",
        "",
        "The damping is a share of the mean squared gradient of each layer. What predicts retraining best:",
        "",
        "| method | damping | scale of the GFIM | LDS | LDS at the published pair |",
        "| --- | --- | --- | --- | --- |",
    ]
    for method, own in chosen.items():
        at = f"{own['damping']:g} | {own['scale'] or '–'}"
        lines.append(f"| `{method}` | {at} | {own['lds']:.3f} | {own['lds_at_published']:.3f} |")
    own = chosen["hyperinf"]
    lead = own["lds"] - own["lds_at_published"]
    pair = f"{own['damping']:g}, {own['scale']}"
    follows = f"they take {pair}" if own["changed"] else "they keep the published pair"
    lines += [
        "",
        f"HyperINF's best pair ({pair}) leads the published one ({PUBLISHED[0]:g}, {PUBLISHED[1]}) by {lead:.3f}. By"
        " the rule the commands on people's own files (`score`, `select`, `validate`, `mislabeled`) take another where"
        f" that is more than {LEAD:g}: {follows}.",
    ]
    return "\n".join([*lines, ""])


def confirmation(confirmed: list[dict[str, Any]]) -> str:
    """Write the tables of the reported seeds; nothing where there are none."""
    if not confirmed:
        return ""
    table = pd.DataFrame(confirmed).astype({"damping": float, "terms": float})
    lines = [
        "",
        "## Each method as published and at its best, on the seeds that are reported",
        "",
        "By `python benchmarks/sensitivity/confirm.py`, on models that a run of `make run` has fine-tuned: what the"
        " seeds above chose is held against the published pair (damping .1, sum). Mean over seeds ± half-width of the"
        " 95 % t-interval, where there are several. LiSSA with 10 terms, as published, and with 200.",
        "",
    ]
    for study, columns in (("validation", ("lds", "lds_mean")), ("mislabel", ("roc_auc", "roc_auc_within"))):
        for setting, own in table[table["study"] == study].groupby("setting", sort=False):
            seeds = own["seed"].nunique()
            counted = f"{seeds} seeds" if seeds > 1 else "1 seed"
            lines += [f"{_STUDIES[study]}, {setting}, {counted}", "", *_lines(own, columns), ""]
    return "\n".join(lines)


_STUDIES = {"validation": "Predicting retraining", "mislabel": "Finding flipped labels after three epochs"}
_COLUMNS = {
    "lds": "LDS, each target sample",
    "lds_mean": "LDS, mean of the targets",
    "roc_auc": "ROC-AUC",
    "roc_auc_within": "ROC-AUC within an observed answer",
}


def _lines(own: pd.DataFrame, columns: tuple[str, ...]) -> list[str]:
    """One row a method and form."""
    unit = "unit" in own and own["unit"].notna().any()
    heads = ["method", "damping", "GFIM", *(_COLUMNS[name] for name in columns)]
    heads += [f"{_COLUMNS[name]}, cosine" for name in columns] if unit else []
    lines = ["| " + " | ".join(heads) + " |", "| --- " * len(heads) + "|"]
    shown = own.assign(unit=own["unit"].fillna(False).astype(bool) if unit else False)
    keys = ["method", "terms", "damping", "scale"]
    for (method, terms, damping, scale), rows in shown.groupby(keys, dropna=False, sort=False):
        rows = rows.drop_duplicates(["seed", "unit"])  # published and chosen may be the same
        name = f"`{method}`" + ("" if math.isnan(terms) else f", {terms:g} terms")
        cells = [name, "–" if math.isnan(damping) else f"{damping:g}", "–" if pd.isna(scale) else scale]
        for cosine in (False, True) if unit else (False,):
            cells += [_mean(rows.loc[rows["unit"] == cosine, column]) for column in columns]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _mean(values: pd.Series) -> str:
    known = values.dropna().to_list()
    found = t_interval(known)
    return f"{found.mean:.3f} ± {found.half_width:.3f}" if len(known) > 1 else f"{found.mean:.3f}"
