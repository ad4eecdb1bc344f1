"""What a run leaves to read: TensorBoard events, ``metrics.jsonl`` and ``summary.json``, the same numbers in all."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from seqlab import durable
from seqlab.bounded import LARGEST_METRICS, lines_within
from seqlab.engine.events import cut_events, of_report
from seqlab.terminal import plain
from seqlab.types import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Tracker:
    """Writes one run folder. Only one live tracker may write a folder.

    Args:
        run_dir: the run's folder; made if it is not there.
        resume_step: the step of the checkpoint that the run continues from. What was written after it is removed, and
            so is what a report wrote: both will be written again. None begins a new run.
    """

    def __init__(self, run_dir: str | Path, resume_step: int | None = None) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.run_dir = Path(run_dir)
        self._waiting: list[tuple[dict[str, float], int, float]] = []
        self._handed_on = 0.0
        try:
            self.run_dir.mkdir(parents=True, exist_ok=True)
            if resume_step is not None:
                _truncate(self.run_dir / "metrics.jsonl", resume_step)
                cut_events(self.run_dir, resume_step)
            self._lines = open(self.run_dir / "metrics.jsonl", "a", encoding="utf-8")  # noqa: SIM115
            purge = None if resume_step is None else resume_step + 1
            self._writer = SummaryWriter(str(self.run_dir), purge_step=purge, flush_secs=30)
        except OSError as error:
            raise InputError(
                f"Cannot write the run folder {self.run_dir} ({error.strerror}); choose another run_dir."
            ) from error

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """All numbers of one moment: one line of ``metrics.jsonl`` and one TensorBoard event, not one each.

        They are handed on at most once a second: TensorBoard's writer is a thread, and waking it takes the interpreter
        from the training. Rows that come seldom go at once; ``flush``, and so every checkpoint, hands all on.
        """
        now = time.time()
        self._waiting.append((dict(values), step, now))
        if now - self._handed_on >= 1.0:
            self._hand_on(now)

    def hparams(self, params: Mapping[str, Any], metrics: Mapping[str, float], step: int = 0) -> None:
        """Fills the HParams tab for this very run (torch's ``add_hparams`` would add a second one).

        Args:
            params: nested or flat settings; a nested key becomes ``outer.inner``, a list its text. Give every run of
                a comparison the same keys: TensorBoard shows those of the first.
            metrics: the run's final numbers, written like ``scalars``, to the event file and ``metrics.jsonl``.
            step: where those stand.
        """
        from torch.utils.tensorboard.summary import hparams

        for summary in hparams(_flat(params), dict(metrics)):
            self._file_writer.add_summary(summary)
        self.scalars(metrics, step)

    def text(self, tag: str, markdown: str, step: int = 0) -> None:
        """Markdown in the text tab."""
        self._writer.add_text(tag, markdown, step)

    def figure(self, tag: str, figure: Figure, step: int = 0) -> None:
        """A matplotlib figure in the images tab, and as ``figures/TAG.png`` in the run folder."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.image import imsave

        path = self.run_dir / "figures" / (re.sub(r"[^\w/-]+", "_", tag) + ".png")  # a tag may hold a column's name
        path.parent.mkdir(parents=True, exist_ok=True)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()  # once, for both
        pixels = np.asarray(canvas.buffer_rgba())
        image = io.BytesIO()
        imsave(image, pixels, format="png")
        durable.write_bytes(path, image.getvalue())
        self._writer.add_image(tag, pixels[..., :3], step, dataformats="HWC")

    def embedding(self, tag: str, matrix: Tensor, tokens: Sequence[str], step: int = 0) -> None:
        """Rows of ``matrix`` ``(V, E)`` in the projector, named by ``tokens``."""
        shutil.rmtree(self.run_dir / f"{step:05d}" / tag, ignore_errors=True)  # of a report that was not finished
        # repr: the metadata file is raw TSV, which a token that is a line break or a tab would tear apart.
        self._writer.add_embedding(
            matrix.detach().float().cpu(), metadata=[repr(token) for token in tokens], global_step=step, tag=tag
        )

    def pr_curve(self, tag: str, targets: np.ndarray, probabilities: np.ndarray, step: int = 0) -> None:
        """Precision over recall of one class: ``targets`` ``(N,)`` of 0 and 1, ``probabilities`` ``(N,)``."""
        self._writer.add_pr_curve(tag, targets, probabilities, step)

    def summary(self, values: Mapping[str, Any]) -> None:
        """Writes ``summary.json``, whole or not at all."""
        text = json.dumps(plain(values), indent=2, ensure_ascii=False, allow_nan=False)
        durable.write_text(self.run_dir / "summary.json", text + "\n")

    def flush(self) -> None:
        """Brings everything written so far to the files."""
        self._hand_on(time.time())
        self._lines.flush()
        os.fsync(self._lines.fileno())  # a checkpoint is synced too, and its curves belong to it
        self._writer.flush()

    def close(self) -> None:
        """Flushes and ends; the tracker cannot be used after."""
        self.flush()
        self._lines.close()
        self._writer.close()

    def _hand_on(self, now: float) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        for values, step, moment in self._waiting:
            summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
            self._file_writer.add_summary(summary, step, moment)
            line = plain({"step": step, "time": round(moment, 3), **values})
            self._lines.write(json.dumps(line, allow_nan=False) + "\n")
        self._lines.flush()
        self._waiting.clear()
        self._handed_on = now

    @property
    def _file_writer(self) -> Any:
        return self._writer._get_file_writer()


def _truncate(path: Path, step: int) -> None:
    """Keep the training's lines up to ``step``; a line that a crash cut short ends the file."""
    if not path.exists():
        return
    kept = []
    for line in lines_within(path, LARGEST_METRICS):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            break
        at = row.get("step") if isinstance(row, dict) else None
        if isinstance(at, int) and at <= step and not any(map(of_report, row)):
            kept.append(line.rstrip("\n") + "\n")
    durable.write_text(path, "".join(kept))


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, bool | int | float | str]:
    """Nested settings as TensorBoard takes them: one level, no lists, no None."""
    flat: dict[str, bool | int | float | str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value if isinstance(value, bool | int | float | str) else str(value)
    return flat
