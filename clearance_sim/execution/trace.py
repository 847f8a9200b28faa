"""The event log of a run as Parquet: one row for each visit of a declaration to a station."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearance_sim.engine.replication import TraceSink
from clearance_sim.scenario.checks import class_names
from clearance_sim.scenario.model import Scenario

OUTCOMES = ("served", "lost", "abandoned")
# Times hardly ever repeat: looking for repetition among them would take longer than the simulation.
_FAST: dict[str, Any] = {
    "compression": "lz4",
    "use_dictionary": ["class", "station", "outcome", "replication"],
    "write_statistics": False,
}


class TraceFile:
    """A Parquet file that visits are written to as they end."""

    def __init__(self, path: str | Path, scenario: Scenario) -> None:
        import pyarrow as pa  # not needed, and not loaded, without a trace
        import pyarrow.parquet as pq

        self._pa = pa
        words = pa.dictionary(pa.int32(), pa.string())
        fields = [
            ("replication", pa.int32()), ("declaration", pa.int64()), ("class", words), ("station", words),
            ("visit", pa.int32()), ("enter_h", pa.float64()), ("start_h", pa.float64()), ("end_h", pa.float64()),
            ("due_h", pa.float64()),
            ("outcome", words),
        ]  # fmt: skip
        self._words = [pa.array(names) for names in (class_names(scenario), list(scenario.stations), OUTCOMES)]
        self._schema = pa.schema(fields, metadata={"clearance_sim": json.dumps(about(scenario), ensure_ascii=False)})
        self._file = pq.ParquetWriter(path, self._schema, **_FAST)

    def sink(self, replication: int) -> TraceSink:
        """Return what takes the visits of one replication."""

        def take(rows: NDArray[np.int64], times: NDArray[np.float64]) -> None:
            pa = self._pa
            classes, stations, outcomes = self._words

            def worded(codes: NDArray[np.int64], words: Any) -> Any:
                return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), words)

            columns = [
                pa.array(np.full(len(rows), replication, np.int32)), pa.array(rows[:, 0].copy()),
                worded(rows[:, 1], classes), worded(rows[:, 2], stations), pa.array(rows[:, 3].astype(np.int32)),
                *(pa.array(times[:, k].copy(), from_pandas=k in (1, 3)) for k in range(4)),
                worded(rows[:, 4], outcomes),
            ]  # fmt: skip
            self._file.write_table(pa.table(columns, schema=self._schema))

        return take

    def close(self) -> None:
        self._file.close()


def about(scenario: Scenario) -> dict[str, Any]:
    """Return what a reader of the log needs to know of the scenario."""
    return {
        "scenario": scenario.name,
        "start": scenario.start.isoformat(),
        "zone": scenario.zone,
        "clocks": {"total": [["arrive"], "exit"], **{n: [list(c.from_), c.to] for n, c in scenario.clocks.items()}},
        "parties": {name: s.party for name, s in scenario.stations.items() if s.party},
    }
