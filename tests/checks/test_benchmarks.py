"""The benchmarks that make bench runs measure what they say, tried on a few bundles."""

from tests.benchmarks import verifying
from tests.benchmarks.run import BENCHMARKS


def test_bundles_that_are_measured_are_valid(monkeypatch, tmp_path):
    for name, few in (("BUNDLES", 2), ("ROUNDS", 1), ("BATCH", 64)):
        monkeypatch.setattr(verifying, name, few)
    found = BENCHMARKS["verifying"](tmp_path)
    assert all(figure.value > 0 for figure in found)
