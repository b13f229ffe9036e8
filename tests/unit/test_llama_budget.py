"""The budget on paper against what the library's own extraction keeps, and against closed forms."""

import importlib.util
import sys
from pathlib import Path

import pytest

PATH = Path(__file__).parents[2] / "benchmarks" / "llama_budget.py"
spec = importlib.util.spec_from_file_location("llama_budget", PATH)
llama_budget = importlib.util.module_from_spec(spec)
sys.modules["llama_budget"] = llama_budget
spec.loader.exec_module(llama_budget)

SMALL = llama_budget.Shape(layers=3, hidden=64, mlp=176, vocabulary=100, heads=4)


def test_llama_2_7b_has_the_parameters_that_are_published():
    assert llama_budget.Shape().parameters == 6_738_415_616


def test_lora_and_the_last_layer_score_as_many_weights_as_they_have():
    shape = llama_budget.Shape()
    assert llama_budget.scored_weights(shape, llama_budget.Setting(8)) == 4_194_304
    assert llama_budget.scored_weights(shape, llama_budget.Setting(0)) == shape.layer_weights == 202_375_168


@pytest.mark.parametrize("rank", [0, 4])
def test_bytes_on_paper_are_those_that_a_run_of_shapes_counts(rank):
    setting = llama_budget.Setting(rank)
    counted = llama_budget.counted(SMALL, setting, tokens=40)
    assert counted["parameters"] == SMALL.parameters
    assert counted["factor_bytes"] == llama_budget.factor_bytes(SMALL, setting, 40)
    # The logits of two positions and the attention mask are left out on paper.
    left_out = counted["activation_bytes"] - llama_budget.activation_bytes(SMALL, setting, 40)
    assert 0 <= left_out <= 0.1 * counted["activation_bytes"]


def test_a_training_step_holds_what_is_counted_by_hand():
    shape = llama_budget.Shape(layers=1, hidden=8, mlp=16, vocabulary=10, heads=2)
    work = llama_budget.Workload(tokens=3, answer=1, training_batch=2)
    adapter = llama_budget.Setting(1)
    # Layer input 3 * 8 * 2; logits of two positions, 2 * 10 * (2 + 4 + 4); four adapter rows of 8, thrice in float32.
    activations = llama_budget.activation_bytes(shape, adapter, 3)
    assert llama_budget.training_bytes(shape, adapter, work) == 2 * (48 + activations + 200) + 3 * 4 * 32
    # Forward 2 W t, backward 2 W t, forward again 2 W t with W = 4 * 64 + 3 * 128; attention 4 t^2 d one, two and one
    # times; logits twice over two positions; gradients of the adapter.
    linear, attention, logits = 3 * 2 * 640 * 3, 4 * 4 * 9 * 8, 2 * 2 * 10 * 8 * 2
    assert llama_budget.training_operations(shape, adapter, work) == linear + attention + logits + 2 * 3 * 32


@pytest.mark.parametrize("rank", [0, 8])
def test_the_peak_does_not_grow_with_the_pool_and_operations_do_in_proportion(rank):
    shape, setting = llama_budget.Shape(), llama_budget.Setting(rank)
    small, large = (
        llama_budget.budget(shape, setting, llama_budget.Workload(pool=n), "cholesky", 80e9) for n in (100, 100_000)
    )
    assert small["peak_bytes"] == large["peak_bytes"]
    assert large["fits"]
    for one, other in zip(small["stages"], large["stages"], strict=True):
        if not one["stage"].startswith(("inverses", "training")):
            assert other["operations"] == 1000 * one["operations"]
    assert not llama_budget.budget(shape, setting, llama_budget.Workload(), "schulz", 20e9)["fits"]
