"""Our evaluation by likelihood against lm-evaluation-harness: same model files, same questions, question by question.

    pip install 'hyperinf[lm-eval]'
    python benchmarks/harness.py --name harness_smollm2

Both get the SmolLM2 asset, cut to its first layers, as it came and with an adapter that is trained here for a few
steps, and the test questions of tasks that come from assets. The harness reads the folder that ``hyperinf
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
from hyperinf.data.samples import read_data_info, read_samples
from hyperinf.models.choices import choice_accuracy
from hyperinf.models.families.causal import CausalFamily
from hyperinf.pipeline.finetune import finetune
from hyperinf.pipeline.harness import write_harness_task
from hyperinf.pipeline.opened import task_of
from hyperinf.pipeline.prepare import prepare
from hyperinf.pipeline.prepare_model import prepare_model
from hyperinf.settings.stages import Finetune, Harness, Prepare, PrepareModel
from hyperinf.settings.training import Adaptation, EncodingSettings

RESULTS = Path(__file__).parent / "results"
# Asset, format and test questions; LogiQA's are long, and the harness computes the logits of every position.
TASKS = {
    "headlines": ("sarcasm", "headlines", 200),
    "quartz": ("quartz", "quartz", 100),
    "logiqa": ("logiqa", "logiqa_evals", 16),
}
LORA = Adaptation(rank=8, target_modules=("q_proj", "v_proj"))
ENCODING = EncodingSettings(max_length=2048)  # nothing is cut: the harness would cut elsewhere
PACKAGES = ("lm_eval", "torch", "transformers", "peft", "datasets")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=4, help="of the model, at most")
    parser.add_argument("--steps", type=int, default=40, help="of training the adapter")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--cache", default=os.environ.get("HYPERINF_CACHE", "results/assets"))
    parser.add_argument("--name", required=True, help="the result is benchmarks/results/NAME.json")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        rows = compare(Path(folder), arguments)
    versions = {"hyperinf": hyperinf.__version__, **{name: version(name) for name in PACKAGES}}
    setting = {
        "layers": arguments.layers,
        "steps": arguments.steps,
        "lora_rank": LORA.rank,
        "max_length": ENCODING.max_length,
    }
    content = {"versions": versions, "python": platform.python_version(), "device": "cpu", **setting, "rows": rows}
    write_json(RESULTS / f"{arguments.name}.json", content)


def compare(folder: Path, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Both measures of every task, without and with an adapter."""
    model = folder / "model"
    cache = {"cache": arguments.cache}
    smollm2: dict[str, Any] = {"source": "asset:smollm2", **cache}
    prepare_model(PrepareModel(layers=arguments.layers, **smollm2, out=str(model)))
    rows = []
    for task in arguments.tasks:
        asset, form, questions = TASKS[task]
        data, tuned, tasks = (folder / task / name for name in ("data", "finetuned", "harness"))
        made: dict[str, Any] = {"source": f"asset:{asset}", "train": 100, "validation": 20, "test": questions, **cache}
        prepare(Prepare(format=form, **made, seed=11, out=str(data)))
        train(data, model, tuned, arguments)
        write_harness_task(Harness(data=str(data), task=task, out=str(tasks)))
        for weights in (None, tuned / "last"):
            rows.append({"task": task, "model": "base" if weights is None else "adapter"})
            rows[-1] |= agreement(ours(data, model, weights), theirs(tasks, task, model, weights))
            print(rows[-1], flush=True)
    return rows


def train(data: Path, model: Path, out: Path, arguments: argparse.Namespace) -> None:
    """An adapter that makes the model another one."""
    how = {"max_steps": arguments.steps, "batch_size": 4, "learning_rate": 2e-3, "seed": 11, "device": "cpu"}
    where = {"data": str(data), "model": f"path:{model}", "family": "causal", "out": str(out)}
    finetune(Finetune.of(LORA, ENCODING, **how, **where))


def ours(data: Path, folder: Path, weights: Path | None) -> dict[str, Any]:
    """Accuracy, and the likelihoods of every question's choices."""
    family = CausalFamily(str(folder), task_of(data, read_data_info(data)), ENCODING)
    encoded = family.encode_choices(read_samples(data, "test"))
    assert encoded.truncated == 0
    model = family.pretrained() if weights is None else family.restored(LORA, 11, weights)
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
