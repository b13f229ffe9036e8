"""Which tokens of a training text carry its influence: products with the factors, position by position."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from hyperinf.errors import InputError
from hyperinf.gradients import LiveSource
from hyperinf.gradients.contractions import Factors, LayerGradients
from hyperinf.gradients.kinds import kind_of
from hyperinf.gradients.losses import IGNORED
from hyperinf.gradients.sweeping import checked
from hyperinf.influence.statistics import GradientStatistics
from hyperinf.influence.sweeps import Vectors, in_units

INPUT, ANSWER, REST = "input", "answer", "rest"


@dataclass(frozen=True)
class TokenScores:
    """What a block of samples' tokens add to their influence.

    Attributes:
        sample_ids: ``b`` ids.
        tokens: ``{part: Tensor[b, t]}``, token ids, -1 where there is none; the parts are ``input`` and, of a
            sequence-to-sequence model, ``answer``.
        influence: ``{part: Tensor[b, t]}``, float64; zero where there is no token.
        rest: ``Tensor[b]``, what belongs to no token: of a head that sees a whole text, of positions that are padding.
    """

    sample_ids: tuple[str, ...]
    tokens: dict[str, Tensor]
    influence: dict[str, Tensor]
    rest: Tensor


def token_scores(source: LiveSource, product: Vectors, statistics: GradientStatistics) -> Iterator[TokenScores]:
    """Compute ``-sum_l <hvp_l, g_il>`` position by position in one sweep; uses ``product`` up.

    A weight's gradient is a sum over the positions that its module saw. What a position adds is what is learnt there:
    from the state of that token, and for all that the loss counts at it and after it.

    Args:
        source: the training samples.
        product: ``{layer: hvp}``.
        statistics: of the same samples.

    Raises:
        InputError: batches without ``input_ids``; of a sequence-to-sequence model, inputs and answers of one width,
            whose positions cannot be told apart.
    """
    stacked = {}
    for layer in source.layers:
        vectors, units = in_units(product.pop(layer)[None], statistics.exponents.get(layer, 0))
        stacked[layer] = vectors[0], None if units is None else units[0]
    blocks = checked(source, "train", statistics.sample_ids)
    for block, (_, batch) in zip(blocks, source.batches, strict=True):
        tokens = _tokens(source, batch, block.sample_ids)
        found = {part: torch.zeros(ids.shape, dtype=torch.float64) for part, ids in tokens.items()}
        rest = torch.zeros(len(block), dtype=torch.float64)
        for layer, (vector, units) in stacked.items():
            gradients = block.gradients[layer].scaled(-statistics.exponents.get(layer, 0))
            part = _part(gradients, found)
            if part is None or not isinstance(gradients, Factors):
                added = gradients.dots(vector[None])[:, 0].double()
                rest -= (added if units is None else added * units).cpu()
                continue
            added = gradients.dots_at(vector)
            added = (added if units is None else added * units).cpu()
            # A module that runs several times sees every position as often.
            found[part] -= added.unflatten(1, (-1, found[part].shape[1])).sum(dim=1)
        for part, ids in tokens.items():
            rest += torch.where(ids < 0, found[part], 0).sum(dim=1)
            found[part] = torch.where(ids < 0, 0, found[part])
        yield TokenScores(block.sample_ids, tokens, found, rest)
        del block


def _part(gradients: LayerGradients, parts: Mapping[str, Tensor]) -> str | None:
    """Find the part whose positions the factors' are."""
    if not isinstance(gradients, Factors):
        return None
    positions = gradients.left.shape[1]
    for name, values in parts.items():
        # Of two parts one may be as wide as several of the other.
        if positions == values.shape[1] or (len(parts) == 1 and positions % values.shape[1] == 0):
            return name
    return None


def _tokens(source: LiveSource, batch: Any, names: Sequence[str]) -> dict[str, Tensor]:
    ids = batch.get("input_ids") if isinstance(batch, Mapping) else None
    if not isinstance(ids, Tensor) or ids.ndim != 2:
        raise InputError(f"sample {names[0]!r}: got a batch without input_ids, expected texts to score tokens of")
    mask = batch.get("attention_mask")
    parts = {INPUT: ids.cpu() if mask is None else torch.where(mask.cpu() != 0, ids.cpu(), -1)}
    labels = batch.get("labels")
    if kind_of(source.model) == "sequence to sequence" and isinstance(labels, Tensor):
        if labels.shape[1] == ids.shape[1]:
            raise InputError(
                f"sample {names[0]!r}: got a batch with {ids.shape[1]} positions of inputs and of answers, expected"
                f" different numbers to tell them apart; pad one with a position more ({IGNORED} in labels)"
            )
        parts[ANSWER] = torch.where(labels.cpu() == IGNORED, -1, labels.cpu())
    return parts


def token_frame(scores: TokenScores) -> pd.DataFrame:
    """Lay the scores of a block out as rows: ``sample_id``, ``part``, ``position``, ``token`` and ``influence``.

    What belongs to no token is a row ``rest`` at position -1, where there is any.
    """
    columns = ["sample", "part", "position", "token", "influence"]
    found = []
    for part, ids in scores.tokens.items():
        there = ids >= 0
        positions = there.cumsum(dim=1)[there] - 1
        values = scores.influence[part][there]
        found.append((there.nonzero()[:, 0], [part] * len(values), positions, ids[there], values))
    left = scores.rest.nonzero()[:, 0]
    nowhere = torch.full_like(left, -1)
    found.append((left, [REST] * len(left), nowhere, nowhere, scores.rest[left]))
    frames = [pd.DataFrame(dict(zip(columns, map(np.asarray, each), strict=True))) for each in found]
    frame = pd.concat(frames, ignore_index=True).sort_values("sample", kind="stable", ignore_index=True)
    frame["sample"] = np.array(scores.sample_ids, dtype=object)[frame["sample"].to_numpy()]
    return frame.rename(columns={"sample": "sample_id"})
