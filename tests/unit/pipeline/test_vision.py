"""The stages on a vision-language model, and its alignment: the same code as for language models."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from stage_runs import ON_CPU, detected, finetuned, in_shards, questions, same_files, scored, selected, table

import hyperinf.pipeline.align as align_module
from hyperinf.artifacts.files import read_json
from hyperinf.data.samples import read_samples
from hyperinf.errors import InputError
from hyperinf.models.families import Task, open_family
from hyperinf.settings.stages import Align
from hyperinf.settings.training import EncodingSettings

HOW = {"max_steps": 30, "batch_size": 8, "learning_rate": 2e-3}
COLOURS = {"red": (220, 20, 20), "blue": (20, 20, 220)}
METHODS = ("hyperinf", "tracin")
SIZES = {"train": 50, "validation": 16, "test": 24}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Which colour has the picture? 40 % of the training answers are wrong."""
    folder = tmp_path_factory.mktemp("colours")
    rng = np.random.default_rng(0)
    rows = []
    for index in range(90):
        name = ("red", "blue")[rng.integers(2)]
        colour = np.clip(np.array(COLOURS[name]) + rng.integers(-20, 20, 3), 0, 255)
        Image.new("RGB", (64, 64), tuple(int(part) for part in colour)).save(folder / f"{index}.png")
        row = {"id": f"q{index}", "question": "what color?", "choices": ["red", "blue"], "answer": name}
        rows.append({**row, "image": f"{index}.png", "kind": ("warm", "cold")[index % 2]})
    return questions(folder / "prepared", rows, template="vqa_short", **SIZES, label_noise=0.4)


def align(data, model, out):
    how = {"parts": ("projector", "language_model"), "tower_epochs": 3, "seed": 1}
    align_module.align(Align(**how, **HOW, **ON_CPU, data=str(data), model=f"path:{model}", out=str(out)))
    return out


@pytest.fixture(scope="module")
def run(data, tiny_llava, tmp_path_factory):
    """An aligned model, what was fine-tuned of it, and its scores."""
    folder = tmp_path_factory.mktemp("run")
    align(data, tiny_llava, folder / "aligned")
    finetuned(folder / "finetuned", data, folder / "aligned", "vision", trained="lora_projector", **HOW)
    scored(folder / "scores", data, folder / "finetuned", methods=METHODS)
    return folder


def test_pictures_that_a_family_would_not_look_at_are_refused_and_another_family_looks(
    data, tiny_llama, tiny_bert, tiny_llava, tmp_path
):
    for family, model in (("causal", tiny_llama), ("classifier", tiny_bert)):
        with pytest.raises(InputError, match=rf"{data}: .* family {family}.* family vision"):
            finetuned(tmp_path / family, data, model, family, max_steps=1)
    finetuned(tmp_path / "vision", data, tiny_llava, "vision", max_steps=1)


def test_alignment_teaches_the_model_to_write_what_the_pictures_show(run):
    losses = table(run / "aligned", "training.csv").groupby("stage")["loss"]
    assert set(losses.groups) == {"tower", "captions"}
    assert losses.last()["captions"] < losses.first()["captions"]
    note = read_json(run / "aligned" / "prepared.json")["note"]
    assert note.startswith("llava_tiny with random weights aligned on path:")


def test_an_alignment_that_was_killed_ends_in_the_same_bytes(data, tiny_llava, run, tmp_path, monkeypatch):
    original = align_module.train

    def dying(model, samples, settings, *arguments, **options):
        if settings.epochs is None:
            raise KeyboardInterrupt
        return original(model, samples, settings, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(align_module, "train", dying)
        with pytest.raises(KeyboardInterrupt):
            align(data, tiny_llava, tmp_path / "aligned")
    assert not (tmp_path / "aligned").exists()
    same_files(align(data, tiny_llava, tmp_path / "aligned"), run / "aligned")


@pytest.mark.parametrize("of", ["trained", "projector", "last_layer"])
def test_scores_do_not_depend_on_the_batch_whatever_gradients_are_taken(data, run, tmp_path, of):
    name = "lora_projector-2" if of == "trained" else f"lora_projector-2.of-{of}"
    folders = [
        scored(
            tmp_path / str(size),
            data,
            run / "finetuned",
            methods=METHODS,
            gradient_batch_size=size,
            gradients_of=of,
            setting=name,
        )
        for size in (16, 3)
    ]
    one, other = (pd.read_parquet(folder / "scores.parquet") for folder in folders)
    train = read_samples(data, "train")
    for shown in ("question", "image", "kind"):
        assert list(one[shown]) == [getattr(each, shown) for each in train]
    for column in (f"influence_{method}" for method in METHODS):
        scale = one[column].abs().max()
        np.testing.assert_allclose(other[column] / scale, one[column] / scale, atol=5e-5)
    assert set(table(folders[0], "cost.csv")["setting"]) == {name}


def test_wrong_answers_about_pictures_are_detected(run, tmp_path):
    metrics = table(detected(tmp_path / "out", run / "finetuned", run / "scores"))
    assert set(metrics["family"]) == {"vision"}
    assert metrics.query("method == 'hyperinf' and metric == 'roc_auc'")["value"].item() > 0.6


def test_accuracy_is_told_for_every_kind_of_question_with_the_majority_beside_it(data, run, tmp_path):
    how = {**HOW, "strategies": ("stratified",), "methods": ("hyperinf",)}
    kept, full = (
        table(selected(tmp_path / str(fraction), data, run / "finetuned", run / "scores", fraction=fraction, **how))
        for fraction in (0.5, 1)
    )
    assert {"accuracy", "accuracy_warm", "accuracy_cold"} <= set(full["metric"])
    answers = [each.true_answer for each in read_samples(data, "test")]
    majority = full.query("method == 'majority' and metric == 'accuracy'")["value"].item()
    assert majority == pytest.approx(max(map(answers.count, COLOURS)) / len(answers))
    assert set(kept["method"]) == {"hyperinf", "random"}


def test_a_question_that_speaks_of_a_picture_token_is_refused_by_name(data, tiny_llava):
    sample = read_samples(data, "train")[0]
    family = open_family("vision", str(tiny_llava), Task(data, {sample.source: "vqa_short"}), EncodingSettings())
    with pytest.raises(InputError, match=rf"sample '{sample.sample_id}': <image> stands in its prompt 2 times"):
        family.encode([replace(sample, question="<image>?")])


def test_samples_with_and_without_a_picture_are_scored_apart(tiny_llava, tmp_path):
    rows = []
    for index in range(24):
        Image.new("RGB", (64, 64), (10 * index, 0, 0)).save(tmp_path / f"{index}.png")
        row = {"id": f"q{index}", "question": f"is it {index}?", "answer": ("yes", "no")[index % 2]}
        rows.append({**row, "image": f"{index}.png"} if index % 3 else row)
    data = questions(tmp_path / "data", rows, template="vqa_short", train=12, validation=6, test=6)
    how = {"max_steps": 3, "batch_size": 4, "learning_rate": 1e-3}
    model = finetuned(tmp_path / "finetuned", data, tiny_llava, "vision", trained="lora_projector", **how)
    one, many = (
        pd.read_parquet(
            scored(tmp_path / str(size), data, model, methods=METHODS, gradient_batch_size=size) / "scores.parquet"
        )["influence_hyperinf"]
        for size in (1, 5)
    )
    np.testing.assert_allclose(many / one.abs().max(), one / one.abs().max(), atol=5e-5)
    with pytest.raises(InputError, match="^gradients_of: got projector for [0-9]+ .*without a picture"):
        scored(tmp_path / "projector", data, model, gradients_of="projector")


@pytest.mark.parametrize("of", ["trained", "projector"])
def test_shards_of_samples_with_pictures_score_as_one_process_does(data, run, tmp_path, of):
    how = {"methods": METHODS, "gradient_batch_size": 8, "gradients_of": of}
    files = in_shards(tmp_path / "shards", data, run / "finetuned", 3, **how)
    expected, found = (
        pd.read_parquet(scored(tmp_path / name, data, run / "finetuned", **how, **more) / "scores.parquet")
        for name, more in (("whole", {"store": "live"}), ("sharded", files))
    )
    for column in (f"influence_{method}" for method in METHODS):
        error = np.linalg.norm(found[column] - expected[column]) / np.linalg.norm(expected[column])
        assert error < 1e-9, column
    other = {"trained": "projector", "projector": "trained"}[of]
    with pytest.raises(InputError, match="products of another part of the model"):
        scored(tmp_path / "other", data, run / "finetuned", **{**how, "gradients_of": other}, **files)


def test_the_settings_of_an_alignment_do_it_again(run, tmp_path):
    from hyperinf.cli import main

    assert main(["align", "--config", str(run / "aligned" / "settings.yaml"), "--out", str(tmp_path / "again")]) == 0
    same_files(run / "aligned", tmp_path / "again")
    record = json.loads((tmp_path / "again" / "info.json").read_text())
    assert 0 <= record["caption_accuracy"] <= 1
