"""Preparing tasks of questions: what is drawn, what is corrupted, what is refused."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hyperinf.data.questions import (
    SPLITS,
    Question,
    QuestionSource,
    QuestionTaskConfig,
    prepare_questions,
    read_questions,
    read_questions_info,
)
from hyperinf.data.sources import Source
from hyperinf.errors import InputError

CHOICES = ["red", "green", "blue", "grey"]


def rows(count: int, topic: str = "ball") -> list[dict[str, Any]]:
    return [
        {"id": f"k{i}", "context": f"Story {i}.", "question": f"Which {topic}?", "choices": CHOICES, "answer": choice}
        for i, choice in zip(range(count), CHOICES * count, strict=False)
    ]


@pytest.fixture
def balls(write_jsonl):
    return write_jsonl(rows(120), "balls.jsonl")


@pytest.fixture
def other(write_jsonl):
    return write_jsonl(
        [{"question": f"Capital {i}?", "choices": ["Rome", "Oslo"], "answer": "Rome"} for i in range(30)],
        "capitals.jsonl",
    )


def config(path: Path, **changes: Any) -> QuestionTaskConfig:
    values: dict[str, Any] = {
        "source": Source("path", str(path)),
        "format": "record",
        "template": "multiple_choice",
        "pool": 60,
        "validation": 20,
        "test": 40,
        "seed": 11,
        "cache": path.parent / "cache",
    }
    return QuestionTaskConfig(**{**values, **changes})


def prepared(folder: Path, task: QuestionTaskConfig, name: str = "task") -> dict[str, tuple[Question, ...]]:
    prepare_questions(task, folder / name)
    return {split: read_questions(folder / name, split) for split in SPLITS}


def refusal(folder: Path, task: QuestionTaskConfig) -> str:
    with pytest.raises(InputError) as error:
        prepare_questions(task, folder / "task")
    assert "\n" not in str(error.value)
    assert not (folder / "task").exists()
    return str(error.value)


def test_splits_carry_the_rows_of_the_file_each_once(balls, tmp_path):
    splits = prepared(tmp_path, config(balls))
    assert {split: len(questions) for split, questions in splits.items()} == {"pool": 60, "validation": 20, "test": 40}
    found = {each.sample_id: each for questions in splits.values() for each in questions}
    assert found == {
        f"k{i}": Question(
            f"k{i}", f"Story {i}.", "Which ball?", tuple(CHOICES), CHOICES[i % 4], CHOICES[i % 4], source="balls"
        )
        for i in range(120)
    }


def test_parquet_is_read_like_json_lines(balls, tmp_path):
    pq.write_table(pa.Table.from_pylist(rows(120)), tmp_path / "balls.parquet")
    assert prepared(tmp_path, config(balls)) == prepared(tmp_path, config(tmp_path / "balls.parquet"))


def test_rows_without_ids_are_named_by_file_and_row(write_jsonl, tmp_path):
    path = write_jsonl([{k: v for k, v in row.items() if k != "id"} for row in rows(120)], "balls.jsonl")
    for each in prepared(tmp_path, config(path))["pool"]:
        assert each.context == f"Story {each.sample_id.removeprefix('balls/')}."


def test_the_same_configuration_writes_the_same_bytes_and_another_seed_others(balls, other, tmp_path):
    for name, seed in (("one", 11), ("two", 11), ("three", 12)):
        noisy = {"wrong_answers": 0.3, "off_task": 0.1, "off_task_from": capitals(other)}
        prepare_questions(config(balls, seed=seed, **noisy), tmp_path / name)
    files = [*(f"{split}.parquet" for split in SPLITS), "info.json"]
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == sorted(files)
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
        assert (tmp_path / "one" / file).read_bytes() != (tmp_path / "three" / file).read_bytes()


def test_the_columns_of_the_files_are_the_fields_of_a_question(balls, tmp_path):
    prepare_questions(config(balls), tmp_path / "task")
    names = "sample_id context question choices answer true_answer corruption image kind source accepted"
    assert pq.read_schema(tmp_path / "task" / "pool.parquet").names == names.split()
    assert pq.read_table(tmp_path / "task" / "pool.parquet")["choices"][0].as_py() == CHOICES


# Corruption


def capitals(path: Path, **changes: Any) -> QuestionSource:
    return QuestionSource(Source("path", str(path)), "record", **{"template": "letter", **changes})


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.25, 0.4, 0.99])
def test_exactly_the_share_of_the_pool_gets_a_wrong_answer_and_nothing_else_does(balls, tmp_path, rate):
    splits = prepared(tmp_path, config(balls, wrong_answers=rate))
    for split, expected in (("pool", round(rate * 60)), ("validation", 0), ("test", 0)):
        wrong = [each for each in splits[split] if each.answer != each.true_answer]
        assert len(wrong) == expected
        assert [each for each in splits[split] if each.corruption] == wrong
        assert all(each.corruption == "wrong_answer" and each.answer in each.choices for each in wrong)
    assert read_questions_info(tmp_path / "task")["corrupted"] == {"wrong_answer": round(rate * 60), "off_task": 0}


def test_the_next_choice_follows_the_true_one_and_the_first_the_last(balls, tmp_path):
    pool = prepared(tmp_path, config(balls, wrong_answers=0.9, wrong_mode="next"))["pool"]
    following = {"red": "green", "green": "blue", "blue": "grey", "grey": "red"}
    wrong = [each for each in pool if each.corruption]
    assert {each.true_answer for each in wrong} == set(CHOICES)
    assert all(each.answer == following[each.true_answer] for each in wrong)


def test_uniform_wrong_answers_reach_every_other_choice_alike(write_jsonl, tmp_path):
    path = write_jsonl(rows(4_000), "balls.jsonl")
    pool = prepared(tmp_path, config(path, pool=3_900, wrong_answers=0.9))["pool"]
    pairs = Counter((each.true_answer, each.answer) for each in pool if each.corruption)
    assert len(pairs) == 12
    # 3,510 wrong answers over 12 pairs: five standard deviations of a binomial are about 82.
    assert max(abs(count - 3_510 / 12) for count in pairs.values()) < 82


def test_questions_with_few_choices_are_wrong_among_their_own(write_jsonl, tmp_path):
    few = [{**row, "choices": CHOICES[: 2 + i % 3], "answer": CHOICES[i % 2]} for i, row in enumerate(rows(120))]
    pool = prepared(tmp_path, config(write_jsonl(few), pool=60, wrong_answers=0.95))["pool"]
    wrong = [each for each in pool if each.corruption]
    assert all(each.answer in each.choices and each.answer != each.true_answer for each in wrong)
    assert {len(each.choices) for each in wrong} == {2, 3, 4}


def test_another_rate_leaves_the_drawn_questions_and_the_places_of_fewer_as_they_are(balls, other, tmp_path):
    clean = prepared(tmp_path, config(balls))
    few = prepared(tmp_path, config(balls, wrong_answers=0.2))
    many = prepared(tmp_path, config(balls, wrong_answers=0.5, off_task=0.2, off_task_from=capitals(other)))
    for splits in (few, many):
        assert splits["validation"] == clean["validation"]
        assert splits["test"] == clean["test"]
    assert [each.sample_id for each in few["pool"]] == [each.sample_id for each in clean["pool"]]
    for one, two, three in zip(clean["pool"], few["pool"], many["pool"], strict=True):
        if two.corruption:
            assert two == three
        if three.corruption != "off_task":
            assert three.sample_id == one.sample_id
            assert three.true_answer == one.answer


def test_off_task_questions_replace_others_keep_their_answers_and_never_have_wrong_ones(balls, other, tmp_path):
    task = config(balls, wrong_answers=0.7, off_task=0.3, off_task_from=capitals(other))
    splits = prepared(tmp_path, task)
    pool = splits["pool"]
    assert Counter(each.corruption for each in pool) == {"wrong_answer": 42, "off_task": 18}
    foreign = [each for each in pool if each.corruption == "off_task"]
    assert len({each.sample_id for each in foreign}) == 18
    for each in foreign:
        assert each.sample_id == f"off_task/capitals/{each.question.removeprefix('Capital ').removesuffix('?')}"
        assert (each.answer, each.true_answer, each.source) == ("Rome", "Rome", "capitals")
    assert {each.source for each in pool if each.corruption != "off_task"} == {"balls"}
    assert not [each for split in ("validation", "test") for each in splits[split] if each.source != "balls"]
    info = read_questions_info(tmp_path / "task")
    assert info["templates"] == {"balls": "multiple_choice", "capitals": "letter"}
    assert info["corrupted"] == {"wrong_answer": 42, "off_task": 18}


def test_off_task_questions_are_none_of_the_tasks_own(balls, write_jsonl, tmp_path):
    (tmp_path / "more").mkdir()
    mixed = write_jsonl(
        [*rows(120), *({**row, "id": f"c{i}"} for i, row in enumerate(rows(10, "cube")))], "more/balls.jsonl"
    )
    pool = prepared(tmp_path, config(balls, off_task=0.1, off_task_from=capitals(mixed)))["pool"]
    foreign = [each for each in pool if each.corruption == "off_task"]
    assert len(foreign) == 6
    assert {(each.question, each.source) for each in foreign} == {("Which cube?", "balls (off task)")}
    task = config(balls, off_task=0.2, off_task_from=capitals(mixed))
    assert "10 different off-task questions, but 12 are needed" in refusal(tmp_path / "again", task)


def test_short_answers_cannot_be_wrong_and_the_message_says_what_to_do(write_jsonl, tmp_path):
    path = write_jsonl([{"question": f"Sum {i}?", "answer": str(i)} for i in range(120)], "sums.jsonl")
    pool = prepared(tmp_path, config(path, template="question"))["pool"]
    assert all(each.choices == () for each in pool)
    line = refusal(tmp_path / "again", config(path, template="question", wrong_answers=0.2))
    assert "60 questions of the pool have no choices" in line
    assert "give each its choices, or set wrong_answers to 0" in line


# Sources of one's own


def write_lines(path: Path, content: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in content))


def by_topic(splits: dict[str, tuple[Question, ...]]) -> dict[str, set[str]]:
    return {split: {each.question for each in questions} for split, questions in splits.items()}


def test_files_named_as_the_hub_names_splits_are_the_splits(tmp_path):
    for name in ("train", "validation", "test"):
        write_lines(tmp_path / "mine" / f"{name}.jsonl", rows(50, name))
    found = prepared(tmp_path, config(tmp_path / "mine", pool=40, test=10))
    assert by_topic(found) == {"pool": {"Which train?"}, "validation": {"Which validation?"}, "test": {"Which test?"}}
    assert found["test"][0].sample_id.startswith("test/k")


def test_the_user_may_say_which_of_those_splits_is_what(tmp_path):
    for name in ("train", "validation", "test"):
        write_lines(tmp_path / "mine" / f"{name}.jsonl", rows(50, name))
    task = config(tmp_path / "mine", pool=40, test=10, split_pool="test", split_validation="train", split_test="train")
    assert by_topic(prepared(tmp_path, task)) == {
        "pool": {"Which test?"},
        "validation": {"Which train?"},
        "test": {"Which train?"},
    }


def test_splits_may_be_files_of_a_folder_with_names_of_their_own(tmp_path):
    for name in ("candidates", "tuning", "exam"):
        write_lines(tmp_path / "mine" / f"{name}.jsonl", rows(50, name))
    files = {"split_pool": "candidates.jsonl", "split_validation": "tuning.jsonl", "split_test": "exam.jsonl"}
    found = prepared(tmp_path, config(tmp_path / "mine", pool=40, test=10, **files))
    assert by_topic(found) == {"pool": {"Which candidates?"}, "validation": {"Which tuning?"}, "test": {"Which exam?"}}
    assert found["pool"][0].sample_id.startswith("candidates/k")
    without = {name: file for name, file in files.items() if name != "split_test"}
    found = prepared(tmp_path, config(tmp_path / "mine", pool=10, test=40, **without))
    assert read_questions_info(tmp_path / "task")["drawn_from"]["test"] == {"tuning.jsonl": 30, "candidates.jsonl": 10}


def test_files_that_are_named_by_half_or_too_small_are_refused(tmp_path):
    for name in ("candidates", "exam"):
        write_lines(tmp_path / "mine" / f"{name}.jsonl", rows(50, name))
    files = {"split_pool": "candidates.jsonl", "split_test": "exam.jsonl"}
    line = refusal(tmp_path, config(tmp_path / "mine", **{**files, "split_test": "test"}))
    assert "split 'candidates.jsonl' is a file, but 'test' is not; name a file for both" in line
    line = refusal(tmp_path, config(tmp_path / "mine", split_test="exam.jsonl"))
    assert "split 'exam.jsonl' is a file; name the pool's file, too" in line
    line = refusal(tmp_path, config(tmp_path / "mine", pool=20, test=60, **files))
    assert "50 different samples for test, but 60 are asked for" in line
    assert "no such file" in refusal(tmp_path, config(tmp_path / "mine", **{**files, "split_test": "absent.jsonl"}))
    assert "no such file or folder" in refusal(tmp_path, config(tmp_path / "absent"))


def test_a_file_that_is_too_small_is_refused_with_the_sum(write_jsonl, tmp_path):
    line = refusal(tmp_path, config(write_jsonl(rows(100))))
    assert "100 different samples, but 120 are asked for (validation 20 + test 40 + pool 60)" in line


def test_questions_that_the_pool_shares_with_files_that_test_it_are_refused_with_their_count(tmp_path):
    shared = [{**row, "question": " Which   train? ", "choices": [*CHOICES[::-1][:3], "pink"]} for row in rows(7)]
    shared = [{**row, "answer": "pink"} for row in shared]
    write_lines(tmp_path / "mine" / "train.jsonl", rows(80, "train"))
    write_lines(tmp_path / "mine" / "validation.jsonl", rows(20, "validation"))
    write_lines(
        tmp_path / "mine" / "test.jsonl", [*rows(50, "test"), *({**row, "id": f"s{i}"} for i, row in enumerate(shared))]
    )
    line = refusal(tmp_path, config(tmp_path / "mine"))
    assert "7 questions of 'test', or their images, are in the pool's 'train', too (first test/s0)" in line


def published(folder: Path) -> None:
    """PIQA with 12 goals of its training split in its validation split, the ways to them being others."""

    def row(goal: str, index: int) -> dict[str, Any]:
        return {"goal": goal, "sol1": f"one {index}", "sol2": f"two {index}", "label": index % 2}

    write_lines(folder / "train.jsonl", [row(f"goal {i}", i) for i in range(60)])
    write_lines(folder / "validation.jsonl", [row(f"goal {i}", 100 + i) for i in range(48, 108)])


def test_the_pool_of_a_published_set_gives_up_what_it_shares_unless_splits_are_named(tmp_path):
    published(tmp_path / "piqa")
    plain = config(tmp_path / "piqa", format="piqa", template=None, pool=60, validation=30, test=30)
    splits = prepared(tmp_path, plain)
    assert {each.sample_id for each in splits["pool"]} == {f"train/{i}" for i in range(48)}
    info = read_questions_info(tmp_path / "task")
    assert (info["overlapping_dropped"], info["missing"]) == (12, {"pool": 12, "validation": 0, "test": 0})
    named = config(tmp_path / "piqa", format="piqa", template=None, split_pool="train", split_validation="validation")
    assert "12 questions of 'validation', or their images, are in the pool's 'train', too" in refusal(
        tmp_path / "again", named
    )


def test_questions_on_one_text_never_stand_in_two_splits(write_jsonl, tmp_path):
    several = [
        {"context": f"Story {i // 4}.", "question": "Which?", "choices": [f"{i}", f"{i} not"], "answer": f"{i}"}
        for i in range(160)
    ]
    splits = prepared(tmp_path, config(write_jsonl(several), pool=30, validation=10, test=10))
    contexts = {split: {each.context for each in questions} for split, questions in splits.items()}
    assert not contexts["pool"] & (contexts["validation"] | contexts["test"])
    assert not contexts["validation"] & contexts["test"]
    assert len(splits["pool"]) == 30


def test_copies_within_a_split_are_dropped_and_counted_and_those_that_disagree_are_left_out(
    write_jsonl, tmp_path, caplog
):
    content = rows(130)
    copy = {**content[3], "id": "copy", "context": "  Story   3.", "choices": CHOICES[::-1]}
    against = {**content[4], "id": "against", "answer": "grey"}
    task = config(write_jsonl([*content, copy, against]))
    found = {each.sample_id for questions in prepared(tmp_path, task).values() for each in questions}
    info = read_questions_info(tmp_path / "task")
    assert (info["duplicates_dropped"], info["contradictory_dropped"]) == (1, 2)
    assert info["contradictory_first_ids"] == ["k4", "against"]
    assert not found & {"copy", "against", "k4"}
    assert "2 questions left out, which have two answers (k4)" in caplog.text


# The description


def test_the_description_counts_answers_their_places_and_kinds(write_jsonl, tmp_path):
    path = write_jsonl([{**row, "kind": "colour"} for row in rows(120)], "balls.jsonl")
    pool = prepared(tmp_path, config(path, wrong_answers=0.3))["pool"]
    info = json.loads((tmp_path / "task" / "info.json").read_text())
    counts = info["counts"]["pool"]
    assert counts["questions"] == 60
    assert counts["answers"]["most_frequent"] == {name: sum(e.answer == name for e in pool) for name in CHOICES}
    assert counts["true_answers"]["most_frequent"] == {
        name: sum(e.true_answer == name for e in pool) for name in CHOICES
    }
    assert counts["answer_positions"] == {str(i): sum(e.answer == name for e in pool) for i, name in enumerate(CHOICES)}
    assert counts["kinds"] == {"colour": 60}
    assert (info["source"], info["format"], info["template"]) == (f"path:{path}", "record", "multiple_choice")
    assert (info["seed"], info["wrong_answers"], info["asked"]["pool"]) == (11, 0.3, 60)


def test_answers_that_are_nearly_all_different_are_counted_and_not_listed(write_jsonl, tmp_path):
    content = [{"question": f"Sum {i}?", "answer": "0" if i % 2 else str(i)} for i in range(120)]
    prepare_questions(config(write_jsonl(content), template=None), tmp_path / "task")
    pool = read_questions(tmp_path / "task", "pool")
    zeros = sum(each.answer == "0" for each in pool)
    answers = read_questions_info(tmp_path / "task")["counts"]["pool"]["answers"]
    assert answers == {"distinct": 61 - zeros, "most_frequent": {"0": zeros}, "others": 60 - zeros}


def test_the_content_hash_depends_on_the_content_alone(balls, write_jsonl, tmp_path):
    def digest(path: Path, **changes: Any) -> str:
        prepare_questions(config(path, **changes), tmp_path / "task")
        return read_questions_info(tmp_path / "task")["content_sha256"]

    before = digest(balls)
    pq.write_table(pa.Table.from_pylist(rows(120)), tmp_path / "balls.parquet")
    assert digest(tmp_path / "balls.parquet") == before
    assert digest(balls, wrong_answers=0.1) != before
    assert digest(write_jsonl([*rows(119), {**rows(120)[-1], "context": "New."}], "balls.jsonl")) != before


# What is refused


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"choices": []}, "no choices; leave them out where a short answer is wanted"),
        ({"choices": ["red"]}, "fewer than 2 choices"),
        ({"choices": ["red", " "]}, "a choice is empty"),
        ({"choices": ["red", "blue", "red "]}, "a choice occurs twice"),
        ({"choices": "red"}, "column 'choices' has 'red', expected a list of strings"),
        ({"choices": ["red", 3]}, "column 'choices' has ['red', 3], expected a list of strings"),
        ({"answer": "pink"}, "answer 'pink' is none of the choices 'red', 'green', 'blue', 'grey'"),
        ({"answer": ""}, "no answer"),
        ({"answer": None}, "no answer"),
        ({"answer": 1}, "column 'answer' has 1, expected a string"),
        ({"question": "", "context": " "}, "neither a context nor a question"),
        ({"question": 5}, "column 'question' has 5, expected a string"),
        ({"id": 1.5}, "sample id 1.5 in column 'id', expected a string or an integer"),
    ],
)
def test_a_row_of_ones_own_that_is_no_question_is_refused_by_its_line(write_jsonl, tmp_path, changes, reason):
    content = rows(120)
    content[5] |= changes
    assert refusal(tmp_path, config(write_jsonl(content))).endswith(f"reviews.jsonl:6: {reason}")


def test_ids_that_occur_twice_and_files_that_are_no_tables_are_refused(write_jsonl, tmp_path):
    content = rows(120)
    content[5]["id"] = "k0"
    assert "sample id 'k0' occurs twice" in refusal(tmp_path, config(write_jsonl(content)))
    (tmp_path / "balls.csv").write_text("question,answer\na,b\n")
    assert "unknown file type '.csv'; expected .jsonl, .parquet" in refusal(tmp_path, config(tmp_path / "balls.csv"))
    assert "no question with an answer" in refusal(tmp_path, config(write_jsonl([])))


def test_a_template_that_does_not_suit_the_questions_is_refused(balls, write_jsonl, tmp_path):
    assert "template 'vqa': question k" in refusal(tmp_path, config(balls, template="vqa"))
    path = write_jsonl([{"question": f"Sum {i}?", "answer": str(i)} for i in range(120)], "sums.jsonl")
    assert refusal(tmp_path, config(path, template="letter")).endswith("has no choices")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"pool": 0}, "pool questions: 0 asked for, expected at least 1"),
        ({"test": -1}, "test questions: -1 asked for"),
        ({"seed": -1}, "seed is -1"),
        ({"wrong_answers": 1.0}, "wrong_answers is 1.0, expected a number from 0 up to, but without, 1"),
        ({"off_task": -0.1}, "off_task is -0.1"),
        ({"wrong_mode": "previous"}, "wrong_mode is 'previous', expected uniform or next"),
        ({"off_task": 0.2}, "off_task is 0.2, but no source is named for those questions"),
        ({"wrong_answers": 0.7, "off_task": 0.4}, "together more than the pool"),
        ({"revision": "main"}, "a revision .'main'. exists on the hub only"),
        ({"subset": "one"}, "has no subsets, but 'one' is asked for"),
        ({"template": "essay"}, "template 'essay' is not known; known are headline, multiple_choice"),
        ({"format": "arc"}, "format 'arc' is not known"),
        ({"source": Source("shape", "llama_tiny")}, "shape:llama_tiny: a model's shape, not a data set"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(balls, changes, line):
    with pytest.raises(InputError, match=line):
        config(balls, **changes)


def test_an_existing_task_is_replaced_and_any_other_folder_is_left_alone(balls, tmp_path):
    prepare_questions(config(balls), tmp_path / "task")
    prepare_questions(config(balls, wrong_answers=0.5), tmp_path / "task")
    assert read_questions_info(tmp_path / "task")["corrupted"]["wrong_answer"] == 30
    (tmp_path / "task" / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match=r"holds 'thesis\.tex', which is no part of a task"):
        prepare_questions(config(balls), tmp_path / "task")


def test_what_is_no_prepared_folder_is_refused(balls, tmp_path):
    with pytest.raises(InputError, match="split 'train' is not known; known are pool, validation, test"):
        read_questions(tmp_path, "train")
    with pytest.raises(InputError, match=r"pool\.parquet: no such file; expected a folder of prepared questions"):
        read_questions(tmp_path, "pool")
    prepare_questions(config(balls), tmp_path / "task")
    path = tmp_path / "task" / "pool.parquet"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InputError, match=r"pool\.parquet: not a whole Parquet file"):
        read_questions(tmp_path / "task", "pool")
    (tmp_path / "info.json").write_text("{}")
    with pytest.raises(InputError, match=r"info\.json: not the description of a question task"):
        read_questions_info(tmp_path)
