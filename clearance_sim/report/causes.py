"""The chapters on what saves the time, under which conditions, and which assumptions carry the result."""

from collections.abc import Sequence

from clearance_sim.procedure.levers import letters_of
from clearance_sim.report import charts
from clearance_sim.report.document import Block, Chart, Paragraph, Section, Table, section
from clearance_sim.report.texts import Json, Words, estimate, number, percent, value_of
from clearance_sim.report.times import HEADLINE

SHOWN = 10
"""How many assumptions the charts of sensitivity show."""


def causes(words: Words, context: Json, prefix: str = "") -> Section | None:
    """Shapley values, and the ledger's share counted two ways."""
    attributions = context.get("attribution") or ()
    if not attributions:
        return None
    first = attributions[0]
    blocks: list[Block | None] = [
        _shapley(words, first, prefix),
        _ledger(words, first, prefix),
        _credited(words, first),
        *(_attribution_table(words, attribution) for attribution in attributions),
    ]
    return section(f"{prefix}causes", words.say("section.causes"), blocks)


def _of(words: Words, attribution: Json) -> str:
    return f"{words.say(attribution['statistic'])}, {words.clock(attribution['clock'])}"


def _shapley(words: Words, attribution: Json, prefix: str) -> Chart:
    levers = sorted(attribution["levers"], key=lambda lever: -value_of(lever["shapley"]))
    phrases = [f"{words.title('lever', lever, 'lever')} {words.hours(value_of(lever['shapley']))}" for lever in levers]
    return Chart(
        name=f"{prefix}shapley",
        title=f"{words.say('shapley.title')} ({_of(words, attribution)})",
        alternative=words.say("shapley.alt", list=words.joined(phrases)),
        draw=lambda canvas: charts.shapley(canvas, words, attribution),
        note=words.say("shapley.note"),
    )


def _ledger(words: Words, attribution: Json, prefix: str) -> Chart | None:
    ledger = attribution.get("ledger")
    if not ledger:
        return None
    shares = {key: f"{number(value_of(ledger[f'{key}_percent']))} %" for key in ("direct", "enabled")}
    return Chart(
        name=f"{prefix}ledger",
        title=words.say("ledger.title"),
        alternative=words.say("ledger.alt", **shares),
        draw=lambda canvas: charts.ledger_share(canvas, words, ledger),
        height=1.7,
    )


def _credited(words: Words, attribution: Json) -> Paragraph | None:
    ledger = attribution.get("ledger")
    if not ledger:
        return None
    titles = {lever["lever"]: words.title("lever", lever, "lever") for lever in attribution["levers"]}
    credited = [
        words.say("ledger.of", share=percent(share).replace(".0", ""), lever=titles.get(lever, lever))
        for lever, share in ledger.get("credited", {}).items()
    ]
    return Paragraph(words.say("ledger.credited", list=words.joined(credited)), is_note=True) if credited else None


def _attribution_table(words: Words, attribution: Json) -> Table:
    rows = [
        (
            f"{words.title('lever', lever, 'lever')} ({letters_of([lever['lever']])})",
            *(estimate(lever[key]) for key in ("shapley", "shapley_percent", "first_in", "last_in")),
        )
        for lever in attribution["levers"]
    ]
    heading = (
        words.say("lever"),
        f"{words.say('shapley.value')}, {words.say('h')}",
        f"{words.say('shapley.percent')} %",
        f"{words.say('shapley.first_in')}, {words.say('h')}",
        f"{words.say('shapley.last_in')}, {words.say('h')}",
    )
    caption = words.say(
        "shapley.caption",
        statistic=words.say(attribution["statistic"]),
        clock=words.clock(attribution["clock"]),
        baseline=f"{estimate(attribution['baseline'])} {words.say('h')}",
        all=f"{estimate(attribution['all'])} {words.say('h')}",
    )
    return Table(heading, tuple(rows), caption)


def conditions(words: Words, claim: Json, context: Json, prefix: str = "") -> Section | None:
    """The smallest combinations, the bound, the frontier and adoption."""
    frontier = context.get("frontier") or {}
    bound = frontier.get("bound")
    blocks: list[Block | None] = [
        Paragraph(words.text(bound)) if bound else None,
        _smallest(words, claim, context),
        _frontier(words, claim, frontier, prefix),
        _adoption(words, claim, context, prefix),
    ]
    return section(f"{prefix}conditions", words.say("section.conditions"), blocks)


def _smallest(words: Words, claim: Json, context: Json) -> Table | None:
    sets = (context.get("frontier") or {}).get("smallest_sets")
    if not sets:
        return None
    rows = [
        (
            words.say(statistic),
            words.joined([" + ".join(letters_of(found)) for found in sets[statistic]])
            if sets[statistic]
            else words.say("sets.none"),
        )
        for statistic in sets
    ]
    heading = (words.say("statistic"), words.say("sets"))
    caption = words.say("sets.caption", hours=claim["to_h"]) + " " + _legend(words, context)
    return Table(heading, tuple(rows), caption, words=2)


def _legend(words: Words, context: Json) -> str:
    attributions = context.get("attribution") or ()
    levers = attributions[0]["levers"] if attributions else ()
    return words.joined(
        [f"{letters_of([lever['lever']])} = {words.title('lever', lever, 'lever')}" for lever in levers]
    )


def _frontier(words: Words, claim: Json, frontier: Json, prefix: str) -> Chart | None:
    if not frontier.get("slices"):
        return None
    goal = claim["to_h"]
    phrases = [
        words.say(
            "frontier.range",
            slice=words.title("slice", part, "name"),
            low=number(min(map(min, part["mean"]))),
            high=number(max(map(max, part["mean"]))),
        )
        for part in frontier["slices"]
    ]
    x, y = words.text(frontier["x"]["title"]), words.text(frontier["y"]["title"])
    return Chart(
        name=f"{prefix}frontier",
        title=words.say("frontier.title"),
        alternative=words.say("frontier.alt", x=x, y=y, hours=goal, list=words.joined(phrases)),
        draw=lambda canvas: charts.frontier(canvas, words, frontier, "mean", goal),
        note=words.say("frontier.note", hours=goal),
        panels=len(frontier["slices"]),
        height=2.8,
    )


def _adoption(words: Words, claim: Json, context: Json, prefix: str) -> Chart | None:
    points = context.get("adoption")
    if not points:
        return None
    clocks = [clock for clock in (HEADLINE, "lodgement → release") if clock in points[0]]
    phrases = [
        words.say("adoption.at", share=percent(point["share"]), hours=words.hours(value_of(point[clocks[0]]["mean"])))
        for point in (points[0], points[len(points) // 2], points[-1])
    ]
    return Chart(
        name=f"{prefix}adoption",
        title=words.say("adoption.title"),
        alternative=words.say("adoption.alt", list=words.joined(phrases)),
        draw=lambda canvas: charts.adoption(canvas, words, points, clocks, claim["to_h"]),
        note=words.say("adoption.note"),
        panels=len(clocks),
    )


def sensitivity(words: Words, claim: Json, context: Json, prefix: str = "") -> Section | None:
    """Sobol indices, the tornado, and the ranges behind both."""
    found = context.get("sobol") or {}
    parameters = sorted(found.get("parameters", ()), key=lambda parameter: -value_of(parameter["total"]))
    bars = sorted(context.get("tornado") or (), key=lambda bar: -_width(bar))
    blocks: list[Block | None] = [
        _sobol(words, found, parameters[:SHOWN], prefix) if parameters else None,
        _spread(words, claim, context, found),
        _tornado(words, bars[:SHOWN], prefix) if bars else None,
        _ranges(words, parameters, bars),
    ]
    return section(f"{prefix}sensitivity", words.say("section.sensitivity"), blocks)


def _width(bar: Json) -> float:
    return abs(value_of(bar["at_high"]) - value_of(bar["at_low"]))


def _sobol(words: Words, found: Json, parameters: Sequence[Json], prefix: str) -> Chart:
    phrases = [f"{words.title('input', p, 'name')} {percent(value_of(p['total']))}" for p in parameters[:3]]
    statistic, clock = words.say(found.get("statistic", "mean")), words.clock(found.get("clock", HEADLINE))
    return Chart(
        name=f"{prefix}sobol",
        title=words.say("sobol.title"),
        alternative=words.say("sobol.alt", list=words.joined(phrases)),
        draw=lambda canvas: charts.sobol(canvas, words, parameters),
        note=words.say("sobol.note", statistic=statistic, clock=clock),
        height=0.9 + 0.34 * len(parameters),
    )


def _spread(words: Words, claim: Json, context: Json, found: Json) -> Paragraph | None:
    """Where the result lies when every assumption moves at once."""
    if not found.get("spread"):
        return None
    titles = {arm["name"]: words.title("arm", arm, "name") for arm in context["arms"]}
    spread = found["spread"]
    text = words.say(
        "sobol.spread",
        evaluations=found.get("evaluations", 0),
        arm=titles.get(found.get("arm"), str(found.get("arm", ""))),
        low=number(spread["p05"]),
        high=number(spread["p95"]),
        median=number(spread["median"]),
        within=percent(found.get("within_8h")),
        target=claim["to_h"],
    )
    return Paragraph(text)


def _tornado(words: Words, bars: Sequence[Json], prefix: str) -> Chart:
    base = number(value_of(bars[0]["base"]))
    phrases = [
        f"{words.title('input', bar, 'name')} {number(value_of(bar['at_low']))}–{number(value_of(bar['at_high']))}"
        for bar in bars[:3]
    ]
    return Chart(
        name=f"{prefix}tornado",
        title=words.say("tornado.title"),
        alternative=words.say("tornado.alt", base=base, list=words.joined(phrases)),
        draw=lambda canvas: charts.tornado(canvas, words, bars),
        note=words.say("tornado.note", base=base),
        height=0.7 + 0.3 * len(bars),
    )


def _ranges(words: Words, parameters: Sequence[Json], bars: Sequence[Json]) -> Table | None:
    moved = {bar["name"]: bar for bar in bars}
    rows = []
    for parameter in parameters:
        low, high = parameter["range"]
        rows.append(
            (
                words.title("input", parameter, "name"),
                f"{number(low)} – {number(high)}",
                estimate(parameter["first"], 100),
                estimate(parameter["total"], 100),
                _ends(moved.get(parameter["name"])),
            )
        )
    heading = (
        words.say("assumption"),
        words.say("range"),
        words.say("sobol.first") + " %",
        words.say("sobol.total") + " %",
        f"{words.say('tornado.title')} ({words.say('h')})",
    )
    return Table(heading, tuple(rows), words.say("range.caption")) if rows else None


def _ends(bar: Json | None) -> str:
    return "–" if bar is None else f"{number(value_of(bar['at_low']))} – {number(value_of(bar['at_high']))}"
