"""Draw training, validation and test samples that share no text."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from hyperinf.data.corpus import Corpus, Example
from hyperinf.data.roles import Assignment
from hyperinf.errors import InputError

ROLES = ("validation", "test", "train")
"""The order of drawing: with a seed fixed, asking for more training samples changes neither of the others."""


@dataclass(frozen=True)
class Drawn:
    """Samples by role, and how they came about.

    Attributes:
        examples: ``train``, ``validation`` and ``test``.
        drawn_from: for each role, how many samples came from which split of the source.
        duplicates: samples left out because their text is there already, with the same label.
        contradictory: ids of samples left out because their text is there with different labels.
    """

    examples: Mapping[str, Sequence[Example]]
    drawn_from: Mapping[str, Mapping[str, int]]
    duplicates: int
    contradictory: tuple[str, ...]


def draw(where: str, corpus: Corpus, splits: Assignment, asked: Mapping[str, int], rng: np.random.Generator) -> Drawn:
    """Draw each role plainly at random, without replacement and without stratification.

    A role is drawn from the split that is assigned to it. Without one, validation is drawn from the training split,
    and test from what validation left of its split, then from the training split. If the training split is too
    small for all that is asked of it, each asker gets its proportional part (``corpus.exact``: it is refused).

    Args:
        where: the source, for messages.
        corpus: all labelled texts.
        splits: from :meth:`hyperinf.data.roles.Roles.assign`.
        asked: how many samples of each role, at most.
        rng: where the choice comes from.

    Raises:
        InputError: a role gets no sample, or fewer than asked of an exact corpus, or training gets one class only.
    """
    pools, duplicates, contradictory = _distinct(corpus, splits)
    pools = {name: [pool[index] for index in rng.permutation(len(pool))] for name, pool in pools.items()}
    taken = {role: list[Example]() for role in ROLES}
    drawn_from = {role: dict[str, int]() for role in ROLES}
    for name, pool in pools.items():
        askers = {role: asked[role] - len(taken[role]) for role in ROLES if name in _sources(role, splits)}
        rest = iter(pool)
        for role, number in _share(where, askers, len(pool), name == splits.train, corpus.exact).items():
            chosen = list(islice(rest, number))
            taken[role] += chosen
            if chosen:
                drawn_from[role][name] = len(chosen)
    _check(where, taken)
    return Drawn(taken, drawn_from, duplicates, contradictory)


def _sources(role: str, splits: Assignment) -> tuple[str, ...]:
    if role == "train":
        return (splits.train,)
    if role == "validation":
        return (splits.validation or splits.train,)
    return (splits.test,) if splits.test else (splits.validation or splits.train, splits.train)


def _share(where: str, askers: Mapping[str, int], size: int, shared: bool, exact: bool) -> dict[str, int]:
    total = sum(askers.values())
    if total <= size or not shared:
        return dict(askers)
    if exact:
        parts = " + ".join(f"{role} {number:,}" for role, number in askers.items())
        raise InputError(f"{where}: {size:,} different samples, but {total:,} are asked for ({parts})")
    shares = {role: max(1, number * size // total) for role, number in askers.items() if number}
    # What rounding down leaves over is of most use in training.
    shares["train"] += max(0, min(askers["train"] - shares["train"], size - sum(shares.values())))
    return shares


def _distinct(corpus: Corpus, splits: Assignment) -> tuple[dict[str, list[Example]], int, tuple[str, ...]]:
    """Keep one copy of each text, the one in the smaller, evaluating split; none if its copies disagree."""
    labels: dict[tuple[str, str | None], set[str]] = {}
    for each in _everything(corpus, splits):
        labels.setdefault(each.key, set()).add(each.label)
    duplicates = 0
    contradictory = []
    seen: set[tuple[str, str | None]] = set()
    pools: dict[str, list[Example]] = {name: [] for name in _order(splits)}
    for name, pool in pools.items():
        for each in corpus.splits[name]:
            if len(labels[each.key]) > 1:
                contradictory.append(each.sample_id)
            elif each.key in seen:
                duplicates += 1
            else:
                seen.add(each.key)
                pool.append(each)
    return pools, duplicates, tuple(contradictory)


def _everything(corpus: Corpus, splits: Assignment) -> Iterator[Example]:
    for name in _order(splits):
        yield from corpus.splits[name]


def _order(splits: Assignment) -> list[str]:
    return list(dict.fromkeys(name for name in (splits.test, splits.validation, splits.train) if name is not None))


def _check(where: str, taken: Mapping[str, Sequence[Example]]) -> None:
    for role, examples in taken.items():
        if not examples:
            raise InputError(
                f"{where}: no sample is left for {role}; ask for fewer of the others, or name another split"
            )
    if len(Counter(each.label for each in taken["train"])) < 2:
        raise InputError(f"{where}: the {len(taken['train']):,} training samples are all of one class; ask for more")
