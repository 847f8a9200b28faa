"""A simulation's result as tables: clocks and stations, each figure with its interval."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask_babel import gettext as _

from backend.domain.simulation import Simulation
from backend.web.languages import language


@dataclass(frozen=True)
class Figure:
    """One figure and its 95 % interval, where it has one."""

    value: float
    low: float | None
    high: float | None
    unit: str

    @property
    def shown(self) -> str:
        """As people read it."""
        return _number(self.value, self.unit)

    @property
    def interval(self) -> str:
        """The interval, without its unit."""
        if self.low is None or self.high is None:
            return ""
        return f"{_bare(self.low, self.unit)} – {_bare(self.high, self.unit)}"


@dataclass(frozen=True)
class Row:
    """One line of a table: a clock or station, the statistic, the figure."""

    of: str
    statistic: str
    figure: Figure


@dataclass(frozen=True)
class FigureTable:
    """Figures of one sort."""

    title: str
    rows: tuple[Row, ...]


def tables(result: Mapping[str, Any] | None) -> list[FigureTable]:
    """The tables of one result; empty where there is none."""
    if not result:
        return []
    groups = [(_("Clocks"), "clocks"), (_("Stations"), "stations")]
    found = [FigureTable(title, tuple(_rows(result.get(name)))) for title, name in groups]
    return [table for table in found if table.rows]


def _rows(things: Any) -> Iterator[Row]:
    if not isinstance(things, Mapping):
        return
    for name, fields in things.items():
        if isinstance(fields, Mapping):
            title = _title(fields.get("title"), name)
            for path, estimate in _estimates(fields):
                yield Row(title, _statistic(path), _figure(estimate, path))


def _title(title: Any, name: str) -> str:
    if isinstance(title, Mapping):
        return str(title.get(language()) or name)
    return str(title or name.replace("_", " "))


def _estimates(fields: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every figure below, with the names that lead to it; classes are left to the file."""
    if isinstance(fields.get("value"), (int, float)):
        yield path, fields
        return
    for name, part in fields.items():
        if isinstance(part, Mapping) and name not in ("classes", "by_class"):
            yield from _estimates(part, (*path, name))


def _figure(estimate: Mapping[str, Any], path: Sequence[str]) -> Figure:
    low, high = estimate.get("low"), estimate.get("high")
    has_interval = isinstance(low, (int, float)) and isinstance(high, (int, float))
    unit = _unit(path)
    return Figure(float(estimate["value"]), low if has_interval else None, high if has_interval else None, unit)


_SHARES = ("within", "share", "utilisation", "lost", "abandoned")
_COUNTS = ("arrivals", "count", "throughput", "queue", "length", "number", "served", "declarations", "overtime_share")


def _unit(path: Sequence[str]) -> str:
    words = " ".join(path)
    if any(word in words for word in _SHARES):
        return "share"
    return "count" if any(word in words for word in _COUNTS) else "h"


def _number(value: float, unit: str) -> str:
    bare = _bare(value, unit)
    return f"{bare} {_('h')}" if unit == "h" else bare


def _bare(value: float, unit: str) -> str:
    if unit == "share":
        return f"{value * 100:.1f} %"
    return f"{value:,.2f}" if abs(value) < 100 else f"{value:,.1f}"


def _statistic(path: Sequence[str]) -> str:
    names = {
        "mean": _("mean"),
        "median": _("median"),
        "p50": _("median"),
        "p90": _("nine out of ten within"),
        "p95": _("95 % within"),
        "wait": _("wait"),
        "sojourn": _("time at the station"),
        "utilisation": _("utilisation"),
        "queue": _("queue"),
        "queue_length": _("queue"),
        "arrivals": _("arrivals"),
        "throughput": _("throughput"),
        "within": _("share within"),
        "service": _("service"),
    }
    return ", ".join(names.get(part.lower(), part.replace("_", " ")) for part in path)


def compared(simulations: Sequence[Simulation]) -> list[tuple[str, list[tuple[str, str, list[Figure | None]]]]]:
    """(title, lines of clock or station, statistic, and one figure for each simulation)."""
    every = [{table.title: table for table in tables(simulation.result)} for simulation in simulations]
    groups = []
    for title in dict.fromkeys(title for found in every for title in found):
        rows = [{(r.of, r.statistic): r.figure for r in found[title].rows} if title in found else {} for found in every]
        keys = dict.fromkeys(key for row in rows for key in row)
        groups.append((title, [(of, statistic, [row.get((of, statistic)) for row in rows]) for of, statistic in keys]))
    return groups
