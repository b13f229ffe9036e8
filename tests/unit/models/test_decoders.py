"""Decoders of every layout: where their layers are, which weights of the last are opened, which models are none."""

import pytest
import torch
from tiny_models import write_tiny
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM
from transformers.pytorch_utils import Conv1D

from hyperinf.errors import InputError
from hyperinf.models.causal import decoder_layers, load_causal
from hyperinf.models.llava import load_llava
from hyperinf.models.lora import is_linear
from hyperinf.models.trainable import adapt, gradient_layers, load_trained, save_trained, trained_weights
from hyperinf.pipeline.prepare_model import prepare_model
from hyperinf.settings.stages import PrepareModel
from hyperinf.settings.training import Adaptation

LAST_LAYER = Adaptation(trained="last_layer")
LAYOUTS = {
    "bloom": "transformer.h.1.",
    "falcon": "transformer.h.1.",
    "gpt2": "transformer.h.1.",
    "gpt_neo": "transformer.h.1.",
    "gptj": "transformer.h.1.",
    "gpt_neox": "gpt_neox.layers.1.",
    "llama": "model.layers.1.",
    "mistral": "model.layers.1.",
    "mixtral": "model.layers.1.",
    "mpt": "transformer.blocks.1.",
    "opt": "model.decoder.layers.1.",
    "phi": "model.layers.1.",
    "qwen2": "model.layers.1.",
    "xlnet": "transformer.layer.1.",
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = {}

    def folder(kind):
        if kind not in made:
            made[kind] = write_tiny(tmp_path_factory.mktemp("tiny") / kind, kind, AutoModelForCausalLM)
        return str(made[kind])

    return folder


@pytest.mark.parametrize("kind", LAYOUTS)
def test_the_last_layer_is_found_whatever_it_is_called_behind_an_adapter_or_not(folders, kind):
    model = load_causal(folders(kind))
    last = decoder_layers(model)[-1]
    assert {name for name, _ in model.named_parameters() if name.startswith(LAYOUTS[kind])} == {
        LAYOUTS[kind] + name for name, _ in last.named_parameters()
    }
    linear = {f"{LAYOUTS[kind]}{name}.weight" for name, module in last.named_modules() if is_linear(module)}
    target = sorted(name for name, module in last.named_modules() if is_linear(module))[0].rpartition(".")[2]
    assert set(trained_weights(adapt(model, LAST_LAYER, 0))) == linear
    adapted = adapt(load_causal(folders(kind)), Adaptation(rank=2, target_modules=(target,)), 0)
    names = gradient_layers(adapted, "last_layer")
    assert {name.removeprefix("base_model.model.").replace(".base_layer", "") for name in names} == linear


def test_gpt_2_s_transposed_weights_are_opened_saved_and_loaded(folders, tmp_path):
    model = adapt(load_causal(folders("gpt2")), LAST_LAYER, 0)
    assert any(isinstance(module, Conv1D) and module.weight.requires_grad for module in model.modules())
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += 1
    wanted = trained_weights(model)
    assert len(wanted) == 4
    save_trained(model, "path:x", tmp_path)
    other = adapt(load_causal(folders("gpt2")), LAST_LAYER, 0)
    load_trained(other, tmp_path)
    assert all(torch.equal(weight, wanted[name]) for name, weight in trained_weights(other).items())


@pytest.mark.parametrize("kind", ["gpt2", "gpt_neox", "opt", "falcon"])
def test_a_model_of_any_layout_can_be_cut_and_loaded_again(folders, tmp_path, kind):
    prepare_model(PrepareModel(source=f"path:{folders(kind)}", layers=1, out=str(tmp_path / "cut")))
    assert len(decoder_layers(load_causal(str(tmp_path / "cut")))) == 1


@pytest.mark.parametrize(
    ("kind", "auto", "reason"),
    [
        ("bert", AutoModelForMaskedLM, "got an encoder, 'bert'"),
        ("roberta", AutoModelForMaskedLM, "got an encoder, 'roberta'"),
        ("electra", AutoModelForMaskedLM, "got an encoder, 'electra'"),
        ("bert", AutoModel, "got an encoder"),
        ("bart", AutoModelForSeq2SeqLM, "got a sequence-to-sequence model, 'bart'"),
        ("t5", AutoModelForSeq2SeqLM, "type 't5', expected a causal language model"),
        ("deberta-v2", AutoModelForMaskedLM, "type 'deberta-v2', expected a causal language model"),
    ],
)
def test_what_does_not_read_from_left_to_right_is_no_language_model(tmp_path, kind, auto, reason):
    folder = str(write_tiny(tmp_path / "model", kind, auto))
    out = str(tmp_path / "out")
    for load in (load_causal, lambda path: prepare_model(PrepareModel(source=f"path:{path}", out=out))):
        with pytest.raises(InputError, match=reason) as caught:
            load(folder)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_language_model_is_no_vision_language_model_and_the_other_way_round(folders, tiny_llava):
    with pytest.raises(InputError, match="type 'llama', expected a vision-language model"):
        load_llava(folders("llama"))
    with pytest.raises(InputError, match="type 'llava', expected a causal language model"):
        load_causal(str(tiny_llava))
