"""The charts of the report, drawn with matplotlib."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator

from clearance_sim.procedure.levers import letters_of
from clearance_sim.report.canvas import (
    SERIES,
    TEXTURES,
    Bar,
    Canvas,
    colour,
    legend,
    mark,
    series,
    textured,
    width_of,
    wrapped,
)
from clearance_sim.report.labels import Json, Labels, bounds_of, number, percent, value_of

_SHORTEST = 0.5
"""Hours at which the logarithmic axis begins."""
_HOURS = (0.5, 1, 2, 4, 8, 16, 24, 48, 72, 168, 336, 720)


def distributions(canvas: Canvas, labels: Labels, arms: Sequence[Json], clocks: Sequence[str], claim: Json) -> None:
    """Draw the share released against time, with a panel for each clock and a line for each arm."""
    panels = canvas.panels(len(clocks), share_y=True)
    for axes, clock in zip(panels, clocks, strict=True):
        ends = _SHORTEST, _longest(arms, clock)
        for place, arm in enumerate(arms):
            _curve(axes, labels, arm, clock, place, ends)
        _goals(axes, claim)
        axes.set_xscale("log")
        axes.set_xlim(ends)
        axes.set_ylim(0, 1)
        axes.xaxis.set_major_locator(FixedLocator(_HOURS))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter("")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.set_xlabel(labels.text("hours"))
        axes.set_title(labels.clock(clock))
    panels[0].set_ylabel(labels.text("share_released"))
    legend(canvas, panels[0])


def _curve(axes: Axes, labels: Labels, arm: Json, clock: str, place: int, ends: tuple[float, float]) -> None:
    points = np.array(arm["clocks"][clock]["ecdf"], dtype=float)
    inside = points[(points[:, 0] > ends[0]) & (points[:, 0] < ends[1])]
    # Cut here rather than by the axes: programs that draw SVG into PDF do not clip.
    hours = np.array([ends[0], *inside[:, 0], ends[1]])
    share = np.interp(hours, points[:, 0], points[:, 1], left=0.0)
    every = max(1, len(hours) // 7)
    axes.plot(
        hours,
        share,
        **series(place),
        marker=mark(place),
        markevery=(every // 2 + 2 * place, every),
        markersize=3.5,
        label=labels.title("arm", arm, "name"),
    )


def _goals(axes: Axes, claim: Json) -> None:
    for hours in (claim["to_h"], claim["from_h"]):
        axes.axvline(hours, color=colour("ink"), linewidth=0.9, linestyle=(0, (2, 2)))
        axes.annotate(
            f"{hours:g} h",
            (hours, 1.0),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=7.5,
            color=colour("ink"),
        )


def _longest(arms: Sequence[Json], clock: str) -> float:
    ends = [next((h for h, share in arm["clocks"][clock]["ecdf"] if share >= 0.995), 0) for arm in arms]
    return float(max(120.0, *ends))


def stages(canvas: Canvas, labels: Labels, arms: Sequence[Json]) -> None:
    """Draw stacked bars of mean hours, one for each arm, with a piece for each stage, by responsible party."""
    (axes,) = canvas.panels(1)
    owners = list(dict.fromkeys(stage["owner"] for arm in arms for stage in arm["stages"]))
    longest = max(sum(float(stage["mean_h"]) for stage in arm["stages"]) for arm in arms)
    for row, arm in enumerate(arms):
        begin = 0.0
        for stage in sorted(arm["stages"], key=lambda stage: owners.index(stage["owner"])):
            width = float(stage["mean_h"])
            place = owners.index(stage["owner"])
            bar = Bar(row, begin, width, 0.62)
            textured(axes, bar, SERIES[place % len(SERIES)], TEXTURES[place % len(TEXTURES)], longest / 80)
            if width > (0.1 if canvas.is_wide else 0.17) * longest:
                _label(axes, begin + width / 2, row, number(width))
            begin += width
        axes.text(begin + longest / 100, row, f"{number(begin)} h", va="center", fontsize=7.5)
    axes.set_yticks(range(len(arms)), [broken(labels.title("arm", arm, "name"), canvas) for arm in arms])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlim(0, longest * 1.14)
    axes.set_xlabel(labels.text("hours"))
    _owners_legend(canvas, axes, labels, owners)


def _label(axes: Axes, x: float, y: float, text: str) -> None:
    box = {"boxstyle": "round,pad=0.15", "facecolor": colour("ground"), "edgecolor": "none"}
    axes.text(x, y, text, ha="center", va="center", fontsize=7, bbox=box)


def _owners_legend(canvas: Canvas, axes: Axes, labels: Labels, owners: Sequence[str]) -> None:
    """Draw the legend of responsible parties by their textures, as bars with names above the chart."""
    reach = axes.get_xlim()[1]
    across = len(owners) if canvas.is_wide else 3
    rows = -(-len(owners) // across)
    for place, owner in enumerate(owners):
        x, y = reach * (place % across) / across, -0.75 - 0.55 * (rows - 1 - place // across)
        bar = Bar(y, x, reach * 0.04, 0.36)
        textured(axes, bar, SERIES[place % len(SERIES)], TEXTURES[place % len(TEXTURES)], reach / 100)
        axes.text(x + reach * 0.05, y, labels.name("owner", owner), va="center", fontsize=7.5)
    axes.set_ylim(axes.get_ylim()[0], -0.75 - 0.55 * rows)


def broken(text: str, canvas: Canvas) -> str:
    """Break a long label into two lines where there is little room."""
    limit = 22 if canvas.is_wide else 13
    if width_of(text) <= limit or len(text) < 6:
        return text
    middle = len(text) // 2
    spaces = [place for place, char in enumerate(text) if char in " （＋"]
    if not spaces:
        return text[:middle] + "\n" + text[middle:] if ord(text[0]) > 0x2E80 else text
    place = min(spaces, key=lambda place: abs(place - middle))
    return text[:place] + "\n" + text[place:].strip(" ")


def week(canvas: Canvas, labels: Labels, arms: Sequence[tuple[Json, Json]]) -> None:
    """Draw the queue by hour of the week for each arm, and the staff on duty below it."""
    upper, lower = canvas.figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": (3, 1)})
    hours = np.arange(169)
    for place, (arm, desk) in enumerate(arms):
        queue = np.append(desk["queue"], desk["queue"][-1])
        upper.step(hours, queue, where="post", **series(place), label=labels.title("arm", arm, "name"))
    _staff(lower, labels, arms)
    upper.set_ylabel(labels.text("week.queue"))
    upper.set_ylim(bottom=0)
    lower.set_ylabel(labels.text("week.staff"))
    lower.set_ylim(bottom=0)
    lower.set_xticks(np.arange(7) * 24 + 12, labels.text("week.days").split())
    lower.set_xticks(np.arange(8) * 24, minor=True)
    for axes in (upper, lower):
        axes.set_xlim(0, 168)
        axes.grid(axis="x", visible=False)
        for day in range(1, 7):
            axes.axvline(day * 24, color=colour("line"), linewidth=0.6)
    lower.tick_params(axis="x", which="major", length=0)
    legend(canvas, upper)


def _staff(axes: Axes, labels: Labels, arms: Sequence[tuple[Json, Json]]) -> None:
    """Draw the staff of each arm, or once if all arms have the same."""
    hours = np.arange(169)
    rosters = [list(desk["servers"]) for _, desk in arms]
    if all(roster == rosters[0] for roster in rosters):
        axes.fill_between(hours, np.append(rosters[0], rosters[0][-1]), step="post", color=colour("soft"), alpha=0.35)
        return
    for place, roster in enumerate(rosters):
        axes.step(hours, np.append(roster, roster[-1]), where="post", **series(place))


_LEAST = 0.05
"""Ratios below are drawn at the edge: a logarithmic axis has no zero."""


def shapley(canvas: Canvas, labels: Labels, attribution: Json) -> None:
    """Draw a bar with interval for each lever, and what it saves as the first and as the last lever."""
    (axes,) = canvas.panels(1)
    levers = sorted(attribution["levers"], key=lambda lever: -value_of(lever["shapley"]))
    widest = max(max(bounds_of(lever[name])[1] for name in ("shapley", "first_in", "last_in")) for lever in levers)
    for row, lever in enumerate(levers):
        value, (low, high) = value_of(lever["shapley"]), bounds_of(lever["shapley"])
        is_ledger = lever["lever"] == "ledger"
        tone = colour("accent") if is_ledger else colour("soft")
        axes.barh(row, value, height=0.56, color=tone + "55", edgecolor=tone, linewidth=1.2 if is_ledger else 0.7)
        axes.plot([low, high], [row, row], color=colour("ink"), linewidth=1.4)
        axes.plot(value_of(lever["first_in"]), row, marker=5, color=colour("ink"), markersize=6, linestyle="none")
        axes.plot(value_of(lever["last_in"]), row, marker=4, color=colour("ink"), markersize=6, linestyle="none")
        right = max(high, value_of(lever["first_in"]), value_of(lever["last_in"]))
        axes.text(right + 0.02 * widest, row, f"{number(value)} h", va="center", fontsize=7.5)
    axes.set_yticks(range(len(levers)), [_lever(labels, canvas, lever) for lever in levers])
    axes.axvline(0, color=colour("ink"), linewidth=0.8)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlim(min(0.0, *(bounds_of(lever["shapley"])[0] for lever in levers)), widest * 1.16)
    axes.set_xlabel(labels.text("hours"))


def _lever(labels: Labels, canvas: Canvas, lever: Json) -> str:
    return f"{broken(labels.title('lever', lever, 'lever'), canvas)} ({letters_of([lever['lever']])})"


def ledger_share(canvas: Canvas, labels: Labels, ledger: Json) -> None:
    """Draw two bars: what the ledger saves itself, and with what is credited to it."""
    (axes,) = canvas.panels(1)
    bars = (("direct_percent", "ledger.direct"), ("enabled_percent", "ledger.enabled"))
    for row, (key, word) in enumerate(bars):
        value, (low, high) = value_of(ledger[key]), bounds_of(ledger[key])
        textured(axes, Bar(row, 0, value, 0.5), "accent", "lines" if row else "plain", 2)
        axes.plot([low, high], [row, row], color=colour("ink"), linewidth=1.4)
        axes.text(max(value, high) + 1.5, row, f"{number(value)} %", va="center")
        axes.text(0, row - 0.36, labels.text(word), va="bottom", fontsize=7.5)
    axes.set_yticks([])
    axes.set_ylim(1.5, -0.75)
    axes.set_xlim(0, 100)
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} %")


def frontier(canvas: Canvas, labels: Labels, frontier: Json, statistic: str, target: float) -> None:
    """Draw maps of hours over two reforms, with a panel for each slice and a figure in each cell."""
    slices = frontier["slices"]
    across, up = frontier["x"], frontier["y"]
    worst = max(float(np.max(part[statistic])) for part in slices)
    for axes, part in zip(canvas.panels(len(slices), share_y=True), slices, strict=True):
        _map(axes, np.array(part[statistic], dtype=float), worst, target, len(slices) < 3 or len(across["values"]) < 5)
        axes.set_xticks(range(len(across["values"])), [_tick(value) for value in across["values"]])
        axes.set_yticks(range(len(up["values"])), [_tick(value) for value in up["values"]])
        axes.set_title(wrapped(labels.title("slice", part, "name"), 30 if len(slices) > 2 else 44), fontsize=8)
        axes.set_xlabel(labels.own(across["title"]))
        axes.grid(visible=False)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    canvas.figure.supylabel(labels.own(up["title"]), fontsize=8.5)


def _map(axes: Axes, hours: Any, worst: float, target: float, is_roomy: bool) -> None:
    """Draw squares as shapes rather than an image, so that every printer and program can render them."""
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


def adoption(canvas: Canvas, labels: Labels, points: Sequence[Json], clocks: Sequence[str], target: float) -> None:
    """Draw mean, median and P90 against the share that takes part, with a panel for each clock."""
    shares = [100 * float(point["share"]) for point in points]
    panels = canvas.panels(len(clocks))
    for axes, clock in zip(panels, clocks, strict=True):
        for place, statistic in enumerate(("p90", "mean", "median")):
            figures = [point[clock][statistic] for point in points]
            low, high = zip(*map(bounds_of, figures), strict=True)
            style = series((1, 2, 4)[place])
            axes.fill_between(shares, low, high, color=style["color"], alpha=0.16, linewidth=0)
            label = labels.text(statistic)
            axes.plot(shares, [value_of(t) for t in figures], **style, marker=mark(place), markersize=3.5, label=label)
        axes.axhline(target, color=colour("ink"), linewidth=0.9, linestyle=(0, (2, 2)))
        axes.text(100, target, f"{target:g} h", ha="right", va="bottom", fontsize=7.5)
        axes.set_xlim(0, 100)
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} %")
        axes.set_xlabel(labels.text("adoption.x"))
        axes.set_title(labels.clock(clock))
    panels[0].set_ylabel(labels.text("hours"))
    legend(canvas, panels[0])


def congestion(canvas: Canvas, labels: Labels, points: Sequence[Json], arms: Sequence[Json], clock: str) -> None:
    """Draw mean and P90 against load, with a line for each arm."""
    (axes,) = canvas.panels(1)
    loads = [float(point["load"]) for point in points]
    for place, arm in enumerate(arm for arm in arms if arm["name"] in points[0]["arms"]):
        figures = [point["arms"][arm["name"]][clock] for point in points]
        style = series(place)
        means = np.array([value_of(t["mean"]) for t in figures])
        low, high = zip(*(bounds_of(t["mean"]) for t in figures), strict=True)
        axes.vlines(loads, low, high, color=style["color"], linewidth=1.6)
        axes.plot(loads, means, **style, marker=mark(place), markersize=4, label=labels.title("arm", arm, "name"))
        ninths = [value_of(t["p90"]) for t in figures]
        thin = {**style, "linewidth": 0.9}
        axes.plot(loads, ninths, **thin, marker=mark(place), markersize=4, markerfacecolor=colour("ground"))
    axes.set_ylim(bottom=0)
    axes.set_xticks(loads, [f"{load:g}" for load in loads])
    axes.set_xlabel(labels.text("congestion.x"))
    axes.set_ylabel(labels.text("hours"))
    legend(canvas, axes)


def sobol(canvas: Canvas, labels: Labels, parameters: Sequence[Json]) -> None:
    """Draw two bars for each assumption: its effect alone, and with its interactions."""
    (axes,) = canvas.panels(1)
    for row, parameter in enumerate(parameters):
        for shift, key, tone, texture in ((-0.19, "total", "accent", "plain"), (0.19, "first", "second", "rail")):
            value, (low, high) = value_of(parameter[key]), bounds_of(parameter[key])
            label = labels.text(f"sobol.{key}") if row == 0 else None
            textured(axes, Bar(row + shift, 0, max(value, 0), 0.34), tone, texture, 0.01, label)
            axes.plot([max(low, 0), high], [row + shift] * 2, color=colour("ink"), linewidth=1.1)
    axes.set_yticks(range(len(parameters)), [broken(labels.title("input", p, "name"), canvas) for p in parameters])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(lambda value, _: percent(value).replace(".0", ""))
    legend(canvas, axes)


def tornado(canvas: Canvas, labels: Labels, bars: Sequence[Json]) -> None:
    """Draw the result at both ends of each assumption's range."""
    (axes,) = canvas.panels(1)
    base = value_of(bars[0]["base"])
    for row, bar in enumerate(bars):
        ends = value_of(bar["at_low"]), value_of(bar["at_high"])
        tone = colour("accent")
        axes.barh(row, max(ends) - min(ends), left=min(ends), height=0.5, color=tone + "45", edgecolor=tone)
        axes.plot(ends[0], row, "o", color=colour("ink"), markerfacecolor=colour("ground"), markersize=4.5)
        axes.plot(ends[1], row, "o", color=colour("ink"), markersize=4.5)
    axes.axvline(base, color=colour("ink"), linewidth=1)
    axes.set_yticks(range(len(bars)), [broken(labels.title("input", bar, "name"), canvas) for bar in bars])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(labels.text("hours"))


def _short(text: str, most: int) -> str:
    """Cut a label to one line if it is too long."""
    while width_of(text) > most:
        text = text.rstrip("…")[:-1].rstrip(" ,，") + "…"
    return text


def validation(canvas: Canvas, labels: Labels, rows: Sequence[Json]) -> None:
    """Draw predicted over published on a logarithmic scale, with the tolerance factor of each row as a band."""
    (axes,) = canvas.panels(1)
    for row, check in enumerate(rows):
        scale, factor = float(check["published"]), float(check["tolerance"])
        value, (low, high) = value_of(check["predicted"]), bounds_of(check["predicted"])
        axes.barh(row, factor - 1 / factor, left=1 / factor, height=0.6, color=colour("line"))
        tone, shape = (colour("accent"), "o") if check["inside"] else (colour("bad"), "X")
        axes.plot([max(low / scale, _LEAST), max(high / scale, _LEAST)], [row, row], color=tone, linewidth=1.6)
        axes.plot(max(value / scale, _LEAST), row, shape, color=tone, markersize=6)
    axes.axvline(1, color=colour("ink"), linewidth=0.9)
    axes.set_yticks(
        range(len(rows)), [_short(check["label"], 42 if canvas.is_wide else 24) for check in rows], fontsize=7
    )
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator([_LEAST, 0.1, 0.25, 0.5, 1, 2, 4, 10, 20]))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} ×")
    axes.xaxis.set_minor_formatter("")
    axes.set_xlabel(f"{labels.text('predicted')} / {labels.text('published')}")
