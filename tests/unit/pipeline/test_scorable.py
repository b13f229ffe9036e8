"""A model that no scores can be taken of is refused before it is trained, and what can be is left as it was."""

import numpy as np
import pandas as pd
import pytest
import torch
from stage_runs import finetuned, prepared, scored
from tiny_models import WORDS, word_tokenizer, write_tiny
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from hyperinf.artifacts.records import read_record
from hyperinf.errors import InputError
from hyperinf.models.classifier import adapted_classifier
from hyperinf.models.encoding import EncodedText
from hyperinf.models.loading import load_tokenizer
from hyperinf.pipeline.scorable import check_scorable
from hyperinf.settings.training import LoraSettings


def encoded_words(folder, texts=("w1 w2 w3 w4 w5", "w7", "w8 w9")):
    return EncodedText(load_tokenizer(str(folder)), list("abcd")[: len(texts)], texts, None, [0] * len(texts), 40)


def test_the_check_leaves_nothing_behind(tiny_bert):
    model = adapted_classifier(str(tiny_bert), 2, LoraSettings(rank=2, dropout=0.5), seed=0).train()
    modes = [module.training for module in model.modules()]
    opened = [weight.requires_grad for weight in model.parameters()]
    values = [weight.clone() for weight in model.parameters()]
    torch.manual_seed(3)
    before = torch.get_rng_state()
    check_scorable(model, encoded_words(tiny_bert))
    assert torch.equal(torch.get_rng_state(), before)
    assert [module.training for module in model.modules()] == modes
    assert [weight.requires_grad for weight in model.parameters()] == opened
    assert all(weight.grad is None for weight in model.parameters())
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), values, strict=True))


def test_one_sample_is_enough_and_none_of_another_length_is_needed(tiny_bert):
    model = adapted_classifier(str(tiny_bert), 2, LoraSettings(rank=2), seed=0)
    check_scorable(model, encoded_words(tiny_bert, ["w1"]))
    check_scorable(model, encoded_words(tiny_bert, ["w1", "w2"]))


def test_what_gradients_cannot_be_taken_of_is_one_line_that_names_the_model(tiny_bert):
    model = adapted_classifier(str(tiny_bert), 2, LoraSettings(rank=2), seed=0)
    with pytest.raises(InputError, match="BertForSequenceClassification: .*'x'") as caught:
        check_scorable(model, encoded_words(tiny_bert), layers=["x"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [ValueError("two\nlines"), TypeError("no such argument"), RuntimeError("sizes")])
def test_whatever_a_model_says_to_two_samples_is_one_line(tiny_bert, error):
    def fails(model, batch):
        raise error

    model = adapted_classifier(str(tiny_bert), 2, LoraSettings(rank=2), seed=0)
    with pytest.raises(InputError, match=str(error).splitlines()[0]) as caught:
        check_scorable(model, encoded_words(tiny_bert), fails)
    assert "\n" not in str(caught.value)


def mixing_loss(model, batch):
    inputs = {key: value for key, value in batch.items() if key != "labels"}
    logits = model(**inputs).logits
    return 100 * (logits - logits.mean(dim=0)).square().sum(dim=1)


def test_a_loss_that_depends_on_the_rest_of_the_batch_is_refused(tiny_bert):
    model = adapted_classifier(str(tiny_bert), 2, LoraSettings(rank=2), seed=0)
    with pytest.raises(InputError, match="sample '[ab]' of a Bert.* the other samples of the batch change it"):
        check_scorable(model, encoded_words(tiny_bert), mixing_loss)


@pytest.fixture(scope="module")
def ended_task(tmp_path_factory):
    """Words that tell their class; some texts are long."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 90)
    texts = [" ".join(WORDS[i] for i in rng.integers(0, 2, rng.integers(3, 12)) + 2 * label) for label in labels]
    texts[::30] = [" ".join(["w50"] * 60)] * 3
    texts = [f"{text} w{10 + index % 9} w{20 + index // 9}" for index, text in enumerate(texts)]  # no two alike
    names = np.array(["low", "high"])[labels]
    pd.DataFrame({"sentence": texts, "label": names}).to_csv(folder / "words.csv", index=False)
    sizes = {"train": 50, "validation": 20, "test": 20, "label_noise": 0.2}
    return prepared(folder / "prepared", folder / "words.csv", text="sentence", label="label", **sizes)


TARGETS = {
    "bart": ("q_proj", "v_proj"),
    "deberta-v2": ("value_proj",),
    "distilbert": ("q_lin",),
    "falcon": ("query_key_value",),
    "gpt2": ("c_attn",),
    "gpt_neox": ("query_key_value",),
    "llama": ("q_proj",),
    "modernbert": ("Wqkv",),
    "mpnet": ("q",),
    "phi": ("q_proj",),
    "qwen3": ("q_proj",),
    "roberta": ("query",),
    "t5": ("q", "v"),
    "xlnet": ("layer_1",),
    "fnet": ("dense",),
}


def train(folder, kind, data, out, **change):
    how = {"epochs": 1, "batch_size": 8, "learning_rate": 5e-3, "max_length": 128, "target_modules": TARGETS[kind]}
    return finetuned(out, data, folder, "classifier", **{**how, **change})


@pytest.mark.parametrize("kind", [kind for kind in TARGETS if kind not in ("xlnet", "fnet")])
def test_every_kind_of_model_is_trained_saved_loaded_and_scored(ended_task, tmp_path, caplog, kind):
    folder = write_tiny(tmp_path / kind, kind)
    if kind in ("gpt2", "llama", "falcon"):
        word_tokenizer(pad=False).save_pretrained(folder)
    run = train(folder, kind, ended_task, tmp_path / "finetuned")
    info = read_record(run / "info.json")
    limit = {"roberta": 46, "mpnet": 46}.get(kind, 48)
    if kind in ("t5", "deberta-v2"):
        assert info["max_length"] == 128
        assert sum(info["truncated"].values()) == 0
        assert not caplog.records
    else:
        assert info["max_length"] == limit
        assert sum(info["truncated"].values()) == 3
        told = [record.getMessage() for record in caplog.records if "are cut" in record.getMessage()]
        assert len(told) == sum(count > 0 for count in info["truncated"].values())
        assert all(f"more than {limit} tokens" in line for line in told)
    assert info.get("padding") == ("</s>" if kind in ("gpt2", "llama", "falcon") else None)
    scores = []
    for size in (4, 50):
        out = scored(tmp_path / f"{size}", ended_task, run, methods=("hyperinf", "tracin"), gradient_batch_size=size)
        scores.append(pd.read_parquet(out / "scores.parquet"))
    for column in ("influence_hyperinf", "influence_tracin", "baseline_loss"):
        first, second = (frame[column].to_numpy() for frame in scores)
        assert np.isfinite(first).all()
        assert np.allclose(first, second, rtol=1e-3, atol=1e-4 * np.abs(first).max())


@pytest.mark.parametrize("kind", ["fnet"])
def test_a_model_whose_samples_mix_is_refused_before_it_is_trained(ended_task, tmp_path, kind):
    folder = write_tiny(tmp_path / kind, kind)
    with pytest.raises(InputError, match="its padding changes it"):
        train(folder, kind, ended_task, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == [kind]


def test_a_text_that_spells_the_token_that_ends_it_is_named_before_a_training(tmp_path, ended_task):
    data = tmp_path / "words.csv"
    rows = [f"w1 w{i + 5} {'</s>' * (i == 3)},low\nw3 w{i + 5},high" for i in range(20)]
    data.write_text("\n".join(["sentence,label", *rows]) + "\n")
    task = {"text": "sentence", "label": "label", "train": 25, "validation": 5, "test": 10}
    prepared(tmp_path / "prepared", data, **task)
    folder = write_tiny(tmp_path / "t5", "t5")
    with pytest.raises(InputError, match=r"got 2 tokens that end a text \(id 2\), expected 1"):
        train(folder, "t5", tmp_path / "prepared", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_text_without_a_token_is_named(tmp_path):
    with pytest.raises(InputError, match="sample 'b': got a text without a token"):
        EncodedText(word_tokenizer(), ["a", "b"], ["w1", " "], None, [0, 1], 20)


@pytest.mark.parametrize(
    ("kind", "auto", "change", "reason"),
    [
        ("bert", AutoModelForSequenceClassification, {"num_labels": 5}, "head of 5 labels, expected 2"),
        ("bert", None, {"problem_type": "regression"}, "regression"),
    ],
)
def test_a_head_of_another_kind_is_refused_before_anything_is_written(ended_task, tmp_path, kind, auto, change, reason):
    folder = write_tiny(tmp_path / kind, kind, auto, **change)
    with pytest.raises(InputError, match=reason):
        train(folder, "roberta", ended_task, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == [kind]


def test_a_decoder_that_was_trained_on_texts_becomes_a_classifier(ended_task, tmp_path):
    folder = write_tiny(tmp_path / "llama", "llama", AutoModelForCausalLM)
    run = train(folder, "llama", ended_task, tmp_path / "finetuned", max_length=40)
    assert read_record(run / "info.json")["max_length"] == 40
