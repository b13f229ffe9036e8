"""Question sets that come as chats: a system message, a user message, and the ideal answer."""

from typing import Any

from hyperinf.data.examples import RowError

CHAT_COLUMNS = ("input", "ideal")


def read_chat(row: Any) -> tuple[str, str]:
    """What the user says in a chat, and the ideal answer.

    Raises:
        RowError: the row has not exactly one message of a user, or its answer is no string.
    """
    try:
        (said,) = (message["content"] for message in row["input"] if message["role"] == "user")
        answer = row["ideal"]
    except (ValueError, KeyError, TypeError):
        raise RowError("not a chat with one message of a user and an ideal answer") from None
    if not isinstance(said, str) or not isinstance(answer, str):
        raise RowError("not a chat whose message and ideal answer are strings")
    return said, answer
