"""How long a text may be: positions of the model, the tokenizer's word, none where positions are relative."""

import pytest
import torch
from tiny_models import POSITIONS, tiny_config, word_tokenizer, write_tiny

from hyperinf.models.classifier import load_classifier
from hyperinf.models.padding import bounded, longest_input


@pytest.mark.parametrize(
    ("kind", "limit"),
    [
        ("bert", POSITIONS),
        ("roberta", POSITIONS - 2),  # positions begin behind the padding's
        ("camembert", POSITIONS - 2),
        ("xlm-roberta", POSITIONS - 2),
        ("mpnet", POSITIONS - 2),  # relative, but with a table as well
        ("bart", POSITIONS),
        ("gpt2", POSITIONS),
        ("opt", POSITIONS),
        ("llama", POSITIONS),
        ("mpt", POSITIONS),
        ("modernbert", POSITIONS),
        ("deberta-v2", None),
        ("t5", None),
        ("xlnet", None),
    ],
)
def test_the_limit_is_the_longest_text_that_the_model_can_read(tmp_path, kind, limit):
    model = load_classifier(str(write_tiny(tmp_path / kind, kind)), 2, seed=0).eval()
    assert longest_input(word_tokenizer(), model.config, model) == limit
    assert longest_input(word_tokenizer(model_max_length=20), model.config, model) == 20
    ids = torch.arange(limit or 3 * POSITIONS)[None] % 40 + 10
    if model.config.is_encoder_decoder:
        ids[0, -1] = model.config.eos_token_id
    with torch.no_grad():
        assert model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.isfinite().all()


@pytest.mark.parametrize("kind", ["gpt2", "gpt_neox", "llama", "opt", "gptj"])
def test_the_configuration_alone_tells_a_decoder_s_limit(kind):
    assert longest_input(word_tokenizer(), tiny_config(kind)) == POSITIONS


def test_positions_of_t5_s_configuration_are_no_limit():
    assert longest_input(word_tokenizer(), tiny_config("t5", n_positions=512)) is None


def test_a_text_model_within_another_has_its_own_limit():
    from transformers import LlamaConfig, LlavaConfig

    config = LlavaConfig(text_config=LlamaConfig(max_position_embeddings=77))
    assert longest_input(word_tokenizer(), config) == 77


def test_what_is_asked_for_is_bounded_and_no_more():
    assert (bounded(128, None), bounded(128, 512), bounded(128, 46)) == (128, 128, 46)
