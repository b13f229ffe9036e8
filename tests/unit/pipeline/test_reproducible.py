"""The same seed on one machine: the same bytes with one number of threads, nearly the same numbers with another."""

import json

import numpy as np
import pytest
import torch
from stage_runs import detected, finetuned, influence, prepared, same_files, scored, selected

METHODS = ("hyperinf", "datainf", "lissa", "tracin")
HOW = {"max_steps": 10, "batch_size": 8, "learning_rate": 2e-3}
# Of the largest score, after ten steps of training: what the README promises across numbers of threads.
TOLERANCE = 1e-3


@pytest.fixture(scope="module")
def runs(tiny_llama, tmp_path_factory):
    """Folders of two runs with one thread, and of one with two, from the data to the training on what is kept."""
    folder = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(0)
    letters = ["ab"[i] for i in rng.integers(0, 2, 80)]
    rows = [
        {"question": f"{i}: {letter * 40}?", "choices": ["a", "b"], "answer": letter}
        for i, letter in enumerate(letters)
    ]
    (folder / "letters.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    before = torch.get_num_threads()
    try:
        for name, threads in (("one", 1), ("again", 1), ("two", 2)):
            whole_run(folder / "letters.jsonl", tiny_llama, folder / name, threads)
    finally:
        torch.set_num_threads(before)
    return folder


def whole_run(source, model, out, threads):
    task = {"format": "record", "template": "question", "train": 48, "validation": 12, "test": 20, "label_noise": 0.2}
    data = prepared(out / "data", source, **task)
    run = finetuned(out / "finetuned", data, model, "causal", rank=4, threads=threads, **HOW)
    scores = scored(out / "scores", data, run, methods=METHODS, threads=threads)
    detected(out / "detection", run, scores)
    kept = {"fraction": 0.5, "strategies": ("plain",), "methods": METHODS}
    selected(out / "kept", data, run, scores, threads=threads, **kept, **HOW)


def test_one_number_of_threads_gives_the_same_bytes(runs):
    stages = {path.name for path in (runs / "one").iterdir() if path.is_dir()}
    assert stages == {"data", "finetuned", "scores", "detection", "kept"}
    for stage in stages:
        same_files(runs / "one" / stage, runs / "again" / stage, but=("settings.yaml", "cost.csv"))


def test_another_number_of_threads_gives_scores_within_the_stated_tolerance(runs):
    for method in METHODS:
        expected, found = (influence(runs / name / "scores", method) for name in ("one", "two"))
        assert np.abs(expected - found).max() <= TOLERANCE * np.abs(expected).max(), method
