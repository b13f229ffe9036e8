"""Rows of the published sets that the paper selects from, as the hub has them."""

from hyperinf.data.examples import RowError
from hyperinf.data.questions.field_parsers import Row, read_choice, read_letter, read_string, read_strings
from hyperinf.data.questions.question import Question, make_question


def qasc(row: Row) -> Question:
    """A row of ``allenai/qasc``: a question, eight choices with their letters, the letter of the answer."""
    return _qasc(row, "")


def qasc_facts(row: Row) -> Question:
    """A row of ``allenai/qasc`` with the two facts that the answer follows from as its context."""
    facts = (read_string(row, name).strip() for name in ("fact1", "fact2"))
    return _qasc(row, "\n".join(filter(None, facts)))


def hellaswag(row: Row) -> Question:
    """A row of ``Rowan/hellaswag``: a text, four endings, the number of the true one as a string."""
    endings = read_strings(row, "endings")
    return make_question(read_string(row, "ctx"), "", endings, read_choice(row, "label", endings))


def piqa(row: Row) -> Question:
    """A row of ``ybisk/piqa``: a goal, two ways to it, the number of the one that works."""
    ways = [read_string(row, "sol1"), read_string(row, "sol2")]
    return make_question("", read_string(row, "goal"), ways, read_choice(row, "label", ways))


def logiqa(row: Row) -> Question:
    """A row of ``lucasmccabe/logiqa``: a passage, a query, four options, the number of the right one."""
    options = read_strings(row, "options")
    answer = read_choice(row, "correct_option", options)
    return make_question(read_string(row, "context"), read_string(row, "query"), options, answer)


def _qasc(row: Row, context: str) -> Question:
    letters, choices = _lettered(row["choices"])
    answer = read_letter(read_string(row, "answerKey"), letters, choices)
    return make_question(
        context, read_string(row, "question"), choices, answer, sample_id=read_string(row, "id").strip()
    )


def _lettered(value: object) -> tuple[list[str], list[str]]:
    """Letters and texts: two lists side by side as the hub has them, or a list of pairs as plain Parquet may."""
    if isinstance(value, list) and all(isinstance(each, dict) for each in value):
        value = {name: [each.get(name) for each in value] for name in ("label", "text")}
    if not isinstance(value, dict):
        raise RowError(f"column 'choices' has {value!r}, expected texts and labels")
    return read_strings(value, "label"), read_strings(value, "text")
