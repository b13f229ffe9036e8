"""Draw training, validation and test samples that share no text."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic

import numpy as np

from hyperinf.data.examples import Corpus, SampleT
from hyperinf.data.split_assignment import Assignment
from hyperinf.errors import InputError

ROLES = ("validation", "test", "train")
"""The order of drawing: with a seed fixed, asking for more training samples changes neither of the others."""


@dataclass(frozen=True)
class Distinct(Generic[SampleT]):
    """What is left of each split in use once copies are gone.

    Attributes:
        splits: the samples of each split, those that evaluate first.
        duplicates: samples left out because a copy is in the same split.
        overlapping: samples left out because a split that evaluates has one of their group.
        contradictory: ids of samples left out because copies of them have another label.
    """

    splits: Mapping[str, Sequence[SampleT]]
    duplicates: int
    overlapping: int
    contradictory: tuple[str, ...]


@dataclass(frozen=True)
class Drawn(Generic[SampleT]):
    """Samples by role, and how they came about.

    Attributes:
        examples: ``train``, ``validation`` and ``test``.
        drawn_from: for each role, how many samples came from which split of the source.
        duplicates: samples left out because their text is there already, with the same label.
        contradictory: ids of samples left out because their text is there with different labels.
        overlapping: those among the duplicates, and further samples of their group, whose text another role has.
    """

    examples: Mapping[str, Sequence[SampleT]]
    drawn_from: Mapping[str, Mapping[str, int]]
    duplicates: int
    contradictory: tuple[str, ...]
    overlapping: int = 0


def draw(
    where: str,
    corpus: Corpus[SampleT],
    splits: Assignment,
    asked: Mapping[str, int],
    rng: np.random.Generator,
    admit: Callable[[SampleT], SampleT | None] | None = None,
    stratum: Callable[[SampleT], str] | None = None,
) -> Drawn[SampleT]:
    """Draw each role at random, without replacement; plainly, unless the samples have strata.

    A role is drawn from the split that is assigned to it. Without one, validation is drawn from the training split,
    and test from what validation left of its split, then from the training split. If the training split is too
    small for all that is asked of it, each asker gets its proportional part (``corpus.exact``: it is refused).

    Args:
        where: the source, for messages.
        corpus: all labelled texts.
        splits: from :meth:`hyperinf.data.split_assignment.Roles.assign`.
        asked: how many samples of each role, at most.
        rng: where the choice comes from.
        admit: what costs too much to be done to samples that are not drawn: gives the sample as it is to be used, or
            None if it cannot be, in which case another takes its place.
        stratum: each role gets of each stratum its part of the split, in proportion up to rounding.

    Raises:
        InputError: a role gets no sample, or fewer than asked of an exact corpus, or training gets one class only.
    """
    there = distinct(corpus, splits)
    pools = {name: _shuffled(pool, rng, stratum) for name, pool in there.splits.items()}
    taken = {role: list[SampleT]() for role in ROLES}
    drawn_from = {role: dict[str, int]() for role in ROLES}
    holders: dict[Hashable, str] = {}
    passed: list[str] = []
    for name, pool in pools.items():
        askers = {role: asked[role] - len(taken[role]) for role in ROLES if name in _sources(role, splits)}
        rest = iter(pool)
        for role, number in _share(where, askers, len(pool), splits, name, corpus.exact).items():
            chosen = list(islice(_free(rest, role, holders, passed, admit), number))
            taken[role] += chosen
            if chosen:
                drawn_from[role][name] = len(chosen)
    _check(where, taken, asked, splits, corpus.exact)
    duplicates = there.duplicates + there.overlapping
    return Drawn(taken, drawn_from, duplicates, there.contradictory, there.overlapping + len(passed))


def distinct(corpus: Corpus[SampleT], splits: Assignment) -> Distinct[SampleT]:
    """Keep one copy of each sample, the one in the smaller, evaluating split; none if its copies disagree.

    Of samples that are no copies and yet share their group, those in a split that evaluates stay, all of them.
    """
    # Keys are made of whole texts: each is made once.
    keyed = {name: [(each, each.key) for each in corpus.splits[name]] for name in _order(splits)}
    labels: dict[Hashable, set[str]] = {}
    for samples in keyed.values():
        for each, key in samples:
            labels.setdefault(key, set()).add(each.label)
    duplicates = overlapping = 0
    contradictory = []
    evaluating: set[Hashable] = set()
    kept: dict[str, list[SampleT]] = {}
    for name, samples in keyed.items():
        kept[name] = []
        seen: set[Hashable] = set()
        for each, key in samples:
            if len(labels[key]) > 1:
                contradictory.append(each.sample_id)
            elif evaluating and each.group in evaluating:
                overlapping += 1
            elif key in seen:
                duplicates += 1
            else:
                seen.add(key)
                kept[name].append(each)
        if name != splits.train:
            evaluating.update(each.group for each in kept[name])
    return Distinct(kept, duplicates, overlapping, tuple(contradictory))


def _shuffled(
    pool: Sequence[SampleT], rng: np.random.Generator, stratum: Callable[[SampleT], str] | None
) -> list[SampleT]:
    """In random order; with strata, one of which any stretch has each stratum in proportion."""
    shuffled = [pool[index] for index in rng.permutation(len(pool))]
    if stratum is None:
        return shuffled
    sizes = Counter(map(stratum, shuffled))
    met: Counter[str] = Counter()
    places = []
    for name in map(stratum, shuffled):
        # The k-th of n stands where the middle of the k-th n-th of the list is.
        places.append((met[name] + 0.5) / sizes[name])
        met[name] += 1
    return [shuffled[index] for index in np.argsort(places, kind="stable")]


def _free(
    rest: Iterator[SampleT],
    role: str,
    holders: dict[Hashable, str],
    passed: list[str],
    admit: Callable[[SampleT], SampleT | None] | None,
) -> Iterator[SampleT]:
    """The samples that are admitted and whose group is no other role's, whose like are passed over and named."""
    for each in rest:
        admitted = each if admit is None else admit(each)
        if admitted is None:
            continue
        if holders.setdefault(admitted.group, role) == role:
            yield admitted
        else:
            passed.append(admitted.sample_id)


def _sources(role: str, splits: Assignment) -> tuple[str, ...]:
    if role == "train":
        return (splits.train,)
    if role == "validation":
        return (splits.validation or splits.train,)
    return (splits.test,) if splits.test else (splits.validation or splits.train, splits.train)


def _share(
    where: str, askers: Mapping[str, int], size: int, splits: Assignment, name: str, exact: bool
) -> dict[str, int]:
    total = sum(askers.values())
    if total <= size or name != splits.train:
        return dict(askers)
    if exact:
        parts = " + ".join(f"{_called(role, splits)} {number:,}" for role, number in askers.items())
        raise InputError(f"{where}: {size:,} different samples, but {total:,} are asked for ({parts})")
    shares = {role: max(1, number * size // total) for role, number in askers.items() if number}
    # What rounding down leaves over is of most use in training.
    shares["train"] += max(0, min(askers["train"] - shares["train"], size - sum(shares.values())))
    return shares


def _order(splits: Assignment) -> list[str]:
    return list(dict.fromkeys(name for name in (splits.test, splits.validation, splits.train) if name is not None))


def _called(role: str, splits: Assignment) -> str:
    return splits.called if role == "train" else role


def _check(
    where: str,
    taken: Mapping[str, Sequence[SampleT]],
    asked: Mapping[str, int],
    splits: Assignment,
    exact: bool,
) -> None:
    for role, samples in taken.items():
        if not samples:
            raise InputError(
                f"{where}: no sample is left for {_called(role, splits)};"
                " ask for fewer of the others, or name another split"
            )
        if exact and len(samples) < asked[role]:
            raise InputError(
                f"{where}: {len(samples):,} different samples for {_called(role, splits)},"
                f" but {asked[role]:,} are asked for"
            )
    if len(Counter(each.label for each in taken["train"])) < 2:
        raise InputError(f"{where}: the {len(taken['train']):,} training samples are all of one class; ask for more")
