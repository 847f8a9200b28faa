"""A simulation's result as tables: clocks and stations, each figure with its confidence interval."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask_babel import gettext as _

from backend.domain.simulation import Simulation
from backend.web.context import language


@dataclass(frozen=True)
class Figure:
    """A figure and its 95 % confidence interval, if it has one."""

    value: float
    low: float | None
    high: float | None
    unit: str

    @property
    def shown(self) -> str:
        """The figure as text, with its unit."""
        bare = _bare(self.value, self.unit)
        return f"{bare} {_('h')}" if self.unit == "h" else bare

    @property
    def interval(self) -> str:
        """The interval as text, without its unit."""
        if self.low is None or self.high is None:
            return ""
        return f"{_bare(self.low, self.unit)} – {_bare(self.high, self.unit)}"


def _bare(value: float, unit: str) -> str:
    if unit == "share":
        return f"{value * 100:.1f} %"
    return f"{value:,.2f}" if abs(value) < 100 else f"{value:,.0f}"


@dataclass(frozen=True)
class Row:
    """One line of a table: a clock or station, the statistic, and the figure."""

    of: str
    statistic: str
    figure: Figure


@dataclass(frozen=True)
class FigureTable:
    """A table of figures of one sort."""

    title: str
    rows: tuple[Row, ...]


def tables(result: Mapping[str, Any] | None) -> list[FigureTable]:
    """Build the tables of a result. They hold the figures most asked for, the file has all."""
    if not result:
        return []
    found = [
        FigureTable(_("Clocks"), tuple(_rows(result.get("clocks"), _clock_figures()))),
        FigureTable(_("Stations"), tuple(_rows(result.get("stations"), _station_figures()))),
    ]
    return [table for table in found if table.rows]


def _clock_figures() -> dict[tuple[str, ...], tuple[str, str]]:
    return {
        ("mean",): (_("mean"), "h"),
        ("p50",): (_("median"), "h"),
        ("p90",): (_("nine out of ten within"), "h"),
        ("p95",): (_("95 % within"), "h"),
    }


def _station_figures() -> dict[tuple[str, ...], tuple[str, str]]:
    return {
        ("wait", "mean"): (_("wait, mean"), "h"),
        ("wait", "p90"): (_("wait, nine out of ten within"), "h"),
        ("sojourn", "mean"): (_("time at the station, mean"), "h"),
        ("queue_length",): (_("queue, mean"), "count"),
        ("utilisation",): (_("utilisation"), "share"),
        ("throughput_per_h",): (_("served in an hour"), "count"),
    }


def _rows(things: Any, wanted: Mapping[tuple[str, ...], tuple[str, str]]) -> Iterator[Row]:
    for name, fields in things.items() if isinstance(things, Mapping) else ():
        title = _title(fields, name)
        for path, (statistic, unit) in wanted.items():
            if figure := _figure(_at(fields, path), unit):
                yield Row(title, statistic, figure)
        within = _at(fields, ("within",))
        for hours, estimate in within.items() if isinstance(within, Mapping) else ():
            if figure := _figure(estimate, "share"):
                yield Row(title, _("released within %(hours)s h", hours=f"{float(hours):g}"), figure)


def _title(fields: Any, name: str) -> str:
    title = fields.get("title") if isinstance(fields, Mapping) else None
    if isinstance(title, Mapping):
        return str(title.get(language()) or name)
    known = {"total": _("whole time")}
    return str(title or known.get(name, name.replace("_", " ")))


def _at(fields: Any, path: Sequence[str]) -> Any:
    for name in path:
        fields = fields.get(name) if isinstance(fields, Mapping) else None
    return fields


def _figure(estimate: Any, unit: str) -> Figure | None:
    """Return the figure of an estimate. None if it has no value, as the utilisation of an unlimited station."""
    if not isinstance(estimate, Mapping) or not isinstance(estimate.get("value"), (int, float)):
        return None
    low, high = (end if isinstance(end, (int, float)) else None for end in (estimate.get("low"), estimate.get("high")))
    if unit == "share":  # Student's interval may reach beyond what a share can be
        low, high = (None if end is None else min(max(end, 0.0), 1.0) for end in (low, high))
    return Figure(float(estimate["value"]), low, high, unit)


def compared(simulations: Sequence[Simulation]) -> list[tuple[str, list[tuple[str, str, list[Figure | None]]]]]:
    """Compare simulations: (title, rows of (clock or station, statistic, one figure for each simulation))."""
    every = [{table.title: table for table in tables(simulation.result)} for simulation in simulations]
    groups = []
    for title in dict.fromkeys(title for found in every for title in found):
        rows = [{(r.of, r.statistic): r.figure for r in found[title].rows} if title in found else {} for found in every]
        keys = dict.fromkeys(key for row in rows for key in row)
        groups.append((title, [(of, statistic, [row.get((of, statistic)) for row in rows]) for of, statistic in keys]))
    return groups
