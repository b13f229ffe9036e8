"""Tiny models in the hub's layout, as a base model comes: weights without a head, and a tokenizer of words."""

from pathlib import Path
from typing import Any

from architectures import VOCABULARY, Architecture

from hyperinf.models.shapes import byte_tokenizer

WORDS = [f"w{index}" for index in range(VOCABULARY - 6)]


def word_tokenizer(row: Architecture) -> Any:
    """Words of the vocabulary; decoders have no padding token, as the hub's mostly have none."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokens = ["[PAD]", "[BOS]", "[EOS]", "[UNK]", "[CLS]", "[SEP]", *WORDS]
    inner = Tokenizer(models.WordLevel({token: index for index, token in enumerate(tokens)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"unk_token": "[UNK]", "bos_token": "[BOS]", "eos_token": "[EOS]"}
    if is_decoder(row):
        return PreTrainedTokenizerFast(tokenizer_object=inner, **special)
    ends = [("[EOS]", 2)]
    inner.post_processor = processors.TemplateProcessing(
        single="$A [EOS]", pair="$A [EOS] $B [EOS]", special_tokens=ends
    )
    side = "left" if row.kind == "xlnet" else "right"
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="[PAD]", padding_side=side, **special)


def is_decoder(row: Architecture) -> bool:
    return (row.name.endswith("as a classifier") and row.kind not in ("t5", "bart")) or row.task == "causal"


def write_base(row: Architecture, folder: Path) -> Path:
    """Write the row's model without a head."""
    import torch
    import transformers

    # Of Qwen2 transformers reads the vocabulary alone, as one of bytes; questions need more than a few words.
    bytes_ = row.kind == "qwen2" or row.task == "causal"
    config = transformers.AutoConfig.for_model(row.kind, **{**row.sizes, **({"vocab_size": 300} if bytes_ else {})})
    if is_decoder(row):
        config.pad_token_id = None
    torch.manual_seed(0)
    auto = transformers.AutoModelForCausalLM if row.task == "causal" else transformers.AutoModel
    if row.kind == "funnel":
        auto = transformers.AutoModelForMaskedLM  # whose classifiers read no decoder, but whose base has one
    auto.from_config(config).save_pretrained(folder)
    (byte_tokenizer() if bytes_ else word_tokenizer(row)).save_pretrained(folder)
    return folder
