"""Pictures of how long clearance takes, and where the time goes."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator

from clearance_sim.report.canvas import SERIES, TEXTURES, Bar, Canvas, colour, legend, mark, series, textured, width_of
from clearance_sim.report.words import Json, Words, number

_SHORTEST = 0.5
"""Hours at which the logarithmic axis begins."""
_HOURS = (0.5, 1, 2, 4, 8, 16, 24, 48, 72, 168, 336, 720)


def distributions(canvas: Canvas, words: Words, arms: Sequence[Json], clocks: Sequence[str], claim: Json) -> None:
    """The share released against time, a panel a clock, a line an arm."""
    panels = canvas.panels(len(clocks), share_y=True)
    for axes, clock in zip(panels, clocks, strict=True):
        ends = _SHORTEST, _longest(arms, clock)
        for place, arm in enumerate(arms):
            _curve(axes, words, arm, clock, place, ends)
        _goals(axes, claim)
        axes.set_xscale("log")
        axes.set_xlim(ends)
        axes.set_ylim(0, 1)
        axes.xaxis.set_major_locator(FixedLocator(_HOURS))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter("")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.set_xlabel(words.say("hours"))
        axes.set_title(words.clock(clock))
    panels[0].set_ylabel(words.say("share_released"))
    legend(canvas, panels[0])


def _curve(axes: Axes, words: Words, arm: Json, clock: str, place: int, ends: tuple[float, float]) -> None:
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
        label=words.title("arm", arm, "name"),
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


def stages(canvas: Canvas, words: Words, arms: Sequence[Json]) -> None:
    """Stacked bars of mean hours: one an arm, a piece a stage, by who is responsible."""
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
    axes.set_yticks(range(len(arms)), [broken(words.title("arm", arm, "name"), canvas) for arm in arms])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlim(0, longest * 1.14)
    axes.set_xlabel(words.say("hours"))
    _owners_legend(canvas, axes, words, owners)


def _label(axes: Axes, x: float, y: float, text: str) -> None:
    box = {"boxstyle": "round,pad=0.15", "facecolor": colour("ground"), "edgecolor": "none"}
    axes.text(x, y, text, ha="center", va="center", fontsize=7, bbox=box)


def _owners_legend(canvas: Canvas, axes: Axes, words: Words, owners: Sequence[str]) -> None:
    """Who is responsible, by the texture of their stages; drawn as bars beside their names above the chart."""
    reach = axes.get_xlim()[1]
    across = len(owners) if canvas.is_wide else 3
    rows = -(-len(owners) // across)
    for place, owner in enumerate(owners):
        x, y = reach * (place % across) / across, -0.75 - 0.55 * (rows - 1 - place // across)
        bar = Bar(y, x, reach * 0.04, 0.36)
        textured(axes, bar, SERIES[place % len(SERIES)], TEXTURES[place % len(TEXTURES)], reach / 100)
        axes.text(x + reach * 0.05, y, words.name("owner", owner), va="center", fontsize=7.5)
    axes.set_ylim(axes.get_ylim()[0], -0.75 - 0.55 * rows)


def broken(text: str, canvas: Canvas) -> str:
    """A long label on two lines where there is little room."""
    limit = 22 if canvas.is_wide else 13
    if width_of(text) <= limit or len(text) < 6:
        return text
    middle = len(text) // 2
    spaces = [place for place, char in enumerate(text) if char in " （＋"]
    if not spaces:
        return text[:middle] + "\n" + text[middle:] if ord(text[0]) > 0x2E80 else text
    place = min(spaces, key=lambda place: abs(place - middle))
    return text[:place] + "\n" + text[place:].strip(" ")


def week(canvas: Canvas, words: Words, arms: Sequence[tuple[Json, Json]]) -> None:
    """Queue by hour of the week for each arm, and the staff on duty under it."""
    upper, lower = canvas.figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": (3, 1)})
    hours = np.arange(169)
    for place, (arm, desk) in enumerate(arms):
        queue = np.append(desk["queue"], desk["queue"][-1])
        upper.step(hours, queue, where="post", **series(place), label=words.title("arm", arm, "name"))
    _staff(lower, words, arms)
    upper.set_ylabel(words.say("week.queue"))
    upper.set_ylim(bottom=0)
    lower.set_ylabel(words.say("week.staff"))
    lower.set_ylim(bottom=0)
    lower.set_xticks(np.arange(7) * 24 + 12, words.say("week.days").split())
    lower.set_xticks(np.arange(8) * 24, minor=True)
    for axes in (upper, lower):
        axes.set_xlim(0, 168)
        axes.grid(axis="x", visible=False)
        for day in range(1, 7):
            axes.axvline(day * 24, color=colour("line"), linewidth=0.6)
    lower.tick_params(axis="x", which="major", length=0)
    legend(canvas, upper)


def _staff(axes: Axes, words: Words, arms: Sequence[tuple[Json, Json]]) -> None:
    """Staff of each arm; once, where all arms have the same."""
    hours = np.arange(169)
    rosters = [list(desk["servers"]) for _, desk in arms]
    if all(roster == rosters[0] for roster in rosters):
        axes.fill_between(hours, np.append(rosters[0], rosters[0][-1]), step="post", color=colour("soft"), alpha=0.35)
        return
    for place, roster in enumerate(rosters):
        axes.step(hours, np.append(roster, roster[-1]), where="post", **series(place))
