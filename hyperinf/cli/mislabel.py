"""Commands of mislabel detection."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperinf.cli.arguments import (
    SOURCE_HELP,
    STATE_HELP,
    add_cache,
    add_device,
    add_lora,
    add_scoring,
    add_training,
    count,
    lora_settings,
    out_folder,
    scoring_options,
    state_folder,
    training_settings,
    whole_number,
)
from hyperinf.cli.parser import Add, add_command
from hyperinf.cli.shards import add_gather, add_shard_commands, sharded_scores

if TYPE_CHECKING:
    from hyperinf.gradients import LiveSource
    from hyperinf.pipeline.sharding.parts import Shard


def add_mislabel(commands: Any) -> None:
    """``hyperinf mislabel``."""
    add = add_command(commands, "data", "split a text data set and flip some training labels", _run_data)
    add("--source", required=True, metavar="SRC", help=SOURCE_HELP)
    add("--subset", default=None, metavar="NAME", help="configuration of a hub data set, such as cola")
    add("--revision", default=None, metavar="REV", help="branch, tag or commit of a hub data set")
    for split in ("train", "validation", "test"):
        add(f"--split-{split}", default=None, metavar="NAME", help=f"split of the source that {split} is drawn from")
        size = {"train": 1000, "validation": 300, "test": 1000}[split]
        add(f"--{split}", type=int, default=size, metavar="N", help=f"{split} samples, at most")
    add("--text", required=True, metavar="COLUMN", help="column of the text")
    add("--pair", default=None, metavar="COLUMN", help="column of the second text, for pairs")
    add("--label", required=True, metavar="COLUMN", help="column of the class")
    add("--id", default=None, metavar="COLUMN", help="column of sample ids; the row's place in the source without it")
    add("--noise-rate", type=float, default=0.2, metavar="F", help="share of the training labels to flip; 0 for none")
    add("--seed", type=whole_number, required=True, help="of all that is drawn")
    add_cache(add)
    add("--out", type=out_folder, required=True, metavar="DIR", help="folder to write")

    add = add_command(commands, "finetune", "fine-tune a LoRA classifier; goes on after a kill", _run_finetune)
    add("--data", type=Path, required=True, metavar="DIR", help="what 'mislabel data' wrote")
    add("--model", required=True, metavar="SRC", help=SOURCE_HELP)
    add_lora(add, ["query", "value"], rank=16)
    add(
        "--epochs",
        type=int,
        nargs="+",
        default=[3],
        metavar="E",
        help="keep the adapter after these; train to the last",
    )
    add_training(add)
    add("--max-length", type=int, default=128, metavar="T", help="tokens of a sample, at most")
    add("--dtype", default="float32", choices=["float32", "bfloat16", "float64"], help="of all weights")
    add("--seed", type=whole_number, required=True, help="of all that is drawn")
    add_device(add)
    add_cache(add)
    add("--state", type=Path, default=None, metavar="DIR", help=STATE_HELP)
    add("--out", type=out_folder, required=True, metavar="DIR", help="folder to write")

    add = add_command(commands, "score", "score every training sample by influence, at every kept epoch", _run_score)
    add("--data", type=Path, required=True, metavar="DIR", help="what 'mislabel data' wrote")
    add("--adapter", type=Path, required=True, metavar="DIR", help="what 'mislabel finetune' wrote")
    add("--task", required=True, metavar="NAME", help="name of the data in the tables")
    add("--model-name", required=True, metavar="NAME", help="name of the model in the tables")
    add("--seed", type=whole_number, required=True, help="of the random baseline, and in the tables")
    add_scoring(add, ["hyperinf", "gfim", "datainf", "lissa", "tracin", "fim"])
    add(
        "--baselines",
        nargs="*",
        default=["loss", "grad_norm", "random"],
        metavar="NAME",
        help="cheap scores beside them",
    )
    add("--gradients", default="disk", choices=["disk", "memory", "live"], help="where gradients are between sweeps")
    add("--batch-size", type=count, default=32, metavar="B", help="of the extraction; no result depends on it")
    add_gather(add, "mislabel")
    add_device(add)
    add_cache(add)
    add("--out", type=out_folder, required=True, metavar="DIR", help="folder to write")

    add_shard_commands(commands, _add_shard_inputs, _shard_gradients)


def _run_data(parsed: argparse.Namespace) -> None:
    from hyperinf.data.sources import parse_source
    from hyperinf.data.text import TextTaskConfig, prepare_text_task

    config = TextTaskConfig(
        source=parse_source(parsed.source),
        subset=parsed.subset,
        revision=parsed.revision,
        split_train=parsed.split_train,
        split_validation=parsed.split_validation,
        split_test=parsed.split_test,
        text=parsed.text,
        pair=parsed.pair,
        label=parsed.label,
        id_column=parsed.id,
        train=parsed.train,
        validation=parsed.validation,
        test=parsed.test,
        noise_rate=parsed.noise_rate,
        seed=parsed.seed,
        cache=parsed.cache,
        wheels=tuple(parsed.wheel),
    )
    prepare_text_task(config, parsed.out)


def _run_finetune(parsed: argparse.Namespace) -> None:
    from hyperinf.pipeline.finetune import FinetuneConfig, run_finetune

    config = FinetuneConfig(
        data=parsed.data,
        model=parsed.model,
        lora=lora_settings(parsed),
        training=training_settings(parsed, epochs=max(parsed.epochs)),
        keep=tuple(parsed.epochs),
        max_length=parsed.max_length,
        dtype=parsed.dtype,
        cache=parsed.cache,
        wheels=tuple(parsed.wheel),
    )
    run_finetune(config, state_folder(parsed), parsed.out, parsed.device, parsed.threads)


def _run_score(parsed: argparse.Namespace) -> None:
    from hyperinf.pipeline.mislabel import ScoreConfig, run_scores

    config = ScoreConfig(
        data=parsed.data,
        adapter=parsed.adapter,
        task=parsed.task,
        model=parsed.model_name,
        seed=parsed.seed,
        scoring=scoring_options(parsed, parsed.baselines),
        cache=parsed.cache,
        wheels=tuple(parsed.wheel),
    )
    run_scores(
        config, parsed.out, parsed.device, parsed.threads, parsed.gradients, parsed.batch_size, sharded_scores(parsed)
    )


def _add_shard_inputs(add: Add) -> None:
    add("--data", type=Path, required=True, metavar="DIR", help="what 'mislabel data' wrote")
    add("--adapter", type=Path, required=True, metavar="DIR", help="what 'mislabel finetune' wrote")
    add("--epoch", type=int, required=True, metavar="E", help="the kept adapter whose gradients are taken")
    add("--batch-size", type=int, default=32, metavar="B", help="of the extraction; the same for all steps of a run")
    add_device(add)
    add_cache(add)


def _shard_gradients(parsed: argparse.Namespace, shard: "Shard | None") -> tuple["LiveSource", dict[str, str], str]:
    from hyperinf.pipeline.checkpoints import Checkpoints
    from hyperinf.runtime.devices import resolve_device, set_threads

    set_threads(parsed.threads)
    device = resolve_device(parsed.device)
    opened = Checkpoints.opened(parsed.data, parsed.adapter, parsed.cache, tuple(parsed.wheel), device)
    model, origin = opened.model(parsed.epoch), opened.origin(parsed.epoch)
    if shard is None:
        return opened.gradients(model, "validation", parsed.batch_size), origin, device
    source = opened.gradients(model, "train", parsed.batch_size, shard)
    return source, {**origin, "batch size": str(parsed.batch_size)}, device
