import numpy as np
import pytest

from clearance_sim.staffing.search import select


def normal_systems(means, seed, shared=0.0):
    def sample(system, start, count):
        own = np.random.default_rng([seed, system]).normal(size=400)[start : start + count]
        common = np.random.default_rng([seed, 999]).normal(size=400)[start : start + count]
        return means[system] + own + shared * common

    return sample


def test_smallest_system_is_kept_as_promised():
    """The smallest system is kept as often as promised."""
    right = sum(
        select(3, normal_systems([1.0, 1.5, 1.6], seed), indifference=0.5, confidence=0.95, most=400).best == 0
        for seed in range(100)
    )
    assert right >= 95


def test_hopeless_system_is_dropped_early():
    choice = select(2, normal_systems([0.0, 10.0], 1), indifference=0.5)
    assert (choice.best, choice.decided) == (0, True)
    assert max(choice.replications) == 10


def test_luck_that_systems_share_costs_nothing():
    alone = select(2, normal_systems([0.0, 0.6], 3), indifference=0.3, most=400)
    shared = select(2, normal_systems([0.0, 0.6], 3, shared=50.0), indifference=0.3, most=400)
    assert shared == alone


def test_equal_systems_stay_undecided():
    """Equal systems are said to be undecided when replications run out."""
    choice = select(2, normal_systems([1.0, 1.0], 5), indifference=0.01, most=20)
    assert not choice.decided
    assert choice.survivors == (0, 1)


def test_one_system_needs_no_race():
    assert select(1, normal_systems([4.0], 1), indifference=0.5).best == 0


@pytest.mark.parametrize("seed", range(3))
def test_choice_is_the_same_whenever_asked(seed):
    sample = normal_systems([1.0, 1.1, 1.2], seed)
    assert select(3, sample, 0.2) == select(3, sample, 0.2)
