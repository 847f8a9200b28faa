import pytest

from clearance_sim.procedure.context import ContextError, compose, context
from clearance_sim.procedure.hours import HoursError, hours_a_week, read_hours, stretched
from clearance_sim.procedure.levers import Levers, arm_shares, letters_of, names_of
from clearance_sim.procedure.measured import ASSUMED, fraud
from tests.clearance_sim.procedure.builders import levers_by


def test_no_lever_keeps_the_contexts_shares():
    """Without a lever the shares are the contexts own."""
    here = context("general-import")
    now = arm_shares(here, Levers())
    assert (now.prelodged, now.verified, now.electronic) == (here["prelodged_share"], 0, 0)
    assert now.green == pytest.approx(0.60)


def test_every_lever_moves_only_its_own_shares():
    here = context("general-import")
    base = vars(arm_shares(here, Levers()))
    moved = {
        lever: {name for name, value in vars(arm_shares(here, levers_by(lever))).items() if value != base[name]}
        for lever in "LEARD"
    }
    assert moved == {
        "L": {"verified"},
        "E": {"prelodged", "query", "query_verified"},
        "A": {"electronic"},
        "R": {"yellow", "red"},
        "D": {"deferred"},
    }


def test_random_examination_survives_every_lever():
    """Some goods are examined at random whatever the levers and the trader."""
    here = context("general-import").but(red_share=0.0, red_share_full=0.0, aeo_share=1.0)
    assert arm_shares(here, levers_by("LEARDO")).red == here["random_floor"] > 0


def test_authorised_traders_are_selected_less_and_pay_later():
    here = context("general-import")
    plain, trusted = arm_shares(here, Levers()), arm_shares(here.but(aeo_share=1.0), Levers())
    assert trusted.red < plain.red
    assert trusted.yellow < plain.yellow
    assert trusted.deferred > plain.deferred


def test_lever_never_lowers_what_is_there():
    """A lever never takes away what is already there."""
    here = context("general-import").but(prelodged_share=0.97, deferred_share=1.0)
    now = arm_shares(here, levers_by("ED"))
    assert (now.prelodged, now.deferred) == (0.97, 1.0)


def test_parameter_that_nobody_knows_is_refused():
    with pytest.raises(ContextError, match="no parameter is called 'gren_share'"):
        context("general-import").but(gren_share=0.9)
    with pytest.raises(ContextError, match="there are sea, air, land"):
        compose("x", {"mode": "rail"})


def test_stretched_hours_grow_to_whole_week():
    """A lunch break is read and the week grows to all its hours."""
    desk = read_hours("Mon-Fri 09:00-12:00, Mon-Fri 14:30-18:00")
    assert hours_a_week(desk) == 32.5
    lengths = [hours_a_week(stretched(desk, strength)) for strength in (0, 0.25, 0.5, 0.75, 1)]
    assert lengths == sorted(lengths)
    assert lengths[-1] == 168
    assert hours_a_week(read_hours("24x7")) == 168


@pytest.mark.parametrize("words", ["always", "Mon-Fri 17:00-08:30", "Mon-Fri 8:30-17:00", "Lun-Ven 08:30-17:00"])
def test_hours_that_make_no_sense_are_refused(words):
    with pytest.raises(HoursError):
        read_hours(words)


def test_ledger_catches_forgeries_and_no_false_statement():
    here = context("general-import")
    paper, ledger = (fraud(here, levers_by(letters), ASSUMED) for letters in ("", "L"))
    assert paper.caught < ledger.caught <= ledger.forged_per_10000
    assert ledger.false_caught == paper.false_caught
    assert fraud(here, levers_by("LR"), ASSUMED).false_caught < ledger.false_caught


def test_sets_of_levers_are_numbered_by_bits():
    assert names_of(0) == ()
    assert letters_of(names_of(0b100101)) == "LAO"
    assert Levers.numbered(0b111111) == levers_by("LEARDO")
