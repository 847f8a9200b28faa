from dataclasses import replace
from math import factorial

import pytest

from clearance_sim import from_values, load, run, varied
from clearance_sim.validation.cases import LEVEL, Answer, all_cases, read, scenario_file

CASES = {case.scenario: case for case in all_cases()}


def answers_of(name, declarations):
    case = CASES[name]
    changes = {"run.declarations": declarations, "run.warm_up_declarations": declarations // 20}
    result = run(varied(load(scenario_file(name)), changes), replications=20, keep_values=False)
    return [Answer(case, reading, exact, read(result, reading).at_level(LEVEL)) for reading, exact in case.expected]


def agrees(answer):
    return answer.simulated.low <= answer.exact <= answer.simulated.high


@pytest.mark.parametrize("name", ["mm5-loss", "mm2-room", "impatient", "tandem", "pre-emptive-room", "roster-room"])
def test_short_run_agrees_with_theory(name):
    """A short run agrees with theory within its interval."""
    for answer in answers_of(name, 50_000):
        assert agrees(answer), (answer.reading, answer.exact, answer.simulated)
        assert answer.relative_half_width < 0.05


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("closing-")])
def test_jobs_that_fill_a_shift_wait_as_reckoned(name):
    (answer,) = answers_of(name, 500)
    assert answer.simulated.value == answer.exact


def test_wrong_exact_value_fails_the_case():
    (answer,) = answers_of("mm5-loss", 200_000)
    assert answer.passed
    assert not replace(answer, exact=1.05 * answer.exact).passed
    assert not replace(answer, exact=0.95 * answer.exact).passed


def test_too_wide_interval_fails_the_case():
    """An interval that is too wide fails the case even around the truth."""
    (answer,) = answers_of("mm5-loss", 200_000)
    wide = replace(answer.simulated, deviation=100 * answer.simulated.deviation).at_level(LEVEL)
    assert agrees(replace(answer, simulated=wide))
    assert not replace(answer, simulated=wide).passed


@pytest.mark.parametrize(
    ("servers", "room", "rates"), [(2, 2, [0.9, 0.9]), (1, 0, [0.4, 0.8]), (1, 1, [0.3, 0.3, 0.3]), (3, 1, [1.0, 2.5])]
)
def test_interruption_turns_away_as_many_as_erlang_says(servers, room, rates):
    """Who interrupts is no more often turned away than others: the number present does not tell the classes apart."""
    classes = {f"class{number}": {"priority": number + 1} for number in range(len(rates))}
    desk = {"servers": servers, "pre_emptive": True, "waiting_room": room, "next": "exit"}
    values = {
        "name": "rooms",
        "classes": classes,
        "stations": {"desk": desk | {"service": {"distribution": "exponential", "mean_h": 1.0}}},
        "arrivals": {
            name: {"rate_per_h": rate, "classes": {name: 1.0}, "to": "desk"}
            for name, rate in zip(classes, rates, strict=True)
        },
        "run": {"declarations": 60_000, "warm_up_declarations": 3_000, "replications": 4, "seed": 11},
    }
    load, most = sum(rates), servers + room
    weights = [load**n / factorial(min(n, servers)) / servers ** max(0, n - servers) for n in range(most + 1)]
    found = run(from_values(values), keep_values=False).stations["desk"]
    for share in (found.lost_share, *(each.lost_share for each in found.by_class.values())):
        assert share.value == pytest.approx(weights[-1] / sum(weights), rel=0.03)
