"""Samples that are too long: cut, left out everywhere, or refused all at once."""

import pandas as pd
import pytest
from stage_runs import finetuned, influence, questions, scored, selected
from tiny_models import word_tokenizer, write_tiny
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

from hyperinf.artifacts.records import read_record
from hyperinf.data.samples import read_samples
from hyperinf.errors import InputError
from hyperinf.settings.stages import Finetune

HOW = {"max_steps": 2, "batch_size": 4, "learning_rate": 5e-3}
LENGTHS = {"causal": 100, "classifier": 20}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Short questions, and one in six that is long: in bytes for a language model, in words for a classifier."""
    rows = [
        {"id": f"q{i}", "question": f"{i}: {'abc'[i % 3] * 5}{' w1 w2 w3' * (40 if i % 6 == 0 else 1)}?"}
        | {"choices": ["a", "b"], "answer": "ab"[i % 2]}
        for i in range(60)
    ]
    return questions(tmp_path_factory.mktemp("letters") / "prepared", rows, train=30, validation=10, test=20)


def is_long(sample):
    return len(sample.question) > 100


@pytest.fixture(params=["classifier", "causal"])
def family(request):
    return request.param


@pytest.fixture
def model(family, request):
    return request.getfixturevalue({"classifier": "tiny_bert", "causal": "tiny_llama"}[family])


def train(data, model, out, family="causal", **change):
    return finetuned(out, data, model, family, **{**HOW, "max_length": LENGTHS[family], **change})


def test_one_sample_too_long_does_not_stop_a_fine_tuning_and_is_told(data, model, family, tmp_path, caplog):
    info = read_record(train(data, model, tmp_path / "out", family) / "info.json")
    long = sum(map(is_long, read_samples(data, "train")))
    assert 0 < long == info["truncated"]["train"]
    told = [record.getMessage() for record in caplog.records]
    assert any(f"{long} of 30 " in line and f"more than {LENGTHS[family]} tokens" in line for line in told)
    assert "skipped" not in info


def test_too_long_is_refused_at_once_where_that_is_asked_for(data, model, family, tmp_path):
    with pytest.raises(InputError, match=rf"tokens.*at most.* {LENGTHS[family]}") as caught:
        train(data, model, tmp_path / "out", family, too_long="refuse")
    assert "'q" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_what_is_skipped_is_skipped_by_every_stage_and_written_down(data, model, family, tmp_path):
    run = train(data, model, tmp_path / "finetuned", family, too_long="skip")
    samples = read_samples(data, "train")
    assert read_record(run / "info.json")["skipped"] == [each.sample_id for each in samples if is_long(each)]
    left = [each.sample_id for each in samples if not is_long(each)]
    scores = scored(tmp_path / "scores", data, run, methods=("hyperinf",))
    assert pd.read_parquet(scores / "scores.parquet")["sample_id"].tolist() == left
    for fraction in (0.5, 1):
        out = selected(tmp_path / f"kept-{fraction}", data, run, scores, fraction=fraction, **HOW)
        kept = pd.read_parquet(out / "selection.parquet")
        assert set(kept["sample_id"]) <= set(left)
    assert len(kept) == len(left)


def test_skipping_all_is_refused(data, model, family, tmp_path):
    with pytest.raises(InputError, match="^max_length: .*"):
        train(data, model, tmp_path / "out", family, too_long="skip", max_length=4)


def test_what_is_none_of_the_choices_is_refused():
    with pytest.raises(ValueError, match="too_long"):
        Finetune(data="d", model="path:x", family="causal", seed=1, out="o", max_steps=1, too_long="cut")


@pytest.mark.parametrize(("kind", "target"), [("gpt2", "c_attn"), ("opt", "q_proj"), ("gpt_neox", "query_key_value")])
def test_a_model_s_own_positions_are_the_limit(data, tmp_path, caplog, kind, target):
    tokenizer = word_tokenizer()
    folder = write_tiny(tmp_path / kind, kind, AutoModelForCausalLM, tokenizer, max_position_embeddings=12)
    info = read_record(train(data, folder, tmp_path / "out", target_modules=(target,), max_length=128) / "info.json")
    assert info["max_length"] == 12
    assert "12 tokens are the model's limit, less than 128" in caplog.text


@pytest.mark.parametrize("family", ["causal", "vision"])
def test_an_encoder_is_refused_before_anything_is_written(data, tmp_path, family):
    folder = write_tiny(tmp_path / "bert", "bert", AutoModelForMaskedLM)
    with pytest.raises(InputError, match="got (an encoder|one of type 'bert')"):
        finetuned(tmp_path / "out", data, folder, family, **HOW)
    assert [path.name for path in tmp_path.iterdir()] == ["bert"]


def test_a_decoder_that_reads_ahead_is_refused_before_it_is_trained(data, tmp_path):
    folder = write_tiny(tmp_path / "model", "xlnet", AutoModelForCausalLM)
    with pytest.raises(InputError, match="XLNetLMHeadModel .*the answers") as caught:
        train(data, folder, tmp_path / "out", target_modules=("layer_1",), max_length=40)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("kind", ["gpt2", "gpt_neox", "opt", "falcon", "bloom", "phi"])
def test_the_last_layer_of_a_decoder_of_any_layout_is_trained_and_scored(data, tmp_path, kind):
    folder = write_tiny(tmp_path / kind, kind, AutoModelForCausalLM)
    run = train(data, folder, tmp_path / "finetuned", trained="last_layer", max_length=30)
    found = influence(scored(tmp_path / "scores", data, run, methods=("hyperinf",)))
    assert abs(found).max() > 0
    assert not pd.isna(found).any()
