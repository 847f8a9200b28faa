"""Pictures of what saves time, under which conditions, and which assumptions carry the result."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator

from clearance_sim.report.canvas import Bar, Canvas, colour, legend, mark, series, textured
from clearance_sim.report.charts_of_time import broken
from clearance_sim.report.words import Json, Words, bounds_of, number, percent, value_of

_LEAST = 0.05
"""Ratios below are drawn at the edge: a logarithmic axis has no zero."""


def shapley(canvas: Canvas, words: Words, attribution: Json) -> None:
    """A bar a lever with its interval, and what it saves first in and last in."""
    (axes,) = canvas.panels(1)
    levers = sorted(attribution["levers"], key=lambda lever: -value_of(lever["shapley"]))
    widest = max(max(bounds_of(lever[name])[1] for name in ("shapley", "first_in", "last_in")) for lever in levers)
    for row, lever in enumerate(levers):
        value, (low, high) = value_of(lever["shapley"]), bounds_of(lever["shapley"])
        is_ledger = lever["lever"] == "L"
        tone = colour("accent") if is_ledger else colour("soft")
        axes.barh(row, value, height=0.56, color=tone + "55", edgecolor=tone, linewidth=1.2 if is_ledger else 0.7)
        axes.plot([low, high], [row, row], color=colour("ink"), linewidth=1.4)
        axes.plot(value_of(lever["first_in"]), row, marker=5, color=colour("ink"), markersize=6, linestyle="none")
        axes.plot(value_of(lever["last_in"]), row, marker=4, color=colour("ink"), markersize=6, linestyle="none")
        right = max(high, value_of(lever["first_in"]), value_of(lever["last_in"]))
        axes.text(right + 0.02 * widest, row, f"{number(value)} h", va="center", fontsize=7.5)
    axes.set_yticks(range(len(levers)), [_lever(words, canvas, lever) for lever in levers])
    axes.axvline(0, color=colour("ink"), linewidth=0.8)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlim(min(0.0, *(bounds_of(lever["shapley"])[0] for lever in levers)), widest * 1.16)
    axes.set_xlabel(words.say("hours"))


def _lever(words: Words, canvas: Canvas, lever: Json) -> str:
    return f"{broken(words.title('lever', lever, 'lever'), canvas)} ({lever['lever']})"


def ledger_share(canvas: Canvas, words: Words, ledger: Json) -> None:
    """Two bars: what the ledger does itself, and with what it is credited."""
    (axes,) = canvas.panels(1)
    bars = (("direct_percent", "ledger.direct"), ("enabled_percent", "ledger.enabled"))
    for row, (key, word) in enumerate(bars):
        value, (low, high) = value_of(ledger[key]), bounds_of(ledger[key])
        textured(axes, Bar(row, 0, value, 0.5), "accent", "lines" if row else "plain", 2)
        axes.plot([low, high], [row, row], color=colour("ink"), linewidth=1.4)
        axes.text(max(value, high) + 1.5, row, f"{number(value)} %", va="center")
        axes.text(0, row - 0.36, words.say(word), va="bottom", fontsize=7.5)
    axes.set_yticks([])
    axes.set_ylim(1.5, -0.75)
    axes.set_xlim(0, 100)
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} %")


def frontier(canvas: Canvas, words: Words, frontier: Json, statistic: str, target: float) -> None:
    """Maps of hours over two reforms, a panel a slice; every cell carries its figure."""
    slices = frontier["slices"]
    across, up = frontier["x"], frontier["y"]
    worst = max(float(np.max(part[statistic])) for part in slices)
    for axes, part in zip(canvas.panels(len(slices), share_y=True), slices, strict=True):
        _map(axes, np.array(part[statistic], dtype=float), worst, target, canvas.is_wide and len(slices) < 3)
        axes.set_xticks(range(len(across["values"])), [_tick(value) for value in across["values"]])
        axes.set_yticks(range(len(up["values"])), [_tick(value) for value in up["values"]])
        axes.set_title(broken(words.title("slice", part, "name"), canvas), fontsize=8)
        axes.set_xlabel(words.text(across["title"]))
        axes.grid(visible=False)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    canvas.figure.supylabel(words.text(up["title"]), fontsize=8.5)


def _map(axes: Axes, hours: Any, worst: float, target: float, is_roomy: bool) -> None:
    """Squares as shapes, not as a picture, so that every printer and program can draw them."""
    for row, line in enumerate(hours):
        for column, value in enumerate(line):
            depth = f"{int(16 + 180 * min(value / worst, 1)):02x}"
            axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, color=colour("second") + depth, linewidth=0))
            size = 7.5 if is_roomy else 6
            axes.text(
                column, row, f"{value:.0f}" if value >= 10 else f"{value:.1f}", ha="center", va="center", fontsize=size
            )
            if value <= target:
                frame = Rectangle((column - 0.45, row - 0.45), 0.9, 0.9, fill=False, linewidth=1.4)
                frame.set_edgecolor(colour("accent"))
                axes.add_patch(frame)
    axes.set_xlim(-0.5, hours.shape[1] - 0.5)
    axes.set_ylim(-0.5, hours.shape[0] - 0.5)


def _tick(value: Any) -> str:
    return f"{100 * value:.0f} %" if isinstance(value, int | float) and 0 <= value <= 1 else f"{value}"


def adoption(canvas: Canvas, words: Words, points: Sequence[Json], clocks: Sequence[str], target: float) -> None:
    """Mean, median and P90 against the share that takes part, a panel a clock."""
    shares = [100 * float(point["share"]) for point in points]
    panels = canvas.panels(len(clocks))
    for axes, clock in zip(panels, clocks, strict=True):
        for place, statistic in enumerate(("p90", "mean", "median")):
            told = [point[clock][statistic] for point in points]
            low, high = zip(*map(bounds_of, told), strict=True)
            style = series((1, 2, 4)[place])
            axes.fill_between(shares, low, high, color=style["color"], alpha=0.16, linewidth=0)
            label = words.say(statistic)
            axes.plot(shares, [value_of(t) for t in told], **style, marker=mark(place), markersize=3.5, label=label)
        axes.axhline(target, color=colour("ink"), linewidth=0.9, linestyle=(0, (2, 2)))
        axes.text(100, target, f"{target:g} h", ha="right", va="bottom", fontsize=7.5)
        axes.set_xlim(0, 100)
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} %")
        axes.set_xlabel(words.say("adoption.x"))
        axes.set_title(words.clock(clock))
    panels[0].set_ylabel(words.say("hours"))
    legend(canvas, panels[0])


def congestion(canvas: Canvas, words: Words, points: Sequence[Json], arms: Sequence[Json], clock: str) -> None:
    """Mean and P90 against load, a line an arm."""
    (axes,) = canvas.panels(1)
    loads = [float(point["load"]) for point in points]
    for place, arm in enumerate(arm for arm in arms if arm["name"] in points[0]["arms"]):
        told = [point["arms"][arm["name"]][clock] for point in points]
        style = series(place)
        means = np.array([value_of(t["mean"]) for t in told])
        low, high = zip(*(bounds_of(t["mean"]) for t in told), strict=True)
        axes.vlines(loads, low, high, color=style["color"], linewidth=1.6)
        axes.plot(loads, means, **style, marker=mark(place), markersize=4, label=words.title("arm", arm, "name"))
        ninths = [value_of(t["p90"]) for t in told]
        thin = {**style, "linewidth": 0.9}
        axes.plot(loads, ninths, **thin, marker=mark(place), markersize=4, markerfacecolor=colour("ground"))
    axes.set_ylim(bottom=0)
    axes.set_xticks(loads, [f"{load:g}" for load in loads])
    axes.set_xlabel(words.say("congestion.x"))
    axes.set_ylabel(words.say("hours"))
    legend(canvas, axes)


def sobol(canvas: Canvas, words: Words, parameters: Sequence[Json]) -> None:
    """Two bars an assumption: alone, and with its interactions."""
    (axes,) = canvas.panels(1)
    for row, parameter in enumerate(parameters):
        for shift, key, tone, texture in ((-0.19, "total", "accent", "plain"), (0.19, "first", "second", "rail")):
            value, (low, high) = value_of(parameter[key]), bounds_of(parameter[key])
            label = words.say(f"sobol.{key}") if row == 0 else None
            textured(axes, Bar(row + shift, 0, max(value, 0), 0.34), tone, texture, 0.01, label)
            axes.plot([max(low, 0), high], [row + shift] * 2, color=colour("ink"), linewidth=1.1)
    axes.set_yticks(range(len(parameters)), [broken(words.title("input", p, "name"), canvas) for p in parameters])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(lambda value, _: percent(value).replace(".0", ""))
    legend(canvas, axes)


def tornado(canvas: Canvas, words: Words, bars: Sequence[Json]) -> None:
    """The result at both ends of each assumption's range."""
    (axes,) = canvas.panels(1)
    base = value_of(bars[0]["base"])
    for row, bar in enumerate(bars):
        ends = value_of(bar["at_low"]), value_of(bar["at_high"])
        tone = colour("accent")
        axes.barh(row, max(ends) - min(ends), left=min(ends), height=0.5, color=tone + "45", edgecolor=tone)
        axes.plot(ends[0], row, "o", color=colour("ink"), markerfacecolor=colour("ground"), markersize=4.5)
        axes.plot(ends[1], row, "o", color=colour("ink"), markersize=4.5)
    axes.axvline(base, color=colour("ink"), linewidth=1)
    axes.set_yticks(range(len(bars)), [broken(words.title("input", bar, "name"), canvas) for bar in bars])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(words.say("hours"))


def validation(canvas: Canvas, words: Words, rows: Sequence[Json]) -> None:
    """Predicted over published on a logarithmic scale; each row's tolerance, a factor, is a band."""
    (axes,) = canvas.panels(1)
    for row, check in enumerate(rows):
        scale, factor = float(check["published"]), float(check["tolerance"])
        value, (low, high) = value_of(check["predicted"]), bounds_of(check["predicted"])
        axes.barh(row, factor - 1 / factor, left=1 / factor, height=0.6, color=colour("line"))
        tone, shape = (colour("accent"), "o") if check["inside"] else (colour("bad"), "X")
        axes.plot([max(low / scale, _LEAST), max(high / scale, _LEAST)], [row, row], color=tone, linewidth=1.6)
        axes.plot(max(value / scale, _LEAST), row, shape, color=tone, markersize=6)
    axes.axvline(1, color=colour("ink"), linewidth=0.9)
    axes.set_yticks(range(len(rows)), [broken(words.text(check["study"]), canvas) for check in rows], fontsize=7)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator([_LEAST, 0.1, 0.25, 0.5, 1, 2, 4, 10, 20]))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} ×")
    axes.xaxis.set_minor_formatter("")
    axes.set_xlabel(f"{words.say('predicted')} / {words.say('published')}")
