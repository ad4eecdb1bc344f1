"""Forecasts against what came to pass: with their intervals, by step ahead, and what they left unexplained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from seqlab.insight.classification import COLOURS, GREY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, PAST = "#1B2733", "#7A8594"
"""Colours of what came to pass, and of what was known before."""
MOST_LAGS = 48
OFF_SCALE = 4.0
"""Errors so many times as large as the model's largest would flatten it: then the axis is logarithmic."""


@dataclass(frozen=True)
class Panel:
    """One series: what was known, what was forecast, and what came of it.

    Attributes:
        name: of the series, or of its column.
        times: ``(N,)`` datetime64 of ``history``.
        history: ``(N,)`` what was known; may be empty, as of forecasts from one origin after the other.
        ahead: ``(H,)`` datetime64 of what was forecast.
        point: ``(H,)`` the forecast.
        truth: ``(H,)`` what came to pass, NaN where nothing was measured; None where nobody knows yet.
        intervals: lower and upper ends ``(H,)`` of prediction intervals, by what share of cases each is meant to hold.
        zone: in which times are, such as ``+02:00``; empty: they have none.
    """

    name: str
    times: np.ndarray
    history: np.ndarray
    ahead: np.ndarray
    point: np.ndarray
    truth: np.ndarray | None = None
    intervals: Mapping[float, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    zone: str = ""


def forecast_figure(panels: Sequence[Panel]) -> Figure:
    """History, forecast with its intervals and truth over time, one drawing for each of ``panels``."""
    from matplotlib.figure import Figure

    assert panels
    columns = 1 if len(panels) <= 3 else 2
    rows = -(-len(panels) // columns)
    size = (9, 3.6) if rows == 1 else (9 if columns == 1 else 11, 2.3 * rows + 0.5)
    figure = Figure(figsize=size, dpi=120, layout="constrained")
    handles: dict[str, Any] = {}
    for place, panel in enumerate(panels):
        axes = figure.add_subplot(rows, columns, place + 1)
        # Those that show the same time say it once, at the bottom.
        below = panels[place + columns] if place + columns < len(panels) else None
        _draw_forecast(axes, panel, below is None or bool((_span(below) != _span(panel)).any()))
        found = axes.get_legend_handles_labels()
        handles |= {label: handle for handle, label in zip(*found, strict=True)}
    order = sorted(handles, key=lambda label: ("history", "truth", "forecast").index(label) if "%" not in label else 3)
    figure.legend(
        [handles[label] for label in order],
        order,
        loc="outside upper right",
        ncols=len(order),
        frameon=False,
        fontsize=9,
    )
    return figure


def _draw_forecast(axes: Axes, panel: Panel, say_span: bool) -> None:
    known = len(panel.history) > 0
    # Lines begin at the last value that was known: a forecast of one step is a line, too.
    ahead = np.append(panel.times[-1:], panel.ahead)
    last = panel.history[-1:]
    for share, colour in zip(sorted(panel.intervals, reverse=True), _shades(len(panel.intervals)), strict=True):
        low, high = panel.intervals[share]
        axes.fill_between(
            ahead,
            np.append(last, low),
            np.append(last, high),
            color=colour,
            linewidth=0,
            label=f"{100 * share:.3g} % interval",
            zorder=1,
        )
    few = len(panel.ahead) <= 12
    mark: dict[str, Any] = {"marker": "o", "markersize": 3.5, "markevery": slice(len(last), None)} if few else {}
    if known:
        axes.plot(panel.times, panel.history, color=PAST, linewidth=1.2, label="history", zorder=2)
        axes.axvline(panel.times[-1], color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
    if panel.truth is not None:
        axes.plot(ahead, np.append(last, panel.truth), color=INK, linewidth=1.2, label="truth", zorder=3, **mark)
    axes.plot(ahead, np.append(last, panel.point), color=COLOURS[0], linewidth=1.8, label="forecast", zorder=4, **mark)
    axes.set_title(_plain(panel.name), loc="left", fontsize=10, color=INK)
    axes.margins(x=0.01)
    tidy(axes)
    _tell_times(axes, _span(panel), say_span, panel.zone)


def _span(panel: Panel) -> np.ndarray:
    """``(2,)`` datetime64: the first and the last time that a panel shows."""
    return np.append(panel.times, panel.ahead)[[0, -1]]


def _shades(count: int) -> list[tuple[float, ...]]:
    """Colours of ``count`` intervals, the widest and lightest first: not see-through, so that the legend shows them."""
    from matplotlib.colors import to_rgb

    blue = np.array(to_rgb(COLOURS[0]))
    return [tuple(1 - share * (1 - blue)) for share in np.linspace(0.16, 0.16 + 0.13 * (count - 1), count)]


def error_by_step_figure(by_name: Mapping[str, np.ndarray], metric: str) -> Figure:
    """How the error grows with the distance: the model, which is the first, beside the floors.

    Args:
        by_name: ``(H,)`` errors of each; they are listed from the least to the largest mean. A single step has bars.
        metric: what they are.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    figure = Figure(figsize=(8, 3.8), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    model, horizon = next(iter(by_name)), len(next(iter(by_name.values())))
    # A floor keeps its colour, whatever the order turns out to be.
    colours = {name: COLOURS[order and 1 + (order - 1) % (len(COLOURS) - 1)] for order, name in enumerate(by_name)}
    means = {name: float(np.nanmean(errors)) for name, errors in by_name.items()}
    curves = {name: np.asarray(by_name[name], np.float64) for name in sorted(means, key=lambda name: means[name])}
    if horizon == 1:
        _draw_bars(axes, {name: means[name] for name in curves}, model, metric)
        return figure
    lowest = min(float(np.nanmin(errors)) for errors in curves.values())
    highest = max(float(np.nanmax(errors)) for errors in curves.values())
    logarithmic = lowest > 0 and highest > OFF_SCALE * float(np.nanmax(curves[model]))
    for name, errors in curves.items():
        width, above = (2.4, 9) if name == model else (1.3, 3)
        mark = "o" if horizon <= 12 else None
        axes.plot(
            np.arange(1, horizon + 1),
            errors,
            color=colours[name],
            linewidth=width,
            zorder=above,
            label=f"{_plain(name)}  {_number(means[name])}",
            marker=mark,
            ms=4,
        )
    axes.set(xlabel="steps ahead", ylabel=_plain(metric), xlim=(1, horizon))
    if logarithmic:
        axes.set_yscale("log")
        axes.set_ylim(lowest / 1.15, highest * 1.15)
        axes.set_ylabel(f"{_plain(metric)} (logarithmic)")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if highest < 1000 * lowest else (1.0,)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.set_ylim(0, 1.06 * highest)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(x=0.01)
    axes.legend(
        title="mean over the steps",
        loc="center left",
        bbox_to_anchor=(1.01, 0.5),
        frameon=False,
        fontsize=9,
        title_fontsize=9,
        alignment="left",
    )
    tidy(axes)
    return figure


def _draw_bars(axes: Axes, errors: Mapping[str, float], model: str, metric: str) -> None:
    names = [_plain(name) for name in errors]
    colours = [COLOURS[0] if name == model else "#B9C1CC" for name in errors]
    bars = axes.barh(names, list(errors.values()), color=colours, height=0.65)
    axes.bar_label(bars, [_number(error) for error in errors.values()], padding=4, fontsize=9, color=INK)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel(f"{_plain(metric)}, one step ahead")
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)


def residual_figure(residuals: np.ndarray, name: str, times: np.ndarray | None = None) -> Figure:
    """What forecasts left unexplained: over time, how it is spread, and whether one tells of the next.

    Residuals of a good forecast of one step are noise around zero, and all but 5 % of their autocorrelations lie within
    the band (``1.96 / sqrt(N)``); of a forecast of many steps, those up to its horizon need not.

    Args:
        residuals: ``(N,)`` truth less forecast, in the order of time; NaN where nothing was measured.
        name: of what they are.
        times: ``(N,)`` datetime64.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9, 5.4), dpi=120, layout="constrained")
    places = figure.add_gridspec(2, 2, height_ratios=(1, 1.05))
    over_time, spread, memory = (figure.add_subplot(places[place]) for place in ((0, slice(None)), (1, 0), (1, 1)))
    residuals = np.asarray(residuals, np.float64)
    measured = residuals[np.isfinite(residuals)]
    assert len(measured) > 1
    mean, deviation = float(measured.mean()), float(measured.std())

    over_time.axhline(0, color=GREY, linewidth=0.8, zorder=0)
    at = np.arange(len(residuals)) if times is None else times
    over_time.plot(at, residuals, color=COLOURS[0], linewidth=0.9 if len(residuals) <= 1000 else 0.5)
    over_time.margins(x=0.01)
    over_time.set_title(f"{_plain(name)}: truth less forecast", loc="left", fontsize=10, color=INK)
    if times is not None:
        _tell_times(over_time, times)

    bins = min(len(np.histogram_bin_edges(measured, "auto")), 61) if deviation else 3
    spread.hist(measured, bins, density=True, color="#A9CDE6", edgecolor="white", linewidth=0.5)
    if deviation:
        grid = np.linspace(*spread.get_xlim(), 300)
        density = np.exp(-0.5 * ((grid - mean) / deviation) ** 2) / (deviation * np.sqrt(2 * np.pi))
        spread.plot(grid, density, color=COLOURS[1], linewidth=1.6, label="normal density")
        spread.legend(frameon=False, fontsize=9)
    spread.set_title(
        f"mean {_number(mean)}, standard deviation {_number(deviation)}", loc="left", fontsize=10, color=INK
    )
    spread.set_yticks([])

    correlations = autocorrelation(residuals, min(MOST_LAGS, len(measured) // 2))
    lags, band = np.arange(1, len(correlations) + 1), 1.96 / np.sqrt(len(measured))
    memory.axhspan(-band, band, color=GREY, alpha=0.2, linewidth=0, label="95 % of noise")
    memory.axhline(0, color=GREY, linewidth=0.8)
    memory.vlines(lags, 0, correlations, color=COLOURS[0], linewidth=1.4)
    memory.plot(lags, correlations, "o", color=COLOURS[0], markersize=3.2)
    low, high = min(correlations.min(initial=0), -band), max(correlations.max(initial=0), band)
    memory.set(xlabel="lag (steps)", ylim=(low - 0.1 * (high - low), high + 0.25 * (high - low)))
    outside = int((np.abs(correlations) > band).sum())
    memory.set_title(f"autocorrelation, {outside} of {len(lags)} outside the band", loc="left", fontsize=10, color=INK)
    memory.legend(frameon=False, fontsize=9, loc="upper right")
    memory.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (over_time, spread, memory):
        tidy(axes)
    spread.grid(visible=False)
    spread.spines["left"].set_visible(False)
    return figure


def autocorrelation(values: np.ndarray, lags: int) -> np.ndarray:
    """``(lags,)``: how much ``values`` ``(N,)`` and those 1, 2, ... rows before have in common, between -1 and 1.

    ``sum_t (x_t - m)(x_{t-k} - m) / sum_t (x_t - m)^2`` over the pairs that were measured; 0 where nothing varies.
    """
    centred = values - np.nanmean(values)
    centred = np.where(np.isfinite(centred), centred, 0.0)
    power = float((centred**2).sum())
    found = np.array([(centred[lag:] * centred[:-lag]).sum() for lag in range(1, lags + 1)])
    return found / power if power else np.zeros(lags)


def _tell_times(axes: Axes, times: np.ndarray, say_span: bool = True, zone: str = "") -> None:
    """Short times along the axis, and below it from when to when they are, which says the year."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    class Apart(AutoDateLocator):
        """Leaves a tick out that the next one is too near to, as the 31st is to the 1st where every third is named."""

        def __call__(self) -> list[float]:
            kept: list[float] = []
            ticks = super().__call__()
            usual = np.median(np.diff(ticks)) if len(ticks) > 2 else 0.0
            for tick in ticks:
                if kept and tick - kept[-1] < 0.75 * usual:
                    kept.pop()
                kept.append(tick)
            return kept

    locator = Apart(minticks=3, maxticks=7)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(
        # Each of a year, a month, a day, an hour, a minute and a second; and of the first of its kind.
        ConciseDateFormatter(
            locator,
            formats=["%Y", "%b", "%d %b", "%H:%M", "%H:%M", "%S.%f"],
            zero_formats=["", "%Y", "%d %b", "%d %b", "%H:%M", "%H:%M"],
            show_offset=False,
        )
    )
    if say_span:
        first, last = (f"{time.astype('datetime64[s]').item():%d %b %Y}" for time in (times.min(), times.max()))
        said = first if first == last else f"{first} to {last}"
        axes.set_xlabel(f"{said} (UTC{zone})" if zone else said, loc="right", fontsize=8, color=PAST)


def tidy(axes: Axes) -> None:
    """Give a drawing the look of the others: a faint grid, no frame above and to the right."""
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#B9C1CC")
    axes.tick_params(colors="#4A5462", labelsize=9)


def _number(value: float) -> str:
    if abs(value) >= 1000:
        text = f"{value:,.0f}"
    else:
        text = f"{value:#.4g}" if abs(value) > 1e-3 else f"{value:.2g}"
    return text.replace("-", "\N{MINUS SIGN}")


def _plain(text: str) -> str:
    # A dollar sign would start a formula.
    return text.replace("$", r"\$")
