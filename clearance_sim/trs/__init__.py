"""Time release study: how long goods took, from a log of events, simulated or exported by customs' own system.

One function computes it for both, so that a simulation and reality are compared by the same clock.
"""

from clearance_sim.trs.column_map import ColumnMap, read_column_map
from clearance_sim.trs.event_log import EventLog, read_log
from clearance_sim.trs.problems import LogError, Problem
from clearance_sim.trs.study import Question, Study, study

__all__ = ["ColumnMap", "EventLog", "LogError", "Problem", "Question", "Study", "read_column_map", "read_log", "study"]
