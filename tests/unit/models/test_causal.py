import json

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from hyperinf.errors import InputError
from hyperinf.models.causal import decoder_layers, load_causal
from hyperinf.models.shapes import byte_tokenizer
from hyperinf.models.trainable import adapt, load_trained, restore, save_trained, trained_weights
from hyperinf.pipeline.prepare_model import prepare_model
from hyperinf.settings.stages import PrepareModel
from hyperinf.settings.training import Adaptation

LORA = Adaptation(rank=2, target_modules=("q_proj", "v_proj"))
LAST_LAYER = Adaptation(trained="last_layer")


def prepare(source, out, **settings):
    prepare_model(PrepareModel(source=source, out=str(out), **settings))


def test_a_shape_gives_the_same_model_for_the_same_seed_and_says_that_its_weights_are_random(tiny_llama, tmp_path):
    prepare("shape:llama_tiny", tmp_path / "again")
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (tiny_llama / "model.safetensors").read_bytes()
    assert json.loads((tiny_llama / "prepared.json").read_text())["note"] == "llama_tiny with random weights"


def test_the_tiny_model_can_learn_where_an_answer_ends(tiny_llama):
    model = load_causal(str(tiny_llama))
    end = AutoTokenizer.from_pretrained(tiny_llama).eos_token_id
    # Weights are tied: an end whose row is zero would have the logit 0 whatever is trained.
    assert model.get_output_embeddings().weight[end].abs().sum() > 0


def test_a_cut_model_computes_what_the_first_layers_of_the_whole_one_compute(tiny_llama, tmp_path):
    prepare(f"path:{tiny_llama}", tmp_path / "cut", layers=1)
    whole = AutoModelForCausalLM.from_pretrained(tiny_llama)
    cut = load_causal(str(tmp_path / "cut"))
    ids = torch.arange(1, 9)[None]
    with torch.no_grad():
        # hidden_states[1] is what layer 1 gives; the model's own norm and output layer follow.
        hidden = whole(ids, output_hidden_states=True).hidden_states[1]
        expected = whole.lm_head(whole.model.norm(hidden))
        torch.testing.assert_close(cut(ids).logits, expected)
    assert len(decoder_layers(cut)) == 1
    note = json.loads((tmp_path / "cut" / "prepared.json").read_text())["note"]
    assert note.endswith("cut to the first 1 of its 2 decoder layers")
    assert AutoTokenizer.from_pretrained(tmp_path / "cut")("a")["input_ids"] == byte_tokenizer()("a")["input_ids"]


def test_more_layers_than_there_are_is_refused_and_nothing_is_written(tiny_llama, tmp_path):
    with pytest.raises(InputError, match="layers: 3 .*expected 1 to 2"):
        prepare(f"path:{tiny_llama}", tmp_path / "cut", layers=3)
    assert not (tmp_path / "cut").exists()


def test_a_model_that_was_read_from_a_gguf_file_can_be_saved_and_loaded_again(tiny_llama, tmp_path):
    gguf = pytest.importorskip("gguf")
    path = tmp_path / "tiny.gguf"
    model = AutoModelForCausalLM.from_pretrained(tiny_llama)
    write_gguf(gguf, path, model, AutoTokenizer.from_pretrained(tiny_llama))
    prepare(f"path:{path}", tmp_path / "plain")
    ids = torch.arange(1, 9)[None]
    with torch.no_grad():
        again = load_causal(str(tmp_path / "plain"))(ids).logits
        torch.testing.assert_close(again, model(ids).logits, atol=1e-4, rtol=1e-4)


def test_bytes_come_back_as_the_text_they_were():
    tokenizer = byte_tokenizer()
    text = " naïve\n√ text"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert len(tokenizer(text)["input_ids"]) == len(text.encode())


@pytest.mark.parametrize("adaptation", [LORA, LAST_LAYER], ids=["lora", "last layer"])
def test_trained_weights_come_back_from_the_folder_and_from_a_copy(tiny_llama, tmp_path, adaptation):
    model = adapt(load_causal(str(tiny_llama)), adaptation, 3)
    fresh = trained_weights(model)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    trained = trained_weights(model)
    save_trained(model, "path:somewhere", tmp_path)
    restore(model, fresh)
    assert all(torch.equal(weight, fresh[name]) for name, weight in trained_weights(model).items())
    other = adapt(load_causal(str(tiny_llama)), adaptation, 4)
    load_trained(other, tmp_path)
    assert trained_weights(other).keys() == trained.keys()
    assert all(torch.equal(weight, trained[name]) for name, weight in trained_weights(other).items())


def test_dense_training_opens_the_linear_layers_of_the_last_decoder_layer_and_nothing_else(tiny_llama):
    names = set(trained_weights(adapt(load_causal(str(tiny_llama)), LAST_LAYER, 0)))
    attention = {f"model.layers.1.self_attn.{part}_proj.weight" for part in "qkvo"}
    assert names == attention | {f"model.layers.1.mlp.{part}_proj.weight" for part in ("gate", "up", "down")}


def test_weights_of_another_model_are_refused(tiny_llama, tmp_path):
    save_trained(adapt(load_causal(str(tiny_llama)), LAST_LAYER, 0), "path:x", tmp_path)
    with pytest.raises(InputError, match="no adapter_model.safetensors"):
        load_trained(adapt(load_causal(str(tiny_llama)), LORA, seed=0), tmp_path)


def write_gguf(gguf, path, model, tokenizer):
    """A float32 GGUF file of a small Llama with a byte-level tokenizer, as llama.cpp lays it out."""
    config = model.config
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3] + [1] * (len(tokens) - 1))
    writer.add_token_scores([0.0] * len(tokens))  # no merges: transformers derives them from scores
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_bos_token_id(tokenizer.eos_token_id)
    names = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.o_proj": "attn_output"}
    names |= {f"self_attn.{part}_proj": f"attn_{part}" for part in "qkv"}
    names |= {f"mlp.{part}_proj": f"ffn_{part}" for part in ("gate", "up", "down")}
    for key, weight in model.state_dict().items():
        array = weight.detach().numpy()
        if key == "lm_head.weight":
            continue
        if key.startswith("model.layers."):
            _, _, layer, rest = key.split(".", 3)
            part = rest.removesuffix(".weight")
            heads = {"self_attn.q_proj": config.num_attention_heads, "self_attn.k_proj": config.num_key_value_heads}
            if part in heads:  # llama.cpp interleaves the two halves of each head
                shape = (heads[part], 2, array.shape[0] // heads[part] // 2, array.shape[1])
                array = array.reshape(shape).swapaxes(1, 2).reshape(array.shape).copy()
            writer.add_tensor(f"blk.{layer}.{names[part]}.weight", array)
        else:
            writer.add_tensor(
                {"model.embed_tokens": "token_embd", "model.norm": "output_norm"}[key[:-7]] + ".weight", array
            )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
