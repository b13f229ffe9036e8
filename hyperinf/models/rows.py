"""Rows of a user's table as samples of a model: texts are tokenised, model inputs of different lengths padded."""

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hyperinf.data.prompts import Rendered
from hyperinf.data.sources.tables import read_rows
from hyperinf.errors import InputError, brief
from hyperinf.gradients.kinds import is_transformers_model, kind_of, plain_model
from hyperinf.gradients.losses import IGNORED
from hyperinf.models.encoding import Encoded, EncodedText
from hyperinf.models.language import tokenise
from hyperinf.models.loading import load_tokenizer
from hyperinf.models.padding import UNLIMITED, agree_on_padding, bounded, longest_input
from hyperinf.models.pairs import EncodedPairs

_log = logging.getLogger(__name__)
COLUMNS: dict[str, tuple[str, ...]] = {
    "id": ("sample_id", "id"),
    "text": ("text",),
    "pair": ("pair",),
    "label": ("label", "labels"),
    "prompt": ("prompt",),
    "answer": ("answer", "completion"),
    "tokens": ("tokens", "words"),
    "tags": ("tags", "ner_tags", "labels"),
}
"""What a row may hold as text, with the names of columns where it is looked for."""
PADDING = {"labels": IGNORED}
_TOLD_BY = {"sequence to sequence": {"prompt"}, "token by token": {"tokens"}}
"""Of models of such a kind, the text that tells rows of text from rows of model inputs."""
INPUTS = ("input_ids", "attention_mask", "token_type_ids", "labels")
"""Model inputs that are read of a file."""


class EncodedRows:
    """Rows of model inputs, ready to be collated: what has one number a token is padded at the right.

    Args:
        ids: n sample ids.
        rows: n mappings of the same names to numbers or nested lists of them.
        pad: token that ``input_ids`` are padded with; it is masked.

    Raises:
        InputError: rows of different names, or a column other than of tokens that is not of one shape.
    """

    def __init__(self, ids: Sequence[str], rows: Sequence[Mapping[str, Any]], pad: int) -> None:
        self.ids: tuple[str, ...] = tuple(ids)
        self._rows, self._pad = rows, pad
        self._names = list(rows[0])
        for sample, row in zip(self.ids, rows, strict=True):
            if list(row) != self._names:
                raise InputError(f"sample {sample!r}: got {', '.join(row)}, expected {', '.join(self._names)}")
        self.lengths: tuple[int, ...] = tuple(len(row["input_ids"]) if "input_ids" in row else 1 for row in rows)
        padded = len(set(self.lengths)) > 1
        self._tokens = {name for name in self._names if padded and self._has_one_number_a_token(name)}
        if padded and "attention_mask" not in self._names:
            self._tokens.add("attention_mask")
            self._names.append("attention_mask")

    def collate(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """Make a batch of the samples at ``indices``, ``input_ids`` ``[b, t]`` and what else there is."""
        width = max(self.lengths[index] for index in indices)
        return {name: self._column(name, indices, width) for name in self._names}

    def _has_one_number_a_token(self, name: str) -> bool:
        return all(
            isinstance(row[name], (list, tuple)) and len(row[name]) == length
            for row, length in zip(self._rows, self.lengths, strict=True)
        )

    def _column(self, name: str, indices: Sequence[int], width: int) -> Tensor:
        values = [self._rows[index].get(name, [1] * self.lengths[index]) for index in indices]
        if name in self._tokens:
            fill = self._pad if name == "input_ids" else PADDING.get(name, 0)
            values = [[*value, *[fill] * (width - len(value))] for value in values]
        try:
            return torch.tensor(values)
        except (ValueError, TypeError):
            raise InputError(
                f"column {name!r}: got rows of different shapes or no numbers, expected one shape"
            ) from None


def read_own_rows(path: Path, columns: Mapping[str, str]) -> list[dict[str, Any]]:
    """Read a CSV, TSV, JSON-lines or Parquet file.

    Args:
        path: the file.
        columns: as :func:`encode_rows` takes them.

    Raises:
        InputError: no such file, or one that cannot be read; names the line.
    """
    known = [*columns.values(), *(name for names in COLUMNS.values() for name in names), *INPUTS]
    return [dict(row) for _, row in read_rows(path, (), list(dict.fromkeys(known)))]


def encode_rows(
    rows: Sequence[Mapping[str, Any]],
    model: nn.Module,
    tokenizer: Any = None,
    columns: Mapping[str, str] | None = None,
    max_length: int | None = None,
) -> Encoded:
    """Make samples of rows, whose ids are those of their column ``sample_id`` or ``id``, or ``"0"``, ``"1"``, ...

    Rows of model inputs have ``labels`` beside them; columns of text are left out, and those that a model of
    transformers does not take. Of text a classifier takes ``text``, ``label`` and perhaps ``pair``; a causal language
    model ``prompt`` and ``answer``, of which the answer's tokens are judged, or ``text``, of which all are.

    Args:
        rows: at least one; all with the same columns.
        model: that will take the batches.
        tokenizer: of transformers, or the folder or hub name that it is loaded from.
        columns: ``{what: column}`` where a column has another name than in ``COLUMNS``.
        max_length: tokens of a sample, at most; what the model can take when None. Longer ones are cut, a prompt at
            its beginning.

    Raises:
        InputError: columns or labels that do not fit the model, or texts without a tokenizer.
    """
    found = _found(rows[0], columns or {})
    ids = [str(row[found["id"]]) if "id" in found else str(place) for place, row in enumerate(rows)]
    kind = kind_of(model)
    told_by = _TOLD_BY.get(kind, {"text", "prompt"})
    if "input_ids" in rows[0] or not told_by & found.keys():
        return _model_inputs(rows, ids, found, model, tokenizer)
    if tokenizer is None:
        raise InputError("got rows of text, expected a tokenizer for them, or rows of model inputs")
    if not is_transformers_model(model) or kind not in ("causal", "other", *_TOLD_BY):
        raise InputError(f"got rows of text for a {type(plain_model(model)).__name__}, expected rows of model inputs")
    config = plain_model(model).config
    tokenizer = _padding(tokenizer, config)
    length = bounded(max_length or UNLIMITED, longest_input(tokenizer, config, plain_model(model)))
    if kind == "causal":
        return _continuations(rows, ids, found, tokenizer, length)
    if kind == "sequence to sequence":
        return _pairs(rows, ids, found, tokenizer, length)
    if kind == "token by token":
        return _tagged(rows, ids, found, tokenizer, config, length)
    _need(found, ("text", "label"), rows[0])
    texts, pairs = (_texts(rows, ids, found, what) for what in ("text", "pair"))
    labels = [_of_sample(sample, class_of, row[found["label"]], config) for row, sample in zip(rows, ids)]
    encoded = EncodedText(tokenizer, ids, texts or (), pairs, labels, length)
    _say_cut(encoded.truncated, len(ids), length)
    return encoded


def _model_inputs(
    rows: Sequence[Mapping[str, Any]], ids: Sequence[str], found: Mapping[str, str], model: nn.Module, tokenizer: Any
) -> EncodedRows:
    """Take what is no text, and of a model of transformers what it takes; a class may be called ``label``."""
    pad = 0
    names = [name for name, value in rows[0].items() if not isinstance(value, (str, bytes)) and name != found.get("id")]
    if found.get("label") not in names:
        raise InputError(f"got rows of {', '.join(rows[0])}, expected text and labels, or model inputs with labels")
    if is_transformers_model(model):
        taken = {*inspect.signature(plain_model(model).forward).parameters, found["label"]}
        names = [name for name in names if name in taken]
        config = plain_model(model).config
        known = getattr(config.get_text_config(), "pad_token_id", None)
        if known is None and tokenizer is not None:
            known = _padding(tokenizer, config).pad_token_id
        pad = known or 0
    renamed = {name: "labels" if name == found["label"] else name for name in names}
    return EncodedRows(ids, [{renamed[name]: row[name] for name in row if name in renamed} for row in rows], pad)


def _padding(tokenizer: Any, config: Any) -> Any:
    """Load a tokenizer that is named, and let it and the model agree on a token to pad with."""
    tokenizer = load_tokenizer(tokenizer) if isinstance(tokenizer, str) else tokenizer
    agree_on_padding(tokenizer, config)
    return tokenizer


def _continuations(
    rows: Sequence[Mapping[str, Any]], ids: Sequence[str], found: Mapping[str, str], tokenizer: Any, length: int
) -> EncodedRows:
    """Take an answer's tokens as labels, or those of a whole text."""
    prompts = _texts(rows, ids, found, "prompt")
    if prompts is None:
        texts = _texts(rows, ids, found, "text") or []
        tokens = tokenizer(text=list(texts))["input_ids"]
        encoded = [{"input_ids": list(row[:length]), "labels": list(row[:length])} for row in tokens]
        cut = sum(len(row) > length for row in tokens)
    else:
        _need(found, ("answer",), rows[0])
        answers = _texts(rows, ids, found, "answer") or []
        rendered = [Rendered(prompt, "", "", (), answer) for prompt, answer in zip(prompts, answers)]
        pairs = tokenise(tokenizer, ids, rendered, answers, length, "truncate")
        encoded = [
            {
                "input_ids": [*pair.prompt, *pair.continuation],
                "labels": [-100] * len(pair.prompt) + [*pair.continuation],
            }
            for pair in pairs
        ]
        cut = sum(pair.truncated for pair in pairs)
    _say_cut(cut, len(ids), length)
    return EncodedRows(ids, encoded, tokenizer.pad_token_id)


def _found(row: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, str]:
    """Find the columns of a row: as they were named, or as they are usually called."""
    for what, column in columns.items():
        if what not in COLUMNS:
            raise InputError(f"columns: got {what!r}, expected some of {', '.join(COLUMNS)}")
        if column not in row:
            raise InputError(f"columns: got {what}={column!r}, expected one of {', '.join(row)}")
    usual = {what: next((name for name in names if name in row), None) for what, names in COLUMNS.items()}
    return {what: name for what, name in {**usual, **columns}.items() if name is not None}


def _need(found: Mapping[str, str], wanted: Sequence[str], row: Mapping[str, Any]) -> None:
    for what in wanted:
        if what not in found:
            raise InputError(f"got rows of {', '.join(row)}, expected a column {what!r}; name it in columns")


def _texts(
    rows: Sequence[Mapping[str, Any]], ids: Sequence[str], found: Mapping[str, str], what: str
) -> list[str] | None:
    if what not in found:
        return None
    for sample, row in zip(ids, rows):
        if not isinstance(row.get(found[what]), str):
            raise InputError(f"sample {sample!r}: got {row.get(found[what])!r} as {what}, expected text")
    return [row[found[what]] for row in rows]


def class_of(value: Any, config: Any) -> Any:
    """Take the name or the number of a class, or a number for a model of numbers.

    Args:
        value: what a row has.
        config: of the model.

    Raises:
        InputError: it is none that the model knows.
    """
    number = (config.label2id or {}).get(value, value) if isinstance(value, str) else value
    try:
        if config.problem_type == "regression" or config.num_labels == 1:
            return float(number)
        if isinstance(number, (list, tuple)):
            return [float(each) for each in number]
        if float(number) in range(config.num_labels):
            return int(float(number))
    except (TypeError, ValueError):
        pass
    raise InputError(f"got the label {brief(value)}, expected one of 0 to {config.num_labels - 1} or the model's names")


def tags_of(tokens: Any, tags: Any, config: Any) -> list[int]:
    """Take the tags of tokens, names or numbers; -100 for a token that is not judged.

    Args:
        tokens: a list of words.
        tags: as many.
        config: of the model.

    Raises:
        InputError: no lists of one length, or a tag that the model does not know.
    """
    if not isinstance(tokens, (list, tuple)) or not tokens or not all(isinstance(each, str) for each in tokens):
        raise InputError(f"got {brief(tokens)} as tokens, expected a list of words")
    if not isinstance(tags, (list, tuple)) or len(tags) != len(tokens):
        got = f"{len(tags)} tags" if isinstance(tags, (list, tuple)) else f"{brief(tags)} as tags"
        raise InputError(f"got {got} for {len(tokens)} tokens, expected one a token")
    return [IGNORED if tag == IGNORED else class_of(tag, config) for tag in tags]


def _of_sample(sample: str, take: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return take(*arguments)
    except InputError as error:
        raise InputError(f"sample {sample!r}: {error}") from None


def _pairs(
    rows: Sequence[Mapping[str, Any]], ids: Sequence[str], found: Mapping[str, str], tokenizer: Any, length: int
) -> EncodedPairs:
    _need(found, ("answer",), rows[0])
    prompts, answers = (_texts(rows, ids, found, what) or [] for what in ("prompt", "answer"))
    encoded = EncodedPairs(tokenizer, ids, prompts, answers, length)
    _say_cut(encoded.truncated, len(ids), length)
    return encoded


def _tagged(
    rows: Sequence[Mapping[str, Any]],
    ids: Sequence[str],
    found: Mapping[str, str],
    tokenizer: Any,
    config: Any,
    length: int,
) -> EncodedRows:
    """Take the tag of a word as the label of its first piece."""
    _need(found, ("tags",), rows[0])
    words = [row[found["tokens"]] for row in rows]
    tags = [
        _of_sample(sample, tags_of, tokens, row[found["tags"]], config) for sample, tokens, row in zip(ids, words, rows)
    ]
    if not tokenizer.is_fast:
        raise InputError("got a slow tokenizer, expected a fast one, which says what word each token is of")
    whole = tokenizer([list(each) for each in words], is_split_into_words=True, truncation=False)
    names = [name for name in whole if name in ("input_ids", "attention_mask", "token_type_ids")]
    cut = tokenizer([list(each) for each in words], is_split_into_words=True, truncation=True, max_length=length)
    encoded = []
    for place, sample_tags in enumerate(tags):
        of_word = cut.word_ids(place)
        labels = [
            IGNORED if word is None or (at and of_word[at - 1] == word) else sample_tags[word]
            for at, word in enumerate(of_word)
        ]
        encoded.append({**{name: list(cut[name][place]) for name in names}, "labels": labels})
    longer = sum(len(row) > len(kept) for row, kept in zip(whole["input_ids"], cut["input_ids"], strict=True))
    _say_cut(longer, len(ids), length)
    return EncodedRows(ids, encoded, tokenizer.pad_token_id)


def _say_cut(count: int, samples: int, length: int) -> None:
    if count:
        _log.warning("%d of %d samples are longer than %d tokens and were cut", count, samples, length)
