from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperinf.data.samples import Sample
from hyperinf.data.sampling import Corpus, Drawn, draw
from hyperinf.data.split_assignment import assign
from hyperinf.errors import InputError
from hyperinf.settings.data import SplitNames


def text(sample_id: str, context: str, label: str, pair: str = "") -> Sample:
    return Sample(sample_id, context, pair, ("a", "b"), label, label)


def table(name: str, count: int, words: str = "") -> list[Sample]:
    return [text(f"{name}/{index}", f"{words or name} text {index}", "ab"[index % 2]) for index in range(count)]


def corpus(hidden: tuple[str, ...] = (), **splits: list[Sample]) -> Corpus:
    return Corpus(splits, hidden)


def drawn(source: Corpus, train: int, validation: int, test: int, /, seed: int = 0, **names: str) -> Drawn:
    asked = {"train": train, "validation": validation, "test": test}
    assigned = assign("set", SplitNames(**names), [*source.splits, *source.hidden], source.hidden)
    return draw("set", source, assigned, asked, np.random.default_rng(seed))


def ids(result: Drawn, role: str) -> list[str]:
    return [each.sample_id for each in result.samples[role]]


@given(sizes=st.tuples(*[st.integers(2, 40)] * 3), asked=st.tuples(*[st.integers(1, 30)] * 3), seed=st.integers(0, 99))
def test_no_sample_and_no_text_is_in_two_splits(sizes, asked, seed):
    # Half of each split's texts are those of the others.
    splits = {
        name: table(name, size // 2) + table(f"{name}-shared", size - size // 2, "shared")
        for name, size in zip(("train", "validation", "test"), sizes, strict=True)
    }
    train, validation, test = asked
    try:
        result = drawn(corpus(**splits), train, validation, test, seed)
    except InputError:
        return
    texts = [each.context for role in ("train", "validation", "test") for each in result.samples[role]]
    assert len(texts) == len(set(texts))
    for role, number in zip(("train", "validation", "test"), asked, strict=True):
        assert 1 <= len(result.samples[role]) <= number
        assert sum(result.drawn_from[role].values()) == len(result.samples[role])


def test_named_splits_serve_their_own_role():
    result = drawn(corpus(train=table("train", 20), validation=table("validation", 9), test=table("test", 8)), 15, 5, 6)
    assert result.drawn_from == {"train": {"train": 15}, "validation": {"validation": 5}, "test": {"test": 6}}
    for role in ("train", "validation", "test"):
        assert all(each.startswith(f"{role}/") for each in ids(result, role))


def test_a_named_split_gives_at_most_what_it_has():
    result = drawn(
        corpus(train=table("train", 20), validation=table("validation", 9), test=table("test", 8)), 99, 99, 99
    )
    assert {role: len(result.samples[role]) for role in result.samples} == {"train": 20, "validation": 9, "test": 8}


def test_one_table_that_is_just_large_enough_is_used_up():
    result = drawn(corpus(reviews=table("reviews", 30)), 15, 5, 10)
    assert sorted(ids(result, "train") + ids(result, "validation") + ids(result, "test")) == sorted(
        f"reviews/{index}" for index in range(30)
    )


def test_one_table_that_is_too_small_is_shared_in_proportion():
    result = drawn(corpus(reviews=table("reviews", 30)), 60, 10, 20)
    assert {role: len(samples) for role, samples in result.samples.items()} == {"validation": 3, "test": 6, "train": 21}


def test_hidden_test_labels_make_test_the_rest_of_validation_then_of_training():
    source = corpus(train=table("train", 50), validation=table("validation", 8), hidden=("test",))
    result = drawn(source, 20, 5, 10)
    assert result.drawn_from == {
        "train": {"train": 20},
        "validation": {"validation": 5},
        "test": {"validation": 3, "train": 7},
    }


def test_a_training_split_too_small_for_both_is_shared_in_proportion():
    source = corpus(train=table("train", 100), validation=table("validation", 5), hidden=("test",))
    result = drawn(source, 300, 50, 100)
    assert result.drawn_from == {"train": {"train": 75}, "validation": {"validation": 5}, "test": {"train": 25}}
    # 7 * 10 // 17 = 4 for training and 2 for test; what rounding leaves over goes to training.
    result = drawn(corpus(train=table("train", 7), validation=table("validation", 2)), 10, 2, 7)
    assert result.drawn_from["train"] == {"train": 5}
    assert result.drawn_from["test"] == {"train": 2}


def test_a_hidden_split_that_the_user_names_is_refused():
    source = corpus(train=table("train", 50), validation=table("validation", 8), hidden=("test",))
    with pytest.raises(InputError, match="got split 'test' for test, whose labels are withheld"):
        drawn(source, 20, 5, 3, test="test")
    with pytest.raises(InputError, match="got split 'train' for train, whose labels are withheld"):
        drawn(corpus(validation=table("validation", 8), hidden=("train",)), 2, 2, 2)


def test_a_split_that_the_user_names_wrongly_is_refused_with_those_there():
    source = corpus(train=table("train", 50), dev=table("dev", 8))
    with pytest.raises(InputError, match="no split 'devel' for validation, expected one of 'train', 'dev'"):
        drawn(source, 20, 5, 3, validation="devel")
    with pytest.raises(InputError, match="no split 'train', expected one of 'a', 'b'"):
        drawn(corpus(a=table("a", 5), b=table("b", 5)), 2, 2, 2)


def test_a_split_may_serve_two_roles_without_sharing_a_sample():
    source = corpus(train=table("train", 50), dev=table("dev", 8))
    result = drawn(source, 20, 5, 3, validation="dev", test="dev")
    assert result.drawn_from["validation"] == {"dev": 5}
    assert result.drawn_from["test"] == {"dev": 3}
    assert not set(ids(result, "validation")) & set(ids(result, "test"))
    result = drawn(source, 20, 5, 3, validation="dev", test="train")
    assert result.drawn_from["test"] == {"train": 3}


def test_a_role_left_without_samples_is_refused():
    source = corpus(train=table("train", 50), dev=table("dev", 8))
    with pytest.raises(InputError, match="no sample that is left for test"):
        drawn(source, 20, 8, 3, validation="dev", test="dev")


def test_of_two_copies_the_one_in_the_evaluating_split_stays():
    source = corpus(train=table("train", 10, "same"), validation=table("validation", 4, "same"), test=table("test", 6))
    result = drawn(source, 10, 10, 10)
    assert sorted(ids(result, "validation")) == [f"validation/{index}" for index in range(4)]
    assert sorted(ids(result, "train")) == [f"train/{index}" for index in range(4, 10)]
    assert result.duplicates == 4


def test_texts_that_differ_in_white_space_only_are_the_same_and_pairs_count_as_a_whole():
    train = [
        text("0", "a  b", "a"),
        text("1", " a b ", "a"),
        text("2", "x", "a", "y"),
        text("3", "x", "b", "z"),
        text("4", "x", "a", "y "),
        text("5", "q", "b"),
        text("6", "r", "b"),
    ]
    result = drawn(corpus(train=train, validation=table("v", 4), test=table("t", 4)), 10, 4, 4)
    assert sorted(ids(result, "train")) == ["0", "2", "3", "5", "6"]
    assert result.duplicates == 2


def test_texts_with_two_labels_are_left_out_wherever_they_are_and_named():
    train = [*table("train", 10), text("bad/1", "who knows", "a")]
    validation = [*table("validation", 4), text("bad/2", "who knows", "b")]
    result = drawn(corpus(train=train, validation=validation, test=table("test", 4)), 99, 99, 99)
    assert [(split, each.sample_id) for split, each in result.contradictory] == [
        ("validation", "bad/2"),
        ("train", "bad/1"),
    ]
    assert len(result.samples["train"]) == 10
    assert len(result.samples["validation"]) == 4


def test_training_samples_of_one_class_are_refused():
    same = [text(f"train/{index}", f"text {index}", "a") for index in range(10)]
    with pytest.raises(InputError, match="10 training samples, all of one class"):
        drawn(corpus(train=same, validation=table("v", 4), test=table("t", 4)), 10, 2, 2)


def test_more_training_samples_change_neither_validation_nor_test():
    source = corpus(reviews=table("reviews", 100))
    few, many = drawn(source, 10, 20, 20, seed=5), drawn(source, 60, 20, 20, seed=5)
    for role in ("validation", "test"):
        assert ids(few, role) == ids(many, role)
    assert ids(many, "train")[:10] == ids(few, "train")


def test_the_draw_follows_the_seed():
    source = corpus(reviews=table("reviews", 100))
    assert drawn(source, 10, 20, 20, seed=5) == drawn(source, 10, 20, 20, seed=5)
    assert ids(drawn(source, 10, 20, 20, seed=5), "train") != ids(drawn(source, 10, 20, 20, seed=6), "train")


def pictured(sample_id: str, question: str, image: int, answer: str) -> Sample:
    """A sample that shares its group, the image, with others that are no copies of it."""
    return Sample(sample_id, "", question, (), answer, answer, image=f"{image}.png")


@given(sizes=st.tuples(*[st.integers(0, 20)] * 3), groups=st.integers(3, 15), seed=st.integers(0, 99))
def test_samples_of_one_group_are_never_in_two_roles_and_evaluating_splits_keep_theirs(sizes, groups, seed):
    rng = np.random.default_rng(seed)
    splits = {
        name: [pictured(f"{name}/{i}", f"{name} {i}", int(rng.integers(groups)), "ab"[i % 2]) for i in range(size)]
        for name, size in zip(("train", "validation", "test"), sizes, strict=True)
    }
    try:
        result = drawn(corpus(**splits), 99, 99, 99, seed=seed)
    except InputError:
        return
    found = {role: {each.group for each in result.samples[role]} for role in result.samples}
    assert not found["train"] & (found["validation"] | found["test"])
    assert not found["validation"] & found["test"]
    tested = {each.group for each in splits["test"]}
    validated = {each.group for each in splits["validation"]} - tested
    left = [
        *(each for each in splits["validation"] if each.group in tested),
        *(each for each in splits["train"] if each.group in tested | validated),
    ]
    assert (result.overlapping, result.duplicates) == (len(left), len(left))
    assert sorted(ids(result, "test")) == sorted(each.sample_id for each in splits["test"])


def test_groups_that_leave_too_few_give_training_what_is_left():
    one = [pictured(f"one/{i}", str(i), 0, "ab"[i % 2]) for i in range(10)]
    rest = [pictured(f"rest/{i}", f"rest {i}", 1 + i, "ab"[i % 2]) for i in range(20)]
    results = [drawn(corpus(mine=[*one, *rest]), 24, 3, 3, seed=seed) for seed in range(20)]
    assert min(len(result.samples["train"]) for result in results) < 24
    assert all(len(result.samples["train"]) + result.overlapping >= 24 for result in results)


def test_every_sample_is_equally_likely_to_be_drawn():
    source = corpus(reviews=table("reviews", 20))
    times = dict.fromkeys((each.sample_id for each in source.splits["reviews"]), 0)
    for seed in range(1_000):
        for each in ids(drawn(source, 10, 2, 2, seed=seed), "train"):
            times[each] += 1
    # Binomial with 1,000 draws of probability 1/2: five standard deviations are 79.
    assert max(abs(count - 500) for count in times.values()) < 79


def test_every_role_has_its_part_of_each_stratum():
    source = corpus(reviews=[*table("coco", 120), *table("gqa", 60), *table("vg", 20)])
    assigned = assign("set", SplitNames(), list(source.splits))
    asked = {"train": 100, "validation": 20, "test": 40}

    def stratum(each: Sample) -> str:
        return each.sample_id.partition("/")[0]

    for seed in range(20):
        result = draw("set", source, assigned, asked, np.random.default_rng(seed), stratum=stratum)
        for role, number in asked.items():
            counts = Counter(map(stratum, result.samples[role]))
            for name, share in (("coco", 0.6), ("gqa", 0.3), ("vg", 0.1)):
                assert abs(counts[name] - share * number) <= 1


def test_a_sample_that_is_not_admitted_has_another_in_its_place_and_only_those_needed_are_looked_at():
    source = corpus(reviews=table("reviews", 60))
    looked_at: list[str] = []

    def admit(each: Sample) -> Sample | None:
        looked_at.append(each.sample_id)
        return None if each.sample_id.endswith("3") else replace(each, context=f"{each.context}!")

    assigned = assign("set", SplitNames(), list(source.splits))
    asked = {"train": 12, "validation": 4, "test": 4}
    result = draw("set", source, assigned, asked, np.random.default_rng(0), admit=admit)
    found = [each for role in asked for each in result.samples[role]]
    assert len(found) == 20
    assert all(each.context.endswith("!") and not each.sample_id.endswith("3") for each in found)
    assert len(looked_at) == 20 + sum(name.endswith("3") for name in looked_at) < 60
