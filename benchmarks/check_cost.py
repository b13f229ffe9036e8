"""What the check of a source's first batch costs: sweeps with it against sweeps without, paired in one run.

    python -m benchmarks.check_cost --model path/to/minilm --samples 1000 --name check_cost

The model is the default run's classifier, MiniLM with LoRA of rank 8 on query and value, or any folder like it; texts
have the lengths of its headlines. In every round one sweep with the check and one without run, in turn first. The
result is one JSON file with every time, the medians' ratio, and the share of one batch that the check takes.
"""

import argparse
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import torch
import transformers

import hyperinf
from benchmarks.machine import device_name
from hyperinf.artifacts.files import write_json
from hyperinf.gradients import LiveSource
from hyperinf.models.lora import add_lora
from hyperinf.settings.training import LoraSettings

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = classifier(arguments.model).to(device)
    config: Any = model.config
    batches = headlines(arguments.samples, arguments.batch_size, config.vocab_size)
    times: dict[str, list[float]] = {"checked": [], "unchecked": []}
    sweep(model, batches[:2], True, device)
    for turn in range(arguments.repeats):
        for name in sorted(times, reverse=bool(turn % 2)):
            times[name].append(sweep(model, batches, name == "checked", device))
    medians = {name: statistics.median(values) for name, values in times.items()}
    ratio = medians["checked"] / medians["unchecked"]
    result = {
        "setting": {
            **vars(arguments),
            "model": Path(arguments.model).name,
            "layers": len(LiveSource(model, batches).layers),
        },
        "machine": {"device": device_name(device), "platform": platform.platform(), "torch": torch.__version__},
        "transformers": transformers.__version__,
        "hyperinf": hyperinf.__version__,
        "seconds": times,
        "ratio": ratio,
        "pairs": [a / b for a, b in zip(times["checked"], times["unchecked"], strict=True)],
        "of_one_batch": (medians["checked"] - medians["unchecked"]) / (medians["unchecked"] / len(batches)),
    }
    write_json(RESULTS / f"{arguments.name}.json", result)
    print(f"checked / unchecked: {ratio:.3f}; the check takes {result['of_one_batch']:.2f} of one batch")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of a BERT")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--name", default="check_cost")
    return parser.parse_args()


def classifier(folder: str) -> torch.nn.Module:
    torch.manual_seed(0)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)
    adapted = add_lora(model, LoraSettings(rank=8))
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, 0.01)
    return adapted


def headlines(samples: int, batch_size: int, vocabulary: int) -> list[tuple[list[str], dict[str, torch.Tensor]]]:
    generator = torch.Generator().manual_seed(1)
    lengths = sorted((torch.randn(samples, generator=generator) * 4 + 16).clamp(5, 32).long().tolist())
    batches = []
    for start in range(0, samples, batch_size):
        rows = lengths[start : start + batch_size]
        ids = torch.randint(1000, vocabulary, (len(rows), max(rows)), generator=generator)
        mask = (torch.arange(max(rows)) < torch.tensor(rows)[:, None]).long()
        labels = torch.randint(0, 2, (len(rows),), generator=generator)
        names = [str(start + row) for row in range(len(rows))]
        batches.append((names, {"input_ids": ids * mask, "attention_mask": mask, "labels": labels}))
    return batches


def sweep(model: torch.nn.Module, batches: list, check: bool, device: torch.device) -> float:
    source = LiveSource(model, batches, check=check)
    if device.type == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    for block in source:
        for name in source.layers:
            block.gradients[name].squares()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
