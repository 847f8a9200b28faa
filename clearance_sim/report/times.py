"""The chapters on how long clearance takes, where the time goes, and what happens when it gets busy."""

from collections.abc import Sequence

import numpy as np

from clearance_sim.report import charts
from clearance_sim.report.document import Block, Chart, Paragraph, Section, Table, section
from clearance_sim.report.texts import Json, Words, estimate, number, percent, share, value_of

HEADLINE = "arrival → release"
BUSIEST = 2
"""How many desks' weeks are drawn."""


def clocks_of(context: Json) -> list[str]:
    """The clocks that every arm has a distribution for."""
    first = context["arms"][0]["clocks"]
    return [clock for clock in first if all(arm["clocks"].get(clock, {}).get("ecdf") for arm in context["arms"])]


def first_chart(words: Words, claim: Json, context: Json, prefix: str = "") -> Chart | None:
    """The one picture of the first page: the headline clock, all arms."""
    clocks = clocks_of(context)
    if HEADLINE not in clocks:
        return None
    return _distributions(words, claim, context, [HEADLINE], "ecdf.first", f"{prefix}released", 3.3)


def time(words: Words, claim: Json, context: Json, prefix: str = "") -> Section | None:
    """Distributions and quantiles of both clocks, and the channels."""
    clocks = clocks_of(context)
    chart = _distributions(words, claim, context, clocks, "ecdf.title", f"{prefix}clocks", 3.3) if clocks else None
    blocks: list[Block | None] = [chart, times_table(words, claim, context), _channels(words, claim, context)]
    return section(f"{prefix}time", words.say("section.time"), blocks)


def _distributions(
    words: Words, claim: Json, context: Json, clocks: Sequence[str], title: str, name: str, height: float
) -> Chart:
    arms = context["arms"]
    goal = claim["to_h"]
    phrases = [f"{words.title('arm', arm, 'name')} {_by(arm, clocks[0], goal)}" for arm in arms]
    return Chart(
        name=name,
        title=words.say(title),
        alternative=words.say("ecdf.alt", hours=goal, list=words.joined(phrases)),
        draw=lambda canvas: charts.distributions(canvas, words, arms, clocks, claim),
        note=words.say("ecdf.note", start=claim["from_h"], end=goal),
        panels=len(clocks),
        height=height,
    )


def _by(arm: Json, clock: str, hours: float) -> str:
    """The share released by then, read off the curve."""
    points = np.array(arm["clocks"][clock]["ecdf"], dtype=float)
    return percent(float(np.interp(hours, points[:, 0], points[:, 1])))


def times_table(words: Words, claim: Json, context: Json) -> Table:
    """Mean, median, quantiles and shares of each arm by each clock, with intervals."""
    shares = [key for key in ("within_8h", "within_72h") if key in context["arms"][0]["clocks"][HEADLINE]]
    statistics = [key for key in ("mean", "median", "p90", "p95") if key in context["arms"][0]["clocks"][HEADLINE]]
    hours = {"within_8h": 8, "within_72h": 72}
    heading = [words.say("clock"), words.say("arm"), *map(words.say, statistics)]
    heading += [words.say("within", hours=hours[key]) + " %" for key in shares]
    rows = [
        (
            words.clock(clock),
            words.title("arm", arm, "name"),
            *(estimate(figures[key]) for key in statistics),
            *(share(figures[key]) for key in shares),
        )
        for clock in context["arms"][0]["clocks"]
        for arm in context["arms"]
        if (figures := arm["clocks"].get(clock))
    ]
    caption = f"{words.say('times.caption')} ({words.say('h')}). {words.say('interval')}"
    return Table(tuple(heading), tuple(rows), caption, words=2)


def _channels(words: Words, claim: Json, context: Json) -> Table | None:
    rows = [
        (
            words.title("arm", arm, "name"),
            words.name("channel", channel["channel"]),
            share(channel["share"]),
            *(estimate(channel[key]) for key in ("mean", "median", "p90")),
            share(channel["within_8h"]),
        )
        for arm in context["arms"]
        for channel in arm.get("channels", ())
    ]
    heading = [words.say("arm"), words.say("channel"), words.say("share") + " %"]
    heading += [*map(words.say, ("mean", "median", "p90")), words.say("within", hours=8) + " %"]
    return Table(tuple(heading), tuple(rows), words.say("channels.caption"), words=2) if rows else None


def stages(words: Words, context: Json, prefix: str = "") -> Section | None:
    """Where the time goes, by stage and arm, and how busy the desks are."""
    arms = [arm for arm in context["arms"] if arm.get("stages")]
    if not arms:
        return None
    longest = sorted(arms[0]["stages"], key=lambda stage: -value_of(stage["mean_h"]))[:3]
    phrases = [f"{_station(words, stage)} {words.hours(value_of(stage['mean_h']))}" for stage in longest]
    chart = Chart(
        name=f"{prefix}stages",
        title=words.say("stages.title"),
        alternative=words.say("stages.alt", list=words.joined(phrases)),
        draw=lambda canvas: charts.stages(canvas, words, arms),
        note=words.say("stages.note"),
        height=2.9,
    )
    blocks: list[Block | None] = [chart, _stages_table(words, arms), _staffed(words, context)]
    return section(f"{prefix}stages", words.say("section.stages"), blocks)


def _station(words: Words, thing: Json) -> str:
    return words.title("station", thing, "station")


def _stages_table(words: Words, arms: Sequence[Json]) -> Table:
    stations = {stage["station"]: stage for arm in arms for stage in arm["stages"]}
    spent = [{stage["station"]: stage["mean_h"] for stage in arm["stages"]} for arm in arms]
    rows = [
        (
            _station(words, stage),
            words.name("owner", stage["owner"]),
            *(number(value_of(hours[name])) if name in hours else "–" for hours in spent),
        )
        for name, stage in stations.items()
    ]
    heading = (words.say("stage"), words.say("owner"), *(words.title("arm", arm, "name") for arm in arms))
    return Table(heading, tuple(rows), words.say("stages.caption"), words=2)


def _staffed(words: Words, context: Json) -> Table | None:
    rows = [
        (
            words.title("arm", arm, "name"),
            _station(words, desk),
            share(desk["utilisation"]),
            estimate(desk["wait"]),
        )
        for arm in context["arms"]
        for desk in arm.get("staffed", ())
    ]
    heading = (words.say("arm"), words.say("station"), words.say("utilisation") + " %", words.say("wait"))
    return Table(heading, tuple(rows), words.say("staffed.caption"), words=2) if rows else None


def load(words: Words, context: Json, prefix: str = "") -> Section | None:
    """Congestion, and queue and staff over a week."""
    blocks: list[Block | None] = [_congestion(words, context, prefix), *_weeks(words, context, prefix)]
    return section(f"{prefix}load", words.say("section.load"), blocks)


def _congestion(words: Words, context: Json, prefix: str) -> Chart | None:
    points = context.get("congestion")
    if not points:
        return None
    arms = [arm for arm in context["arms"] if arm["name"] in points[-1]["arms"]]
    phrases = [
        f"{words.title('arm', arm, 'name')} {words.hours(value_of(points[-1]['arms'][arm['name']][HEADLINE]['mean']))}"
        for arm in arms
    ]
    return Chart(
        name=f"{prefix}congestion",
        title=f"{words.say('congestion.title')} ({words.clock(HEADLINE)})",
        alternative=words.say("congestion.alt", load=points[-1]["load"], list=words.joined(phrases)),
        draw=lambda canvas: charts.congestion(canvas, words, points, context["arms"], HEADLINE),
        note=words.say("congestion.note"),
    )


def _weeks(words: Words, context: Json, prefix: str) -> list[Chart | None]:
    desks: dict[str, list[tuple[Json, Json]]] = {}
    for arm in context["arms"]:
        for desk in arm.get("week", ()):
            desks.setdefault(desk["station"], []).append((arm, desk))
    longest = {name: max(max(desk["queue"]) for _, desk in arms) for name, arms in desks.items()}
    busiest = sorted(desks, key=lambda name: -longest[name])[:BUSIEST]
    return [_week(words, desks[name], f"{prefix}week-{place}") for place, name in enumerate(busiest)]


def _week(words: Words, arms: Sequence[tuple[Json, Json]], name: str) -> Chart:
    phrases = [f"{words.title('arm', arm, 'name')} {number(max(desk['queue']))}" for arm, desk in arms]
    return Chart(
        name=name,
        title=words.say("week.title", station=_station(words, arms[0][1])),
        alternative=words.say("week.alt", list=words.joined(phrases)),
        draw=lambda canvas: charts.week(canvas, words, arms),
        height=3.4,
    )


def fraud(words: Words, context: Json) -> list[Table | Paragraph | None]:
    """How many false papers each arm catches."""
    rows = [
        (
            words.title("arm", arm, "name"),
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
    caught = words.say("fraud.caught")
    heading = (words.say("arm"), words.say("fraud.forged"), caught, words.say("fraud.false"), caught)
    table = Table(heading, tuple(rows), words.say("fraud.caption"))
    return [table, Paragraph(words.say("fraud.note"), is_note=True)]
