"""A run folder, opened: measure its best weights, ask them about text, let them write. Only the folder is needed."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seqlab import build
from seqlab.decode import Sampling, Writer, unknown
from seqlab.engine import checkpoint
from seqlab.engine.evaluate import evaluate
from seqlab.engine.runtime import make_runtime
from seqlab.models import LanguageModel
from seqlab.schema import did_you_mean
from seqlab.text.pipeline import load_pipeline
from seqlab.types import DataSpec, InputError, Split

SPLITS = ("train", "val", "test")


class Run:
    """A trained model with all that belongs to it.

    Args:
        path: the run folder.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        trust: build what the run's config names even where that lies outside seqlab. A config can name any
            callable, so a folder from elsewhere is code; by default only seqlab's own parts are built.

    Raises:
        InputError: no run folder, no weights in it, damaged, or it names code that is not trusted.
    """

    def __init__(self, path: str | Path, device: str = "auto", trust: bool = False) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise InputError(
                f"{self.path} is not a run folder: give one that a training printed; `seqlab runs` lists them."
            )
        saved = checkpoint.load(self.path / "best.pt")
        self.config: Mapping[str, Any] = saved["config"]
        if not trust:
            _refuse_foreign(self.config)
        self.digest: str = saved["digest"]
        self.pipeline = None if saved["pipeline"] is None else load_pipeline(saved["pipeline"])
        self.spec = DataSpec(**{**saved["spec"], "labels": tuple(saved["spec"]["labels"])})
        self.labels = self.spec.labels
        embedding = dict(self.config["model"]["embedding"])
        if embedding["vectors"] is not None:  # they are in the weights already; their file need not be there any more
            embedding |= {"vectors": None, "dim": saved["model"]["embedding.weight"].shape[1]}
        model = {**self.config["model"], "embedding": embedding}
        tokens = () if self.pipeline is None else self.pipeline.tokens
        self.model = build.build_model({**self.config, "model": model}, self.spec, tokens)
        checkpoint.load_weights(self.model, saved["model"])
        self.runtime = make_runtime(device, self.config["trainer"]["precision"])
        self.model.to(self.runtime.device).eval()
        self.task = build.build_task(self.config, self.spec, self.pipeline)

    @cached_property
    def data(self) -> build.Data:
        """The run's own dataset, read when it is first asked for.

        Raises:
            InputError: it is no longer what the run was trained on.
        """
        data = build.build_data(self.config)
        pipeline = None if self.pipeline is None else self.pipeline.state_dict()
        build.check_same_data({"digest": self.digest, "pipeline": pipeline}, data)
        return data

    @property
    def last_split(self) -> str:
        """``test``, or ``val`` where the dataset has no test part."""
        return "val" if self.data.test is None else "test"

    def evaluate(self, split: str | None = None) -> dict[str, float]:
        """Metrics of the best weights on one part of the run's own dataset; by default on its ``last_split``.

        Raises:
            InputError: unknown part, one that the dataset has not, or it is no longer what the run was trained on.
        """
        if split is not None and split not in SPLITS:
            raise InputError(f"There is no part '{split}'{did_you_mean(split, SPLITS)}")
        part = getattr(self.data, split or self.last_split)
        if part is None:
            raise InputError(f"data={self.config['data']['name']} has no part '{split}': measure on val.")
        loader = build.build_loader(self.config, part, self.spec.pad_id, shuffle=False)
        found = evaluate(self.model, loader, self.task, device=self.runtime.device, autocast=self.runtime.autocast())
        return found.metrics

    def predict(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """For each text: ``text``, ``label`` and ``probabilities`` by label; a text's answer depends on it alone.

        Raises:
            InputError: the run was not trained to label texts.
        """
        if self.pipeline is None or self.spec.task != "classification":
            raise InputError(
                f"{self.path} was trained on data={self.config['data']['name']}, which has no texts to label."
            )
        tokens = self.pipeline.encode(texts)
        split = Split(tokens, np.zeros(len(tokens), dtype=np.int64))
        answers: list[dict[str, Any]] = [{} for _ in texts]
        loader = build.build_loader(self.config, split, self.spec.pad_id, shuffle=False)
        with torch.inference_mode():
            for batch in loader.epoch(0):
                batch = batch.to(self.runtime.device)
                with self.runtime.autocast():
                    logits = self.model(batch.inputs, batch.lengths)
                for row, probabilities in zip(batch.index.tolist(), logits.float().softmax(-1).tolist(), strict=True):
                    best = max(range(len(self.labels)), key=probabilities.__getitem__)
                    answers[row] = {
                        "text": texts[row],
                        "label": self.labels[best],
                        "probabilities": dict(zip(self.labels, probabilities, strict=True)),
                    }
        return answers

    def writer(self, sampling: Sampling | None = None, seed: int = 0) -> Writer:
        """What writes text with a language model, piece by piece, and goes on where it ended.

        It computes in float32 whatever the run was trained in, so that a seed gives the same text every time.

        Args:
            sampling: how tokens are drawn.
            seed: of the writer's own chance.

        Raises:
            InputError: the run is no language model, or an argument is out of range.
        """
        if self.pipeline is None or not isinstance(self.model, LanguageModel):
            raise InputError(
                f"{self.path} was trained on data={self.config['data']['name']} and writes no text: name the run of a "
                "language model, such as model=lstm data=verses trains."
            )
        return Writer(self.model.stream(), self.pipeline, sampling, seed, self.runtime.device)

    def generate(
        self,
        prompt: str,
        length: int = 400,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        greedy: bool = False,
        stop: str | None = None,
        seed: int = 0,
    ) -> str:
        """What the model writes behind ``prompt``: ``length`` tokens, or up to right before ``stop``.

        The same arguments give the same text. See ``decode.Sampling`` for the others; ``writer`` gives text out while
        it is made. What the vocabulary does not know of the prompt is read as unknown, with a warning.

        Raises:
            InputError: the run is no language model, an empty prompt, or an argument is out of range.
        """
        writer = self.writer(Sampling(temperature, top_k, top_p, greedy), seed)
        pieces = writer.write(prompt, length, stop)
        if self.pipeline is not None and (sentence := unknown(self.pipeline, prompt)):
            warnings.warn(sentence, stacklevel=2)
        return "".join(pieces)


def _refuse_foreign(config: Mapping[str, Any]) -> None:
    for where, target in _targets(config):
        if not str(target).startswith("seqlab."):
            raise InputError(
                f"This run is built from code outside seqlab ({where} names {target}): "
                "if you trust the folder, give --trust."
            )


def _targets(node: Mapping[str, Any], where: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        path = f"{where}.{key}" if where else key
        if key == "_target_":
            yield where, value
        elif isinstance(value, Mapping):
            yield from _targets(value, path)
