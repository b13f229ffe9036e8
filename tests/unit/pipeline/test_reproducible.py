"""The same seed on one machine: the same bytes with one number of threads, nearly the same numbers with another."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from hyperinf.data.questions import QuestionTaskConfig, prepare_questions
from hyperinf.data.sources import parse_source
from hyperinf.models.lora import LoraSettings
from hyperinf.pipeline.scoring import ScoringOptions
from hyperinf.pipeline.selection.finetune import KeepConfig, run_kept
from hyperinf.pipeline.selection.model import ModelConfig, RunPaths
from hyperinf.pipeline.selection.run import SelectionKey
from hyperinf.pipeline.selection.score import PoolScoreConfig, run_pool_scores
from hyperinf.pipeline.selection.warmup import WarmupConfig, run_warmup
from hyperinf.training.loop import TrainingSettings

KEY = SelectionKey("letters", "tiny", 1)
METHODS = ("hyperinf", "datainf", "lissa", "tracin")
TRAINING = TrainingSettings(steps=10, batch_size=8, learning_rate=2e-3, seed=1)
# Of the largest score, after ten steps of training: what the README promises across numbers of threads.
TOLERANCE = 1e-3


@pytest.fixture(scope="module")
def runs(tiny_llama, tmp_path_factory):
    """Folders of two runs with one thread, and of one with two, from the data to the fine-tuning on what is kept."""
    folder = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(0)
    letters = ["ab"[i] for i in rng.integers(0, 2, 80)]
    rows = [
        {"question": f"{i}: {letter * 40}?", "choices": ["a", "b"], "answer": letter}
        for i, letter in enumerate(letters)
    ]
    source = folder / "letters.jsonl"
    source.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    before = torch.get_num_threads()
    try:
        for name, threads in (("one", 1), ("again", 1), ("two", 2)):
            torch.set_num_threads(threads)
            whole_run(source, tiny_llama, folder / name)
    finally:
        torch.set_num_threads(before)
    return folder


def whole_run(source, model, out):
    task = QuestionTaskConfig(parse_source(f"path:{source}"), "record", 48, 12, 20, seed=1, template="question")
    prepare_questions(task, out / "data")
    places = RunPaths(out / "data")
    config = ModelConfig(f"path:{model}", LoraSettings(rank=4, targets=("q_proj", "v_proj")), 1)
    run_warmup(WarmupConfig(config, TRAINING), places, out / "state", out / "warmup")
    run_pool_scores(PoolScoreConfig(KEY, ScoringOptions(methods=METHODS)), places, out / "warmup", out / "scores")
    keep = KeepConfig(KEY, 50, TRAINING, ("plain",), METHODS)
    run_kept(keep, places, out / "warmup", out / "scores" / "scores.parquet", out / "state", out / "kept")


def test_one_number_of_threads_gives_the_same_bytes(runs):
    files = sorted(path.relative_to(runs / "one") for path in (runs / "one").rglob("*") if path.is_file())
    measured = {"cost.csv"}
    compared = [file for file in files if file.name not in measured]
    assert len(compared) > 10
    for file in compared:
        assert (runs / "one" / file).read_bytes() == (runs / "again" / file).read_bytes(), file


def test_another_number_of_threads_gives_scores_within_the_stated_tolerance(runs):
    one, two = (pd.read_parquet(runs / name / "scores" / "scores.parquet") for name in ("one", "two"))
    for method in METHODS:
        expected, found = one[f"influence_{method}"], two[f"influence_{method}"]
        assert (expected - found).abs().max() <= TOLERANCE * expected.abs().max(), method
