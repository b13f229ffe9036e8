"""Questions that are too long: cut, left out everywhere, or refused all at once."""

import json

import pandas as pd
import pytest
from hyperinf.data.questions import QuestionTaskConfig, prepare_questions, read_questions
from hyperinf.pipeline.selection.finetune import KeepConfig, run_kept
from hyperinf.pipeline.selection.gradients import pool_gradients
from hyperinf.pipeline.selection.model import ModelConfig, RunPaths
from hyperinf.pipeline.selection.run import SelectionKey
from hyperinf.pipeline.selection.score import PoolScoreConfig, run_pool_scores
from hyperinf.pipeline.selection.warmup import WarmupConfig, run_warmup
from tiny_models import word_tokenizer, write_tiny
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

from hyperinf.artifacts.records import read_record
from hyperinf.data.sources import parse_source
from hyperinf.errors import InputError
from hyperinf.models.lora import LoraSettings
from hyperinf.pipeline.scoring import ScoringOptions
from hyperinf.pipeline.sharding.parts import Shard
from hyperinf.training.loop import TrainingSettings

TRAINING = TrainingSettings(steps=2, batch_size=4, learning_rate=5e-3, seed=1)
KEY = SelectionKey("letters", "tiny", 1)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Short questions, and one in six that is long."""
    folder = tmp_path_factory.mktemp("letters")
    rows = [
        {"id": f"q{i}", "question": f"{i}: {'abc'[i % 3] * (300 if i % 6 == 0 else 5)}?", "choices": ["a", "b"]}
        | {"answer": "ab"[i % 2]}
        for i in range(60)
    ]
    (folder / "letters.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    source = parse_source(f"path:{folder / 'letters.jsonl'}")
    task = {"source": source, "format": "record", "template": "question", "pool": 30, "validation": 10, "test": 20}
    prepare_questions(QuestionTaskConfig(**task, seed=1), folder / "prepared")
    return folder / "prepared"


def is_long(question):
    return len(question.question) > 100


def warm_up(data, model, out, targets=("q_proj",), **change):
    config = ModelConfig(f"path:{model}", LoraSettings(2, targets), 1, **{"max_length": 100, **change})
    run_warmup(WarmupConfig(config, TRAINING), RunPaths(data), out.with_name("state"), out)
    return out


def test_one_question_too_long_does_not_stop_a_warm_up_and_is_told(data, tiny_llama, tmp_path, caplog):
    info = read_record(warm_up(data, tiny_llama, tmp_path / "out") / "info.json")
    long = sum(map(is_long, read_questions(data, "pool")))
    assert 0 < long == info["truncated"]
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{long} of 30 samples need more than 100 tokens without their context")
    assert "skipped" not in info


def test_all_too_long_are_refused_at_once_where_that_is_asked_for(data, tiny_llama, tmp_path):
    with pytest.raises(InputError, match="samples need too many tokens, .* at most max_length, 100: 'q"):
        warm_up(data, tiny_llama, tmp_path / "out", too_long="refuse")
    assert not (tmp_path / "out").exists()


def test_what_is_skipped_is_skipped_by_every_stage_and_written_down(data, tiny_llama, tmp_path):
    warmup = warm_up(data, tiny_llama, tmp_path / "warmup", too_long="skip")
    pool = read_questions(data, "pool")
    info = read_record(warmup / "info.json")
    assert info["skipped"] == [question.sample_id for question in pool if is_long(question)]
    left = [question.sample_id for question in pool if not is_long(question)]
    places = RunPaths(data)
    run_pool_scores(PoolScoreConfig(KEY, ScoringOptions(("hyperinf",))), places, warmup, tmp_path / "scores")
    scores = pd.read_parquet(tmp_path / "scores" / "scores.parquet")
    assert scores["sample_id"].tolist() == left
    assert len(pool_gradients(Shard(), places, warmup, 4)[0]) == len(left)
    for percent, file in ((50, tmp_path / "scores" / "scores.parquet"), (100, None)):
        config = KeepConfig(KEY, percent, TRAINING, ("plain",), ("hyperinf",))
        run_kept(config, places, warmup, file, tmp_path / "state", tmp_path / f"kept-{percent}")
        kept = pd.read_parquet(tmp_path / f"kept-{percent}" / "selection.parquet")
        assert set(kept["sample_id"]) <= set(left)
    assert len(kept) == len(left)


def test_skipping_all_is_refused(data, tiny_llama, tmp_path):
    with pytest.raises(InputError, match="max_length: got 4, too few tokens for any of 30 samples"):
        warm_up(data, tiny_llama, tmp_path / "out", too_long="skip", max_length=4)


def test_what_is_none_of_the_choices_is_refused():
    with pytest.raises(InputError, match="too_long: expected one of truncate, skip, refuse, got 'cut'"):
        ModelConfig("path:x", LoraSettings(2), 1, too_long="cut")


@pytest.mark.parametrize(("kind", "target"), [("gpt2", "c_attn"), ("opt", "q_proj"), ("gpt_neox", "query_key_value")])
def test_a_model_s_own_positions_are_the_limit(data, tmp_path, caplog, kind, target):
    tokenizer = word_tokenizer()
    folder = write_tiny(tmp_path / kind, kind, AutoModelForCausalLM, tokenizer, max_position_embeddings=12)
    info = read_record(warm_up(data, folder, tmp_path / "out", (target,), max_length=128) / "info.json")
    assert info["max_length"] == 12
    assert "12 tokens are the model's limit, less than 128" in caplog.text


@pytest.mark.parametrize("family", ["language", "vision"])
def test_an_encoder_is_refused_before_anything_is_written(data, tmp_path, family):
    folder = write_tiny(tmp_path / "bert", "bert", AutoModelForMaskedLM)
    with pytest.raises(InputError, match="got (an encoder|one of type 'bert')"):
        warm_up(data, folder, tmp_path / "out", family=family)
    assert [path.name for path in tmp_path.iterdir()] == ["bert"]


def test_a_decoder_that_reads_ahead_is_refused_before_it_is_trained(data, tmp_path):
    folder = write_tiny(tmp_path / "model", "xlnet", AutoModelForCausalLM)
    with pytest.raises(InputError, match="a XLNetLMHeadModel that sees the answers") as caught:
        warm_up(data, folder, tmp_path / "out", ("layer_1",), max_length=40)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("kind", ["gpt2", "gpt_neox", "opt", "falcon", "bloom", "phi"])
def test_the_last_layer_of_a_decoder_of_any_layout_is_trained_and_scored(data, tmp_path, kind):
    folder = write_tiny(tmp_path / kind, kind, AutoModelForCausalLM)
    config = ModelConfig(f"path:{folder}", None, 1, ("last_layer",), max_length=30)
    run_warmup(WarmupConfig(config, TRAINING), RunPaths(data), tmp_path / "state", tmp_path / "warmup")
    settings = PoolScoreConfig(KEY, ScoringOptions(("hyperinf",)))
    run_pool_scores(settings, RunPaths(data), tmp_path / "warmup", tmp_path / "scores")
    scores = pd.read_parquet(tmp_path / "scores" / "scores.parquet")
    assert scores["influence_hyperinf"].notna().all()
    assert scores["influence_hyperinf"].abs().max() > 0
