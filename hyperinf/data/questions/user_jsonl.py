"""Rows of a user's own table of questions."""

from hyperinf.data.examples import read_identity
from hyperinf.data.questions.field_parsers import Row, read_string, read_strings
from hyperinf.data.questions.question import Question, UnusableRowError, make_question


def record(row: Row) -> Question:
    """A row with ``question`` and ``answer``, and if it has them ``choices``, ``context``, ``id``, ``image``, ``kind``.

    ``choices`` is a list of strings that holds the answer; without it the question wants a short answer. ``image`` is
    a path relative to the folder of the file, if no other folder of images is named.
    """
    choices = read_strings(row, "choices")
    if row.get("choices") is not None and not choices:
        raise UnusableRowError("no choices; leave them out where a short answer is wanted")
    return make_question(
        read_string(row, "context"),
        read_string(row, "question"),
        choices,
        read_string(row, "answer"),
        sample_id="" if row.get("id") is None else read_identity(row, "id"),
        image=read_string(row, "image").strip(),
        kind=read_string(row, "kind").strip(),
    )
