"""Operations on paper against those that torch counts in a real forward and backward pass."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from hyperinf.settings.experiment import checked_experiment
from hyperinf.settings.methods import METHODS
from hyperinf.settings.scores import ScoreName
from hyperinf.settings.scoring import ScoringSettings

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def load(name):
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


load("llama_budget")
ops = load("grid_operations")
TOKENS = 24
LLAMA = ops.Model(layers=3, hidden=64, mlp=176, heads=4, key_value_heads=2, vocabulary=100)
LLAVA = replace(LLAMA, tower=ops.Tower(layers=2, hidden=32, mlp=64, positions=17, tokens=16))
ENCODER = ops.Model(layers=2, hidden=32, mlp=64, heads=2, vocabulary=50, kind="encoder", head=((32, 32), (2, 32)))


EAGER: dict[str, Any] = {"attn_implementation": "eager"}


def llama():
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = {"hidden_size": 64, "intermediate_size": 176, "num_hidden_layers": 3, "num_attention_heads": 4}
    return LlamaForCausalLM(LlamaConfig(**shape, **EAGER, num_key_value_heads=2, vocab_size=100))


def encoder():
    from transformers import RobertaConfig, RobertaForSequenceClassification

    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    return RobertaForSequenceClassification(RobertaConfig(**shape, **EAGER, vocab_size=50))


def counted(run):
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def test_a_forward_pass_of_a_llama_with_shared_keys_and_values_has_the_operations_that_torch_counts():
    model, ids = llama().eval(), torch.zeros(1, TOKENS, dtype=torch.long)
    with torch.no_grad():
        total = counted(lambda: model(ids, logits_to_keep=2))
    # Left out on paper: the rotations' table, an outer product.
    assert ops.forward(LLAMA, TOKENS, 2) == pytest.approx(total, rel=0.01)


def test_a_forward_pass_of_an_encoder_has_the_operations_that_torch_counts():
    model, ids = encoder().eval(), torch.full((1, TOKENS), 5)
    with torch.no_grad():
        total = counted(lambda: model(ids))
    assert ops.forward(ENCODER, TOKENS, 1) == pytest.approx(total, rel=0.01)


def test_a_tower_has_the_operations_of_its_layers():
    from transformers import CLIPVisionConfig, CLIPVisionModel

    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = CLIPVisionConfig(**shape, **EAGER, image_size=32, patch_size=8)
    model = CLIPVisionModel(config).eval()
    tower = ops.Tower(layers=2, hidden=32, mlp=64, positions=17, tokens=16)
    with torch.no_grad():
        total = counted(lambda: model(torch.zeros(1, 3, 32, 32)))
    patches = 2 * 16 * (3 * 8 * 8) * 32  # their embedding, a convolution, is not one of the layers
    assert tower.operations == pytest.approx(total - patches, rel=0.01)


@pytest.mark.parametrize("what", ["lora-4", "last_layer"])
def test_a_training_step_has_the_operations_that_torch_counts(what):
    from hyperinf.models.trainable import adapt
    from hyperinf.settings.training import Adaptation

    trained = what.partition("-")[0]
    model = adapt(llama(), Adaptation(trained=trained, rank=4, target_modules=("q_proj", "v_proj")), 0)
    ids = torch.zeros(1, TOKENS, dtype=torch.long)
    total = counted(lambda: model(input_ids=ids, logits_to_keep=2).logits.sum().backward())
    trained = ops.trained_part(LLAMA, what)
    # The adapter of a value projection with fewer heads is counted as a full one; the first layer's inputs need no
    # gradient below its first adapter, and those of a dense layer none below itself.
    assert ops.training_step(LLAMA, trained, TOKENS, 1) == pytest.approx(total, rel=0.12)


def test_scoring_counts_what_each_method_does():
    trained = ops.Trained(dense=((2, 8), (4, 16)))
    size, n = 2 * 8 + 4 * 16, 100

    def counted_for(name):
        return ops.scoring(trained, n, ScoringSettings(methods=(name,), lissa={"iterations": 3, "lanczos_steps": 2}))

    shared = 2 * n * size
    assert counted_for("tracin") == shared
    assert counted_for("datainf") == shared + 4 * n * size
    assert counted_for("lissa") == shared + 5 * 4 * n * size
    gfim = 2 * n * (2 * 8**2 + 4 * 16**2)
    assert counted_for("gfim") == shared + gfim + (8**3 + 16**3) / 3


def test_the_weights_of_a_setting_are_those_that_are_trained_or_a_part_of_them():
    both = ops.scored_part(LLAVA, "lora_projector-4")
    assert (len(both.adapters), both.dense) == (12, ((32, 64), (64, 64)))
    assert ops.scored_part(LLAVA, "lora_projector-4.of-lora").weights == both.adapters
    assert ops.scored_part(LLAVA, "lora_projector-4.of-projector").weights == both.dense
    assert ops.scored_part(LLAVA, "lora-4.of-last_layer") == ops.trained_part(LLAVA, "last_layer")


def test_every_study_has_its_jobs_counted_and_only_those_that_are_run():
    study = {"title": "A", "tasks": ["words"], "models": ["tiny"], "seeds": [1, 2], "family": "causal"}
    whole = {"data": {"words": {"source": "hub:a", "text": "t", "label": "l"}}, "models": {"tiny": {"source": "hub:b"}}}
    epochs = {"epochs": 3, "checkpoints": [1, 3]}
    selection = {"fractions": [0.2, 0.4], "training": {"max_steps": 7}}
    studies = {"a": {**study, "finetuning": epochs}, "b": {**study, "selection": selection}, "c": study}
    experiment = checked_experiment({**whole, "studies": studies, "run": ["a", "b"]})
    found = ops.stages(experiment, {"data": {"words": {"train": 500, "tokens": 10}}}, {"tiny": LLAMA})
    assert [(stage.study, stage.name, stage.jobs) for stage in found] == [
        *(("a", "finetune", 2), ("a", "score", 4)),
        *(("b", "finetune", 2), ("b", "score", 2), ("b", "select", 4), ("b", "select (all samples)", 2)),
    ]
    assert all(stage.operations > 0 for stage in found)
    step = ops.training_step(LLAMA, ops.trained_part(LLAMA, "lora-8"), 10, 0)
    judged = 2 * 600 * ops.forward(LLAMA, 10, 1)
    assert found[0].operations == 2 * (3 * 500 * step + judged)


def test_llama_2_7b_has_a_forward_pass_of_two_operations_a_weight_and_token():
    model = ops.Model()
    linear = 2 * model.layers * model.layer_weights * 100
    assert ops.forward(model, 100, 0) == linear + 32 * 4 * 100**2 * 4096
    assert ops.trained_part(model, "last_layer").size == 202_375_168


PLAIN = ("tracin",)


@pytest.mark.parametrize(
    "more",
    [
        *(name for name in METHODS if name not in PLAIN),
        *(f"{name}_self_influence" for name in METHODS),
    ],
)
def test_every_method_and_form_adds_to_the_operations_of_a_scoring(more):
    trained = ops.Trained(((8, 384), (8, 384)))
    method = ScoreName.of(more).method
    beside = dict.fromkeys((*PLAIN, *((method,) if more != method else ())))
    before, after = (ScoringSettings(methods=names) for names in (tuple(beside), (*beside, more)))
    assert ops.scoring(trained, 500, after, 30) > ops.scoring(trained, 500, before, 30)


@pytest.mark.parametrize(("more", "sweeps"), [("ekfac", 1), ("kfac", 1), ("lissa", 0), ("fim_cg", 0)])
def test_what_needs_factors_takes_gradients_from_the_model_once_more(more, sweeps):
    plain, with_more = (ScoringSettings(methods=names) for names in (PLAIN, (*PLAIN, more)))
    assert ops.extractions(with_more, live=False) - ops.extractions(plain, live=False) == sweeps
    assert ops.extractions(with_more, live=True) > ops.extractions(plain, live=True)


@pytest.mark.parametrize("name", ["less", "embedding", "perplexity"])
def test_a_baseline_that_asks_the_model_is_counted(name):
    trained, settings = ops.Trained(((8, 64),)), ScoringSettings(baselines=(name,))
    counted = ops.baselines(LLAMA, trained, 500, 100, TOKENS, settings)
    assert counted > ops.baselines(LLAMA, trained, 500, 100, TOKENS, ScoringSettings())
    assert (ops.extractions(settings, live=False) == 2) == (name == "less")
