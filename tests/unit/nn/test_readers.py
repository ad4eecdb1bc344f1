"""The non-recurrent encoders against direct computation."""

import pytest
import torch

from seqlab.nn.readers import BagOfWords, ConcatMLP, Convolution
from seqlab.types import InputError


def test_bag_of_words_is_blind_to_order_and_means_the_valid_words():
    x, lengths = torch.randn(2, 4, 3), torch.tensor([3, 4])
    encoded = BagOfWords(3)(x, lengths)
    torch.testing.assert_close(encoded.final[0], x[0, :3].mean(0))
    shuffled = BagOfWords(3)(x[:, [2, 0, 1, 3]], lengths)
    torch.testing.assert_close(shuffled.final, encoded.final)


@pytest.mark.parametrize("T", [2, 3, 5])
def test_concat_mlp_reads_the_first_positions_and_pads_with_zeros(T):
    reader = ConcatMLP(2, length=3, hidden_size=4)
    x = torch.randn(1, T, 2)
    row = torch.zeros(3, 2)
    row[: min(3, T)] = x[0, :3]
    expected = torch.relu(reader.hidden.weight @ row.flatten() + reader.hidden.bias)
    encoded = reader(x, torch.tensor([T]))
    torch.testing.assert_close(encoded.final[0], expected)
    assert encoded.outputs.shape == (1, 1, 4)
    assert encoded.lengths.tolist() == [1]


def test_concat_mlp_sees_order():
    reader = ConcatMLP(2, length=2, hidden_size=8)
    x = torch.randn(1, 2, 2)
    lengths = torch.tensor([2])
    assert not torch.allclose(reader(x, lengths).final, reader(x.flip(1), lengths).final)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_convolution_is_a_shared_window(k):
    torch.manual_seed(0)
    reader = Convolution(2, channels=3, kernel_sizes=[k])
    x, length = torch.randn(1, 6, 2), 5
    encoded = reader(x, torch.tensor([length]))
    conv = reader.convolutions[0]
    for t in range(length):
        window = torch.zeros(k, 2)
        for i in range(k):
            if 0 <= t + i - k // 2 < length:
                window[i] = x[0, t + i - k // 2]
        expected = torch.relu(torch.einsum("oik,ki->o", conv.weight, window) + conv.bias)
        torch.testing.assert_close(encoded.outputs[0, t], expected)
    torch.testing.assert_close(encoded.final[0], encoded.outputs[0, length - 1])


def test_convolution_of_several_sizes_is_side_by_side():
    both = Convolution(2, channels=3, kernel_sizes=(2, 5))
    assert both.output_size == 6
    assert both(torch.randn(2, 1, 2), torch.tensor([1, 0])).outputs.shape == (2, 1, 6)


def test_no_steps():
    for reader in (BagOfWords(2), ConcatMLP(2, 3, 4), Convolution(2, 4, 3)):
        final = reader(torch.zeros(2, 0, 2), torch.tensor([0, 0])).final
        assert final.shape == (2, reader.output_size)
        assert not final.any()


def test_bad_options_are_refused():
    with pytest.raises(InputError, match="kernel_sizes is empty"):
        Convolution(2, kernel_sizes=[])
    with pytest.raises(InputError, match="length=0"):
        ConcatMLP(2, length=0)
    with pytest.raises(InputError, match="width 2 but was given width 3"):
        BagOfWords(2)(torch.zeros(1, 1, 3), torch.tensor([1]))
