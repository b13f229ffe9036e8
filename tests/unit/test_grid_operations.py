"""Operations on paper against those that torch counts in a real forward and backward pass."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

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
ENCODER = ops.Model(layers=2, hidden=32, mlp=64, heads=2, vocabulary=50, kind="encoder", head=((32, 32), (2, 32)))


def llama():
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = {"hidden_size": 64, "intermediate_size": 176, "num_hidden_layers": 3, "num_attention_heads": 4}
    return LlamaForCausalLM(LlamaConfig(**shape, num_key_value_heads=2, vocab_size=100, attn_implementation="eager"))


def encoder():
    from transformers import RobertaConfig, RobertaForSequenceClassification

    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    return RobertaForSequenceClassification(RobertaConfig(**shape, vocab_size=50, attn_implementation="eager"))


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
    config = CLIPVisionConfig(**shape, image_size=32, patch_size=8, attn_implementation="eager")
    model = CLIPVisionModel(config).eval()
    tower = ops.Tower(layers=2, hidden=32, mlp=64, positions=17, tokens=16)
    with torch.no_grad():
        total = counted(lambda: model(torch.zeros(1, 3, 32, 32)))
    patches = 2 * 16 * (3 * 8 * 8) * 32  # their embedding, a convolution, is not one of the layers
    assert tower.operations == pytest.approx(total - patches, rel=0.01)


@pytest.mark.parametrize("what", ["lora-4", "last_layer"])
def test_a_training_step_has_the_operations_that_torch_counts(what):
    from hyperinf.models.lora import LoraSettings
    from hyperinf.models.trainable import adapt

    lora = LoraSettings(rank=4, targets=("q_proj", "v_proj")) if what != "last_layer" else None
    model = adapt(llama(), lora, 0, () if lora else ("last_layer",))
    ids = torch.zeros(1, TOKENS, dtype=torch.long)
    total = counted(lambda: model(input_ids=ids, logits_to_keep=2).logits.sum().backward())
    trained = ops.trained_part(LLAMA, what)
    # The adapter of a value projection with fewer heads is counted as a full one; the first layer's inputs need no
    # gradient below its first adapter, and those of a dense layer none below itself.
    assert ops.training_step(LLAMA, trained, TOKENS, 1) == pytest.approx(total, rel=0.12)


def test_scoring_counts_what_each_method_does():
    trained = ops.Trained(dense=((2, 8), (4, 16)))
    settings = {"solver": "cholesky", "lissa_iterations": 3}
    size, n = 2 * 8 + 4 * 16, 100
    shared = 2 * n * size
    assert ops.scoring(trained, n, {**settings, "methods": ["tracin"]}) == shared
    assert ops.scoring(trained, n, {**settings, "methods": ["datainf"]}) == shared + 4 * n * size
    assert ops.scoring(trained, n, {**settings, "methods": ["lissa"]}) == shared + 8 * 4 * n * size
    gfim = 2 * n * (2 * 8**2 + 4 * 16**2)
    assert ops.scoring(trained, n, {**settings, "methods": ["gfim"]}) == shared + gfim + (8**3 + 16**3) / 3


def test_llama_2_7b_has_a_forward_pass_of_two_operations_a_weight_and_token():
    model = ops.Model()
    linear = 2 * model.layers * model.layer_weights * 100
    assert ops.forward(model, 100, 0) == linear + 32 * 4 * 100**2 * 4096
    assert ops.trained_part(model, "last_layer").size == 202_375_168


def test_sweeps_of_lissa_are_those_of_the_library():
    from hyperinf.settings import methods

    assert ops.LISSA_PRODUCTS == methods.LANCZOS_STEPS
