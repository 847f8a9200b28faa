from dataclasses import replace

import pytest

from clearance_sim.analysis.estimate import Interval
from clearance_sim.claim.verdict import Evidence, Outcome, Reading, judge
from clearance_sim.messages import _


def in_english(message):
    return message.in_language("en")


def about(hours, half=0.3):
    return Interval(hours, hours - half, hours + half)


def a_reading(mean, median, p90=None):
    return Reading(about(mean), about(median), about(p90 or 2 * mean))


def the_evidence(technology, **changes):
    evidence = Evidence(
        context={"en": "General import by sea", "zh": "海运一般进口货物"},
        clock=_("from arrival to release"),
        baseline=a_reading(72, 50),
        ledger_alone=a_reading(69, 48),
        paperless_with_ledger=technology,
        paperless_without_ledger=a_reading(31, 20),
        everything=a_reading(7, 4),
        everything_but_the_ledger=a_reading(7.4, 4.2),
        ledger_direct_percent=Interval(2.2, 2.0, 2.4),
        ledger_enabled_percent=Interval(41, 40, 42),
        credited=_("{first} and {second}", first="all of E", second="half of R"),
        smallest_set="EADO",
    )
    return replace(evidence, **changes)


@pytest.mark.parametrize(
    ("technology", "outcome", "words", "chinese"),
    [
        (a_reading(6, 3), Outcome.HOLDS, "8 h is reached as a mean", "平均值达到 8 小时"),
        (a_reading(20, 5), Outcome.AS_MEDIAN, "as a median only, not as a mean", "仅中位数达到"),
        (a_reading(30, 18), Outcome.NOT, "8 h is not reached, neither", "均未达到 8 小时"),
        (a_reading(8.1, 5), Outcome.INDETERMINATE, "cannot be told, since an interval straddles", "无法判断"),
        (a_reading(20, 7.9), Outcome.INDETERMINATE, "cannot be told", "无法判断"),
    ],
)
def test_sentence_follows_the_results(technology, outcome, words, chinese):
    verdict = judge(the_evidence(technology))
    assert verdict.outcome == outcome
    assert words in in_english(verdict.parts[1])
    assert chinese in verdict.parts[1].in_language("zh")


def test_sentence_names_context_clock_and_ledgers_part():
    """The sentence names clock setting and what is not due to the ledger."""
    sentence = judge(the_evidence(a_reading(30, 18))).sentence
    assert in_english(sentence).startswith(
        "General import by sea, clock from arrival to release: on paper the mean is 72.0 h"
    )
    assert "97.8 % (97.6 to 98.0) are not due to the ledger itself" in in_english(sentence)
    assert "97.8%（97.6% 至 98.0%）并非由账本本身带来" in sentence.in_language("zh")
    assert "all of E and half of R (an assumption, not a finding)" in in_english(sentence)


def test_programme_is_judged_apart_from_technology():
    """The whole programme is judged apart from the technology."""
    verdict = judge(the_evidence(a_reading(30, 18)))
    assert (verdict.outcome, verdict.programme, verdict.alone) == (Outcome.NOT, Outcome.HOLDS, Outcome.NOT)
    assert "The smallest set of levers with a mean within 8 h is EADO." in in_english(verdict.sentence)


def test_target_out_of_reach_names_no_levers():
    """No set of levers is said to reach what none reaches."""
    verdict = judge(the_evidence(a_reading(30, 18), everything=a_reading(12, 9), smallest_set=None))
    assert verdict.programme == Outcome.NOT
    assert "No set of levers brings the mean within 8 h." in in_english(verdict.sentence)


def test_target_held_without_levers_is_named():
    """A target that holds without any lever is said to."""
    verdict = judge(the_evidence(a_reading(2, 1), smallest_set=""))
    assert "The mean is within 8 h without any lever." in in_english(verdict.sentence)


def test_nothing_saved_is_not_shared_out():
    nothing = Interval(float("nan"), float("nan"), float("nan"))
    verdict = judge(the_evidence(a_reading(2, 1), ledger_direct_percent=nothing))
    assert in_english(verdict.parts[-1]) == "No hours are saved that could be shared out."


def test_other_baseline_is_set_against_the_claim():
    """A baseline that is not the claimed one is said to be none."""
    verdict = judge(the_evidence(a_reading(2, 1), baseline=a_reading(9, 3)))
    assert "the mean is 9.0 h (8.7 to 9.3), not 72 h" in in_english(verdict.parts[0])
    assert "而非 72 小时" in verdict.parts[0].in_language("zh")


def test_another_target_gives_another_sentence():
    verdict = judge(the_evidence(a_reading(30, 18), to_hours=36))
    assert verdict.outcome == Outcome.HOLDS
    assert "36 h is reached as a mean" in in_english(verdict.parts[1])
