"""What a model's texts are padded with, and how long they may be."""

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hyperinf.models.loading import load_tokenizer, loaded

_log = logging.getLogger(__name__)
PADDING_TOKENS = ("<pad>", "[PAD]", "<|padding|>", "<|pad|>", "<|finetune_right_pad_id|>", "<|vision_pad|>")
UNLIMITED = 10**6
"""From here on a tokenizer's own limit is none: transformers writes 1e30 where it does not know."""
RELATIVE = ("t5", "mt5", "umt5", "switch_transformers", "xlnet", "transfo-xl", "funnel", "bloom", "mamba", "mamba2")
"""Kinds of models whose positions have no last one, whatever their configuration says."""


def ensure_padding(tokenizer: Any, pad: int | None = None, size: int | None = None) -> str | None:
    """Give a tokenizer a token to pad with, where it has none: as decoders come, which were trained on full rows.

    Args:
        tokenizer: of transformers.
        pad: the id that the model's configuration names, if any.
        size: of the model's vocabulary: a token beyond it has no embedding.

    Returns:
        The token that was chosen, None where there was one.
    """
    vocabulary = {token: index for token, index in tokenizer.get_vocab().items() if size is None or index < size}
    if tokenizer.pad_token in vocabulary:
        return None
    named = tokenizer.convert_ids_to_tokens(pad) if pad is not None and 0 <= pad < len(tokenizer) else None
    # A classifier reads the last token that is not padding: the one that ends every text must not be taken for it.
    ends = tokenizer("a")["input_ids"][-1:] == [tokenizer.eos_token_id]
    candidates = [
        named,
        *(token for token in PADDING_TOKENS if token in vocabulary),
        None if ends else tokenizer.eos_token,
        tokenizer.unk_token,
        tokenizer.eos_token,
        min(vocabulary, key=lambda token: vocabulary[token]),
    ]
    chosen: str = next(token for token in candidates if token in vocabulary)
    tokenizer.pad_token = chosen
    return chosen


def longest_text(whole: Any, tokenizer: Any) -> int | None:
    """Tell how many tokens a model reads at the most, None for one without a limit.

    The smaller of what its tokenizer says and of the positions that it has, less those that RoBERTa and its like leave
    out before the first token.

    Args:
        whole: the model's configuration.
        tokenizer: its tokenizer.
    """
    config = whole.get_text_config()
    limits = [tokenizer.model_max_length] if tokenizer.model_max_length < UNLIMITED else []
    relative = config.model_type in RELATIVE or getattr(config, "position_biased_input", True) is False
    for name in () if relative else ("max_position_embeddings", "n_positions", "max_seq_len"):
        positions = getattr(config, name, None)
        if isinstance(positions, int) and positions > 0:
            limits.append(positions - _left_out(config))
            break
    return min(limits, default=None)


def _left_out(config: Any) -> int:
    """Positions before that of the first token: RoBERTa counts from behind its padding id."""
    from transformers import AutoModel

    try:
        module = AutoModel._model_mapping[type(config)].__module__
    except (KeyError, AttributeError):
        return 0
    source = sys.modules[module]
    counts = any(hasattr(value, "create_position_ids_from_input_ids") for value in vars(source).values())
    counts = counts or hasattr(source, "create_position_ids_from_input_ids")
    padding = 1 if config.model_type == "mpnet" else int(config.pad_token_id or 0)  # MPNet's is written into its code
    return padding + 1 if counts else 0


@dataclass(frozen=True)
class TextReader:
    """A tokenizer that can pad, and the most tokens that its model reads of a text.

    Attributes:
        tokenizer: of transformers.
        max_length: tokens of a sample, at most.
        padding: the token that was chosen to pad with, None where the tokenizer had one.
    """

    tokenizer: Any
    max_length: int
    padding: str | None

    @classmethod
    def opened(cls, folder: str, max_length: int) -> "TextReader":
        """Open the tokenizer of a model, and bound the tokens of a sample by what the model reads.

        Args:
            folder: local model folder or hub name.
            max_length: tokens that are asked for.

        Raises:
            InputError: there is no tokenizer or no configuration.
        """
        from transformers import AutoConfig

        tokenizer = load_tokenizer(folder)
        config = loaded(folder, "model", lambda: AutoConfig.from_pretrained(folder, trust_remote_code=False))
        text = config.get_text_config()
        padding = ensure_padding(tokenizer, getattr(text, "pad_token_id", None), getattr(text, "vocab_size", None))
        limit = longest_text(config, tokenizer)
        return cls(tokenizer, max_length if limit is None else min(max_length, limit), padding)

    def record(self, asked: int) -> dict[str, Any]:
        """Say what differs from what was asked for, for a record; nothing where nothing does."""
        found: dict[str, Any] = {}
        if self.padding is not None:
            found["padding_token"] = self.padding
        if self.max_length < asked:
            found["max_length"] = self.max_length
        return found


def warn_of_limits(reader: TextReader, asked: int, truncated: Mapping[str, int]) -> None:
    """Say once what a model does not read of its texts.

    Args:
        reader: of the texts.
        asked: ``max_length`` that was asked for.
        truncated: ``{split: texts that are cut}``.
    """
    found = ", ".join(f"{count:,} of {name}" for name, count in truncated.items() if count) or "none"
    if reader.max_length < asked:
        _log.warning(
            "max_length: got %d, but the model reads %d tokens at the most; longer texts are cut there: %s",
            asked,
            reader.max_length,
            found,
        )
    if reader.padding is not None:
        _log.warning("the tokenizer has no padding token: %r is taken", reader.padding)
