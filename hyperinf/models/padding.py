"""What pads a batch, and how long a text may be: what tokenizer and model have to agree on."""

from typing import Any

from torch import Tensor, nn

# A tokenizer that does not know its limit says 10**30.
UNLIMITED = 10**9
# transformers' names of tables of learned positions.
TABLES = ("position_embeddings", "embed_positions", "wpe")


def agree_on_padding(tokenizer: Any, config: Any) -> str | None:
    """Give tokenizer and model a token to pad with where they have none, and the side that the model reads from.

    No token is added, as the model has no embedding of it. Which one it is does not matter: padding is masked.
    Padding stands at the right, where it changes no position, but for models that read the last position of a batch.

    Args:
        tokenizer: of transformers; changed in place.
        config: of the model; changed in place.

    Returns:
        The token that was chosen; None where the tokenizer had one.
    """
    text = config.get_text_config()
    chosen = None
    if tokenizer.pad_token_id is None:
        ids = [
            getattr(text, "pad_token_id", None),
            tokenizer.eos_token_id,
            tokenizer.unk_token_id,
            *tokenizer.all_special_ids,
            0,
        ]
        first = next(each for each in ids if each is not None and 0 <= each < len(tokenizer))
        chosen = tokenizer.pad_token = str(tokenizer.convert_ids_to_tokens(first))
    tell_padding(config, tokenizer.pad_token_id)
    tokenizer.padding_side = "left" if getattr(config, "summary_type", None) == "last" else "right"
    return chosen


def tell_padding(config: Any, token: int) -> None:
    """Give a configuration, and that of its text model, a token to pad with where it has none."""
    for each in (config, config.get_text_config()):
        if getattr(each, "pad_token_id", None) is None:
            each.pad_token_id = token


def read_last_token(model: Any) -> None:
    """Let a decoder's head read the last token that is not masked.

    transformers looks for the last token that is not the padding's by its id: where a text ends with that very token,
    as with ``<|endoftext|>`` for both, it takes the one before. The head is given the hidden state of the last real
    token at every position, so that whichever is taken is the right one.

    Args:
        model: a classifier of transformers; nothing changes for one whose head reads a pooled state.
    """
    heads = [module for name, module in model.named_children() if name != model.base_model_prefix]
    heads = [module for module in heads if any(True for _ in module.parameters())]
    if model.config.is_encoder_decoder or len(heads) != 1 or not isinstance(heads[0], nn.Linear):
        return
    masks: list[Tensor | None] = [None]

    def note(_: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        masks[0] = named.get("attention_mask", arguments[1] if len(arguments) > 1 else None)

    def last(_: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
        (states,), mask = arguments, masks[0]
        if states.ndim != 3 or mask is None:
            return None
        positions = mask.new_ones(mask.shape).cumsum(dim=1) * (mask != 0)
        rows = positions.argmax(dim=1)[:, None, None].expand(-1, 1, states.shape[2])
        return (states.gather(1, rows).expand_as(states),)

    # PEFT calls the forward method of the classifier itself, past its hooks; the base model is called as ever.
    model.base_model.register_forward_pre_hook(note, with_kwargs=True)
    heads[0].register_forward_pre_hook(last)


def bounded(max_length: int, limit: int | None) -> int:
    """The tokens that are asked for, or so many as the model can take."""
    return max_length if limit is None else min(max_length, limit)


def longest_input(tokenizer: Any, config: Any, model: Any = None) -> int | None:
    """How many tokens a text may have: what the tokenizer says, and the positions that the model knows.

    Args:
        tokenizer: of transformers.
        config: of the model. Models that know only relative positions have no limit.
        model: with its tables of positions, of which some rows may stand for padding (RoBERTa); None without.

    Returns:
        Tokens; None without a limit.
    """
    text = config.get_text_config()
    tables = [] if model is None else _position_tables(model)
    relative = any(getattr(text, name, None) for name in ("relative_attention", "relative_attention_num_buckets"))
    names = ("max_position_embeddings", "n_positions", "max_seq_len", "max_encoder_position_embeddings")
    known = [getattr(text, name, None) for name in names] if tables or not relative else []
    limits = [tokenizer.model_max_length, *known, *tables]
    return min((int(each) for each in limits if each is not None and 0 < each < UNLIMITED), default=None)


def _position_tables(model: nn.Module) -> list[int]:
    """Positions that each table of learned ones has; rows up to the padding's own are no positions."""
    return [
        module.num_embeddings - (0 if module.padding_idx is None else module.padding_idx + 1)
        for name, module in model.named_modules()
        if isinstance(module, nn.Embedding) and name.rpartition(".")[2] in TABLES
    ]
