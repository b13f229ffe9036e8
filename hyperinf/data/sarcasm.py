"""The sarcasm headlines: chat prompts in the asset's file, plain sentences here."""

import json
from pathlib import Path

from hyperinf.data.corpus import Columns, Corpus, Example
from hyperinf.errors import InputError

LABEL_NAMES = ("not sarcastic", "sarcastic")


def read_sarcasm(folder: Path, columns: Columns) -> Corpus:
    """Read the headlines of the asset ``sarcasm``.

    Each line is a chat: a system message with the task, a user message that is the headline, and the ideal answer
    ``"0"`` or ``"1"``. A sample's id is ``sarcasm/`` and its line, counted from 0.

    Args:
        folder: the asset's folder.
        columns: must ask for ``text`` and ``label``, which is what this table has.

    Raises:
        InputError: other columns are asked for, or a line is not of that form.
    """
    columns.check("asset:sarcasm", ("text", "label"))
    path = folder / "samples.jsonl"
    examples = []
    with open(path, encoding="utf-8") as stream:
        for number, line in enumerate(stream):
            try:
                row = json.loads(line)
                (headline,) = (message["content"] for message in row["input"] if message["role"] == "user")
                label = LABEL_NAMES[("0", "1").index(row["ideal"])]
            except (ValueError, KeyError, TypeError):
                raise InputError(f"{path}:{number + 1}: not a headline with an answer 0 or 1") from None
            examples.append(Example(f"sarcasm/{number:06d}", headline, None, label))
    return Corpus(splits={"sarcasm": examples}, label_names=LABEL_NAMES, exact=True)
