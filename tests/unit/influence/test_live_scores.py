"""Scores from live gradients, which are never formed, against scores from the gradients themselves."""

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from hyperinf.gradients import Factors, LiveSource, TensorSource
from hyperinf.gradients.losses import causal_loss
from hyperinf.influence import METHODS, influence_scores, score_methods
from hyperinf.models.lora import LoraSettings, add_lora
from hyperinf.runtime.choice import forced

LENGTHS = (7, 4, 9, 5, 6, 8, 4, 3, 6, 5)
# The oracle fim takes all gradients of a layer at once, datainf_gfim each gradient's own r x r matrix, ekfac turns each
# into its basis, and GFIMs of low rank and of blocks multiply the rows of all that are in a block.
FORMING = {"fim", "datainf_gfim", "ekfac", "gfim_low_rank", "gfim_blocks"}


def model_and_layers(kind, dtype=torch.float64):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=30,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.3,
    )
    model = LlamaForCausalLM(config).to(dtype)
    if kind == "dense":
        return model, [
            name for name, _ in model.named_parameters() if name.startswith("model.layers.1.") and "proj" in name
        ]
    model = add_lora(model, LoraSettings(rank=2, target_modules=("q_proj", "v_proj")))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, 0.3)
    return model, None


def batches(first, count, size=3):
    generator = torch.Generator().manual_seed(first)
    result = []
    for start in range(first, first + count, size):
        lengths = [LENGTHS[index % 10] for index in range(start, min(start + size, first + count))]
        width = max(lengths)
        ids = torch.randint(1, 30, (len(lengths), width), generator=generator)
        mask = torch.arange(width) >= width - torch.tensor(lengths)[:, None]
        labels = torch.where(torch.arange(width) >= width - 2, ids, -100)
        inputs = {
            "input_ids": ids,
            "attention_mask": mask.long(),
            "position_ids": (mask.long().cumsum(1) - 1).clamp(min=0),
        }
        result.append(([f"{start + row}" for row in range(len(lengths))], {**inputs, "labels": labels}))
    return result


def sources(kind, dtype=torch.float64):
    model, layers = model_and_layers(kind, dtype)
    return tuple(LiveSource(model, batches(*part), causal_loss, layers) for part in ((0, 10), (20, 4)))


def test_a_table_tells_which_form_products_were_taken_from_and_either_gives_the_same_scores():
    train, target = sources("lora")
    table = score_methods(train, target, ["hyperinf", "datainf", "tracin"])
    forms = {stage: cost.forms for (_, stage), cost in table.costs.items()}
    # Four batches of eight layers, once for the statistics.
    assert {operation for operation, _ in forms["statistics"]} == {"gram", "squares"}
    assert sum(times for (what, _), times in forms["statistics"].items() if what == "gram") == 4 * len(train.layers)
    assert {operation for operation, _ in forms["scores"]} == {"dots"}
    held = score_methods(TensorSource.gather(train), TensorSource.gather(target), ["hyperinf", "tracin"])
    assert not any(cost.forms for cost in held.costs.values())
    for form in ("factors", "gradients"):
        with forced(form):
            other = score_methods(train, target, ["hyperinf", "datainf", "tracin"])
        assert {name for cost in other.costs.values() for _, name in cost.forms} == {form}
        for name, scores in table.influence.items():
            torch.testing.assert_close(other.influence[name], scores, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["lora", "dense"])
def test_every_method_s_live_scores_equal_those_of_gradients_in_memory(kind):
    train, target = sources(kind)
    live = score_methods(train, target, sorted(METHODS))
    held = score_methods(TensorSource.gather(train), TensorSource.gather(target), sorted(METHODS))
    assert live.sample_ids == held.sample_ids
    assert torch.allclose(live.grad_norm, held.grad_norm, rtol=1e-9)
    assert torch.allclose(live.losses, held.losses, rtol=1e-9)
    for method in METHODS:
        error = (live.influence[method] - held.influence[method]).norm() / held.influence[method].norm()
        # Schulz's iteration is in float32 and stops at 1e-3; one float64 step squares that. Conjugate gradients stop at
        # 1e-4 of the residual, and let rounding grow up to there.
        assert error < (1e-5 if method == "hyperinf" else 1e-3 if method.endswith("_cg") else 1e-9), method


@pytest.mark.parametrize("kind", ["lora", "dense"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 1e-3)])
def test_live_scores_in_low_precision_equal_those_of_the_float32_gradients_in_memory(kind, dtype, tolerance):
    train, target = sources(kind, dtype)
    methods = sorted(set(METHODS) - FORMING - {"gfim_cg", "fim_cg"})
    live = score_methods(train, target, methods)
    held = score_methods(TensorSource.gather(train), TensorSource.gather(target), methods)
    for method in methods:
        error = (live.influence[method] - held.influence[method]).norm() / held.influence[method].norm()
        assert error < tolerance, method


class Counted(LiveSource):
    """Knows which sweep it is in."""

    sweep = 0

    def __iter__(self):
        self.sweep += 1
        return super().__iter__()


@pytest.mark.parametrize("kind", ["lora", "dense"])
def test_scoring_forms_one_sample_s_gradient_at_a_time_at_most_and_none_for_the_scores(kind, monkeypatch):
    monkeypatch.setattr("hyperinf.gradients.contractions.SCRATCH", 1)
    model, layers = model_and_layers(kind)
    train, target = (Counted(model, batches(*part), causal_loss, layers) for part in ((0, 10), (20, 4)))
    formed = []
    dense = Factors.dense

    def noted(self):
        formed.append((train.sweep, len(self.left)))
        return dense(self)

    monkeypatch.setattr(Factors, "dense", noted)
    score_methods(train, target, ["tracin", "hyperinf", "gfim", "datainf", "lissa_gfim"])
    target_check, statistics, datainf, scores = 0, 1, 2, 3
    assert train.sweep == scores
    # Narrow layers of many positions are formed for their squares and their Gram matrix, where that is cheaper; and one
    # sample's gradients are formed to be compared with those that it has alone.
    assert set(formed) <= {(target_check, 1), (statistics, 1), (datainf, 1)}


def test_a_live_gradient_that_is_not_finite_is_named_with_its_sample():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    good = (torch.randn(3, 3), torch.tensor([0, 1, 1]))
    bad = (good[0].clone(), good[1])
    bad[0][1, 2] = float("nan")
    source, broken = (LiveSource(model, [(["a", "b", "c"], pair)]) for pair in (good, bad))
    with pytest.raises(ValueError, match=r"^gradients of layer '0.weight': got .*not finite \(sample 'b'\)"):
        influence_scores(broken, source)
    with pytest.raises(ValueError, match=r"^target gradients of layer '0.weight': got .*not finite \(sample 'b'\)"):
        influence_scores(source, broken)


def test_the_gfim_of_a_large_layer_does_not_lose_its_damping_to_rounding():
    """One direction outweighs the damping 10^7 times; in float32 the rest of the spectrum would be rounding."""
    torch.manual_seed(0)
    r, d = 720, 700
    direction = torch.randn(d) / d**0.5
    train, target = (
        {"w": torch.randn(n, r, 1) * direction + 1e-3 * torch.randn(n, r, 3) @ torch.randn(3, d)} for n in (6, 2)
    )
    expected = influence_scores({"w": train["w"].double()}, {"w": target["w"].double()}, method="gfim")
    for method in ("gfim", "hyperinf"):
        actual = influence_scores(train, target, method=method)
        assert torch.allclose(actual, expected, rtol=1e-6, atol=1e-6 * float(expected.abs().max()))
