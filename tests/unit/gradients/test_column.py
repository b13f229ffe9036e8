"""Rows of blocks in one piece of memory are what joining the blocks gives."""

import pytest
import torch

from hyperinf.gradients.column import Column


@pytest.mark.parametrize("length", [None, 0, 7, 11, 100])
@pytest.mark.parametrize("shape", [(), (3,), (0,)])
def test_blocks_are_joined_whatever_was_known_of_their_number(length, shape):
    blocks = [torch.randn(rows, *shape) for rows in (4, 0, 1, 5, 1)]
    column = Column(length)
    assert not column
    for block in blocks:
        column.extend(block)
    assert column
    assert torch.equal(column.joined(), torch.cat(blocks))


def test_what_is_kept_is_a_copy_of_the_widest_dtype():
    column = Column(4)
    first = torch.ones(2, requires_grad=True)
    column.extend(first)
    column.extend(torch.full((1,), 1 / 3, dtype=torch.float64))
    column.extend(torch.zeros(1, dtype=torch.bfloat16))
    with torch.no_grad():
        first.zero_()
    assert column.joined().tolist() == [1, 1, 1 / 3, 0]
    assert not column.joined().requires_grad


def test_a_known_number_of_rows_is_given_room_once():
    column = Column(100)
    column.extend(torch.zeros(10))
    place = column.joined().data_ptr()
    for _ in range(9):
        column.extend(torch.zeros(10))
    assert column.joined().data_ptr() == place
