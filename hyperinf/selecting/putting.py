"""How an exchange is put to a model: a chat template, plain text, or a template of one's own; what the loss counts."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hyperinf.data.formats.field_parsers import NoAnswerError, NoTextError, RowError
from hyperinf.data.sources.notes import Row
from hyperinf.errors import InputError, brief
from hyperinf.models.loading import first_line
from hyperinf.selecting.exchanges import IMAGE, Exchange, Message, read_exchange

Piece = tuple[str, bool]
"""Text, and whether the loss counts it."""
_PLACE = re.compile(r"\{([^{}\n]+)\}")
_NAMES = {"system": "System", "user": "User", "assistant": "Assistant", "tool": "Tool"}
# Templates that show a date would give other tokens every day.
_FIXED = {"date_string": "26 Jul 2024"}


class Putter:
    """Put rows to a model.

    Args:
        tokenizer: of transformers, or a processor: whatever applies the chat template.
        chat: use its chat template, if it has one.
        own: a chat template in Jinja instead of it.
        parts: the template takes contents as lists of parts.

    Attributes:
        described: how rows are put, in words.
    """

    def __init__(self, tokenizer: Any, chat: bool = True, own: str | None = None, parts: bool = False) -> None:
        self._tokenizer, self._own, self._parts = tokenizer, own, parts
        self._chat = own is not None or (chat and bool(getattr(tokenizer, "chat_template", None)))
        if own is not None:
            self.described = "by the chat template given"
        elif self._chat:
            self.described = "by the tokenizer's chat template"
        elif chat:
            self.described = "as plain text: the tokenizer has no chat template"
        else:
            self.described = "as plain text"

    def pieces(self, exchange: Exchange) -> tuple[list[Piece], bool]:
        """Cut what the model reads into pieces.

        Returns:
            The pieces in order, and whether the tokens that begin and end a text are to be put around them.

        Raises:
            RowError: the template cannot take the conversation.
            NoAnswerError: there is nothing that the loss would count.
        """
        if self._chat and exchange.messages:
            return self._by_template(exchange), False
        if exchange.prompt:
            return [(exchange.prompt, False), (exchange.answer, True)], True
        if not exchange.messages:
            return [(exchange.answer, True)], True
        pieces: list[Piece] = []
        for message in exchange.messages:
            pieces.append((f"{_NAMES[message['role']]}: ", False))
            pieces.append((message["content"].strip(), _is_counted(message)))
            pieces.append(("\n", False))
        last = max((place for place, (_, counted) in enumerate(pieces) if counted), default=-1)
        return _answered(pieces[: last + 1]), True

    def _by_template(self, exchange: Exchange) -> list[Piece]:
        messages = list(exchange.messages)
        counted = [place for place, message in enumerate(messages) if _is_counted(message)]
        if not counted:
            raise NoAnswerError("no turn of an assistant")
        messages = messages[: counted[-1] + 1]
        try:
            whole = self._rendered(messages, exchange.tools)
        except RowError:
            # Templates of some models know no system message: it is said by the user then.
            if messages[0]["role"] != "system" or len(messages) < 2:
                raise
            first = {**messages[1], "content": f"{messages[0]['content']}\n\n{messages[1]['content']}"}
            messages, counted = [first, *messages[2:]], [place - 1 for place in counted]
            whole = self._rendered(messages, exchange.tools)
        pieces: list[Piece] = []
        done = 0
        for place in counted:
            start, end = self._span(messages, place, whole, done, exchange.tools)
            pieces += [(whole[done:start], False), (whole[start:end], True)]
            done = end
        return _answered(pieces)

    def _span(self, messages: Sequence[Message], place: int, whole: str, done: int, tools: Any) -> tuple[int, int]:
        """Find where in the whole a turn stands: what comes after the template's invitation to it, its end included."""
        last = place == len(messages) - 1
        before = self._rendered(messages[:place], tools, invite=True) if place else ""
        after = whole if last else self._rendered(messages[: place + 1], tools)
        if place and whole.startswith(after) and after.startswith(before) and done <= len(before) < len(after):
            return len(before), len(after)
        # The template shows a turn in another way once others follow: its own words are looked for.
        content = messages[place]["content"].strip()
        start = whole.find(content, done)
        if not content or start < 0:
            raise RowError(f"turn {place + 1}: got an answer that the chat template does not show, expected it in full")
        return start, len(whole) if last else start + len(content)

    def _rendered(self, messages: Sequence[Message], tools: Any, invite: bool = False) -> str:
        shown = [{**each, "content": _parts(each["content"])} for each in messages] if self._parts else list(messages)
        own = {} if self._own is None else {"chat_template": self._own}
        try:
            return str(
                self._tokenizer.apply_chat_template(
                    shown, tools=tools, tokenize=False, add_generation_prompt=invite, **own, **_FIXED
                )
            )
        # A template is a program: whatever it raises is about this conversation.
        except Exception as error:
            raise RowError(f"the chat template cannot take it: {first_line(error)}") from None


def _is_counted(message: Message) -> bool:
    # Weight 0 is how fine-tuning services are told to leave a turn out of the loss.
    return message["role"] == "assistant" and message.get("weight", 1) != 0


def _answered(pieces: list[Piece]) -> list[Piece]:
    if not any(counted and text.strip() for text, counted in pieces):
        raise NoAnswerError("no turn of an assistant with a text")
    return pieces


def _parts(content: str) -> list[dict[str, str]]:
    before, image, after = content.partition(IMAGE)
    texts = [{"type": "text", "text": text.strip("\n")} for text in (before, after) if text.strip()]
    return [{"type": "image"}, *texts] if image else texts


Use = Callable[[Row], Exchange]


def reader_of(template: Path | None) -> tuple[Use, tuple[str, ...], str | None, str]:
    """Say how rows are read, given a template of one's own.

    Returns:
        What makes an exchange of a row, the columns that it needs beyond the known ones, a chat template, and in words
        how rows are put (``""`` where the tokenizer decides).

    Raises:
        InputError: the template cannot be used.
    """
    if template is None:
        return read_exchange, (), None, ""
    try:
        text = template.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{template}: no such file, expected a template") from None
    except (OSError, UnicodeError) as error:
        raise InputError(f"{template}: cannot be read ({error}), expected a template in UTF-8") from None
    if template.suffix.lower() == ".jinja":
        _check_jinja(template, text)
        return read_exchange, (), text, ""
    parts = _own_parts(template, text)
    columns = tuple(dict.fromkeys(_PLACE.findall("".join(parts.values()))))

    def use(row: Row) -> Exchange:
        filled = {name: _PLACE.sub(lambda place: _cell(row, place[1]), part) for name, part in parts.items()}
        if not filled["answer"].strip():
            raise NoAnswerError("no answer")
        image = row.get("image") or row.get("file_name")
        return Exchange(prompt=filled["prompt"], answer=filled["answer"], image=image or None, form="own template")

    return use, columns, None, f"by {template.name}"


def _check_jinja(template: Path, text: str) -> None:
    from jinja2 import TemplateSyntaxError
    from jinja2.sandbox import SandboxedEnvironment

    try:
        SandboxedEnvironment(extensions=["jinja2.ext.loopcontrols"]).parse(
            re.sub(r"\{%-?\s*(end)?generation\s*-?%\}", "", text)
        )
    except TemplateSyntaxError as error:
        raise InputError(
            f"{template}:{error.lineno}: got what is not Jinja ({error.message}), expected a template"
        ) from None


def _own_parts(template: Path, text: str) -> Mapping[str, str]:
    import yaml

    expected = "expected the keys prompt and answer, each a text with columns in braces"
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{template}: got what is not YAML ({' '.join(str(error).split())}), {expected}") from None
    if not isinstance(found, Mapping) or set(found) != {"prompt", "answer"}:
        there = ", ".join(map(str, found)) if isinstance(found, Mapping) else brief(found)
        raise InputError(f"{template}: got {there or 'nothing'}, {expected}")
    for name, part in found.items():
        if not isinstance(part, str) or not _PLACE.search(part):
            raise InputError(f"{template}: got {name} {brief(part)}, {expected}")
    return found


def _cell(row: Row, column: str) -> str:
    value = row.get(column)
    if value is None:
        if column not in row:
            raise RowError(f"got no column {column!r}, expected it, as the template names it")
        raise NoTextError(f"nothing in column {column!r}")
    return value if isinstance(value, str) else str(value)
