"""Commands of data selection."""

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
from hyperinf.cli.harness import add_harness
from hyperinf.cli.parser import Add, add_command
from hyperinf.cli.select_data import add_select_data
from hyperinf.cli.shards import add_gather, add_shard_commands, sharded_scores

if TYPE_CHECKING:
    from hyperinf.gradients import LiveSource
    from hyperinf.pipeline.selection.model import RunPaths
    from hyperinf.pipeline.selection.run import SelectionKey
    from hyperinf.pipeline.sharding.parts import Shard

# What --train may be, and the parts that it opens to training.
TRAINED: dict[str, tuple[Any, ...]] = {
    "lora": ("lora",),
    "last_layer": ("last_layer",),
    "projector": ("projector",),
    "lora_projector": ("lora", "projector"),
}


def add_select(commands: Any) -> None:
    """``hyperinf select``."""
    add_select_data(commands)
    _select_align(commands)
    _select_warmup(commands)
    _select_score(commands)
    add_shard_commands(commands, _add_shard_inputs, _shard_gradients)
    _select_finetune(commands)
    add_harness(commands)


def _select_align(commands: Any) -> None:
    what = (
        "align a vision-language model on captions: its vision tower first, then the parts named; goes on after a kill"
    )
    add = add_command(commands, "align", what, _run_align)
    add("--data", type=Path, required=True, metavar="DIR", help="what 'select data' wrote: captions as answers")
    add("--model", required=True, metavar="SRC", help=SOURCE_HELP)
    add(
        "--tower-epochs",
        type=int,
        default=0,
        metavar="E",
        help="passes in which the tower learns to tell the answers apart",
    )
    add("--tower-learning-rate", type=float, default=1e-3, metavar="LR", help="peak rate of AdamW for those")
    add(
        "--parts",
        nargs="+",
        default=["projector"],
        choices=["projector", "language_model"],
        help="parts that are trained on the captions, all weights of them",
    )
    add_training(add, steps=250)
    add("--max-length", type=int, default=128, metavar="T", help="tokens of a sample with its picture")
    _add_too_long(add)
    add("--dtype", default="float32", choices=["float32", "bfloat16", "float64"], help="of all weights")
    add("--seed", type=whole_number, required=True, help="of the order of samples")
    add_device(add)
    add_cache(add)
    add("--state", type=Path, default=None, metavar="DIR", help=STATE_HELP)
    add("--out", type=out_folder, required=True, metavar="DIR", help="model folder to write")


def _select_warmup(commands: Any) -> None:
    add = add_command(commands, "warmup", "fine-tune on the whole pool for a while; goes on after a kill", _run_warmup)
    add("--data", type=Path, required=True, metavar="DIR", help="what 'select data' wrote")
    add("--model", required=True, metavar="SRC", help=SOURCE_HELP)
    _add_family(add)
    add("--train", default="lora", choices=list(TRAINED), help="an adapter, dense linear layers, or both")
    add_lora(add, ["q_proj", "v_proj"], rank=8)
    add_training(add, steps=40)
    add("--max-length", type=int, default=128, metavar="T", help="tokens of a sample; contexts are cut from their left")
    _add_too_long(add)
    add("--dtype", default="float32", choices=["float32", "bfloat16", "float64"], help="of all weights")
    add("--checkpointing", action="store_true", help="compute activations twice to save memory in training")
    add("--seed", type=whole_number, required=True, help="of the adapter and the order of samples")
    add_device(add)
    add_cache(add)
    add("--state", type=Path, default=None, metavar="DIR", help=STATE_HELP)
    add("--out", type=out_folder, required=True, metavar="DIR", help="folder to write")


def _select_score(commands: Any) -> None:
    add = add_command(commands, "score", "score every sample of the pool by its influence", _run_pool_score)
    _add_selection_inputs(add)
    _add_gradients_of(add)
    add_scoring(add, ["hyperinf", "datainf", "lissa", "tracin"])
    add(
        "--baselines",
        nargs="*",
        default=["loss", "grad_norm", "random"],
        metavar="NAME",
        help="cheap scores beside them",
    )
    add("--gradients", default="disk", choices=["disk", "memory", "live"], help="where gradients are between sweeps")
    add("--batch-size", type=count, default=16, metavar="B", help="of the extraction; no result depends on it")
    add_gather(add, "select")
    add_device(add)
    add_cache(add)
    add("--out", type=out_folder, required=True, metavar="DIR", help="folder to write")


def _add_shard_inputs(add: Add) -> None:
    add("--data", type=Path, required=True, metavar="DIR", help="what 'select data' wrote")
    add("--weights", type=Path, required=True, metavar="DIR", help="what 'select warmup' wrote")
    _add_gradients_of(add)
    add("--batch-size", type=count, default=16, metavar="B", help="of the extraction; the same for all steps of a run")
    add_device(add)
    add_cache(add)


def _select_finetune(commands: Any) -> None:
    what = "keep a share of the pool by every method, fine-tune a fresh adapter on it, evaluate; goes on after a kill"
    add = add_command(commands, "finetune", what, _run_kept)
    _add_selection_inputs(add)
    add("--scores", type=Path, default=None, metavar="FILE.parquet", help="what 'select score' wrote; not for 100 %%")
    add("--percent", type=int, required=True, metavar="P", help="share of the pool to keep; 100 for the references")
    add("--methods", nargs="+", default=["hyperinf"], metavar="METHOD", help="of the scores; random is always there")
    add("--strategies", nargs="+", default=["plain", "stratified"], metavar="NAME", help="plain; stratified by answer")
    add_training(add, steps=80)
    add_device(add)
    add_cache(add)
    add("--state", type=Path, default=None, metavar="DIR", help=STATE_HELP)
    add("--out", type=out_folder, required=True, metavar="DIR", help="folder to write")


def _add_selection_inputs(add: Add) -> None:
    add("--data", type=Path, required=True, metavar="DIR", help="what 'select data' wrote")
    add("--weights", type=Path, required=True, metavar="DIR", help="what 'select warmup' wrote")
    add("--task", required=True, metavar="NAME", help="name of the data in the tables")
    add("--model-name", required=True, metavar="NAME", help="name of the model in the tables")
    add(
        "--setting",
        default=None,
        metavar="NAME",
        help="what is trained and scored, in the tables; as trained without it",
    )
    add("--seed", type=whole_number, required=True, help="of all that is drawn, and in the tables")


def _add_gradients_of(add: Add) -> None:
    add(
        "--gradients-of",
        default="trained",
        choices=["trained", "lora", "last_layer", "projector"],
        help="weights whose gradients are taken: all that were trained, or those of a part, trained or not",
    )


def _add_too_long(add: Add) -> None:
    add(
        "--too-long",
        default="truncate",
        choices=["truncate", "skip", "refuse"],
        help="samples that do not fit even without their context: cut the prompt's left, leave them out, or stop",
    )


def _add_family(add: Add) -> None:
    add("--family", default="language", choices=["language", "vision"], help="kind of model")


def _run_align(parsed: argparse.Namespace) -> None:
    from hyperinf.pipeline.selection.align import AlignConfig, run_align

    config = AlignConfig(
        source=parsed.model,
        parts=tuple(parsed.parts),
        training=training_settings(parsed),
        tower_epochs=parsed.tower_epochs,
        tower_learning_rate=parsed.tower_learning_rate,
        max_length=parsed.max_length,
        dtype=parsed.dtype,
        too_long=parsed.too_long,
    )
    run_align(config, _places(parsed), state_folder(parsed), parsed.out)


def _run_warmup(parsed: argparse.Namespace) -> None:
    from hyperinf.pipeline.selection.model import ModelConfig
    from hyperinf.pipeline.selection.warmup import WarmupConfig, run_warmup

    model = ModelConfig(
        source=parsed.model,
        lora=lora_settings(parsed) if "lora" in TRAINED[parsed.train] else None,
        dense=tuple(part for part in TRAINED[parsed.train] if part != "lora"),
        seed=parsed.seed,
        family=parsed.family,
        max_length=parsed.max_length,
        dtype=parsed.dtype,
        too_long=parsed.too_long,
        checkpointing=parsed.checkpointing,
    )
    run_warmup(WarmupConfig(model, training_settings(parsed)), _places(parsed), state_folder(parsed), parsed.out)


def _run_pool_score(parsed: argparse.Namespace) -> None:
    from hyperinf.pipeline.selection.score import PoolScoreConfig, run_pool_scores

    config = PoolScoreConfig(_selection_key(parsed), scoring_options(parsed, parsed.baselines), parsed.gradients_of)
    run_pool_scores(
        config,
        _places(parsed),
        parsed.weights,
        parsed.out,
        parsed.gradients,
        parsed.batch_size,
        sharded_scores(parsed),
    )


def _shard_gradients(parsed: argparse.Namespace, shard: "Shard | None") -> tuple["LiveSource", dict[str, str], str]:
    from hyperinf.pipeline.selection.gradients import pool_gradients, validation_gradients

    places, of = _places(parsed), parsed.gradients_of
    if shard is None:
        source, origin = validation_gradients(places, parsed.weights, parsed.batch_size, of)
    else:
        source, origin = pool_gradients(shard, places, parsed.weights, parsed.batch_size, of)
    return source, origin, places.device


def _run_kept(parsed: argparse.Namespace) -> None:
    from hyperinf.pipeline.selection.finetune import KeepConfig, run_kept

    config = KeepConfig(
        key=_selection_key(parsed),
        percent=parsed.percent,
        training=training_settings(parsed),
        strategies=tuple(parsed.strategies),
        methods=tuple(parsed.methods),
    )
    run_kept(config, _places(parsed), parsed.weights, parsed.scores, state_folder(parsed), parsed.out)


def _selection_key(parsed: argparse.Namespace) -> "SelectionKey":
    from hyperinf.pipeline.selection.run import SelectionKey

    return SelectionKey(parsed.task, parsed.model_name, parsed.seed, parsed.setting)


def _places(parsed: argparse.Namespace) -> "RunPaths":
    from hyperinf.pipeline.selection.model import RunPaths
    from hyperinf.runtime.devices import resolve_device, set_threads

    set_threads(parsed.threads)
    return RunPaths(parsed.data, parsed.cache, tuple(parsed.wheel), resolve_device(parsed.device))
