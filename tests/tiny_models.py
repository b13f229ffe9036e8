"""Tiny base models with random weights, one of each architecture, as folders in the layout that the hub has."""

from pathlib import Path
from typing import Any

WORDS = [f"w{index}" for index in range(60)]
POSITIONS = 48
SIZES = {
    "vocab_size": 64,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": POSITIONS,
}
MARKED = {**SIZES, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "initializer_range": 0.3}
"""The same with ids of special tokens, and weights that tell two tokens apart."""
GPT = {"n_embd": 16, "n_layer": 2, "n_head": 2, "bos_token_id": 2, "eos_token_id": 2, "pad_token_id": None}
ENCODER_DECODER = {
    "d_model": 16,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
}
T5 = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2, "pad_token_id": 1, "eos_token_id": 2}
T5 |= {"decoder_start_token_id": 1}
ADDED: dict[str, dict[str, Any]] = {
    "albert": {"embedding_size": 16},
    "bart": ENCODER_DECODER,
    "big_bird": {"attention_type": "original_full", "block_size": 8},
    "bloom": {"n_layer": 2, "n_head": 2},
    "convbert": {"embedding_size": 16, "head_ratio": 1, "conv_kernel_size": 3},
    "ctrl": {"n_embd": 16, "dff": 32, "n_layer": 2, "n_head": 2},
    "deberta": {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_biased_input": False},
    "deberta-v2": {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_biased_input": False},
    "distilbert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32},
    "electra": {"embedding_size": 16},
    "fnet": {"tpu_short_seq_length": 16},
    "funnel": {"block_sizes": [1, 1], "d_model": 16, "n_head": 2, "d_head": 8, "d_inner": 32},
    "gemma": {"num_key_value_heads": 1, "head_dim": 8},
    "gpt2": GPT | {"n_positions": POSITIONS},
    "gpt_neo": {"num_layers": 2, "num_heads": 2, "attention_types": [[["global", "local"], 1]], "window_size": 8},
    "gptj": GPT | {"n_positions": POSITIONS, "rotary_dim": 4},
    "llama": {"num_key_value_heads": 1},
    "longformer": {"attention_window": [8, 8]},
    "mistral": {"num_key_value_heads": 1},
    "mixtral": {"num_key_value_heads": 1, "num_local_experts": 2},
    "modernbert": {"pad_token_id": 1, "local_attention": 8, "global_attn_every_n_layers": 2},
    "mpt": {"d_model": 16, "n_heads": 2, "n_layers": 2, "max_seq_len": POSITIONS},
    "nystromformer": {"num_landmarks": 4, "segment_means_seq_len": 48},
    "opt": {"ffn_dim": 32, "word_embed_proj_dim": 16},
    "phi3": {"pad_token_id": 1},
    "qwen2": {"num_key_value_heads": 1},
    "qwen3": {"num_key_value_heads": 1, "head_dim": 8},
    "squeezebert": {
        "embedding_size": 16,
        **{f"{part}_groups": 1 for part in ("q", "k", "v", "post_attention", "intermediate", "output")},
    },
    "t5": T5,
    "xlm": {"emb_dim": 16, "n_layers": 2, "n_heads": 2},
    "xlnet": {"d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 32},
}
# Names that these kinds of configuration do not take.
OTHER_SIZES = {"funnel", "xlnet"}


def tiny_config(kind: str, **changes: Any) -> Any:
    """The configuration of a tiny model of a type of transformers."""
    from transformers import AutoConfig

    common = {"vocab_size": 64} if kind in OTHER_SIZES else SIZES
    return AutoConfig.for_model(kind, **{**common, **ADDED.get(kind, {}), **changes})


def write_tiny(folder: Path, kind: str, auto: Any = None, tokenizer: Any = None, **changes: Any) -> Path:
    """A model of a type of transformers with its tokenizer.

    Args:
        folder: to write.
        kind: type of transformers.
        auto: transformers' class of such models; the base model without a head when None.
        tokenizer: that of words when None.
        **changes: of the configuration.
    """
    import torch
    from transformers import AutoModel, FunnelBaseModel

    config = tiny_config(kind, **changes)
    torch.manual_seed(0)
    model = FunnelBaseModel(config) if kind == "funnel" else (auto or AutoModel).from_config(config)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:  # at the usual 0.02 a random model hardly tells two words apart
                weight.copy_(torch.randn_like(weight) * 0.3)
    model.save_pretrained(folder)
    (tokenizer or word_tokenizer(ended=bool(config.is_encoder_decoder))).save_pretrained(folder)
    return folder


def word_tokenizer(ended: bool = False, pad: bool = True, **more: Any) -> Any:
    """A tokenizer of words.

    Args:
        ended: whether it puts ``</s>`` after every text.
        pad: whether it has a token to pad with.
        **more: of the tokenizer.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = {word: index for index, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", *WORDS])}
    inner = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if ended:
        inner.post_processor = processors.TemplateProcessing(
            single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 2)]
        )
    padding = {"pad_token": "<pad>"} if pad else {}
    names = ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="</s>", unk_token="<unk>", model_input_names=names, **padding, **more
    )
