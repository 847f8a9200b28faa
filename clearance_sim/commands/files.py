"""Scenario files for commands, given by a path or by the name of a packaged scenario."""

import json
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import click

from clearance_sim.commands.terminal import echo_document
from clearance_sim.messages import _
from clearance_sim.scenario import Fault, ScenarioError
from clearance_sim.scenario.loader import load, to_values, varied
from clearance_sim.scenario.model import Scenario


def packaged() -> dict[str, str]:
    """Return the TOML texts of the packaged scenarios by name."""
    folder = files("clearance_sim") / "scenarios"
    texts = {item.name.removesuffix(".toml"): item for item in folder.iterdir() if item.name.endswith(".toml")}
    return {name: texts[name].read_text(encoding="utf-8") for name in sorted(texts)}


def opened(name: str, changes: tuple[str, ...] = ()) -> Scenario:
    """Read the scenario of a path or a packaged name, with `KEY=VALUE` changes.

    Raises:
        ScenarioError: There is no such scenario, a change is malformed, or the scenario has faults.
    """
    item = files("clearance_sim") / "scenarios" / f"{name}.toml"
    if not Path(name).exists() and item.is_file():
        with as_file(item) as path:
            scenario = load(path)
    elif not Path(name).exists():
        fix = _("give a path, or one of: {names}", names=", ".join(packaged()))
        raise ScenarioError([Fault((), _("there is no such file, nor a packaged scenario"), fix, where=name)])
    else:
        scenario = load(name)
    return varied(scenario, dict(map(_change, changes))) if changes else scenario


def _change(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ScenarioError([Fault((text,), _("is not a change"), _("write KEY=VALUE, as stations.review.servers=4"))])
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()


def parameters(scenario: Scenario) -> list[dict[str, Any]]:
    """Return the numbers of a scenario that have a range, which are those that users may vary."""
    return list(_ranged(to_values(scenario), ""))


def _ranged(values: Any, path: str) -> Iterator[dict[str, Any]]:
    if isinstance(values, dict):
        if "value" in values and values.get("range"):
            low, high = values["range"]
            number = {"key": path, "value": values["value"], "low": low, "high": high}
            yield {**number, "unit": _unit(path), "source": values.get("source")}
            return
        for key, item in values.items():
            yield from _ranged(item, f"{path}.{key}" if path else key)
    elif isinstance(values, list | tuple):
        for position, item in enumerate(values):
            yield from _ranged(item, f"{path}.{position}")


def _unit(path: str) -> str:
    last = path.rsplit(".", 1)[-1]
    return "1/h" if last.endswith("_per_h") else "h" if last.endswith("_h") else ""


def faults_as_json(error: ScenarioError) -> list[dict[str, Any]]:
    """Return what is wrong, for programs."""
    return [
        {
            "where": f.where,
            "line": f.line or None,
            "key": ".".join(map(str, f.path)),
            "what": str(f.what),
            "fix": str(f.fix),
        }
        for f in error.faults
    ]


def refuse(error: ScenarioError, as_json: bool = False) -> None:
    """Say what is wrong with a scenario and end with code 1."""
    if as_json:
        echo_document(json.dumps({"errors": faults_as_json(error)}, ensure_ascii=False))
    else:
        for fault in error.faults:
            click.echo(str(fault), err=True)
        count = len(error.faults)
        one, many = (
            _("Refused: 1 thing to fix. Nothing was run."),
            _("Refused: {count} things to fix. Nothing was run."),
        )
        click.echo(one if count == 1 else replace(many, values={"count": count}), err=True)
    raise SystemExit(1)
