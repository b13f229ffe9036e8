"""Rows as people have them."""

import json

import pytest

from hyperinf.data.formats.field_parsers import RowError, UnusableRowError
from hyperinf.selecting.exchanges import read_exchange

USER, REPLY = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [USER, REPLY]},
        {"messages": [USER, REPLY], "text": "something else"},
        {"messages": json.dumps([USER, REPLY])},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}, REPLY]},
        {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Ho"}]},
        {"conversations": [{"role": "User", "content": "Hi"}, {"role": "assistant", "content": "Ho"}], "id": 3},
        {"messages": [{"role": "user", "content": [{"type": "text", "value": "Hi"}]}, REPLY]},
        {
            "conversations": [{"from": "human", "value": "Hi"}],
            "chosen": {"from": "gpt", "value": "Ho"},
            "rejected": "No",
        },
        {"messages": [USER], "chosen": [REPLY], "rejected": [REPLY]},
        {"prompt": "Hi", "chosen": "Ho", "rejected": "No"},
        {"prompt": [USER], "chosen": json.dumps([REPLY]), "rejected": "[]"},
        {"prompt": "Hi", "chosen": [USER, REPLY], "rejected": [USER, REPLY]},
        {"chosen": [USER, REPLY], "rejected": [USER, REPLY]},
        {"question": "Hi", "chosen": "Ho"},
        {"input": [USER], "ideal": "Ho"},
        {"input": [USER], "ideal": ["Ho", "Oh"]},
        {"input": "Hi", "ideal": "Ho", "text": "something else"},
        {"input": json.dumps([USER]), "ideal": json.dumps(["Ho"])},
        {"instruction": "Hi", "input": "", "output": "Ho"},
        {"instruction": "Hi", "output": "Ho"},
        {"instruction": "Hi", "input": None, "response": "Ho"},
        {"prompt": "Hi", "completion": "Ho"},
        {"prompt": "Hi", "response": "Ho", "text": "Hi Ho"},
        {"prompt": [USER], "completion": [REPLY]},
        {"prompt": [USER], "completion": "Ho"},
    ],
    ids=lambda row: json.dumps(row)[:50],
)
def test_one_exchange_in_any_format_is_the_same_conversation(row):
    assert [(each["role"], each["content"]) for each in read_exchange(row).messages] == [
        ("user", "Hi"),
        ("assistant", "Ho"),
    ]


def test_of_an_earlier_answer_and_a_preferred_one_both_are_there():
    row = {"conversations": [USER, REPLY, USER], "chosen": {"role": "assistant", "content": "Oh"}, "system": "Be brief"}
    assert [each["content"] for each in read_exchange(row).messages] == ["Be brief", "Hi", "Ho", "Hi", "Oh"]
    with pytest.raises(RowError, match=r"messages or conversations or prompt"):
        read_exchange({"chosen": "Ho", "rejected": "No"})


@pytest.mark.parametrize("name", ["weight", "loss_weight"])
def test_the_weight_of_a_turn_is_read_by_either_name(name):
    (_, turn) = read_exchange({"messages": [USER, {**REPLY, name: 0.0}]}).messages
    assert turn["weight"] == 0


@pytest.mark.parametrize("ideal", ["", " ", [], 3, None])
def test_an_evaluation_without_an_answer_is_left_out(ideal):
    with pytest.raises(RowError):
        read_exchange({"input": [USER], "ideal": ideal})


def test_a_system_message_beside_the_turns_comes_first():
    turns = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Ho"}]
    row = {"system": "Be brief", "conversations": turns}
    assert [each["role"] for each in read_exchange(row).messages] == ["system", "user", "assistant"]
    turns.insert(0, {"from": "system", "value": "Be long"})
    assert [each["content"] for each in read_exchange(row).messages] == ["Be long", "Hi", "Ho"]


@pytest.mark.parametrize(
    ("row", "answer"),
    [
        ({"question": "Which?", "choices": ["one", "two"], "answer": "two"}, "two"),
        ({"question": "Which?", "choices": ["one", "two"], "answer": 1}, "two"),
        ({"question": "Which?", "choices": ["one", "two"], "answer": "B"}, "two"),
        ({"question": "Which?", "choices": {"text": ["one", "two"], "label": ["1", "2"]}, "answerKey": "2"}, "two"),
        ({"question": "Which?", "choices": '["one", "two"]', "answer": "two", "context": "Of these."}, "two"),
        ({"question": "How many?", "answer": "two"}, "two"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_question_has_its_answer_as_text_letter_or_number(row, answer):
    found = read_exchange(row)
    assert found.messages[-1]["content"] == answer
    assert found.answer == f" {answer}"
    assert all(choice in found.prompt for choice in ("one", "two") if "choices" in row)


def test_a_text_is_no_conversation():
    found = read_exchange({"text": " As it stands. "})
    assert (found.messages, found.prompt, found.answer) == ((), "", " As it stands. ")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"messages": "Hi"}, "messages"),
        ({"messages": [{"role": "narrator", "content": "Hi"}]}, "narrator"),
        ({"messages": ["Hi"]}, "turn 1"),
        ({"messages": [USER, {"role": "assistant", "content": 3}]}, "turn 2"),
        ({"conversations": [{"from": "human"}]}, "turn 1"),
        ({"prompt": "Hi", "completion": 3}, "completion"),
        ({"question": "Which?", "choices": ["one", "two"], "answer": "three"}, "three"),
        ({"question": "Which?", "choices": ["one", "two"], "answer": 2.5}, "2.5"),
        ({"words": "Hi"}, "words"),
        ({"text": "Hi", "images": ["a.png", "b.png"]}, "images"),
        ({}, "columns"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_row_of_no_known_form_is_refused_by_what_is_wrong_with_it(row, said):
    with pytest.raises(RowError, match=said) as refused:
        read_exchange(row)
    assert not isinstance(refused.value, UnusableRowError)


@pytest.mark.parametrize(
    "row",
    [
        {"messages": []},
        {"messages": None},
        {"text": "  "},
        {"prompt": "Hi", "completion": " "},
        {"prompt": "", "completion": "Ho"},
        {"instruction": "", "input": "", "output": "Ho"},
        {"question": "Which?", "choices": ["one", "two"], "answer": ""},
    ],
    ids=str,
)
def test_a_row_that_lacks_something_may_be_left_out(row):
    with pytest.raises(UnusableRowError):
        read_exchange(row)


@pytest.mark.parametrize(
    ("row", "image"),
    [({"image": "a.png"}, "a.png"), ({"images": ["a.png"]}, "a.png"), ({"file_name": "a.png"}, "a.png"), ({}, None)],
    ids=str,
)
def test_a_picture_stands_in_any_of_its_columns(row, image):
    assert read_exchange({"question": "What?", "answer": "this", **row}).image == image
