"""Writing translations: greedily, by beam search, or by chance; every row's result is a function of that row alone."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from seqlab.decode import Sampling
from seqlab.models.translator import Memory, Translator
from seqlab.types import DataSpec, InputError

_UNKNOWN = 0
"""Every vocabulary's id of what it does not know: nothing to write."""
MOST_BEAM, MOST_RATIO, MOST_EXTRA = 1_000, 1_000, 100_000
"""Of ``Search``: beyond is a slip, and a translation that would never end."""


@dataclass(frozen=True)
class Search:
    """How translations are looked for.

    Hypotheses are ranked by ``log P(Y) / ((5 + |Y|) / 6) ** length_penalty`` (Wu et al. 2016, eq. 14, without
    coverage), where ``|Y|`` counts EOS; those that ended go before those that were cut off. A beam goes on with the
    ``beam`` best that have not ended, and lets end what ends among the ``beam`` best of all. A row is done at its
    limit, or before when nothing that goes on can still get among its ``nbest``: the answer is the same.

    Args:
        beam: how many hypotheses of a row go on at a time; 1 is greedy: the most probable token, until that is EOS.
        length_penalty: 0 ranks by the probability alone, which favours the short; more favours the longer.
        max_ratio: a row of ``T`` source tokens may get ``max_ratio * T + max_extra`` tokens, EOS counted, at least 1.
        max_extra: see there.
        nbest: how many hypotheses of each row to answer, at most ``beam``; of sampling, how many to draw.
        sampling: draw every token by its probability instead, as ``decode.Sampling`` does.
        temperature: of sampling.
        top_k: of sampling.
        top_p: of sampling.
        seed: of sampling's chance; each row has a chance of its own, made of the seed, its source and the sample's
            number, wherever it stands.

    Raises:
        InputError: a number out of its range, or options that contradict each other.
    """

    beam: int = 1
    length_penalty: float = 1.0
    max_ratio: float = 2.0
    max_extra: int = 10
    nbest: int = 1
    sampling: bool = False
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.beam < 1:
            raise InputError(f"beam={self.beam} keeps no hypothesis: give 1 (greedy) or more.")
        if self.beam > MOST_BEAM:
            raise InputError(f"beam={self.beam} is more than any search needs: give at most {MOST_BEAM:,}.")
        if self.nbest < 1:
            raise InputError(f"nbest={self.nbest} asks for no translation: give 1 or more.")
        if not 0 <= self.length_penalty < math.inf:
            raise InputError(f"length_penalty={self.length_penalty} must be 0 (none) or more, and finite.")
        in_range = 0 <= self.max_ratio <= MOST_RATIO and 0 <= self.max_extra <= MOST_EXTRA
        if not in_range or self.max_ratio == self.max_extra == 0:
            raise InputError(
                f"max_ratio={self.max_ratio} and max_extra={self.max_extra} must be 0 or more, at most {MOST_RATIO:,} "
                f"and {MOST_EXTRA:,}, and not both 0: a sentence of T tokens gets at most max_ratio * T + max_extra."
            )
        if not 0 <= self.seed < 2**63:
            raise InputError(f"seed={self.seed} must be a whole number from 0 up, and below 2 to the 63rd.")
        if self.sampling and self.beam > 1:
            raise InputError(f"sampling draws token by token: remove beam={self.beam}, or do not sample.")
        if not self.sampling and (self.temperature, self.top_k, self.top_p) != (1, None, None):
            raise InputError("temperature, top_k and top_p configure sampling: set sampling=true too, or remove them.")
        if not self.sampling and self.nbest > self.beam:
            raise InputError(
                f"nbest={self.nbest} is more than beam={self.beam} keeps: raise beam to {self.nbest} or more."
            )
        self.chance()  # says what is wrong with its numbers

    def chance(self) -> Sampling:
        """How a token is drawn."""
        return Sampling(self.temperature, self.top_k, self.top_p)

    def limits(self, lengths: Tensor) -> Tensor:
        """How many tokens rows of ``lengths`` ``(B,)`` may get at most, EOS counted: ``(B,)`` int64."""
        return ((lengths.double() * self.max_ratio).floor().long() + self.max_extra).clamp(min=1)

    def penalties(self, most: int) -> Tensor:
        """By what the log probability of ``0 ... most`` tokens is divided, ``(most + 1,)`` float64, ascending."""
        return ((5 + torch.arange(most + 1, dtype=torch.float64)) / 6) ** self.length_penalty


@dataclass(frozen=True)
class Hypothesis:
    """One translation.

    Attributes:
        ids: without START and EOS; never padding, nor the unknown.
        score: log probability over the length penalty, by which it is ranked.
        log_probability: natural, of the ids (and EOS if finished), as the model has it.
        finished: whether it ended by itself, not at its limit.
        attention: ``(U, T)`` on the CPU, where the model looked for each token, EOS's too if finished, in the row's own
            ``T`` source tokens; None where nobody asked, or the model does not look.
    """

    ids: tuple[int, ...]
    score: float
    log_probability: float
    finished: bool
    attention: Tensor | None = None


@dataclass(frozen=True)
class _End:
    """Where a hypothesis ends: ``token`` was said at ``step`` by ``place``."""

    score: float
    log_probability: float
    finished: bool
    step: int
    place: int
    token: int


@dataclass
class _Trail:
    """What stood in which place of the batch at every step, to be followed back from where hypotheses end.

    Attributes:
        attention: whether anybody asks where the model looked.
        ends: of each row, in the order in which they were found.
        tokens: of each step, what each of its places read.
        parents: of each step, which place of the step before each came from.
        looks: of each step ``(places, T)``, where each looked.
    """

    attention: bool
    ends: list[list[_End]]
    tokens: list[list[int]] = field(default_factory=list)
    parents: list[list[int]] = field(default_factory=list)
    looks: list[Tensor] = field(default_factory=list)

    def add(self, tokens: Tensor, parents: Tensor, look: Tensor | None) -> None:
        self.tokens.append(tokens.tolist())
        self.parents.append(parents.tolist())
        if self.attention and look is not None:
            self.looks.append(look.cpu())

    def end(
        self,
        which: Tensor,
        rows: Tensor,
        logs: Tensor,
        scores: Tensor,
        finished: Tensor,
        places: Tensor,
        tokens: Tensor,
    ) -> None:
        """Note that at this step end ``which``, of ``(R,)`` or ``(R, N)`` of everything."""
        at = which.nonzero(as_tuple=True)
        noted = zip(*(each[at].tolist() for each in (scores, logs, finished, places, tokens)), strict=True)
        for row, (score, log, ended, place, token) in zip(rows[at[0]].tolist(), noted, strict=True):
            self.ends[row].append(_End(score, log, ended, len(self.tokens) - 1, place, token))

    def hypothesis(self, end: _End, length: int) -> Hypothesis:
        """The one that ends there, of a source ``length`` long."""
        ids, places = [end.token], [end.place]
        for step in range(end.step, 0, -1):
            ids.append(self.tokens[step][places[-1]])
            places.append(self.parents[step][places[-1]])
        look = None
        if self.looks:
            look = torch.stack(
                [look[place, :length] for look, place in zip(self.looks, reversed(places), strict=False)]
            )
        said = tuple(reversed(ids[1:] if end.finished else ids))
        return Hypothesis(said, end.score, end.log_probability, end.finished, look)


def search(
    model: Translator, inputs: Tensor, lengths: Tensor, spec: DataSpec, options: Search, attention: bool = False
) -> list[list[Hypothesis]]:
    """Let ``model`` write the translations of some sentences.

    Args:
        model: in evaluation.
        inputs: ``(B, T)`` source ids.
        lengths: ``(B,)`` int64, how many of them count; 0 is fine.
        spec: of the data: ids of START, EOS and padding.
        options: how to look for them.
        attention: whether to tell where the model looked.

    Returns:
        Of each row the ``nbest`` best hypotheses, best first; fewer where a beam finds no more (a tiny vocabulary).

    Raises:
        InputError: the model's answers are not finite.
    """
    assert not model.training, "dropout would make the translations a matter of chance: call model.eval() first"
    if not len(inputs):
        return []
    trail = _Trail(attention, [[] for _ in lengths])
    with torch.inference_mode():
        memory = model.begin(inputs.to(model.device), lengths)
        if options.beam > 1:
            _beams(model, memory, lengths, spec, options, trail)
        else:
            chances = _chances(inputs, lengths, options) if options.sampling else None
            _singles(model, memory, lengths, spec, options, trail, chances)
    for row in trail.ends:  # stable: of equals what was found first
        row.sort(key=lambda end: (not end.finished, -end.score))
    return [
        [trail.hypothesis(end, length) for end in row[: options.nbest]]
        for row, length in zip(trail.ends, lengths.tolist(), strict=True)
    ]


def _singles(
    model: Translator,
    memory: Memory,
    lengths: Tensor,
    spec: DataSpec,
    options: Search,
    trail: _Trail,
    chances: Tensor | None = None,
) -> None:
    """Each row's ends, token by token: the most probable, or (``chances`` ``(B * nbest, U)`` given) by chance."""
    B, copies = len(lengths), 1 if chances is None else options.nbest
    rows = torch.arange(B).repeat_interleave(copies)  # whose each one is
    limits = options.limits(lengths).repeat_interleave(copies)
    penalties = options.penalties(int(limits.max()))
    total = torch.zeros(len(rows), dtype=torch.float64)
    places = rows  # where each stands in what the model holds: at first those of one row share it
    parents, ids = torch.arange(B), torch.full((B,), spec.start_id)
    for step in range(int(limits.max())):
        logits, memory, look = model.step(memory, ids.to(model.device))
        trail.add(ids, parents, look)
        said = _log_probabilities(logits, spec)
        if chances is None:
            values, tokens = (each.cpu() for each in said.max(-1))  # of equals the first
            _certify(values)
        else:
            values, tokens = _draw(said, places, chances[:, step], options)
        total += values
        finished = tokens == spec.eos_id
        over = finished | (limits == step + 1)
        trail.end(over, rows, total, total / penalties[step + 1], finished, places, tokens)
        on = ~over
        parents, ids = places[on], tokens[on]
        if not len(ids):
            break
        if len(parents) != len(places) or (step == 0 and copies > 1):
            memory = memory.select(parents.to(model.device))
        rows, limits, total, places = rows[on], limits[on], total[on], torch.arange(len(ids))
        chances = None if chances is None else chances[on]


def _beams(model: Translator, memory: Memory, lengths: Tensor, spec: DataSpec, options: Search, trail: _Trail) -> None:
    """Each row's ends by beam search."""
    beam, B = options.beam, len(lengths)
    rows, limits = torch.arange(B), options.limits(lengths)
    penalties = options.penalties(int(limits.max()))
    total = torch.zeros(B, 1, dtype=torch.float64)  # of the hypotheses of each row, best first
    alive = torch.ones(B, 1, dtype=torch.bool)  # which of them go on: these, row by row, stand in the model's places
    best = torch.full((B, options.nbest), -math.inf, dtype=torch.float64)  # scores of the best that ended
    parents, ids, owners = torch.arange(B), torch.full((B,), spec.start_id), rows  # owners: whose each place is
    for step in range(int(limits.max())):
        logits, memory, look = model.step(memory, ids.to(model.device))
        trail.add(ids, parents, look)
        # Of one hypothesis at most beam go on and one ends, so no more than its first beam + 1 can matter; of a row,
        # where each hypothesis ends once, no more than the first 2 * beam.
        values, said = _largest(_log_probabilities(logits, spec), beam + 1)
        _certify(values[:, 0])
        logs = total.new_full((*alive.shape, values.shape[1]), -math.inf)
        logs[alive] = total[alive].unsqueeze(1) + values
        logs, order = (each[:, : 2 * beam] for each in logs.flatten(1).sort(dim=-1, descending=True, stable=True))
        places = (alive.flatten().cumsum(0) - 1).view_as(alive).gather(1, order // values.shape[1]).clamp(min=0)
        tokens = said[places, order % values.shape[1]]
        ending, scores = tokens == spec.eos_id, logs / penalties[step + 1]

        finished = ending & (logs > -math.inf)
        finished[:, beam:] = False
        best = torch.cat([best, scores.masked_fill(~finished, -math.inf)], 1).topk(options.nbest).values
        last = (limits == step + 1).unsqueeze(1)
        # Those that go on, in order: all that do not end, then what ends, which counts as nothing.
        order = ending.byte().sort(dim=-1, stable=True).indices[:, :beam]
        total = logs.masked_fill(ending, -math.inf).gather(1, order)
        # A log probability only falls and the penalty only grows, so no hypothesis gets beyond its score at the limit.
        # One that cannot get among the best is dropped; what it would have kept from going on is worse than itself.
        alive = (total / penalties[limits].unsqueeze(1) > best[:, -1:]) & ~last

        cut = last & (best[:, -1:] == -math.inf) & ~ending & (logs > -math.inf)
        trail.end(finished | cut, rows, logs, scores, ending, places, tokens)
        parents, ids = (each.gather(1, order)[alive] for each in (places, tokens))
        if not len(ids):
            break
        before, owners = owners, rows.unsqueeze(1).expand_as(alive)[alive]
        memory = _move(memory, parents, torch.equal(before, owners), model.device)
        on = alive.any(1)
        rows, limits, total, alive, best = rows[on], limits[on], total[on], alive[on], best[on]


def _draw(said: Tensor, places: Tensor, chances: Tensor, options: Search) -> tuple[Tensor, Tensor]:
    """One token for each of ``places`` ``(N,)`` by its chance ``(N,)``: log probabilities and ids, on the CPU."""
    if options.top_k is None:
        said, ids = said.cpu(), torch.arange(said.shape[1]).expand_as(said)
    else:  # they are the same as of all, and far fewer to sort
        said, ids = _largest(said, options.top_k)
    _certify(said.amax(-1))
    below = options.chance().probabilities(said).cumsum(-1)[places]
    # The first whose share of [0, 1) reaches beyond the chance: never one without a share.
    drawn = torch.searchsorted(below, chances.unsqueeze(1) * below[:, -1:], right=True).squeeze(1)
    return said[places, drawn], ids[places, drawn]


def _move(memory: Memory, parents: Tensor, same: bool, device: torch.device) -> Memory:
    """The memories of ``parents``; if each place belongs to the ``same`` row as before, its source stays."""
    if not same:
        return memory.select(parents.to(device))
    if torch.equal(parents, torch.arange(len(parents))):
        return memory
    return Memory(memory.source, Memory((), memory.state).select(parents.to(device)).state)


def _log_probabilities(logits: Tensor, spec: DataSpec) -> Tensor:
    """``(N, V)`` logits to natural log probabilities; -inf for what is never written."""
    never = torch.tensor([_UNKNOWN, spec.pad_id, spec.start_id], device=logits.device)
    return logits.float().log_softmax(-1).index_fill_(-1, never, -math.inf)


def _certify(best: Tensor) -> None:
    """Refuse log probabilities whose best, of each row, is no number."""
    if not best.isfinite().all():
        raise InputError("The model's answers are not finite, so there is nothing to write: its training diverged.")


def _largest(said: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The ``k`` largest (or all) of each row of ``(N, V)`` and their ids, on the CPU; of equals the lower ids first."""
    k = min(k, said.shape[1])
    values, ids = said.topk(min(k + 1, said.shape[1]))  # of equals any: one more shows whether that could matter
    tied = (values[:, k - 1] == values[:, -1]) & (values[:, -1] > -math.inf)
    values, ids = values[:, :k].cpu(), ids[:, :k].cpu()
    if values.shape[1] < said.shape[1] and tied.any():
        ordered, order = said[tied].sort(dim=-1, descending=True, stable=True)
        values[tied.cpu()], ids[tied.cpu()] = ordered[:, :k].cpu(), order[:, :k].cpu()
    ids, order = ids.sort(dim=-1)
    values, order = values.gather(1, order).sort(dim=-1, descending=True, stable=True)
    return values, ids.gather(1, order)


def _chances(inputs: Tensor, lengths: Tensor, options: Search) -> Tensor:
    """``(B * nbest, U)`` numbers in ``[0, 1)``, float64: for each sample of each row one a step, of that row alone."""
    limits = options.limits(lengths).tolist()
    chances = torch.zeros(len(limits) * options.nbest, max(limits), dtype=torch.float64)
    generator = torch.Generator()
    for row, (ids, length) in enumerate(zip(inputs.tolist(), lengths.tolist(), strict=True)):
        for sample in range(options.nbest):
            # The source is stirred in, so that different sentences do not share one another's luck.
            drawn = hashlib.blake2b(repr((options.seed, sample, ids[:length])).encode(), digest_size=8)
            generator.manual_seed(int.from_bytes(drawn.digest(), "little"))
            chances[row * options.nbest + sample, : limits[row]] = torch.rand(
                limits[row], generator=generator, dtype=torch.float64
            )
    return chances
