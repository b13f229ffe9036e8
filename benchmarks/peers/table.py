"""The table of docs/comparison.md, from the file of results."""

from collections.abc import Iterator
from typing import Any

BEGIN, END = "<!-- made by benchmarks.peers -->", "<!-- end -->"
LABELS = {"hyperinf": "HyperINF", "ekfac": "EK-FAC", "datainf": "DataInf", "tracin": "TracIn"}


def markdown(content: dict[str, Any]) -> str:
    """Write the tables between their marks."""
    lines = [BEGIN, ""]
    if "accuracy" in content:
        lines += [*accuracy_lines(content["accuracy"], content["versions"]), ""]
    if "extraction" in content:
        lines += [*extraction_lines(content["extraction"]), ""]
    return "\n".join([*lines, END])


def accuracy_lines(found: dict[str, Any], versions: dict[str, str]) -> Iterator[str]:
    """Give a row a method, and what was not run."""
    yield (
        f"Scores of {found['samples']} training samples on each of {found['targets']} target samples, judged by"
        f" {found['subsets']} retrainings; 95 % of draws of them. CPU seconds, one thread, gradients included; memory"
        f" above that of the model. {runs(found['repeats'])}"
    )
    yield ""
    yield "| tool | method | LDS, each target sample | LDS, mean of the targets | CPU seconds | peak, MiB |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for each in found["methods"]:
        if "not run" not in each:
            cells = [span(each["lds_query"]), span(each["lds_mean"]), seconds(each["cpu_seconds"], 1)]
            peak = f"{each['peak_mib']['median']:,.0f}" if "peak_mib" in each else "–"
            cells = [tool(each, versions), LABELS.get(each["method"], each["method"]), *cells, peak]
            yield f"| {' | '.join(cells)} |"
    missing = [
        f"{tool(each, versions)}, {each['method']}: {each['not run']}" for each in found["methods"] if "not run" in each
    ]
    if missing:
        yield ""
        yield "Not run: " + "; ".join(missing) + "."


def extraction_lines(found: dict[str, Any]) -> Iterator[str]:
    """Give a row a way to take gradients."""
    yield (
        f"Per-sample gradients of {found['rows']} texts in batches of {found['batch']}, in training steps of the same"
        f" batches. {runs(found['repeats'])}"
    )
    yield ""
    yield "| way | training steps | CPU seconds | peak, MiB |"
    yield "| --- | --- | --- | --- |"
    for each in sorted(found["works"], key=lambda each: each["cpu_seconds"]["median"]):
        peak = "–" if each["peak_mib"] is None else f"{each['peak_mib']:,.0f}"
        yield f"| {each['work']} | {each['training_steps']:.2f} | {seconds(each['cpu_seconds'], 2)} | {peak} |"
    if found["not run"]:
        yield ""
        yield "Not run: " + "; ".join(f"{name}: {why}" for name, why in found["not run"].items()) + "."


def tool(each: dict[str, Any], versions: dict[str, str]) -> str:
    """Name a tool with its version."""
    return f"{each['tool']} {versions.get(each['tool'], '')}".strip()


def span(judged: dict[str, float]) -> str:
    """Write a score with its interval."""
    return " ".join([number(judged["lds"]), f"({number(judged['low'])} to {number(judged['high'])})"])


def number(value: float) -> str:
    """Write a score with three places."""
    return f"{value:.3f}".replace("0.", ".", 1)


def seconds(found: dict[str, float], places: int) -> str:
    """Write a median, and its range where there is one."""
    median = f"{found['median']:.{places}f}"
    if found["low"] == found["high"]:
        return median
    return f"{median} ({found['low']:.{places}f} to {found['high']:.{places}f})"


def runs(repeats: int) -> str:
    """Say how often it was run."""
    return "One run of each." if repeats == 1 else f"Median and range of {repeats} runs, in turns."
