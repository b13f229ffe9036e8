"""Draw training, validation and test samples that share no text."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice

import numpy as np

from hyperinf.data.samples import Sample
from hyperinf.data.split_assignment import Assignment
from hyperinf.errors import InputError

ROLES = ("validation", "test", "train")
"""The order of drawing: with a seed fixed, asking for more training samples changes neither of the others."""


@dataclass(frozen=True)
class Corpus:
    """All usable samples of a source.

    Attributes:
        splits: the source's own splits by name; a source that is one table has one.
        hidden: splits that are there but whose answers are withheld, as in GLUE's test sets.
        unusable: how many rows were left out for what reason.
        unknown_columns: columns of a user's own questions that mean nothing to us.
        labels_alike: classes whose names differ only in case, spaces or as 1 and 1.0 do, with their numbers of rows.
        remarks: what else may be wrong with the files, a line each.
        images: reads the bytes of the images that lie in cells of the source, by what samples have as their path.
    """

    splits: Mapping[str, Sequence[Sample]]
    hidden: tuple[str, ...] = ()
    unusable: Mapping[str, int] = field(default_factory=dict)
    unknown_columns: tuple[str, ...] = ()
    labels_alike: tuple[Mapping[str, int], ...] = ()
    remarks: tuple[str, ...] = ()
    images: Mapping[str, Callable[[], bytes]] = field(default_factory=dict)


@dataclass(frozen=True)
class Distinct:
    """What is left of each split in use once copies are gone.

    Attributes:
        splits: the samples of each split, those that evaluate first.
        duplicates: samples left out because a copy is in the same split.
        overlapping: samples left out because a split that evaluates has one of their group.
        contradictory: samples of which copies have another label, with the name of their split.
    """

    splits: Mapping[str, Sequence[Sample]]
    duplicates: int
    overlapping: int
    contradictory: tuple[tuple[str, Sample], ...]


@dataclass(frozen=True)
class Drawn:
    """Samples by role, and how they came about.

    Attributes:
        samples: ``train``, ``validation`` and ``test``.
        drawn_from: for each role, how many samples came from which split of the source.
        duplicates: samples left out because their text is there already, with the same label.
        contradictory: samples whose text is there with different labels, with the name of their split.
        overlapping: those among the duplicates, and further samples of their group, whose text another role has.
    """

    samples: Mapping[str, Sequence[Sample]]
    drawn_from: Mapping[str, Mapping[str, int]]
    duplicates: int
    contradictory: tuple[tuple[str, Sample], ...]
    overlapping: int = 0


def draw(
    where: str,
    corpus: Corpus,
    splits: Assignment,
    asked: Mapping[str, int],
    rng: np.random.Generator,
    admit: Callable[[Sample], Sample | None] | None = None,
    stratum: Callable[[Sample], str] | None = None,
    keep_contradictory: bool = False,
) -> Drawn:
    """Draw each role at random, without replacement; plainly, unless the samples have strata.

    A role is drawn from the split that is assigned to it. Without one, validation is drawn from the training split,
    and test from what validation left of its split, then from the training split. If the training split is too
    small for all that is asked of it, each asker gets its proportional part.

    Args:
        where: the source, for messages.
        corpus: all usable samples.
        splits: from :func:`hyperinf.data.split_assignment.assign`.
        asked: how many samples of each role, at most.
        rng: where the choice comes from.
        admit: what costs too much to be done to samples that are not drawn: gives the sample as it is to be used, or
            None if it cannot be, in which case another takes its place.
        stratum: each role gets of each stratum its part of the split, in proportion up to rounding.
        keep_contradictory: samples of the training split of which copies have another label are drawn, too, for
            training only and before all others.

    Raises:
        InputError: a role gets no sample, or training gets one class only.
    """
    there = distinct(corpus, splits, keep_contradictory)
    suspect = {each.sample_id for _, each in there.contradictory}
    pools = {name: _shuffled(pool, rng, stratum) for name, pool in there.splits.items()}
    taken = {role: list[Sample]() for role in ROLES}
    drawn_from = {role: dict[str, int]() for role in ROLES}
    holders: dict[Hashable, str] = {}
    passed: list[str] = []
    for name, pool in pools.items():
        askers = {role: asked[role] - len(taken[role]) for role in ROLES if name in _sources(role, splits)}
        aside = iter([each for each in pool if each.sample_id in suspect])
        rest = iter([each for each in pool if each.sample_id not in suspect])
        for role, number in _share(askers, len(pool), name == splits.train).items():
            candidates = chain(aside, rest) if role == "train" else rest
            chosen = list(islice(_free(candidates, role, holders, passed, admit), number))
            taken[role] += chosen
            if chosen:
                drawn_from[role][name] = len(chosen)
    _check(where, taken)
    duplicates = there.duplicates + there.overlapping
    return Drawn(taken, drawn_from, duplicates, there.contradictory, there.overlapping + len(passed))


def distinct(corpus: Corpus, splits: Assignment, keep_contradictory: bool = False) -> Distinct:
    """Keep one copy of each sample, the one in the smaller, evaluating split; none if its copies disagree.

    Of samples that are no copies and yet share their group, those in a split that evaluates stay, all of them.

    Args:
        corpus: all usable samples.
        splits: which of its splits are in use.
        keep_contradictory: of copies that disagree one of each label stays in the training split.
    """
    # Keys are made of whole texts: each is made once.
    keyed = {name: [(each, each.key) for each in corpus.splits[name]] for name in _order(splits)}
    labels: dict[Hashable, set[str]] = {}
    for samples in keyed.values():
        for each, key in samples:
            labels.setdefault(key, set()).add(each.label)
    duplicates = overlapping = 0
    contradictory = []
    kept: dict[str, list[Sample]] = {}
    # What evaluates comes first: of training samples its groups are taken out.
    evaluating: set[tuple[str, ...]] = set()
    for name, samples in keyed.items():
        kept[name] = []
        seen: set[Hashable] = set()
        for each, key in samples:
            disagrees = len(labels[key]) > 1
            if disagrees:
                contradictory.append((name, each))
            if disagrees and not (keep_contradictory and name == splits.train):
                continue
            if evaluating and each.group in evaluating:
                overlapping += 1
            elif (key, each.label) in seen:
                duplicates += 1
            else:
                seen.add((key, each.label))
                kept[name].append(each)
        if name != splits.train:
            evaluating.update(each.group for each in kept[name])
    return Distinct(kept, duplicates, overlapping, tuple(contradictory))


def _shuffled(
    pool: Sequence[Sample], rng: np.random.Generator, stratum: Callable[[Sample], str] | None
) -> list[Sample]:
    """Shuffle; where there are strata, so that any stretch has each in proportion."""
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
    rest: Iterator[Sample],
    role: str,
    holders: dict[Hashable, str],
    passed: list[str],
    admit: Callable[[Sample], Sample | None] | None,
) -> Iterator[Sample]:
    """Yield the samples that are admitted and whose group is no other role's; name those passed over."""
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


def _share(askers: Mapping[str, int], size: int, training: bool) -> dict[str, int]:
    total = sum(askers.values())
    if total <= size or not training:
        return dict(askers)
    counts = {role: max(1, number * size // total) for role, number in askers.items() if number}
    # What rounding down leaves over is of most use in training.
    counts["train"] += max(0, min(askers["train"] - counts["train"], size - sum(counts.values())))
    return counts


def _order(splits: Assignment) -> list[str]:
    return list(dict.fromkeys(name for name in (splits.test, splits.validation, splits.train) if name is not None))


def _check(where: str, taken: Mapping[str, Sequence[Sample]]) -> None:
    for role, samples in taken.items():
        if not samples:
            raise InputError(
                f"{where}: got no sample that is left for {role}, expected one at least;"
                " ask for fewer of the others, or name another split"
            )
    if len({each.label for each in taken["train"]}) < 2:
        number = len(taken["train"])
        raise InputError(f"{where}: got {number:,} training samples, all of one class, expected two classes or more")
