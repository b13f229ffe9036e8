"""Tokens of rows: which count, which are cut, and how they come back from the disk."""

import numpy as np
import pytest
import torch

from hyperinf.models.language import EncodedAnswers, Tokenised
from hyperinf.models.shapes import byte_tokenizer
from hyperinf.selecting.tokens import TOKENS, EncodedFile, Tokeniser, TokenWriter


class Slow:
    """A tokenizer of bytes that does not say where a token stood."""

    is_fast = False

    def __init__(self, tokenizer):
        self._tokenizer = tokenizer

    def __getattr__(self, name):
        return getattr(self._tokenizer, name)

    def __call__(self, return_offsets_mapping=False, **given):
        return self._tokenizer(**given)


@pytest.fixture(params=["fast", "slow"])
def tokenizer(request):
    made = byte_tokenizer()
    return made if request.param == "fast" else Slow(made)


def tokens(tokenizer, pieces, plain=False, most=1000, whole=()):
    return Tokeniser(tokenizer, most, whole).tokens([(pieces, plain)])[0]


def text(tokenizer, found, counted=None):
    ids = [token for token, each in zip(found.ids, found.counted, strict=True) if counted is None or each is counted]
    return tokenizer.decode(ids)


def test_just_the_tokens_of_answers_count(tokenizer):
    found = tokens(tokenizer, [("Hi: ", False), ("Ho.", True), (" And? ", False), ("Sö", True), ("!", False)])
    assert text(tokenizer, found) == "Hi: Ho. And? Sö!"
    assert text(tokenizer, found, counted=True) == "Ho.Sö"


def test_a_text_ends_with_the_token_for_it(tokenizer):
    found = tokens(tokenizer, [("Hi", False), ("Ho", True)], plain=True)
    assert found.ids[-1] == tokenizer.eos_token_id
    assert found.counted == [False, False, True, True, True]


LONG = [("p" * 30, False), ("a" * 10, True)]


@pytest.mark.parametrize(
    ("pieces", "most", "expected"),
    [
        (LONG, 40, "p" * 30 + "a" * 10),
        (LONG, 20, "p" * 10 + "a" * 10),
        (LONG, 12, "p" * 6 + "a" * 6),
        ([("p" * 5, False), ("a" * 50, True)], 20, "p" * 5 + "a" * 15),
        ([("p" * 30, False), ("a" * 50, True)], 20, "p" * 10 + "a" * 10),
        ([("a" * 50, True)], 20, "a" * 20),
        ([("p" * 9, False), ("b" * 30, True), ("q" * 3, False), ("a" * 4, True)], 20, "b" * 13 + "q" * 3 + "a" * 4),
        ([("p" * 30, False), ("a" * 10, True), ("end", False)], 20, "p" * 10 + "a" * 10),
    ],
    ids=["fits", "prompt", "both", "answer", "half each", "text", "turns", "what follows"],
)
def test_the_last_answer_loses_its_end_down_to_half_then_the_conversation_its_beginning(
    tokenizer, pieces, most, expected
):
    found = tokens(tokenizer, pieces, most=most)
    assert text(tokenizer, found) == expected
    assert found.length == sum(len(piece) for piece, _ in pieces)
    assert set(text(tokenizer, found, counted=True)) <= {"a", "b"}


def test_tokens_of_a_picture_are_never_cut():
    made = byte_tokenizer()
    picture = made.convert_tokens_to_ids("<")
    found = tokens(made, [("<<<" + "p" * 30, False), ("a" * 4, True)], most=12, whole=(picture,))
    assert text(made, found) == "<<<" + "p" * 5 + "a" * 4


def test_a_token_that_begins_texts_is_put_before_and_kept():
    made = byte_tokenizer()
    made.add_special_tokens({"bos_token": "<|end|>"})
    from tokenizers.processors import TemplateProcessing

    made._tokenizer.post_processor = TemplateProcessing(single="<|end|> $A", special_tokens=[("<|end|>", 0)])
    found = tokens(made, [("p" * 30, False), ("a" * 4, True)], plain=True, most=12)
    assert found.ids[0] == found.ids[-1] == 0
    assert len(found.ids) == 12


def written(tmp_path, rows):
    writer = TokenWriter(tmp_path)
    for row in rows:
        writer.add(row)
    writer.close()
    return EncodedFile(tmp_path / TOKENS, [f"r{place}" for place in range(len(rows))], np.array(writer.starts), 0)


def test_rows_come_back_from_the_disk_as_the_pipeline_s_own_encoding_has_them(tmp_path):
    made = byte_tokenizer()
    pairs = [("Hi", "Ho"), ("A longer one", "x"), ("?", "!!")]
    rows = Tokeniser(made, 100).tokens([([(a, False), (b, True)], False) for a, b in pairs])
    encoded = written(tmp_path, rows)
    tokenised = [Tokenised(tuple(r.ids[: -sum(r.counted)]), tuple(r.ids[-sum(r.counted) :]), False) for r in rows]
    expected = EncodedAnswers(encoded.ids, tokenised, 0)
    for indices in ([0, 1, 2], [2, 0]):
        ours, theirs = encoded.collate(indices), expected.collate(indices)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    part = encoded.subset([2, 1])
    assert (part.ids, part.lengths) == (("r2", "r1"), (3, 13))
    assert torch.equal(part.collate([0])["labels"], encoded.collate([2])["labels"])


def test_a_stored_row_is_shown_with_what_counts(tmp_path):
    made = byte_tokenizer()
    tokeniser = Tokeniser(made, 100)
    pieces = [("Hi: ", False), ("Hö", True), (" so", False)]
    encoded = written(tmp_path, tokeniser.tokens([(pieces, False)]))
    assert tokeniser.shown(encoded.stored(0)) == pieces
