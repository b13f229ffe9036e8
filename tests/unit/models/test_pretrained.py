"""Models and adapters from folders in the hub's layout, and adapters by their name on the hub."""

import pytest
import torch
from hub_models import llava_1_5, roberta_large
from tiny_models import write_tiny

from hyperinf.errors import InputError
from hyperinf.models.causal import load_causal
from hyperinf.models.classifier import adapted_classifier, save_adapter
from hyperinf.models.llava import load_llava
from hyperinf.models.lora import add_lora
from hyperinf.models.pretrained import load_pretrained
from hyperinf.models.trainable import adapt, save_trained
from hyperinf.settings.training import Adaptation, LoraSettings

LLAMA = Adaptation(rank=2, target_modules=("q_proj", "v_proj"))


def moved(model):
    """LoRA's B begins at zero, where an adapter that is lost would not be missed."""
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += 0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
    return model.eval()


def same_logits(first, second):
    ids = torch.tensor([[5, 6, 7, 8], [9, 10, 11, 12]])
    with torch.no_grad():
        return torch.equal(first(input_ids=ids).logits, second.eval()(input_ids=ids).logits)


@pytest.fixture
def causal_adapter(tiny_llama, tmp_path):
    model = moved(add_lora(load_causal(str(tiny_llama)), LLAMA, "CAUSAL_LM"))
    model.save_pretrained(str(tmp_path / "adapter"))
    return model, tmp_path / "adapter"


def test_a_causal_model_and_its_adapter_come_back_with_the_adapter_trainable(tiny_llama, causal_adapter):
    model, folder = causal_adapter
    back = load_pretrained(str(tiny_llama), str(folder))
    assert same_logits(model, back)
    trained = {name for name, weight in back.named_parameters() if weight.requires_grad}
    assert trained
    assert all("lora_" in name for name in trained)


def test_an_adapter_is_found_by_its_name_on_the_hub(tiny_llama, causal_adapter, tmp_path, monkeypatch):
    """In the cache that the hub's client keeps, as there is no network."""
    from huggingface_hub import constants

    model, folder = causal_adapter
    revision = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "hub" / "models--somebody--adapter"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(revision)
    (repository / "snapshots").mkdir()
    folder.rename(repository / "snapshots" / revision)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert same_logits(model, load_pretrained(str(tiny_llama), "somebody/adapter"))
    with pytest.raises(InputError, match=r"^somebody/other: the adapter cannot be loaded"):
        load_pretrained(str(tiny_llama), "somebody/other")


def test_a_pickle_is_never_taken_for_an_adapter(tiny_llama, causal_adapter):
    _, folder = causal_adapter
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(InputError, match=r"adapter cannot be loaded.*adapter_model\.safetensors"):
        load_pretrained(str(tiny_llama), str(folder))


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_a_classifier_with_its_head_comes_back_whole(tmp_path, kind):
    from transformers import AutoModelForSequenceClassification

    write_tiny(tmp_path, kind, AutoModelForSequenceClassification, num_labels=3, pad_token_id=1)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert same_logits(model, load_pretrained(str(tmp_path)))


@pytest.mark.parametrize("labels", [2, 5])
def test_the_head_of_a_classifier_may_be_its_adapter_s(tmp_path, labels):
    """RoBERTa's is of two layers; its checkpoint is of a masked language model and knows of no classes."""
    roberta_large(tmp_path / "base")
    base = str(tmp_path / "base")
    model = moved(adapted_classifier(base, labels, LoraSettings(rank=2), seed=1))
    (tmp_path / "adapter").mkdir()
    save_adapter(model, base, tmp_path / "adapter")
    back = load_pretrained(base, str(tmp_path / "adapter"))
    assert same_logits(model, back)
    assert back.config.num_labels == labels
    with pytest.raises(InputError, match="expected family to be given"):
        load_pretrained(base)
    with pytest.raises(InputError, match="lacks the weights"):
        load_pretrained(base, family="classifier")


def test_a_vision_language_model_and_its_adapter_come_back(tmp_path):
    llava_1_5(tmp_path / "base")
    model = moved(adapt(load_llava(str(tmp_path / "base")), LLAMA, 3))
    (tmp_path / "adapter").mkdir()
    save_trained(model, str(tmp_path / "base"), tmp_path / "adapter")
    back = load_pretrained(str(tmp_path / "base"), str(tmp_path / "adapter"))
    assert same_logits(model, back)


def test_an_unknown_family_and_a_folder_without_a_model_are_one_line(tiny_llama, tmp_path):
    with pytest.raises(InputError, match=r"^family: got 'other', expected .*causal"):
        load_pretrained(str(tiny_llama), family="other")
    with pytest.raises(InputError, match="model cannot be loaded") as caught:
        load_pretrained(str(tmp_path))
    assert "\n" not in str(caught.value)
