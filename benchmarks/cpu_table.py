"""Draw ``docs/speed.md`` from what ``scores_cpu``, ``dots_cpu``, ``gpu --sections frozen --device cpu``, ``choices``,
``precision`` and ``start`` have left in ``benchmarks/results``.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "docs" / "speed.md"
LABEL = "now"
DTYPES = ("float32", "bfloat16")


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """Draw the tables, Markdown."""
    sections = {
        "scores": lambda result: _scores(result[LABEL]),
        "dots": _dots,
        "frozen": _frozen,
        "choices": _choices,
        "precision": _precision,
        "start": _start,
    }
    lines: list[str] = []
    for name, draw in sections.items():
        lines += [*draw(json.loads((RESULTS / f"{name}_cpu.json").read_text(encoding="utf-8"))), ""]
    return "\n".join(lines)


def _scores(runs: Mapping[str, Any]) -> Iterable[str]:
    first = next(iter(runs.values()))
    yield from (
        "# Speed on a CPU",
        "",
        "Drawn by `python -m benchmarks.cpu_table` from what `python -m benchmarks.scores_cpu --loops --columns D` and"
        f" `python -m benchmarks.dots_cpu` measured: {first['machine']}, torch {first['torch']}, seed {first['seed']}.",
        "Medians in milliseconds of CPU time, taken in turns, with their range; ratios are ours to the other, less than"
        " 1 where ours takes less. A GPU's are on [their own page](gpu.md).",
        "",
        "## Scores from stored gradients",
        "",
        "n samples on the mean of 32 targets. By hand is float32 in torch, a layer at a time; the published loops take"
        " a layer and a sample at a time (LiSSA's from 50 samples; both HyperINF's by Schulz). Ours sums in float64:"
        " copying gradients to it takes what TracIN by hand takes in all, which is the limit of that row. What by"
        " hand takes of a loop is what float32 comes to.",
        "",
        "| n | r | d | layers | threads | method | ours | by hand | ratio | of the loop | by hand of it | difference |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    )
    for run in runs.values():
        shape = " | ".join(str(run[key]) for key in ("samples", "rank", "columns", "layers", "threads"))
        for method, row in run["methods"].items():
            loop = row.get("published loop", {}).get("median")
            of_loop = [f"{row[work]['median'] / loop:.3f}" if loop else "" for work in ("ours", "by hand")]
            cells = [method, _ms(row["ours"]), _ms(row["by hand"]), f"{row['ratio']:.2f}", *of_loop]
            yield f"| {shape} | {' | '.join(cells)} | {row['largest difference from by hand']:.1e} |"


def _dots(result: Mapping[str, Any]) -> Iterable[str]:
    peer = result.get("dattri-llm")
    names = ["formed by hand", "factors by hand", *(["dattri-llm"] if peer else [])]
    yield from (
        "## Dot products with m queries, from factors",
        "",
        f"Gradients of one batch, rank 8, summed over the weights.{f' dattri-llm {peer}.' if peer else ''}",
        "",
        f"| batch | m | ours | {' | '.join(f'ratio to {name}' for name in names)} | difference |",
        f"| --- | --- | --- | {' | '.join('---' for _ in names)} | --- |",
    )
    for row in result["rows"]:
        ratios = " | ".join(f"{row[f'of {name}']:.2f}" for name in names)
        what = f"{row['shape']} | {row['queries']} | {_ms(row['ours'])}"
        yield f"| {what} | {ratios} | {row['largest difference']:.1e} |"


def _frozen(result: Mapping[str, Any]) -> Iterable[str]:
    yield from (
        "## Upper layers alone, from a model",
        "",
        "`Attributor.fit` and `score` by the LoRA gradients of a model's last layers, rank 8, random weights, MiniLM's"
        " width and depth in RoBERTa's kind, SmolLM2's in Llama's with keys and values for every head: with"
        " nothing kept between the sweeps, with what the frozen layers below gave, and with the gradients. HyperINF"
        " takes two sweeps, LiSSA seventeen. By `python -m benchmarks.gpu --sections frozen --device cpu`,"
        f" {result['threads']} thread: seconds by the clock, medians of three in turns. Scores are the same to the bit"
        " with and without the frozen part.",
        "",
        "| model | last layers | train | method | nothing kept, s | frozen part, s | of nothing | gradients, s"
        " | of nothing | frozen part, MiB | gradients, MiB |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    )
    for row in result["sections"]["frozen"]["rows"]:
        what, times, notes = row["what"], row["times"], row["notes"]
        assert notes["largest difference"] == 0.0
        again, part, kept = (times[key]["median"] for key in ("all again", "frozen part kept", "gradients kept"))
        cells = [what["model"], what["layers"], what["train"], what["method"], f"{again:.2f}", f"{part:.2f}"]
        cells += [f"{part / again:.2f}", f"{kept:.2f}", f"{kept / again:.2f}"]
        cells += [f"{notes[key]:.1f}" for key in ("outputs, MiB", "gradients, MiB")]
        yield f"| {' | '.join(cells)} |"


def _choices(result: Mapping[str, Any]) -> Iterable[str]:
    yield from (
        "## Accuracy on multiple-choice questions",
        "",
        f"By `python -m benchmarks.choices`: a Llama of SmolLM2-135M's shape, random weights and tokens,"
        f" {result['questions']} questions, batches of {result['batch_size']}; {result['device']}, torch"
        f" {result['torch']}, transformers {result['transformers']}, {result['threads']} thread, seed {result['seed']},"
        f" {result['repeats']} runs each. Plain runs each choice after its whole prompt. Shared runs what choices and"
        " questions begin with once, and goes on from its keys and values; a few questions are tried both ways before,"
        " which is counted. Seconds of CPU time with their range; MiB above the start at the peak.",
        "",
        "| questions | plain, tokens | shared, tokens | plain, s | shared, s | ratio | plain, MiB | shared, MiB |"
        " difference |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    )
    for row in result["rows"]:
        prompt = f"{row['prefix']} shared and {row['own']}" if row["prefix"] else f"{row['own']}"
        cells = (
            f"prompts of {prompt} tokens, {row['choices']} choices of {row['choice']}",
            f"{row['plain_tokens']:,}",
            f"{row['shared_tokens'] + row['trial_tokens']:,}",
            *(_seconds(row[way]) for way in ("plain", "shared")),
            f"{row['ratio']:.2f}",
            *(f"{row[way]['peak_mib']:,.0f}" for way in ("plain", "shared")),
            f"{row['largest_relative_difference']:.1e}",
        )
        yield f"| {' | '.join(cells)} |"


def _precision(result: Mapping[str, Any]) -> Iterable[str]:
    yield from (
        "## Frozen weights in bfloat16",
        "",
        "What `dtype: bfloat16` changes of the default run's fine-tunings, by `python -m benchmarks.precision RESULTS`:"
        f" {result['machine']} {'with' if result['bfloat16 instructions'] else 'without'} instructions for bfloat16,"
        f" torch {result['torch']}, transformers {result['transformers']}, {result['threads']} thread, seeds"
        f" {', '.join(map(str, result['seeds']))}. What is trained stays in float32. Each command is a process of its"
        " own: CPU seconds with all that it takes to start, and its peak. Medians over the seeds with their range; the"
        " ratio is bfloat16's to float32's, seed by seed. The rank correlation is that of the scores of the two"
        " fine-tunings, which differ as well.",
        "",
        "| model | what | float32 | bfloat16 | ratio |",
        "| --- | --- | --- | --- | --- |",
    )
    kinds = {"cpu": ("CPU s", 1), "peak_mib": ("peak MiB", 0)}
    for row in result["rows"]:
        for what in ("accuracy", "hyperinf ROC AUC", "tracin ROC AUC"):
            yield f"| {row['model']} | {what} | {' | '.join(_range(row[what][each], 3) for each in DTYPES)} | |"
        for stage in ("finetune", "score"):
            for cost, (unit, digits) in kinds.items():
                found = row[f"{stage}, {cost}"]
                cells = [_range(found[each], digits) for each in DTYPES]
                yield f"| {row['model']} | {stage}, {unit} | {' | '.join(cells)} | {_range(found['ratio'], 2)} |"
        for method in ("hyperinf", "tracin"):
            found = row[f"{method}, rank correlation"]
            yield f"| {row['model']} | {method}, rank correlation of scores | | {_range(found, 3)} | |"


def _start(result: Mapping[str, Any]) -> Iterable[str]:
    yield from (
        "## Before anything is computed",
        "",
        f"CPU seconds of a process that imports and ends, by `python -m benchmarks.start`: {result['machine']}, torch"
        f" {result['torch']}, transformers {result['transformers']}, medians of {result['repeats']} in turns with their"
        " range. A stage that loads a model takes what torch, transformers and PEFT take to import, and little more:"
        " one class of transformers' models alone imports torch's distributed tensors, its compiler and SciPy.",
        "",
        "| what | CPU s |",
        "| --- | --- |",
    )
    for row in result["rows"]:
        yield f"| {row['work']} | {_range(row, 2)} |"


def _range(found: Mapping[str, float], digits: int) -> str:
    median, low, high = (f"{found[key]:,.{digits}f}" for key in ("median", "low", "high"))
    return f"{median} ({low} to {high})"


def _seconds(seconds: Mapping[str, float]) -> str:
    return f"{seconds['median']:.1f} ({seconds['low']:.1f} to {seconds['high']:.1f})"


def _ms(seconds: Mapping[str, float]) -> str:
    median, low, high = (f"{seconds[key] * 1e3:.3g}" for key in ("median", "low", "high"))
    return f"{median} ({low} to {high})"


if __name__ == "__main__":
    main()
