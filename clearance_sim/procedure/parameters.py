"""The model's numbers as a file that says where each comes from."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class Parameter:
    """One number: value, range, unit, source and how it is known."""

    name: str
    value: float
    unit: str
    source: str
    known: str
    low: float
    high: float
    en: str
    zh: str

    @property
    def varies(self) -> bool:
        """Whether sensitivity analysis moves it."""
        return self.low < self.high


def read_data(name: str) -> dict[str, Any]:
    """A data file of this package."""
    return tomllib.loads((files("clearance_sim.procedure") / "data" / name).read_text(encoding="utf-8"))


@cache
def parameters() -> Mapping[str, Parameter]:
    """All parameters with their general values."""
    return {name: _parameter(name, row) for name, row in read_data("parameters.toml").items()}


def _parameter(name: str, row: dict[str, Any]) -> Parameter:
    low, high = row.get("range", [row["value"], row["value"]])
    title = row.get("title", {})
    plain = name.replace("_", " ")
    return Parameter(
        name=name,
        value=float(row["value"]),
        unit=row["unit"],
        source=row["source"],
        known=row["known"],
        low=float(low),
        high=float(high),
        en=title.get("en", plain),
        zh=title.get("zh", plain),
    )
