"""Classifiers of every kind: fresh heads are trained and saved, a text's logits are its own."""

import json

import pytest
import torch
from tiny_models import word_tokenizer, write_tiny
from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification

from hyperinf.errors import InputError
from hyperinf.models.classifier import (
    adapted_classifier,
    head_parts,
    load_adapted_classifier,
    load_classifier,
    save_adapter,
)
from hyperinf.models.encoding import EncodedText
from hyperinf.models.lora import is_linear
from hyperinf.models.padding import agree_on_padding
from hyperinf.settings.training import LoraSettings

TEXTS = ["w1 w2 w3 w4 w5 w6", "w7 w2 w9", "w8 w9 w10", "w11 w12 w3 w1"]
DECODERS = ["bloom", "ctrl", "falcon", "gemma", "gpt2", "gpt_neo", "gptj", "gpt_neox", "llama", "mistral", "mixtral"]
DECODERS += ["mpt", "openai-gpt", "opt", "phi", "phi3", "qwen2", "qwen3"]
ENCODERS = ["albert", "bart", "bert", "big_bird", "camembert", "deberta", "deberta-v2", "distilbert", "electra"]
ENCODERS += [
    "funnel",
    "longformer",
    "modernbert",
    "mpnet",
    "roberta",
    "squeezebert",
    "t5",
    "xlm",
    "xlm-roberta",
    "xlnet",
]
MIXING = ["convbert", "fnet"]
"""What reads padding in spite of the mask."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Makes the folder of a type once."""
    made = {}

    def folder(kind):
        if kind not in made:
            made[kind] = write_tiny(tmp_path_factory.mktemp("tiny") / kind, kind)
        return str(made[kind])

    return folder


def linear_names(folder):
    """Two kinds of linear layers that can get an adapter, a pooler's where there are no others."""
    modules = load_classifier(folder, 3, seed=0).base_model.named_modules()
    names = {name.rpartition(".")[2]: "pooler" in name for name, module in modules if is_linear(module)}
    return tuple(sorted((name for name in names if not name.isdigit()), key=names.__getitem__)[:2])


def trained(folder, seed=7):
    """A classifier whose adapter and head are not what they were."""
    model = adapted_classifier(folder, 3, LoraSettings(rank=2, target_modules=linear_names(folder)), seed)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += 0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
    return model.eval()


def logits(model, encoded, indices):
    batch = encoded.collate(indices)
    batch.pop("labels")
    with torch.no_grad():
        return model(**batch).logits


def encoded_for(model, texts=TEXTS, tokenizer=None):
    tokenizer = tokenizer or word_tokenizer(ended=bool(model.config.is_encoder_decoder))
    chosen = agree_on_padding(tokenizer, model.config)
    return EncodedText(tokenizer, list("abcdefgh")[: len(texts)], texts, None, [0] * len(texts), 40), chosen


@pytest.mark.parametrize("kind", [*ENCODERS, *DECODERS, *MIXING])
def test_a_base_model_gets_a_head_that_is_trained_saved_and_loaded(folders, tmp_path, kind):
    model = trained(folders(kind))
    save_adapter(model, "path:x", tmp_path)
    back = load_adapted_classifier(folders(kind), 3, tmp_path).eval()
    encoded, _ = encoded_for(model)
    encoded_for(back)
    assert torch.equal(logits(model, encoded, range(4)), logits(back, encoded, range(4)))
    for each in (model, back):
        open_ = {name for name, weight in each.named_parameters() if weight.requires_grad and "lora_" not in name}
        plain = {name.removeprefix("base_model.model.").replace(".modules_to_save.default", "") for name in open_}
        whole = load_classifier(folders(kind), 3, seed=0)
        parts = tuple(f"{part}." for part in head_parts(whole, set()))
        assert plain == {name for name, _ in whole.named_parameters() if name.startswith(parts)}


@pytest.mark.parametrize("kind", [*ENCODERS, *DECODERS])
def test_the_logits_of_a_text_do_not_depend_on_its_company(folders, kind):
    model = trained(folders(kind))
    encoded, _ = encoded_for(model)
    together = logits(model, encoded, range(4))
    assert together.shape == (4, 3)
    for index in range(4):
        torch.testing.assert_close(logits(model, encoded, [index])[0], together[index], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", DECODERS)
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_decoder_reads_the_last_real_token_even_if_it_is_what_pads(folders, kind, side):
    model = load_classifier(folders(kind), 3, seed=7).eval()
    tokenizer = word_tokenizer(ended=True, pad=False, padding_side=side)
    encoded, chosen = encoded_for(model, tokenizer=tokenizer)
    assert chosen is not None
    assert model.config.pad_token_id is not None
    together = logits(model, encoded, range(4))
    head = next(module for name, module in model.named_children() if name in ("score", "classifier"))
    for index, text in enumerate(TEXTS):
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        assert ids[0, -1] == tokenizer.eos_token_id
        with torch.no_grad():
            state = model.base_model(ids, attention_mask=torch.ones_like(ids))[0][:, -1]
            expected = torch.nn.functional.linear(state, head.weight, head.bias)[0]
        torch.testing.assert_close(together[index], expected, rtol=1e-4, atol=1e-5)


def test_a_token_to_pad_with_is_one_that_the_tokenizer_has(folders):
    model = load_classifier(folders("gpt2"), 3, seed=0)
    tokenizer = word_tokenizer(pad=False)
    before = len(tokenizer)
    assert agree_on_padding(tokenizer, model.config) == "</s>"
    assert (tokenizer.pad_token_id, model.config.pad_token_id, len(tokenizer)) == (2, 2, before)
    nested = load_classifier(folders("llama"), 3, seed=0).config
    nested.pad_token_id = 1
    tokenizer = word_tokenizer(pad=False)
    assert agree_on_padding(tokenizer, nested) == "<pad>"
    assert agree_on_padding(tokenizer, nested) is None
    tokenizer = word_tokenizer(pad=False)
    tokenizer.eos_token = None
    assert agree_on_padding(tokenizer, load_classifier(folders("gpt2"), 3, seed=0).config) == "<unk>"


def test_the_padding_of_a_text_model_within_another_is_told_as_well():
    from transformers import Gemma3Config

    config = Gemma3Config()
    config.text_config.pad_token_id = None
    agree_on_padding(word_tokenizer(pad=False), config)
    assert config.pad_token_id == config.text_config.pad_token_id is not None


@pytest.mark.parametrize("kind", ["bert", "albert"])
def test_a_pooler_that_a_masked_model_lacks_is_trained_and_saved_with_the_adapter(tmp_path, kind):
    folder = str(write_tiny(tmp_path / kind, kind, AutoModelForMaskedLM))
    model = trained(folder)
    opened = {name for name, weight in model.named_parameters() if weight.requires_grad and "lora_" not in name}
    assert any(".pooler." in name for name in opened)
    save_adapter(model, "path:x", tmp_path / "adapter")
    back = load_adapted_classifier(folder, 3, tmp_path / "adapter").eval()
    encoded, _ = encoded_for(model)
    assert torch.equal(logits(model, encoded, range(4)), logits(back, encoded, range(4)))


def test_an_adapter_without_the_pooler_that_its_model_lacks_is_refused(tmp_path):
    folder = str(write_tiny(tmp_path / "bert", "bert"))
    save_adapter(trained(folder), "path:x", tmp_path / "adapter")
    masked = str(write_tiny(tmp_path / "masked", "bert", AutoModelForMaskedLM))
    with pytest.raises(InputError, match=r"adapter of another model than .*pooler"):
        load_adapted_classifier(masked, 3, tmp_path / "adapter")


@pytest.mark.parametrize(("kind", "other"), [("bert", {"num_hidden_layers": 3}), ("bert", {"num_hidden_layers": 1})])
def test_an_adapter_of_another_base_is_one_line(tmp_path, folders, kind, other):
    save_adapter(trained(folders(kind)), "path:x", tmp_path / "adapter")
    base = str(write_tiny(tmp_path / "other", kind, **other))
    with pytest.raises(InputError, match="adapter") as caught:
        load_adapted_classifier(base, 3, tmp_path / "adapter")
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "adapter") in str(caught.value)


def spoil_weights(folder, change):
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path, metadata={"format": "pt"})


@pytest.mark.parametrize("kind", ["bert", "deberta-v2", "gpt2", "t5"])
def test_a_weight_that_is_missing_within_the_encoder_is_refused(tmp_path, kind):
    folder = write_tiny(tmp_path / kind, kind)
    names: list[str] = []

    def without_one(weights):
        names.extend(name for name in sorted(weights) if "1" in name and "pooler" not in name)
        return {name: weight for name, weight in weights.items() if name != names[0]}

    spoil_weights(folder, without_one)
    with pytest.raises(InputError, match="lacks the weights") as caught:
        load_classifier(str(folder), 2, seed=0)
    assert names[0] in str(caught.value)


@pytest.mark.parametrize("kind", ["bert", "distilbert", "llama"])
def test_a_checkpoint_of_another_prefix_is_not_taken_for_a_fresh_head(tmp_path, kind):
    folder = write_tiny(tmp_path / kind, kind)
    spoil_weights(folder, lambda weights: {f"tower.{name}": weight for name, weight in weights.items()})
    with pytest.raises(InputError, match="lacks the weights .* more"):
        load_classifier(str(folder), 2, seed=0)


@pytest.mark.parametrize("kind", ["bert", "distilbert", "bart", "llama"])
def test_a_head_for_another_number_of_labels_is_refused_and_one_for_as_many_is_kept(tmp_path, kind):
    folder = str(write_tiny(tmp_path / kind, kind, AutoModelForSequenceClassification, num_labels=5))
    with pytest.raises(InputError, match=r"head of 5 labels, expected 3") as caught:
        adapted_classifier(folder, 3, LoraSettings(rank=2), seed=0)
    assert folder in str(caught.value)
    one, other = (load_classifier(folder, 5, seed) for seed in (1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_one_class_and_numbers_instead_of_classes_are_refused(tmp_path, folders):
    with pytest.raises(InputError, match="labels: got 1 class, expected at least 2"):
        load_classifier(folders("bert"), 1, seed=0)
    folder = str(write_tiny(tmp_path / "numbers", "bert", num_labels=2, problem_type="regression"))
    with pytest.raises(InputError, match="problem_type: got 'regression'"):
        load_classifier(folder, 2, seed=0)


def test_a_model_of_pictures_is_refused_by_its_kind(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "vit", "architectures": ["ViTModel"]}))
    with pytest.raises(InputError, match=r"type 'vit', expected one that classifies texts"):
        load_classifier(str(tmp_path), 2, seed=0)
