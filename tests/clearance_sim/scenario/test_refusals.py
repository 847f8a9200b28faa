import jsonschema
import pytest

from clearance_sim import ScenarioError, loads, varied
from clearance_sim.scenario.checks import loads_of
from clearance_sim.scenario.loader import schema, to_values
from tests.clearance_sim.scenario.builders import SOUND, spoilt

WRONG = [
    ("servers = 2\n", "serverz = 2\n", 4, "unknown key serverz", "did you mean servers?"),
    ("mean_h = 0.25", "mean_h = -0.25", 5, "not above zero", "above zero"),
    ('"exponential"', '"exponentail"', 5, "unknown distribution exponentail", "exponential"),
    ("exit = 0.7", "exit = 0.6", 6, "sum to 0.9, not 1", "sum to 1"),
    ("{ review = 0.3", "{ reviw = 0.3", 6, "unknown station reviw", "did you mean review?"),
    ('calendar = "desk"', 'calendar = "dusk"', 10, "unknown calendar dusk", "did you mean desk?"),
    ('next = "exit"', 'next = "review"', 12, "nobody who comes here ever leaves", "exit"),
    ("p90_h = 2,", "p90_h = 0.1,", 11, "p90_h lies below median_h", "half of them"),
    ("p90_h = 2,", "cv = 2,", 11, "needs median_h and p90_h, or mean_h and cv", "exactly one"),
    ("range = [0.2, 2]", "range = [0.8, 2]", 11, "outside its range", "widen"),
    ("servers = 3", "servers = 1", 8, "the offered load is", "add servers"),
    ('shifts = [{ days = "mon-fri", from = "08:30", to = "17:00" }]', "shifts = []", 15, "has no shift", "add a shift"),
    ('"mon-fri"', '"mon-fry"', 15, "names no days", "mon-fri"),
    ('"08:30"', '"8.30"', 15, "not a time of day", "08:30"),
    ('to = "lodge"', 'to = "review"', 3, "no declaration ever comes here", "route some here"),
    ("rate_per_h = 2", "rate_per_h = [", 19, "not TOML", "syntax"),
    ("declarations = 1000", "warm_up_h = 1", 21, "the run has no end", "add declarations"),
    ("declarations = 1000", "declarations = 9\nallow_overload = true", 23, "has to end somewhere", "horizon_h"),
]


def test_scenario_that_the_others_spoil_is_sound():
    assert loads(SOUND).stations["review"].servers is not None


@pytest.mark.parametrize(("old", "new", "line", "what", "fix"), WRONG)
def test_wrong_scenario_is_refused_with_line_and_fix(old, new, line, what, fix):
    """A wrong scenario is refused with its line what is wrong and how to fix it."""
    with pytest.raises(ScenarioError) as refused:
        loads(spoilt(old, new), where="office.toml")
    fault = refused.value.faults[0]
    assert what in str(fault.what)
    assert fix in str(fault.fix)
    assert fault.line == line
    assert f"office.toml:{line}: " in str(refused.value)


def test_all_faults_of_shape_are_reported_together():
    """Everything wrong with the shape is said at once."""
    text = spoilt("servers = 2\n", "serverz = 2\n").replace("declarations = 1000", "declarations = 0")
    with pytest.raises(ScenarioError) as refused:
        loads(text)
    assert [fault.line for fault in refused.value.faults] == [4, 22]


def test_overload_with_finite_horizon_is_accepted():
    """An overload is let through with a finite horizon."""
    text = spoilt("servers = 3", "servers = 1").replace("declarations = 1000", "horizon_h = 100\nallow_overload = true")
    assert loads_of(loads(text))["review"] > 1


def test_offered_load_is_work_over_mean_servers():
    """The offered load is work brought over mean officers on duty."""
    scenario = loads(SOUND)
    assert loads_of(scenario)["lodge"] == pytest.approx(2 * 0.25 / 2)
    work = 2 * 0.3 * scenario.stations["review"].service.mean
    assert loads_of(scenario)["review"] == pytest.approx(work / (3 * 5 * 8.5 / 168))


def test_schema_accepts_sound_and_refuses_wrong():
    """The schema accepts what is sound and refuses what is not."""
    checker = jsonschema.Draft202012Validator(schema())
    values = to_values(loads(SOUND))
    plain = __import__("tomllib").loads(SOUND)
    checker.validate(plain)
    plain["stations"]["lodge"]["serverz"] = 1
    assert not checker.is_valid(plain)
    assert values["stations"]["lodge"]["servers"]


def test_variation_is_checked_like_a_file():
    scenario = varied(loads(SOUND), {"stations.review.service.median_h": 0.4})
    assert float(scenario.stations["review"].service.median_h) == 0.4
    with pytest.raises(ScenarioError, match="offered load"):
        varied(scenario, {"arrivals.importers.rate_per_h": 50})
