"""What the library refuses to take gradients or scores of, each with the line that says so: a page of the docs.

python tests/compatibility/refusals.py > docs/refusals.md
"""

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
import yaml
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset

from hyperinf.artifacts.records import read_record, write_record
from hyperinf.cli.project import write_project
from hyperinf.data.assets import fetch_asset
from hyperinf.gradients import LiveSource, TensorSource, adapted_layers, per_sample_gradients
from hyperinf.influence import influence_scores
from hyperinf.influence.statistics import gradient_statistics
from hyperinf.pipeline.preflight import objections
from hyperinf.runtime.gpus import LOCKS, take, take_for
from hyperinf.settings.default_experiment import default_experiment
from hyperinf.settings.experiment import ExperimentSettings, checked_experiment
from hyperinf.settings.yaml_files import merged

sys.path[:0] = [
    str(Path(__file__).parent),
    str(Path(__file__).parents[1]),
    str(Path(__file__).parents[2] / "workflow/lib"),
]

from architectures import SMALL  # noqa: E402
from asking import Asking  # noqa: E402
from gpus import unfit_devices  # noqa: E402
from partitions import read_partitions, unknown  # noqa: E402
from places import unwritable  # noqa: E402
from run_hooks import RunHooks  # noqa: E402
from run_lock import RefusedError, acquire  # noqa: E402
from submissions import unfit_jobs  # noqa: E402
from targets import mistyped  # noqa: E402

X = torch.randn(8, 5, generator=torch.Generator().manual_seed(1))
Y = torch.tensor([0, 1, 2, 0, 1, 2, 1, 0])

HEAD = """# What is refused

Made by `python tests/compatibility/refusals.py`; a test keeps it in step. Every line of the first table is what a `ValueError` of the
library says before any number is given out; through the command line it is printed after `hyperinf: error:` with exit code 2,
before anything is trained. Numbers that differ from machine to machine are written as x.
"""
RUNS_HEAD = """## Runs, GPUs and clusters

What a job would refuse, and what a machine or a cluster has not, is said before the first job of a run of the workflow, in a line for each,
with exit code 2; a dry run says what can be told without looking at the machine.
"""
PLACES_HEAD = """## Files, places and colleagues

What is damaged, full, closed or another's ends a command with exit code 2, or a run of the workflow before its first job. What the lines
advise is done by tests, and works then.
"""


@dataclass(frozen=True)
class Refusal:
    """Something that is not done.

    Attributes:
        what: in words.
        do: the call that is refused.
        instead: what to do.
        follow: does that; None where it would take more than a test may.
    """

    what: str
    do: Callable[[], Any]
    instead: str
    follow: Callable[[], Any] | None = None


def line(refusal: Refusal) -> str:
    """The line that it ends with.

    Raises:
        AssertionError: it was not refused, or in more than one line.
    """
    torch.manual_seed(0)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        warnings.simplefilter("ignore")
        try:
            refusal.do()
        except (ValueError, RefusedError, SystemExit) as error:
            found = str(error)
        else:
            raise AssertionError(f"{refusal.what}: was not refused")
    assert "\n" not in found, found
    return re.sub(r"(?<!')-?\d+\.\d+(e-?\d+)?", "x", found)


def _transformers(auto: str, kind: str, **options: Any) -> Any:
    import transformers

    config = transformers.AutoConfig.for_model(kind, **{**SMALL, **options})
    return getattr(transformers, auto).from_config(config)


def _text(padded: bool = False, labels: Tensor | None = None) -> dict[str, Tensor]:
    ids = torch.randint(3, 40, (4, 6), generator=torch.Generator().manual_seed(2))
    mask = torch.ones_like(ids)
    if padded:
        mask[1, 3:] = mask[2, 5:] = 0
    return {"input_ids": ids * mask, "attention_mask": mask, "labels": Y[:4] if labels is None else labels}


def _language() -> dict[str, Tensor]:
    batch = _text()
    return {**batch, "labels": batch["input_ids"]}


class _Again(nn.Module):
    def __init__(self, reentrant: bool = True) -> None:
        super().__init__()
        self.reentrant = reentrant
        self.body, self.head = nn.Linear(5, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(checkpoint(self.body, x, use_reentrant=self.reentrant))


class _Overwrites(_Again):
    def forward(self, x: Tensor) -> Tensor:
        hidden = self.body(x)
        out = self.head(hidden)
        hidden.zero_()
        return out


def _share(model: nn.Module, batch: Any) -> Tensor:
    return functional.cross_entropy(model(batch[0]), batch[1], reduction="none") / len(batch[1])


def _own(model: nn.Module, batch: Any) -> Tensor:
    return functional.cross_entropy(model(batch[0]), batch[1], reduction="none")


def _by_token(model: Any, batch: Any) -> Tensor:
    logits = model(batch["input_ids"], batch["attention_mask"]).logits
    return functional.cross_entropy(logits.transpose(1, 2), batch["labels"], reduction="none").sum(1)


def _bart() -> Any:
    sizes = {"d_model": 16, "decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 8}
    return _transformers("AutoModelForCausalLM", "bart", **sizes)


def _adapter(trainable: bool) -> None:
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(_transformers("AutoModelForCausalLM", "llama"), LoraConfig(target_modules=["q_proj"]))
    per_sample_gradients(model if trainable else model.requires_grad_(False), _language())


def _batches(order: list[int]) -> list[Any]:
    groups = [order[start : start + 4] for start in range(0, len(order), 4)]
    return [([str(index) for index in group], (X[group], Y[group])) for group in groups]


class _Shuffled:
    sweep = 0

    def __iter__(self) -> Any:
        self.sweep += 1
        yield from _batches(list(range(8)) if self.sweep < 3 else list(range(7, -1, -1)))


class _ShuffledBeneath(_Shuffled):
    def __iter__(self) -> Any:
        for place, (_, batch) in enumerate(super().__iter__()):
            yield [f"{place}.{row}" for row in range(4)], batch


def _twice(source: LiveSource) -> None:
    for _ in range(2):
        for _block in source:
            pass


def _batch_statistics() -> None:
    model = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4, track_running_stats=False), nn.Linear(4, 3))
    per_sample_gradients(model, (X, Y))


def _inference_weight() -> None:
    with torch.inference_mode():
        model = nn.Linear(5, 3)
    per_sample_gradients(model, (X, Y), layers=["weight"])


def _large_layer() -> None:
    class Large(TensorSource):
        layers = {"lm_head.weight": (4096, 400_000)}  # noqa: RUF012

    gradient_statistics(Large({"lm_head.weight": torch.ones(1, 1, 1)}))


def _gradients(value: float) -> dict[str, Tensor]:
    found = torch.randn(6, 2, 5, generator=torch.Generator().manual_seed(3))
    found[2, 0, 0] = value
    return {"layer": found}


torch.manual_seed(0)
LINEAR = nn.Linear(5, 3)
REFUSALS = [
    Refusal(
        "a model that reads padding",
        lambda: per_sample_gradients(_transformers("AutoModelForSequenceClassification", "fnet", num_labels=3), _text(True)),
        "batches of one length, or of one sample",
        lambda: per_sample_gradients(_transformers("AutoModelForSequenceClassification", "fnet", num_labels=3), _text())),
    Refusal("a norm over the samples of the batch", _batch_statistics, "running statistics, or another norm",
        lambda: per_sample_gradients(nn.Sequential(nn.Linear(5, 4), nn.LayerNorm(4), nn.Linear(4, 3)), (X, Y))),
    Refusal("a loss that is a share of the batch", lambda: per_sample_gradients(LINEAR, (X, Y), _share), "each sample's own loss",
        lambda: per_sample_gradients(LINEAR, (X, Y), _own)),
    Refusal(
        "a model that sees the answers it is judged by",
        lambda: per_sample_gradients(_transformers("AutoModelForCausalLM", "bert", is_decoder=False), _language()),
        "`is_decoder=True`, or the `token_type_ids` that tell prompt from answer",
        lambda: per_sample_gradients(_transformers("AutoModelForCausalLM", "bert", is_decoder=True), _language())),
    Refusal(
        "a transformers model whose own loss is another",
        lambda: per_sample_gradients(
            _bart(),
            _language(),
        ),
        "`loss_fn`",
        lambda: per_sample_gradients(_bart(), _language(), _by_token)),
    Refusal(
        "token labels of a model whose loss is not known",
        lambda: per_sample_gradients(nn.Embedding(40, 7), (_text()["input_ids"], _text()["input_ids"])),
        "`loss_fn`",
        lambda: per_sample_gradients(nn.Embedding(40, 7), (_text()["input_ids"], Y[:4]), lambda m, b: functional.cross_entropy(m(b[0]).mean(1), b[1], reduction="none"))),
    Refusal(
        "several samples packed into one row",
        lambda: per_sample_gradients(
            _transformers("AutoModelForCausalLM", "llama"), {**_language(), "position_ids": torch.tensor([[0, 1, 2, 0, 1, 2]] * 4)}
        ),
        "a collator that pads",
        lambda: per_sample_gradients(_transformers("AutoModelForCausalLM", "llama"), _language())),
    Refusal(
        "a text without a token that counts",
        lambda: per_sample_gradients(
            _transformers("AutoModelForCausalLM", "llama"), {**_text(), "labels": torch.full((4, 6), -100)}
        ),
        "leave the sample out",
        lambda: per_sample_gradients(_transformers("AutoModelForCausalLM", "llama"), _language())),
    Refusal("numbers as labels of a plain module", lambda: per_sample_gradients(LINEAR, (X, X[:, 0])), "`loss_fn`",
        lambda: per_sample_gradients(LINEAR, (X, X[:, 0]), lambda m, b: (m(b[0])[:, 0] - b[1]) ** 2)),
    Refusal("a batch without labels", lambda: per_sample_gradients(LINEAR, {"input": X}), "a key `labels`, or `loss_fn`",
        lambda: per_sample_gradients(LINEAR, {"input": X, "labels": Y})),
    Refusal("one loss for the whole batch", lambda: per_sample_gradients(LINEAR, (X, Y), lambda m, b: m(b[0]).sum()), "one loss a sample",
        lambda: per_sample_gradients(LINEAR, (X, Y), lambda m, b: m(b[0]).sum(1))),
    Refusal("reentrant checkpointing", lambda: per_sample_gradients(_Again(), (X, Y)), "`use_reentrant=False`",
        lambda: per_sample_gradients(_Again(reentrant=False), (X, Y))),
    Refusal("an input that is overwritten", lambda: per_sample_gradients(_Overwrites(), (X, Y), layers=["head.weight"], check=False), "an operation that is not in place",
        lambda: per_sample_gradients(_Again(reentrant=False), (X, Y), layers=["head.weight"], check=False)),
    Refusal("a weight made for inference", _inference_weight, "build the model outside `torch.inference_mode`",
        lambda: per_sample_gradients(nn.Linear(5, 3), (X, Y), layers=["weight"])),
    Refusal("an adapter loaded frozen", lambda: _adapter(trainable=False), "`is_trainable=True`",
        lambda: _adapter(trainable=True)),
    Refusal("a model without a trainable weight", lambda: per_sample_gradients(nn.Linear(5, 3).requires_grad_(False), (X, Y)), "an adapter, or `layers=`",
        lambda: per_sample_gradients(nn.Linear(5, 3).requires_grad_(False), (X, Y), layers=["weight"])),
    Refusal("a layer that is not there", lambda: adapted_layers(LINEAR, ["head.weight"]), "a name of `named_parameters()`",
        lambda: adapted_layers(LINEAR, ["weight"])),
    Refusal("one weight under two names", lambda: adapted_layers(LINEAR, ["weight", "weight"]), "one of them",
        lambda: adapted_layers(LINEAR, ["weight"])),
    Refusal(
        "another first axis than the samples, unchecked",
        lambda: per_sample_gradients(
            nn.Sequential(nn.Flatten(0, 1), nn.Linear(1, 3)), (X, Y), lambda m, b: m(b[0][..., None]).view(8, 15).sum(1), check=False
        ),
        "leave the check on",
        lambda: per_sample_gradients(nn.Sequential(nn.Flatten(0, 1), nn.Linear(1, 3)), (X, Y), lambda m, b: m(b[0][..., None]).view(8, 15).sum(1))),
    Refusal("a plain DataLoader", lambda: LiveSource(LINEAR, DataLoader(TensorDataset(X, Y), 4)), "pairs of ids and batches",
        lambda: _twice(LiveSource(LINEAR, [([str(i) for i in range(k, k + 4)], batch) for k, batch in zip((0, 4), DataLoader(TensorDataset(X, Y), 4), strict=True)]))),
    Refusal("a loader that gives other samples at the next sweep", lambda: _twice(LiveSource(LINEAR, _Shuffled())), "`shuffle=False`",
        lambda: _twice(LiveSource(LINEAR, _batches(list(range(8)))))),
    Refusal("a loader whose ids stay while its samples move", lambda: _twice(LiveSource(LINEAR, _ShuffledBeneath())), "`shuffle=False`",
        lambda: _twice(LiveSource(LINEAR, _batches(list(range(8)))))),
    Refusal("a sample id twice", lambda: LiveSource(LINEAR, _batches([0, 1, 2, 1])), "distinct ids",
        lambda: LiveSource(LINEAR, _batches([0, 1, 2, 3]))),
    Refusal("a GFIM larger than the memory", _large_layer, "`layers=`, `gfim_axis='smaller'`, or `Attributor(scratch=)`"),
    Refusal("gradients that are not finite", lambda: influence_scores(_gradients(float("nan")), _gradients(1.0)), "a lower learning rate, or float32",
        lambda: influence_scores(_gradients(1.0), _gradients(1.0))),
    Refusal("target gradients that are not finite", lambda: influence_scores(_gradients(1.0), _gradients(float("inf"))), "the same",
        lambda: influence_scores(_gradients(1.0), _gradients(1.0))),
]  # fmt: skip


def _flipped() -> None:
    outputs = {"train.parquet": hashlib.sha256(b"as it was").hexdigest()}
    write_record(Path("data/info.json"), {"outputs": outputs})
    Path("data/train.parquet").write_bytes(b"as it is")
    read_record(Path("data/info.json"))


def _initialised() -> None:
    write_project(Path("paper"))
    write_project(Path("paper"))


def _shard() -> None:
    from hyperinf.pipeline.sharding.parts import _damaged

    raise _damaged(Path("sums-1-1.safetensors"))


def _fetched(cache: str) -> None:
    Path("taken").touch()
    fetch_asset("minilm", Path(cache))


def _planned(prepare: Callable[[Path], Any]) -> None:
    results = Path("results")
    results.mkdir()
    prepare(results)
    named = dict.fromkeys(("targets", "until", "omit_from", "forcerun", "allowed_rules"), ())
    workflow = SimpleNamespace(
        is_main_process=False, dryrun=False, executor_plugin=0, persistence=0, local_exec=False, rules=[], nodes=None,
        dag_settings=SimpleNamespace(**named), resource_settings=SimpleNamespace(cores=1),
    )  # fmt: skip
    jobs: Any = SimpleNamespace(results="results")
    RunHooks(workflow, jobs, Asking())._listen(logging.LogRecord("", 0, "", 0, "", None, None))


def _beside_another(results: Path) -> None:
    (results / ".lock").write_text('{"process": 7, "host": "node1", "user": "anna"}')
    _HELD.append(os.open(results / ".lock", os.O_RDWR))
    fcntl.flock(_HELD[-1], fcntl.LOCK_EX)


def _locked_out(results: Path) -> None:
    (results / ".lock").touch()
    real = os.open

    def closed(path: Any, flags: int, *mode: int, **more: Any) -> int:
        if Path(path).name == ".lock" and flags & os.O_RDWR:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, flags, *mode, **more)

    with mock.patch("os.open", closed), mock.patch("run_lock.user_name", return_value="anna"):
        acquire(results)


def _closed() -> None:
    with mock.patch("os.access", return_value=False):
        sys.exit(unwritable()[0].replace(f"{Path.cwd()}", "."))


def _told(lines: Iterable[str]) -> None:
    sys.exit("\n".join(lines))


@dataclass(eq=False)
class _Job:
    is_local: bool
    resources: dict[str, Any]
    threads: int
    rule: SimpleNamespace
    is_group: Callable[[], bool]


def _job(**resources: Any) -> _Job:
    return _Job(
        is_local=False, resources=resources, threads=2, rule=SimpleNamespace(name="score"), is_group=lambda: False
    )


def _workflow(job: _Job, *, local: bool = True, gpus: int = 1) -> SimpleNamespace:
    dag = SimpleNamespace(needrun_jobs=lambda: [job], get_job_group=lambda _: None)
    limits = {"gpu": SimpleNamespace(value=gpus)}
    return SimpleNamespace(dag=dag, local_exec=local, global_resources=limits)


def _device(name: str, there: int, *, local: bool = True, gpus: int = 1, processes: int = 1) -> None:
    with mock.patch("gpus.count_gpus", return_value=there):
        _told(unfit_devices(_workflow(_job(gpu=1), local=local, gpus=gpus), name, processes))


def _mistyped(**given: Sequence[str]) -> None:
    named = dict.fromkeys(("targets", "until", "omit_from", "forcerun", "allowed_rules"), ())
    rules = [SimpleNamespace(name="prepare", output=[]), SimpleNamespace(name="score", output=[])]
    _told(mistyped(SimpleNamespace(dag_settings=SimpleNamespace(**{**named, **given}), rules=rules)))


def _partitions() -> list[Any]:
    from snakemake_executor_plugin_slurm.partitions import Partition, PartitionLimits

    return [Partition("cpu", PartitionLimits(max_gpu=0)), Partition("gpu", PartitionLimits(max_gpu=1, max_mem_mb=5000))]


def _unknown_partition() -> None:
    with mock.patch("partitions._known_to_slurm", return_value={"cpu": {}, "a100": {}}):
        _told(unknown(_partitions(), Path("profiles/slurm/partitions.yaml")))


def _not_partitions() -> None:
    Path("partitions.yaml").write_text("partitions: {gpu: {max_mem: 5000}}\n")
    read_partitions(Path("partitions.yaml"))


def _experiment(overlay: str) -> ExperimentSettings:
    return checked_experiment(merged(default_experiment().plain(), yaml.safe_load(overlay)))


def _looked_at(overlay: str) -> None:
    Path("mine.csv").write_text("text,label\na,b\n")
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    Path("llama").mkdir()
    Path("llama/config.json").write_text(json.dumps({"model_type": "llama", "vocab_size": 60, **shape}))
    _told(objections(_experiment(overlay)))


def _several(device: str) -> None:
    with mock.patch("hyperinf.runtime.gpus.launched", return_value=True):
        take_for(device)


def _too_many() -> None:
    with mock.patch.dict(os.environ, {LOCKS: "locks", "CUDA_VISIBLE_DEVICES": "0,1"}):
        take(4)


_OWN = "{run: [STUDY], models: {own: {source: {path: llama}, target_modules: [TARGET]}}, studies: {STUDY: {models: [own]}}}"
_MINE = "{run: [mislabel], data: {mine: {source: {path: mine.csv}, text: txt, label: label}}, studies: {mislabel: {tasks: [mine]}}}"
RUNS = [
    Refusal("a target that is neither a rule nor a file", lambda: _mistyped(targets=["prepair"]), "a rule of `snakemake --list`, or a file"),
    Refusal("a rule after `--until` that is none", lambda: _mistyped(until=["scor"]), "the same"),
    Refusal("`device: cuda` without a GPU", lambda: _device("cuda", 0), "`device: auto`"),
    Refusal("a GPU by a number that there is not", lambda: _device("cuda:2", 2), "a lower number, or `device: cuda`"),
    Refusal("one GPU by its number for jobs on several", lambda: _device("cuda:1", 2, gpus=2), "`device: cuda`"),
    Refusal("a GPU by its number on a cluster", lambda: _device("cuda:1", 2, local=False), "`device: cuda`"),
    Refusal("more processes of a launcher than GPUs", lambda: _device("cuda", 2, processes=4), "a launcher of fewer processes"),
    Refusal("a GPU by its number beside a launcher", lambda: _experiment("{device: 'cuda:1', launcher: ddp.yaml}"), "`device: cuda`"),
    Refusal("the same of a command in several processes", lambda: _several("cuda:1"), "`--device cuda`"),
    Refusal("a job of more GPUs than there are", _too_many, "a launcher of fewer processes"),
    Refusal("a job that no partition has enough for", lambda: _told(unfit_jobs(_workflow(_job(mem_mb=6000, runtime=240, gpu=1)), _partitions())), "a partition that has it, or less of it: `set-resources`"),
    Refusal("an account called none", lambda: _told(unfit_jobs(_workflow(_job(gpu=0, slurm_account="none")), _partitions())), "no account"),
    Refusal("a partition that Slurm does not have", _unknown_partition, "one of those named"),
    Refusal("a file of partitions that is none", _not_partitions, "the names of limits in `profiles/slurm/partitions.yaml`"),
    Refusal("a model of another family", lambda: _experiment("{run: [llm], studies: {llm: {models: [minilm]}}}"), "one of the models that are named"),
    Refusal("layers that a known model has not", lambda: _experiment("{run: [llm], models: {smollm2_8: {target_modules: [query]}}}"), "some of those that it has"),
    Refusal("a projector of a language model", lambda: _experiment("{run: [llm], studies: {llm: {adapter: {trained: [lora_projector]}}}}"), "what a model of that family has"),
    Refusal("gradients of a projector of one without", lambda: _experiment("{run: [llm], studies: {llm: {scoring: {gradients_of: [projector]}}}}"), "the same"),
    Refusal("gradients of an adapter where there is none", lambda: _experiment("{run: [llm], studies: {llm: {adapter: {trained: [last_layer]}, scoring: {gradients_of: [lora]}}}}"), "`gradients_of: [trained]`"),
    Refusal("a model of one's own without what is trained", lambda: _looked_at(_OWN.replace("STUDY", "vlm").replace("TARGET", "q_proj")), "a model that has it, or another `trained`"),
    Refusal("layers that a model of one's own has not", lambda: _looked_at(_OWN.replace("STUDY", "llm").replace("TARGET", "query")), "some of those that it has"),
    Refusal("a column that is missing", lambda: _looked_at(_MINE), "a column of the file"),
]  # fmt: skip
_HELD: list[int] = []
PLACES = [
    Refusal("an output that a disk has damaged, or that was edited", _flipped, "remove what is named, and give the same command again"),
    Refusal("the same of a shard's sums", _shard, "the same"),
    Refusal("a cache that cannot be written, or is full", lambda: _fetched("taken"), "room, leave to write, or `--cache`"),
    Refusal("results that cannot be written, or a full disk", lambda: _planned(lambda here: (here / ".lock").mkdir()), "room, leave to write, or another `results`"),
    Refusal("results in which a colleague's run is at work", lambda: _planned(_beside_another), "wait, or another `results`"),
    Refusal("a colleague's lock, of a folder that was not shared", lambda: _planned(_locked_out), "remove it, or another `results`"),
    Refusal("a folder for `hyperinf init` that holds something", _initialised, "another folder, or an empty one"),
    Refusal("a project folder of a colleague", _closed, "a copy of one's own, or `chmod -R g+w .snakemake`"),
]  # fmt: skip


def rendered() -> str:
    """The page."""
    return "\n".join([HEAD, *_table(REFUSALS), RUNS_HEAD, *_table(RUNS), PLACES_HEAD, *_table(PLACES)])


def _table(refusals: list[Refusal]) -> list[str]:
    rows = [f"| {refusal.what} | `{line(refusal)}` | {refusal.instead} |" for refusal in refusals]
    return ["| | line | instead |", "| --- | --- | --- |", *rows, ""]


if __name__ == "__main__":
    print(rendered(), end="")
