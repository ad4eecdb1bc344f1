"""A run folder, opened: measure its best weights, ask them about text, let them write. Only the folder is needed."""

from __future__ import annotations

import math
import shlex
import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from seqlab import build, stored
from seqlab.data.forecast import ForecastData
from seqlab.data.unknown import much_unknown_texts
from seqlab.decode import Sampling, Writer, unknown
from seqlab.engine import checkpoint
from seqlab.engine.evaluate import evaluate
from seqlab.forecasts import Asked, Outcome, ahead_of, check_leak
from seqlab.protocols import Predictor, Saved
from seqlab.schema import did_you_mean
from seqlab.search import Search
from seqlab.tasks.forecasting import Forecasting
from seqlab.text.pipeline import load_pipeline
from seqlab.translations import Translated, translate
from seqlab.trust import check as check_trust
from seqlab.trust import offline
from seqlab.types import InputError, Objective

SPLITS = ("train", "val", "test")


class Run:
    """A trained model with all that belongs to it.

    Args:
        path: the run folder.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        trust: build what the run's config names even where that lies outside seqlab, and let its data be downloaded.
            A config can name any callable; by default only what the shipped configs name is built (see ``trust``).

    Raises:
        InputError: no run folder, no weights in it, damaged, or it names code that is not trusted.
    """

    def __init__(self, path: str | Path, device: str = "auto", trust: bool = False) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise InputError(
                f"{self.path} is not a run folder: give one that a training printed; `seqlab runs` lists them."
            )
        where = self.path / "best.pt"
        saved = checkpoint.load(where)
        stored.checkpoint(saved, where)
        check_trust(saved["config"], where, trusted=trust, pipeline=saved["pipeline"])
        self.trusted = trust
        self.config: Mapping[str, Any] = {**offline(saved["config"], trusted=trust), "trust": trust}
        self.digest: str = saved["digest"]
        self._scaling = saved.get("scaling")
        with nullcontext() if trust else stored.reading(where):  # errors of the user's own code are shown whole
            self.pipeline = None if saved["pipeline"] is None else load_pipeline(saved["pipeline"])
            self.spec = build.stored_spec(saved)
            self.labels = self.spec.labels
            checkpoint.check_weights(saved["model"], where)
            if not trust:  # cells of the user's own need not know the meta device
                build.check_fits(saved, where)
            tokens = () if self.pipeline is None else self.pipeline.tokens
            self.model = build.build_model(build.without_vectors(self.config, saved["model"]), self.spec, tokens)
            checkpoint.load_weights(self.model, saved["model"])
            self.runtime = build.remembered(saved, device, self.config["trainer"]["precision"])
        self.model.to(self.runtime.device).eval()

    def __repr__(self) -> str:
        data, model = self.config["data"]["name"], self.config["model"]["name"]
        return f"Run({str(self.path)!r}: {self.spec.task}, model={model}, data={data}, on {self.runtime.device})"

    @cached_property
    def task(self) -> Objective:
        """Loss and metrics; those of forecasts hold them against the run's own dataset."""
        units = self.data.units if self._in_units else None
        return build.make_objective(self.config, self.spec, self.pipeline, units, final=True)

    @property
    def _in_units(self) -> bool:
        """Whether answers are measured in the units of the run's own data, which must be there."""
        return getattr(build.question_of(self.config), "in_units", False)

    @cached_property
    def data(self) -> build.Data:
        """The run's own dataset, read when it is first asked for.

        Raises:
            InputError: it is no longer what the run was trained on.
        """
        data = build.build_data(self.config)
        pipeline = None if self.pipeline is None else self.pipeline.state_dict()
        path = self.config["data"].get("path")
        forecasts = self._in_units and path is not None
        go_on = f"seqlab predict {shlex.quote(str(self.path))} --path {shlex.quote(str(path))}" if forecasts else ""
        build.check_same_data({"digest": self.digest, "pipeline": pipeline}, data, go_on)
        return data

    @property
    def last_split(self) -> str:
        """``test``, or ``val`` where the dataset has no test part."""
        return "val" if self.data.test is None else "test"

    def evaluate(self, split: str | None = None, data: str | Path | None = None) -> dict[str, float]:
        """Metrics of the best weights on one part of the run's own dataset; by default on its ``last_split``.

        Args:
            split: ``train``, ``val`` or ``test``.
            data: another file instead, in the form of the run's own: labelled texts, pairs, or running text.

        Raises:
            InputError: unknown part, one that the dataset has not, or it is no longer what the run was trained on; a
                file that cannot be read, or a run that reads no texts.
        """
        if data is not None:
            if split is not None:
                raise InputError(f"--split {split} is a part of the run's own data: remove it, or remove --data.")
            return self._measure(build.read_part(self.config, self.spec, self.pipeline, Path(data)))
        if split is not None and split not in SPLITS:
            raise InputError(f"There is no part '{split}'{did_you_mean(split, SPLITS)}")
        part = self.data.part(split or self.last_split)
        if part is None:
            raise InputError(f"data={self.config['data']['name']} has no part '{split}': measure on {self.last_split}.")
        return self._measure(part)

    def _measure(self, part: Any) -> dict[str, float]:
        loader = build.build_loader(self.config, part, self.spec, shuffle=False)
        found = evaluate(self.model, loader, self.task, device=self.runtime.device, autocast=self.runtime.autocast())
        decisive = [found.metrics[name] for name in ("loss", self.task.monitor) if name in found.metrics]
        nothing = self._in_units and all(map(math.isnan, found.metrics.values()))  # only gaps
        if not nothing and not all(map(math.isfinite, decisive)):
            raise self.saved.not_finite()
        return found.metrics

    def forecast(
        self, horizon: int | None = None, path: str | Path | None = None, plans: str | Path | None = None
    ) -> Outcome:
        """What comes after the last row of each of the run's series.

        Args:
            horizon: steps; None is those that the run was trained for. Beyond them forecasts are fed back as values.
            path: another file of the same columns, such as the run's own some weeks later (``data=series`` alone).
            plans: a file that says what the covariates of the steps to come will be.

        Raises:
            InputError: the run is no forecaster; too many steps; columns whose future nobody knows; no such file.
        """
        asked = self.asked()
        data = self.data if path is None else self._other_data(path)
        return ahead_of(asked, data, self.config["data"], horizon, None if plans is None else Path(plans))

    def check_leak(self) -> dict[str, Any]:
        """Change the future and see whether a forecast before it moves, see ``forecasts.check_leak``.

        Raises:
            InputError: the run is no forecaster, or there is a leak.
        """
        asked = self.asked()
        return check_leak(asked, self.data, build.window_options(self.config))

    def asked(self) -> Asked:
        """The model of a forecaster, to be asked about any windows.

        Raises:
            InputError: the run is none.
        """
        task = build.make_objective(self.config, self.spec, self.pipeline)
        if not self._in_units:
            raise InputError(
                f"{self.path} was trained on data={self.config['data']['name']} and forecasts nothing: name the run "
                "of a forecaster, such as model=lstm data=waves trains."
            )
        return Asked(self.model, cast(Forecasting, task), self.runtime, self.config["data"]["batch_size"])

    def _other_data(self, path: str | Path) -> ForecastData:
        """Another file, scaled as the run's own was."""
        if "path" not in self.config["data"]:
            raise InputError(
                f"The run's data={self.config['data']['name']} is no file of yours: another can be given to runs of "
                "data=series alone."
            )
        node = {**self.config["data"], "path": str(path)}
        return build.build_forecast({**self.config, "data": node}, self._scaling)

    @cached_property
    def saved(self) -> Saved:
        """The model with what it takes to use it, without the data."""
        plan, name = build.make_plan(self.config), self.config["data"]["name"]
        objective = build.make_objective(self.config, self.spec, self.pipeline)
        return Saved(
            self.model, objective, self.spec, self.pipeline, self.runtime, plan.form, plan.options, self.config["seed"],
            str(self.path), name,
        )  # fmt: skip

    @cached_property
    def predictor(self) -> Predictor:
        """What answers the run's question for new inputs.

        Raises:
            InputError: the question has no answer for rows; the message names the command that there is instead.
        """
        return build.make_task(self.config).predictor(self.saved)

    def predict(self, inputs: str | Sequence[Any], **options: Any) -> list[dict[str, Any]]:
        """A record for each input; an input's answer depends on it alone.

        Texts to label give ``text``, and ``label`` and ``probabilities``, ``labels`` and ``probabilities``, or
        ``value``; texts to translate ``source`` and ``translations``. Arrays, ``(T,)`` ids or ``(T, F)`` numbers, give
        the same without ``text``; for each step ``labels``; of signals ``peaks`` and ``probabilities``.

        Args:
            inputs: several inputs, or one text, which gives a list of one answer.
            options: of a translation, fields of ``Search``.

        Raises:
            InputError: the run answers no rows, or inputs of another kind.
        """
        return self.predictor.predict([inputs] if isinstance(inputs, str) else list(inputs), **options)

    def rows_of(self, path: str | Path) -> list[Any]:
        """The inputs of a ``.npz`` file, to predict: ``inputs`` ``(N, T[, F])``, maybe ``lengths`` ``(N,)``.

        Raises:
            InputError: the run's data are no arrays; the file is none.
        """
        form = build.make_plan(self.config).form
        if not hasattr(form, "read_file"):
            raise InputError(f"{self.path} was trained on data={self.config['data']['name']}, which are no arrays.")
        part = form.read_file(Path(path), self.spec, targets=False)
        return [row[:length] for row, length in zip(part.inputs, part.lengths, strict=True)]

    def translate(
        self, texts: Sequence[str], search: Search | None = None, attention: bool = False
    ) -> list[list[Translated]]:
        """Translations of ``texts``, of each the best first; a text's answer depends on it alone.

        Args:
            texts: sentences.
            search: how translations are looked for; None: as the run's own test part was translated.
            attention: whether to tell where the model looked.

        Raises:
            InputError: the run translates nothing.
        """
        if not hasattr(self.model, "begin"):  # of a translator
            raise InputError(
                f"{self.path} was trained on data={self.config['data']['name']} and translates nothing: name the run "
                "of a translation model, such as model=seq2seq data=dates trains."
            )
        return translate(self.model, cast(Any, self.pipeline), self.spec, texts, search or self.search, attention)

    @property
    def search(self) -> Search:
        """How the run's own test part was translated."""
        return build.make_task(self.config).options.search  # type: ignore[attr-defined]

    @property
    def attends(self) -> bool:
        """Whether the run's model looks back at a source while it writes."""
        return getattr(self.model, "attends", False)

    def unknown(self, text: str) -> str:
        """A sentence that names what of ``text`` the run has never seen; empty where it knows all."""
        if self.pipeline is None:
            return ""
        return unknown(self._read_by, text)

    def much_unknown(self, texts: Sequence[str]) -> str:
        """A sentence where more than a fifth of the tokens of a text is unknown to the run; empty where it is not."""
        if self.pipeline is None:
            return ""
        return much_unknown_texts(texts, self._read_by)

    @property
    def _read_by(self) -> Any:
        """The pipeline of the texts that the model reads: of pairs, of their sources."""
        return getattr(self.pipeline, "source", self.pipeline)

    def writer(self, sampling: Sampling | None = None, seed: int = 0) -> Writer:
        """What writes text with a language model, piece by piece, and goes on where it ended.

        It computes in float32 whatever the run was trained in, so that a seed gives the same text every time.

        Args:
            sampling: how tokens are drawn.
            seed: of the writer's own chance.

        Raises:
            InputError: the run is no language model, or an argument is out of range.
        """
        stream = getattr(self.model, "stream", None)
        if stream is None or self.pipeline is None:
            raise InputError(
                f"{self.path} was trained on data={self.config['data']['name']} and writes no text: name the run of a "
                "language model, such as model=lstm data=verses trains."
            )
        return Writer(stream(), self.pipeline, sampling, seed, self.runtime.device)

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
        if sentence := self.unknown(prompt):
            warnings.warn(sentence, stacklevel=2)
        return "".join(pieces)
