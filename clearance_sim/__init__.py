"""A simulator of customs clearance: does 72 hours become 8, and under which conditions?

What it offers is imported when it is first used. The command line must be able to say that numpy and its like are not
installed, which it could not if importing this package needed them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clearance_sim.analysis.estimate import Estimate
    from clearance_sim.analysis.result import Result
    from clearance_sim.execution.runner import run
    from clearance_sim.scenario import ScenarioError
    from clearance_sim.scenario.loader import from_values, load, loads, varied
    from clearance_sim.scenario.model import Scenario

__all__ = ["Estimate", "Result", "Scenario", "ScenarioError", "from_values", "load", "loads", "run", "varied"]

_HOMES = {
    "Estimate": "analysis.estimate",
    "Result": "analysis.result",
    "Scenario": "scenario.model",
    "ScenarioError": "scenario",
    "from_values": "scenario.loader",
    "load": "scenario.loader",
    "loads": "scenario.loader",
    "run": "execution.runner",
    "varied": "scenario.loader",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
