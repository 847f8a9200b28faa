"""The model's parameters with their sources, and contexts: direction, cargo, mode, hours and what differs there."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import Any

from clearance_sim.messages import LANGUAGES, _
from clearance_sim.procedure.hours import Opening, read_hours


@dataclass(frozen=True)
class Parameter:
    """One number of the model: value, range, unit, source, and how it is known."""

    name: str
    value: float
    unit: str
    source: str
    known: str
    low: float
    high: float
    title: Mapping[str, str] | None
    """The title by language, or None if it is not shown to readers."""

    @property
    def titles(self) -> Mapping[str, str]:
        """The title by language, or the name in words if there is none."""
        return self.title or dict.fromkeys(LANGUAGES, self.name.replace("_", " "))

    @property
    def varies(self) -> bool:
        """Whether sensitivity analysis varies it."""
        return self.low < self.high


def read_data(name: str) -> dict[str, Any]:
    """Parse a TOML data file of this package."""
    return tomllib.loads((files("clearance_sim.procedure") / "data" / name).read_text(encoding="utf-8"))


@cache
def parameters() -> Mapping[str, Parameter]:
    """Return all parameters with their general values, by name."""
    return {name: _parameter(name, row) for name, row in read_data("parameters.toml").items()}


def _parameter(name: str, row: dict[str, Any]) -> Parameter:
    low, high = row.get("range", [row["value"], row["value"]])
    return Parameter(
        name=name,
        value=float(row["value"]),
        unit=row["unit"],
        source=row["source"],
        known=row["known"],
        low=float(low),
        high=float(high),
        title=row.get("title"),
    )


WORDS = ("direction", "cargo", "mode", "desk_hours", "yard_hours", "laboratory_hours")
SWITCHES = ("port_in_clock", "release_before_arrival")


class ContextError(ValueError):
    """A context names something that the model does not know."""


@dataclass(frozen=True)
class Context:
    """A setting in which the procedure runs: its parameters, opening hours and switches."""

    name: str
    values: Mapping[str, float]
    title: Mapping[str, str] = field(default_factory=dict)
    """By language."""
    remark: Mapping[str, str] = field(default_factory=dict)
    direction: str = "import"
    cargo: str = "general"
    mode: str = "sea"
    desk_hours: str = "Mon-Fri 08:30-17:00"
    yard_hours: str = "Mon-Fri 08:30-17:00"
    laboratory_hours: str = "Mon-Fri 08:30-17:00"
    port_in_clock: bool = True
    """Whether goods must be unloaded before they can be released."""
    release_before_arrival: bool = False
    """Whether customs may release what has not arrived yet."""
    baseline_h: float | None = None
    baseline_defensible: bool = True
    batches: Mapping[str, Any] | None = None
    arrivals_by_hour: tuple[Mapping[str, Any], ...] = ()
    peak: Mapping[str, float] | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    """Where values that differ from the general ones come from."""
    annotated: bool = False
    """Whether scenarios carry sources and ranges with their numbers (for people) or bare numbers (for speed)."""

    def __getitem__(self, parameter: str) -> float:
        return self.values[parameter]

    def quantity(self, parameter: str, value: float | None = None, varies: bool = True) -> float | dict[str, Any]:
        """Return a parameter's value, or a number derived from it, as a scenario file states it.

        In an annotated context this is a table with the source and, where `varies`, the range.
        """
        given = self[parameter] if value is None else value
        if not self.annotated:
            return given
        row = parameters()[parameter]
        source = self.sources.get(parameter, row.source)
        if value is not None and row.unit == "share" and value != self[parameter]:
            source += "; moved by a lever"
        noted: dict[str, Any] = {"value": round(given, 6), "source": f"{parameter} [{row.known}]: {source}"}
        ratio = given / row.value if row.value else 0.0
        low, high = row.low * ratio, row.high * ratio
        if varies and row.unit in ("h", "wh") and low <= noted["value"] <= high and low < high:
            noted["range"] = [round(low, 6), round(high, 6)]
        return noted

    def desk(self) -> tuple[Opening, ...]:
        """Return the opening hours of the customs desk."""
        return read_hours(self.desk_hours)

    def yard(self) -> tuple[Opening, ...]:
        """Return the opening hours of the examination yard."""
        return read_hours(self.yard_hours)

    def laboratory(self) -> tuple[Opening, ...]:
        """Return the opening hours of the laboratory."""
        return read_hours(self.laboratory_hours)

    def but(self, *, because: str = "assumption", **values: float) -> Context:
        """Return the context with some parameters changed; `because` is noted as their source.

        Raises:
            ContextError: No parameter has this name.
        """
        return self.having(values, because)

    def having(self, values: Mapping[str, float], source: str) -> Context:
        """Return the context with these parameters changed, and `source` noted for them.

        Raises:
            ContextError: No parameter has this name.
        """
        known(values)
        return replace(
            self,
            values={**self.values, **values},
            sources={**self.sources, **dict.fromkeys(values, source)},
        )


def known(values: Mapping[str, Any]) -> None:
    """Check the names of parameters.

    Raises:
        ContextError: No parameter has this name.
    """
    for name in values:
        if name not in parameters():
            raise ContextError(_("no parameter is called {name!r}: see `clearance-sim parameters`", name=name))


def contexts() -> tuple[str, ...]:
    """List the names of the packaged contexts."""
    return tuple(read_data("contexts.toml")["contexts"])


def context(name: str) -> Context:
    """Return a packaged context with its calibrated parameters.

    Raises:
        ContextError: No context has this name.
    """
    rows = read_data("contexts.toml")["contexts"]
    if name not in rows:
        raise ContextError(_("no context is called {name!r}; there are {rows}", name=name, rows=", ".join(rows)))
    return compose(name, rows[name])


def compose(name: str, row: Mapping[str, Any], fitted: Mapping[str, Mapping[str, float]] | None = None) -> Context:
    """Build a context: its own values override those of its mode, direction and cargo, which override the fitted ones.

    Raises:
        ContextError: The row names an unknown mode, direction, cargo or parameter.
    """
    defaults = read_data("contexts.toml")
    values = {each.name: each.value for each in parameters().values()}
    sources: dict[str, str] = {}
    words = {word: row[word] for word in WORDS if word in row}
    fits = read_data("calibrated.toml") if fitted is None else fitted
    layers = [fits.get("general", {}), fits.get(f"mode-{words.get('mode', 'sea')}", {})]
    for layer in layers:
        values.update(layer)
        sources.update(dict.fromkeys(layer, "fitted by `clearance-sim calibrate`"))
    for kind, usual in (("mode", "sea"), ("direction", "import"), ("cargo", "general")):
        chosen = words.get(kind, usual)
        if chosen not in defaults[kind]:
            raise ContextError(
                _(
                    "no {kind} is called {chosen!r}; there are {defaults}",
                    kind=kind,
                    chosen=chosen,
                    defaults=", ".join(defaults[kind]),
                )
            )
        _lay(values, sources, defaults[kind][chosen]["set"], defaults[kind][chosen]["source"])
    _lay(values, sources, row.get("set", {}), row.get("source", "assumption"))
    return Context(
        name=name,
        values=values,
        sources=sources,
        title=_by_language(row.get("title", name)),
        remark=_by_language(row.get("remark", "")),
        baseline_h=row.get("baseline_h"),
        baseline_defensible=row.get("baseline_defensible", False),
        batches=row.get("batches"),
        arrivals_by_hour=tuple(row.get("arrivals_by_hour", ())),
        peak=row.get("peak"),
        port_in_clock=bool(row.get("port_in_clock", True)),
        release_before_arrival=bool(row.get("release_before_arrival", False)),
        **words,
    )


def _lay(values: dict[str, float], sources: dict[str, str], numbers: Mapping[str, Any], source: str) -> None:
    known(numbers)
    values.update({name: float(number) for name, number in numbers.items()})
    sources.update(dict.fromkeys(numbers, source))


def _by_language(text: str | Mapping[str, str]) -> Mapping[str, str]:
    return dict.fromkeys(LANGUAGES, text) if isinstance(text, str) else text
