"""Chapters on how long clearance takes, where the time goes, and what happens under load."""

from collections.abc import Sequence

import numpy as np

from clearance_sim.report import charts
from clearance_sim.report.document import Block, Chart, Paragraph, Section, Table, section
from clearance_sim.report.labels import Json, Labels, estimate, number, percent, share, value_of

HEADLINE = "arrival → release"
BUSIEST = 2
"""How many desks' weeks are drawn."""


def clocks_of(context: Json) -> list[str]:
    """Return the clocks for which every arm has a distribution."""
    first = context["arms"][0]["clocks"]
    return [clock for clock in first if all(arm["clocks"].get(clock, {}).get("ecdf") for arm in context["arms"])]


def first_chart(labels: Labels, claim: Json, context: Json, prefix: str = "") -> Chart | None:
    """Return the chart of the first page: the headline clock of all arms."""
    clocks = clocks_of(context)
    if HEADLINE not in clocks:
        return None
    return _distributions(labels, claim, context, [HEADLINE], "ecdf.first", f"{prefix}released", 3.3)


def time(labels: Labels, claim: Json, context: Json, prefix: str = "") -> Section | None:
    """Return the chapter on distributions and quantiles of both clocks, and on channels."""
    clocks = clocks_of(context)
    chart = _distributions(labels, claim, context, clocks, "ecdf.title", f"{prefix}clocks", 3.3) if clocks else None
    blocks: list[Block | None] = [chart, times_table(labels, claim, context), _channels(labels, claim, context)]
    return section(f"{prefix}time", labels.text("section.time"), blocks)


def _distributions(
    labels: Labels, claim: Json, context: Json, clocks: Sequence[str], title: str, name: str, height: float
) -> Chart:
    arms = context["arms"]
    goal = claim["to_h"]
    phrases = [f"{labels.title('arm', arm, 'name')} {_by(arm, clocks[0], goal)}" for arm in arms]
    return Chart(
        name=name,
        title=labels.text(title),
        alternative=labels.text("ecdf.alt", hours=goal, list=labels.joined(phrases)),
        draw=lambda canvas: charts.distributions(canvas, labels, arms, clocks, claim),
        note=labels.text("ecdf.note", start=claim["from_h"], end=goal),
        panels=len(clocks),
        height=height,
    )


def _by(arm: Json, clock: str, hours: float) -> str:
    """Return the share released within some hours, interpolated from the curve."""
    points = np.array(arm["clocks"][clock]["ecdf"], dtype=float)
    return percent(float(np.interp(hours, points[:, 0], points[:, 1])))


def times_table(labels: Labels, claim: Json, context: Json) -> Table:
    """Return mean, median, quantiles and shares of each arm by each clock, with intervals."""
    shares = [key for key in ("within_8h", "within_72h") if key in context["arms"][0]["clocks"][HEADLINE]]
    statistics = [key for key in ("mean", "median", "p90", "p95") if key in context["arms"][0]["clocks"][HEADLINE]]
    hours = {"within_8h": 8, "within_72h": 72}
    heading = [labels.text("clock"), labels.text("arm"), *map(labels.text, statistics)]
    heading += [labels.text("within", hours=hours[key]) + " %" for key in shares]
    rows = [
        (
            labels.clock(clock),
            labels.title("arm", arm, "name"),
            *(estimate(figures[key]) for key in statistics),
            *(share(figures[key]) for key in shares),
        )
        for clock in context["arms"][0]["clocks"]
        for arm in context["arms"]
        if (figures := arm["clocks"].get(clock))
    ]
    caption = f"{labels.text('times.caption')} ({labels.text('h')}). {labels.text('interval')}"
    return Table(tuple(heading), tuple(rows), caption, text_columns=2)


def _channels(labels: Labels, claim: Json, context: Json) -> Table | None:
    rows = [
        (
            labels.title("arm", arm, "name"),
            labels.name("channel", channel["channel"]),
            share(channel["share"]),
            *(estimate(channel[key]) for key in ("mean", "median", "p90")),
            share(channel["within_8h"]),
        )
        for arm in context["arms"]
        for channel in arm.get("channels", ())
    ]
    heading = [labels.text("arm"), labels.text("channel"), labels.text("share") + " %"]
    heading += [*map(labels.text, ("mean", "median", "p90")), labels.text("within", hours=8) + " %"]
    return Table(tuple(heading), tuple(rows), labels.text("channels.caption"), text_columns=2) if rows else None


def stages(labels: Labels, context: Json, prefix: str = "") -> Section | None:
    """Return the chapter on where the time goes, by stage and arm, and how busy the desks are."""
    arms = [arm for arm in context["arms"] if arm.get("stages")]
    if not arms:
        return None
    longest = sorted(arms[0]["stages"], key=lambda stage: -value_of(stage["mean_h"]))[:3]
    phrases = [f"{_station(labels, stage)} {labels.hours(value_of(stage['mean_h']))}" for stage in longest]
    chart = Chart(
        name=f"{prefix}stages",
        title=labels.text("stages.title"),
        alternative=labels.text("stages.alt", list=labels.joined(phrases)),
        draw=lambda canvas: charts.stages(canvas, labels, arms),
        note=labels.text("stages.note"),
        height=2.9,
    )
    blocks: list[Block | None] = [chart, _stages_table(labels, arms), _staffed(labels, context)]
    return section(f"{prefix}stages", labels.text("section.stages"), blocks)


def _station(labels: Labels, thing: Json) -> str:
    return labels.title("station", thing, "station")


def _stages_table(labels: Labels, arms: Sequence[Json]) -> Table:
    stations = {stage["station"]: stage for arm in arms for stage in arm["stages"]}
    spent = [{stage["station"]: stage["mean_h"] for stage in arm["stages"]} for arm in arms]
    rows = [
        (
            _station(labels, stage),
            labels.name("owner", stage["owner"]),
            *(number(value_of(hours[name])) if name in hours else "–" for hours in spent),
        )
        for name, stage in stations.items()
    ]
    heading = (labels.text("stage"), labels.text("owner"), *(labels.title("arm", arm, "name") for arm in arms))
    return Table(heading, tuple(rows), labels.text("stages.caption"), text_columns=2)


def _staffed(labels: Labels, context: Json) -> Table | None:
    rows = [
        (
            labels.title("arm", arm, "name"),
            _station(labels, desk),
            share(desk["utilisation"]),
            estimate(desk["wait"]),
        )
        for arm in context["arms"]
        for desk in arm.get("staffed", ())
    ]
    heading = (labels.text("arm"), labels.text("station"), labels.text("utilisation") + " %", labels.text("wait"))
    return Table(heading, tuple(rows), labels.text("staffed.caption"), text_columns=2) if rows else None


def load(labels: Labels, context: Json, prefix: str = "") -> Section | None:
    """Return the chapter on congestion, and on queue and staff over a week."""
    blocks: list[Block | None] = [_congestion(labels, context, prefix), *_weeks(labels, context, prefix)]
    return section(f"{prefix}load", labels.text("section.load"), blocks)


def _congestion(labels: Labels, context: Json, prefix: str) -> Chart | None:
    points = context.get("congestion")
    if not points:
        return None
    means = points[-1]["arms"]
    arms = [arm for arm in context["arms"] if arm["name"] in means]
    phrases = [
        f"{labels.title('arm', arm, 'name')} {labels.hours(value_of(means[arm['name']][HEADLINE]['mean']))}"
        for arm in arms
    ]
    return Chart(
        name=f"{prefix}congestion",
        title=f"{labels.text('congestion.title')} ({labels.clock(HEADLINE)})",
        alternative=labels.text("congestion.alt", load=points[-1]["load"], list=labels.joined(phrases)),
        draw=lambda canvas: charts.congestion(canvas, labels, points, context["arms"], HEADLINE),
        note=labels.text("congestion.note"),
    )


def _weeks(labels: Labels, context: Json, prefix: str) -> list[Chart | None]:
    desks: dict[str, list[tuple[Json, Json]]] = {}
    for arm in context["arms"]:
        for desk in arm.get("week", ()):
            desks.setdefault(desk["station"], []).append((arm, desk))
    longest = {name: max(max(desk["queue"]) for _, desk in arms) for name, arms in desks.items()}
    busiest = sorted(desks, key=lambda name: -longest[name])[:BUSIEST]
    return [_week(labels, desks[name], f"{prefix}week-{place}") for place, name in enumerate(busiest)]


def _week(labels: Labels, arms: Sequence[tuple[Json, Json]], name: str) -> Chart:
    phrases = [f"{labels.title('arm', arm, 'name')} {number(max(desk['queue']))}" for arm, desk in arms]
    return Chart(
        name=name,
        title=labels.text("week.title", station=_station(labels, arms[0][1])),
        alternative=labels.text("week.alt", list=labels.joined(phrases)),
        draw=lambda canvas: charts.week(canvas, labels, arms),
        height=3.4,
    )


def fraud(labels: Labels, context: Json) -> list[Table | Paragraph | None]:
    """Return how many forged and false papers each arm finds."""
    rows = [
        (
            labels.title("arm", arm, "name"),
            *(
                estimate(arm["fraud"].get(key))
                for key in ("forged_per_10000", "caught", "false_but_signed_per_10000", "false_caught")
            ),
        )
        for arm in context["arms"]
        if arm.get("fraud")
    ]
    if not rows:
        return []
    caught = labels.text("fraud.caught")
    heading = (labels.text("arm"), labels.text("fraud.forged"), caught, labels.text("fraud.false"), caught)
    table = Table(heading, tuple(rows), labels.text("fraud.caption"))
    return [table, Paragraph(labels.text("fraud.note"), is_note=True)]
