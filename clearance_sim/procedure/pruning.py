"""Remove from a scenario what no consignment meets: ways of probability zero and unreachable stations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Table = dict[str, Any]


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
