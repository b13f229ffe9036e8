"""GFIMs for wide layers against the exact one, on MiniLM's gradients; and which models' curvature fits into a GPU.

    python -m benchmarks.wide --model path/to/minilm

Gradients are those of ``benchmarks/check_cost.py``: LoRA of rank 8 in all layers, and the dense weights of the last
layer's MLP, on texts with the lengths of headlines. The exact forms (matrices, rows, and both on the disk) are measured
in processes of their own, on those gradients and on random ones in the shapes of two of Llama-2-7B's adapters; sizes
were chosen before any was run. The result is ``results/wide.json`` and ``docs/wide.md``.

    python -m benchmarks.wide --lds 64=lds-64.csv 256=lds-256.csv bfloat16=lds-bfloat16.csv

adds what validation by retraining says of the forms of those sizes: ``lds.csv`` of the default run's study, with
``gfim_low_rank`` and ``gfim_blocks`` among its methods, or with ``gfim_dtype`` of that name.
"""

import argparse
import csv
import json
import math
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.check_cost import classifier, headlines
from hyperinf.gradients import GradientSource, LiveSource, TensorSource
from hyperinf.influence import build_method, gradient_statistics, mean_gradient, sweep_scores
from hyperinf.influence.memory import COPIES, GfimForm, GfimPlan, gfim_bytes, rows_kept
from hyperinf.influence.statistics import GradientStatistics
from hyperinf.runtime.memory import GIB, give_back
from hyperinf.runtime.profiling import metered

RESULT = Path(__file__).parent / "results" / "wide.json"
PAGE = Path(__file__).parents[1] / "docs" / "wide.md"
SIZES = (32, 64, 128, 256)
DTYPES = (torch.float64, torch.float32, torch.bfloat16)
"""That triangles are kept in."""
BLOCKS = (400, 16)
"""Samples at a time: matrices in another dtype are rounded once for each."""
GPUS = (16, 24, 80)
WHAT: dict[str, tuple[float, list[str]]] = {
    "LoRA of rank 8, query and value": (1.0, ["lora_"]),
    "dense weights of the last layer's MLP": (
        0.25,
        ["layer.5.intermediate.dense.weight", "layer.5.output.dense.weight"],
    ),
}
"""Share of the samples, and what weights' names have in them."""
LLAMA = "random, as of LoRA of rank 8 on Llama-2-7B"
EXACT = [
    ("LoRA of rank 8, query and value", 40),
    ("LoRA of rank 8, query and value", 320),
    ("dense weights of the last layer's MLP", 80),
    (LLAMA, 100),
]
"""Gradients, and n, that the exact forms are measured on."""
FORMS: dict[str, dict[str, Any]] = {
    "matrices": {},
    "rows where fewer": {"rows": True},
    "matrices on the disk": {"memory_bytes": 0},
    "rows where fewer, on the disk": {"rows": True, "memory_bytes": 0},
    **{f"triangles in {dtype}".replace("torch.", ""): {"dtype": dtype} for dtype in DTYPES},
}
"""What each allows, as in ``GfimForm``."""
REPEATS = 3
Shapes = dict[str, tuple[int, int]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="folder of MiniLM; without it the page is drawn from what was measured")
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--scratch", type=Path, help="folder for matrices on the disk; a temporary one without it")
    parser.add_argument("--one", nargs=3, metavar=("WHAT", "N", "FORM"), help=argparse.SUPPRESS)
    parser.add_argument("--lds", nargs="+", metavar="SIZE=FILE", help="judgements by retraining to add")
    arguments = parser.parse_args()
    if arguments.lds:
        judged = [row for given in arguments.lds for row in judgements(*given.split("=", 1))]
        known = json.loads(RESULT.read_text())
        kept = [row for row in known["lds"] if row["form"] not in {each["form"] for each in judged}]
        RESULT.write_text(json.dumps({**known, "lds": kept + judged}, indent=1) + "\n")
    torch.set_num_threads(arguments.threads)
    if arguments.one:
        what, samples, form = arguments.one
        print(json.dumps(held(arguments.model, what, int(samples), form, arguments.scratch)))
        return
    if arguments.model:
        rows = [row for what in WHAT for row in measured(arguments.model, arguments.samples, what)]
        about = {"machine": platform.machine(), "torch": torch.__version__, "threads": arguments.threads, "seed": 1}
        exact = [row for what, n in EXACT for row in compared(arguments, what, n)]
        judged = json.loads(RESULT.read_text(encoding="utf-8"))["lds"]
        content = {**about, "samples": arguments.samples, "rows": rows, "lds": judged, "exact": exact}
        RESULT.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(json.loads(RESULT.read_text(encoding="utf-8"))), encoding="utf-8")


def measured(folder: str, samples: int, what: str) -> list[dict[str, Any]]:
    """Score by every form, and compare with the exact GFIM in float64."""
    share, _ = WHAT[what]
    train, v = taken(folder, what, int(share * samples))
    statistics = gradient_statistics(train)
    exact = scores(train, build_method("gfim").fit(train, statistics).precondition(v))
    rows = []

    def add(form: str, made: Tensor, held: int, seconds: float | None = None) -> None:
        row = {"what": what, "samples": len(train), "form": form, "MiB": held / 2**20, **agreement(made, exact)}
        rows.append(row if seconds is None else {**row, "seconds": seconds})
        print(json.dumps(rows[-1]), flush=True)

    shapes = dict(train.layers)
    add("exact, float64", exact, 8 * sum(d * d for _, d in shapes.values()))
    for dtype, most in ((dtype, most) for dtype in DTYPES for most in BLOCKS):
        blocks = TensorSource(train._gradients, block_size=most)
        started = time.process_time()
        kept = gradient_statistics(blocks, GfimForm(dtype=dtype))
        made = scores(train, build_method("gfim").fit_statistics(kept).precondition(v))
        spent = time.process_time() - started
        name, times = str(dtype).removeprefix("torch."), math.ceil(len(train) / most)
        held = GfimPlan(shapes, {}, dtype=dtype).held_bytes
        add(f"triangles in {name}, {times} block{'s' if times > 1 else ''}", made, held, spent)
    for size in SIZES:
        for method, option, form in (("gfim_low_rank", "rank", "rank"), ("gfim_blocks", "block", "blocks of")):
            started = time.process_time()
            product = build_method(method, **{option: size}).fit(train, statistics).precondition(v)
            spent = time.process_time() - started
            held = 8 * sum(d * min(size, d) for _, d in shapes.values())
            add(f"{form} {size}", scores(train, product), held, spent)
    return rows


def taken(folder: str, what: str, samples: int) -> tuple[TensorSource, dict[str, Tensor]]:
    """Take the gradients of n texts, and the mean gradient of 32 others."""
    model = classifier(folder).eval()
    _, parts = WHAT[what]
    layers = [name for name, _ in model.named_parameters() if any(part in name for part in parts)]
    config: Any = model.config
    batches = headlines(samples + 32, 16, config.vocab_size)
    train = TensorSource.gather(LiveSource(model, batches[2:], layers=layers))
    return train, mean_gradient(LiveSource(model, batches[:2], layers=layers))


def drawn(samples: int) -> tuple[TensorSource, dict[str, Tensor]]:
    """Draw gradients of an attention and an MLP layer's adapters, whose columns' sizes fall off as eigenvalues do."""
    generator = torch.Generator().manual_seed(1)
    found = {}
    for name, columns in (("attention", 4096), ("mlp", 11008)):
        fall = torch.arange(1, columns + 1) ** -0.5
        found[name] = torch.randn(samples + 32, 8, columns, generator=generator) * fall
    train, target = ({name: g[part] for name, g in found.items()} for part in (slice(32, None), slice(32)))
    return TensorSource(train, block_size=16), mean_gradient(TensorSource(target))


def compared(arguments: argparse.Namespace, what: str, samples: int) -> list[dict[str, Any]]:
    """Measure every exact form in processes of its own, the median of three, against matrices in memory."""
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
        for form in FORMS:
            given = ["--model", arguments.model, "--threads", str(arguments.threads), "--scratch", folder]
            command = [sys.executable, "-m", "benchmarks.wide", *given, "--one", what, str(samples), form]
            runs = [
                json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
                for _ in range(REPEATS)
            ]
            row = {key: float(np.median([run[key] for run in runs])) for key in runs[0] if key != "rows"}
            own = torch.from_numpy(np.load(Path(folder) / f"{form}.npy"))
            exact = torch.from_numpy(np.load(Path(folder) / f"{next(iter(FORMS))}.npy"))
            named = {"what": what, "samples": samples, "form": form, "row layers": runs[0]["rows"]}
            found.append({**named, **row, **agreement(own, exact)})
            print(json.dumps(found[-1]), flush=True)
    return found


def held(folder: str, what: str, samples: int, form: str, scratch: Path) -> dict[str, float]:
    """Sum and solve in one form, in this process; its scores are written below ``scratch``."""
    train, v = drawn(samples) if what == LLAMA else taken(folder, what, samples)
    small = TensorSource({"w": torch.randn(99, 2, 99)})
    build_method("gfim").fit(small, gradient_statistics(small)).precondition({"w": torch.randn(2, 99).double()})
    chosen = GfimForm(scratch=scratch, **FORMS[form])
    give_back()
    started = time.process_time()
    with metered("cpu") as cost:
        statistics = gradient_statistics(train, chosen)
        summed = time.process_time()
        product = build_method("gfim").fit_statistics(statistics).precondition(v)
        solved = time.process_time()
    assert cost.peak_memory_mib is not None, "the kernel does not tell this process's peak"
    found = {
        "MiB": held_bytes(statistics) / 2**20,
        "sum seconds": summed - started,
        "solve seconds": solved - summed,
        "wall seconds": cost.seconds,
        "peak MiB": cost.peak_memory_mib,
        "rows": len(statistics.rows),
    }
    np.save(scratch / f"{form}.npy", scores(train, product).numpy())
    return found


def held_bytes(statistics: GradientStatistics) -> int:
    """Count what matrices, or triangles of them, and rows take, wherever they are."""
    rows = sum(x.nbytes for x in statistics.rows.values())
    if statistics.dtype is not None:
        left = {layer: shape for layer, shape in statistics.layers.items() if layer not in statistics.rows}
        return rows + GfimPlan(left, {}, dtype=statistics.dtype).held_bytes
    return rows + sum(x.nbytes for x in statistics.gfim.values())


def scores(train: GradientSource, product: dict[str, Tensor]) -> Tensor:
    return sweep_scores(train, {"it": product}).influence["it"]


def agreement(a: Tensor, b: Tensor) -> dict[str, float]:
    ranks = torch.stack([a.argsort().argsort(), b.argsort().argsort()]).double()
    return {
        "rank correlation": float(torch.corrcoef(ranks)[0, 1]),
        "error": float((a - b).norm() / b.norm()),
    }


def judgements(size: str, file: str) -> list[dict[str, Any]]:
    """Read the linear datamodeling score of the exact GFIM and of the forms of a size, over the target samples."""
    forms = {"gfim": "exact", "gfim_low_rank": f"rank {size}", "gfim_blocks": f"blocks of {size}"}
    if size in ("float32", "bfloat16"):
        forms = {"gfim": f"triangles in {size}"}
    with open(file, encoding="utf-8", newline="") as rows:
        return [
            {"form": forms[row["method"]], **{key: float(row[key]) for key in ("lds", "low", "high", "subsets")}}
            for row in csv.DictReader(rows)
            if row["method"] in forms and row["target"] == "query"
        ]


def models() -> dict[str, tuple[float, Shapes]]:
    """Give ``{name: (bytes of the frozen weights in bfloat16, shapes of what is scored)}``."""
    roberta, llama = 2 * 355e6, 2 * 6.74e9
    attention = [(4096, 4096)] * 4
    mlp = [(4096, 11008), (4096, 11008), (11008, 4096)]
    return {
        "RoBERTa-large, LoRA on q and v": (roberta, named([(8, 1024)] * 96)),
        "Llama-2-7B, LoRA on q and v": (llama, named([(8, 4096)] * 128)),
        "Llama-2-7B, LoRA on all linear layers": (
            llama,
            named([(8, size) for pair in attention + mlp for size in pair] * 32),
        ),
        "Llama-2-7B, dense last layer": (llama, named([(min(pair), max(pair)) for pair in attention + mlp])),
    }


def named(shapes: list[tuple[int, int]]) -> Shapes:
    return {str(place): shape for place, shape in enumerate(shapes)}


def curvature_bytes(shapes: Shapes) -> dict[str, float]:
    """Count what each form holds, its solution included, as ``hyperinf.influence.memory`` does of the exact one."""
    few = [d * min(256, d) for _, d in shapes.values()]
    return {
        "exact, float64": gfim_bytes(shapes),
        "exact of 100 samples, rows where fewer": gfim_bytes(shapes, rows_kept(shapes, 100)),
        **{
            f"triangles in {str(dtype).removeprefix('torch.')}": GfimPlan(shapes, {}, dtype=dtype).memory_bytes
            for dtype in DTYPES
        },
        "rank 256 or blocks of 256": 8 * (sum(few) + COPIES * max(few)),
    }


def page(result: Mapping[str, Any]) -> str:
    lines = [
        "# GFIMs of wide layers",
        "",
        "Drawn by `python -m benchmarks.wide --model MINILM`:"
        f" {result['machine']}, torch {result['torch']}, {result['threads']} thread, seed {result['seed']}.",
        "",
        "## What each form leaves of the exact scores",
        "",
        "MiniLM with an adapter, n texts of random words with the lengths of headlines, scores on the mean gradient of"
        " 32 others. Bytes are of all layers' sums; the error is the relative norm of the difference."
        " `gfim_low_rank` is exact where a layer has at most `rank` rows `n r`. Triangles are `gfim` with `gfim_dtype`:"
        " matrices below their diagonals, rounded to that dtype after every block of samples; CPU seconds are those of"
        " sums and solution, of the other forms of all that they compute.",
        "",
        "| gradients | n | form | MiB | rank correlation | error | CPU seconds |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in result["rows"]:
        taken = f"{row['seconds']:.2f}" if "seconds" in row else ""
        found = f"{row['rank correlation']:.4f} | {row['error']:.1e}"
        numbers = f"{row['MiB']:,.1f} | {found} | {taken}"
        lines.append(f"| {row['what']} | {row['samples']} | {row['form']} | {numbers} |")
    lines += [
        "",
        "What retraining says of them: the linear datamodeling score over the target samples of the default run's"
        " study `validation` (sarcastic headlines, MiniLM, adapters of rank 8, d = 384, one seed), and where it lies in"
        " 95 % of draws of the subsets.",
        "",
        "| form | LDS | 95 % | subsets |",
        "| --- | --- | --- | --- |",
    ]
    for row in {row["form"]: row for row in result["lds"]}.values():
        lines.append(
            f"| {row['form']} | {row['lds']:.3f} | {row['low']:.3f} to {row['high']:.3f} | {row['subsets']:.0f} |"
        )
    lines += [
        "",
        "## How it is held: matrices, rows, triangles, and the disk",
        "",
        "A layer with fewer rows `n r` than columns `d` is solved by Woodbury's identity on its rows, which is what the"
        " Python front door and the commands take by themselves where no method needs the matrix. What does not fit"
        " into memory goes to the disk where there is a scratch folder (`Attributor(scratch=...)`; the commands `score`"
        " and `select` use their own). Triangles are what `gfim_dtype` asks for. Each form in processes of its own, the"
        f" median of {REPEATS}: MiB held"
        " (rows in memory in the gradients' float32, matrices in float64), the process's peak above what it had with"
        " the gradients in memory, CPU seconds of the sums, gradients left out, and of the solution for one vector, and"
        " seconds by the clock; the error is against matrices in memory.",
        "",
        "| gradients | n | form | layers of rows | MiB held | peak MiB | error | sums, CPU s | solution, CPU s | s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in result["exact"]:
        times = " | ".join(f"{row[key]:.2f}" for key in ("sum seconds", "solve seconds", "wall seconds"))
        numbers = f"{row['row layers']} | {row['MiB']:,.1f} | {row['peak MiB']:,.0f} | {row['error']:.1e} | {times}"
        lines.append(f"| {row['what']} | {row['samples']} | {row['form']} | {numbers} |")
    lines += [
        "",
        "## What fits into a GPU",
        "",
        "GiB of the frozen weights in bfloat16 and of the curvature, its solution included; a block of gradients and"
        " activations come on top. Computed, not measured.",
        "",
        f"| model and what is scored | curvature | GiB | {' | '.join(f'{size} GB' for size in GPUS)} |",
        f"| --- | --- | --- | {' | '.join('---' for _ in GPUS)} |",
    ]
    for name, (weights, shapes) in models().items():
        for form, needed in curvature_bytes(shapes).items():
            total = weights + needed
            fits = " | ".join("yes" if total < 0.9 * size * 1e9 else "no" for size in GPUS)
            lines.append(f"| {name} | {form} | {total / GIB:,.1f} | {fits} |")
    return "\n".join([*lines, "", "A GPU counts as full at nine tenths of its memory.", ""])


if __name__ == "__main__":
    main()
