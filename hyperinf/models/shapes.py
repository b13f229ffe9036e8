"""Models made new from a shape, with random weights: for smoke runs, tests and measurements."""

from typing import Any

from hyperinf.errors import InputError

SHAPES: dict[str, dict[str, Any]] = {
    "llama_tiny": {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "tie_word_embeddings": True,
    },
}


def new_causal(name: str, seed: int) -> tuple[Any, Any]:
    """A Llama of a known shape with random weights, and a tokenizer of bytes.

    Args:
        name: one of ``SHAPES``.
        seed: of the weights.

    Raises:
        InputError: an unknown name.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    if name not in SHAPES:
        raise InputError(f"shape:{name}: not known; expected one of {', '.join(SHAPES)}")
    tokenizer = byte_tokenizer()
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        **SHAPES[name],
    )
    return LlamaForCausalLM(config), tokenizer


def byte_tokenizer() -> Any:
    """A tokenizer whose tokens are bytes, and one that ends a text: it needs no training and no download."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    end = "<|end|>"
    vocabulary = {token: index for index, token in enumerate([end, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=end, pad_token=end)
