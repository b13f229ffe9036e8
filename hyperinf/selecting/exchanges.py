"""What a row says, whatever its format: a conversation, a prompt and its answer, or a text."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from string import ascii_uppercase
from typing import Any

from hyperinf.data.formats.field_parsers import (
    NoAnswerError,
    NoTextError,
    RowError,
    read_string,
    read_strings,
    unpacked,
)
from hyperinf.data.formats.user_jsonl import RECORD
from hyperinf.data.prompts import load_template, render
from hyperinf.data.sources.notes import Row
from hyperinf.errors import brief, listed

Message = Mapping[str, Any]
IMAGE = "<image>"
"""Where a picture stands in a text."""
_ROLES = {
    **dict.fromkeys(("user", "human", "prompter"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bing", "bard", "model", "function_call"), "assistant"),
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("tool", "function", "observation"), "tool"),
}
_ALPACA = "Below is an instruction that describes a task"
_ALPACA_INPUT = ", paired with an input that provides further context"
_ALPACA_END = ". Write a response that appropriately completes the request.\n\n"


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a row says.

    Attributes:
        messages: ``{role, content, ...}`` from the first on; none where it is no conversation.
        prompt: what stands before the answer in plain text, where that is known.
        answer: in plain text; of a row without a prompt the whole text.
        image: what the row has as its picture; None for none.
        tools: what the row says of tools, for a chat template that shows them.
        form: the row's format.
    """

    messages: tuple[Message, ...] = ()
    prompt: str = ""
    answer: str = ""
    image: Any = None
    tools: Any = field(default=None, compare=False)
    form: str = ""


def read_exchange(row: Row) -> Exchange:
    """Read a row of any known format.

    Raises:
        RowError: it is of none, or not what its format has; says what is wrong.
        UnusableRowError: it lacks a text or an answer.
    """
    for name, (columns, read) in FORMS.items():
        if all(any(row.get(each) is not None for each in names) for names in columns):
            return replace(read(row), image=_image(row), form=name)
    known = "; ".join(
        f"{name} ({', '.join(' or '.join(names) for names in cols)})" for name, (cols, _) in FORMS.items()
    )
    there = {name for cols, _ in FORMS.values() for names in cols for name in names} & row.keys()
    if there:
        raise NoTextError(f"nothing in {listed(sorted(there))}")
    raise RowError(f"got columns {listed(row)}, expected those of {known}; or name yours in a template (--template)")


def _preferred(row: Row) -> Exchange:
    """Read a pair of answers of which one is preferred: that one is the answer, or the whole conversation."""
    chosen = unpacked(row.get("chosen"))
    if isinstance(chosen, str):
        chosen = {"role": "assistant", "content": chosen}
    said = _messages([chosen] if isinstance(chosen, Mapping) else chosen, "chosen")
    if said[0]["role"] != "assistant":
        return Exchange(said)
    column = next((name for name in _ASKED if row.get(name) is not None), None)
    if column is None:
        raise RowError(f"got a chosen answer without what it answers, expected {' or '.join(_ASKED)} beside it")
    asked = unpacked(row[column])
    turns = _messages([{"role": "user", "content": asked}] if isinstance(asked, str) else asked, column)
    return Exchange((*_said_first(row, turns), *turns, *said), tools=unpacked(row.get("tools")))


def _said_first(row: Row, turns: Sequence[Message]) -> Sequence[Message]:
    """The system's message beside the turns, where they have none."""
    system = read_string(row, "system")
    return () if not system or turns[0]["role"] == "system" else ({"role": "system", "content": system},)


def _chat(row: Row) -> Exchange:
    return Exchange(_messages(unpacked(row.get("messages")), "messages"), tools=unpacked(row.get("tools")))


def _share_gpt(row: Row) -> Exchange:
    turns = _messages(unpacked(row.get("conversations")), "conversations")
    return Exchange((*_said_first(row, turns), *turns))


def _alpaca(row: Row) -> Exchange:
    instruction, more = read_string(row, "instruction").strip(), read_string(row, "input").strip()
    answer = _answer(row, ("output", "response"))
    if not instruction and not more:
        raise NoTextError("no instruction")
    paired = _ALPACA_INPUT if more else ""
    shown = f"### Input:\n{more}\n\n" if more else ""
    plain = f"{_ALPACA}{paired}{_ALPACA_END}### Instruction:\n{instruction}\n\n{shown}### Response:\n"
    asked = "\n\n".join(filter(None, (instruction, more)))
    return _asked(asked, answer, plain, read_string(row, "system"))


def _prompt(row: Row) -> Exchange:
    prompt = unpacked(row.get("prompt"))
    column = next(name for name in _COMPLETIONS if row.get(name) is not None)
    if isinstance(prompt, list):
        answer = unpacked(row.get(column))
        more = [{"role": "assistant", "content": answer}] if isinstance(answer, str) else answer
        return Exchange((*_messages(prompt, "prompt"), *_messages(more, column)))
    prompt, answer = read_string(row, "prompt"), _answer(row, (column,))
    if not prompt.strip():
        raise NoTextError("no prompt")
    return _asked(prompt.strip(), answer.strip(), prompt, read_string(row, "system"), answer)


def _question(row: Row) -> Exchange:
    known = dict(row)
    if isinstance(row.get("choices"), Mapping):  # ARC and its like: texts and their letters
        known["choices"] = [str(each) for each in row["choices"].get("text", ())]
        letters = [str(each) for each in row["choices"].get("label", ())]
    else:
        known["choices"] = read_strings(row, "choices")
        letters = list(ascii_uppercase[: len(known["choices"])])
    known["answer"] = _chosen(row, known["choices"], letters)
    known["choices"] = known["choices"] or None
    known["image"] = None
    sample = RECORD.read(known)
    rendered = render(load_template("multiple_choice" if sample.choices else "question"), sample)
    asked = rendered.before + rendered.context + rendered.after
    return _asked(asked, rendered.answer.strip(), asked, "", rendered.answer)


def _ideal(row: Row) -> Exchange:
    """Read what OpenAI's evals ask: a text or turns, and the answer, or several of which the first is taken."""
    asked, ideal = unpacked(row.get("input")), unpacked(row.get("ideal"))
    answer = ideal[0] if isinstance(ideal, list) and ideal else ideal
    if not isinstance(answer, str) or not answer.strip():
        raise NoAnswerError("no answer in column 'ideal'")
    if isinstance(asked, str):
        asked = [{"role": "user", "content": asked}]
    return Exchange((*_messages(asked, "input"), {"role": "assistant", "content": answer.strip()}))


def _text(row: Row) -> Exchange:
    text = read_string(row, "text")
    if not text.strip():
        raise NoTextError("no text")
    return Exchange(answer=text)


_ASKED = ("messages", "conversations", "prompt", "question")
_COMPLETIONS = ("completion", "response", "answer", "output")
FORMS: Mapping[str, tuple[Sequence[Sequence[str]], Callable[[Row], Exchange]]] = {
    "chosen": ((("chosen",),), _preferred),
    "messages": ((("messages",),), _chat),
    "conversations": ((("conversations",),), _share_gpt),
    "instruction": ((("instruction",), ("output", "response")), _alpaca),
    "prompt": ((("prompt",), _COMPLETIONS), _prompt),
    "question": ((("question",), ("answer", "answerKey")), _question),
    "input and ideal": ((("input",), ("ideal",)), _ideal),
    "text": ((("text",),), _text),
}
"""Formats by name, the first that fits first: the columns that a row must have, any of each group, and its reader."""
COLUMNS = ("chosen", "messages", "conversations", "instruction", "input", "output", "response", "prompt", "completion",
           "answer", "question", "choices", "context", "answerKey", "ideal", "text", "system", "tools", "image",
           "images", "file_name", "id", "kind")  # fmt: skip
"""All columns that mean something."""


def _asked(asked: str, answer: str, plain: str, system: str, plain_answer: str | None = None) -> Exchange:
    """Put a question and its answer as a conversation, and as plain text beside it."""
    before = ({"role": "system", "content": system},) if system else ()
    said = ({"role": "user", "content": asked}, {"role": "assistant", "content": answer})
    return Exchange((*before, *said), plain, answer if plain_answer is None else plain_answer)


def _answer(row: Row, columns: Sequence[str]) -> str:
    column = next(name for name in columns if row.get(name) is not None)
    answer = read_string(row, column)
    if not answer.strip():
        raise NoAnswerError(f"no answer in column {column!r}")
    return answer


def _chosen(row: Row, choices: Sequence[str], letters: Sequence[str]) -> str:
    """Read the answer: its text, or the letter or the number (from 0) of a choice."""
    answer = row.get("answerKey") if row.get("answer") is None else row["answer"]
    if answer is None or answer == "" or answer == -1:
        raise NoAnswerError("no answer")
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(choices):
        return choices[answer]
    if isinstance(answer, str) and answer not in choices and answer in letters:
        return choices[letters.index(answer)]
    if not isinstance(answer, str):
        raise RowError(f"got answer {brief(answer)}, expected a text, or the letter or number of a choice")
    return answer


def _messages(value: Any, column: str) -> tuple[Message, ...]:
    if not isinstance(value, list) or not value:
        if value in (None, "", []):
            raise NoTextError(f"no turn in column {column!r}")
        raise RowError(f"got {brief(value)} in column {column!r}, expected a list of turns")
    return tuple(_message(turn, f"turn {number} of {column}") for number, turn in enumerate(value, start=1))


def _message(turn: Any, where: str) -> Message:
    if not isinstance(turn, Mapping):
        raise RowError(f"{where}: got {brief(turn)}, expected a role and a content")
    said_by = turn.get("role", turn.get("from"))
    role = _ROLES.get(said_by.strip().lower()) if isinstance(said_by, str) else None
    if role is None:
        raise RowError(f"{where}: got role {brief(said_by)}, expected one of {', '.join(dict.fromkeys(_ROLES))}")
    content = turn.get("content", turn.get("value"))
    more = {
        name: each
        for name, each in turn.items()
        if name not in ("role", "from", "content", "value") and each is not None
    }
    if "loss_weight" in more:
        more.setdefault("weight", more.pop("loss_weight"))
    if content is None and "tool_calls" in more:
        content = ""
    return {"role": role, "content": _content(content, where), **more}


def _content(content: Any, where: str) -> str:
    if isinstance(content, list) and all(isinstance(part, Mapping) for part in content):
        parts = [
            IMAGE if "image" in str(part.get("type", "")) else part.get("text", part.get("value")) for part in content
        ]
        if all(isinstance(part, str) for part in parts):
            return "\n".join(parts)
    if not isinstance(content, str):
        raise RowError(f"{where}: got {brief(content)} as content, expected a text")
    return content


def _image(row: Row) -> Any:
    """Find a row's picture: in ``image``, the only one in ``images``, or ``file_name`` of a folder's metadata."""
    images = unpacked(row.get("images"))
    if isinstance(images, list) and images:
        if len(images) > 1:
            raise RowError(f"got {len(images)} images, expected one at most")
        return images[0]
    return row.get("image") or row.get("file_name") or None
