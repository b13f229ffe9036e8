"""How well a model does on targets that were held out."""

import numpy as np
import pytest
import torch
from torch import nn

from hyperinf.selecting.evaluating import Helped, _answer_length, _measured
from hyperinf.selecting.tokens import TOKENS, EncodedFile, Tokens, TokenWriter

END = 1


class Counting(nn.Module):
    """Predicts the next number after each, with certainty."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, input_ids, logits_to_keep, **_):
        logits = 10.0 * nn.functional.one_hot(input_ids[:, -logits_to_keep:] + 1, 20).float()
        return type("Output", (), {"logits": logits * self.weight})()


def rows(folder, *given):
    writer = TokenWriter(folder)
    for ids, answer in given:
        writer.add(Tokens(ids, [place >= len(ids) - answer for place in range(len(ids))], len(ids)))
    writer.close()
    ids = [f"row {place}" for place in range(len(given))]
    return EncodedFile(folder / TOKENS, ids, np.array(writer.starts), 0)


@pytest.mark.parametrize(
    ("right", "given"),
    [
        (1.0, [([3, 4, 5, 6], 2)]),
        (0.0, [([3, 4, 9, 10], 2)]),  # the first token is wrong, the second would be right
        (0.0, [([3, 4, 5, 9], 2)]),
        (1.0, [([3, 4, 5, END, 17], 3)]),  # how an answer ends is no part of it
        (0.5, [([3, 4, 5], 1), ([3, 9, 4, 5, 7], 1)]),
        (2 / 3, [([2, 3], 1), ([3, 4, 9], 1), ([7, 8, 9, 10, 11], 4)]),
    ],
    ids=str,
)
def test_an_answer_is_right_where_the_model_would_say_every_word_of_it(tmp_path, right, given):
    found = _measured(Counting(), {"dev": rows(tmp_path, *given)}, (END,))
    assert found["right: dev"] == pytest.approx(right)
    alone = [_measured(Counting(), {"dev": rows(tmp_path, each)}, (END,)) for each in given]
    assert found["dev"] == pytest.approx(np.mean([each["dev"] for each in alone]), rel=1e-6)


def test_the_length_of_answers_is_that_of_what_the_loss_counts(tmp_path):
    assert _answer_length(rows(tmp_path, ([3, 4, 5], 1), ([3, 4, 5, 6], 3), ([3, 4], 1))) == 1


def test_the_verdict_has_shares_of_right_answers_where_they_are_told():
    losses = {"kept": [1.0, 1.2], "random": [2.0, 2.3], "untrained": [3.0, 3.0]}
    assert "right" not in Helped("dev", losses).verdict
    right = {"kept": [0.5, 0.7], "random": [0.25, 0.25], "untrained": [0.0, 0.0]}
    told = Helped("dev", losses, right)
    assert told.gain.mean == pytest.approx(0.35)
    assert all(part in told.verdict for part in ("60.0%", "25.0%", "0.0%", "+35.0"))
