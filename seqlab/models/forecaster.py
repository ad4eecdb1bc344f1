"""A forecaster: a window is put on its own scale, read by an encoder, decoded into a horizon, and put back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqlab.models.decoders import DecoderKind, DirectDecoder, RecurrentDecoder, SegmentDecoder
from seqlab.models.layers import STEPS, device_of, encoder_layers
from seqlab.models.recursive import check_recursive
from seqlab.nn.options import check_choice, check_share
from seqlab.nn.plain import no_script
from seqlab.nn.pooling import PoolKind
from seqlab.types import Batch, Encoded, InputError, Role

Normalize = Literal["none", "last", "revin"]
Channels = Literal["mixed", "separate"]
EPS = 1e-5
"""Added to a window's variance, as in RevIN."""
FLOOR = 1e-4
"""The least scale of a likelihood, in units of the scaled data: a density without bound is no good."""


class Forecaster(nn.Module):
    """``(B, T, F)`` windows to ``(B, H, K, P)``: ``P`` numbers for each of ``K`` targets at each of ``H`` steps.

    The features are ``K`` targets, ``O`` columns known only of the past, and ``G`` known beforehand, in this order.

    Args:
        encoder: an ``Encoder`` of ``(rows, T, E)``; see ``reads`` for ``E``.
        targets: ``K``.
        features: ``F``.
        num_future: ``G``.
        horizon: ``H``.
        roles: what each of the ``P`` numbers stands for.
        decoder: ``direct``, ``recurrent``, ``segments`` (see ``seqlab.models.decoders``), or ``recursive``: one step is
            learned, at every step of the horizon with the true values before it, and forecasts feed on forecasts.
        segment: of the decoder by segments.
        normalize: a window's own scale. ``last``: less its last value; ``revin``: less its mean, divided by its
            standard deviation, with a learned gain and bias, undone at the end (reversible instance normalisation, Kim
            et al. 2022); ``none``.
        channels: ``mixed``: a row reads all features at once. ``separate``: each target is a row of its own, with the
            same weights (and with the columns that are no targets).
        highway: how many of the last steps also go straight to the horizon, by one linear map that all targets share:
            the autoregressive component of LSTNet (Lai et al. 2018, section 3.7). 0: none.
        ridge: the highway is not learned, but found beforehand with this penalty (``fit_highway``), and it votes: while
            training the network answers alone, so that it learns to be right alone; in evaluation the two forecasts are
            averaged (Bates and Granger 1969). Learned together, the network leaves little for the map to do.
        vote: the network's share of that average, the highway has the rest.
        pooling: how the encoder's outputs become one vector.
        dropout: on what the output layer reads.

    Raises:
        InputError: an unknown choice; ``recursive`` with an encoder that reads ahead, with columns whose future is not
            known, or with a likelihood, whose spread it could not carry on; ``ridge`` without a highway, or with it.
    """

    __prepare_scriptable__ = no_script

    def __init__(
        self,
        encoder: Any,
        targets: int,
        features: int,
        num_future: int,
        horizon: int,
        roles: Sequence[Role] = ("location",),
        *,
        decoder: DecoderKind = "direct",
        segment: int = 24,
        normalize: Normalize = "none",
        channels: Channels = "mixed",
        highway: int = 0,
        ridge: float | None = None,
        vote: float = 0.5,
        pooling: PoolKind | Sequence[PoolKind] = "last",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_choice("decoder", decoder, get_args(DecoderKind))
        check_choice("normalize", normalize, get_args(Normalize))
        check_choice("channels", channels, get_args(Channels))
        check_share("head dropout", dropout)
        if not 0 <= vote <= 1:
            raise InputError(f"task.vote={vote} is no share of an average: give a number from 0 to 1.")
        self.targets, self.values, self.horizon, self.num_future = targets, features - num_future, horizon, num_future
        self.roles, self.normalize, self.separate = tuple(roles), normalize, channels == "separate"
        self.dropout, self.recursive = dropout, decoder == "recursive"
        if highway < 0:
            raise InputError(f"task.highway={highway} must be a number of steps of the window, from 0 up.")
        self.highway = None
        if highway:
            self.highway = nn.Linear(highway, horizon)
            nn.init.zeros_(self.highway.weight)  # the network learns first, and with it the map what is left
            nn.init.zeros_(self.highway.bias)
        if normalize == "revin":
            self.gain = nn.Parameter(torch.ones(self.values))
            self.bias = nn.Parameter(torch.zeros(self.values))
        self.encoder: nn.Module = encoder
        size = encoder.output_size
        numbers = len(roles) * (1 if self.separate else targets)
        self.decoder: nn.Module
        if decoder == "recursive":
            check_recursive(encoder, self.values > self.targets, self.roles, horizon)
            self.decoder = nn.Linear(size, numbers)
        elif decoder == "segments":
            told_apart = targets if self.separate else 1
            self.decoder = SegmentDecoder(size, numbers, horizon, num_future, told_apart, segment, dropout)
        elif decoder == "recurrent":
            self.decoder = RecurrentDecoder(size, numbers, horizon, num_future, pooling, dropout)
        else:
            self.decoder = DirectDecoder(size, numbers, horizon, num_future, pooling, dropout)
        self.ridge, self.vote = ridge, vote
        if ridge is not None:
            if self.highway is None or self.recursive:
                raise InputError("task.ridge is the penalty of a highway: set task.highway, and another decoder=.")
            if not ridge >= 0:
                raise InputError(f"task.ridge={ridge:g} is no penalty: give 0 or more.")
            self.highway.requires_grad_(False)

    @staticmethod
    def reads(targets: int, features: int, channels: Channels) -> int:
        """``E``, the width that the encoder of a forecaster reads."""
        return features - targets + 1 if channels == "separate" else features

    def example_inputs(self) -> tuple[Tensor, ...]:
        """Two windows of zeros and their lengths; with the known future where there is one."""
        G = self.num_future
        T = STEPS if self.highway is None else max(STEPS, self.highway.in_features)
        like = torch.zeros((), device=device_of(self))
        inputs, lengths = like.new_zeros(2, T, self.values + G), torch.full((2,), T)
        return (inputs, lengths, like.new_zeros(2, self.horizon, G)) if G else (inputs, lengths)

    def layers(self) -> dict[str, nn.Module]:
        """By name, in order."""
        found = {**encoder_layers(self.encoder), "decoder": self.decoder}
        return found if self.highway is None else {**found, "highway": self.highway}

    def forward(
        self, inputs: Tensor, lengths: Tensor, future: Tensor | None = None, targets: Tensor | None = None
    ) -> Tensor:
        """``(B, H, K, P)``, in the units of ``inputs``; scales are positive, shapes above 2.

        Args:
            inputs: ``(B, T, F)``.
            lengths: ``(B,)``, all ``T``.
            future: ``(B, H, G)``; None without.
            targets: ``(B, H, K)``: what came to pass, from which ``recursive`` learns; None for forecasts.
        """
        values, known = inputs[..., : self.values], inputs[..., self.values :]
        plain, shift, spread = self._enter(values)
        values = self._learned_enter(plain)
        if self.recursive:
            came = None
            if targets is not None:
                came = self._learned_enter((targets - shift[..., : self.targets]) / spread[..., : self.targets])
                # what was not measured is read as it last was: unchanged
                came = torch.where(came.isnan(), values[:, -1:, : self.targets], came)
            numbers = self._recurse(values, known, future, came)
        else:
            numbers = self._decode(values, known, lengths, future)
            if self.ridge is None:
                numbers = numbers + self._straight(values)
        numbers = self._leave(numbers, shift, spread)
        if self.ridge is None or self.training:
            return numbers
        straight = self._straight(plain) * spread[..., : self.targets, None] + shift[..., : self.targets, None]
        return self._vote(numbers, straight.float())

    @torch.no_grad()
    def fit_highway(self, batches: Iterable[Batch]) -> None:
        """Give the highway the linear map that explains the horizon best by itself, in closed form.

        Args:
            batches: training windows; horizons that were not measured to the end are passed over. ``ridge`` weighs the
                squared weights against their mean squared error.
        """
        assert self.highway is not None
        assert self.ridge is not None
        steps = self.highway.in_features
        gram = torch.zeros(steps + 1, steps + 1, dtype=torch.float64)
        moment = torch.zeros(steps + 1, self.horizon, dtype=torch.float64)
        count = 0
        for batch in batches:
            values, shift, spread = self._enter(batch.inputs[..., : self.values])
            came = (batch.targets - shift[..., : self.targets]) / spread[..., : self.targets]
            read = values[:, -steps:, : self.targets].transpose(1, 2).flatten(0, 1).double()
            came = came.transpose(1, 2).flatten(0, 1).double()
            read = torch.cat((read, torch.ones(len(read), 1, dtype=torch.float64)), 1)
            measured = ~came.isnan().any(1)
            read, came = read[measured], came[measured]
            gram, moment, count = gram + read.T @ read, moment + read.T @ came, count + len(read)
        penalty = self.ridge * count * torch.eye(steps + 1, dtype=torch.float64)
        penalty[-1, -1] = 0  # the intercept is free
        # of a window less its last value, the last step is zero throughout: any weight will do
        solution = torch.linalg.lstsq(gram + penalty, moment, driver="gelsd").solution
        self.highway.weight.copy_(solution[:-1].T)
        self.highway.bias.copy_(solution[-1])

    # One window's own scale -----------------------------------------------------------------------------------------

    def _enter(self, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Values ``(B, T, K + O)`` on the window's scale, what was taken off ``(B, 1, K + O)``, what was divided by."""
        shift, spread = torch.zeros_like(values[:, :1]), torch.ones_like(values[:, :1])
        if self.normalize == "last":
            shift = values[:, -1:]
        elif self.normalize == "revin":
            shift = values.mean(1, keepdim=True)
            spread = (values.var(1, keepdim=True, correction=0) + EPS).sqrt()
        return (values - shift) / spread, shift, spread

    def _learned_enter(self, values: Tensor) -> Tensor:
        if self.normalize != "revin":
            return values
        width = values.shape[-1]
        return values * self.gain[:width] + self.bias[:width]

    def _leave(self, numbers: Tensor, shift: Tensor, spread: Tensor) -> Tensor:
        """Raw numbers ``(B, H, K, P)`` to parameters in the units of the inputs, in float32."""
        numbers = numbers.float()
        shift, spread = shift[..., : self.targets], spread[..., : self.targets]
        gain: Tensor | float = 1.0
        bias: Tensor | float = 0.0
        if self.normalize == "revin":  # a gain near zero is undone as if it were a small one, as in RevIN
            gain, bias = self.gain[: self.targets] + EPS * EPS, self.bias[: self.targets]
        leaving = []
        for number, role in zip(numbers.unbind(-1), self.roles, strict=True):
            if role == "location":
                number = (number - bias) / gain * spread + shift
            elif role == "scale":
                number = F.softplus(number) / torch.as_tensor(gain).abs() * spread + FLOOR
            else:
                number = 2 + F.softplus(number)
            leaving.append(number)
        return torch.stack(leaving, -1)

    # From window to horizon -----------------------------------------------------------------------------------------

    def _decode(self, values: Tensor, known: Tensor, lengths: Tensor, future: Tensor | None) -> Tensor:
        B, K = len(values), self.targets
        rows, channel = self._rows(values, known)
        if self.separate:
            lengths = lengths.repeat_interleave(K)
            future = None if future is None else future.repeat_interleave(K, 0)
        encoded: Encoded = self.encoder(rows, lengths)
        numbers: Tensor = self.decoder(encoded, future, channel)
        return self._gather(numbers, B)

    def _straight(self, values: Tensor) -> Tensor:
        """``(B, H, K, P)``: what the last steps of each target say by themselves, in the locations alone."""
        if self.highway is None:
            return values.new_zeros(1, self.horizon, 1, 1)
        steps = self.highway.in_features
        ahead = self.highway(values[:, -steps:, : self.targets].transpose(1, 2)).transpose(1, 2)
        moved = [role == "location" for role in self.roles]
        return ahead.unsqueeze(3) * torch.tensor(moved, dtype=ahead.dtype, device=ahead.device)

    def _vote(self, numbers: Tensor, straight: Tensor) -> Tensor:
        """Numbers ``(B, H, K, P)`` whose point is the average of both; their spread around it is the network's own."""
        own = torch.tensor([role == "location" for role in self.roles], device=numbers.device)
        point = numbers[..., own].mean(-1, keepdim=True)
        return numbers + (1 - self.vote) * (straight - point) * own

    def _rows(self, values: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """What the encoder reads, ``(rows, T, E)``, and the channel of each row."""
        B, K = len(values), self.targets
        everything = torch.cat((values, known), 2) if known.shape[2] else values
        if not self.separate:
            return everything, torch.zeros(B, dtype=torch.long, device=values.device)
        own = values[..., :K].transpose(1, 2).flatten(0, 1).unsqueeze(2)
        if everything.shape[2] > K:
            own = torch.cat((own, everything[..., K:].repeat_interleave(K, 0)), 2)
        return own, torch.arange(K, device=values.device).repeat(B)

    def _gather(self, numbers: Tensor, B: int) -> Tensor:
        """``(rows, H, M)`` to ``(B, H, K, P)``."""
        P = len(self.roles)
        if self.separate:
            return numbers.view(B, self.targets, -1, P).transpose(1, 2)
        return numbers.unflatten(2, (self.targets, P))

    def _recurse(self, values: Tensor, known: Tensor, future: Tensor | None, came: Tensor | None) -> Tensor:
        """Step after step; learned in one go from ``came``, the truth on the window's scale ``(B, H, K)``."""
        B, T = values.shape[:2]
        H, straight = self.horizon, self._straight(values)
        if came is not None:
            values = torch.cat((values, came[:, :-1]), 1)
            if future is not None:
                known = torch.cat((known, future[:, :-1]), 1)
            return self._gather(self._answer(self._read(values, known, None).outputs[:, T - 1 :]), B) + straight
        encoded, numbers = self._read(values, known, None), []
        for h in range(H):
            number = self._gather(self._answer(encoded.outputs[:, -1:]), B) + straight[:, h : h + 1]
            numbers.append(number)
            if h < H - 1:
                beside = known[:, :0] if future is None else future[:, h : h + 1]
                encoded = self._read(number[..., 0].to(values.dtype), beside.reshape(B, 1, -1), encoded)
        return torch.cat(numbers, 1)

    def _read(self, values: Tensor, known: Tensor, before: Encoded | None) -> Encoded:
        rows, _ = self._rows(values, known)
        lengths = torch.full((len(rows),), rows.shape[1])
        encoded: Encoded
        if before is None:
            encoded = self.encoder(rows, lengths)
        else:
            encoded = self.encoder(rows, lengths, before.state)  # causal ones take a state
        return encoded

    def _answer(self, outputs: Tensor) -> Tensor:
        answer: Tensor = self.decoder(F.dropout(outputs, self.dropout, self.training))
        return answer
