"""Baselines that are taken of a run, against loops over its samples."""

import math
import re
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from stage_runs import scored

from hyperinf.errors import InputError
from hyperinf.gradients.losses import default_loss
from hyperinf.pipeline.baselines import Scene
from hyperinf.pipeline.opened import Finetuned
from hyperinf.settings.checking import SettingsError, checked
from hyperinf.settings.methods import BASELINES
from hyperinf.settings.stages import Score
from hyperinf.settings.study import StudySettings

OWN = tuple(name for name, spec in BASELINES.items() if spec.implementation)


@pytest.fixture(scope="module")
def kept(run_of, tmp_path_factory):
    """A run whose fine-tuning has kept AdamW's moments, and its scores by all baselines, by family."""
    made = {}

    def of(family):
        if family not in made:
            run, folder = run_of(family), tmp_path_factory.mktemp(family)
            finetuned = run.finetune(folder / "finetuned", keep_moments=True)
            names = {"methods": ("tracin",), "baselines": tuple(BASELINES)}
            scores = scored(folder / "scores", run.data, finetuned, **names)
            made[family] = finetuned, pd.read_parquet(scores / "scores.parquet"), scores
        return made[family]

    return of


def scene_of(run, finetuned, size=7):
    settings = Score(data=str(run.data), finetuned=str(finetuned), out="-", seed=1)
    opened = Finetuned.opened(finetuned, run.data, settings, "cpu")
    return Scene(opened, opened.checkpoints[-1], "trained", size)


def one_by_one(scene, split):
    encoded = scene.opened.encoded(split)
    return [encoded.collate([row]) for row in range(len(encoded.ids))]


def test_every_baseline_has_a_column_in_the_order_of_the_settings_and_a_cost(run, kept):
    _, frame, scores = kept(run.family)
    assert [name for name in frame if name.startswith("baseline_")] == [f"baseline_{name}" for name in BASELINES]
    assert np.isfinite(frame[[f"baseline_{name}" for name in BASELINES]].to_numpy()).all()
    cost = pd.read_csv(scores / "cost.csv")
    assert set(cost.loc[cost["stage"] == "baseline", "method"]) == set(OWN)


def test_a_fine_tuning_that_keeps_moments_has_the_weights_of_one_that_does_not(run, kept):
    finetuned, _, _ = kept(run.family)
    for name in run.checkpoints:
        for file in (run.finetuned / name).glob("*.safetensors"):
            assert file.read_bytes() == (finetuned / name / file.name).read_bytes()
        assert (finetuned / name / "moments.safetensors").is_file()
    assert not list(run.finetuned.rglob("moments.safetensors"))


def test_less_is_the_largest_cosine_of_adam_s_next_update_and_a_target_gradient(run, kept):
    finetuned, frame, _ = kept(run.family)
    scene = scene_of(run, finetuned)
    model, loss = scene.model, scene.opened.family.loss or default_loss
    moments = load_file(finetuned / run.checkpoints[-1] / "moments.safetensors")
    weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad and weight.ndim > 1}

    def gradient(batch):
        model.eval()
        found = torch.autograd.grad(loss(model, batch).sum(), list(weights.values()), allow_unused=True)
        pairs = zip(weights, found, strict=True)
        return {name: torch.zeros_like(weights[name]) if g is None else g for name, g in pairs}

    def stepped(g):
        """What AdamW of torch makes of the weights, from its own state."""
        flat = []
        for name, weight in weights.items():
            copy = torch.nn.Parameter(weight.detach().double().clone())
            adam = torch.optim.AdamW([copy], lr=1.0, weight_decay=0.0)
            adam.state[copy] = {
                "step": moments[f"step/{name}"].clone(),
                "exp_avg": moments[f"exp_avg/{name}"].double(),
                "exp_avg_sq": moments[f"exp_avg_sq/{name}"].double(),
            }
            copy.grad = g[name].double()
            adam.step()
            flat.append((weight.detach().double() - copy.detach()).flatten())
        return torch.cat(flat)

    queries = torch.stack(
        [torch.cat([g.double().flatten() for g in gradient(b).values()]) for b in one_by_one(scene, "validation")]
    )
    rows = list(range(0, len(frame), 7))
    for row in rows:
        update = stepped(gradient(one_by_one(scene, "train")[row]))
        expected = -torch.nn.functional.cosine_similarity(queries, update[None]).max()
        assert frame["baseline_less"][row] == pytest.approx(float(expected), abs=1e-5)


def test_less_needs_the_moments_and_says_how_to_keep_them(run, tmp_path):
    with pytest.raises(InputError, match=r"moments\.safetensors: got no moments .*keep_moments"):
        run.score(tmp_path / "out", baselines=("less",))


def test_bm25_equals_a_loop_over_words(run, kept):
    _, frame, _ = kept(run.family)
    scene = scene_of(run, run.finetuned)

    def words(split):
        texts = (f"{each.context} {each.question} {each.answer}" for each in scene.opened.samples(split))
        return [re.findall(r"\w+", text.lower()) for text in texts]

    train, queries = words("train"), words("validation")
    n, mean = len(train), float(np.mean([len(each) for each in train]))
    among = Counter(word for each in train for word in set(each))
    for row in range(0, n, 5):
        counts, total = Counter(train[row]), 0.0
        for query in queries:
            for word in query:
                f = counts[word]
                idf = math.log(1 + (n - among[word] + 0.5) / (among[word] + 0.5))
                total += idf * f * 2.5 / (f + 1.5 * (0.25 + 0.75 * len(train[row]) / mean))
        assert frame["baseline_bm25"][row] == pytest.approx(-total / len(queries))


def test_embedding_is_the_mean_cosine_of_mean_hidden_states(run, kept):
    finetuned, frame, _ = kept(run.family)
    scene = scene_of(run, finetuned)

    def state(batch):
        inputs = {name: value for name, value in batch.items() if name != "labels"}
        with torch.no_grad():
            return scene.model.eval()(**inputs, output_hidden_states=True).hidden_states[-1][0].mean(dim=0)

    train, target = (
        torch.stack([state(batch) for batch in one_by_one(scene, split)]) for split in ("train", "validation")
    )
    expected = -torch.nn.functional.cosine_similarity(train[:, None], target[None], dim=2).mean(dim=1)
    np.testing.assert_allclose(frame["baseline_embedding"], expected, atol=1e-5)


def test_perplexity_is_that_of_the_model_before_and_length_counts_tokens(run, kept):
    finetuned, frame, _ = kept(run.family)
    scene = scene_of(run, finetuned)
    opened = scene.opened
    model, loss = (
        opened.family.adapted(opened.settings, opened.settings.seed).eval(),
        opened.family.loss or default_loss,
    )
    batches = one_by_one(scene, "train")
    with torch.no_grad():
        expected = [float(loss(model, batch).exp()) for batch in batches]
    np.testing.assert_allclose(frame["baseline_perplexity"], expected, rtol=1e-4)
    lengths = [-int(batch["attention_mask"].sum()) for batch in batches]
    assert frame["baseline_length"].tolist() == lengths


STUDY = {"title": "t", "family": "causal", "tasks": ["a"], "models": ["b"]}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"scoring": {"baselines": ["less"]}}, ("finetuning", "keep_moments")),
        ({"scoring": {"baselines": ["loss"]}, "selection": {"baselines": ["bm25"]}}, ("selection", "baselines", 0)),
        ({"scoring": {"baselines": []}, "selection": {"baselines": ["loss"]}}, ("selection", "baselines", 0)),
        ({"selection": {"baselines": ["loss", "random"]}}, ("selection", "baselines", 1)),
        ({"selection": {"baselines": ["loss", "loss"]}}, ("selection", "baselines")),
        ({"scoring": {"baselines": ["perplexities"]}}, ("scoring", "baselines", 0)),
    ],
)
def test_baselines_that_cannot_be_are_refused_before_a_run(change, place):
    with pytest.raises(SettingsError) as caught:
        checked(StudySettings, {**STUDY, **change})
    assert place in [mistake.place for mistake in caught.value.mistakes]


def test_what_a_refusal_says_makes_the_study_valid():
    checked(
        StudySettings,
        {**STUDY, "scoring": {"baselines": ["less"]}, "finetuning": {"max_steps": 3, "keep_moments": True}},
    )
    checked(StudySettings, {**STUDY, "scoring": {"baselines": ["bm25"]}, "selection": {"baselines": ["bm25"]}})
