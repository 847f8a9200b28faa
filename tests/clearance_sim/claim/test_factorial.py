import numpy as np
import pytest

from clearance_sim.claim.factorial import shares, with_credit


def a_game(value_of, count):
    teams = ({player for player in range(count) if mask >> player & 1} for mask in range(1 << count))
    return np.array([[value_of(team)] for team in teams])


def test_glove_game_has_its_known_shapley_values():
    """The shares of the glove game are the known ones."""
    # One left glove (0), two right gloves (1, 2); a pair is worth 1: shares 2/3, 1/6, 1/6.
    split = shares("abc", a_game(lambda team: float(0 in team and len(team) > 1), 3))
    assert split.shapley[:, 0] == pytest.approx([2 / 3, 1 / 6, 1 / 6])


def test_shapley_values_of_any_game_sum_up():
    """The shares sum to the whole whatever the game."""
    values = np.random.default_rng(4).normal(size=(64, 7))
    split = shares("LEARDO", values)
    assert split.shapley.sum(axis=0) == pytest.approx(values[-1] - values[0])


def test_equal_levers_share_equally_and_idle_get_nothing():
    """Levers that do the same get the same and a lever that does nothing gets nothing."""
    split = shares("abc", a_game(lambda team: float(len(team & {0, 1}) ** 2), 3))
    assert split.shapley[0, 0] == pytest.approx(split.shapley[1, 0])
    assert split.shapley[2, 0] == 0


def test_overlapping_levers_differ_first_in_and_last_in():
    """First in and last in differ when levers overlap."""
    # Either lever alone saves all there is.
    split = shares("ab", a_game(lambda team: 10.0 if team else 0.0, 2))
    assert (split.first_in[0, 0], split.last_in[0, 0], split.shapley[0, 0]) == (10, 0, 5)


def test_credit_adds_stated_fractions_of_other_levers():
    split = np.array([[1.0], [20.0], [10.0]])
    direct, enabled = with_credit(split, "LER", {"E": 1.0, "R": 0.5}, to="L")
    assert (direct[0], enabled[0]) == (1.0, 26.0)


def test_game_with_a_missing_set_is_refused():
    with pytest.raises(ValueError, match="make 8 sets"):
        shares("abc", np.zeros((7, 1)))
