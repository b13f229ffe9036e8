"""A user's own table of questions."""

from hyperinf.data.formats.field_parsers import (
    UnusableRowError,
    make_sample,
    read_identity,
    read_string,
    read_strings,
)
from hyperinf.data.formats.form import Format
from hyperinf.data.samples import Sample
from hyperinf.data.sources.tables import TYPES, Row


def read_record(row: Row) -> Sample:
    """Read ``question`` and ``answer``, and where they are there ``choices``, ``context``, ``id``, ``image``, ``kind``.

    ``choices`` is a list of strings that holds the answer; without it the question wants a short answer. ``image`` is
    a path relative to the folder of the file, if no other folder of images is named.
    """
    choices = read_strings(row, "choices")
    if row.get("choices") not in (None, "") and not choices:
        raise UnusableRowError("no choices; leave them out where a short answer is wanted")
    return make_sample(
        read_string(row, "context"),
        read_string(row, "question"),
        choices,
        read_string(row, "answer"),
        sample_id="" if row.get("id") in (None, "") else read_identity(row, "id"),
        image=read_string(row, "image").strip(),
        kind=read_string(row, "kind").strip(),
    )


RECORD = Format(
    read_record,
    ("question", "answer"),
    "question",
    ("choices", "context", "id", "image", "kind"),
    own=True,
    types=TYPES,
)
