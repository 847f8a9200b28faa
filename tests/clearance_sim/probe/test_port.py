"""Without an address, the probe asks the server on the port that the environment names."""

import pytest
from click.testing import CliRunner

from clearance_sim.cli import cli


@pytest.mark.parametrize(("port", "address"), [("1", "127.0.0.1:1"), ("", "127.0.0.1:8080")])
def test_probe_follows_port(port, address, monkeypatch):
    asked = []

    def connect(url, tokens):
        asked.append(url)
        raise SystemExit(3)

    monkeypatch.setattr("clearance_sim.commands.probe.connect", connect)
    done = CliRunner(env={"PORT": port}).invoke(cli, ["probe", "--token", "officer=x"])
    assert done.exit_code == 3, done.output
    assert asked == [f"http://{address}"]
