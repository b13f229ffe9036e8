"""What a model remembers of the tokens that rows begin with: keys and values that many rows go on from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hyperinf.models.language import left_padded


@dataclass(frozen=True)
class PrefixCache:
    """Keys and values of b rows of tokens.

    Each row's tokens lie in one piece, with padding before and after it: distances between columns are distances
    between tokens, which sliding windows and ALiBi count by.

    Attributes:
        cache: of transformers; each layer's keys and values are ``[b, heads, columns, size]``.
        lengths: tokens of each row, ``Tensor[b]`` on the CPU.
        ends: column after each row's last token, ``Tensor[b]`` on the CPU.
    """

    cache: Any
    lengths: Tensor
    ends: Tensor

    def taken(self, rows: Sequence[int]) -> "PrefixCache":
        """Copy rows, any of them any number of times, moved so that each ends at the last column."""
        from transformers import DynamicCache

        index = torch.tensor(rows)
        lengths, ends = self.lengths[index], self.ends[index]
        width = int(lengths.max())
        columns = (ends[:, None] - width + torch.arange(width)).clamp(min=0)  # what is cut off at 0 is padding
        cache = DynamicCache()
        for number, (keys, values, *_) in enumerate(self.cache):
            where = index[:, None].to(keys.device), columns.to(keys.device)
            cache.update(*(part.transpose(1, 2)[where].transpose(1, 2) for part in (keys, values)), number)
        return PrefixCache(cache, lengths, torch.full_like(lengths, width))


@dataclass(frozen=True)
class Extended:
    """What a forward pass over further tokens of b rows gives.

    Attributes:
        logits: of the last columns, ``Tensor[b, k, vocabulary]``.
        first: column of ``logits`` where each row's first token would stand, b numbers, negative where it is cut off.
        cache: of these and all earlier tokens.
    """

    logits: Tensor
    first: list[int]
    cache: PrefixCache


def extended(
    model: nn.Module, before: PrefixCache | None, tokens: Sequence[Sequence[int]], pad: int, keep: int
) -> Extended:
    """Run the next tokens of b rows.

    Args:
        model: a causal language model of transformers.
        before: what :meth:`PrefixCache.taken` gave, which becomes part of the result; None where rows begin.
        tokens: b lists of one or more ids.
        pad: any token id.
        keep: columns whose logits are wanted, from the last one.

    Raises:
        ValueError: the model did not put the tokens into the cache.
    """
    from transformers import DynamicCache

    device = next(model.parameters()).device
    counts = torch.tensor([len(row) for row in tokens])
    width = int(counts.max())
    # A cache that knows nothing of the model keeps all tokens, also for layers with a sliding window: cut to the window
    # it could not be moved. Which tokens such a layer sees is for the model's mask to say.
    if before is None:
        cache, columns, lengths = DynamicCache(), width, counts
        batch, ends = left_padded(tokens, pad), torch.full_like(counts, width)
        first = width - counts
    else:
        cache, columns, lengths = before.cache, int(before.ends[0]) + width, before.lengths + counts
        batch, ends = _right_padded(tokens, pad, before), columns - width + counts
        first = torch.zeros_like(counts)
    moved = {key: value.to(device) for key, value in batch.items()}
    output = model(**moved, past_key_values=cache, use_cache=True, logits_to_keep=keep)
    if cache.get_seq_length() != columns:
        raise ValueError(f"cache: got {cache.get_seq_length()} columns, expected {columns}")
    return Extended(output.logits, (first - width + keep).tolist(), PrefixCache(cache, lengths, ends))


def _right_padded(tokens: Sequence[Sequence[int]], pad: int, before: PrefixCache) -> dict[str, Tensor]:
    """``input_ids`` and ``position_ids`` ``[b, t]``, and ``attention_mask`` ``[b, columns + t]``."""
    columns, longest = int(before.ends[0]), max(map(len, tokens))
    ids = torch.full((len(tokens), longest), pad)
    mask = torch.zeros_like(ids)
    for place, row in enumerate(tokens):
        ids[place, : len(row)] = torch.tensor(row)
        mask[place, : len(row)] = 1
    earlier = (torch.arange(columns) >= columns - before.lengths[:, None]).long()
    return {
        "input_ids": ids,
        "attention_mask": torch.cat([earlier, mask], dim=1),
        # No more than the row has, as a model may not know more.
        "position_ids": before.lengths[:, None] + (mask.cumsum(dim=1) - 1),
    }
