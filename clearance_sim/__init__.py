"""A simulator of customs clearance: does 72 hours become 8, and under which conditions?"""

from clearance_sim.analysis.estimate import Estimate
from clearance_sim.analysis.result import Result
from clearance_sim.execution.runner import run
from clearance_sim.scenario.errors import ScenarioError
from clearance_sim.scenario.loader import from_values, load, loads, varied
from clearance_sim.scenario.model import Scenario

__all__ = ["Estimate", "Result", "Scenario", "ScenarioError", "from_values", "load", "loads", "run", "varied"]
