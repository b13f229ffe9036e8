"""Influence on large models: what a 7B model takes on paper, and whether memory is flat and time linear in practice.

    python benchmarks/scale.py paper
    python benchmarks/scale.py measure --samples 8 16 32 --repeats 1 --name scale_cpu

``paper`` prints bytes and operations of every stage for Llama-2-7B (see ``llama_budget.py``) and writes them, with what
a dry run of the real extraction counts, to ``results/scale_paper.json``. ``measure`` scores ever more samples with a
random Llama, LoRA on q and v, gradients live: each run is a process of its own, whose resident set is watched. The
batches are alike in all runs, so that peak memory should not depend on the number of samples and time be
proportional to it. Orders of runs alternate, so that a change of the machine's speed hits all of them.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import transformers
from llama_budget import Setting, Shape, Workload, activation_bytes, budget, counted, factor_bytes, scored_weights
from machine import device_name
from torch import nn

import hyperinf
from hyperinf.artifacts.files import write_json
from hyperinf.gradients import LiveSource
from hyperinf.gradients.losses import causal_loss
from hyperinf.influence import score_methods
from hyperinf.models.lora import add_lora
from hyperinf.settings.training import LoraSettings

RESULTS = Path(__file__).parent / "results"
MEMORY = 80e9
LENGTHS = (64, 72, 88, 96, 68, 76, 80, 96)  # tokens of eight samples in turn; every batch of four is 96 wide
TARGETS = 4
ANSWER = 4
METHODS = ("hyperinf", "tracin")


def main() -> None:
    arguments = parse_arguments()
    if arguments.command == "paper":
        paper()
    elif arguments.command == "measure":
        measure(arguments)
    else:
        print(json.dumps(score_once(arguments)))


def parse_arguments() -> argparse.Namespace:
    form = argparse.ArgumentDefaultsHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=form)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("paper", help="the budget of Llama-2-7B")
    for name, help_text in (("measure", "run every number of samples"), ("once", "one run, in this process")):
        command = commands.add_parser(name, help=help_text, formatter_class=form)
        command.add_argument("--hidden", type=int, default=2048)
        command.add_argument("--mlp", type=int, default=5504)
        command.add_argument("--layers", type=int, default=18)
        command.add_argument("--heads", type=int, default=16)
        command.add_argument("--vocabulary", type=int, default=32000)
        command.add_argument("--dtype", choices=["bfloat16", "float32"], default="bfloat16", help="of the base model")
        command.add_argument("--rank", type=int, default=8)
        command.add_argument("--batch", type=int, default=4)
        command.add_argument("--threads", type=int, default=1)
        command.add_argument("--samples", type=int, nargs="+", default=[8, 16, 32], help="multiples of 8")
        if name == "measure":
            command.add_argument("--repeats", type=int, nargs="+", default=[3], help="of each number of samples")
            command.add_argument("--name", required=True, help="the result is benchmarks/results/NAME.json")
    return parser.parse_args()


def paper() -> None:
    """Print and write the budget of Llama-2-7B for LoRA of rank 8 and 16 and for the dense last decoder layer."""
    shape, work = Shape(), Workload()
    rows = []
    for setting in (Setting(8), Setting(16), Setting(0)):
        real = counted(shape, setting, work.tokens)
        assert real["parameters"] == shape.parameters
        row = budget(shape, setting, work, "schulz", MEMORY)
        row["computed"] = {
            "activation_bytes": activation_bytes(shape, setting, work.tokens),
            "factor_bytes": factor_bytes(shape, setting, work.tokens),
        }
        row["counted"] = real
        rows.append(row)
        print_budget(row)
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "hyperinf": hyperinf.__version__}
    content = {"shape": asdict(shape), "parameters": shape.parameters, "workload": asdict(work), "memory_bytes": MEMORY}
    write_json(RESULTS / "scale_paper.json", {**versions, **content, "settings": rows})


def print_budget(row: dict[str, Any]) -> None:
    """One setting as a table."""
    peak, verdict = max(row["peak_bytes"].values()) / 1e9, "fits" if row["fits"] else "does not fit"
    print(f"\n{row['setting']}: {row['scored_weights']:,} weights scored; ", end="")
    print(f"peak {peak:.1f} GB {verdict} in {MEMORY / 1e9:.0f} GB\n")
    print("| stage | GB | TFLOP |\n| --- | --- | --- |")
    for stage in row["stages"]:
        print(f"| {stage['stage']} | {stage['bytes'] / 1e9:.3f} | {stage['operations'] / 1e12:,.1f} |")


def measure(arguments: argparse.Namespace) -> None:
    """Run every number of samples, repeats in rounds, and write medians with every repeat."""
    repeats = dict(zip(arguments.samples, arguments.repeats * len(arguments.samples), strict=False))
    runs: list[dict[str, Any]] = []
    for round_number in range(max(repeats.values())):
        turn = [samples for samples in arguments.samples if round_number < repeats[samples]]
        for samples in turn if round_number % 2 == 0 else turn[::-1]:
            runs.append(in_own_process(arguments, samples))
            print({key: value for key, value in runs[-1].items() if not isinstance(value, dict)}, flush=True)
    medians = [
        {
            key: median_of(runs, samples, key)
            for key in ("samples", "peak_above_model_mib", "seconds_per_sample", "cpu_seconds")
        }
        for samples in arguments.samples
    ]
    shape = shape_of(arguments)
    adapter = Setting(arguments.rank)
    result = {
        "device": device_name(torch.device("cpu")),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "hyperinf": hyperinf.__version__,
        "python": platform.python_version(),
        "threads": arguments.threads,
        "dtype": arguments.dtype,
        "shape": asdict(shape),
        "parameters": shape.parameters,
        "rank": arguments.rank,
        "batch": arguments.batch,
        "lengths": list(LENGTHS),
        "methods": list(METHODS),
        "solver": "cholesky",
        "per_sample_gradient_bytes": 4 * scored_weights(shape, adapter),
        "medians": medians,
        "runs": runs,
    }
    write_json(RESULTS / f"{arguments.name}.json", result)


def median_of(runs: list[dict[str, Any]], samples: int, key: str) -> float:
    return statistics.median(run[key] for run in runs if run["samples"] == samples)


def in_own_process(arguments: argparse.Namespace, samples: int) -> dict[str, Any]:
    """One run in a new process, whose memory nothing before it has touched."""
    command = [sys.executable, __file__, "once", "--samples", str(samples)]
    for key in ("hidden", "mlp", "layers", "heads", "vocabulary", "dtype", "rank", "batch", "threads"):
        command += [f"--{key}", str(getattr(arguments, key))]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def score_once(arguments: argparse.Namespace) -> dict[str, Any]:
    """Scores of the given number of samples: time and memory of the stages, and the peak above the model's own."""
    torch.set_num_threads(arguments.threads)
    model = random_llama(shape_of(arguments), arguments.rank, getattr(torch, arguments.dtype))
    [samples] = arguments.samples
    train = LiveSource(model, batches(0, samples, arguments), causal_loss)
    target = LiveSource(model, batches(samples, TARGETS, arguments), causal_loss)
    before, load = resident(), os.getloadavg()[0]
    started, worked = time.perf_counter(), time.process_time()
    with watched() as peak:
        table = score_methods(train, target, METHODS, solver="cholesky")
    seconds, worked = time.perf_counter() - started, time.process_time() - worked
    assert bool(torch.isfinite(table.influence["hyperinf"]).all())
    stages = {f"{method} {stage}": asdict(cost) for (method, stage), cost in table.costs.items()}
    sweeps = stages["shared statistics"]["seconds"] + stages["shared scores"]["seconds"]
    return {
        "samples": samples,
        "model_mib": before / 2**20,
        "peak_above_model_mib": (peak[0] - before) / 2**20,
        "seconds": seconds,
        "cpu_seconds": worked,
        "load_average_before": load,
        "seconds_per_sample": sweeps / samples,
        "stages": stages,
    }


def shape_of(arguments: argparse.Namespace) -> Shape:
    return Shape(arguments.layers, arguments.hidden, arguments.mlp, arguments.vocabulary, arguments.heads)


def random_llama(shape: Shape, rank: int, dtype: torch.dtype) -> nn.Module:
    """A Llama of random weights with LoRA, whose B is random too: at zero, A would have no gradient."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=shape.hidden,
        intermediate_size=shape.mlp,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        vocab_size=shape.vocabulary,
        use_cache=False,
    )
    torch.manual_seed(11)
    default = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        model = LlamaForCausalLM(config)
    finally:
        torch.set_default_dtype(default)
    model = add_lora(model, LoraSettings(rank=rank, target_modules=("q_proj", "v_proj")))
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(weight, std=0.02)
    # The last positions alone are not contiguous, and for such an input in bfloat16 torch copies the whole output
    # layer for every sample: half of the run's time would be spent there.
    model.get_output_embeddings().register_forward_pre_hook(lambda _, inputs: (inputs[0].contiguous(),))
    return model


def batches(first: int, count: int, arguments: argparse.Namespace) -> list[tuple[list[str], dict[str, torch.Tensor]]]:
    """Left-padded batches of random tokens, the last few of each sample its answer."""
    generator = torch.Generator().manual_seed(first)
    result = []
    for start in range(0, count, arguments.batch):
        lengths = torch.tensor(
            [LENGTHS[(start + row) % len(LENGTHS)] for row in range(min(arguments.batch, count - start))]
        )
        width = int(lengths.max())
        mask = (torch.arange(width) >= width - lengths[:, None]).long()
        ids = torch.randint(0, arguments.vocabulary, mask.shape, generator=generator)
        labels = torch.where(torch.arange(width) >= width - ANSWER, ids, -100)
        inputs = {"input_ids": ids, "attention_mask": mask, "position_ids": (mask.cumsum(1) - 1).clamp(min=0)}
        result.append(([f"{first + start + row}" for row in range(len(ids))], {**inputs, "labels": labels}))
    return result


def resident() -> int:
    """Bytes of this process that are in memory (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@contextmanager
def watched() -> Iterator[list[int]]:
    """The largest resident set while the body runs, looked at every 5 ms; hyperinf's own meter resets the kernel's."""
    peak = [resident()]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            peak[0] = max(peak[0], resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


if __name__ == "__main__":
    main()
