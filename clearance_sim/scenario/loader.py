"""Reads a scenario from TOML. Syntax, form and sense are checked, and all faults are reported with their lines."""

import copy
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import tree_sitter_toml
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from tree_sitter import Language, Node, Parser

from clearance_sim.messages import Message, _
from clearance_sim.scenario import Fault, ScenarioError
from clearance_sim.scenario.checks import faults_of
from clearance_sim.scenario.model import Scenario

KeyPath = tuple[str | int, ...]


@dataclass
class Place:
    """A key or item of the file, with its line and what it contains."""

    line: int
    within: dict[str | int, "Place"] = field(default_factory=dict)

    def line_of(self, path: KeyPath) -> int:
        """Return the line of the deepest known step of a path. Steps that the file does not have are skipped."""
        place = self
        for step in path:
            place = place.within.get(step, place)
        return place.line


class TomlSyntaxError(ValueError):
    """The text is not TOML."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line
        self.what = what


def read(text: str) -> tuple[dict[str, Any], Place]:
    """Parse a TOML text into its values and their places.

    Raises:
        TomlSyntaxError: The text is not TOML.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TomlSyntaxError(_line_in(str(error), text), str(error).split(" (at ")[0]) from None
    return values, places(text)


def places(text: str) -> Place:
    """Return the line of every key and item of a valid TOML text."""
    tree = Parser(Language(tree_sitter_toml.language())).parse(text.encode())
    root = Place(1)
    for node in tree.root_node.named_children:
        if node.type == "pair":
            _pair(node, root)
        elif node.type in ("table", "table_array_element"):
            _table(node, root)
    return root


def _table(node: Node, root: Place) -> None:
    header, *pairs = [child for child in node.named_children if child.type != "comment"]
    place = _descend(root, _keys(header), _line(header))
    if node.type == "table_array_element":
        place = place.within.setdefault(len(place.within), Place(_line(header)))
    for pair in pairs:
        _pair(pair, place)


def _pair(node: Node, place: Place) -> None:
    key, value = [child for child in node.named_children if child.type != "comment"]
    _value(value, _descend(place, _keys(key), _line(key)))


def _value(node: Node, place: Place) -> None:
    members = [child for child in node.named_children if child.type != "comment"]
    if node.type == "inline_table":
        for pair in members:
            _pair(pair, place)
    elif node.type == "array":
        for position, item in enumerate(members):
            _value(item, place.within.setdefault(position, Place(_line(item))))


def _descend(place: Place, keys: list[str], line: int) -> Place:
    for key in keys:
        place = _last(place).within.setdefault(key, Place(line))
    return place


def _last(place: Place) -> Place:
    """Return the last table of a list of tables, to which following keys belong. Other places stay as they are."""
    numbers = [step for step in place.within if isinstance(step, int)]
    return place.within[max(numbers)] if numbers else place


def _keys(node: Node) -> list[str]:
    if node.type == "dotted_key":
        return [key for child in node.named_children for key in _keys(child)]
    written = (node.text or b"").decode()
    if node.type == "quoted_key":
        return [next(iter(tomllib.loads(f"{written} = 1")))]
    return [written]


def _line(node: Node) -> int:
    return node.start_point[0] + 1


def _line_in(message: str, text: str) -> int:
    """Return the line that tomllib names; at the end of the document it names none."""
    if "(at line " in message:
        return int(message.split("(at line ")[1].split(",")[0])
    return text.count("\n") + 1


_TAGS = {
    "deterministic", "exponential", "uniform", "triangular", "log-normal", "gamma", "erlang", "weibull",
    "hyper-exponential", "empirical",
}  # fmt: skip


def load(path: str | Path) -> Scenario:
    """Read a scenario file.

    Raises:
        ScenarioError: The file cannot be read or has faults. All are listed.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ScenarioError(
            [Fault((), _("cannot be read: {reason}", reason=reason), _("name a TOML file"), where=str(path))]
        ) from None
    return loads(text, where=str(path))


def loads(text: str, where: str = "scenario") -> Scenario:
    """Read a scenario from TOML text. `where` names it in messages.

    Raises:
        ScenarioError: The text has faults. All are listed.
    """
    try:
        values, places = read(text)
    except TomlSyntaxError as error:
        fault = Fault(
            (), _("not TOML: {what}", what=error.what), _("fix the syntax; see https://toml.io"), where, error.line
        )
        raise ScenarioError([fault]) from None
    return _built(values, where, places)


def from_values(values: Mapping[str, Any], where: str = "scenario") -> Scenario:
    """Build a scenario from nested tables, as parsed from TOML or JSON.

    Raises:
        ScenarioError: The tables have faults. All are listed.
    """
    return _built(dict(values), where, None)


def varied(scenario: Scenario, changes: Mapping[str, Any]) -> Scenario:
    """Return the scenario with values replaced by dotted path, and check it again.

    `varied(s, {"stations.review.servers": 4, "stations.pay.service.mean_h": 0.2})`. If a path ends at a number with a
    source, its number is replaced.

    Raises:
        ScenarioError: A path does not exist, or the result has faults.
    """
    values = to_values(scenario)
    for path, value in changes.items():
        _put(values, path.split("."), copy.deepcopy(value), path)
    return from_values(values, scenario.name)


def to_values(scenario: Scenario) -> dict[str, Any]:
    """Return the scenario as nested tables."""
    return scenario.model_dump(by_alias=True, exclude_unset=True, mode="python")


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a scenario file."""
    made = Scenario.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def _put(values: Any, steps: list[str], value: Any, path: str) -> None:
    for step in steps[:-1]:
        values = _step(values, step, path)
    last: Any = steps[-1]
    if isinstance(values, list | tuple):
        raise ScenarioError([Fault((path,), _("ends at a list"), _("replace the whole list"))])
    old = values.get(last)
    if isinstance(old, dict) and "value" in old and isinstance(value, int | float):
        values[last] = {"value": value}
    else:
        values[last] = value


def _step(values: Any, step: str, path: str) -> Any:
    try:
        return values[int(step)] if isinstance(values, list | tuple) else values.setdefault(step, {})
    except (ValueError, IndexError):
        raise ScenarioError(
            [Fault((path,), _("there is no {step}", step=step), _("name an item by its number"))]
        ) from None


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
        return Fault(fault.path, fault.what, fault.fix, where, line)

    seen = {(f.line, f.path, str(f.what)): f for f in map(placed, faults)}
    return ScenarioError(sorted(seen.values(), key=lambda fault: fault.line))


def _fault(error: ErrorDetails) -> Fault:
    context = error.get("ctx", {})
    path = tuple(step for step in error["loc"] if step not in _TAGS and not str(step).startswith("function-"))
    match error["type"]:
        case "unknown":
            return Fault((*path, context["key"]), context["what"], context["fix"])
        case "scenario":
            return Fault(path, context["what"], context["fix"])
        case "union_tag_invalid":
            what, fix = _("unknown distribution {name}", name=context["tag"]), _("one of: {names}", names=_NAMES)
            return Fault((*path, "distribution"), what, fix)
        case "union_tag_not_found":
            fix = _('add distribution = "exponential", or another of: {names}', names=_NAMES)
            return Fault(path, _("the distribution is not named"), fix)
        case "missing":
            return Fault(path, _("is missing"), _("add {name}", name=path[-1]))
        case known if known in _SHAPE:
            return Fault(path, replace(_SHAPE[known], values=context))
        case _other:
            return Fault(path, Message("{what}", {"what": error["msg"][0].lower() + error["msg"][1:]}))


_NAMES = ", ".join(sorted(_TAGS))
_SHAPE: dict[str, Message] = {
    "bool_parsing": _("input should be a valid boolean, unable to interpret input"),
    "bool_type": _("input should be a valid boolean"),
    "date_from_datetime_parsing": _("input should be a valid date or datetime, {error}"),
    "date_type": _("input should be a valid date"),
    "datetime_from_date_parsing": _("input should be a valid datetime or date, {error}"),
    "datetime_type": _("input should be a valid datetime"),
    "dict_type": _("input should be a valid dictionary"),
    "finite_number": _("input should be a finite number"),
    "float_parsing": _("input should be a valid number, unable to parse string as a number"),
    "float_type": _("input should be a valid number"),
    "greater_than_equal": _("input should be greater than or equal to {ge}"),
    "int_from_float": _("input should be a valid integer, got a number with a fractional part"),
    "int_parsing": _("input should be a valid integer, unable to parse string as an integer"),
    "int_type": _("input should be a valid integer"),
    "less_than": _("input should be less than {lt}"),
    "less_than_equal": _("input should be less than or equal to {le}"),
    "literal_error": _("input should be {expected}"),
    "model_type": _("input should be a valid dictionary or instance of {class_name}"),
    "string_pattern_mismatch": _("string should match pattern '{pattern}'"),
    "string_type": _("input should be a valid string"),
    "too_short": _("{field_type} should have at least {min_length} items, not {actual_length}"),
    "tuple_type": _("input should be a valid tuple"),
}
"""What pydantic says of a value's shape, by its type of error."""
