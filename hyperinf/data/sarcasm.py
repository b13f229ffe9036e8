"""The sarcasm headlines: chat prompts in the asset's file, plain sentences here."""

import json
from pathlib import Path
from typing import Any

from hyperinf.data.conversations import read_chat
from hyperinf.data.examples import Columns, Corpus, Example, RowError
from hyperinf.errors import InputError

HEADLINES = "samples.jsonl"
LABEL_NAMES = ("not sarcastic", "sarcastic")


def read_sarcasm(folder: Path, columns: Columns) -> Corpus[Example]:
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
    examples = []
    path = folder / HEADLINES
    with open(path, encoding="utf-8") as stream:
        for number, line in enumerate(stream):
            try:
                headline, label = read_headline(json.loads(line))
            except ValueError:
                raise InputError(f"{path}:{number + 1}: not a headline with an answer 0 or 1") from None
            examples.append(Example(f"sarcasm/{number:06d}", headline, None, LABEL_NAMES[label]))
    return Corpus(splits={"sarcasm": examples}, label_names=LABEL_NAMES, exact=True)


def read_headline(row: Any) -> tuple[str, int]:
    """The headline of a row, and 1 if it is sarcastic, else 0.

    Raises:
        RowError: the row is not of the asset's form.
    """
    headline, answer = read_chat(row)
    if answer not in ("0", "1"):
        raise RowError("not a headline with an answer 0 or 1")
    return headline, int(answer)
