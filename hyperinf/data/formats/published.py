"""The published sets that the paper selects from, as the hub has them."""

from hyperinf.data.formats.field_parsers import (
    RowError,
    make_sample,
    read_choice,
    read_letter,
    read_string,
    read_strings,
)
from hyperinf.data.formats.form import Format
from hyperinf.data.samples import Sample
from hyperinf.data.sources.tables import Row
from hyperinf.errors import brief


def read_qasc(row: Row) -> Sample:
    """Read a row of ``allenai/qasc``: a question, eight choices with their letters, the letter of the answer."""
    return _qasc(row, "")


def read_qasc_facts(row: Row) -> Sample:
    """Read a row of ``allenai/qasc`` with the two facts that the answer follows from as its context."""
    facts = (read_string(row, name).strip() for name in ("fact1", "fact2"))
    return _qasc(row, "\n".join(filter(None, facts)))


def read_hellaswag(row: Row) -> Sample:
    """Read a row of ``Rowan/hellaswag``: a text, four endings, the number of the true one as a string."""
    endings = read_strings(row, "endings")
    return make_sample(read_string(row, "ctx"), "", endings, read_choice(row, "label", endings))


def read_piqa(row: Row) -> Sample:
    """Read a row of ``ybisk/piqa``: a goal, two ways to it, the number of the one that works."""
    ways = [read_string(row, "sol1"), read_string(row, "sol2")]
    return make_sample("", read_string(row, "goal"), ways, read_choice(row, "label", ways))


def read_logiqa(row: Row) -> Sample:
    """Read a row of ``lucasmccabe/logiqa``: a passage, a query, four options, the number of the right one."""
    options = read_strings(row, "options")
    answer = read_choice(row, "correct_option", options)
    return make_sample(read_string(row, "context"), read_string(row, "query"), options, answer)


def _qasc(row: Row, context: str) -> Sample:
    letters, choices = _lettered(row["choices"])
    answer = read_letter(read_string(row, "answerKey"), letters, choices)
    identity = read_string(row, "id").strip()
    return make_sample(context, read_string(row, "question"), choices, answer, sample_id=identity)


def _lettered(value: object) -> tuple[list[str], list[str]]:
    """Read letters and texts: two lists side by side as the hub has them, or a list of pairs as plain Parquet may."""
    if isinstance(value, list) and all(isinstance(each, dict) for each in value):
        value = {name: [each.get(name) for each in value] for name in ("label", "text")}
    if not isinstance(value, dict):
        raise RowError(f"got {brief(value)} in column 'choices', expected texts and labels")
    return read_strings(value, "label"), read_strings(value, "text")


_QASC_COLUMNS = ("question", "choices", "answerKey")
QASC = Format(read_qasc, _QASC_COLUMNS, "multiple_choice", ("id",))
QASC_FACTS = Format(read_qasc_facts, (*_QASC_COLUMNS, "fact1", "fact2"), "multiple_choice", ("id",))
HELLASWAG = Format(read_hellaswag, ("ctx", "endings", "label"), "completion")
PIQA = Format(read_piqa, ("goal", "sol1", "sol2", "label"), "completion")
LOGIQA = Format(read_logiqa, ("context", "query", "options", "correct_option"), "multiple_choice")
