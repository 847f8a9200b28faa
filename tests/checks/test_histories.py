"""The checker of histories finds what is planted, and agrees with a search through every order."""

import itertools
import random

import pytest

from tests.helpers.histories import EDGES, ENDS, OPEN, Operation, counters, numbers, registers


def lodged(at: int = 0) -> Operation:
    return Operation(0, "lodge", "D", {}, at, at + 1, "ok", {"id": "D"})


def wrote(read: int, status: str, begun: int, ended: int, outcome: str = "ok", **answer: object) -> Operation:
    made = {"version": read + 1} if outcome == "ok" else {}
    return Operation(1, "write", "D", {"read": read, "status": status}, begun, ended, outcome, {**made, **answer})


def saw(version: int, status: str, begun: int, ended: int) -> Operation:
    return Operation(2, "read", "D", {}, begun, ended, "ok", {"version": version, "status": status})


def issued(record: str | None, begun: int, ended: int, outcome: str = "ok") -> Operation:
    return Operation(1, "issue", "CO-1", {}, begun, ended, outcome, {"id": record} if record else {})


GOOD = [
    lodged(),
    wrote(1, "EXAMINATION", 10, 20),
    wrote(1, "DETAINED", 11, 21, "fail", seen=2),
    saw(1, "LODGED", 10, 12),
    saw(2, "EXAMINATION", 12, 14),
    wrote(2, "REJECTED", 30, 40, "info"),
    wrote(2, "RELEASED", 30, 40, "info"),
    saw(3, "RELEASED", 50, 60),
    wrote(3, "SEIZED", 50, 60, "fail", seen=3, edge=True),
]


def kinds(operations: list[Operation]) -> set[str]:
    return {anomaly.kind for anomaly in registers(operations)}


def test_history_in_order_has_no_anomaly() -> None:
    assert kinds(GOOD) == set()


@pytest.mark.parametrize(
    ("planted", "kind"),
    [
        (wrote(1, "DETAINED", 12, 22), "two-writers"),
        (saw(2, "DETAINED", 22, 24), "phantom"),
        (saw(5, "SEIZED", 70, 80), "phantom"),
        (saw(1, "LODGED", 22, 24), "time"),
        (wrote(3, "SEIZED", 70, 80), "edge"),
        (wrote(3, "SEIZED", 50, 60, "fail", seen=1), "time"),
        (wrote(2, "DETAINED", 22, 24, "fail", seen=2, edge=True), "refused"),
        (wrote(2, "DETAINED", 22, 24, "fail", seen=2), "refused"),
        (wrote(1, "DETAINED", 12, 22, version=3), "version"),
    ],
)
def test_planted_anomaly_of_a_declaration_is_found(planted: Operation, kind: str) -> None:
    assert kind in kinds([*GOOD, planted])


def test_two_final_decisions_have_their_own_name() -> None:
    assert kinds([lodged(), wrote(1, "REJECTED", 5, 9), wrote(1, "RELEASED", 6, 8)]) == {"two-ends"}


def test_acknowledged_decision_that_is_lost_is_found() -> None:
    assert kinds([lodged(), wrote(1, "REJECTED", 5, 9), saw(1, "LODGED", 20, 30)]) == {"time"}


def test_number_issued_twice_is_found() -> None:
    once = [issued("a", 1, 5), issued(None, 2, 6, "fail"), issued("a", 7, 8)]
    assert numbers(once) == []
    assert [anomaly.kind for anomaly in numbers([*once, issued("b", 2, 6)])] == ["two-records"]


def test_number_refused_while_free_is_found() -> None:
    assert [one.kind for one in numbers([issued(None, 1, 2, "fail"), issued("a", 3, 4)])] == ["refused"]


def released(declaration: str, begun: int, outcome: str = "ok", **answer: object) -> Operation:
    asked = {"read": 1, "status": "RELEASED"}
    return Operation(1, "write", declaration, asked, begun, begun + 5, outcome, dict(answer))


def test_overdrawn_certificate_is_found() -> None:
    pools = {"C": (20, 10, frozenset("abc"))}
    lodgings = [Operation(0, "lodge", key, {}, at, at + 1, "ok") for at, key in ((-30, "a"), (-20, "b"), (-10, "c"))]
    refused = released("c", 3, "fail", papers=True)
    taken = [*lodgings, released("a", 1), released("b", 2), refused]
    assert counters(taken, pools) == []
    seen = Operation(2, "read", "c", {}, 20, 21, "ok", {"version": 2, "status": "RELEASED"})
    assert [one.kind for one in counters([*taken, seen], pools)] == ["overdrawn"]
    # It may be refused for those lodged before it, but they not for it.
    assert counters([*lodgings, refused], pools) == []
    early = released("b", 3, "fail", papers=True)
    assert [one.kind for one in counters([*lodgings, early], pools)] == ["refused"]


# ---- against a search through every order (Wing and Gong 1993), on histories small enough for it


def explained(order: tuple[Operation, ...]) -> bool:
    """Tell whether one server that does these one after the other would have given these answers."""
    version, status = 1, "LODGED"
    for operation in order:
        if operation.action == "read":
            if operation.answer != {"version": version, "status": status}:
                return False
            continue
        applies = operation.asked["read"] == version and (status, operation.asked["status"]) in EDGES
        if operation.outcome == "fail":
            told = version if operation.asked["read"] != version else None
            if applies or operation.answer != ({"seen": version, "edge": True} if told is None else {"seen": told}):
                return False
        elif applies:
            version, status = version + 1, operation.asked["status"]
        else:
            return False
    return True


def in_time(order: tuple[Operation, ...]) -> bool:
    return all(later.end >= earlier.invoked for earlier, later in itertools.combinations(order, 2))


def is_linearizable(operations: list[Operation]) -> bool:
    sure = [one for one in operations if one.outcome != "info"]
    unsure = [one for one in operations if one.outcome == "info"]
    return any(
        in_time(order) and explained(order)
        for count in range(len(unsure) + 1)
        for taken in itertools.combinations(unsure, count)
        for order in itertools.permutations([*sure, *taken])
    )


def drawn(source: random.Random) -> list[Operation]:
    """A history of a server in order, then perhaps with one answer altered."""
    version, status, now, made = 1, "LODGED", 10, []
    for _ in range(source.randint(2, 5)):
        begun, ended = now - source.randint(0, 9), now + source.randint(1, 9)
        now += source.randint(2, 8)
        if source.random() < 0.35:
            made.append(saw(version, status, begun, ended))
            continue
        read, wanted = max(1, version - (source.random() < 0.3)), source.choice([*OPEN[1:], *ENDS])
        if read != version:
            made.append(wrote(read, wanted, begun, ended, "fail", seen=version))
        elif (status, wanted) not in EDGES:
            made.append(wrote(read, wanted, begun, ended, "fail", seen=version, edge=True))
        else:
            version, status = version + 1, wanted
            made.append(wrote(read, wanted, begun, ended))
    altered = source.choice(made)
    match source.randint(0, 5):
        case 0:
            altered.outcome, altered.answer = ("info", {}) if altered.action == "write" else ("ok", altered.answer)
        case 1 if altered.action == "read":
            altered.answer = {**altered.answer, "status": source.choice(OPEN)}
        case 2 if altered.action == "read":
            altered.answer = {**altered.answer, "version": source.randint(1, 4)}
        case 3:
            altered.invoked += 15
            altered.completed = (altered.completed or 0) + 15
        case 4 if len(made) > 1:
            made.remove(altered)
    return made


def test_checker_agrees_with_search_on_small_histories() -> None:
    source = random.Random(20)
    told = {True: 0, False: 0}
    for _ in range(3000):
        history = drawn(source)
        linearizable = is_linearizable(history)
        assert (registers([lodged(-100), *history]) == []) is linearizable, history
        told[linearizable] += 1
    assert min(told.values()) > 300, told
