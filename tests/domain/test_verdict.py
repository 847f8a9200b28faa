"""The register of checks: what is not registered cannot be answered, and the order of checks is that of entry."""

import pytest

from backend.domain.verdict import (
    ActionBy,
    Check,
    Outcome,
    Rank,
    Register,
    RegisteredCheck,
    Scope,
    UnregisteredAnswer,
    fails,
    leaves_open,
    notes,
    passes,
)

ANSWERS = (passes("fits", "It fits {what}."), fails("differs", ActionBy.MERCHANT, "It differs."))


def registered(code="MATCH", rank=Rank.FAIL, answers=ANSWERS, **more):
    return RegisteredCheck(code, "Match", rank, Scope.MATCH, answers, **more)


def test_answer_carries_outcome_and_who_acts():
    check = registered()
    assert check.answer("differs", {"a": 1}, "r") == Check(
        "MATCH", Outcome.FAIL, "differs", {"a": 1}, ActionBy.MERCHANT, "r"
    )
    assert check.answer("fits") == Check("MATCH", Outcome.PASS, "fits")


def test_unregistered_reason_is_refused():
    with pytest.raises(UnregisteredAnswer, match="MATCH is not registered with the answer forged"):
        registered().answer("forged")
    with pytest.raises(UnregisteredAnswer, match="indeterminate"):
        registered().answer("fits", outcome=Outcome.INDETERMINATE)


def test_reason_with_two_outcomes_is_told_apart():
    both = registered(answers=(fails("short", ActionBy.MERCHANT, "Short."), leaves_open("short", ActionBy.MERCHANT)))
    assert both.answer("short").outcome is Outcome.FAIL
    assert both.answer("short", outcome=Outcome.INDETERMINATE).outcome is Outcome.INDETERMINATE


def test_answer_of_another_check_is_refused():
    other = registered("OTHER")
    with pytest.raises(UnregisteredAnswer, match="MATCH answered as OTHER"):
        registered(function=lambda _: other.answer("fits"))(None)


@pytest.mark.parametrize(
    ("rank", "answer"),
    [
        (Rank.NOTE, fails("differs", ActionBy.MERCHANT, "It differs.")),
        (Rank.WARNING, fails("differs", ActionBy.MERCHANT, "It differs.")),
        (Rank.FAIL, leaves_open("open", ActionBy.MERCHANT, "Open.")),
        (Rank.WARNING, notes("seen", "Seen.")),
    ],
)
def test_rank_must_be_the_worst_answer(rank, answer):
    with pytest.raises(ValueError, match="is registered as"):
        registered(rank=rank, answers=(answer,))


def test_code_or_sentence_entered_twice_is_refused():
    register = Register()
    register.add(registered())
    with pytest.raises(ValueError, match="registered twice"):
        register.add(registered())
    with pytest.raises(ValueError, match="two sentences"):
        register.add(registered("OTHER", answers=(fails("differs", ActionBy.ISSUER, "Another sentence."),)))


def test_checks_run_in_order_until_decisive_failure():
    register, made = Register(), []

    def entered(code, reason, *, is_decisive=False):
        @register.check(code, code.title(), Rank.FAIL, Scope.MATCH, *ANSWERS, is_decisive=is_decisive)
        def check(subject):
            made.append(code)
            return None if reason is None else check.answer(reason)

        return check

    entered("FIRST", "fits", is_decisive=True)
    entered("SILENT", None)
    entered("SECOND", "differs")
    entered("THIRD", "differs", is_decisive=True)
    entered("FOURTH", "fits")
    found = register.run(Scope.MATCH, None)
    assert [(check.code, check.reason) for check in found] == [
        ("FIRST", "fits"),
        ("SECOND", "differs"),
        ("THIRD", "differs"),
    ]
    assert made == ["FIRST", "SILENT", "SECOND", "THIRD"]


def test_check_registered_later_is_made():
    """Which checks a scope has is kept between runs, and counted anew when one comes."""
    register = Register()
    assert register.run(Scope.MATCH, None) == []
    register.add(registered(function=lambda _: registered().answer("fits")))
    assert [check.code for check in register.run(Scope.MATCH, None)] == ["MATCH"]
