"""Fine-tune a fresh adapter on the share of the pool that each method keeps, and evaluate it on the test set."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hyperinf.artifacts.environment import digest, fingerprint, hashed
from hyperinf.artifacts.files import discard, read_json, sha256_file, write_json, write_parquet, write_text
from hyperinf.artifacts.records import RECORD, read_record, write_record
from hyperinf.data.parquet import read_frame
from hyperinf.data.questions import Question, read_questions
from hyperinf.errors import InputError
from hyperinf.models.trainable import load_trained, restore, trained_weights
from hyperinf.pipeline.selection.family import Evaluation, ModelFamily, Samples
from hyperinf.pipeline.selection.model import RunPaths, open_family, open_model
from hyperinf.pipeline.selection.run import METRIC_COLUMNS, SelectionKey, named, read_warmup, stable
from hyperinf.pipeline.selection_strategies import STRATEGIES, keep_least_harmful, keep_random
from hyperinf.runtime.process import wait_for_all
from hyperinf.training.loop import TrainingSettings, finetune


@dataclass(frozen=True)
class KeepConfig:
    """Inputs of the fine-tunings on one share of the pool.

    Attributes:
        key: what the run is called in the tables.
        percent: share of the pool to keep, 1 to 100; at 100 there is one training, on all of it, and the references
            (the model as it came, after the warm-up, the most frequent answer) are evaluated as well.
        training: how to fine-tune.
        strategies: ``plain`` keeps the least harmful of all samples, ``stratified`` of each answer.
        methods: of the scores; random selection is always there.
    """

    key: SelectionKey
    percent: int
    training: TrainingSettings
    strategies: tuple[str, ...] = STRATEGIES
    methods: tuple[str, ...] = ("hyperinf",)

    def __post_init__(self) -> None:
        if not 1 <= self.percent <= 100:
            raise InputError(f"percent: expected 1 to 100, got {self.percent}")
        for strategy in self.strategies:
            if strategy not in STRATEGIES:
                raise InputError(f"strategies: expected some of {', '.join(STRATEGIES)}, got {strategy!r}")


@dataclass(frozen=True)
class Selection:
    """The samples that one method keeps by one strategy: ascending indices into the pool."""

    method: str
    strategy: str
    indices: tuple[int, ...]


def run_kept(
    config: KeepConfig,
    places: RunPaths,
    warmup: Path,
    scores: Path | None,
    state: Path,
    out: Path,
    evaluation_batch: int = 32,
) -> None:
    """Write ``metrics.csv``, ``selection.parquet`` and ``info.json``; goes on after a kill.

    Selections of the same samples are trained on once.

    Args:
        config: see :class:`KeepConfig`.
        places: see :class:`RunPaths`.
        warmup: folder that ``run_warmup`` wrote: the model, and the warmed-up reference.
        scores: the file ``scores.parquet``; may be None at 100 %.
        state: folder for what is needed to go on after a kill; removed at the end.
        out: folder to write into.
        evaluation_batch: sequences in a batch of the evaluation.

    Raises:
        InputError: inputs that cannot be used or do not belong together; a pool too small for the share.
    """
    import pandas as pd

    model_config, trained = read_warmup(warmup, places)
    skipped = set(trained.get("skipped", ()))
    pool = tuple(question for question in read_questions(places.data, "pool") if question.sample_id not in skipped)
    selections = choose(config, pool, scores)
    _check_scores(scores, warmup, trained)
    family = open_family(model_config, places)
    test = family.fitting(read_questions(places.data, "test"))
    encoded = family.encode(pool)
    bench = _Bench(
        encoded,
        family,
        family.evaluation(test, evaluation_batch),
        open_model(model_config, family, places),
        config.training,
        state,
        digest([stable(config), trained["settings"], trained["data_sha256"]]),
    )
    rows: list[dict[str, Any]] = []
    if config.percent == 100:
        references = {"base": bench.evaluation(bench.model), "majority": family.majority(test)}
        load_trained(bench.model, warmup)
        references["warmup"] = bench.evaluation(bench.model)
        bench.reset()
        rows += [
            {"method": name, "fraction": 0.0, "metric": metric, "value": value}
            for name, found in references.items()
            for metric, value in found.items()
        ]
    for selection in selections:
        found = {**bench.trained_on(selection.indices), **_described(selection, pool)}
        shown = {"method": selection.method, "strategy": selection.strategy, "fraction": config.percent / 100}
        rows += [{**shown, "metric": metric, "value": value} for metric, value in found.items()]
    key = named(config.key, model_config)
    frame = pd.DataFrame([{**key, **row} for row in rows], columns=METRIC_COLUMNS)
    write_text(out / "metrics.csv", frame.to_csv(index=False))
    write_parquet(out / "selection.parquet", _listed(selections, pool))
    more = {
        "data_sha256": trained["data_sha256"],
        "model": trained["settings"]["model"],
        "truncated": {"pool": encoded.truncated, "test": family.encode(test).truncated},
        "inputs": {
            **hashed(places.data, "*.parquet"),
            **hashed(warmup, "*.safetensors"),
            **({} if scores is None else {scores.name: sha256_file(scores)}),
        },
        "outputs": hashed(out, "metrics.csv", "selection.parquet"),
    }
    write_record(out / RECORD, fingerprint(stable(config), places.device, **more))
    discard(state)


def choose(config: KeepConfig, pool: Sequence[Question], scores: Path | None) -> list[Selection]:
    """What every method keeps by every strategy; at 100 % the one selection of all.

    Raises:
        InputError: a method without scores, scores of another pool, or a pool too small for the share.
    """
    if config.percent == 100:
        return [Selection("full", "plain", tuple(range(len(pool))))]
    if scores is None:
        raise InputError(f"scores: none given; expected scores of the pool, as {config.percent} % of it is kept")
    table = read_frame(scores, ["sample_id"])
    if list(table["sample_id"]) != [question.sample_id for question in pool]:
        raise InputError(f"{scores}: holds scores of other samples than the pool")
    fraction = config.percent / 100
    selections = []
    for strategy in config.strategies:
        strata = [question.answer for question in pool] if strategy == "stratified" else None
        for method in config.methods:
            if f"influence_{method}" not in table:
                raise InputError(f"{scores}: no scores by {method!r}")
            influence = table[f"influence_{method}"].to_numpy(dtype=np.float64)
            selections.append(Selection(method, strategy, _indices(keep_least_harmful(influence, fraction, strata))))
        drawn = keep_random(len(pool), fraction, config.key.seed, strata)
        selections.append(Selection("random", strategy, _indices(drawn)))
    return selections


def _check_scores(scores: Path | None, warmup: Path, trained: dict[str, Any]) -> None:
    """Scores with a record beside them must be whole and of the same warm-up; without one they are the user's own."""
    record = None if scores is None else scores.with_name(RECORD)
    if record is not None and record.is_file() and read_record(record).get("model") != trained["settings"]["model"]:
        raise InputError(f"{scores}: was scored with another model or setting than that of {warmup}")


@dataclass
class _Bench:
    """One model that is trained again and again from the same start; results are kept until the job is done."""

    pool: Samples
    family: ModelFamily
    evaluation: Evaluation
    model: Any
    training: TrainingSettings
    state: Path
    identity: str

    def __post_init__(self) -> None:
        self.start = trained_weights(self.model)

    def reset(self) -> None:
        """Back to the fresh adapter."""
        restore(self.model, self.start)

    def trained_on(self, indices: tuple[int, ...]) -> dict[str, float]:
        """Metrics after a fresh fine-tuning on the samples, or of an earlier one on the same samples."""
        name = digest([self.identity, indices])
        done = self.state / f"{name}.json"
        if _finished(done) is None:
            self.reset()
            samples = self.pool.subset(indices)
            resume = self.state / f"{name}.safetensors"
            finetune(self.model, samples, self.training, resume, name, loss_fn=self.family.loss)
            found = {**self.evaluation(self.model), "steps": float(self.training.total_steps(len(indices)))}
            write_json(done, {"metrics": found, "sha256": digest(found)})
            wait_for_all()  # all must see that it is done
            resume.unlink(missing_ok=True)
        return _finished(done) or {}


def _finished(done: Path) -> dict[str, float] | None:
    """What an earlier fine-tuning came to; None if there is none, or its file was damaged since."""
    try:
        record = read_json(done)
    except InputError:
        return None
    whole = isinstance(record, dict) and record.get("sha256") == digest(record.get("metrics"))
    metrics: dict[str, float] | None = record["metrics"] if whole else None
    return metrics


def _described(selection: Selection, pool: Sequence[Question]) -> dict[str, float]:
    kept = [pool[index] for index in selection.indices]
    described = {
        "kept": float(len(kept)),
        "largest_answer_share": Counter(question.answer for question in kept).most_common(1)[0][1] / len(kept),
    }
    if any(question.corruption for question in pool):
        described["clean_share"] = sum(not question.corruption for question in kept) / len(kept)
    return described


def _listed(selections: Sequence[Selection], pool: Sequence[Question]) -> dict[str, list[str]]:
    rows = [(selection, pool[index]) for selection in selections for index in selection.indices]
    return {
        "method": [selection.method for selection, _ in rows],
        "strategy": [selection.strategy for selection, _ in rows],
        "sample_id": [question.sample_id for _, question in rows],
        "answer": [question.answer for _, question in rows],
    }


def _indices(array: Any) -> tuple[int, ...]:
    return tuple(int(index) for index in array)
