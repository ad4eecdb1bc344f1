"""A cell of the user's own that is not one yet: one sentence that names it and what to add."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqlab.nn import Recurrent
from seqlab.types import InputError


class Whole(nn.Module):
    """A cell with everything."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.map = nn.Linear(input_size + hidden_size, hidden_size)

    def new(self, x: Tensor, h: Tensor) -> Tensor:
        return torch.tanh(self.map(torch.cat((x, h), 1)))

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> Any:
        return (self.new(x, state[0]),)


class NoSizes(Whole):
    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        del self.input_size


class NoHidden(Whole):
    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        del self.hidden_size


class NoStep(Whole):
    step = None  # type: ignore[assignment]


class UnpacksTwo(Whole):
    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> Any:
        h, c = state
        return self.new(x, h), c


class ReturnsTwo(Whole):
    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> Any:
        return self.new(x, state[0]), state[0]


class ReturnsATensor(Whole):
    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> Any:
        return self.new(x, state[0])


class ReturnsNothing(Whole):
    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> Any:
        self.new(x, state[0])


class TooWide(Whole):
    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> Any:
        return (torch.cat((state[0], x), 1),)


class WrongProduct(Whole):
    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> Any:
        return (self.map(x),)


class NoConstructor(nn.Module):
    pass


class Lonely(nn.Module):
    def __init__(self) -> None:
        super().__init__()


class NoModule:
    def __init__(self, input_size: int, hidden_size: int) -> None:
        pass


SENTENCES = {
    NoSizes: "The cell NoSizes has no input_size: add self.input_size = input_size to its __init__ (here 3).",
    NoHidden: "The cell NoHidden has no hidden_size: add self.hidden_size = hidden_size to its __init__ (here 4).",
    NoStep: "The cell NoStep has no step: add a method step(self, x, state) that returns the new state.",
    UnpacksTwo: "The step of the cell UnpacksTwo fails: not enough values to unpack (expected 2, got 1); it is given x "
    "of shape (B, 3) and a tuple of 1 tensor of shape (B, 4): if the cell UnpacksTwo has 2 states, add num_states = 2 "
    "to its class.",
    ReturnsTwo: "ReturnsTwo.step must return a tuple of 1 tensor of shape (B, 4), and returns 2: if the cell "
    "ReturnsTwo has 2 states, add num_states = 2 to its class.",
    ReturnsATensor: "ReturnsATensor.step must return a tuple of 1 tensor of shape (B, 4), and returns a tensor: write "
    "return (h,), with the comma.",
    ReturnsNothing: "ReturnsNothing.step must return a tuple of 1 tensor of shape (B, 4), and returns NoneType.",
    TooWide: "TooWide.step must return a tuple of 1 tensor of shape (B, 4), and part 0 has shape (B, 7) instead of "
    "(B, 4): return states as wide as hidden_size, or declare state_shapes.",
    NoConstructor: "The cell NoConstructor is made by NoConstructor(input_size, hidden_size), but "
    "NoConstructor.__init__() takes 1 positional argument but 3 were given.",
    Lonely: "The cell Lonely is made by Lonely(input_size, hidden_size), but Lonely.__init__() takes 1 "
    "positional argument but 3 were given.",
    NoModule: "NoModule is no cell: derive its class from torch.nn.Module.",
}


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("cell", SENTENCES)
def test_what_is_missing_is_one_sentence(cell: Any, device: str) -> None:
    with pytest.raises(InputError) as caught, torch.device(device):
        Recurrent(3, cell, 4)
    assert str(caught.value) == SENTENCES[cell]


def test_a_step_that_fails_says_how() -> None:
    with pytest.raises(InputError, match=r"The step of the cell WrongProduct fails: mat1 and mat2 shapes cannot be"):
        Recurrent(3, WrongProduct, 4)


def test_the_check_draws_nothing_and_a_step_may_look_at_numbers() -> None:
    class Looks(Whole):
        def step(self, x: Tensor, state: tuple[Tensor, ...]) -> Any:
            return (torch.rand_like(state[0]) if x.sum() > 1e9 else self.new(x, state[0]),)

    with torch.device("meta"):
        Recurrent(3, Looks, 4)
    torch.manual_seed(0)
    Whole(3, 4)
    wanted = torch.rand(1)
    torch.manual_seed(0)
    Recurrent(3, Whole, 4)
    assert torch.equal(torch.rand(1), wanted)
