from dataclasses import replace

import pytest

from clearance_sim import load, run, varied
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
