"""What clients asked of several servers, when, and what came of it; and whether one server alone could have said that.

The notes are those of Jepsen: a request is invoked, and ends as ``ok`` (it was done), ``fail`` (it was refused, and
nothing was done) or ``info`` (nobody knows: the connection broke, or the server answered 5xx). All times are of one
clock, in nanoseconds.

A declaration is a register with a version: each decision names the version that it rests on and makes the next one. So
the order of all decisions and readings is known, and linearizability (Herlihy and Wing 1990) needs no search: versions
must never go back in time, each must have one writer, and each step must be an edge of customs' procedure.
"""

import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

OPEN = ("LODGED", "DOCUMENTS_REQUIRED", "EXAMINATION", "DETAINED")
ENDS = ("RELEASED", "REJECTED", "RETURNED", "SEIZED")
EDGES = frozenset(
    {(before, after) for before in OPEN for after in (*OPEN[1:], *ENDS) if before != after}
    | {("LODGED", "WITHDRAWN"), ("DOCUMENTS_REQUIRED", "WITHDRAWN")}
)
"""Written down here once more, from docs/glossary.md: the checker takes no table of what it checks."""


@dataclass
class Operation:
    """One request of one client.

    ``asked`` and ``answer`` hold, by action: ``lodge`` nothing, then the id; ``write`` the version ``read`` and the
    ``status`` wanted, then the ``version`` made (ok) or the version ``seen`` (fail); ``read`` nothing, then ``version``
    and ``status``; ``issue`` nothing, then the id.
    """

    client: int
    action: str
    key: str
    """The declaration's id, or the number of a certificate."""
    asked: dict[str, Any]
    invoked: int
    completed: int | None = None
    outcome: str = "info"
    answer: dict[str, Any] = field(default_factory=dict)

    @property
    def end(self) -> float:
        """When it had ended; never, where nobody knows what came of it."""
        return float("inf") if self.completed is None or self.outcome == "info" else self.completed


@dataclass(frozen=True)
class Anomaly:
    """What no single server that does one thing after the other could have said."""

    kind: str
    key: str
    text: str


class History:
    """The operations of all clients, noted from several threads."""

    def __init__(self, file: Path | None = None) -> None:
        """With a file, write each operation into it once it has ended: one JSON object a line."""
        self.operations: list[Operation] = []
        self._lock = threading.Lock()
        self._file = None if file is None else file.open("w", encoding="utf-8", buffering=1)

    @contextmanager
    def noting(self, client: int, action: str, key: str, **asked: Any) -> Iterator[Operation]:
        """Note that a request begins, and at the end of the block that it ended; whoever asked sets its outcome."""
        operation = Operation(client, action, key, asked, time.monotonic_ns())
        with self._lock:
            self.operations.append(operation)
        yield operation
        operation.completed = time.monotonic_ns()
        self._write(operation)

    def add(self, operation: Operation) -> None:
        """Note an operation that has ended."""
        with self._lock:
            self.operations.append(operation)
        self._write(operation)

    def _write(self, operation: Operation) -> None:
        if self._file is not None:
            with self._lock:
                self._file.write(json.dumps(asdict(operation)) + "\n")


def registers(operations: Iterable[Operation]) -> list[Anomaly]:
    """Check every declaration by itself: linearizability holds for all where it holds for each."""
    by_key: dict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        if operation.action in ("lodge", "write", "read"):
            by_key[operation.key].append(operation)
    return [anomaly for key, found in by_key.items() for anomaly in _Register(key, found).anomalies()]


class _Register:
    """One declaration's operations, by the versions that they made or saw."""

    def __init__(self, key: str, operations: list[Operation]) -> None:
        self._key = key
        self._found: list[Anomaly] = []
        self._made: dict[int, Operation] = {}
        self._seen: dict[int, list[tuple[Operation, str | None]]] = defaultdict(list)
        self._unknown: dict[int, list[Operation]] = defaultdict(list)
        self._refused: list[tuple[int, Operation]] = []
        for operation in sorted(operations, key=lambda one: one.invoked):
            self._sort(operation)

    def anomalies(self) -> list[Anomaly]:
        """Everything that cannot be explained."""
        newest = max([*self._made, *self._seen], default=0)
        statuses = self._statuses(newest)
        for version, operation in self._refused:
            wanted = operation.asked["status"]
            if all((status, wanted) in EDGES for status in statuses.get(version, {"": 0})):
                self._say("refused", f"{wanted} was refused at version {version}, which allows it")
        self._check_times(newest, statuses)
        return self._found

    def _sort(self, operation: Operation) -> None:
        if operation.action == "lodge" and operation.outcome == "ok":
            self._made[1] = operation
        elif operation.action == "read" and operation.outcome == "ok":
            self._seen[operation.answer["version"]].append((operation, operation.answer["status"]))
        elif operation.action == "write":
            self._sort_write(operation, operation.asked["read"] + 1)

    def _sort_write(self, operation: Operation, version: int) -> None:
        if operation.outcome == "info":
            self._unknown[version].append(operation)
        elif operation.outcome == "fail":
            seen = operation.answer.get("seen", version - 1)
            self._seen[seen].append((operation, None))
            if operation.answer.get("edge"):
                self._refused.append((seen, operation))
            elif seen == version - 1 and not operation.answer.get("papers"):
                self._say("refused", f"a change of version {seen} was refused as one of another version")
        elif operation.answer["version"] != version:
            self._say("version", f"a change of version {version - 1} made version {operation.answer['version']}")
        elif version in self._made:
            one, other = self._made[version], operation
            ends = {one.asked.get("status"), other.asked["status"]} <= {*ENDS, "WITHDRAWN"}
            self._say("two-ends" if ends else "two-writers", f"version {version} was made twice: {one} and {other}")
        else:
            self._made[version] = operation

    def _statuses(self, newest: int) -> dict[int, dict[str, int]]:
        """The statuses that each version may have had, each with the earliest moment at which it can have begun.

        Where two requests without an answer may both have made a version, either is believed.
        """
        found: dict[int, dict[str, int]] = {}
        for version in range(1, newest + 1):
            maker = self._made.get(version)
            if version == 1:
                possible = {"LODGED": maker.invoked if maker else 0}
            else:
                # By falling time, so that the earliest of each status stays.
                makers = [maker] if maker else self._unknown[version][::-1]
                possible = {one.asked["status"]: one.invoked for one in makers}
                before = found[version - 1]
                reached = {after for after in possible if any((status, after) in EDGES for status in before)}
                if possible and not reached:
                    self._say("edge", f"version {version} became {set(possible)} from {set(before)}")
                else:
                    possible = {status: possible[status] for status in reached}
            told = {status for _, status in self._seen[version] if status is not None}
            if len(told) > 1 or not told <= set(possible) or not possible:
                self._say("phantom", f"version {version} was seen as {told}; requests explain {set(possible)}")
                possible = dict.fromkeys(told or possible or OPEN, 0)
            found[version] = {status: possible[status] for status in told or possible}
        for version in range(newest - 1, 0, -1):
            kept = {
                status: began
                for status, began in found[version].items()
                if any((status, after) in EDGES for after in found[version + 1])
            }
            found[version] = kept or found[version]
        return found

    def _check_times(self, newest: int, statuses: Mapping[int, Mapping[str, int]]) -> None:
        """No version may be made or seen by what had ended before something later than it began."""
        begun = float("-inf")
        for version in range(1, newest + 1):
            maker = self._made.get(version)
            if maker is not None and maker.end < begun:
                self._say("time", f"version {version} was made before one that is older")
            begun = max(begun, maker.invoked if maker else min(statuses[version].values(), default=0))
            for operation, _ in self._seen[version]:
                if operation.end < begun:
                    self._say("time", f"version {version} was seen before it was made")
            begun = max([begun, *(operation.invoked for operation, _ in self._seen[version])])

    def _say(self, kind: str, text: str) -> None:
        self._found.append(Anomaly(kind, self._key, text))


def numbers(operations: Iterable[Operation]) -> list[Anomaly]:
    """Check a set: no two certificates of an issuer under one number, and none refused for a number that was free."""
    by_number: dict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        if operation.action == "issue":
            by_number[operation.key].append(operation)
    found = []
    for number, asked in by_number.items():
        ids = {operation.answer["id"] for operation in asked if operation.outcome == "ok"}
        if len(ids) > 1:
            found.append(Anomaly("two-records", number, f"issued as {sorted(ids)}"))
        takers = [operation for operation in asked if operation.outcome != "fail"]
        for refused in (operation for operation in asked if operation.outcome == "fail"):
            if not any(taker.invoked < refused.end for taker in takers):
                found.append(Anomaly("refused", number, "refused as taken before anybody took it"))
    return found


def counters(operations: Iterable[Operation], pools: Mapping[str, tuple[int, int, frozenset[str]]]) -> list[Anomaly]:
    """Check that no certificate gave more than it covers, and that none refused what it still had.

    Declarations that were lodged earlier come first (`backend/domain/dossier.py`): what they want may be refused to
    others before it is released.

    Args:
        operations: Those of all clients, with a last reading of each declaration.
        pools: By certificate: its quantity, what each declaration takes of it, and the ids of those declarations.
    """
    writes: dict[str, list[Operation]] = defaultdict(list)
    lodged: dict[str, Operation] = {}
    released: set[str] = set()
    for operation in operations:
        if operation.action == "lodge":
            lodged[operation.key] = operation
        elif operation.action == "write" and operation.asked["status"] == "RELEASED":
            writes[operation.key].append(operation)
            if operation.outcome == "ok":
                released.add(operation.key)
        elif operation.action == "read" and operation.answer.get("status") == "RELEASED":
            released.add(operation.key)
    found = []
    for certificate, (quantity, each, declarations) in pools.items():
        taken = len(declarations & released) * each
        if taken > quantity:
            found.append(Anomaly("overdrawn", certificate, f"{taken} released of {quantity}"))
        asked = [operation for declaration in declarations for operation in writes[declaration]]
        for refused in (operation for operation in asked if operation.answer.get("papers")):
            before = {one.key for one in asked if one.outcome != "fail" and one.invoked < refused.end}
            before |= {one for one in declarations if lodged[one].invoked < lodged[refused.key].end}
            if len(before | {refused.key}) * each <= quantity:
                found.append(Anomaly("refused", certificate, f"{each} refused while {before} at most came first"))
    return found
