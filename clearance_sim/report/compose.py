"""Builds a report from the results of a claim study or of one run, in one language."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clearance_sim.messages import _
from clearance_sim.report import causes, evidence, times
from clearance_sim.report.canvas import Bar, Canvas, colour, mark, textured
from clearance_sim.report.charts import broken
from clearance_sim.report.document import (
    Block,
    Chart,
    Code,
    Document,
    Paragraph,
    Section,
    Subheading,
    Table,
    Verdict,
    section,
)
from clearance_sim.report.labels import Json, Labels, estimate, number, value_of

CLAIM_FORMAT = "clearance-sim claim 1"
TRS_FORMAT = "provenport-trs/1"
PROBE_FORMAT = "provenport-probe"
REASONS = 3
"""How many sentences the first page gives."""


class ReportError(ValueError):
    """No report can be made from these results. The text tells how to fix it."""


def compose(claim: Any, language: str, probe: Any = None, trs: Any = None, commands: Sequence[str] = ()) -> Document:
    """Return the report on a claim study.

    Raises:
        ReportError: A file has another format than expected, or holds no context.
    """
    _check(claim, probe, trs)
    labels = Labels(language)
    context = claim["contexts"][0]
    sections = [
        _verdict_in_full(labels, claim, context),
        *_of_context(labels, claim, context),
        _others(labels, claim, claim["contexts"][1:]),
        evidence.validation(labels, claim),
        evidence.measured(labels, probe, trs),
    ]
    sections.append(evidence.method(labels, claim, commands, _missing(labels, sections)))
    made = claim["made"]
    found = labels.text("made", **{key: made[key] for key in ("version", "seed", "replications", "declarations")})
    return Document(
        language=language,
        title=labels.text("title", start=claim["claim"]["from_h"], end=claim["claim"]["to_h"]),
        subtitle=labels.own(context["title"]),
        made=f"{found} · {labels.text('quick')}" if made.get("quick") else found,
        contents=labels.text("contents"),
        verdict=_verdict(labels, claim, context),
        sections=tuple(part for part in sections if part is not None),
    )


def _check(claim: Any, probe: Any, trs: Any) -> None:
    for name, document, expected in (
        ("claim", claim, CLAIM_FORMAT),
        ("probe", probe, PROBE_FORMAT),
        ("trs", trs, TRS_FORMAT),
    ):
        if document is None and name != "claim":
            continue
        found = document.get("format") if isinstance(document, dict) else None
        if found != expected:
            raise ReportError(
                _(
                    "the {name} file has the format {found!r}, not {expected!r}: make it with clearance-sim {name}",
                    name=name,
                    found=found,
                    expected=expected,
                )
            )
    if not claim.get("contexts"):
        raise ReportError(_("the claim file holds no context: run clearance-sim claim to its end"))


def _verdict(labels: Labels, claim: Json, context: Json) -> Verdict:
    found = context.get("verdict") or claim["verdict"]
    parts = [labels.own(part) for part in found.get("parts", ())] or [labels.own(found)]
    outcome = str(found["outcome"])
    return Verdict(
        outcome=outcome,
        label=labels.name("outcome", outcome),
        text=labels.own(context["title"]),
        reasons=tuple(parts[:REASONS]),
        chart=times.first_chart(labels, claim["claim"], context),
    )


def _verdict_in_full(labels: Labels, claim: Json, context: Json) -> Section | None:
    found = context.get("verdict") or claim["verdict"]
    parts = [labels.own(part) for part in found.get("parts", ())][REASONS:]
    blocks: list[Block | None] = [Paragraph(part) for part in parts]
    blocks += [Paragraph(labels.own(context["remark"]), is_note=True) if context.get("remark") else None]
    blocks += [_defensible(labels, claim, context)]
    blocks += _by_other_clocks(labels, context)
    return section("verdict", labels.text("verdict.parts"), blocks)


def _by_other_clocks(labels: Labels, context: Json) -> list[Block | None]:
    """Return the verdict by every clock other than the headline's."""
    blocks: list[Block | None] = []
    for clock, found in (context.get("verdicts") or {}).items():
        if clock != times.HEADLINE:
            blocks.append(Subheading(labels.text("by_clock", clock=labels.clock(clock))))
            text = labels.sentences(labels.own(part) for part in found.get("parts", ()))
            blocks.append(Paragraph(_outcome(labels, found) + text))
    return blocks


def _outcome(labels: Labels, found: Json) -> str:
    return labels.name("outcome", str(found["outcome"])) + labels.text("stop")


def _defensible(labels: Labels, claim: Json, context: Json) -> Paragraph | None:
    if context.get("baseline_defensible", True):
        return None
    return Paragraph(labels.text("not_defensible", start=claim["claim"]["from_h"]))


def _of_context(labels: Labels, claim: Json, context: Json) -> list[Section | None]:
    question = claim["claim"]
    return [
        _with_fraud(labels, context, times.time(labels, question, context)),
        times.stages(labels, context),
        causes.causes(labels, context),
        causes.conditions(labels, question, context),
        times.load(labels, context),
        causes.sensitivity(labels, question, context),
    ]


def _with_fraud(labels: Labels, context: Json, time: Section | None) -> Section | None:
    caught = times.fraud(labels, context)
    return section(time.name, time.title, [*time.blocks, *caught]) if time else None


def _others(labels: Labels, claim: Json, contexts: Sequence[Json]) -> Section | None:
    """Return the chapter on the other contexts: verdict, curve and table.

    Whether 72 hours is a baseline at all depends on the context.
    """
    blocks: list[Block | None] = []
    for place, context in enumerate(contexts, 1):
        found = context.get("verdict") or {}
        blocks += [Subheading(labels.own(context["title"]))]
        if found:
            blocks += [Paragraph(_outcome(labels, found) + labels.own(found))]
        blocks += [Paragraph(labels.own(context["remark"]), is_note=True) if context.get("remark") else None]
        blocks += [_defensible(labels, claim, context)]
        blocks += [times.first_chart(labels, claim["claim"], context, f"other-{place}-")]
        blocks += [times.times_table(labels, claim["claim"], context)]
    return section("others", labels.text("section.others"), blocks)


def _missing(labels: Labels, sections: Sequence[Section | None]) -> list[str]:
    present = {part.name for part in sections if part is not None}
    known = ("stages", "causes", "conditions", "load", "sensitivity", "others", "validation", "measured")
    return [labels.text(f"section.{name}") for name in known if name not in present]


RUN_FORMAT = "clearance-sim result 1"
_MARKS = (("p50", "median"), ("mean", "mean"), ("p90", "p90"), ("p95", "p95"))


def compose_run(result: Json, language: str, commands: Sequence[str] = ()) -> Document:
    """Return the report on a result of ``clearance-sim run --json``."""
    labels = Labels(language)
    sections = (_clocks(labels, result), _stations(labels, result), _repeat(labels, commands))
    made = labels.text(
        "run.made",
        seed=result["seed"],
        replications=result["replications"],
        warm_up=result.get("warm_up_declarations", 0),
        level=f"{result['level']:.0%}",
    )
    return Document(
        language=language,
        title=labels.own(result.get("title")) or str(result["scenario"]),
        subtitle=labels.text("run.subtitle"),
        made=made,
        contents=labels.text("contents"),
        verdict=None,
        sections=tuple(part for part in sections if part is not None),
    )


def _clocks(labels: Labels, result: Json) -> Section | None:
    rows = list(_rows(labels, result["clocks"]))
    found = [f"{label} {number(_value(clock['mean']))}" for label, clock in rows if "mean" in clock]
    chart = Chart(
        name="clocks",
        title=labels.text("run.clocks.title"),
        alternative=labels.text("run.clocks.alt", list=labels.joined(found)),
        draw=lambda canvas: _quantiles(canvas, labels, rows),
        note=labels.text("run.clocks.note"),
        height=0.9 + 0.34 * len(rows),
    )
    return section("clocks", labels.text("section.time"), [chart, _clocks_table(labels, rows)])


def _rows(labels: Labels, clocks: Json) -> Iterator[tuple[str, Json]]:
    """Yield every clock, and under it every class."""
    for name, clock in clocks.items():
        yield labels.name("clock", name), clock
        classes = clock.get("by_class") or {}
        if len(classes) > 1:
            for kind, own in classes.items():
                yield f"{labels.name('clock', name)}: {labels.name('channel', kind)}", own


def _value(found: Any) -> float | None:
    """Return a figure, or None if it is unknown."""
    value = found.get("value") if isinstance(found, Mapping) else found
    return None if value is None else float(value)


def _quantiles(canvas: Canvas, labels: Labels, rows: Sequence[tuple[str, Json]]) -> None:
    (axes,) = canvas.panels(1)
    known = [(label, clock) for label, clock in rows if _value(clock["mean"]) is not None]
    for place, (key, word) in enumerate(_MARKS):
        values = [value_of(clock[key]) for _, clock in known]
        filled = colour("accent") if key == "mean" else colour("ground")
        style: dict[str, Any] = {
            "color": colour("ink"),
            "markerfacecolor": filled,
            "markersize": 5,
            "linestyle": "none",
        }
        axes.plot(values, range(len(known)), marker=mark(place), label=labels.text(word), **style)
    for row, (_label, clock) in enumerate(known):
        ends = [value_of(clock[key]) for key, _ in _MARKS]
        axes.hlines(row, min(ends), max(ends), color=colour("soft"), linewidth=1, zorder=0)
    axes.set_yticks(range(len(known)), [broken(label, canvas) for label, _ in known])
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.set_xlabel(labels.text("hours"))
    canvas.figure.legend(loc="outside lower left", ncols=4)


def _clocks_table(labels: Labels, rows: Sequence[tuple[str, Json]]) -> Table:
    targets = list(dict.fromkeys(target for _, clock in rows for target in clock.get("within", {})))
    heading = [labels.text("clock"), labels.text("count"), *(labels.text(word) for _, word in _MARKS)]
    heading += [labels.text("within", hours=float(target)) + " %" for target in targets]
    lines = [
        (
            label,
            _figure(clock["count"]),
            *(_figure(clock[key]) for key, _ in _MARKS),
            *(_figure(clock.get("within", {}).get(target), 100) for target in targets),
        )
        for label, clock in rows
    ]
    return Table(tuple(heading), tuple(lines), f"{labels.text('run.clocks.title')} ({labels.text('h')})")


def _figure(found: Any, scale: float = 1.0) -> str:
    return "–" if found is None or _value(found) is None else estimate(found, scale)


def _stations(labels: Labels, result: Json) -> Section | None:
    stations = {
        name: found for name, found in result["stations"].items() if _value(found["sojourn"]["mean"]) is not None
    }
    found = [f"{labels.station(name, s)} {number(value_of(s['wait']['mean']))}" for name, s in stations.items()]
    chart = Chart(
        name="stations",
        title=labels.text("run.stations.title"),
        alternative=labels.text("run.stations.alt", list=labels.joined(found)),
        draw=lambda canvas: _waits(canvas, labels, stations),
        height=0.9 + 0.36 * len(stations),
    )
    return section("stations", labels.text("section.stages"), [chart, _stations_table(labels, result["stations"])])


def _waits(canvas: Canvas, labels: Labels, stations: Json) -> None:
    (axes,) = canvas.panels(1)
    longest = max((value_of(station["sojourn"]["mean"]) for station in stations.values()), default=1.0) or 1.0
    for row, station in enumerate(stations.values()):
        wait, total = value_of(station["wait"]["mean"]), value_of(station["sojourn"]["mean"])
        first = row == 0
        waiting, working = Bar(row, 0, wait), Bar(row, wait, max(total - wait, 0))
        textured(axes, waiting, "second", "bars", longest / 60, labels.text("run.waiting") if first else None)
        textured(axes, working, "accent", "plain", longest / 60, labels.text("run.working") if first else None)
        axes.text(total + longest / 90, row, f"{number(total)} {labels.text('h')}", va="center", fontsize=7.5)
    axes.set_yticks(
        range(len(stations)),
        [broken(labels.station(name, stations[name]), canvas) for name in stations],
    )
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlim(0, longest * 1.15)
    axes.set_xlabel(labels.text("hours"))
    canvas.figure.legend(loc="outside lower left", ncols=2)


def _stations_table(labels: Labels, stations: Json) -> Table:
    heading = ("station", "run.entered", "wait", "run.wait_p90", "run.queue", "run.busy", "utilisation")
    rows = [
        (
            labels.station(name, stations[name]),
            _figure(found["entered"]),
            _figure(found["wait"]["mean"]),
            _figure(found["wait"]["p90"]),
            _figure(found["queue_length"]),
            _figure(found["in_service"]),
            _figure(found["utilisation"], 100),
        )
        for name, found in stations.items()
    ]
    titles = [labels.text(key) + (" %" if key == "utilisation" else "") for key in heading]
    return Table(tuple(titles), tuple(rows), labels.text("run.stations.caption"))


def _repeat(labels: Labels, commands: Sequence[str]) -> Section | None:
    if not commands:
        return None
    blocks: list[Block | None] = [Paragraph(labels.text("repeat.text")), Code("\n".join(commands))]
    return section("method", labels.text("repeat"), blocks)
