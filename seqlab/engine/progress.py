"""How far a run is: a bar on a terminal and in a notebook, a line now and then elsewhere (on standard error)."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar


class Progress:
    """Shows share done, loss, tokens per second and time left.

    Whoever calls decides when: ``every`` says how many seconds to wait between two calls of ``show``, so that a step
    pays for one comparison. A drawing thread would take the interpreter from the training ten times a second.

    Args:
        console: where to; standard error by default.
        every: seconds between two shows; by default 1 on a terminal and 10 elsewhere.
    """

    def __init__(self, console: Console | None = None, every: float | None = None) -> None:
        from rich.console import Console

        # rich draws bars in a notebook with ipywidgets alone, and without them nothing.
        self._notebook = console is None and _in_notebook()
        self._console = console or Console(stderr=True, highlight=False, force_jupyter=False)
        self._live = self._console.is_terminal or self._notebook
        self.every = every if every is not None else (1.0 if self._live else 10.0)
        self._bar: Bar | None = None
        self._cell: Any = None  # of a notebook: what it shows, which can be replaced

    def __enter__(self) -> Progress:
        if self._notebook:
            from IPython.display import display

            self._cell = display({"text/plain": ""}, raw=True, display_id=True)
        elif self._live:
            from rich.progress import BarColumn, Progress, TextColumn

            # No markup: the text may hold names that users chose.
            text = "{task.percentage:3.0f} %  {task.fields[status]}"
            self._bar = Progress(
                BarColumn(12), TextColumn(text, markup=False), console=self._console, auto_refresh=False, transient=True
            )
            self._bar.add_task("", total=1.0, status="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        if self._cell is not None:
            self._cell.update({"text/plain": ""}, raw=True)
            self._cell = None

    def show(self, share: float, epoch: int, step: int, loss: float, tokens_per_second: float, seconds: float) -> None:
        """Draws the state of things.

        Args:
            share: how much of the run is over, 0 to 1.
            epoch: counted from 1.
            step: updates done.
            loss: mean of late.
            tokens_per_second: of late.
            seconds: spent in training so far.
        """
        left = _clock(seconds * (1.0 - share) / share) if share > 0 else "?"
        status = f"epoch {epoch}  step {step}  loss {loss:.4f}  {tokens_per_second:,.0f} tokens/s  {left} left"
        if self._cell is not None:
            full = round(20 * min(max(share, 0.0), 1.0))
            line = f"{'█' * full}{'░' * (20 - full)} {100 * share:3.0f} %  {status}"
            self._cell.update({"text/plain": line}, raw=True)
        elif self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=share, status=status, refresh=True)
        else:
            self.message(f"{100 * share:3.0f} %  {status}")

    def message(self, text: str) -> None:
        """One line that stays, above the bar where there is one; shown as it is, not as rich's markup."""
        from rich.text import Text

        self._console.print(Text(text), soft_wrap=True, highlight=False)


def _in_notebook() -> bool:
    """Whether this is the kernel of a notebook, which shows more than text."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and getattr(ipython.get_ipython(), "kernel", None) is not None


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def readable(value: float) -> str:
    """A metric with four decimals, or four digits where those say nothing: ``0.9000``, ``0.0001711``, ``4.5e+13``."""
    if value == 0 or 0.01 <= abs(value) < 1e7:
        return f"{value:.4f}"
    return f"{value:.4g}"
