"""The procedure S0 to S9 as a scenario, one for each context and set of levers.

Goods and documents travel at the same time. Each consignment is followed from some days before its goods arrive. A
station that runs `since` a point holds it until the ship is there (`voyage`) and the goods are unloaded (`unloading`),
while its documents are lodged, checked and paid for before, meanwhile or after. Every arm has the same stations under
the same names, so that the same consignment draws the same random numbers in every arm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from clearance_sim.messages import Message, pgettext
from clearance_sim.procedure.context import Context
from clearance_sim.procedure.hours import as_shifts, stretched
from clearance_sim.procedure.levers import ArmShares, Levers, arm_shares
from clearance_sim.procedure.measured import ASSUMED, MachinePart

ARRIVAL, LODGEMENT = "arrival → release", "lodgement → release"
TRADER, DECLARED = "arrival → lodgement", "declaration → release"
CLOCKS = (ARRIVAL, LODGEMENT)

TITLES: Mapping[str, Message] = {
    "voyage": pgettext("station", "en route"),
    "unloading": pgettext("station", "unloading"),
    "early filing": pgettext("station", "documents before arrival"),
    "documents": pgettext("station", "documents after arrival"),
    "lodgement": pgettext("station", "lodgement"),
    "acceptance": pgettext("station", "acceptance at the counter"),
    "automatic acceptance": pgettext("station", "automatic acceptance"),
    "channel": pgettext("station", "channel"),
    "verification": pgettext("station", "verification by machine"),
    "fall-back": pgettext("station", "fall-back to paper"),
    "in-tray": pgettext("station", "in-tray"),
    "document check": pgettext("station", "document check"),
    "query": pgettext("station", "query"),
    "booking": pgettext("station", "booking an examination"),
    "examination": pgettext("station", "examination"),
    "laboratory": pgettext("station", "laboratory"),
    "assessment": pgettext("station", "assessment"),
    "duty payment": pgettext("station", "duty payment"),
    "clearing": pgettext("station", "ready for release"),
    "automatic release": pgettext("station", "automatic release"),
    "release by hand": pgettext("station", "release by an officer"),
    "released": pgettext("station", "released"),
}

OWNERS = {
    "early filing": "trader",
    "documents": "trader",
    "query": "trader",
    "duty payment": "trader",
    "voyage": "port",
    "unloading": "port",
    "acceptance": "customs",
    "fall-back": "customs",
    "in-tray": "customs",
    "document check": "customs",
    "booking": "customs",
    "examination": "customs",
    "laboratory": "agency",
    "release by hand": "customs",
    "automatic acceptance": "system",
    "verification": "system",
    "automatic release": "system",
}
"""The party responsible at each station. Stations that take no time have none."""

CHANNELS = ("red", "yellow", "green")
LABORATORY_DAYS = (0.30, 0.35, 0.20, 0.15)
"""Weights of one to four working days."""

Table = dict[str, Any]


def network(
    context: Context,
    levers: Levers,
    machine: MachinePart = ASSUMED,
    weeks: int = 8,
    warm_up_weeks: int = 2,
    name: str | None = None,
) -> Table:
    """Return the scenario as nested tables, for `clearance_sim.from_mapping` or to be written as TOML."""
    now = arm_shares(context, levers)
    return pruned(
        {
            "name": name or context.name,
            "title": dict(context.title),
            "description": dict(context.remark),
            "classes": {kind: {} for kind in ("verified", "paper", *_channelled())},
            "frailty": {"of": "trader", "traders": 5000},
            "calendars": _calendars(context, levers),
            "arrivals": {"consignments": _arrivals(context, now, weeks + warm_up_weeks)},
            "stations": _stations(context, now, machine),
            "clocks": _clocks(),
            "run": {
                "horizon_h": 168.0 * (weeks + warm_up_weeks),
                "warm_up_h": 168.0 * warm_up_weeks,
                "allow_overload": True,
            },
        }
    )


def _channelled() -> list[str]:
    return [f"{channel}{kind}" for kind in (" verified", "") for channel in CHANNELS]


def _clocks() -> Table:
    return {
        ARRIVAL: {"from": "due:voyage", "to": "enter:released", "target_h": [8.0, 72.0]},
        # The later of unloading and lodgement starts this clock (decision 0004).
        LODGEMENT: {"from": ["due:unloading", "enter:lodgement"], "to": "enter:released", "target_h": [8.0, 72.0]},
        DECLARED: {"from": "enter:lodgement", "to": "enter:released"},
        TRADER: {"from": "due:voyage", "to": "enter:lodgement"},
    }


def _calendars(context: Context, levers: Levers) -> Table:
    return {
        "desk": {"shifts": as_shifts(stretched(context.desk(), levers.officers_24x7))},
        "yard": {"shifts": as_shifts(stretched(context.yard(), levers.officers_24x7))},
        "laboratory": {"shifts": as_shifts(context.laboratory())},
    }


def _arrivals(context: Context, now: ArmShares, weeks: int) -> Table:
    size = 1.0
    table: Table = {
        "classes": {"verified": now.verified, "paper": 1 - now.verified},
        "to": [
            {
                "to": "early filing",
                "probability": context.quantity("prelodged_share", now.prelodged),
                "frailty": -context["frailty"],
            },
            {"to": "voyage", "probability": 1 - now.prelodged},
        ],
    }
    if context.batches is not None:
        sizes, weights = context.batches["sizes"], context.batches["weights"]
        size = sum(s * w for s, w in zip(sizes, weights, strict=True)) / sum(weights)
        table["batch"] = dict(context.batches)
    if context.arrivals_by_hour:
        table["profile"] = [dict(window) for window in context.arrivals_by_hour]
    if context.peak is not None and context.peak["to_h"] < 168 * weeks:
        table["peaks"] = [dict(context.peak)]
    # Sources draw batches, so the rate of consignments is divided by the mean size of a batch.
    rate = context["consignments_a_week"] * context["load"] / 168 / size
    table["rate_per_h"] = context.quantity("consignments_a_week", rate)
    return table


def _stations(context: Context, now: ArmShares, machine: MachinePart) -> Table:
    return {
        **_goods(context),
        **_lodging(context, now),
        **_checking(context, now, machine),
        **_examining(context),
        **_paying_and_leaving(context, now, machine),
    }


def _goods(context: Context) -> Table:
    """Return the stations of S0, which the goods pass independently of their documents."""
    unloading = _skewed(context, "unload", "h") if context.port_in_clock else _fixed(0.0)
    before = context.release_before_arrival
    by_class = {
        each: "booking" if each.startswith("red") else "exit" if before else "clearing" for each in _channelled()
    }
    return {
        "voyage": {
            **_station(_fixed(context.quantity("notice_h", varies=False))),
            "since": "arrive",
            "next": "documents",
            "next_by_class": dict.fromkeys(_channelled(), "unloading"),
        },
        "unloading": {**_station(unloading), "since": "due:voyage", "next": "clearing", "next_by_class": by_class},
    }


def _lodging(context: Context, now: ArmShares) -> Table:
    """Return the stations of S1 to S3: documents, acceptance, channel."""
    notice = context["notice_h"]
    early = {
        "distribution": "uniform",
        "low_h": max(0.0, notice - context["prelodged_lead_high_h"]),
        "high_h": max(0.0, notice - context["prelodged_lead_low_h"]),
    }
    return {
        "early filing": {**_station(early), "next": "lodgement"},
        "documents": _human(context, _documents(context), "lodgement"),
        "lodgement": _instant(_either(now.electronic, "automatic acceptance", "acceptance")),
        "automatic acceptance": {
            **_station(_fixed(context.quantity("acceptance_automatic_h", varies=False))),
            "next": "channel",
        },
        "acceptance": _working("desk", _acceptance(context), "channel"),
        "channel": _instant(
            _channels(context, now, "", "in-tray"),
            verified=_channels(context, now, " verified", "verification"),
        ),
    }


def _documents(context: Context) -> Table:
    """Return the trader's wait above a floor, which is the shape of published totals."""
    floor = {"shift_h": context.quantity("documents_floor_h", varies=False)} if context["documents_floor_h"] else {}
    return _slow(context, "documents") | floor


def _acceptance(context: Context) -> Table:
    low, mode = context["acceptance_low_wh"], context["acceptance_mode_wh"]
    return {
        "distribution": "triangular",
        # Sensitivity analysis moves one parameter at a time, and the distribution refuses bounds out of order.
        "low_h": min(low, mode),
        "mode_h": mode,
        "high_h": max(context["acceptance_high_wh"], mode),
    }


def _channels(context: Context, now: ArmShares, kind: str, check: str) -> list[Table]:
    return [
        {"to": check, "probability": context.quantity("red_share", now.red), "becomes": f"red{kind}"},
        {"to": check, "probability": context.quantity("yellow_share", now.yellow), "becomes": f"yellow{kind}"},
        {"to": "assessment", "probability": now.green, "becomes": f"green{kind}", "frailty": -context["frailty"]},
    ]


def _checking(context: Context, now: ArmShares, machine: MachinePart) -> Table:
    """Return the stations of S4 and S5 with the fall-back F: machine's verdict, officer's check and query."""
    glance = {
        "distribution": "uniform",
        "low_h": context.quantity("check_verified_low_wh"),
        "high_h": context.quantity("check_verified_high_wh"),
    }
    check = {
        "service": _skewed(context, "check", "wh"),
        "service_by_class": {f"{channel} verified": glance for channel in CHANNELS},
        "servers": context.quantity("officers", varies=False),
        "calendar": "desk",
        "end_of_shift": "pre-empt-resume",
        "next": "assessment",
        "next_by_class": {
            f"{channel}{kind}": _checked(context, channel, query)
            for channel in ("red", "yellow")
            for kind, query in (("", now.query), (" verified", now.query_verified))
        },
    }
    return {
        "verification": {
            **_station(machine.verdict_distribution()),
            "next": "in-tray",
            "next_by_class": {
                f"{channel} verified": [
                    {"to": "fall-back", "probability": context.quantity("fallback_share"), "becomes": channel},
                    {"to": "in-tray", "probability": 1 - now.fallback},
                ]
                for channel in CHANNELS
            },
        },
        "fall-back": _working("desk", _fixed(context.quantity("fallback_delay_wh", varies=False)), "in-tray"),
        "in-tray": _working("desk", _skewed(context, "intray", "wh"), "document check"),
        "document check": check,
        "query": _human(context, _slow(context, "query_reply"), "document check"),
    }


def _checked(context: Context, channel: str, query: float) -> list[Table]:
    then = "voyage" if channel == "red" else "assessment"
    return [
        {"to": "query", "probability": context.quantity("query_share", query), "frailty": context["frailty"]},
        {"to": then, "probability": 1 - query},
    ]


def _examining(context: Context) -> Table:
    """Return the stations of S6 and S7: booking, examination, laboratory."""
    day = _hours_of_a_day(context)
    days = {"distribution": "empirical", "values_h": [day * n for n in (1, 2, 3, 4)], "weights": list(LABORATORY_DAYS)}
    return {
        "booking": _working("yard", _skewed(context, "booking", "wh"), "examination"),
        "examination": {
            "service": _skewed(context, "examination", "wh"),
            "servers": context.quantity("examination_teams", varies=False),
            "calendar": "yard",
            "end_of_shift": "pre-empt-resume",
            "next": _either(context.quantity("laboratory_share"), "laboratory", "assessment"),
        },
        "laboratory": _working("laboratory", days, "assessment"),
    }


def _hours_of_a_day(context: Context) -> float:
    openings = context.laboratory()
    return sum(o.end - o.start for o in openings) / 60 / len({o.day for o in openings})


def _paying_and_leaving(context: Context, now: ArmShares, machine: MachinePart) -> Table:
    """Return the stations of S8 and S9: payment of duty, and release once the goods are there."""
    paid = "clearing" if context.release_before_arrival else "voyage"
    after_duty = {each: "clearing" if each.startswith("red") else paid for each in _channelled()}
    deferred = {
        each: [
            {"to": then, "probability": context.quantity("deferred_share", now.deferred)},
            {"to": "duty payment", "probability": 1 - now.deferred, "frailty": context["frailty"]},
        ]
        for each, then in after_duty.items()
    }
    gone = (
        {each: "voyage" for each in _channelled() if not each.startswith("red")}
        if context.release_before_arrival
        else {}
    )
    duty = _human(context, _slow(context, "duty"), "clearing")
    release = machine.release_distribution(context["release_automatic_h"])
    return {
        "assessment": {**_station(_fixed(0.0)), "next": "clearing", "next_by_class": deferred},
        "duty payment": {**duty, "next_by_class": after_duty},
        "clearing": _instant(_either(now.electronic, "automatic release", "release by hand")),
        "automatic release": {**_station(release), "next": "released"},
        "release by hand": _working("desk", _fixed(context.quantity("release_desk_wh", varies=False)), "released"),
        "released": {**_station(_fixed(0.0)), "next": "exit", "next_by_class": gone},
    }


# --- how stations are written --------------------------------------------------------------------------------------


def _station(distribution: Table) -> Table:
    """Return a station with unlimited servers."""
    return {"service": distribution, "servers": "unlimited"}


def _fixed(hours: float | Table) -> Table:
    return {"distribution": "deterministic", "value_h": hours}


def _skewed(context: Context, stage: str, unit: str) -> Table:
    return {
        "distribution": "log-normal",
        "median_h": context.quantity(f"{stage}_median_{unit}"),
        "p90_h": context.quantity(f"{stage}_p90_{unit}"),
    }


def _slow(context: Context, stage: str) -> Table:
    """Return a trader's wait, with median and 90th percentile scaled by how slow traders are."""
    distribution: Table = {"distribution": "log-normal"}
    for part in ("median", "p90"):
        name = f"{stage}_{part}_h"
        distribution[f"{part}_h"] = context.quantity(name, context[name] * context["trader_scale"])
    return distribution


def _human(context: Context, distribution: Table, to: str) -> Table:
    return {**_station(distribution), "frailty": context["frailty"], "next": to}


def _working(calendar: str, distribution: Table, to: str) -> Table:
    """Return a wait that counts only while the calendar is open."""
    return {**_station(distribution), "calendar": calendar, "end_of_shift": "pre-empt-resume", "next": to}


def _instant(next_: list[Table], **by_class: list[Table]) -> Table:
    return {**_station(_fixed(0.0)), "next": next_, "next_by_class": by_class}


def _either(share: float | Table, first: str, second: str) -> list[Table]:
    rest = 1 - (share["value"] if isinstance(share, dict) else share)
    return [{"to": first, "probability": share}, {"to": second, "probability": rest}]


def stations_of(table: Mapping[str, Any]) -> list[str]:
    """Return the stations at which consignments spend time, in the procedure's order."""
    return [name for name in table["stations"] if name in OWNERS]


# What no consignment meets is left out: ways of probability zero and unreachable stations


def pruned(scenario: Table) -> Table:
    """Return the scenario without ways, stations, calendars and clocks that no consignment meets."""
    stations = {name: _taken(station) for name, station in scenario["stations"].items()}
    arrivals = {name: _arriving(source) for name, source in scenario["arrivals"].items()}
    starts = {(way["to"], kind) for source in arrivals.values() for kind in source["classes"] for way in source["to"]}
    states = _reached(stations, starts)
    names = {station for station, _ in states}
    kinds = {kind for _, kind in states}
    kept = {
        name: _of_kinds(station, {kind for at, kind in states if at == name})
        for name, station in stations.items()
        if name in names
    }
    used = {station["calendar"] for station in kept.values() if "calendar" in station}
    return {
        **scenario,
        "stations": kept,
        "arrivals": arrivals,
        "classes": {kind: scenario["classes"][kind] for kind in scenario["classes"] if kind in kinds},
        "calendars": {name: calendar for name, calendar in scenario["calendars"].items() if name in used},
    }


def _ways(next_: Any) -> list[Table]:
    if isinstance(next_, str):
        return [{"to": next_}]
    taken = [way for way in next_ if _probability(way) > 0]
    if len(taken) == 1:
        return [{key: value for key, value in taken[0].items() if key in ("to", "becomes")}]
    return taken


def _probability(way: Table) -> float:
    given = way.get("probability", 1.0)
    return float(given["value"] if isinstance(given, dict) else given)


def _taken(station: Table) -> Table:
    by_class = {kind: _ways(next_) for kind, next_ in station.get("next_by_class", {}).items()}
    return {**station, "next": _ways(station["next"]), "next_by_class": by_class}


def _arriving(source: Table) -> Table:
    classes = {kind: share for kind, share in source["classes"].items() if share > 0}
    return {**source, "to": _ways(source["to"]), "classes": classes}


def _reached(stations: dict[str, Table], starts: set[tuple[str, str]]) -> set[tuple[str, str]]:
    seen: set[tuple[str, str]] = set()
    waiting = list(starts)
    while waiting:
        state = waiting.pop()
        if state in seen:
            continue
        seen.add(state)
        waiting.extend(_onward(stations, *state))
    return seen


def _onward(stations: dict[str, Table], name: str, kind: str) -> Iterator[tuple[str, str]]:
    station = stations[name]
    for way in station["next_by_class"].get(kind, station["next"]):
        if way["to"] != "exit":
            yield way["to"], way.get("becomes", kind)


def _of_kinds(station: Table, kinds: set[str]) -> Table:
    """Return the station for these classes only. The ways that most classes take become the default."""
    ways = {kind: station["next_by_class"].get(kind, station["next"]) for kind in sorted(kinds)}
    usual = max(ways.values(), key=lambda each: sum(other == each for other in ways.values()))
    by_class = {kind: each for kind, each in ways.items() if each != usual}
    services = {
        kind: distribution for kind, distribution in station.get("service_by_class", {}).items() if kind in kinds
    }
    kept = {key: value for key, value in station.items() if key not in ("next", "next_by_class", "service_by_class")}
    kept["next"] = usual
    return (
        kept | ({"service_by_class": services} if services else {}) | ({"next_by_class": by_class} if by_class else {})
    )
