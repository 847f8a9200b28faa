import json

import pytest

from clearance_sim.procedure.measured import ASSUMED, MeasuredError, read_measured


def a_probe(**changes):
    def measure(p50, p90):
        return {"unit": "s", "count": 40, "p50": {"value": p50}, "p90": {"value": p90}}

    document = {
        "measures": {"lodgeToVerdict": measure(0.4, 1.1), "decisionToFinal": measure(2.0, 3.0)},
        "detection": {"forged": {"all": {"tried": 20, "caught": 19}}},
    }
    return document | changes


def test_probes_file_gives_the_machines_part(tmp_path):
    path = tmp_path / "probe.json"
    path.write_text(json.dumps(a_probe()))
    part = read_measured(path)
    assert part.source == "probe.json"
    assert part.verdict_distribution() == {"distribution": "log-normal", "median_h": 0.4 / 3600, "p90_h": 1.1 / 3600}
    assert part.caught_share == 0.95
    assert part.to_json()["caught_share"]["low"] < 0.95


def test_machine_part_without_probe_is_assumed():
    """Without a probe the machines part says that it is assumed."""
    assert ASSUMED.to_json()["source"] == "assumption"


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", json.dumps(a_probe(measures={})), json.dumps(a_probe(detection={"forged": {}}))]
)
def test_file_without_what_is_needed_is_refused(tmp_path, text):
    path = tmp_path / "probe.json"
    path.write_text(text)
    with pytest.raises(MeasuredError, match=r"probe\.json"):
        read_measured(path)
