"""The part of a model that no gradient goes through is run once: later sweeps give what every pass would."""

import re
from typing import Any

import pytest
import torch
from tiny_models import tiny_config
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    LlavaConfig,
    LlavaForConditionalGeneration,
)

from hyperinf import Attributor
from hyperinf.gradients import LiveSource
from hyperinf.gradients.frozen_search import frozen_part
from hyperinf.gradients.kept import KeptSource
from hyperinf.gradients.losses import default_loss
from hyperinf.gradients.weights import adapted_layers
from hyperinf.pipeline.scoring import chosen_store, stored

UPPER = r"\.(layers?|h|blocks?)\.1\."
AUTOS = {
    "classifier": AutoModelForSequenceClassification,
    "causal": AutoModelForCausalLM,
    "seq2seq": AutoModelForSeq2SeqLM,
}
MODELS = [
    ("bert", "classifier", UPPER),
    ("roberta", "classifier", "classifier"),
    ("distilbert", "classifier", UPPER),
    ("modernbert", "classifier", UPPER),
    ("gpt2", "causal", UPPER),
    ("opt", "causal", UPPER),
    ("bloom", "causal", UPPER),
    ("llama", "causal", UPPER),
    ("mistral", "causal", UPPER),
    ("qwen3", "causal", UPPER),
    ("mixtral", "causal", r"\.1\.self_attn"),
    ("t5", "seq2seq", r"decoder.*\.1\."),
    ("bart", "seq2seq", r"decoder.*\.1\."),
]


def new_model(kind, task, trained):
    torch.manual_seed(0)
    model = AUTOS[task].from_config(tiny_config(kind, initializer_range=0.3)).requires_grad_(False)
    for name, weight in model.named_parameters():
        weight.requires_grad_(weight.ndim > 1 and bool(re.search(trained, name)))
    return model


def texts(task, batches=3, rows=4):
    """Batches of texts of different lengths, padded where the task has it."""
    generator = torch.Generator().manual_seed(1)
    made = []
    for place in range(batches):
        width = 7 + place
        ids = torch.randint(4, 60, (rows, width), generator=generator)
        mask = torch.ones_like(ids)
        padded = slice(0, 2) if task == "causal" else slice(width - 2, width)
        mask[0, padded] = 0
        batch = {"input_ids": ids, "attention_mask": mask}
        if task == "classifier":
            batch["labels"] = torch.randint(0, 2, (rows,), generator=generator)
        elif task == "causal":
            batch["labels"] = ids.masked_fill(mask == 0, -100)
        else:
            batch["labels"] = torch.randint(4, 60, (rows, 4), generator=generator)
        made.append(([f"{place}-{row}" for row in range(rows)], batch))
    return made


def gradients_of(source):
    return [{name: each.dense() for name, each in block.gradients.items()} for block in source]


def assert_equal(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        for name, gradient in theirs.items():
            assert torch.equal(ours[name], gradient), name


class Watched:
    """Counts the calls of a module."""

    def __init__(self, module):
        self.calls = 0
        module.register_forward_hook(self._note)

    def _note(self, *_):
        self.calls += 1

    def since(self):
        calls, self.calls = self.calls, 0
        return calls


@pytest.mark.parametrize(("kind", "task", "trained"), MODELS, ids=[f"{kind}-{part}" for kind, _, part in MODELS])
def test_later_sweeps_of_any_family_give_the_same_bits_without_its_frozen_layers(kind, task, trained):
    model, batches = new_model(kind, task, trained), texts(task)
    expected = gradients_of(LiveSource(model, batches))
    source = LiveSource(model, batches)
    source.keep_frozen(2**30)
    first = next(
        module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"
    )
    watched = Watched(first)
    assert_equal(gradients_of(source), expected)
    assert watched.since() >= len(batches)
    for _ in range(2):
        assert_equal(gradients_of(source), expected)
        assert watched.since() <= 1  # two samples tell whether the model has changed


def test_of_a_row_of_layers_the_last_output_alone_is_kept():
    model, batches = new_model("llama", "causal", UPPER), texts("causal")
    source = LiveSource(model, batches)
    source.keep_frozen(2**30)
    list(source), list(source)
    tokens = sum(batch["input_ids"].numel() for _, batch in batches)
    assert source.frozen_bytes == tokens * 16 * 4


def test_of_an_output_of_several_tensors_the_one_that_is_used_is_kept():
    model, batches = new_model("bert", "classifier", "^classifier"), texts("classifier")
    source = LiveSource(model, batches)
    source.keep_frozen(2**30)
    list(source), list(source)
    assert source.frozen_bytes == 12 * 16 * 4  # the pooled vector of each sample, not its tokens


def test_batches_that_do_not_fit_are_run_again_whole():
    model, batches = new_model("llama", "causal", UPPER), texts("causal")
    expected = gradients_of(LiveSource(model, batches))
    source = LiveSource(model, batches)
    source.keep_frozen(4 * 7 * 16 * 4 + 4)
    watched = Watched(model.model.layers[0].mlp.up_proj)
    list(source), list(source)
    watched.since()
    assert_equal(gradients_of(source), expected)
    assert watched.since() == 1 + 2
    assert source.frozen_bytes == 4 * 7 * 16 * 4


def test_a_tower_that_sees_pictures_is_run_once_below_a_language_model_that_is_adapted():
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    text = {**sizes, "vocab_size": 64, "model_type": "llama"}
    vision = {**sizes, "image_size": 8, "patch_size": 4, "model_type": "clip_vision_model"}
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_index=63, image_seq_length=4)
    model = LlavaForConditionalGeneration(config).requires_grad_(False)
    for name, weight in model.named_parameters():
        weight.requires_grad_("q_proj" in name and "language_model" in name)
    generator = torch.Generator().manual_seed(2)
    batches = []
    for place in range(2):
        ids = torch.randint(4, 60, (3, 9), generator=generator)
        ids[:, 1:5] = 63
        pixels = torch.randn(3, 3, 8, 8, generator=generator)
        batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "pixel_values": pixels, "labels": ids}
        batches.append(([f"{place}-{row}" for row in range(3)], batch))
    expected = gradients_of(LiveSource(model, batches))
    source = LiveSource(model, batches)
    source.keep_frozen(2**30)
    tower = next(module for name, module in model.named_modules() if name.endswith("layers.0.mlp.fc1"))
    watched = Watched(tower)
    list(source), list(source)
    watched.since()
    assert_equal(gradients_of(source), expected)
    assert watched.since() == 1
    # Of each picture four vectors; not what single matrices of the first layer give, which are frozen, too.
    assert source.frozen_bytes == 6 * 4 * 16 * 4


def test_inputs_that_require_gradients_as_for_checkpoints_do_not_hide_it():
    model, batches = new_model("llama", "causal", UPPER), texts("causal")
    expected = gradients_of(LiveSource(model, batches))
    model.enable_input_require_grads()
    source = LiveSource(model, batches)
    source.keep_frozen(2**30)
    for _ in range(3):
        assert_equal(gradients_of(source), expected)
    assert source.frozen_bytes > 0


def test_convolutions_below_a_head_are_run_once():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 3), nn.Flatten(), nn.Linear(64, 2)
    ).requires_grad_(False)
    model[5].requires_grad_(True)
    pictures = [([f"{place}-{row}" for row in range(4)], torch.randn(4, 3, 8, 8)) for place in range(3)]
    expected = gradients_of(LiveSource(model, pictures, squares))
    source = LiveSource(model, pictures, squares)
    source.keep_frozen(2**30)
    for _ in range(3):
        assert_equal(gradients_of(source), expected)
    assert source.frozen_bytes == 12 * 4 * 4 * 4 * 4


class Skipping(nn.Module):
    """What its second layer gives goes on to the third, and past it; the last is trained."""

    def __init__(self, overwriting=False):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleList(nn.Linear(6, 6) for _ in range(4)).requires_grad_(False)
        self.layers[3].requires_grad_(True)
        self.overwriting = overwriting

    def forward(self, x):
        second = self.layers[1](self.layers[0](x).tanh()).tanh()
        third = self.layers[2](second)
        if self.overwriting:
            third.tanh_()
        return self.layers[3](third + second)


def squares(model, batch):
    return model(batch).square().sum(1)


def numbers(batches=3):
    generator = torch.Generator().manual_seed(3)
    return [
        ([f"{place}-{row}" for row in range(4)], torch.randn(4, 6, generator=generator)) for place in range(batches)
    ]


@pytest.mark.parametrize("overwriting", [False, True])
def test_what_goes_past_a_layer_is_kept_too_and_may_be_overwritten(overwriting):
    model, batches = Skipping(overwriting), numbers()
    part = frozen_part(model, batches[0][1], squares, adapted_layers(model))
    assert part is not None
    assert part.needed == {(1, 0), (2, 0)}
    expected = gradients_of(LiveSource(model, batches, squares))
    source = LiveSource(model, batches, squares)
    source.keep_frozen(2**30)
    for _ in range(4):
        assert_equal(gradients_of(source), expected)
    assert source.frozen_bytes == 2 * 12 * 6 * 4
    assert all("forward" not in layer.__dict__ for layer in model.layers)


def test_a_forward_method_of_a_module_s_own_comes_back():
    model, batches = Skipping(), numbers()

    def own(x):
        return nn.functional.linear(x, model.layers[0].weight) * 2

    model.layers[0].forward = own
    expected = gradients_of(LiveSource(model, batches, squares))
    source = LiveSource(model, batches, squares)
    source.keep_frozen(2**30)
    for _ in range(3):
        assert_equal(gradients_of(source), expected)
    assert model.layers[0].forward is own


class Telling(nn.Module):
    """A layer that tells, beside what it makes, which of two signs goes with each sample."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(6, 6)

    def forward(self, x):
        return self.inner(x), (x[:, 0] > 0).long()


class Signed(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = Telling().requires_grad_(False), nn.Linear(6, 6)

    def forward(self, x):
        made, sign = self.first(x)
        return self.last(made) * (2 * sign[:, None] - 1) + made


def test_integers_are_kept_as_two_samples_may_not_show_that_they_are_used():
    model, batches = Signed(), numbers()
    batches[0][1][:2, 0] = -1.0  # zero in both samples that are looked at
    expected = gradients_of(LiveSource(model, batches, squares))
    source = LiveSource(model, batches, squares)
    source.keep_frozen(2**30)
    for _ in range(3):
        assert_equal(gradients_of(source), expected)
    assert source.frozen_bytes == 12 * 6 * 4 + 12 * 8


class Wandering(Skipping):
    """Goes through its frozen layers once more in every other sweep, to no effect on what it gives."""

    def __init__(self):
        super().__init__()
        self.passes = 0

    def forward(self, x):
        self.passes += 1
        if self.passes > 30:
            self.layers[0](x)
        return super().forward(x)


def test_a_model_that_makes_other_calls_later_is_run_whole_again(caplog):
    model, batches = Wandering(), numbers()
    expected = gradients_of(LiveSource(Skipping(), batches, squares))
    source = LiveSource(model, batches, squares)
    source.keep_frozen(2**30)
    list(source), list(source)
    assert source.frozen_bytes > 0
    model.passes = 31
    assert_equal(gradients_of(source), expected)
    assert source.frozen_bytes == 0
    assert "run again at every sweep" in caplog.text


def test_a_base_that_is_changed_between_sweeps_is_refused():
    model, batches = Skipping(), numbers()
    source = LiveSource(model, batches, squares)
    source.keep_frozen(2**30)
    list(source), list(source)
    with torch.no_grad():
        next(model.parameters()).mul_(1.5)
    with pytest.raises(ValueError, match="the model must not change"):
        list(source)


def test_a_model_whose_first_layer_is_adapted_has_no_such_part():
    model = Skipping()
    assert frozen_part(model, numbers()[0][1], squares, adapted_layers(model, ["layers.0.weight"])) is None


def test_weights_that_are_trained_and_not_asked_for_are_part_of_what_is_run_once():
    model, batches = Skipping().requires_grad_(True), numbers()
    source = LiveSource(model, batches, squares, ["layers.3.weight"])
    source.keep_frozen(2**30)
    expected = gradients_of(LiveSource(Skipping(), batches, squares, ["layers.3.weight"]))
    for _ in range(3):
        assert_equal(gradients_of(source), expected)
    assert source.frozen_bytes == 2 * 12 * 6 * 4
    assert all(weight.requires_grad for weight in model.parameters())


def test_a_weight_that_no_loss_depends_on_has_no_gradient_where_the_others_are_not_asked_for():
    model = Skipping().requires_grad_(True)
    model.unused = nn.Parameter(torch.randn(2, 3))
    source = LiveSource(model, numbers(), squares, ["layers.3.weight", "unused"])
    for block in source:
        assert not block.gradients["unused"].dense().any()
        assert block.gradients["layers.3.weight"].dense().any()


def test_it_is_kept_where_gradients_are_too_many_and_scores_stay_what_they_were():
    model, batches = new_model("llama", "causal", UPPER), texts("causal", batches=4)
    whole = Attributor(model, memory_bytes=0).fit(batches).score(batches[:1])
    live = LiveSource(model, batches)
    kept = KeptSource(live, 16 * 1024)
    list(kept), list(kept)
    assert kept.held_bytes == 0
    assert live.frozen_bytes > 0
    again = Attributor(model, memory_bytes=16 * 1024)
    watched = Watched(model.model.layers[0].mlp.up_proj)
    again.fit(batches)
    ran = watched.since()
    scores = again.score(batches[:1])
    assert watched.since() < ran
    assert (scores["influence"] == whole["influence"]).all()


def test_nothing_is_kept_without_memory():
    model, batches = new_model("llama", "causal", UPPER), texts("causal")
    source = KeptSource(LiveSource(model, batches), 0)
    for _ in range(3):
        list(source)
    assert source.live.frozen_bytes == 0


def test_a_store_that_fits_nowhere_keeps_it(tmp_path, monkeypatch):
    model, batches = new_model("llama", "causal", UPPER), texts("causal")
    monkeypatch.setattr("hyperinf.pipeline.scoring.DISK_BYTES", 0)
    live = LiveSource(model, batches)
    assert chosen_store("auto", live, tmp_path, 16 * 1024) == "live"
    with stored(live, "live", tmp_path, "cpu") as source:
        list(source), list(source)
    assert live.frozen_bytes > 0
    asked = LiveSource(model, batches)
    assert chosen_store("live", asked, tmp_path, 16 * 1024) == "live"
    list(asked), list(asked)
    assert asked.frozen_bytes == 0


def test_a_head_alone_saves_all_but_its_own_operations():
    model, batches = new_model("bert", "classifier", "^classifier"), texts("classifier")
    part = frozen_part(model, batches[0][1], default_loss, adapted_layers(model))
    assert part is not None
    assert part.saved > 0.9
