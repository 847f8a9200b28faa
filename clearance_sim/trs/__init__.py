"""Time release study: how long goods took, from a log of events, simulated or exported by customs' own system.

One function computes it for both, so that a simulation and reality are compared by the same clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clearance_sim.messages import Message, _

SHOWN = 5
"""How many row numbers a problem names."""


@dataclass(frozen=True)
class Problem:
    """What is wrong with some rows; row 1 is the first after the heading."""

    what: Message
    fix: Message
    rows: tuple[int, ...] = ()
    count: int = 0

    def __str__(self) -> str:
        what: dict[str, Any] = {"what": self.what, "fix": self.fix}
        if not self.rows:
            return str(_("{what}: {fix}", **what))
        rows = ", ".join(map(str, self.rows))
        if self.count == 1:
            return str(_("{what} (row {rows}): {fix}", **what, rows=rows))
        if self.count == len(self.rows):
            return str(_("{what} (rows {rows}): {fix}", **what, rows=rows))
        return str(
            _("{what} (rows {rows} and {more:,} more): {fix}", **what, rows=rows, more=self.count - len(self.rows))
        )

    def to_json(self) -> dict[str, Any]:
        """Return the problem with its texts in the reader's language."""
        return {"what": str(self.what), "fix": str(self.fix), "rows": list(self.rows), "count": self.count}


class LogError(ValueError):
    """A log that no study can be made of."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__(problems)

    def __str__(self) -> str:
        return "; ".join(map(str, self.problems))


def problem(
    what: Message, fix: Message, wrong: "np.ndarray[Any, np.dtype[np.bool_]]", rows: Any = None
) -> Problem | None:
    """Return the rows that are wrong, or None where none is."""
    places = np.flatnonzero(wrong)
    numbers = places + 1 if rows is None else np.asarray(rows)[places]
    return Problem(what, fix, tuple(map(int, numbers[:SHOWN])), len(places)) if len(places) else None


def numbered(what: Message, fix: Message, rows: Sequence[int]) -> Problem:
    """Return a problem of rows whose numbers are known."""
    return Problem(what, fix, tuple(rows[:SHOWN]), len(rows))


# The parts of the package need what stands above.
from clearance_sim.trs.column_map import ColumnMap, read_column_map  # noqa: E402
from clearance_sim.trs.event_log import EventLog, read_log  # noqa: E402
from clearance_sim.trs.study import Question, Study, study  # noqa: E402

__all__ = ["ColumnMap", "EventLog", "LogError", "Problem", "Question", "Study", "read_column_map", "read_log", "study"]
