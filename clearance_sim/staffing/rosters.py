"""Rosters: how many people are on each shift of each station, the cost, and the resulting scenario."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clearance_sim.messages import _
from clearance_sim.scenario.loader import from_values, to_values
from clearance_sim.scenario.model import Scenario
from clearance_sim.scenario.timetable import clock_time, days_of

Roster = tuple[int, ...]
_SHIFT = re.compile(
    r"^(?P<station>[^:]+):\s*(?P<days>[\w,-]+)\s+(?P<from>\d\d:\d\d)-(?P<to>\d\d:\d\d)"
    r"\s+x\s*(?P<least>\d+)-(?P<most>\d+)(?:\s*@\s*(?P<cost>[\d.]+))?\s*$"
)


class RosterError(ValueError):
    """A shift that cannot be offered."""


@dataclass(frozen=True)
class Offer:
    """A shift that may be staffed with `least` to `most` people, each at a cost per hour."""

    station: str
    days: str
    from_: str
    to: str
    least: int
    most: int
    cost_per_hour: float = 1.0

    @property
    def hours_a_week(self) -> float:
        """The hours of this shift in a week. A shift that ends at or before its start ends on the next day."""
        begin, end = clock_time(self.from_, ()), clock_time(self.to, ())
        return len(days_of(self.days, ())) * (end - begin if end > begin else end - begin + 24)

    @property
    def cost_a_week(self) -> float:
        """The cost of one person on this shift in a week."""
        return self.hours_a_week * self.cost_per_hour

    @property
    def words(self) -> str:
        """The shift in words, as users name it."""
        return f"{self.station}: {self.days} {self.from_}-{self.to}"


def read_offer(words: str, scenario: Scenario) -> Offer:
    """Parse a shift such as `document check: mon-fri 08:30-17:00 x0-12 @1.5`.

    Raises:
        RosterError: It is malformed, or names an unknown station or an impossible number of people.
    """
    found = _SHIFT.match(words)
    if found is None:
        raise RosterError(
            _("shift {words!r} is not like 'document check: mon-fri 08:30-17:00 x0-12 @1.5'", words=words)
        )
    station = found["station"].strip()
    if station not in scenario.stations:
        raise RosterError(
            _(
                "the scenario has no station {station!r}; it has {stations}",
                station=station,
                stations=", ".join(scenario.stations),
            )
        )
    least, most = int(found["least"]), int(found["most"])
    if least > most:
        raise RosterError(
            _("shift {words!r} offers from {least} to {most} people", words=words, least=least, most=most)
        )
    return Offer(station, found["days"].lower(), found["from"], found["to"], least, most, float(found["cost"] or 1))


def own_offers(scenario: Scenario, stations: Sequence[str] = ()) -> list[Offer]:
    """Return the scenario's own weekly shifts, each with nobody to twice as many people as now.

    Raises:
        RosterError: No station has a weekly shift with a number of servers.
    """
    offers = []
    for name, station in scenario.stations.items():
        if (stations and name not in stations) or station.servers == "unlimited":
            continue
        if station.calendar is None:
            now = int(float(station.servers or 1))
            offers.append(Offer(name, "daily", "00:00", "24:00", 1, 2 * now))
            continue
        for shift in scenario.calendars[station.calendar].shifts:
            now = int(float(shift.servers if shift.servers is not None else station.servers or 0))
            if shift.from_ is not None and shift.to is not None:
                offers.append(Offer(name, shift.days, shift.from_, shift.to, 0, 2 * max(1, now)))
    if not offers:
        raise RosterError(_("no station of the scenario has a weekly shift with a number of servers: name shifts"))
    return offers


def cost(offers: Sequence[Offer], roster: Roster) -> float:
    """Return the cost of a roster in a week."""
    return sum(offer.cost_a_week * people for offer, people in zip(offers, roster, strict=True))


def capacity(offers: Sequence[Offer], roster: Roster, station: str) -> float:
    """Return a station's hours on duty in a week."""
    return sum(o.hours_a_week * n for o, n in zip(offers, roster, strict=True) if o.station == station)


def staffed(scenario: Scenario, offers: Sequence[Offer], roster: Roster) -> Scenario:
    """Return the scenario with this roster, in which each station on offer has a calendar of its own."""
    values = to_values(scenario)
    for name in {offer.station for offer in offers}:
        shifts = [
            {"days": offer.days, "from": offer.from_, "to": offer.to, "servers": people}
            for offer, people in zip(offers, roster, strict=True)
            if offer.station == name and people > 0
        ]
        values.setdefault("calendars", {})[f"roster of {name}"] = {"shifts": shifts}
        station: dict[str, Any] = dict(values["stations"][name])
        station.pop("servers", None)
        values["stations"][name] = station | {"calendar": f"roster of {name}"}
    used = {station.get("calendar") for station in values["stations"].values()}
    values["calendars"] = {name: calendar for name, calendar in values["calendars"].items() if name in used}
    return from_values(_overload_allowed(values), scenario.name)


def _overload_allowed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tables with overload allowed: a candidate may be too weak, which the simulation is to show."""
    run = dict(values.get("run", {}))
    if run.get("horizon_h") is not None:
        run["allow_overload"] = True
    return {**values, "run": run}


def by_cost(offers: Sequence[Offer]) -> Iterator[Roster]:
    """Yield all rosters, cheapest first. Among equally cheap ones the smaller numbers come first."""
    start = tuple(offer.least for offer in offers)
    heap: list[tuple[float, Roster]] = [(cost(offers, start), start)]
    seen = {start}
    while heap:
        _, roster = heapq.heappop(heap)
        yield roster
        for position, offer in enumerate(offers):
            if roster[position] < offer.most:
                more = (*roster[:position], roster[position] + 1, *roster[position + 1 :])
                if more not in seen:
                    seen.add(more)
                    heapq.heappush(heap, (round(cost(offers, more), 9), more))


def no_stronger(roster: Roster, than: Roster) -> bool:
    """Tell whether a roster has no more people than another on any shift."""
    return all(own <= other for own, other in zip(roster, than, strict=True))
