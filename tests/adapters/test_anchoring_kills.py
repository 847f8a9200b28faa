"""kill -9 at every named point: nothing that was answered is lost, nothing is anchored twice."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_kills_at_named_points_lose_and_duplicate_nothing():
    """As many as fit into ninety seconds; in a process of its own, since forking copies the locks of other threads."""
    command = [sys.executable, "-m", "tests.stress.anchoring_kills", "200", "90"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "lost 0, anchored twice 0, number gaps 0, differences between database and ledger 0" in ended.stdout
    assert int(re.search(r"at (\d+) points", ended.stdout)[1]) >= 10
