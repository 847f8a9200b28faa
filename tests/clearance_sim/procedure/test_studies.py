import pytest

from clearance_sim.procedure.calibration import published
from clearance_sim.procedure.network import ARRIVAL
from clearance_sim.procedure.simulation import Laboratory
from clearance_sim.procedure.studies import StudyError, packaged_studies, read_studies, try_studies

ROW = """
[[study]]
id = "a"
study = "A port"
published = 30
statistic = "mean"
clock = "arrival -> release"
context = { mode = "air", officer_hours = "24x7", facilitated_share = 0.8, red_share = 0.05, documents_mean_h = 10 }
levers = { automation = 1, deferred_duty = 0.5 }
"""


def test_row_sets_context_levers_and_clock():
    (study,) = read_studies(ROW)
    assert (study.clock, study.levers.deferred_duty, study.context.desk_hours) == (ARRIVAL, 0.5, "24x7")
    assert study.context["yellow_share"] == pytest.approx(0.15)
    assert study.guesses == ("documents_mean_h", "facilitated_share", "officer_hours", "red_share")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("facilitated_share", "does not know 'facilitatd_share'; did you mean 'facilitated_share'"),
        ("published", "does not know 'publishd'"),
    ],
)
def test_misspelt_key_is_refused_with_the_nearest(wrong, said):
    misspelt = wrong.replace("ated", "atd").replace("shed", "shd")
    with pytest.raises(StudyError, match=said):
        read_studies(ROW.replace(wrong, misspelt))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"mean"', '"mode"', "no statistic is called 'mode'"),
        ("arrival -> release", "departure", "no clock is called 'departure'"),
        ('"air"', '"rail"', "no mode is called 'rail'"),
        ('"24x7"', '"always"', "opening hours 'always'"),
        ("0.05", "0.5", "sum to more than one"),
        ('"mean"', '"reduction"', "needs a context it is measured `against`"),
        ("published = 30", "", "has no 'published'"),
        ("[[study]]", "[[study", "not TOML"),
    ],
)
def test_row_that_cannot_be_tried_says_why(old, new, said):
    with pytest.raises(StudyError, match=said):
        read_studies(ROW.replace(old, new))


def test_prediction_is_inside_by_factor_or_slack():
    """A prediction is inside by factor or by slack."""
    (study,) = read_studies(ROW)
    assert study.holds(30 * 1.34)
    assert not study.holds(30 * 1.36)
    (exact,) = read_studies(ROW.replace("published = 30", "published = 0\nslack = 0.2"))
    assert exact.holds(0.1)
    assert not exact.holds(0.3)


def test_no_figure_is_both_fitted_and_tried():
    fitted = {(row.study, round(row.value, 1)) for row in published().values()}
    tried = {(study.study, round(study.published, 1)) for study in packaged_studies()}
    assert not fitted & tried
    assert len(tried) >= 20


def test_study_far_off_is_shown_as_outside():
    laboratory = Laboratory(replications=2, weeks=1, warm_up_weeks=1, workers=1)
    near, far = try_studies(
        read_studies(ROW.replace("30", "9") + ROW.replace('"a"', '"b"').replace("30", "900")), laboratory
    )
    assert near.predicted.value == far.predicted.value
    assert not far.inside
    assert far.to_json()["inside"] is False


def test_knobs_move_predictions_the_way_they_should():
    laboratory = Laboratory(replications=2, weeks=2, warm_up_weeks=1, workers=1)
    plain = '{ mode = "sea" }'
    better = [
        '{ mode = "air" }',
        '{ mode = "sea", prelodged_share = 0.9 }',
        '{ mode = "sea", facilitated_share = 0.95, red_share = 0.02 }',
        '{ mode = "sea", deferred_share = 1.0 }',
        '{ mode = "sea", officer_hours = "24x7" }',
        '{ mode = "sea", aeo_share = 0.8 }',
        '{ mode = "sea", electronic_share = 1.0 }',
        '{ mode = "sea", direction = "export" }',
        '{ mode = "air", cargo = "e-commerce" }',
    ]
    rows = "".join(
        f'[[study]]\nid = "{i}"\nstudy = "s"\npublished = 1\nstatistic = "mean"\ncontext = {each}\n'
        for i, each in enumerate([plain, *better])
    )
    base, *others = (trial.predicted.value for trial in try_studies(read_studies(rows), laboratory))
    assert all(other < base for other in others)
