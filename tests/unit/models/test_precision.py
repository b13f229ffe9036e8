"""What is trained stays in float32 where the frozen weights are in bfloat16."""

import copy
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_models import write_tiny

from hyperinf.gradients import per_sample_gradients
from hyperinf.gradients.losses import causal_loss, default_loss
from hyperinf.models.causal import load_causal
from hyperinf.models.classifier import adapted_classifier, load_adapted_classifier, save_adapter
from hyperinf.models.encoding import EncodedText
from hyperinf.models.llava import load_llava
from hyperinf.models.loading import load_tokenizer
from hyperinf.models.precision import WideLinear, widen_trained
from hyperinf.models.trainable import adapt, load_trained, restore, save_trained, trained_weights
from hyperinf.settings.training import Adaptation, LoraSettings, TrainingSettings
from hyperinf.training.loop import train
from hyperinf.training.side_by_side import can_stack, losses_side_by_side, train_side_by_side

TARGETS = ("q_proj", "v_proj")
TEXTS = [f"w{index} w{index + 1} w{2 * index + 3}" for index in range(20)]


def dtypes(model, trained):
    return {weight.dtype for weight in model.parameters() if weight.requires_grad == trained}


def texts(tiny_bert):
    return EncodedText(load_tokenizer(str(tiny_bert)), list(map(str, range(20))), TEXTS, None, [0, 1] * 10, 40)


@pytest.mark.parametrize("trained", ["lora", "last_layer"])
def test_of_a_language_model(tiny_llama, tmp_path, trained):
    adaptation = Adaptation(trained=trained, rank=2, target_modules=TARGETS)
    model = adapt(load_causal(str(tiny_llama), "bfloat16"), adaptation, 1)
    assert dtypes(model, True) == {torch.float32}
    assert dtypes(model, False) == {torch.bfloat16}
    restore(model, {name: weight + 1e-4 * torch.randn(weight.shape) for name, weight in trained_weights(model).items()})
    save_trained(model, "base", tmp_path)
    again = adapt(load_causal(str(tiny_llama), "bfloat16"), adaptation, 2)
    load_trained(again, tmp_path)
    for name, weight in trained_weights(model).items():
        assert torch.equal(weight, trained_weights(again)[name])
    ids = torch.arange(3, 15).view(2, 6)
    assert model(ids).logits.dtype == torch.bfloat16
    torch.testing.assert_close(model(ids).logits, again(ids).logits, rtol=0, atol=0)


@pytest.mark.parametrize("trained", ["projector", "lora_projector"])
def test_of_a_vision_language_model(tiny_llava, trained):
    adaptation = Adaptation(trained=trained, rank=2, target_modules=TARGETS)
    model = adapt(load_llava(str(tiny_llava), "bfloat16"), adaptation, 1)
    assert dtypes(model, True) == {torch.float32}
    projector = {name for name, weight in model.named_parameters() if weight.dtype == torch.float32}
    assert all("lora_" in name or "projector" in name for name in projector)


def test_of_layers_that_hold_their_weights_transposed(tmp_path):
    model = adapt(load_causal(write_tiny(tmp_path, "gpt2"), "bfloat16"), Adaptation(trained="last_layer"), 1)
    assert dtypes(model, True) == {torch.float32}
    ids = torch.arange(3, 15).view(2, 6)
    loss = causal_loss(model, {"input_ids": ids, "labels": ids, "attention_mask": torch.ones_like(ids)}).sum()
    loss.backward()
    grads = [weight.grad for weight in model.parameters() if weight.requires_grad]
    assert len(grads) == 4
    assert all(grad.dtype == torch.float32 and grad.norm() > 0 for grad in grads)


def test_of_a_classifier_whose_head_comes_back_with_all_digits(tiny_bert, tmp_path):
    model = adapted_classifier(str(tiny_bert), 2, LoraSettings(rank=2), 1, "bfloat16")
    assert dtypes(model, True) == {torch.float32}
    assert dtypes(model, False) == {torch.bfloat16}
    save_adapter(model, "base", tmp_path)
    stored = load_file(tmp_path / "adapter_model.safetensors")
    assert {weight.dtype for weight in stored.values()} == {torch.float32}
    again = load_adapted_classifier(str(tiny_bert), 2, Path(tmp_path), "bfloat16")
    assert dtypes(again, True) == {torch.float32}
    for name, weight in trained_weights(model).items():
        assert torch.equal(weight, trained_weights(again)[name])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nothing_changes_where_all_is_wide_enough(tiny_bert, dtype):
    model = adapted_classifier(str(tiny_bert), 2, LoraSettings(rank=2), 1, dtype)
    assert not widen_trained(model)
    assert not any(isinstance(module, WideLinear) for module in model.modules())


def test_a_dense_layer_learns_what_bfloat16_has_no_room_for(tiny_llama):
    """At a rate of 1e-5 bfloat16 weights hardly move; those in float32 move as in a model that is all in float32."""

    def moved(dtype, widened=True):
        model = load_causal(str(tiny_llama), dtype)
        model = adapt(model, Adaptation(trained="last_layer"), 1)
        if not widened:
            model.to(torch.bfloat16)
        before = trained_weights(model)
        optimizer = torch.optim.AdamW([w for w in model.parameters() if w.requires_grad], lr=1e-5, weight_decay=0.0)
        for step in range(20):
            ids = torch.randint(3, 200, (4, 12), generator=torch.Generator().manual_seed(step))
            loss = causal_loss(model, {"input_ids": ids, "labels": ids, "attention_mask": torch.ones_like(ids)}).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return torch.cat([(w.double() - before[name].double()).flatten() for name, w in trained_weights(model).items()])

    whole, wide, narrow = moved("float32"), moved("bfloat16"), moved("bfloat16", widened=False)
    assert (wide - whole).norm() < 0.5 * whole.norm()
    assert (narrow - whole).norm() > 0.9 * whole.norm()


@pytest.mark.parametrize("trained", ["lora", "last_layer"])
def test_gradients_of_each_sample_are_those_of_autograd_on_it_alone(tiny_llama, trained):
    adaptation = Adaptation(trained=trained, rank=2, target_modules=TARGETS)
    model = adapt(load_causal(str(tiny_llama), "bfloat16"), adaptation, 1).eval()
    ids = torch.arange(3, 27).view(3, 8)
    batch = {"input_ids": ids, "labels": ids, "attention_mask": torch.ones_like(ids)}
    found = per_sample_gradients(model, batch, causal_loss)
    parameters = dict(model.named_parameters())
    for index in range(3):
        model.zero_grad()
        causal_loss(model, {key: value[index : index + 1] for key, value in batch.items()}).sum().backward()
        for name, gradients in found.items():
            expected = parameters[name].grad
            actual = gradients[index] if gradients[index].shape == expected.shape else gradients[index].T
            assert actual.dtype == torch.float32
            assert (actual - expected).norm() <= 0.02 * expected.norm() + 1e-6


def test_adapters_are_trained_side_by_side(tiny_bert):
    model = adapted_classifier(str(tiny_bert), 2, LoraSettings(rank=2), 1, "bfloat16")
    encoded = texts(tiny_bert)
    assert can_stack(model, encoded)
    settings = TrainingSettings(epochs=3, batch_size=4, learning_rate=0.01)
    parts = [list(range(0, 14)), list(range(6, 20))]

    def losses(trained, copies):
        return losses_side_by_side(trained, copies, encoded, None, 8)

    before = trained_weights(model)
    together = train_side_by_side(model, encoded, parts, settings, 5, None, losses)
    alone = torch.cat([train_side_by_side(model, encoded, [part], settings, 5, None, losses) for part in parts])
    assert (together - alone).abs().mean() < 0.05
    assert all(torch.equal(weight, before[name]) for name, weight in trained_weights(model).items())


def test_a_run_that_was_killed_ends_in_the_same_weights(tiny_bert, tmp_path):
    settings = TrainingSettings(epochs=2, batch_size=4, learning_rate=0.01)

    def start():
        return adapted_classifier(str(tiny_bert), 2, LoraSettings(rank=2), 1, "bfloat16")

    whole, killed = start(), start()
    train(whole, texts(tiny_bert), settings, 3, tmp_path / "whole", "f", loss_fn=default_loss)

    def stop(epoch):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(killed, texts(tiny_bert), settings, 3, tmp_path / "part", "f", stop, default_loss, save_seconds=0)
    resumed = copy.deepcopy(start())
    train(resumed, texts(tiny_bert), settings, 3, tmp_path / "part", "f", loss_fn=default_loss)
    for name, weight in trained_weights(whole).items():
        assert torch.equal(weight, trained_weights(resumed)[name])
