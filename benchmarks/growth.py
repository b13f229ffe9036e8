"""How time and memory of influence scores grow with samples, rank, layers, tokens and queries: fitted exponents.

    python -m benchmarks.growth
    python -m benchmarks.growth --table

A random Llama with LoRA on q and v, gradients live, on one thread of a CPU (Linux). Each run is a process of its own:
it does the same work on a tiny model first, so that no import is measured, and then notes CPU time and the peak of
its resident set above what was there before. Samples are made when a sweep asks for them. Orders of sizes alternate
between rounds, so that a change of the machine's speed hits all of them. An exponent is the slope of log time, or log
peak, on log size, by least squares over the medians. The result is ``results/growth_cpu.json``; ``--table`` draws
``docs/growth.md`` from it.
"""

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import peft
import torch
import transformers
from torch import nn

import hyperinf
from benchmarks.machine import device_name
from hyperinf.artifacts.files import write_json, write_text
from hyperinf.attributor import Attributor
from hyperinf.gradients import GradientBlock, GradientSource, LiveSource
from hyperinf.gradients.losses import causal_loss
from hyperinf.influence import build_method, gradient_statistics, influence_scores, mean_gradient
from hyperinf.models.lora import add_lora
from hyperinf.runtime.devices import set_threads
from hyperinf.runtime.memory import give_back
from hyperinf.runtime.profiling import MIB, metered
from hyperinf.settings.training import LoraSettings

RESULT = Path(__file__).parent / "results" / "growth_cpu.json"
QUICK_RESULT = RESULT.with_name("growth_cpu_quick.json")
PAGE = Path(__file__).parents[1] / "docs" / "growth.md"
SEED = 11
HEADS = 4
VOCABULARY = 256
ANSWER = 4
"""Tokens at the end of a sample that its loss is of."""
QUERY_BYTES = 2**28
"""That vectors of queries may take at a time, whatever their number."""
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
PRELOADED = ("transformers.models.llama.modeling_llama", "peft", "hyperinf.attributor", "benchmarks.machine")
WHAT = ("seconds", "peak_mib")
Costs = dict[str, dict[str, Any]]
"""``{stage: what it took}``."""


@dataclass(frozen=True)
class Shape:
    """A model and its samples.

    Attributes:
        hidden: of the Llama, whose MLP is twice as wide; d of every GFIM.
        layers: decoder layers, with an adapter on q and on v in each: four weights.
        rank: of the adapters.
        length: tokens of a sample.
        batch: samples of a batch.
        samples: of the training set.
        queries: samples of the target, whose mean is scored, or each.
    """

    hidden: int
    layers: int = 2
    rank: int = 8
    length: int = 32
    batch: int = 16
    samples: int = 128
    queries: int = 8


TINY = Shape(hidden=16, rank=1, length=8, batch=4, samples=4, queries=4)


class Stream:
    """Batches of random tokens that are made when they are asked for, alike in every sweep; none is held."""

    def __init__(self, shape: Shape, count: int, role: str, seed: int) -> None:
        self._shape, self._count, self._role, self._seed = shape, count, role, seed

    def __iter__(self) -> Iterator[tuple[list[str], dict[str, torch.Tensor]]]:
        generator = torch.Generator().manual_seed(self._seed)
        for start in range(0, self._count, self._shape.batch):
            rows = range(start, min(start + self._shape.batch, self._count))
            ids = torch.randint(0, VOCABULARY, (len(rows), self._shape.length), generator=generator)
            labels = torch.where(torch.arange(self._shape.length) >= self._shape.length - ANSWER, ids, -100)
            batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
            yield [f"{self._role} {row}" for row in rows], batch


class HeldBlocks(GradientSource):
    """Blocks of a live source that are held as the factors they came as: a sweep over them runs no model."""

    def __init__(self, source: LiveSource) -> None:
        self._layers = source.layers
        self._blocks = list(source)

    @property
    def layers(self) -> Mapping[str, tuple[int, int]]:
        return self._layers

    @property
    def sample_ids(self) -> tuple[str, ...]:
        return tuple(name for block in self._blocks for name in block.sample_ids)

    def __iter__(self) -> Iterator[GradientBlock]:
        return iter(self._blocks)


def score_all(shape: Shape) -> Costs:
    """Score all samples on the mean gradient of the target: statistics, inverse and scores."""
    train, target = sources(random_llama(shape), shape)
    with measured() as cost:
        influence_scores(train, target, "hyperinf", solver="cholesky")
    return {"scores": cost}


def take_curvature(shape: Shape) -> Costs:
    """Take the GFIM's sum of gradients that are there, and its inverses of it, each alone.

    The inverse is multiplied with one row of the target's gradient: the whole of it has as many as the rank.
    """
    train, target = sources(random_llama(shape), shape)
    held = HeldBlocks(train)
    row = {layer: gradient[:1] for layer, gradient in mean_gradient(target).items()}
    with measured() as cost:
        sums = gradient_statistics(held)
    costs = {"GFIM's sum": cost}
    for solver, name in (("schulz", "Schulz"), ("cholesky", "Cholesky")):
        method = build_method("hyperinf", solver=solver).fit(held, sums)
        with measured() as cost:
            method.precondition(row)
        costs[f"inverse, {name}"] = cost | {"products": method.report().get("matmuls")}
    return costs


def score_queries(shape: Shape) -> Costs:
    """Score all samples on each query's own gradient, with the curvature known."""
    model = random_llama(shape)
    train, queries = sources(model, shape)
    attributor = Attributor(model, "hyperinf", solver="cholesky", memory_bytes=0).fit(train)
    with measured() as cost:
        attributor.score_each(queries, memory_bytes=QUERY_BYTES)
    return {"scores of each query": cost}


@dataclass(frozen=True)
class Series:
    """Runs that differ in one size.

    Attributes:
        title: of its table.
        varied: the field of ``Shape`` that is the size.
        sizes: as published.
        quick: to try.
        shape: of all else.
        work: what is measured, ``{stage: costs}``.
        expected: the exponents of time and peak that theory gives, by stage.
    """

    title: str
    varied: str
    sizes: tuple[int, ...]
    quick: tuple[int, ...]
    shape: Shape
    work: Callable[[Shape], Costs]
    expected: Mapping[str, tuple[str, str]]

    def sized(self, size: int, quick: bool) -> Shape:
        """Give the shape of one size."""
        shape = replace(self.shape, hidden=32, samples=32, batch=8) if quick else self.shape
        return replace(shape, **{self.varied: size})


SERIES = {
    "samples": Series(
        "Number of training samples",
        "samples",
        (1_000, 10_000, 100_000),
        (32, 64, 128),
        Shape(hidden=64, length=16, batch=64),
        score_all,
        {"scores": ("1", "0")},
    ),
    "rank": Series(
        "Rank of the adapters",
        "rank",
        (1, 4, 16, 64),
        (1, 4),
        Shape(hidden=512, length=64, samples=64),
        take_curvature,
        {"GFIM's sum": ("0 to 1", "0 to 1"), "inverse, Schulz": ("0", "0"), "inverse, Cholesky": ("0", "0")},
    ),
    "layers": Series(
        "Number of adapted layers",
        "layers",
        (2, 4, 8, 16),
        (2, 4),
        Shape(hidden=128),
        score_all,
        {"scores": ("1", "1")},
    ),
    "length": Series(
        "Tokens of a sample",
        "length",
        (32, 64, 128, 256),
        (16, 32),
        Shape(hidden=128),
        score_all,
        {"scores": ("1 to 2", "1 to 2")},
    ),
    "queries": Series(
        "Number of queries",
        "queries",
        (1, 10, 100, 1_000, 10_000),
        (1, 10, 100),
        Shape(hidden=64, rank=4, length=16, batch=64, samples=512),
        score_queries,
        {"scores of each query": ("0 to 1", "0 to 1")},
    ),
}


def main() -> None:
    arguments = parse_arguments()
    path = QUICK_RESULT if arguments.quick else RESULT
    if arguments.table:
        write_text(PAGE, page(json.loads(path.read_text(encoding="utf-8"))))
        return
    os.environ.update(ONE_THREAD)
    keep(path, measure(arguments.series, arguments.repeats, arguments.quick))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", nargs="+", choices=list(SERIES), default=list(SERIES), help="all when not given")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each size, 3 when not given")
    parser.add_argument("--quick", action="store_true", help=f"tiny sizes, to try; into {QUICK_RESULT.name}")
    parser.add_argument("--table", action="store_true", help="draw docs/growth.md from what was measured")
    return parser.parse_args()


def measure(names: Sequence[str], repeats: int, quick: bool) -> dict[str, Any]:
    """Run every size of every series, repeats in rounds, and fit; prints a line a run, a row and an exponent."""
    planned = {name: SERIES[name].quick if quick else SERIES[name].sizes for name in names}
    runs: dict[str, dict[int, list[Costs]]] = {name: {size: [] for size in planned[name]} for name in names}
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    started = time.perf_counter()
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as processes:
        for turn in range(repeats):
            for name, sizes in planned.items():
                for size in sizes if turn % 2 == 0 else sizes[::-1]:
                    runs[name][size].append(processes.submit(run, name, size, quick).result())
                    print(
                        f"[{time.perf_counter() - started:4.0f} s] {name} {size:,}, {turn + 1} of {repeats}", flush=True
                    )
    about = {**versions(), "seed": SEED, "repeats": repeats, "quick": quick}
    return {name: {**about, **fitted(SERIES[name], quick, runs[name])} for name in names}


def run(name: str, size: int, quick: bool) -> Costs:
    """Measure one size in this process, which has done the same work on a tiny model before."""
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    set_threads(1)
    series = SERIES[name]
    series.work(TINY)
    return series.work(series.sized(size, quick))


@contextmanager
def measured() -> Iterator[dict[str, Any]]:
    """Note CPU seconds and the peak of the resident set above the start, in what is yielded, once the block ends."""
    cost: dict[str, Any] = {}
    give_back()
    started = time.process_time()
    with metered("cpu") as found:
        yield cost
    assert found.peak_memory_mib is not None, "the kernel does not tell this process's peak"
    seconds = time.process_time() - started
    cost.update(seconds=seconds, wall_seconds=found.seconds, peak_mib=found.peak_memory_mib)


def sources(model: nn.Module, shape: Shape) -> tuple[LiveSource, LiveSource]:
    """Give the gradients of training and of the target, live."""
    train = Stream(shape, shape.samples, "train", SEED)
    target = Stream(shape, shape.queries, "target", SEED + 1)
    return LiveSource(model, train, causal_loss), LiveSource(model, target, causal_loss)


def random_llama(shape: Shape) -> nn.Module:
    """Make a Llama of random weights with LoRA, whose B is random too: at zero, A would have no gradient."""
    torch.manual_seed(SEED)
    config = transformers.LlamaConfig(
        hidden_size=shape.hidden,
        intermediate_size=2 * shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=HEADS,
        vocab_size=VOCABULARY,
        use_cache=False,
    )
    settings = LoraSettings(rank=shape.rank, target_modules=("q_proj", "v_proj"))
    model = add_lora(transformers.LlamaForCausalLM(config), settings)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(weight, std=0.02)
    return model


def versions() -> dict[str, Any]:
    return {
        "device": device_name(torch.device("cpu")),
        "threads": 1,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "peft": peft.__version__,
        "hyperinf": hyperinf.__version__,
    }


def fitted(series: Series, quick: bool, runs: Mapping[int, Sequence[Costs]]) -> dict[str, Any]:
    """Put the runs of a series together: a row a size and the fitted exponents, by stage."""
    shapes = {size: series.sized(size, quick) for size in runs}
    stages = {}
    for stage, expected in series.expected.items():
        rows = [row_of(shapes[size], size, [costs[stage] for costs in found]) for size, found in runs.items()]
        exponents = {what: exponent(rows, what) for what in WHAT}
        stages[stage] = {"rows": rows, "exponents": exponents, "expected": dict(zip(WHAT, expected, strict=True))}
        tell(f"{series.varied}, {stage}", stages[stage])
    fixed = {key: value for key, value in asdict(next(iter(shapes.values()))).items() if key != series.varied}
    return {"varied": series.varied, "shape": fixed, "stages": stages}


def row_of(shape: Shape, size: int, costs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Sum one size's runs up; every value is kept, in the order of the rounds."""
    row: dict[str, Any] = {"size": size, "gradients_mib": gradients_mib(shape)}
    row |= {what: spread([cost[what] for cost in costs]) for what in (*WHAT, "wall_seconds")}
    if costs[0].get("products") is not None:
        row["products"] = [cost["products"] for cost in costs]
    return row


def spread(values: Sequence[float]) -> dict[str, Any]:
    rounded = [round(value, 4) for value in values]
    return {"median": statistics.median(rounded), "low": min(rounded), "high": max(rounded), "values": rounded}


def gradients_mib(shape: Shape) -> float:
    """Compute what the gradients of all samples and queries would take in float32, were they held."""
    numbers = 4 * shape.layers * shape.rank * shape.hidden
    return round(4 * numbers * (shape.samples + shape.queries) / MIB, 3)


def exponent(rows: Sequence[Mapping[str, Any]], what: str) -> float | None:
    """Fit the slope of log value on log size; None where a value is not above zero or one size is alone."""
    medians = [row[what]["median"] for row in rows]
    if len(rows) < 2 or min(medians) <= 0:
        return None
    slope = np.polyfit(np.log([row["size"] for row in rows]), np.log(medians), 1)[0]
    return round(float(slope), 3)


def tell(name: str, stage: Mapping[str, Any]) -> None:
    """Print a line a row, and the exponents."""
    for row in stage["rows"]:
        seconds, peak = (ranged(row[what]) for what in WHAT)
        print(f"{name} {row['size']:,}: {seconds} s, peak {peak} MiB")
    told = (f"{what} {shown(stage['exponents'][what])}, expected {stage['expected'][what]}" for what in WHAT)
    print(f"{name}: exponent of {'; of '.join(told)}", flush=True)


def keep(path: Path, series: Mapping[str, Any]) -> None:
    """Write series beside those that are there already."""
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    write_json(path, {**before, **series})


def page(result: Mapping[str, Any]) -> str:
    """Write the page: the exponents of all series, and a table a series and stage."""
    known = {name: result[name] for name in SERIES if name in result}
    lines = [*head(known), *(line for name, series in known.items() for line in tables(name, series))]
    return "\n".join(lines) + "\n"


def head(result: Mapping[str, Any]) -> Iterable[str]:
    where = "; ".join(dict.fromkeys(map(machine_of, result.values())))
    yield from (
        "# How time and memory grow",
        "",
        f"Drawn by `python -m benchmarks.growth --table` from what `python -m benchmarks.growth` measured: {where}.",
        "",
        "A Llama of random weights with LoRA on the queries and values, gradients live. Each run is a process of its"
        " own. Times are CPU seconds, medians with their range; the peak is that of the process's resident set above"
        " what it had before the work, with the model built and all imported. An exponent is the slope of the"
        " logarithm on the logarithm of the size, by least squares over the medians: 1 is linear, 0 is flat. Fixed"
        " costs make it smaller at small sizes, so each table has it from one size to the next, too.",
        "",
        "| size | what | time grows with exponent | expected | peak grows with exponent | expected |"
        " largest peak to smallest |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    )
    for name, series in result.items():
        for stage, found in series["stages"].items():
            cells = [text for what in WHAT for text in (shown(found["exponents"][what]), found["expected"][what])]
            yield f"| {SERIES[name].title} | {stage} | {' | '.join(cells)} | {ratio(found['rows'])} |"


def machine_of(series: Mapping[str, Any]) -> str:
    names = ("torch", "transformers", "peft", "hyperinf")
    what = ", ".join(f"{name} {series[name]}" for name in names)
    quick = ", quick sizes, of no meaning" if series["quick"] else ""
    repeats = f"{series['threads']} thread, seed {series['seed']}, runs of each size: {series['repeats']}"
    return f"{series['device']}, {what}, {repeats}{quick}"


def tables(name: str, series: Mapping[str, Any]) -> Iterable[str]:
    """Write a series' section."""
    fixed = ", ".join(f"{key} {value:,}" for key, value in series["shape"].items())
    yield from ("", f"## {SERIES[name].title}", "", f"{NOTES[name]} Besides: {fixed}.")
    for stage, found in series["stages"].items():
        yield from ("", f"{stage[0].upper()}{stage[1:]}:", "")
        yield from (
            f"| {series['varied']} | CPU seconds | exponent from before | peak, MiB | exponent from before |"
            " gradients if held, MiB |",
            "| --- | --- | --- | --- | --- | --- |",
        )
        for before, row in zip([None, *found["rows"]], found["rows"]):
            cells = [text for what in WHAT for text in (ranged(row[what]), step(before, row, what))]
            yield f"| {row['size']:,} | {' | '.join(cells)} | {row['gradients_mib']:,.3g} |"
        told = (f"{shown(found['exponents'][what])} (expected {found['expected'][what]})" for what in WHAT)
        yield from ("", "Fitted exponents: time {}, peak {}.".format(*told) + products(found["rows"]))


NOTES = {
    "samples": "Statistics, inverse by Cholesky and scores on the mean gradient of the queries, all of it: two sweeps"
    " of the model. Samples are made as they are asked for. What stays of each is its id, its loss, its norm and its"
    " score, some 150 bytes: on so small a model that shows.",
    "rank": "The sum is over gradients that the model has given already, squares for the damping included; the inverses"
    " are of the same sums, each multiplied with one row a weight.",
    "layers": "As for samples; as many decoder layers as adapted ones, each with an adapter on q and on v.",
    "length": "As for samples; attention is quadratic in the tokens, all else linear.",
    "queries": "Scores of all samples on each query's own gradient, the curvature being known. Vectors of queries take"
    f" at most {QUERY_BYTES // 2**20} MiB at a time; where they need more, the model is run over the samples again for"
    " the next of them.",
}
"""What is measured of each series, for the page."""


def products(rows: Sequence[Mapping[str, Any]]) -> str:
    """Say how many matrix products the inverses took, where they are made of products."""
    if "products" not in rows[0]:
        return ""
    counts = ", ".join(f"{statistics.median(row['products']):,.0f}" for row in rows)
    return f" Matrix products over all weights: {counts}."


def ranged(values: Mapping[str, Any]) -> str:
    median, low, high = (plain(values[key]) for key in ("median", "low", "high"))
    return f"{median} ({low} to {high})"


def plain(value: float) -> str:
    """Write three digits, and never a power of ten."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}"


def step(before: Mapping[str, Any] | None, row: Mapping[str, Any], what: str) -> str:
    """Give the exponent from the size before."""
    return "" if before is None else shown(exponent([before, row], what))


def ratio(rows: Sequence[Mapping[str, Any]]) -> str:
    peaks = [row["peak_mib"]["median"] for row in rows]
    return f"{max(peaks) / min(peaks):.2f}" if min(peaks) > 0 else "none"


if __name__ == "__main__":
    main()
