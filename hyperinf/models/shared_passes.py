"""Log-likelihoods of continuations, each segment of tokens that rows share run once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hyperinf.models.prefix_cache import Extended, PrefixCache, extended
from hyperinf.models.prefixes import Segment, token_count
from hyperinf.runtime.progress import track


@dataclass(frozen=True)
class Continuation:
    """Tokens whose likelihood is wanted.

    Attributes:
        row: index of the row of tokens whose end it is; its own last token is no part of the row.
        begin: place in the row that predicts its first token.
        tokens: one or more ids.
    """

    row: int
    begin: int
    tokens: tuple[int, ...]


class SharedPasses:
    """Forward passes over segments, from the cache of what is before each.

    What comes after the segments of one batch is run before the next batch is, so that a cache is kept for one batch of
    each level. Such a batch has at most ``batch_size`` segments after it, and so half as many rows or fewer (or one);
    with a group's prefix, a question's and its choices all caches together have no more than twice a plain batch's
    rows. No batch has more logits than the longest continuations would have in a plain one (or it is one row).

    Args:
        model: a causal language model of transformers, in evaluation mode.
        continuations: all whose rows the segments have.
        pad: any token id.
        batch_size: rows of a batch.
    """

    def __init__(self, model: nn.Module, continuations: Sequence[Continuation], pad: int, batch_size: int) -> None:
        self._model = model
        self._continuations = continuations
        self._pad = pad
        self._batch_size = batch_size
        self._most = batch_size * max(len(each.tokens) for each in continuations)
        self._wanted: dict[int, list[int]] = {}
        for index, each in enumerate(continuations):
            self._wanted.setdefault(each.row, []).append(index)

    def likelihoods(self, segments: Sequence[Segment]) -> Tensor:
        """Log-likelihood of every continuation, ``Tensor[continuations]`` in float64; 0 where its row is in no segment.

        Raises:
            ValueError: the model does not put tokens into the cache.
        """
        self._found = torch.zeros(len(self._continuations), dtype=torch.float64)
        passes = self._run(segments, [0] * len(segments), None)
        for _ in track(passes, token_count(segments), "evaluation", "tokens", size=int):
            pass
        return self._found

    def _run(self, segments: Sequence[Segment], parents: Sequence[int], before: PrefixCache | None) -> Iterator[int]:
        """Run segments, each after a row of ``before``, and all that comes after them; yield each pass's tokens."""
        for chosen, keep in self._batches(segments, before is None):
            batch = [segments[index] for index in chosen]
            cache = self._passed(batch, [parents[index] for index in chosen], before, keep)
            yield sum(len(each.tokens) for each in batch)
            after = [(each, place) for place, segment in enumerate(batch) for each in segment.after]
            if after:
                yield from self._run([each for each, _ in after], [place for _, place in after], cache)
            del cache  # before the next one is made

    def _passed(
        self, batch: Sequence[Segment], parents: Sequence[int], before: PrefixCache | None, keep: int
    ) -> PrefixCache:
        """The cache after a pass over segments whose likelihoods are added."""
        past = None if before is None else before.taken(parents)
        passed = extended(self._model, past, [each.tokens for each in batch], self._pad, keep)
        self._add(batch, passed)
        return passed.cache

    def _batches(self, segments: Sequence[Segment], begins: bool) -> Iterator[tuple[list[int], int]]:
        """Indices of the segments that run together, and the number of columns from the last that have their logits.

        Segments of a batch are of about one length, and either all have others after them or none has.
        """
        first = [min((place for place, _, _ in self._targets(segment)), default=None) for segment in segments]

        def columns(batch: Sequence[int]) -> int:
            width = max(len(segments[index].tokens) for index in batch)
            # Rows that begin are padded at the left and end together; others begin together.
            ends = {index: segments[index].end if begins else segments[index].start + width for index in batch}
            return max((ends[index] - place for index in batch if (place := first[index]) is not None), default=1)

        chosen: list[int] = []
        following = 0
        for index in sorted(range(len(segments)), key=lambda at: (bool(segments[at].after), len(segments[at].tokens))):
            more, together = len(segments[index].after), [*chosen, index]
            if chosen and (
                max(len(together), following + more) > self._batch_size
                or len(together) * columns(together) > self._most
                or bool(more) != bool(following)
            ):
                yield chosen, columns(chosen)
                chosen, following = [], 0
            chosen.append(index)
            following += more
        yield chosen, columns(chosen)

    def _targets(self, segment: Segment) -> list[tuple[int, int, int]]:
        """Places in a segment, the tokens that they predict, and the continuations that these are of."""
        found = []
        for row in segment.rows:
            for index in self._wanted[row]:
                each = self._continuations[index]
                places = range(max(each.begin, segment.start), min(each.begin + len(each.tokens), segment.end))
                found += [(place, each.tokens[place - each.begin], index) for place in places]
        return found

    def _add(self, batch: Sequence[Segment], passed: Extended) -> None:
        """Add the log-likelihoods of the tokens that a batch predicts."""
        targets = [
            (row, first + place - segment.start, token, index)
            for row, (segment, first) in enumerate(zip(batch, passed.first, strict=True))
            for place, token, index in self._targets(segment)
        ]
        if not targets:
            return
        rows, columns, tokens, indices = torch.tensor(targets).T
        logits = passed.logits.float()
        chosen = logits[rows, columns, tokens] - logits.logsumexp(dim=-1)[rows, columns]
        self._found.index_add_(0, indices, chosen.double().cpu())
