"""Writes a scenario as a TOML file that people can read and change."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from clearance_sim.messages import SOURCE_LANGUAGE, _
from clearance_sim.procedure.context import Context
from clearance_sim.procedure.levers import Arm
from clearance_sim.procedure.measured import ASSUMED, MachinePart
from clearance_sim.procedure.network import OWNERS, TITLES, network

_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def scenario_text(context: Context, arm: Arm, machine: MachinePart = ASSUMED) -> str:
    """Return the TOML text of one arm in one context, with a source for every number."""
    noted = replace(context, annotated=True)
    table = network(noted, arm.levers, machine, name=f"{context.name}-{arm.name}")
    table["title"] = _("{context}: {arm}", context=context.title, arm=arm.title).in_all_languages()
    table["stations"] = {station: _annotated(station, values) for station, values in table["stations"].items()}
    pulled = ", ".join(f"{name} = {strength:g}" for name, strength in arm.levers.to_json().items() if strength)
    head = [
        f"# {context.title[SOURCE_LANGUAGE]}; {arm.title.in_language(SOURCE_LANGUAGE)}.",
        f"# Written by `clearance-sim customs`; levers: {pulled or 'none'}.",
        "# Hours of the stations with a calendar count only while it is open.",
    ]
    return "\n".join([*head, "", *_table(table, ()), ""])


def _annotated(station: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a station with its title and the party whose time it is."""
    party = {"party": OWNERS[station]} if station in OWNERS else {}
    return {"title": TITLES[station].in_all_languages(), **party, **values}


def _table(table: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    """Return the lines of a table, its plain values first and inner tables after them, as TOML requires."""
    lines: list[str] = []
    inner: list[str] = []
    for key, value in table.items():
        if isinstance(value, Mapping) and not _is_inline((*path, key)):
            inside = _table(value, (*path, key))
            head = f"[{'.'.join(_key(step) for step in (*path, key))}]"
            inner += inside if inside[:1] == [""] else ["", head, *inside]
        else:
            lines.append(f"{_key(key)} = {_value(value)}")
    return [*lines, *inner]


def _is_inline(path: tuple[str, ...]) -> bool:
    """Tell whether a table is written on one line: distributions, ways and quantities.

    Stations and tables by class are not.
    """
    if path[-1] in ("title", "description"):
        return True
    deep = 3 if path[-1] in ("next_by_class", "service_by_class") else 2
    return len(path) > deep or (path[0] == "classes" and len(path) == 2)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, float):
        return repr(round(value, 9))
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Mapping):
        return (
            "{ " + ", ".join(f"{_key(key)} = {_value(each)}" for key, each in value.items()) + " }" if value else "{}"
        )
    assert isinstance(value, Sequence)
    if len(value) == 1 and isinstance(value[0], Mapping) and set(value[0]) == {"to"}:
        return _value(value[0]["to"])
    if value and isinstance(value[0], Mapping):
        return "[\n" + "".join(f"    {_value(each)},\n" for each in value) + "]"
    return "[" + ", ".join(_value(each) for each in value) + "]"


def _key(key: str) -> str:
    return key if key and set(key) <= _BARE else json.dumps(key, ensure_ascii=False)
