"""What customs may decide, and how long goods took."""

from datetime import timedelta
from itertools import product

import pytest

from backend.domain.consignment import (
    Clearance,
    Consignment,
    Decision,
    DecisionTaken,
    Event,
    ReleaseTimes,
    Step,
    decide,
    release_times,
    withdraw,
)
from backend.domain.errors import Conflict
from backend.domain.ledger import DOCUMENT_EDGES, OFFICE_EDGES, WITHDRAWAL_EDGES, DeclarationStatus, DocumentStatus
from tests.helpers.builders import NOON

LODGED, DOCUMENTS_REQUIRED, EXAMINATION, DETAINED, RELEASED, REJECTED, RETURNED, SEIZED, WITHDRAWN = DeclarationStatus
OPEN = {LODGED, DOCUMENTS_REQUIRED, EXAMINATION, DETAINED}

ENDING = {Decision.RELEASE, Decision.REJECT, Decision.RETURN, Decision.SEIZE}
ALLOWED = {
    LODGED: ENDING | {Decision.DOCUMENTS_REQUIRED, Decision.EXAMINE, Decision.DETAIN},
    DOCUMENTS_REQUIRED: ENDING | {Decision.EXAMINE, Decision.DETAIN},
    EXAMINATION: ENDING | {Decision.DOCUMENTS_REQUIRED, Decision.DETAIN},
    DETAINED: ENDING | {Decision.DOCUMENTS_REQUIRED, Decision.EXAMINE},
}


@pytest.mark.parametrize(("status", "decision"), list(product(DeclarationStatus, Decision)))
def test_decision_is_taken_only_where_allowed(status, decision):
    if decision in ALLOWED.get(status, set()):
        assert decide(status, decision) is decision.leads_to
        return
    with pytest.raises(Conflict) as refusal:
        decide(status, decision)
    assert refusal.value.values == {"status": status.name, "wanted": decision.leads_to.name}


@pytest.mark.parametrize("status", DeclarationStatus)
def test_declaration_is_withdrawn_only_before_customs_act(status):
    if status in (LODGED, DOCUMENTS_REQUIRED):
        assert withdraw(status) is WITHDRAWN
    else:
        with pytest.raises(Conflict):
            withdraw(status)


def test_nothing_leaves_an_end():
    for status in set(DeclarationStatus) - OPEN:
        assert not status.is_open
        assert not {edge for edge in OFFICE_EDGES | WITHDRAWAL_EDGES if edge[0] is status}
    assert all(status.is_open for status in OPEN)


def test_decision_to_lodge_or_withdraw_is_refused():
    """Nobody brings a declaration back to lodged, or withdraws it for the merchant."""
    assert not {edge for edge in OFFICE_EDGES if edge[1] in (LODGED, WITHDRAWN)}
    assert {edge[1] for edge in WITHDRAWAL_EDGES} == {WITHDRAWN}
    assert not {edge for edge in OFFICE_EDGES | WITHDRAWAL_EDGES if edge[0] is edge[1]}


def test_documents_take_these_edges_and_no_others():
    active, suspended, revoked, superseded = DocumentStatus
    assert {
        (active, suspended),
        (suspended, active),
        (active, revoked),
        (suspended, revoked),
        (active, superseded),
        (suspended, superseded),
    } == DOCUMENT_EDGES


def test_every_status_but_the_first_is_a_step():
    others = {Step.ARRIVED, Step.ANCHORED, Step.DECISION_UNDONE}
    others |= {Step.PAPER_REVOKED, Step.PAPER_SUSPENDED, Step.PAPER_REINSTATED}
    others |= {Step.ERASURE_REQUESTED, Step.ERASURE_AGREED}
    assert {Step.of(status) for status in DeclarationStatus} == set(Step) - others


# The stopwatch


def hours(*numbers):
    return [timedelta(hours=number) for number in numbers]


def test_release_times_equal_those_worked_out_by_hand():
    # Sorted: 1 2 3 4 10. Type 7: position 0.9 * 4 = 3.6, so 4 + 0.6 * (10 - 4) = 7.6.
    times = release_times(hours(10, 2, 4, 1, 3))
    assert times.count == 5
    assert times.mean_hours == pytest.approx(4.0)
    assert times.median_hours == pytest.approx(3.0)
    assert times.p90_hours == pytest.approx(7.6)


def test_even_number_of_times_has_median_between_two():
    # Type 7 over 1 2 3 6: position 0.9 * 3 = 2.7, so 3 + 0.7 * 3 = 5.1.
    times = release_times(hours(1, 2, 3, 6))
    assert (times.mean_hours, times.median_hours) == (3.0, 2.5)
    assert times.p90_hours == pytest.approx(5.1)


def test_tenth_of_eleven_times_is_the_90th_percentile():
    assert release_times(hours(*range(11))).p90_hours == pytest.approx(9.0)


def test_two_times():
    times = release_times(hours(0, 1))
    assert (times.count, times.mean_hours, times.median_hours) == (2, 0.5, 0.5)
    assert times.p90_hours == pytest.approx(0.9)


def test_one_time_is_its_own_summary():
    assert release_times(hours(2.5)) == ReleaseTimes(1, 2.5, 2.5, 2.5)


def test_no_times_have_no_summary():
    assert release_times([]) == ReleaseTimes(0, None, None, None)


def test_clocks_run_from_arrival_and_from_lodgement():
    times = Clearance(NOON, NOON + timedelta(hours=3), NOON - timedelta(hours=1))
    assert times.from_lodgement == timedelta(hours=3)
    assert times.from_arrival == timedelta(hours=4)


def test_goods_released_before_they_came_waited_no_time():
    assert Clearance(NOON, NOON, NOON + timedelta(hours=5)).from_arrival == timedelta(0)


def test_an_unknown_arrival_gives_no_time():
    assert Clearance(NOON, NOON).from_arrival is None


# A consignment's life


def a_consignment(**changes):
    return Consignment("d1", None, None, "MS-1", "YIWU", NOON, **changes)


def event(step, at=NOON):
    return Event(f"e-{step}", step, at, at)


def decision(what):
    return DecisionTaken("x", what, "because", "officer", None, NOON, {"verdict": "VALID"})


def test_a_release_stops_the_clock():
    consignment = a_consignment()
    consignment.arrive(event(Step.ARRIVED, NOON + timedelta(hours=1)))
    assert consignment.clearance is None
    consignment.decide(decision(Decision.RELEASE), event(Step.RELEASED, NOON + timedelta(hours=4)))
    assert consignment.status is RELEASED
    assert consignment.clearance.from_arrival == timedelta(hours=3)
    assert consignment.clearance.from_lodgement == timedelta(hours=4)
    assert [one.step for one in consignment.events] == [Step.ARRIVED, Step.RELEASED]


def test_other_decisions_let_the_clock_run():
    consignment = a_consignment()
    consignment.decide(decision(Decision.EXAMINE), event(Step.EXAMINATION))
    consignment.decide(decision(Decision.DETAIN), event(Step.DETAINED))
    assert consignment.status is DETAINED
    assert consignment.clearance is None
    assert len(consignment.decisions) == len(consignment.events) == 2


@pytest.mark.parametrize("status", sorted(set(DeclarationStatus) - OPEN))
def test_a_refused_decision_leaves_no_trace(status):
    consignment = a_consignment(status=status)
    with pytest.raises(Conflict):
        consignment.decide(decision(Decision.RELEASE), event(Step.RELEASED))
    with pytest.raises(Conflict):
        consignment.withdraw(event(Step.WITHDRAWN))
    assert consignment.status is status
    assert not consignment.events
    assert not consignment.decisions
    assert consignment.released_at is None


def test_a_withdrawn_declaration_is_never_released():
    consignment = a_consignment()
    consignment.withdraw(event(Step.WITHDRAWN))
    with pytest.raises(Conflict):
        consignment.decide(decision(Decision.RELEASE), event(Step.RELEASED))
    assert consignment.status is WITHDRAWN
