import numpy as np
import pytest

from clearance_sim.procedure.calibration import from_mean_and_shares, from_median_and_p90, scaled


def test_nhava_sheva_figures_give_known_shape():
    """Nhava sheva 2018 is a log normal above a floor of about eighteen hours."""
    fit = from_mean_and_shares(144.18, 2 / 3, 72, 0.29)
    assert fit.sigma == pytest.approx(0.86, abs=0.005)
    assert fit.floor == pytest.approx(18, abs=1)
    assert fit.median == pytest.approx(105, abs=1)


def test_fit_gives_back_its_figures():
    """A fit gives back what it was fitted to."""
    fit = from_mean_and_shares(100, 0.7, 60, 0.4)
    draws = fit.floor + np.random.default_rng(1).lognormal(fit.mu, fit.sigma, 400_000)
    assert draws.mean() == pytest.approx(100, rel=0.01)
    assert (draws < 100).mean() == pytest.approx(0.7, abs=0.005)
    assert (draws < 60).mean() == pytest.approx(0.4, abs=0.005)


def test_median_and_ninth_decile_are_kept():
    fit = from_median_and_p90(14, 54)
    assert (fit.median, fit.quantile(0.9)) == (pytest.approx(14), pytest.approx(54))


def test_scaling_keeps_the_shape():
    fit = from_mean_and_shares(144.18, 2 / 3, 72, 0.29)
    half = scaled(fit, 0.5)
    assert half.mean == pytest.approx(72.09)
    assert half.share_below(36) == pytest.approx(0.29)


@pytest.mark.parametrize("share", [0.5, 0.3, 1.0])
def test_total_not_skewed_right_is_refused(share):
    """A total that is not skewed to the right is refused."""
    with pytest.raises(ValueError, match="right-skewed"):
        from_mean_and_shares(100, share, 60, 0.2)


def test_ninth_decile_below_the_median_is_refused():
    with pytest.raises(ValueError, match="ninth decile"):
        from_median_and_p90(10, 5)
