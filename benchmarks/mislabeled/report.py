"""Choose the default by the protocol, and write the table, the figure and the JSON of the benchmark.

python benchmarks/mislabeled/report.py FOLDER
"""

import json
import platform
import sys
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import yaml
from scipy.stats import t

matplotlib.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RESULT = ROOT / "benchmarks" / "results" / "mislabeled.json"
DOCS = ROOT / "docs"
PEERS = ("cleanlab, TF-IDF", "cleanlab, MiniLM", "cleanlab, MiniLM of unit length")
METRICS = ("roc_auc", "precision_10", "precision_20", "precision_50", "precision_100")
CLOSE = 0.002


def read(folder: Path) -> pd.DataFrame:
    """Read a line for each cell, ranking and metric, of the cells that all have."""
    ours = [json.loads(line) for line in (folder / "cells.jsonl").read_text(encoding="utf-8").splitlines()]
    peers = {tuple(each["cell"]): each for each in map(json.loads, (folder / "peers.jsonl").read_text().splitlines())}
    rows = []
    for cell in ours:
        key = tuple(cell["cell"])
        if key in peers:
            for ranking, metrics in {**cell["rankings"], **peers[key]["rankings"]}.items():
                rows += [(*key, ranking, metric, value) for metric, value in metrics.items()]
    return pd.DataFrame(rows, columns=["table", "kind", "rate", "seed", "ranking", "metric", "value"])


def listed(path: Path) -> list[Any]:
    """Read lines of JSON; none where there is no such file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def interval(values: Any) -> tuple[float, float]:
    """Give the mean and the half-width of its 95 % t-interval."""
    values = np.asarray(values, dtype=float)
    half = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return round(float(values.mean()), 4), round(float(half), 4)


def chosen(frame: pd.DataFrame, plan: Any) -> tuple[str, dict[str, float]]:
    """Choose by the tables of ``decide``: ROC-AUC and precision at 50, the fewer experts where two are close."""
    part = frame[frame["table"].isin(plan["decide"]) & frame["metric"].isin(["roc_auc", "precision_50"])]
    means = part.groupby(["ranking", "table", "metric"])["value"].mean().groupby(["ranking", "metric"]).mean().unstack()
    names = [f"{name}, {form}" for name in plan["candidates"] for form in plan["forms"]]
    merit = {name: round(float(means.loc[name].sum()), 4) for name in names}
    best = max(merit.values())
    close = [name for name, value in merit.items() if best - value <= CLOSE]

    def experts(name: str) -> int:
        return len(plan["candidates"][name.partition(",")[0]]) + ("hyperinf" in name)

    return min(close, key=lambda name: (experts(name), -merit[name])), merit


def main(folder: Path) -> None:
    """Write everything."""
    plan = yaml.safe_load((HERE / "protocol.yaml").read_text(encoding="utf-8"))
    everything = read(folder)
    names = [each for each in [*plan["decide"], *plan["report"]] if each in set(everything["table"])]
    frame = everything[everything["table"].isin(names)]
    default, merit = chosen(frame, plan)
    wide = frame.pivot_table(index=["table", "kind", "rate", "seed", "metric"], columns="ranking", values="value")
    rows: dict[str, Any] = {}
    for name in names:
        of_table = wide.loc[name]
        found: dict[str, Any] = {"cells": int((of_table.index.get_level_values("metric") == "roc_auc").sum())}
        for metric in METRICS:
            part = of_table.xs(metric, level="metric")
            best = max(PEERS, key=lambda peer: part[peer].mean())
            found[metric] = {ranking: interval(part[ranking]) for ranking in part.columns}
            found[metric]["best peer"] = best
            found[metric]["default minus best peer"] = interval(part[default] - part[best])
        rows[name] = found
    by_kind = frame[frame["metric"] == "roc_auc"].groupby(["kind", "rate", "ranking"])["value"].mean().round(4)
    lines, peer_lines = (
        [each for each in listed(folder / f"{name}.jsonl") if each["cell"][0] in names] for name in ("cells", "peers")
    )
    wide = everything[everything["table"].isin(plan["wide"]) & everything["ranking"].isin([default, *PEERS])]
    result = {
        "protocol": plan,
        "machine": {"python": platform.python_version(), "processor": platform.processor() or platform.machine()},
        "default": default,
        "merit_on_the_deciding_tables": merit,
        "tables": rows,
        "roc_auc_by_kind_and_rate": [
            {"kind": kind, "rate": rate, "ranking": ranking, "roc_auc": value}
            for (kind, rate, ranking), value in by_kind.items()
            if ranking in (default, *PEERS, "signal hyperinf", "signal loss", "own loss")
        ],
        "many_classes": wide.pivot_table(index=["table", "kind", "metric"], columns="ranking", values="value")
        .round(4)
        .reset_index()
        .to_dict("records"),
        "calibration": listed(folder / "calibration.jsonl"),
        "calibration_before": listed(folder / "calibration-before.jsonl"),
        "scale": listed(folder / "scale.jsonl"),
        **{
            name: json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
            for name in ("natural", "untranslated", "images")
        },
        "suggested_right": {
            name: round(float(np.mean([each["suggested_right"] for each in lines if each["cell"][0] == name])), 4)
            for name in names
        },
        "cpu_seconds": {
            "judging a table": round(float(np.mean([each["cpu_seconds"] for each in lines])), 2),
            **{peer: round(float(np.mean([each["cpu_seconds"][peer] for each in peer_lines])), 2) for peer in PEERS},
        },
        "cells": [{"cell": each["cell"], "rankings": each["rankings"]} for each in lines],
        "peer_cells": [{"cell": each["cell"], "rankings": each["rankings"]} for each in peer_lines],
    }
    RESULT.write_text(json.dumps(result, sort_keys=True, separators=(",", ":")) + "\n", encoding="utf-8")
    print(table_of(rows, default, names))
    print("\n".join(calibration_lines(result["calibration"], result["calibration_before"])))
    print(wide[wide["metric"].isin(["roc_auc", "precision_50"])].to_string())
    draw(rows, default, names)


def table_of(rows: Any, default: str, names: list[str]) -> str:
    """Write the table of the docs as Markdown."""
    columns = (
        default,
        "signal loss",
        "signal agreement",
        "signal neighbours",
        "signal hyperinf",
        *PEERS,
        "own loss",
        "random",
    )
    titles = ("combined", "loss", "agreement", "neighbours", "HyperINF", "cleanlab TF-IDF", "cleanlab MiniLM",
        "cleanlab MiniLM, unit", "own loss", "random")  # fmt: skip
    lines = [f"| table | {' | '.join(titles)} | combined - best cleanlab |", "| --- |" + " --- |" * (len(titles) + 1)]
    for name in names:
        found = rows[name]["roc_auc"]
        best = max(found[each][0] for each in columns)
        cells = [f"**{found[each][0]:.3f}**" if found[each][0] == best else f"{found[each][0]:.3f}" for each in columns]
        mean, half = found["default minus best peer"]
        lines.append(f"| {name} | {' | '.join(cells)} | {mean:+.3f} ± {half:.3f} |")
    lines += ["", f"| table | {' | '.join(f'first {k}' for k in (10, 20, 50, 100))} |", "| --- |" + " --- |" * 4]
    for name in names:
        cells = []
        for k in (10, 20, 50, 100):
            found = rows[name][f"precision_{k}"]
            mean, half = found["default minus best peer"]
            cells.append(f"{found[default][0]:.2f} ({mean:+.2f} ± {half:.2f})")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def calibration_lines(cells: list[Any], before: list[Any]) -> list[str]:
    """Write the table of calibration as Markdown: said to be wrong of how many (and before); likely ones, and right."""
    kinds = list(dict.fromkeys(each["cell"][1] for each in cells))
    lines = [f"| table | {' | '.join(kinds)} |", "| --- |" + " --- |" * len(kinds)]
    old = {tuple(each["cell"]): each for each in before}
    for name in dict.fromkeys(each["cell"][0] for each in cells):
        shown = []
        for kind in kinds:
            each = next(each for each in cells if each["cell"][:3] == [name, kind, 0.1])
            was = f" (before {old[tuple(each['cell'])]['estimated']:.0f})" if tuple(each["cell"]) in old else ""
            said = f"{each['estimated']:.0f} of {each['wrong']}{was}"
            shown.append(f"{said}; {each['of_these_wrong']} of {each['likely_wrong']}")
        lines.append(f"| {name} | {' | '.join(shown)} |")
    return lines


def draw(rows: Any, default: str, names: list[str]) -> None:
    """Draw ROC-AUC by table."""
    shown = {
        default: "combined",
        PEERS[0]: "cleanlab, TF-IDF",
        PEERS[1]: "cleanlab, MiniLM",
        "signal hyperinf": "HyperINF alone",
    }
    figure, axis = plt.subplots(figsize=(8, 3.6), layout="constrained")
    for place, (ranking, title) in enumerate(shown.items()):
        found = [rows[name]["roc_auc"][ranking] for name in names]
        at = np.arange(len(names)) + 0.15 * (place - 1.5)
        axis.errorbar(
            at, [each[0] for each in found], [each[1] for each in found], fmt="o", ms=5, capsize=2, label=title
        )
    axis.set_xticks(range(len(names)), names)
    axis.set_ylabel("ROC-AUC of finding flipped labels")
    axis.grid(axis="y", alpha=0.3)
    axis.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False)
    figure.savefig(DOCS / "mislabeled.png", dpi=150, metadata={"Software": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
