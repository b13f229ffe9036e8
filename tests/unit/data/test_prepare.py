"""Preparing tasks of questions: what is drawn, what is harmed, what is described, what is refused."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from tasks import Splits, by_id, prepared, refusal, write_task

from hyperinf.data.samples import SPLITS, Sample, read_data_info, read_samples
from hyperinf.errors import InputError
from hyperinf.pipeline.prepare import prepare
from hyperinf.settings.stages import Prepare

CHOICES = ["red", "green", "blue", "grey"]


def rows(count: int, topic: str = "ball") -> list[dict[str, Any]]:
    return [
        {"id": f"k{i}", "context": f"Story {i}.", "question": f"Which {topic}?", "choices": CHOICES, "answer": choice}
        for i, choice in zip(range(count), CHOICES * count, strict=False)
    ]


def task(**changes: Any) -> dict[str, Any]:
    sizes = {"train": 60, "validation": 20, "test": 40}
    return {"format": "record", "template": "multiple_choice", **sizes, **changes}


def capitals(path: Path) -> dict[str, str]:
    return {"source": f"path:{path}", "format": "record", "template": "letter"}


@pytest.fixture
def balls(write_jsonl):
    return write_jsonl(rows(120), "balls.jsonl")


@pytest.fixture
def other(write_jsonl):
    return write_jsonl(
        [{"question": f"Capital {i}?", "choices": ["Rome", "Oslo"], "answer": "Rome"} for i in range(30)],
        "capitals.jsonl",
    )


def test_splits_carry_the_rows_of_the_file_each_once(balls, tmp_path):
    splits = prepared(tmp_path / "task", balls, **task())
    assert {split: len(samples) for split, samples in splits.items()} == {"train": 60, "validation": 20, "test": 40}
    assert by_id(splits) == {
        f"k{i}": Sample(
            f"k{i}", f"Story {i}.", "Which ball?", tuple(CHOICES), CHOICES[i % 4], CHOICES[i % 4], source="balls"
        )
        for i in range(120)
    }


def test_parquet_is_read_like_json_lines(balls, tmp_path):
    pq.write_table(pa.Table.from_pylist(rows(120)), tmp_path / "balls.parquet")
    one, two = (prepared(tmp_path / path.suffix, path, **task()) for path in (balls, tmp_path / "balls.parquet"))
    assert one == two
    assert len({read_data_info(tmp_path / name)["content_sha256"] for name in (".jsonl", ".parquet")}) == 1


def test_rows_without_ids_are_named_by_file_and_row(write_jsonl, tmp_path):
    path = write_jsonl([{k: v for k, v in row.items() if k != "id"} for row in rows(120)], "balls.jsonl")
    for each in prepared(tmp_path / "task", path, **task())["train"]:
        assert each.context == f"Story {each.sample_id.removeprefix('balls/')}."


def test_the_same_settings_write_the_same_bytes_and_another_seed_others(balls, other, tmp_path):
    files = [*(f"{split}.parquet" for split in SPLITS), "info.json", "settings.yaml"]
    written = []
    for seed in (11, 11, 12):
        harm = {"label_noise": 0.3, "off_task": 0.1, "off_task_data": capitals(other)}
        write_task(tmp_path / "task", balls, **task(seed=seed, **harm))
        assert sorted(path.name for path in (tmp_path / "task").iterdir()) == sorted(files)
        written.append([(tmp_path / "task" / file).read_bytes() for file in files])
    assert written[0] == written[1]
    assert not any(one == two for one, two in zip(written[1], written[2], strict=True))


def test_the_settings_that_are_written_prepare_the_same_again(balls, other, tmp_path):
    harm = {"label_noise": 0.3, "off_task": 0.1, "off_task_data": capitals(other), "splits": {"train": "train"}}
    write_task(tmp_path / "task", balls, **task(**harm))
    settings = yaml.safe_load((tmp_path / "task" / "settings.yaml").read_text(encoding="utf-8"))
    prepare(Prepare(**{**settings, "out": str(tmp_path / "again")}))
    for split in SPLITS:
        assert read_samples(tmp_path / "again", split) == read_samples(tmp_path / "task", split)


def test_the_columns_of_the_files_are_the_fields_of_a_sample(balls, tmp_path):
    write_task(tmp_path / "task", balls, **task())
    names = "sample_id context question choices answer true_answer corruption image kind source accepted"
    assert pq.read_schema(tmp_path / "task" / "train.parquet").names == names.split()
    assert pq.read_table(tmp_path / "task" / "train.parquet")["choices"][0].as_py() == CHOICES


def test_a_classifier_reads_context_and_question_or_the_one_that_is_there():
    assert Sample("1", "c", "q", (), "a", "a").texts == ("c", "q")
    assert Sample("1", "c", "", (), "a", "a").texts == ("c", None)
    assert Sample("1", "", "q", (), "a", "a").texts == ("q", None)


@pytest.mark.parametrize(
    ("choices", "shared"),
    [(CHOICES[::-1], True), ([*CHOICES[:3], "pink"], False), (CHOICES[:3], False), (None, False)],
    ids=["another order", "another class", "fewer", "none"],
)
def test_classes_are_the_choices_that_all_samples_share_in_the_order_of_the_first(
    write_jsonl, tmp_path, choices, shared
):
    path = write_jsonl([{**row, "choices": choices} if i == 8 else row for i, row in enumerate(rows(120))])
    first = prepared(tmp_path / "task", path, **task(template="question"))["train"][0]
    assert read_data_info(tmp_path / "task")["label_names"] == (list(first.choices) if shared else None)


# Corruption


def test_another_fraction_leaves_the_drawn_samples_and_the_places_of_fewer_as_they_are(balls, other, tmp_path):
    clean = prepared(tmp_path / "clean", balls, **task())
    few = prepared(tmp_path / "few", balls, **task(label_noise=0.2))
    harm = {"label_noise": 0.5, "off_task": 0.2, "off_task_data": capitals(other)}
    many = prepared(tmp_path / "many", balls, **task(**harm))
    for splits in (few, many):
        assert splits["validation"] == clean["validation"]
        assert splits["test"] == clean["test"]
    assert [each.sample_id for each in few["train"]] == [each.sample_id for each in clean["train"]]
    for one, two, three in zip(clean["train"], few["train"], many["train"], strict=True):
        if two.corruption:
            assert two == three
        if three.corruption != "off_task":
            assert three.sample_id == one.sample_id
            assert three.true_answer == one.answer


def test_questions_with_few_choices_are_wrong_among_their_own(write_jsonl, tmp_path):
    few = [{**row, "choices": CHOICES[: 2 + i % 3], "answer": CHOICES[i % 2]} for i, row in enumerate(rows(120))]
    train = prepared(tmp_path / "task", write_jsonl(few), **task(label_noise=0.95))["train"]
    wrong = [each for each in train if each.corruption]
    assert all(each.answer in each.choices and each.answer != each.true_answer for each in wrong)
    assert {len(each.choices) for each in wrong} == {2, 3, 4}
    assert read_data_info(tmp_path / "task")["label_names"] is None


def test_off_task_samples_replace_others_keep_their_answers_and_never_have_wrong_ones(balls, other, tmp_path):
    harm = {"label_noise": 0.7, "off_task": 0.3, "off_task_data": capitals(other)}
    splits = prepared(tmp_path / "task", balls, **task(**harm))
    train = splits["train"]
    assert Counter(each.corruption for each in train) == {"label_noise": 42, "off_task": 18}
    foreign = [each for each in train if each.corruption == "off_task"]
    assert len({each.sample_id for each in foreign}) == 18
    for each in foreign:
        assert each.sample_id == f"off_task/capitals/{each.question.removeprefix('Capital ').removesuffix('?')}"
        assert (each.answer, each.true_answer, each.source) == ("Rome", "Rome", "capitals")
    assert {each.source for each in train if each.corruption != "off_task"} == {"balls"}
    assert not [each for split in ("validation", "test") for each in splits[split] if each.source != "balls"]
    info = read_data_info(tmp_path / "task")
    assert info["templates"] == {"balls": "multiple_choice", "capitals": "letter"}
    assert info["corrupted"] == {"label_noise": 42, "off_task": 18}


def test_off_task_samples_are_none_of_the_tasks_own(balls, write_jsonl, tmp_path):
    (tmp_path / "more").mkdir()
    mixed = write_jsonl(
        [*rows(120), *({**row, "id": f"c{i}"} for i, row in enumerate(rows(10, "cube")))], "more/balls.jsonl"
    )
    train = prepared(tmp_path / "task", balls, **task(off_task=0.1, off_task_data=capitals(mixed)))["train"]
    foreign = [each for each in train if each.corruption == "off_task"]
    assert len(foreign) == 6
    assert {(each.question, each.source) for each in foreign} == {("Which cube?", "balls (off task)")}
    line = refusal(tmp_path / "again", balls, **task(off_task=0.2, off_task_data=capitals(mixed)))
    assert "got 10 different off-task samples, expected the 12" in line


def test_short_answers_cannot_be_wrong_and_the_message_says_what_to_do(write_jsonl, tmp_path):
    path = write_jsonl([{"question": f"Sum {i}?", "answer": str(i)} for i in range(120)], "sums.jsonl")
    train = prepared(tmp_path / "task", path, **task(template="question"))["train"]
    assert all(each.choices == () for each in train)
    line = refusal(tmp_path / "again", path, **task(template="question", label_noise=0.2))
    assert "60 training samples without choices" in line
    assert "set label_noise to 0" in line


# Sources of one's own


def write_lines(path: Path, content: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in content))


def by_topic(splits: Splits) -> dict[str, str]:
    topics = {split: {each.question for each in samples} for split, samples in splits.items()}
    return {split: " and ".join(sorted(each)) for split, each in topics.items()}


def test_files_named_as_the_hub_names_splits_are_the_splits_unless_the_user_says_otherwise(tmp_path):
    for name in ("train", "validation", "test"):
        write_lines(tmp_path / "mine" / f"{name}.jsonl", rows(50, name))
    found = prepared(tmp_path / "task", tmp_path / "mine", **task(train=40, test=10))
    assert by_topic(found) == {"train": "Which train?", "validation": "Which validation?", "test": "Which test?"}
    assert found["test"][0].sample_id.startswith("test/k")
    names = {"train": "test", "validation": "train", "test": "train"}
    found = prepared(tmp_path / "task", tmp_path / "mine", **task(train=40, test=10, splits=names))
    assert by_topic(found) == {"train": "Which test?", "validation": "Which train?", "test": "Which train?"}


def test_splits_may_be_files_of_a_folder_with_names_of_their_own(tmp_path):
    for name in ("candidates", "tuning", "exam"):
        write_lines(tmp_path / "mine" / f"{name}.jsonl", rows(50, name))
    files = {"train": "candidates.jsonl", "validation": "tuning.jsonl", "test": "exam.jsonl"}
    found = prepared(tmp_path / "task", tmp_path / "mine", **task(train=40, test=10, splits=files))
    assert by_topic(found) == {"train": "Which candidates?", "validation": "Which tuning?", "test": "Which exam?"}
    assert found["train"][0].sample_id.startswith("candidates/k")
    del files["test"]
    prepared(tmp_path / "task", tmp_path / "mine", **task(train=10, test=40, splits=files))
    assert read_data_info(tmp_path / "task")["drawn_from"]["test"] == {"tuning.jsonl": 30, "candidates.jsonl": 10}


def test_files_that_are_named_by_half_are_refused(tmp_path):
    for name in ("candidates", "exam"):
        write_lines(tmp_path / "mine" / f"{name}.jsonl", rows(50, name))

    def line(**changes: Any) -> str:
        return refusal(tmp_path / "task", tmp_path / "mine", **task(**changes))

    train = {"train": "candidates.jsonl"}
    assert "'candidates.jsonl', and 'test', expected files for both" in line(splits={**train, "test": "test"})
    assert "'exam.jsonl', for a split, expected one for train, too" in line(splits={"test": "exam.jsonl"})
    assert "no such file" in line(splits={**train, "test": "absent.jsonl"})
    assert "no such file or folder" in refusal(tmp_path / "task", tmp_path / "absent", **task())


def test_a_file_that_is_too_small_gives_each_split_its_part(write_jsonl, tmp_path, caplog):
    splits = prepared(tmp_path / "task", write_jsonl(rows(100)), **task())
    assert [len(splits[split]) for split in SPLITS] == [51, 16, 33]
    assert read_data_info(tmp_path / "task")["missing"] == {"train": 9, "validation": 4, "test": 7}
    assert "51 train samples, 60 asked for" in caplog.text


def test_samples_that_training_shares_with_files_that_test_it_are_refused_with_their_count(tmp_path):
    shared = [{**row, "question": " Which   train? ", "choices": [*CHOICES[::-1][:3], "pink"]} for row in rows(7)]
    shared = [{**row, "answer": "pink"} for row in shared]
    write_lines(tmp_path / "mine" / "train.jsonl", rows(80, "train"))
    write_lines(tmp_path / "mine" / "validation.jsonl", rows(20, "validation"))
    write_lines(
        tmp_path / "mine" / "test.jsonl", [*rows(50, "test"), *({**row, "id": f"s{i}"} for i, row in enumerate(shared))]
    )
    line = refusal(tmp_path / "task", tmp_path / "mine", **task())
    assert "got 7 samples of 'test' that are" in line
    assert "in 'train', too (first test/s0)" in line


def published(folder: Path) -> None:
    """PIQA with 12 goals of its training split in its validation split, the ways to them being others."""

    def row(goal: str, index: int) -> dict[str, Any]:
        return {"goal": goal, "sol1": f"one {index}", "sol2": f"two {index}", "label": index % 2}

    write_lines(folder / "train.jsonl", [row(f"goal {i}", i) for i in range(60)])
    write_lines(folder / "validation.jsonl", [row(f"goal {i}", 100 + i) for i in range(48, 108)])


def test_training_on_a_published_set_gives_up_what_it_shares_unless_splits_are_named(tmp_path):
    published(tmp_path / "piqa")
    plain = {"format": "piqa", "train": 60, "validation": 30, "test": 30}
    splits = prepared(tmp_path / "task", tmp_path / "piqa", **plain)
    assert {each.sample_id for each in splits["train"]} == {f"train/{i}" for i in range(48)}
    info = read_data_info(tmp_path / "task")
    assert (info["overlapping_dropped"], info["missing"]) == (12, {"train": 12, "validation": 0, "test": 0})
    named = {**plain, "splits": {"train": "train", "validation": "validation"}}
    assert "got 12 samples of 'validation' that are" in refusal(tmp_path / "again", tmp_path / "piqa", **named)


def test_questions_on_one_text_never_stand_in_two_splits(write_jsonl, tmp_path):
    several = [
        {"context": f"Story {i // 4}.", "question": "Which?", "choices": [f"{i}", f"{i} not"], "answer": f"{i}"}
        for i in range(160)
    ]
    splits = prepared(tmp_path / "task", write_jsonl(several), **task(train=30, validation=10, test=10))
    contexts = {split: {each.context for each in samples} for split, samples in splits.items()}
    assert not contexts["train"] & (contexts["validation"] | contexts["test"])
    assert not contexts["validation"] & contexts["test"]
    assert len(splits["train"]) == 30


def test_copies_within_a_split_are_dropped_and_counted_and_those_that_disagree_are_left_out(
    write_jsonl, tmp_path, caplog
):
    content = rows(130)
    copy = {**content[3], "id": "copy", "context": "  Story   3.", "choices": CHOICES[::-1]}
    against = {**content[4], "id": "against", "answer": "grey"}
    found = by_id(prepared(tmp_path / "task", write_jsonl([*content, copy, against]), **task()))
    info = read_data_info(tmp_path / "task")
    assert (info["duplicates_dropped"], info["contradictory_dropped"]) == (1, 2)
    assert info["contradictory_first_ids"] == ["k4", "against"]
    assert not found.keys() & {"copy", "against", "k4"}
    assert "2 samples left out" in caplog.text


# The description


def test_the_description_counts_answers_their_places_and_kinds(write_jsonl, tmp_path):
    path = write_jsonl([{**row, "kind": "colour"} for row in rows(120)], "balls.jsonl")
    train = prepared(tmp_path / "task", path, **task(label_noise=0.3))["train"]
    info = json.loads((tmp_path / "task" / "info.json").read_text())
    counts = info["counts"]["train"]
    assert counts["samples"] == 60
    assert counts["answers"]["most_frequent"] == {name: sum(e.answer == name for e in train) for name in CHOICES}
    assert counts["true_answers"]["most_frequent"] == {
        name: sum(e.true_answer == name for e in train) for name in CHOICES
    }
    positions = {str(i): sum(e.answer == name for e in train) for i, name in enumerate(CHOICES)}
    assert counts["answer_positions"] == positions
    assert counts["kinds"] == {"colour": 60}
    assert (info["source"], info["format"], info["template"]) == (f"path:{path}", "record", "multiple_choice")
    assert (info["seed"], info["label_noise"], info["asked"]["train"]) == (11, 0.3, 60)
    assert info["drawn_from"] == {split: {"balls": info["asked"][split]} for split in SPLITS}


def test_answers_that_are_nearly_all_different_are_counted_and_not_listed(write_jsonl, tmp_path):
    content = [{"question": f"Sum {i}?", "answer": "0" if i % 2 else str(i)} for i in range(120)]
    train = prepared(tmp_path / "task", write_jsonl(content), **task(template=None))["train"]
    zeros = sum(each.answer == "0" for each in train)
    answers = read_data_info(tmp_path / "task")["counts"]["train"]["answers"]
    assert answers == {"distinct": 61 - zeros, "most_frequent": {"0": zeros}, "others": 60 - zeros}


def test_the_content_hash_follows_the_content(balls, write_jsonl, tmp_path):
    def digest(path: Path, **changes: Any) -> str:
        return read_data_info(write_task(tmp_path / "task", path, **task(**changes)))["content_sha256"]

    before = digest(balls)
    assert digest(balls, template="letter") == before
    assert digest(balls, label_noise=0.1) != before
    assert digest(write_jsonl([*rows(119), {**rows(120)[-1], "context": "New."}], "balls.jsonl")) != before


# What is refused


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"choices": []}, "no choices; leave them out where a short answer is wanted"),
        ({"choices": ["red"]}, "fewer than 2 choices"),
        ({"choices": ["red", " "]}, "a choice is empty"),
        ({"choices": ["red", "blue", "red "]}, "a choice occurs twice"),
        ({"choices": "red"}, "got 'red' in column 'choices', expected a list of strings"),
        ({"choices": ["red", 3]}, "got ['red', 3] in column 'choices', expected a list of strings"),
        ({"answer": "pink"}, "got answer 'pink', expected one of the choices 'red', 'green', 'blue', 'grey'"),
        ({"answer": ""}, "no answer"),
        ({"answer": None}, "no answer"),
        ({"answer": 1}, "got 1 in column 'answer', expected a string"),
        ({"question": "", "context": " "}, "neither a context nor a question"),
        ({"question": 5}, "got 5 in column 'question', expected a string"),
        ({"id": 1.5}, "got sample id 1.5 in column 'id', expected a string or an integer"),
    ],
)
def test_a_row_of_ones_own_that_is_no_question_is_refused_by_its_line(write_jsonl, tmp_path, changes, reason):
    content = rows(120)
    content[5] |= changes
    assert f"reviews.jsonl:6: {reason}" in refusal(tmp_path / "task", write_jsonl(content), **task(strict=True))


def test_ids_that_occur_twice_and_files_that_are_no_tables_are_refused(write_jsonl, tmp_path):
    content = rows(120)
    content[5]["id"] = "k0"
    assert "sample id 'k0' twice" in refusal(tmp_path / "task", write_jsonl(content), **task())
    (tmp_path / "balls.xlsx").write_text("question,answer\na,b\n")
    line = refusal(tmp_path / "task", tmp_path / "balls.xlsx", **task())
    assert "got file type '.xlsx', expected one of .csv, .json" in line
    assert "got no row with an answer" in refusal(tmp_path / "task", write_jsonl([]), **task())


def test_a_template_that_does_not_suit_the_questions_is_refused(balls, write_jsonl, tmp_path):
    assert "template 'vqa': got sample k" in refusal(tmp_path / "task", balls, **task(template="vqa"))
    path = write_jsonl([{"question": f"Sum {i}?", "answer": str(i)} for i in range(120)], "sums.jsonl")
    assert "without choices" in refusal(tmp_path / "task", path, **task(template="letter"))


def test_settings_that_do_not_suit_each_other_or_the_source_are_refused(balls, other, tmp_path):
    def line(**changes: Any) -> str:
        return refusal(tmp_path / "task", balls, **task(**changes))

    assert "got subset 'one', expected none" in line(subset="one")
    assert "got text_rows for format 'record'" in line(text_rows=True)
    assert "no split 'dev' for validation, expected one of 'balls'" in line(splits={"validation": "dev"})


def test_an_existing_task_is_replaced_and_anything_else_is_left_alone(balls, tmp_path):
    write_task(tmp_path / "task", balls, **task())
    write_task(tmp_path / "task", balls, **task(label_noise=0.5))
    assert read_data_info(tmp_path / "task")["corrupted"]["label_noise"] == 30
    (tmp_path / "task" / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match=r"holds 'thesis\.tex', expected a new or empty one"):
        write_task(tmp_path / "task", balls, **task())
    with pytest.raises(InputError, match=r"balls\.jsonl: got a file"):
        write_task(balls, balls, **task(cache=str(tmp_path / "cache")))
    with pytest.raises(InputError, match="cannot be written"):
        write_task(balls / "task", balls, **task(cache=str(tmp_path / "cache")))


def test_what_is_no_prepared_folder_or_has_changed_is_refused(balls, tmp_path):
    with pytest.raises(InputError, match="got split 'pool', expected one of train, validation, test"):
        read_samples(tmp_path, "pool")
    with pytest.raises(InputError, match=r"train\.parquet: got no such file"):
        read_samples(tmp_path, "train")
    write_task(tmp_path / "task", balls, **task())
    path = tmp_path / "task" / "train.parquet"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InputError, match=r"train\.parquet: has changed"):
        read_data_info(tmp_path / "task")
    with pytest.raises(InputError, match=r"train\.parquet: .* expected a whole Parquet file"):
        read_samples(tmp_path / "task", "train")
    pq.write_table(pa.table({"text": ["a"]}), path)
    with pytest.raises(InputError, match=r"train\.parquet: got the columns text, expected those of samples"):
        read_samples(tmp_path / "task", "train")
    (tmp_path / "info.json").write_text("{}")
    with pytest.raises(InputError, match=r"info\.json: got no templates"):
        read_data_info(tmp_path)
