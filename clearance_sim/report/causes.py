"""Chapters on what saves the time, under which conditions, and which assumptions the result depends on."""

from collections.abc import Sequence

from clearance_sim.procedure.levers import letters_of
from clearance_sim.report import charts
from clearance_sim.report.document import Block, Chart, Paragraph, Section, Table, section
from clearance_sim.report.labels import Json, Labels, estimate, number, percent, value_of
from clearance_sim.report.times import HEADLINE

SHOWN = 10
"""How many assumptions the charts of sensitivity show."""


def causes(labels: Labels, context: Json, prefix: str = "") -> Section | None:
    """Return the chapter on Shapley values, with the ledger's share counted in two ways, or None."""
    attributions = context.get("attribution") or ()
    if not attributions:
        return None
    first = attributions[0]
    blocks: list[Block | None] = [
        _shapley(labels, first, prefix),
        _ledger(labels, first, prefix),
        _credited(labels, first),
        *(_attribution_table(labels, attribution) for attribution in attributions),
    ]
    return section(f"{prefix}causes", labels.text("section.causes"), blocks)


def _of(labels: Labels, attribution: Json) -> str:
    return f"{labels.text(attribution['statistic'])}, {labels.clock(attribution['clock'])}"


def _shapley(labels: Labels, attribution: Json, prefix: str) -> Chart:
    levers = sorted(attribution["levers"], key=lambda lever: -value_of(lever["shapley"]))
    phrases = [
        f"{labels.title('lever', lever, 'lever')} {labels.hours(value_of(lever['shapley']))}" for lever in levers
    ]
    return Chart(
        name=f"{prefix}shapley",
        title=f"{labels.text('shapley.title')} ({_of(labels, attribution)})",
        alternative=labels.text("shapley.alt", list=labels.joined(phrases)),
        draw=lambda canvas: charts.shapley(canvas, labels, attribution),
        note=labels.text("shapley.note"),
    )


def _ledger(labels: Labels, attribution: Json, prefix: str) -> Chart | None:
    ledger = attribution.get("ledger")
    if not ledger:
        return None
    shares = {key: f"{number(value_of(ledger[f'{key}_percent']))} %" for key in ("direct", "enabled")}
    return Chart(
        name=f"{prefix}ledger",
        title=labels.text("ledger.title"),
        alternative=labels.text("ledger.alt", **shares),
        draw=lambda canvas: charts.ledger_share(canvas, labels, ledger),
        height=1.7,
    )


def _credited(labels: Labels, attribution: Json) -> Paragraph | None:
    ledger = attribution.get("ledger")
    if not ledger:
        return None
    titles = {lever["lever"]: labels.title("lever", lever, "lever") for lever in attribution["levers"]}
    credited = [
        labels.text("ledger.of", share=percent(share).replace(".0", ""), lever=titles.get(lever, lever))
        for lever, share in ledger.get("credited", {}).items()
    ]
    return Paragraph(labels.text("ledger.credited", list=labels.joined(credited)), is_note=True) if credited else None


def _attribution_table(labels: Labels, attribution: Json) -> Table:
    rows = [
        (
            f"{labels.title('lever', lever, 'lever')} ({letters_of([lever['lever']])})",
            *(estimate(lever[key]) for key in ("shapley", "shapley_percent", "first_in", "last_in")),
        )
        for lever in attribution["levers"]
    ]
    heading = (
        labels.text("lever"),
        f"{labels.text('shapley.value')}, {labels.text('h')}",
        f"{labels.text('shapley.percent')} %",
        f"{labels.text('shapley.first_in')}, {labels.text('h')}",
        f"{labels.text('shapley.last_in')}, {labels.text('h')}",
    )
    caption = labels.text(
        "shapley.caption",
        statistic=labels.text(attribution["statistic"]),
        clock=labels.clock(attribution["clock"]),
        baseline=f"{estimate(attribution['baseline'])} {labels.text('h')}",
        all=f"{estimate(attribution['all'])} {labels.text('h')}",
    )
    return Table(heading, tuple(rows), caption)


def conditions(labels: Labels, claim: Json, context: Json, prefix: str = "") -> Section | None:
    """Return the chapter on the smallest combinations, the bound, the frontier and adoption, or None."""
    frontier = context.get("frontier") or {}
    bound = frontier.get("bound")
    blocks: list[Block | None] = [
        Paragraph(labels.own(bound)) if bound else None,
        _smallest(labels, claim, context),
        _frontier(labels, claim, frontier, prefix),
        _adoption(labels, claim, context, prefix),
    ]
    return section(f"{prefix}conditions", labels.text("section.conditions"), blocks)


def _smallest(labels: Labels, claim: Json, context: Json) -> Table | None:
    sets = (context.get("frontier") or {}).get("smallest_sets")
    if not sets:
        return None
    rows = [
        (
            labels.text(statistic),
            labels.joined([" + ".join(letters_of(found)) for found in sets[statistic]])
            if sets[statistic]
            else labels.text("sets.none"),
        )
        for statistic in sets
    ]
    heading = (labels.text("statistic"), labels.text("sets"))
    caption = labels.text("sets.caption", hours=claim["to_h"]) + " " + _legend(labels, context)
    return Table(heading, tuple(rows), caption, text_columns=2)


def _legend(labels: Labels, context: Json) -> str:
    attributions = context.get("attribution") or ()
    levers = attributions[0]["levers"] if attributions else ()
    return labels.joined(
        [f"{letters_of([lever['lever']])} = {labels.title('lever', lever, 'lever')}" for lever in levers]
    )


def _frontier(labels: Labels, claim: Json, frontier: Json, prefix: str) -> Chart | None:
    if not frontier.get("slices"):
        return None
    goal = claim["to_h"]
    phrases = [
        labels.text(
            "frontier.range",
            slice=labels.title("slice", part, "name"),
            low=number(min(map(min, part["mean"]))),
            high=number(max(map(max, part["mean"]))),
        )
        for part in frontier["slices"]
    ]
    x, y = labels.own(frontier["x"]["title"]), labels.own(frontier["y"]["title"])
    return Chart(
        name=f"{prefix}frontier",
        title=labels.text("frontier.title"),
        alternative=labels.text("frontier.alt", x=x, y=y, hours=goal, list=labels.joined(phrases)),
        draw=lambda canvas: charts.frontier(canvas, labels, frontier, "mean", goal),
        note=labels.text("frontier.note", hours=goal),
        panels=len(frontier["slices"]),
        height=2.8,
    )


def _adoption(labels: Labels, claim: Json, context: Json, prefix: str) -> Chart | None:
    points = context.get("adoption")
    if not points:
        return None
    clocks = [clock for clock in (HEADLINE, "lodgement → release") if clock in points[0]]
    phrases = [
        labels.text(
            "adoption.at", share=percent(point["share"]), hours=labels.hours(value_of(point[clocks[0]]["mean"]))
        )
        for point in (points[0], points[len(points) // 2], points[-1])
    ]
    return Chart(
        name=f"{prefix}adoption",
        title=labels.text("adoption.title"),
        alternative=labels.text("adoption.alt", list=labels.joined(phrases)),
        draw=lambda canvas: charts.adoption(canvas, labels, points, clocks, claim["to_h"]),
        note=labels.text("adoption.note"),
        panels=len(clocks),
    )


def sensitivity(labels: Labels, claim: Json, context: Json, prefix: str = "") -> Section | None:
    """Return the chapter on Sobol indices, the tornado and the ranges, or None."""
    found = context.get("sobol") or {}
    parameters = sorted(found.get("parameters", ()), key=lambda parameter: -value_of(parameter["total"]))
    bars = sorted(context.get("tornado") or (), key=lambda bar: -_width(bar))
    blocks: list[Block | None] = [
        _sobol(labels, found, parameters[:SHOWN], prefix) if parameters else None,
        _spread(labels, claim, context, found),
        _tornado(labels, bars[:SHOWN], prefix) if bars else None,
        _ranges(labels, parameters, bars),
    ]
    return section(f"{prefix}sensitivity", labels.text("section.sensitivity"), blocks)


def _width(bar: Json) -> float:
    return abs(value_of(bar["at_high"]) - value_of(bar["at_low"]))


def _sobol(labels: Labels, found: Json, parameters: Sequence[Json], prefix: str) -> Chart:
    phrases = [f"{labels.title('input', p, 'name')} {percent(value_of(p['total']))}" for p in parameters[:3]]
    statistic, clock = labels.text(found.get("statistic", "mean")), labels.clock(found.get("clock", HEADLINE))
    return Chart(
        name=f"{prefix}sobol",
        title=labels.text("sobol.title"),
        alternative=labels.text("sobol.alt", list=labels.joined(phrases)),
        draw=lambda canvas: charts.sobol(canvas, labels, parameters),
        note=labels.text("sobol.note", statistic=statistic, clock=clock),
        height=0.9 + 0.34 * len(parameters),
    )


def _spread(labels: Labels, claim: Json, context: Json, found: Json) -> Paragraph | None:
    """Tell where the result lies when all assumptions vary at once."""
    if not found.get("spread"):
        return None
    titles = {arm["name"]: labels.title("arm", arm, "name") for arm in context["arms"]}
    spread = found["spread"]
    text = labels.text(
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


def _tornado(labels: Labels, bars: Sequence[Json], prefix: str) -> Chart:
    base = number(value_of(bars[0]["base"]))
    phrases = [
        f"{labels.title('input', bar, 'name')} {number(value_of(bar['at_low']))}–{number(value_of(bar['at_high']))}"
        for bar in bars[:3]
    ]
    return Chart(
        name=f"{prefix}tornado",
        title=labels.text("tornado.title"),
        alternative=labels.text("tornado.alt", base=base, list=labels.joined(phrases)),
        draw=lambda canvas: charts.tornado(canvas, labels, bars),
        note=labels.text("tornado.note", base=base),
        height=0.7 + 0.3 * len(bars),
    )


def _ranges(labels: Labels, parameters: Sequence[Json], bars: Sequence[Json]) -> Table | None:
    moved = {bar["name"]: bar for bar in bars}
    rows = []
    for parameter in parameters:
        low, high = parameter["range"]
        rows.append(
            (
                labels.title("input", parameter, "name"),
                f"{number(low)} – {number(high)}",
                estimate(parameter["first"], 100),
                estimate(parameter["total"], 100),
                _ends(moved.get(parameter["name"])),
            )
        )
    heading = (
        labels.text("assumption"),
        labels.text("range"),
        labels.text("sobol.first") + " %",
        labels.text("sobol.total") + " %",
        f"{labels.text('tornado.title')} ({labels.text('h')})",
    )
    return Table(heading, tuple(rows), labels.text("range.caption")) if rows else None


def _ends(bar: Json | None) -> str:
    return "–" if bar is None else f"{number(value_of(bar['at_low']))} – {number(value_of(bar['at_high']))}"
