"""Memory as it is foretold before a sweep, beside the peak that is then measured.

    python -m benchmarks.foretold
    python -m benchmarks.foretold --held-out
    python -m benchmarks.foretold --training
    python -m benchmarks.foretold --card benchmarks/results/gpu_nvidia_h200.json
    python -m benchmarks.foretold --table    # draws docs/memory.md

Scores by HyperINF of a model of random weights with LoRA on queries and values, gradients live, on a CPU (Linux). Each
case is a process of its own, which has done the same on a tiny model before, so that no import is measured; the peak is
that of its resident set above what was there with the model built. Foretold is what the library refuses a run by: the
passes of the widest batch, from a few of its samples, times what the allocator holds for them, and the GFIM of all
layers with its inversion. Each case is run as memory is taken by default, and with large tensors mapped, as where it is
short. With ``--training`` it is the steps of fine-tunings. With ``--card`` the passes of what ``benchmarks.gpu``
measured on a card are foretold on this CPU, without it.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.extraction import PRECISIONS, SIZES
from benchmarks.gpu.models import TINY_LLAMA, TINY_ROBERTA, Shape, adapted, batch_of
from benchmarks.growth import ONE_THREAD, versions
from hyperinf.artifacts.files import write_json, write_text
from hyperinf.gradients import LiveSource
from hyperinf.gradients.losses import default_loss
from hyperinf.influence import influence_scores
from hyperinf.influence.memory import gfim_bytes, rows_kept
from hyperinf.runtime.devices import set_threads
from hyperinf.runtime.memory import ALWAYS_MAPPED, HELD, give_back, map_large_tensors
from hyperinf.runtime.profiling import MIB, metered
from hyperinf.settings.training import TrainingSettings
from hyperinf.training.foretold import moments_bytes, step_foretold
from hyperinf.training.loop import train

RESULT = Path(__file__).parent / "results" / "foretold_cpu.json"
PAGE = Path(__file__).parents[1] / "docs" / "memory.md"
MINILM = Shape("MiniLM-L6", False, 6, 384, 1536, 12, 30522)
ROBERTA = Shape("RoBERTa-base", False, 12, 768, 3072, 12, 50265)
SMOLLM2 = Shape("SmolLM2-135M", True, 30, 576, 1536, 9, 49152)
QWEN = Shape("0.5B of Qwen2.5's shape", True, 24, 896, 4864, 14, 151936)
SMOLLM2_360M = Shape("SmolLM2-360M", True, 32, 960, 2560, 15, 49152)
ROBERTA_LARGE = replace(ROBERTA, name="RoBERTa-large", layers=24, hidden=1024, mlp=4096, heads=16)
REPEATS = 1
FEW_LAYERS = 8
"""Of the largest model that this machine's memory holds."""


def head(passes: str, beside: str) -> tuple[str, str]:
    """Begin a table."""
    names = ("model", "rank", "widest batch", "mapped", f"{passes}, MiB", f"{beside}, MiB", "measured, MiB")
    cells = (*names, "foretold to it", "CPU s")
    return f"| {' | '.join(cells)} |", f"| {' | '.join('---' for _ in cells)} |"


@dataclass(frozen=True)
class Case:
    """What is run.

    Attributes:
        shape: of the model.
        rank: of the adapters; 0 where all weights are trained.
        batch: samples at a time.
        tokens: of the longest sample; the others' are fewer, in even steps down to half.
        samples: of the training set.
    """

    shape: Shape
    rank: int
    batch: int
    tokens: int
    samples: int


CASES = [
    Case(MINILM, 8, 16, 64, 64),
    Case(MINILM, 8, 64, 128, 128),
    Case(MINILM, 64, 32, 128, 64),
    Case(ROBERTA, 8, 8, 128, 32),
    Case(ROBERTA, 8, 16, 256, 32),
    Case(SMOLLM2, 8, 4, 128, 16),
    Case(SMOLLM2, 8, 8, 256, 16),
    Case(SMOLLM2, 8, 16, 64, 32),
    Case(QWEN, 8, 4, 128, 8),
]
HELD_OUT = [Case(ROBERTA_LARGE, 16, 8, 64, 32), Case(SMOLLM2_360M, 8, 4, 96, 8), Case(MINILM, 8, 24, 200, 48)]
"""Named when all above had been seen, from which the allocator's factor and its limit were read."""
TRAINED = [
    Case(MINILM, 8, 32, 64, 128),
    Case(MINILM, 0, 16, 64, 64),
    Case(ROBERTA, 8, 16, 128, 64),
    Case(SMOLLM2, 8, 8, 64, 32),
]
"""Fine-tuned; of rank 0 all weights. Named before any was run."""
QUICK = [Case(TINY_ROBERTA, 2, 8, 32, 16), Case(TINY_LLAMA, 2, 8, 32, 16)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny models, to try; nothing is written")
    parser.add_argument("--held-out", action="store_true", help="measure the cases that nothing was chosen by")
    parser.add_argument("--training", action="store_true", help="measure fine-tunings")
    parser.add_argument("--card", type=Path, metavar="FILE", help="foretell what this result of a GPU measured")
    parser.add_argument("--table", action="store_true", help="draw docs/memory.md from what was measured")
    given = parser.parse_args()
    if given.table:
        write_text(PAGE, page(json.loads(RESULT.read_text(encoding="utf-8"))))
        return
    if given.card:
        found = json.loads(RESULT.read_text(encoding="utf-8"))
        write_json(RESULT, {**found, "card": on_card(json.loads(given.card.read_text(encoding="utf-8")))})
        return
    os.environ.update(ONE_THREAD)
    name = "held_out" if given.held_out else "training" if given.training else "rows"
    cases = QUICK if given.quick else {"held_out": HELD_OUT, "training": TRAINED, "rows": CASES}[name]
    repeats = 1 if given.quick else REPEATS
    rows = [measured(case, mapped, repeats, given.training) for case in cases for mapped in (False, True)]
    if not given.quick:
        found = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {}
        write_json(RESULT, {**found, **versions(), "repeats": REPEATS, name: rows})


def measured(case: Case, mapped: bool, repeats: int, training: bool) -> dict[str, Any]:
    """Run a case in processes of its own, and print its row."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=1) as processes:
        runs = [processes.submit(run, case, mapped, training).result() for _ in range(repeats)]
    peaks = [each["peak_mib"] for each in runs]
    row = {
        **asdict(case),
        "mapped": mapped,
        **{key: runs[0][key] for key in ("tensors_mib", "passes_mib", "beside_mib")},
        "peak_mib": statistics.median(peaks),
        "low": min(peaks),
        "high": max(peaks),
    }
    row["ratio"] = (row["passes_mib"] + row["beside_mib"]) / row["peak_mib"]
    row["cpu_seconds"] = statistics.median(each["cpu_seconds"] for each in runs)
    print(_cells(row), flush=True)
    return row


def run(case: Case, mapped: bool, training: bool) -> dict[str, float]:
    """Foretell and measure, in this process."""
    warnings.filterwarnings("ignore")
    if mapped:
        assert map_large_tensors(), "no glibc to tell"
    set_threads(1)
    work = _trained if training else _scored
    work(replace(case, shape=TINY_LLAMA if case.shape.causal else TINY_ROBERTA, tokens=8, samples=case.batch))
    return work(case)


def _scored(case: Case) -> dict[str, float]:
    device = torch.device("cpu")
    model = adapted(case.shape, case.shape.layers, case.rank, torch.float32, device)
    train, target = (
        LiveSource(model, _batches(case, samples, seed)) for seed, samples in ((11, case.samples), (12, 8))
    )
    passes = train.foretold()
    assert passes is not None
    foretold = {
        "tensors_mib": passes.bytes / MIB,
        "passes_mib": passes.held("cpu") / MIB,
        "beside_mib": gfim_bytes(train.layers, rows_kept(train.layers, train.known_length)) / MIB,
    }
    return {**foretold, **_peak(lambda: influence_scores(train, target, "hyperinf", solver="cholesky"))}


def _trained(case: Case) -> dict[str, float]:
    model = adapted(case.shape, case.shape.layers, max(1, case.rank), torch.float32, torch.device("cpu")).train()
    if not case.rank:
        model.requires_grad_(True)
    texts = Texts(case)
    step = step_foretold(model, texts, case.batch, default_loss, [case.samples - 1])
    assert step is not None
    foretold = {
        "tensors_mib": step.bytes / MIB,
        "passes_mib": step.held("cpu") / MIB,
        "beside_mib": moments_bytes(model) / MIB,
    }
    settings = TrainingSettings(epochs=1, batch_size=case.batch, learning_rate=1e-4)
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        return {**foretold, **_peak(lambda: train(model, texts, settings, 11, state, "", save_seconds=1e9))}


def _peak(work: Callable[[], Any]) -> dict[str, float]:
    give_back()
    started = time.process_time()
    with metered("cpu") as cost:
        work()
    assert cost.peak_memory_mib is not None, "the kernel does not tell this process's peak"
    return {"peak_mib": cost.peak_memory_mib, "cpu_seconds": time.process_time() - started}


class Texts:
    """Rows of a case's lengths, the shortest first, which can be collated.

    Args:
        case: whose.
    """

    def __init__(self, case: Case) -> None:
        self._shape = case.shape
        least, count = case.tokens // 2, case.samples
        self.lengths = [case.tokens - least * (count - 1 - row) // count for row in range(count)]
        self.ids = [str(row) for row in range(count)]

    def collate(self, indices: Sequence[int]) -> dict[str, torch.Tensor]:
        """Draw as many rows, as wide as the longest."""
        tokens = max(self.lengths[index] for index in indices)
        return batch_of(self._shape, len(indices), tokens, torch.device("cpu"), indices[0])


def _batches(case: Case, samples: int, seed: int) -> list[tuple[list[str], dict[str, torch.Tensor]]]:
    """The shortest first, as rows are put together."""
    count = max(1, samples // case.batch)
    found = []
    for number in range(count):
        tokens = case.tokens - (case.tokens // 2) * (count - 1 - number) // count
        batch = batch_of(case.shape, min(case.batch, samples), tokens, torch.device("cpu"), seed + number)
        found.append(([f"{seed}-{number}-{row}" for row in range(len(batch["labels"]))], batch))
    return found


def on_card(result: dict[str, Any]) -> dict[str, Any]:
    """Foretell the passes that a card was measured on, of the models that this machine holds."""
    peaks = {tuple(row["what"].values()): row["times"]["factors"] for row in result["sections"]["extraction"]["rows"]}
    rows = []
    for case in SIZES["full"]:
        peak = peaks.get(tuple(case.what.values()), {}).get("peak_mib")
        if peak is None or case.precision == "TF32" or (case.shape.causal and case.layers > FEW_LAYERS):
            continue
        dtype, _ = PRECISIONS[case.precision]
        model = adapted(case.shape, case.layers, case.rank, dtype, torch.device("cpu"))
        batch = batch_of(case.shape, case.batch, case.tokens, torch.device("cpu"))
        passes = LiveSource(model, [([str(row) for row in range(case.batch)], batch)]).foretold()
        assert passes is not None
        rows.append({**case.what, "foretold_mib": passes.bytes / MIB, "peak_mib": peak})
        print(rows[-1], flush=True)
        del model
    return {"device": result["device"], "rows": rows}


def page(result: dict[str, Any]) -> str:
    """Draw the table, Markdown."""
    rows, held_out = result["rows"], result["held_out"]
    fresh = max(abs(row["ratio"] - 1) for row in held_out)
    trained = max(abs(row["ratio"] - 1) for row in result["training"])
    worst = max(abs(row["ratio"] - 1) for row in rows)
    times = "once" if result["repeats"] == 1 else f"{result['repeats']} times"
    lines = [
        "# Memory, foretold",
        "",
        "Before the first sweep two and three samples of the widest batch are run, and the bytes of every tensor that"
        " an operation makes are counted as it goes on. Each tensor's bytes are a fixed part and a part for each"
        " sample: so is the peak of the whole batch known, wherever it is. On a CPU the allocator holds"
        f" {HELD} times as much for tensors of less than {ALWAYS_MAPPED // 2**20} MiB, unless they are mapped one by"
        f" one, which is done where memory is short, and takes {_slower(rows)} more time. With the GFIM and its"
        " inversion, which follow from the layers' shapes, and of layers whose rows are kept from the number of samples"
        " ([methods](methods.md)), that is what a run needs beside the model. Where it is more"
        " than is free, the run is refused, with the number of samples at a time that would fit; where the passes take"
        " more than 1 GiB, it is said. A GFIM that memory has no room for goes to the disk where there is a folder for"
        " it, and then takes the inversion of one layer, and in the sweep rows that wait to be added, a quarter of what"
        " is free at most.",
        "",
        "Drawn by `python -m benchmarks.foretold --table` from what `python -m benchmarks.foretold` measured:"
        f" {result['device']}, torch {result['torch']}, 1 thread, each case in a process of its own, run {times}:"
        " scores by HyperINF, LoRA on queries and values, random weights, every layer's GFIM a matrix: these runs are"
        " older than rows that are kept instead. The peak is that of the process's resident"
        f" set above what it had with the model built. The largest error is {worst:.0%}. The factor {HELD} and the"
        " limit were read off runs of these cases; those of the second table were named after that, and run once: there"
        f" the largest error is {fresh:.0%}.",
        "",
        *head("passes", "GFIM"),
        *map(_cells, rows),
        "",
        *head("passes", "GFIM"),
        *map(_cells, held_out),
        "",
        "So are the steps of a training, before the first: two and three of the longest sample go through one, and"
        " what they change is put back. With the moments that AdamW keeps that is what a training needs beside the"
        " model, but for several processes that share a step. Fine-tunings of these cases, named before any was run:"
        f" the largest error is {trained:.0%}. In a first run it was 25%, which led to gradients that no longer lie"
        " beside the next pass forward, and moments that are not copied to be saved.",
        "",
        *head("step", "moments"),
        *map(_cells, result["training"]),
        "",
        *_card(result["card"]),
        "Not in it: gradients that are kept between sweeps, which take half of what is then left at most (`--memory`),"
        " and many queries' own vectors, which take half of what is free at most (`memory_bytes`); on a CPU as"
        " much as gradients that are kept in memory, 128 MiB at the least.",
    ]
    return "\n".join(lines) + "\n"


def _slower(rows: Sequence[Mapping[str, Any]]) -> str:
    """Tell how much longer cases take with large tensors mapped."""
    pairs = zip(rows[::2], rows[1::2], strict=True)
    shares = [mapped["cpu_seconds"] / by_default["cpu_seconds"] - 1 for by_default, mapped in pairs]
    return f"{min(shares):.0%} to {max(shares):.0%}"


def _card(card: dict[str, Any]) -> list[str]:
    lines = [
        f"The same counting on a CPU, without the card, beside what the allocator of an {card['device']} measured"
        " ([extraction](gpu.md)), MiB:",
        "",
        "| model | layers | rank | batch | precision | foretold | measured |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in card["rows"]:
        named = [str(row[key]) for key in ("model", "layers", "rank", "batch", "precision")]
        numbers = [f"{row[key]:,.0f}" for key in ("foretold_mib", "peak_mib")]
        lines.append(f"| {' | '.join(named + numbers)} |")
    return [*lines, ""]


def _cells(row: dict[str, Any]) -> str:
    spread = f" ({row['low']:,.0f} to {row['high']:,.0f})" if row["low"] < row["high"] else ""
    peak = f"{row['peak_mib']:,.0f}{spread}"
    cells = [
        row["shape"]["name"],
        str(row["rank"] or "all weights"),
        f"{row['batch']} x {row['tokens']} tokens",
        "yes" if row["mapped"] else "no",
        f"{row['passes_mib']:,.0f}",
        f"{row['beside_mib']:,.0f}",
        peak,
        f"{row['ratio']:.2f}",
        f"{row['cpu_seconds']:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
