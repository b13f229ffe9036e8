import pytest
import torch
from PIL import Image

from hyperinf.errors import InputError
from hyperinf.gradients import per_sample_gradients
from hyperinf.gradients.losses import causal_loss
from hyperinf.models.causal import load_causal
from hyperinf.models.language import EncodedAnswers, Tokenised
from hyperinf.models.llava import load_llava, load_processor, picture_tokens
from hyperinf.models.pictures import Pictures
from hyperinf.models.trainable import adapt, gradient_layers, load_trained, save_trained, trained_weights
from hyperinf.models.vision_shapes import word_tokenizer
from hyperinf.settings.training import Adaptation

BOTH = Adaptation(trained="lora_projector", rank=2, target_modules=("q_proj", "v_proj"))
PROJECTOR_ONLY = Adaptation(trained="projector")
PROJECTOR = {f"model.multi_modal_projector.linear_{number}.weight" for number in (1, 2)}


@pytest.fixture
def samples(tiny_llava, tmp_path):
    """Three prompts of different lengths, each about its own picture, as the family encodes them."""
    processor = load_processor(str(tiny_llava))
    tokenizer = processor.tokenizer
    tokens = picture_tokens(processor, str(tiny_llava))
    rows = []
    for number, question in enumerate(["what color?", "what shape is in the image?", "is there a red circle present?"]):
        Image.new("RGB", (64, 64), (80 * number, 10, 200 - 60 * number)).save(tmp_path / f"{number}.png")
        prompt = tokenizer(text=processor.image_token * tokens + "\n" + question)["input_ids"]
        answer = tokenizer(text=(" red", " circle", " yes")[number])["input_ids"]
        rows.append(Tokenised(tuple(prompt), (*answer, tokenizer.eos_token_id), False))
    pictures = [f"{number}.png" for number in range(3)]
    return EncodedAnswers(["a", "b", "c"], rows, 0, Pictures(processor, tmp_path), pictures)


def test_a_picture_takes_as_many_tokens_as_the_tower_has_patches(tiny_llava):
    assert picture_tokens(load_processor(str(tiny_llava)), str(tiny_llava)) == (64 // 16) ** 2


def test_a_word_of_the_small_vocabulary_is_one_token_and_any_other_text_comes_back():
    tokenizer = word_tokenizer()
    assert len(tokenizer(text="what color is the circle?")["input_ids"]) == 6
    text = "a naïve zebra\n"
    assert tokenizer.decode(tokenizer(text=text)["input_ids"]) == text


@pytest.mark.parametrize("of", ["trained", "lora", "projector", "last_layer"])
def test_gradients_of_each_sample_are_those_of_autograd_on_it_alone(tiny_llava, samples, of):
    model = adapt(load_llava(str(tiny_llava)).double(), BOTH, 3).eval()
    with torch.no_grad():  # LoRA B begins at zero, and A's gradient with it
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight += 0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)).double()
    names = gradient_layers(model, of)
    found = per_sample_gradients(model, samples.collate([0, 1, 2]), causal_loss, names)
    parameters = dict(model.named_parameters())
    for name in found:
        parameters[name].requires_grad_(True)
    for index in range(3):
        loss = causal_loss(model, samples.collate([index])).sum()
        expected = torch.autograd.grad(loss, [parameters[name] for name in found])
        for name, gradient in zip(found, expected, strict=True):
            gradient = gradient if found[name][index].shape == gradient.shape else gradient.T
            assert gradient.abs().max() > 0, name
            torch.testing.assert_close(found[name][index], gradient, rtol=1e-6, atol=1e-9, msg=name)


def test_samples_without_a_picture_have_no_gradient_in_the_projector(tiny_llava, samples):
    model = adapt(load_llava(str(tiny_llava)), BOTH, 0)
    row = Tokenised((5, 6), (7,), False)
    text = EncodedAnswers(["t", "u"], [row, row], 0)
    assert samples.kinds == (True,) * 3
    assert text.kinds == (False, False)
    found = per_sample_gradients(model, text.collate([0, 1]), causal_loss)
    projector = {name: gradient for name, gradient in found.items() if "projector" in name}
    assert len(projector) == 2
    assert all(gradient.shape[0] == 2 and not gradient.any() for gradient in projector.values())


def test_only_the_language_model_gets_an_adapter_and_the_projector_is_opened_on_demand(tiny_llava):
    names = set(trained_weights(adapt(load_llava(str(tiny_llava)), BOTH, 0)))
    adapters = {name for name in names if "lora_" in name}
    assert {name.removeprefix("base_model.model.") for name in names - adapters} == PROJECTOR
    assert adapters
    assert all(".language_model." in name for name in adapters)
    assert set(trained_weights(adapt(load_llava(str(tiny_llava)), PROJECTOR_ONLY, 0))) == PROJECTOR


def test_adapter_and_projector_come_back_together(tiny_llava, tmp_path):
    model = adapt(load_llava(str(tiny_llava)), BOTH, 0)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += 1
    save_trained(model, "path:x", tmp_path)
    other = adapt(load_llava(str(tiny_llava)), BOTH, 5)
    load_trained(other, tmp_path)
    expected = trained_weights(model)
    assert all(torch.equal(weight, expected[name]) for name, weight in trained_weights(other).items())
    with pytest.raises(InputError, match="cannot be loaded"):
        (tmp_path / "trained.safetensors").unlink()
        load_trained(other, tmp_path)


def test_gradients_of_a_part_that_is_not_there_are_refused(tiny_llama, tiny_llava):
    with pytest.raises(InputError, match="gradients_of: got lora"):
        gradient_layers(adapt(load_llava(str(tiny_llava)), PROJECTOR_ONLY, 0), "lora")
    with pytest.raises(InputError, match="projector: a LlamaForCausalLM has none"):
        gradient_layers(load_causal(str(tiny_llama)), "projector")


def test_a_model_without_a_vision_tower_is_refused(tiny_llama):
    with pytest.raises(InputError, match="the model cannot be loaded"):
        load_llava(str(tiny_llama))
    with pytest.raises(InputError, match="processor"):
        load_processor(str(tiny_llama))


def test_pictures_are_read_once_and_the_oldest_give_way(tiny_llava, tmp_path, monkeypatch):
    for number in range(3):
        Image.new("RGB", (64, 64), (number, 0, 0)).save(tmp_path / f"{number}.png")
    monkeypatch.setattr("hyperinf.models.pictures.KEPT_BYTES", 2 * 3 * 64 * 64 * 4)
    pictures = Pictures(load_processor(str(tiny_llava)), tmp_path)
    first = [pictures.pixels(f"{number}.png") for number in range(3)]
    assert first[0].shape == (3, 64, 64)
    assert pictures.pixels("2.png") is first[2]
    again = pictures.pixels("0.png")
    assert again is not first[0]
    assert torch.equal(again, first[0])
