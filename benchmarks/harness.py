"""Our evaluation by likelihood against lm-evaluation-harness: same model files, same questions, question by question.

    pip install 'hyperinf[lm-eval]'
    python benchmarks/harness.py --name harness_smollm2

Both get the SmolLM2 asset, cut to its first layers, as it came and with an adapter that is trained here for a few
steps, and the test questions of tasks that come from assets. The harness reads the folder that ``hyperinf select
harness`` writes and the model's and the adapter's files, without a network. The result is one JSON file.

The pipeline keeps its own evaluation and the lock goes without the harness: it brings 37 packages more, three of them
as source only, and would load the model from its files after each of the many fine-tunings.
"""

import os

os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"

import argparse
import platform
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import hyperinf
from hyperinf.artifacts.files import write_json
from hyperinf.data.harness import write_harness_task
from hyperinf.data.questions import QuestionTaskConfig, prepare_questions, read_questions, read_questions_info
from hyperinf.data.sources import parse_source
from hyperinf.evaluation.accuracy import choice_accuracy
from hyperinf.models.causal import load_causal, prepare_causal
from hyperinf.models.lora import LoraSettings
from hyperinf.models.trainable import adapt, load_trained
from hyperinf.pipeline.selection.family import LanguageFamily
from hyperinf.pipeline.selection.model import ModelConfig, RunPaths
from hyperinf.pipeline.selection.warmup import WarmupConfig, run_warmup
from hyperinf.training.loop import TrainingSettings

RESULTS = Path(__file__).parent / "results"
# Asset, format and test questions; LogiQA's are long, and the harness computes the logits of every position.
TASKS = {
    "headlines": ("sarcasm", "headlines", 200),
    "quartz": ("quartz", "quartz", 100),
    "logiqa": ("logiqa", "logiqa_evals", 16),
}
LORA = LoraSettings(rank=8, targets=("q_proj", "v_proj"))
MAX_LENGTH = 2048  # nothing is cut: the harness would cut elsewhere
PACKAGES = ("lm_eval", "torch", "transformers", "peft", "datasets")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=4, help="of the model, at most")
    parser.add_argument("--steps", type=int, default=40, help="of training the adapter")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cache", type=Path, default=Path(os.environ.get("HYPERINF_CACHE", "results/assets")))
    parser.add_argument("--name", required=True, help="the result is benchmarks/results/NAME.json")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        rows = compare(Path(folder), arguments)
    versions = {"hyperinf": hyperinf.__version__, **{name: version(name) for name in PACKAGES}}
    setting = {"layers": arguments.layers, "steps": arguments.steps, "lora_rank": LORA.rank, "max_length": MAX_LENGTH}
    content = {"versions": versions, "python": platform.python_version(), "device": "cpu", **setting, "rows": rows}
    write_json(RESULTS / f"{arguments.name}.json", content)


def compare(folder: Path, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Both measures of every task, without and with an adapter."""
    model = folder / "model"
    prepare_causal(parse_source("asset:smollm2"), model, arguments.cache, layers=arguments.layers)
    rows = []
    for task, (asset, form, questions) in TASKS.items():
        data, adapter, tasks = (folder / task / name for name in ("data", "adapter", "harness"))
        source = parse_source(f"asset:{asset}")
        prepare_questions(QuestionTaskConfig(source, form, 100, 20, questions, seed=11, cache=arguments.cache), data)
        train(data, model, adapter, arguments)
        write_harness_task(data, tasks, task)
        for weights in (None, adapter):
            rows.append({"task": task, "model": "base" if weights is None else "adapter"})
            rows[-1] |= agreement(ours(data, model, weights), theirs(tasks, task, model, weights))
            print(rows[-1], flush=True)
    return rows


def train(data: Path, model: Path, out: Path, arguments: argparse.Namespace) -> None:
    """An adapter that makes the model another one."""
    config = ModelConfig(f"path:{model}", LORA, seed=11, max_length=MAX_LENGTH)
    training = TrainingSettings(steps=arguments.steps, batch_size=4, learning_rate=2e-3, seed=11)
    run_warmup(WarmupConfig(config, training), RunPaths(data, arguments.cache), out.with_name("state"), out)


def ours(data: Path, folder: Path, weights: Path | None) -> dict[str, Any]:
    """Accuracy, and the likelihoods of every question's choices."""
    family = LanguageFamily(str(folder), read_questions_info(data)["templates"], MAX_LENGTH, data)
    encoded = family.encode_choices(read_questions(data, "test"))
    assert encoded.truncated == 0
    model = load_causal(str(folder))
    if weights is not None:
        model = adapt(model, LORA, seed=11)
        load_trained(model, weights)
    found = choice_accuracy(model, encoded)
    with torch.inference_mode():
        likelihoods = encoded.likelihoods(model.eval(), 32).split(encoded.counts)
    return {
        "accuracy": found.accuracy,
        "accuracy_norm": found.accuracy_norm,
        "likelihoods": [row.tolist() for row in likelihoods],
    }


def theirs(tasks: Path, task: str, folder: Path, weights: Path | None) -> dict[str, Any]:
    """The same by the harness, which loads the model and the adapter itself."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    adapter = {} if weights is None else {"peft": str(weights)}
    result = lm_eval.simple_evaluate(
        model="hf",
        model_args={"pretrained": str(folder), "dtype": "float32", **adapter},
        tasks=[task],
        task_manager=TaskManager(include_path=str(tasks), include_defaults=False),
        device="cpu",
        batch_size=4,
        bootstrap_iters=0,
    )
    samples = sorted(result["samples"][task], key=lambda sample: sample["doc_id"])
    found = result["results"][task]
    return {
        "accuracy": found["acc,none"],
        "accuracy_norm": found["acc_norm,none"],
        "likelihoods": [[response[0] for response in sample["filtered_resps"]] for sample in samples],
    }


def agreement(own: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Both results side by side, and how far the likelihoods are apart."""
    pairs = list(zip(own["likelihoods"], other["likelihoods"], strict=True))
    gaps = [abs(one - two) for row, their_row in pairs for one, two in zip(row, their_row, strict=True)]
    return {
        "questions": len(pairs),
        "choices": len(gaps),
        "accuracy": own["accuracy"],
        "harness_acc": other["accuracy"],
        "accuracy_norm": own["accuracy_norm"],
        "harness_acc_norm": other["accuracy_norm"],
        "picks_that_differ": sum(row.index(max(row)) != their_row.index(max(their_row)) for row, their_row in pairs),
        "largest_difference_of_a_log_likelihood": max(gaps),
    }


if __name__ == "__main__":
    main()
