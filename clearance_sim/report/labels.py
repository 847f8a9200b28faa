"""Labels and sentences of the report, and the format of its numbers."""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from clearance_sim.messages import LANGUAGES, Message, _, pgettext, text_in

Json = Mapping[str, Any]

TEXTS: dict[str, Message] = {
    # The whole
    "title": _("From {start:g} hours to {end:g}: does it hold?"),
    "made": _(
        "Provenport {version} · seed {seed} · {replications:,} replications × {declarations:,} declarations an arm"
    ),
    "quick": _("quick run, not for citation"),
    "contents": _("Contents"),
    "figure": _("Figure {number}. {title}"),
    "table": _("Table {number}. {title}"),
    "page": _("Page {number}"),
    "none": _("–"),
    "stop": _(". "),
    "sep": _("; "),
    "nobody": _("none"),
    "two_sentences": _("{first} {second}"),
    # Verdicts
    "verdict": _("Verdict"),
    "outcome.holds": _("It holds"),
    "outcome.holds as median": _("It holds for the median only"),
    "outcome.does not hold": _("It does not hold"),
    "outcome.indeterminate": _("Cannot tell"),
    "verdict.parts": _("In full"),
    "by_clock": _("By the clock {clock}"),
    "not_defensible": _(
        "{start:g} hours is no defensible starting point in this setting; the comparison is shown for completeness."
    ),
    # Quantities
    "mean": _("mean"),
    "median": _("median"),
    "p90": _("P90"),
    "p95": _("P95"),
    "within": _("within {hours:g} h"),
    "hours": _("hours"),
    "h": _("h"),
    "share": _("share"),
    "share_released": _("share released"),
    "arm": _("arm"),
    "clock": _("clock"),
    "channel": _("channel"),
    "stage": _("stage"),
    "owner": _("responsible"),
    "lever": _("lever"),
    "interval": _("[ ] 95 % interval over replications."),
    "clock.arrival → release": _("arrival → release"),
    "clock.lodgement → release": _("lodgement → release"),
    "clock.arrival → lodgement": _("arrival → lodgement"),
    "clock.release → gate-out": _("release → gate-out"),
    "channel.green": _("green"),
    "channel.yellow": _("yellow"),
    "channel.red": _("red"),
    "owner.trader": _("trader"),
    "owner.port": _("port"),
    "owner.customs": _("customs"),
    "owner.agency": _("other agency"),
    "owner.system": _("system"),
    "station.voyage": pgettext("report", "voyage"),
    "station.early filing": pgettext("report", "early filing"),
    "station.unloading": pgettext("report", "unloading"),
    "station.documents": pgettext("report", "documents made ready"),
    "station.lodgement": pgettext("report", "lodgement"),
    "station.acceptance": pgettext("report", "acceptance"),
    "station.automatic acceptance": pgettext("report", "automatic acceptance"),
    "station.verification": pgettext("report", "verification of records"),
    "station.fall-back": pgettext("report", "fall-back to paper"),
    "station.in-tray": pgettext("report", "in-tray"),
    "station.document check": pgettext("report", "document check"),
    "station.query": pgettext("report", "query to the trader"),
    "station.booking": pgettext("report", "booking of the examination"),
    "station.examination": pgettext("report", "examination"),
    "station.laboratory": pgettext("report", "laboratory"),
    "station.duty payment": pgettext("report", "duty payment"),
    "station.release by hand": pgettext("report", "release by hand"),
    "station.automatic release": pgettext("report", "automatic release"),
    "owner.bank": _("bank"),
    "arm.paper": _("paper"),
    "arm.edi": _("electronic, no ledger"),
    "arm.ledger": _("electronic with ledger"),
    "arm.edi-reformed": _("all reforms, no ledger"),
    "arm.ledger-reformed": _("all reforms with ledger"),
    # Sections
    "section.time": _("How long it takes"),
    "section.stages": _("Where the time goes"),
    "section.causes": _("What saves the time"),
    "section.conditions": _("Under which conditions"),
    "section.load": _("When it gets busy"),
    "section.sensitivity": _("Which assumptions carry the result"),
    "section.others": _("Other settings"),
    "section.validation": _("Checked against published studies"),
    "section.measured": _("Measured, not assumed"),
    "section.method": _("Method, limits, and how to repeat it"),
    # Distributions
    "ecdf.title": _("Share of consignments released, by hours since the clock started"),
    "ecdf.first": _("Share released by hours since arrival"),
    "ecdf.alt": _("Curves of the share released against time. By {hours:g} hours after arrival: {list}."),
    "ecdf.note": _(
        "The same clock for every arm. Lines at {end:g} and {start:g} hours; where a curve meets them is the "
        "share released by then. Hours on a logarithmic scale."
    ),
    "times.caption": _("Time to release by arm and clock"),
    "channels.caption": _("Arrival → release by channel: no average is a promise to a single consignment"),
    # Stages
    "stages.title": _("Mean hours a consignment spends in each stage"),
    "stages.alt": _("Stacked bars, one an arm, of mean hours in each stage. Longest stages: {list}."),
    "stages.note": _("Stages may overlap, so that a bar can be longer than the mean time to release."),
    "stages.caption": _("Mean hours in each stage"),
    # Attribution
    "shapley.title": _("Hours saved by each lever: Shapley value"),
    "shapley.alt": _("Bars of the mean hours that each lever saves. {list}."),
    "shapley.note": _(
        "A lever's Shapley value is its saving averaged over all orders in which the levers may come. "
        "Whiskers: 95 % interval. ▷ saving if it comes first, ◁ if it comes last."
    ),
    "shapley.first_in": _("first in"),
    "shapley.last_in": _("last in"),
    "shapley.value": _("Shapley value"),
    "shapley.percent": _("share of saving"),
    "shapley.caption": _("Saving in {statistic}, {clock}: {baseline} to {all}"),
    "ledger.title": _("The ledger's share of the saving, counted two ways"),
    "ledger.direct": _("direct: what it does itself"),
    "ledger.enabled": _("enabled: credited with what it makes possible"),
    "ledger.alt": _("Two bars: direct {direct}, enabled {enabled}."),
    "ledger.credited": _("The second bar credits the ledger with {list}: an assumption, not a finding."),
    "ledger.of": _("{share} of {lever}"),
    # Conditions
    "sets.caption": _("Fewest levers that bring the figure to {hours:g} hours (every combination was simulated)"),
    "sets.none": _("no combination does"),
    "statistic": _("figure"),
    "sets": _("smallest combinations"),
    "frontier.title": _("Mean hours by how far two reforms go"),
    "frontier.alt": _(
        "A map of mean hours over {x} and {y}; the line where it is {hours:g} hours is drawn where it occurs. {list}."
    ),
    "frontier.range": _("{slice}: {low} to {high} h"),
    "frontier.note": _("Each cell carries its hours; cells at or below {hours:g} hours are framed."),
    "adoption.title": _("As more traders and issuers take part"),
    "adoption.x": _("share taking part"),
    "adoption.alt": _("Lines of mean, median and P90 against the share taking part. {list}."),
    "adoption.at": _("at {share} the mean is {hours}"),
    "adoption.note": _("A consignment is traced only where all of its parties take part. Bands: 95 % interval."),
    # Load
    "congestion.title": _("Mean and P90 as more goods arrive with the same staff"),
    "congestion.x": _("goods arriving, today = 1"),
    "congestion.alt": _("Lines of mean hours against load for each arm. At the highest load, {load:g}: {list}."),
    "congestion.note": _("Solid mark: mean. Hollow mark: P90. Bars: 95 % interval."),
    "week.title": _("Waiting and staff on duty by hour of the week: {station}"),
    "week.alt": _("Step lines over a week from Monday. Longest mean queue: {list}."),
    "week.queue": pgettext("consignments", "waiting"),
    "week.staff": _("on duty"),
    "week.days": _("Mon Tue Wed Thu Fri Sat Sun"),
    "staffed.caption": _("How busy the desks are"),
    "station": _("desk"),
    "utilisation": _("time in use"),
    "wait": _("wait, h"),
    # Sensitivity
    "sobol.title": _("Share of the result's variance that each assumption carries"),
    "sobol.first": _("alone (first order)"),
    "sobol.total": _("with its interactions (total)"),
    "sobol.alt": _("Paired bars of Sobol indices. Largest total: {list}."),
    "sobol.note": _(
        "Sobol indices of the {statistic}, {clock}, all assumptions varied together over their ranges. Where "
        "an interval is wide, or an index negative, the run was too small to tell."
    ),
    "sobol.spread": _(
        "Over all ranges together ({evaluations:,} draws, arm: {arm}), 90 % of the draws lie between {low} "
        "and {high} hours, half of them below {median}; {within} reach {target:g} hours."
    ),
    "tornado.title": _("The result as one assumption moves over its range"),
    "tornado.alt": _("Bars around the base of {base} hours. Widest: {list}."),
    "tornado.note": _("○ assumption at its low end, ● at its high end; the line is the base, {base} h."),
    "parameters.caption": _("Every assumption, and what it rests on"),
    "source": _("source"),
    "known.assumption": _("assumed"),
    "range.caption": _("Assumptions and their ranges"),
    "assumption": _("assumption"),
    "range": _("range"),
    # Validation
    "validation.title": _("Predicted and published, each with its tolerance"),
    "validation.alt": _("{inside} of {count} published figures lie within tolerance. Outside: {list}."),
    "validation.count": _(
        "{inside} of {count} figures that the model was not fitted to lie within tolerance. Those that do "
        "not are marked and stay in the table."
    ),
    "validation.caption": _("Figures that the model was not fitted to"),
    "calibration.caption": _("Figures that the model was fitted to"),
    "study": _("study"),
    "what": _("figure"),
    "published": _("published"),
    "predicted": _("predicted"),
    "fitted": _("fitted"),
    "simulated": _("simulated"),
    "tolerance": _("tolerance"),
    "known": _("basis"),
    "inside": _("● inside"),
    "outside": _("■ outside"),
    "result": _("result"),
    "note": _("note"),
    "known.seen": _("seen in the source"),
    "known.derived": _("derived from the source"),
    "known.general": _("general knowledge"),
    "unit.h": _("h"),
    "unit.d": _("days"),
    "unit.per cent": _("%"),
    "factor": _("× or ÷ {factor}"),
    "slack": _(", or ± {slack}"),
    # Fraud
    "fraud.caption": _("Of 10,000 consignments: false papers, and how many are caught"),
    "fraud.forged": _("forged"),
    "fraud.caught": _("of these caught"),
    "fraud.false": _("false but signed"),
    "fraud.note": _("Verified records expose forgery. They do not expose a true signature under a false statement."),
    # Measured
    "trs.caption": _("Time release study of {source}: {released:,} released, {open:,} still open, {aside:,} set aside"),
    "trs.note": _(
        "[ ] {level} bootstrap by {by}. “Kaplan-Meier” also counts the goods still waiting. Nothing extreme "
        "was removed."
    ),
    "by.day": _("day"),
    "by.replication": _("replication"),
    "by.declaration": _("declaration"),
    "group.all": _("all"),
    "group.peak=peak": _("peak hours"),
    "group.peak=off-peak": _("off-peak hours"),
    "group": _("cases"),
    "count": _("n"),
    "km": _("Kaplan-Meier median"),
    "trs.stages": _("Where the time went in {source}"),
    "trs.cases": pgettext("number", "cases"),
    "trs.waiting": _("of it waiting"),
    "trs.per_case": _("mean per released case"),
    "probe.caption": _("Asked of a running Provenport: {count} declarations"),
    "probe.measure": _("measured"),
    "seconds": _("seconds"),
    "probe.lodgeToAnswer": _("lodgement to answer"),
    "probe.lodgeToVerdict": _("lodgement to verdict"),
    "probe.lodgeToAnchored": _("lodgement to anchored"),
    "probe.lodgeToFinal": _("lodgement to final"),
    "probe.decisionToAnswer": _("decision to answer"),
    "probe.decisionToAnchored": _("decision to anchored"),
    "probe.decisionToFinal": _("decision to final"),
    "probe.verify": _("verification of a bundle"),
    "probe.detection": _("Papers that should be caught, and were"),
    "probe.kind": _("papers"),
    "probe.tried": _("tried"),
    "probe.caught": _("caught"),
    "probe.undecided": _("undecided"),
    "probe.passed": _("passed"),
    "probe.good": _("good papers"),
    "probe.wrong": _("wrong declarations"),
    "probe.forged": _("forged papers"),
    # One run
    "run.subtitle": _("One scenario, simulated"),
    "run.made": _(
        "seed {seed} · {replications:,} replications · first {warm_up:,} declarations of each left out · [ ] "
        "{level} interval"
    ),
    "run.clocks.title": _("Time from end to end"),
    "run.clocks.alt": _("Marks for median, mean, P90 and P95. Means: {list}."),
    "run.clocks.note": _("The mean is the filled mark: of waiting times it lies far right of the median."),
    "run.stations.title": _("Mean hours waiting and being worked on"),
    "run.stations.alt": _("Stacked bars by desk. Mean hours waiting: {list}."),
    "run.stations.caption": _("The desks"),
    "run.waiting": _("waiting"),
    "run.working": _("being worked on"),
    "run.entered": _("came"),
    "run.wait_p90": _("wait P90, h"),
    "run.queue": _("waiting on average"),
    "run.busy": _("worked on, on average"),
    "clock.lodgement to release": _("lodgement → release"),
    "clock.arrival to release": _("arrival → release"),
    "clock.total": _("from end to end"),
    # Method
    "method.text": _(
        "A discrete-event simulation of customs clearance from arrival to release. Every arm sees the same "
        "goods, traders and random numbers, so that differences come from the procedure alone. Intervals are "
        "95 % over independent replications. Each lever was switched on and off in all combinations. A clock "
        "always starts at the same event in both arms of a comparison: comparing an arrival-based “before” "
        "with a lodgement-based “after” shows a saving of some 90 % where nothing changed."
    ),
    "limits": _("Limits"),
    "limit.averages": _(
        "Published averages say little about single stages: their lengths are fitted to totals, within the "
        "ranges shown."
    ),
    "limit.choice": _(
        "Delay is partly chosen: importers use the port as storage or defer duty. Averages cannot tell how much."
    ),
    "limit.law": _(
        "Levers that need a law or another agency's consent are assumed to be granted where they are switched on."
    ),
    "limit.measured": _("The ledger's own speed is {source}."),
    "measured.assumption": _("assumed, not measured"),
    "consistency": _("Consistency of related claims"),
    "repeat": _("To repeat it exactly"),
    "repeat.text": _(
        "The same version, seed and numbers give the same figures to the last digit, on any number of processors."
    ),
    "versions.caption": _("Made with"),
    "name": _("name"),
    "value": _("value"),
    "version": _("version"),
    "replications": _("replications"),
    "declarations": _("declarations in each"),
    "seed": _("seed"),
    "workers": _("workers"),
    "seconds_taken": _("time taken, s"),
    "sources": _("Sources"),
    "sources.text": _(
        "WCO, Guide to Measure the Time Required for the Release of Goods (version 3, 2018); WTO Trade "
        "Facilitation Agreement, article 7.6; Shapley (1953); Sobol (2001); Saltelli et al. (2010); Kaplan "
        "and Meier (1958). Studies of single countries are named in the tables above."
    ),
    "missing": _("Not part of this run, and therefore not shown: {list}."),
}


@dataclass(frozen=True)
class Labels:
    """The labels, sentences and names of one language.

    Raises:
        ValueError: There are no reports in this language.
    """

    language: str

    def __post_init__(self) -> None:
        if self.language not in LANGUAGES:
            raise ValueError(_("no report in {language}: choose {choices}", language=self.language, choices=_either()))

    def text(self, key: str, **values: object) -> str:
        """Return the label or sentence with this key, with its values."""
        return replace(TEXTS[key], values=values).in_language(self.language)

    def name(self, kind: str, key: str) -> str:
        """Return the name for a key, or the key itself if it has none."""
        return self.text(f"{kind}.{key}") if f"{kind}.{key}" in TEXTS else key.replace("_", " ")

    def own(self, given: Any) -> str:
        """Return a text from the results in the report's language. It may be given by language or in one only."""
        return text_in(given, self.language)

    def title(self, kind: str, thing: Json, key: str) -> str:
        """Return a thing's own title, or the name for its key."""
        return self.own(thing["title"]) if thing.get("title") else self.name(kind, str(thing[key]))

    def station(self, name: str, figures: Json) -> str:
        """Return a station's own title, or the name for its key."""
        return self.title("station", {"name": name, **figures}, "name")

    def clock(self, name: str) -> str:
        """Return the name of a clock."""
        return self.name("clock", name)

    def joined(self, items: list[str]) -> str:
        """Return a list as readers write it."""
        return self.text("sep").join(items) if items else self.text("nobody")

    def sentences(self, parts: Iterable[str]) -> str:
        """Return sentences joined as the language joins them."""
        return functools.reduce(lambda first, second: self.text("two_sentences", first=first, second=second), parts)

    def hours(self, value: float) -> str:
        """Return hours with their unit."""
        return f"{number(value)} {self.text('h')}"


def _either() -> Message:
    *others, last = LANGUAGES
    return _("{first} or {second}", first=", ".join(others), second=last)


def number(value: float | None) -> str:
    """Return a figure with a suitable number of digits."""
    if value is None:
        return "–"
    size = abs(value)
    digits = 0 if size >= 1000 else 1 if size >= 10 else 2 if size >= 0.1 or size == 0 else 3
    text = f"{value:,.{digits}f}"
    return text.replace("-", "−") if text.strip("-0.,") else text.lstrip("-")


def percent(share: float | None) -> str:
    """Return a share from 0 to 1 in percent."""
    return "–" if share is None else f"{100 * share:.1f} %"


def estimate(figure: Any, scale: float = 1.0) -> str:
    """Return a figure with its interval, if it has one."""
    if figure is None:
        return "–"
    if not isinstance(figure, Mapping):
        return number(float(figure) * scale)
    if figure.get("low") is None or figure.get("high") is None:
        return number(figure["value"] * scale)
    return f"{number(figure['value'] * scale)} [{number(figure['low'] * scale)}, {number(figure['high'] * scale)}]"


def share(figure: Any) -> str:
    """Return a share in percent, with its interval limited to 0 to 100 %."""
    if not isinstance(figure, Mapping):
        return estimate(figure, 100)
    ends = {key: None if figure.get(key) is None else min(max(float(figure[key]), 0.0), 1.0) for key in ("low", "high")}
    return estimate({"value": figure["value"], **ends}, 100)


def value_of(figure: Any) -> float:
    """Return a figure without its interval."""
    return float(figure["value"]) if isinstance(figure, Mapping) else float(figure)


def bounds_of(figure: Any) -> tuple[float, float]:
    """Return the bounds of the interval, or twice the figure itself if it has none."""
    value = value_of(figure)
    if not isinstance(figure, Mapping):
        return value, value
    low, high = figure.get("low"), figure.get("high")
    return (value if low is None else float(low), value if high is None else float(high))
