import pytest
import torch

from hyperinf.errors import InputError
from hyperinf.models.classifier import (
    adapted_classifier,
    load_adapted_classifier,
    load_classifier,
    save_adapter,
)
from hyperinf.models.encoding import Batches, EncodedText
from hyperinf.models.loading import load_tokenizer
from hyperinf.settings.training import LoraSettings

TEXTS = ["w1 w2 w3 w4 w5 w6", "w7", "w8 w9 w10", "w11 w12"]


def encoded(tiny_bert, pairs=None, max_length=40):
    return EncodedText(load_tokenizer(str(tiny_bert)), list("abcd"), TEXTS, pairs, [0, 1, 1, 0], max_length)


def test_an_adapter_that_was_saved_gives_the_same_logits_and_the_same_trainable_weights(tiny_bert, tmp_path):
    model = adapted_classifier(str(tiny_bert), 3, LoraSettings(rank=4), seed=5)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    save_adapter(model, "path:somewhere", tmp_path)
    back = load_adapted_classifier(str(tiny_bert), 3, tmp_path)
    batch = encoded(tiny_bert).collate([0, 1, 2, 3])
    batch.pop("labels")
    model.eval()
    back.eval()
    assert torch.equal(model(**batch).logits, back(**batch).logits)
    trained = [{n for n, p in m.named_parameters() if p.requires_grad} for m in (model, back)]
    assert trained[0] == trained[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]


@pytest.mark.parametrize(("rslora", "scale"), [(True, 8 / 2), (False, 8 / 4)])
def test_the_update_is_scaled_by_alpha_over_rank_or_its_root(tiny_bert, rslora, scale):
    model = adapted_classifier(str(tiny_bert), 2, LoraSettings(rank=4, alpha_over_rank=2, rslora=rslora), seed=0)
    layer = model.base_model.model.bert.encoder.layer[0].attention.self.query
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    with torch.no_grad():
        b += 0.5
    x = torch.randn(2, 16)
    expected = layer.base_layer(x) + scale * x @ a.T @ b.T
    assert torch.allclose(layer(x), expected, atol=1e-6)


def test_only_adapter_and_head_can_be_trained_and_the_head_is_a_matter_of_the_seed(tiny_bert):
    models = [adapted_classifier(str(tiny_bert), 2, LoraSettings(rank=2), seed) for seed in (1, 1, 2)]
    names = {name for name, parameter in models[0].named_parameters() if parameter.requires_grad}
    assert names
    assert all("lora_" in name or "classifier" in name for name in names)
    first, again, other = (dict(model.named_parameters()) for model in models)
    assert all(torch.equal(first[name], again[name]) for name in names)
    assert any(not torch.equal(first[name], other[name]) for name in names)


def test_batches_are_the_same_at_every_iteration_and_hold_every_sample_once(tiny_bert):
    batches = Batches(encoded(tiny_bert), 2)
    first, second = list(batches), list(batches)
    assert [ids for ids, _ in first] == [ids for ids, _ in second] == [("b", "d"), ("c", "a")]
    for ids, batch in first:
        assert batch["labels"].tolist() == [dict(zip("abcd", [0, 1, 1, 0], strict=True))[i] for i in ids]
    assert first[0][1]["input_ids"].shape == (2, 4)
    assert [ids for ids, _ in Batches(encoded(tiny_bert), 3, by_length=False)] == [("a", "b", "c"), ("d",)]


def test_long_samples_are_truncated_and_counted_and_pairs_are_marked(tiny_bert):
    assert encoded(tiny_bert).truncated == 0
    short = encoded(tiny_bert, max_length=5)
    assert short.truncated == 1
    assert max(short.lengths) == 5
    pair = encoded(tiny_bert, pairs=["w1", "w2", "w3", "w4"]).collate([1])
    assert pair["input_ids"].tolist() == [[2, 11, 3, 6, 3]]


def test_targets_that_match_nothing_are_refused_with_the_layers_there_are(tiny_bert):
    with pytest.raises(InputError, match=r"target_modules: got .*q_proj.*expected .*query") as caught:
        adapted_classifier(str(tiny_bert), 2, LoraSettings(rank=2, target_modules=("q_proj",)), seed=0)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_model_or_an_adapter_is_one_line(tiny_bert, tmp_path):
    with pytest.raises(InputError, match="the model cannot be loaded") as caught:
        load_classifier(str(tmp_path), 2, seed=0)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="expected a PEFT adapter"):
        load_adapted_classifier(str(tiny_bert), 2, tmp_path)


def test_weights_that_are_not_safetensors_are_refused(tiny_bert, tmp_path):
    (tmp_path / "config.json").write_bytes((tiny_bert / "config.json").read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"a pickle would be run")
    with pytest.raises(InputError, match="the model cannot be loaded"):
        load_classifier(str(tmp_path), 2, seed=0)
