"""Reads a scenario: syntax, then shape, then sense; everything wrong is reported at once, with its line."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from clearance_sim.scenario.checks import faults_of
from clearance_sim.scenario.errors import Fault, ScenarioError
from clearance_sim.scenario.model import Scenario
from clearance_sim.scenario.text import Place, TomlSyntaxError, read

_TAGS = {
    "deterministic", "exponential", "uniform", "triangular", "log-normal", "gamma", "erlang", "weibull",
    "hyper-exponential", "empirical",
}  # fmt: skip


def load(path: str | Path) -> Scenario:
    """Read a scenario file.

    Raises:
        ScenarioError: with everything that is wrong.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ScenarioError([Fault((), f"cannot be read: {reason}", "name a TOML file", where=str(path))]) from None
    return loads(text, where=str(path))


def loads(text: str, where: str = "scenario") -> Scenario:
    """Read a scenario from TOML text."""
    try:
        values, places = read(text)
    except TomlSyntaxError as error:
        fault = Fault((), f"not TOML: {error.what}", "mend the syntax; see https://toml.io", where, error.line)
        raise ScenarioError([fault]) from None
    return _built(values, where, places)


def from_values(values: Mapping[str, Any], where: str = "scenario") -> Scenario:
    """A scenario from nested tables, as a TOML or JSON file would hold them."""
    return _built(dict(values), where, None)


def varied(scenario: Scenario, changes: Mapping[str, Any]) -> Scenario:
    """The scenario with some values replaced, by dotted path, and checked anew.

    `varied(s, {"stations.review.servers": 4, "stations.pay.service.mean_h": 0.2})`. A path may end at a number that
    carries a source: the number is replaced.
    """
    values = to_values(scenario)
    for path, value in changes.items():
        _put(values, path.split("."), copy.deepcopy(value), path)
    return from_values(values, scenario.name)


def to_values(scenario: Scenario) -> dict[str, Any]:
    """The scenario as nested tables."""
    return scenario.model_dump(by_alias=True, exclude_unset=True, mode="python")


def schema() -> dict[str, Any]:
    """The JSON Schema of a scenario file."""
    made = Scenario.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def _put(values: Any, steps: list[str], value: Any, path: str) -> None:
    for step in steps[:-1]:
        values = _step(values, step, path)
    last: Any = steps[-1]
    if isinstance(values, list | tuple):
        raise ScenarioError([Fault((path,), "ends at a list", "replace the whole list")])
    old = values.get(last)
    if isinstance(old, dict) and "value" in old and isinstance(value, int | float):
        values[last] = {"value": value}
    else:
        values[last] = value


def _step(values: Any, step: str, path: str) -> Any:
    try:
        return values[int(step)] if isinstance(values, list | tuple) else values.setdefault(step, {})
    except (ValueError, IndexError):
        raise ScenarioError([Fault((path,), f"there is no {step}", "name an item by its number")]) from None


def _built(values: dict[str, Any], where: str, places: Place | None) -> Scenario:
    try:
        scenario = Scenario.model_validate(values)
    except ValidationError as error:
        raise _refusal([_fault(e) for e in error.errors()], where, places) from None
    faults = faults_of(scenario)
    if faults:
        raise _refusal(faults, where, places)
    return scenario


def _refusal(faults: list[Fault], where: str, places: Place | None) -> ScenarioError:
    def placed(fault: Fault) -> Fault:
        line = places.line_of(fault.path) if places else 0
        return Fault(fault.path, fault.what, fault.mend, where, line)

    seen = {(f.line, f.path, f.what): f for f in map(placed, faults)}
    return ScenarioError(sorted(seen.values(), key=lambda fault: fault.line))


def _fault(error: ErrorDetails) -> Fault:
    context = error.get("ctx", {})
    path = tuple(step for step in error["loc"] if step not in _TAGS and not str(step).startswith("function-"))
    if error["type"] == "unknown":
        return Fault((*path, context["key"]), error["msg"], context["hint"])
    if error["type"] == "union_tag_invalid":
        return Fault((*path, "law"), f"unknown law {context['tag']}", f"one of: {context['expected_tags']}")
    if error["type"] == "union_tag_not_found":
        return Fault(
            path, "the law is not named", f'add law = "exponential", or another of: {", ".join(sorted(_TAGS))}'
        )
    if error["type"] == "missing":
        return Fault(path, "is missing", f"add {path[-1]}")
    what = error["msg"].removeprefix("Value error, ")
    return Fault(path, what[0].lower() + what[1:], str(context.get("hint", "")))
