"""Models made new from a shape, with random weights: for smoke runs, tests and measurements."""

from typing import Any

from hyperinf.errors import InputError
from hyperinf.models.vision_shapes import VISION_SHAPES, new_llava

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


def new_model(name: str, seed: int) -> tuple[Any, Any]:
    """A model of a known shape with random weights, and its tokenizer; of a vision-language model its processor.

    Args:
        name: one of ``SHAPES`` or ``VISION_SHAPES``.
        seed: of the weights.

    Raises:
        InputError: an unknown name.
    """
    if name in SHAPES:
        return new_causal(name, seed)
    if name in VISION_SHAPES:
        return new_llava(name, seed)
    raise InputError(f"shape:{name}: not known; expected one of {', '.join([*SHAPES, *VISION_SHAPES])}")


def new_causal(name: str, seed: int) -> tuple[Any, Any]:
    """A Llama of one of the ``SHAPES`` with random weights, and a tokenizer of bytes."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = byte_tokenizer()
    torch.manual_seed(seed)
    # No id to pad with: its embedding, and with tied weights its logit, would be zero, and it is the end's id as well,
    # so that no answer could ever come to its end.
    config = LlamaConfig(
        vocab_size=len(tokenizer),
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
