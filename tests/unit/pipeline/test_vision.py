"""The selection stages on a vision-language model: the same code as for language models."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from test_sharding import sharded

from hyperinf.artifacts.files import read_json
from hyperinf.data.questions import QuestionTaskConfig, prepare_questions, read_questions
from hyperinf.data.sources import parse_source
from hyperinf.errors import InputError
from hyperinf.models.causal import prepare_causal
from hyperinf.models.lora import LoraSettings
from hyperinf.pipeline.scoring import ScoringOptions
from hyperinf.pipeline.selection.align import AlignConfig, run_align
from hyperinf.pipeline.selection.finetune import KeepConfig, run_kept
from hyperinf.pipeline.selection.gradients import pool_gradients, validation_gradients
from hyperinf.pipeline.selection.model import ModelConfig, RunPaths, open_family
from hyperinf.pipeline.selection.run import SelectionKey
from hyperinf.pipeline.selection.score import PoolScoreConfig, run_pool_scores
from hyperinf.pipeline.selection.warmup import WarmupConfig, run_warmup
from hyperinf.pipeline.sharding.parts import Shard
from hyperinf.training.loop import TrainingSettings

TRAINING = TrainingSettings(steps=30, batch_size=8, learning_rate=2e-3, seed=1)
COLOURS = {"red": (220, 20, 20), "blue": (20, 20, 220)}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "llava"
    prepare_causal(parse_source("shape:llava_tiny"), folder, folder.parent)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Which colour has the picture? 40 % of the pool's answers are wrong."""
    folder = tmp_path_factory.mktemp("colours")
    rng = np.random.default_rng(0)
    rows = []
    for index in range(90):
        name = ("red", "blue")[rng.integers(2)]
        colour = np.clip(np.array(COLOURS[name]) + rng.integers(-20, 20, 3), 0, 255)
        Image.new("RGB", (64, 64), tuple(int(part) for part in colour)).save(folder / f"{index}.png")
        rows.append(
            {
                "id": f"q{index}",
                "question": "what color?",
                "choices": ["red", "blue"],
                "answer": name,
                "image": f"{index}.png",
                "kind": ("warm", "cold")[index % 2],
            }
        )
    (folder / "colours.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    prepare_questions(
        QuestionTaskConfig(
            source=parse_source(f"path:{folder / 'colours.jsonl'}"),
            format="record",
            template="vqa_short",
            pool=50,
            validation=16,
            test=24,
            seed=1,
            wrong_answers=0.4,
        ),
        folder / "prepared",
    )
    return folder / "prepared"


def align(data, model, out, **change):
    config = AlignConfig(f"path:{model}", ("projector", "language_model"), TRAINING, **{"tower_epochs": 3, **change})
    run_align(config, RunPaths(data), out.with_name(out.name + ".state"), out)
    return out


@pytest.fixture(scope="module")
def run(data, model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    align(data, model, folder / "aligned")
    lora = LoraSettings(rank=2, targets=("q_proj", "v_proj"))
    config = ModelConfig(f"path:{folder / 'aligned'}", lora, 1, ("projector",), family="vision")
    run_warmup(WarmupConfig(config, TRAINING), RunPaths(data), folder / "state", folder / "warmup")
    return folder


def score(data, run, out, of="trained", **change):
    key = SelectionKey("colours", "tiny", 1, None if of == "trained" else f"lora_projector-2.of-{of}")
    config = PoolScoreConfig(key, ScoringOptions(methods=("hyperinf", "tracin")), of)
    run_pool_scores(config, RunPaths(data), run / "warmup", out, **change)
    return pd.read_parquet(out / "scores.parquet")


def test_alignment_teaches_the_model_to_write_what_the_pictures_show(run):
    losses = pd.read_csv(run / "aligned" / "training.csv").groupby("stage")["loss"]
    assert set(losses.groups) == {"tower", "captions"}
    assert losses.last()["captions"] < losses.first()["captions"]
    note = read_json(run / "aligned" / "prepared.json")["note"]
    assert note.startswith("llava_tiny with random weights aligned on path:")


def test_an_alignment_that_was_killed_ends_in_the_same_bytes(data, model, run, tmp_path, monkeypatch):
    import hyperinf.pipeline.selection.align as module

    original = module.finetune

    def dying(model, samples, settings, *arguments, **options):
        if settings.epochs is None:
            raise KeyboardInterrupt
        return original(model, samples, settings, *arguments, **options)

    monkeypatch.setattr(module, "finetune", dying)
    with pytest.raises(KeyboardInterrupt):
        align(data, model, tmp_path / "aligned")
    assert not (tmp_path / "aligned").exists()
    monkeypatch.setattr(module, "finetune", original)
    align(data, model, tmp_path / "aligned")
    for path in sorted((run / "aligned").iterdir()):
        assert (tmp_path / "aligned" / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize("of", ["trained", "projector", "last_layer"])
def test_scores_do_not_depend_on_the_batch_whatever_gradients_are_taken(data, run, tmp_path, of):
    one, other = (score(data, run, tmp_path / str(size), of, batch_size=size) for size in (16, 3))
    assert list(one["image"]) == [question.image for question in read_questions(data, "pool")]
    for column in ("influence_hyperinf", "influence_tracin"):
        scale = one[column].abs().max()
        np.testing.assert_allclose(other[column] / scale, one[column] / scale, atol=5e-5)
    setting = "lora_projector-2" if of == "trained" else f"lora_projector-2.of-{of}"
    assert set(pd.read_csv(tmp_path / "16" / "cost.csv")["setting"]) == {setting}


def test_accuracy_is_told_for_every_kind_of_question_with_the_majority_beside_it(data, run, tmp_path):
    score(data, run, tmp_path / "scores")
    for percent in (50, 100):
        config = KeepConfig(SelectionKey("colours", "tiny", 1), percent, TRAINING, ("stratified",), ("hyperinf",))
        scores = tmp_path / "scores" / "scores.parquet"
        run_kept(config, RunPaths(data), run / "warmup", scores, tmp_path / "state", tmp_path / str(percent))
    metrics = pd.read_csv(tmp_path / "100" / "metrics.csv")
    assert {"accuracy", "accuracy_warm", "accuracy_cold"} <= set(metrics["metric"])
    test = read_questions(data, "test")
    answers = [question.true_answer for question in test]
    majority = metrics.query("method == 'majority' and metric == 'accuracy'")["value"].item()
    assert majority == pytest.approx(max(map(answers.count, COLOURS)) / len(answers))
    assert set(pd.read_csv(tmp_path / "50" / "metrics.csv")["method"]) == {"hyperinf", "random"}


def test_a_question_that_speaks_of_a_picture_token_is_refused_by_name(data, model):
    family = open_family(ModelConfig(f"path:{model}", None, 1, ("projector",), family="vision"), RunPaths(data))
    question = read_questions(data, "pool")[0]
    spoiled = replace(question, question="<image>?")
    with pytest.raises(InputError, match=rf"sample '{question.sample_id}': <image> stands in its prompt 2 times"):
        family.encode([spoiled])


def test_samples_with_and_without_a_picture_are_scored_apart(model, tmp_path):
    rows = []
    for index in range(24):
        Image.new("RGB", (64, 64), (10 * index, 0, 0)).save(tmp_path / f"{index}.png")
        row = {"id": f"q{index}", "question": f"is it {index}?", "answer": ("yes", "no")[index % 2]}
        rows.append({**row, "image": f"{index}.png"} if index % 3 else row)
    (tmp_path / "mixed.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    task = QuestionTaskConfig(
        parse_source(f"path:{tmp_path / 'mixed.jsonl'}"), "record", 12, 6, 6, seed=1, template="vqa_short"
    )
    prepare_questions(task, tmp_path / "prepared")
    places = RunPaths(tmp_path / "prepared")
    lora = LoraSettings(rank=2, targets=("q_proj", "v_proj"))
    config = ModelConfig(f"path:{model}", lora, 1, ("projector",), family="vision")
    settings = TrainingSettings(steps=3, batch_size=4, learning_rate=1e-3, seed=1)
    run_warmup(WarmupConfig(config, settings), places, tmp_path / "state", tmp_path / "warmup")
    one = score(tmp_path / "prepared", tmp_path, tmp_path / "one", batch_size=1)
    many = score(tmp_path / "prepared", tmp_path, tmp_path / "many", batch_size=5)
    scale = one["influence_hyperinf"].abs().max()
    np.testing.assert_allclose(many["influence_hyperinf"] / scale, one["influence_hyperinf"] / scale, atol=5e-5)
    with pytest.raises(InputError, match="gradients of: projector has none for the [0-9]+ samples of the pool"):
        score(tmp_path / "prepared", tmp_path, tmp_path / "projector", of="projector")


@pytest.mark.parametrize("of", ["trained", "projector"])
def test_shards_of_a_pool_of_pictures_score_as_one_process_does(data, run, tmp_path, of):
    warmup, options = run / "warmup", ScoringOptions(methods=("hyperinf", "tracin"))
    target, _ = validation_gradients(RunPaths(data), warmup, 8, of)
    opened = [pool_gradients(Shard(index, 3), RunPaths(data), warmup, 8, of) for index in (1, 2, 3)]
    files = sharded(tmp_path, target, lambda shard: opened[shard.index - 1][0], 3, options, opened[0][1])
    score(data, run, tmp_path / "sharded", of, shards=files)
    score(data, run, tmp_path / "whole", of, keeping="live", batch_size=8)
    expected, found = (pd.read_parquet(tmp_path / name / "scores.parquet") for name in ("whole", "sharded"))
    for column in ("influence_hyperinf", "influence_tracin"):
        error = np.linalg.norm(found[column] - expected[column]) / np.linalg.norm(expected[column])
        assert error < 1e-9, column
    other = {"trained": "projector", "projector": "trained"}[of]
    with pytest.raises(InputError, match="products: products of another part of the model; expected a part of this"):
        score(data, run, tmp_path / "other", other, shards=files)
