"""The page of one result: times with their spread and ratios, peak memory, and what was left out."""

from collections.abc import Iterable, Mapping
from typing import Any

ABOUT = {
    "card": "Products of two d x d matrices, and a copy of one.",
    "extraction": (
        "Per-sample gradients of LoRA on the queries and values, random weights, attention by torch's"
        " `scaled_dot_product_attention`. In bfloat16 the frozen weights are, and adapters stay in float32, as PEFT has"
        " it. Ratios are to a training step, forward and backward of the mean loss; the loop takes every sample alone."
    ),
    "scores": (
        "Scores of n samples on the mean of 32 targets, gradients in the device's memory. By hand is float32 in torch,"
        " a layer at a time; the published loops take a layer and a sample at a time."
    ),
    "queries": (
        "Scores of all samples on each of many queries, one by one; statistics included. From gradients in the device's"
        " memory against float32 in torch, a layer and all queries at a time; and live in float32, LoRA on the queries"
        " and values, against one forward and backward pass of the mean loss of every batch, of samples and of queries."
    ),
    "frozen": (
        "Statistics and scores of all samples on the mean of one more batch, by the LoRA gradients of a model's last"
        " layers: with nothing kept from sweep to sweep, with what the layers below gave, and with the gradients, which"
        " take more memory. HyperINF takes two sweeps, LiSSA seventeen."
    ),
    "inverses": "Inverses of `M / lambda + I`, M of rank d / 2. Ratios are to Cholesky's factorisation and inverse.",
    "dots": "Dot products of the gradients of one batch with m queries, summed over the layers, from factors.",
    "memory": "One sweep of extraction and curvature, the GFIM included; float32, each row once.",
}


def table(result: Mapping[str, Any]) -> str:
    """Draw the page, Markdown."""
    lines = [
        "# On a GPU",
        "",
        "Drawn by `python -m benchmarks.gpu --table FILE` from what `python -m benchmarks.gpu` measured:"
        f" {result['device']}, {result['date']}, torch {result['torch']}, CUDA {result['cuda']}, transformers"
        f" {result['transformers']}, peft {result['peft']}, seed {result['seed']}, sizes {result['sizes']}.",
        "",
        "Times are medians in milliseconds with their range, measured in turns by device events after calls that warm"
        " up; behind them the ratio to the first column of times, and the peak of the device's memory above what was in"
        " use before, in MiB.",
    ]
    for note in result.get("notes", []):
        lines += ["", note]
    for name, section in result["sections"].items():
        lines += ["", f"## {name.capitalize()}", "", ABOUT[name]]
        for rows in _alike(section["rows"]):
            lines += ["", *_drawn(rows)]
        if section["left_out"]:
            lines += ["", "Left out, as the time was up:", "", *(f"- {each}" for each in section["left_out"])]
    return "\n".join(lines) + "\n"


def _alike(rows: Iterable[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Rows in groups with the same columns."""
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row["what"]), []).append(row)
    return list(groups.values())


def _drawn(rows: list[Mapping[str, Any]]) -> list[str]:
    keys = list(rows[0]["what"])
    names = list(dict.fromkeys(name for row in rows for name in row["times"]))
    notes = [
        name for name in dict.fromkeys(name for row in rows for name in row["notes"]) if not name.startswith("reason")
    ]
    head = [*keys, *(name or "failed" for name in names), *notes]
    lines = [_row(head), _row(["---"] * len(head))]
    for row in rows:
        times = row["times"]
        first = next(iter(times.values())).get("median")
        cells = [
            *(str(row["what"][key]) for key in keys),
            *(_times(times.get(name), None if place == 0 else first) for place, name in enumerate(names)),
            *(_value(row["notes"].get(name)) for name in notes),
        ]
        lines.append(_row(cells))
    return lines


def _times(times: Mapping[str, Any] | None, first: float | None) -> str:
    if times is None:
        return ""
    if "error" in times:
        return times["error"]
    text = f"{_ms(times['median'])} ({_ms(times['low'])} to {_ms(times['high'])})"
    if first:
        text += f", {times['median'] / first:.2f}x"
    return text if times["peak_mib"] is None else f"{text}, {times['peak_mib']:,.0f} MiB"


def _ms(seconds: float) -> str:
    value = seconds * 1e3
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _value(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
