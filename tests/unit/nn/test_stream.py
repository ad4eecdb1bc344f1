"""A stream of a recurrent encoder forgets everything, or one row."""

import pytest
import torch

from seqlab.nn import Recurrent
from seqlab.nn.stream import forget
from seqlab.types import InputError


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_one_row_is_forgotten_and_its_neighbours_are_not(backend):
    torch.manual_seed(0)
    encoder = Recurrent(3, "lstm", 4, 2, backend=backend)
    stream, kept, fresh = (encoder.stream(3) for _ in range(3))
    x = torch.randn(3, 3)
    stream.push(x)
    kept.push(x)
    stream.reset(row=2)
    after, before, new = stream.push(x), kept.push(x), fresh.push(x)
    assert torch.equal(after[:2], before[:2])
    assert torch.equal(after[2], new[2])
    assert not torch.equal(after[2], before[2])


def test_forgetting_leaves_the_given_state_as_it_was():
    state = ((torch.ones(3, 2), torch.full((3, 1), torch.inf)),)
    first, second = forget(state, 1)[0]
    assert first.tolist() == [[1, 1], [0, 0], [1, 1]]
    assert second.tolist() == [[torch.inf], [0], [torch.inf]]
    assert not any(part.any() for part in forget(state, None)[0])
    assert state[0][0].all()
    assert state[0][1].isinf().all()


@pytest.mark.parametrize("row", [-1, 2])
def test_a_row_that_is_not_there_is_refused(row):
    with pytest.raises(InputError, match=f"no row {row} to forget: the stream's rows are 0 to 1"):
        Recurrent(3, "gru", 4).stream(2).reset(row)


def test_an_encoder_that_reads_ahead_says_so():
    assert Recurrent(3, "gru", 4).causal
    assert not Recurrent(3, "gru", 4, bidirectional=True).causal
