"""The examples for Prometheus and Grafana ask for figures that a running server gives."""

import json
import re
from pathlib import Path

import pytest
import yaml

from backend.web.public.health import FEW_TRANSACTIONS, LATE_SECONDS

EXAMPLES = Path(__file__).parents[2] / "docs/examples"
RULES = [
    rule
    for group in yaml.safe_load((EXAMPLES / "prometheus-rules.yaml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
BOARD = json.loads((EXAMPLES / "grafana.json").read_text(encoding="utf-8"))
ASKED = [rule["expr"] for rule in RULES] + [one["expr"] for panel in BOARD["panels"] for one in panel["targets"]]
SERIES = re.compile(r"(provenport_\w+)(?:\{(\w+)=\"([^\"]*)\"\})?")


def unknown(expression: str, figures: str) -> list[str]:
    """What an expression asks for and ``figures`` does not have: a name, or a name with a label."""
    return [
        found[0]
        for found in SERIES.finditer(expression)
        if not re.search(
            rf"^{found[1]}" + (rf"\{{{found[2]}=\"{found[3]}\"\}}" if found[2] else r"[ {]"), figures, re.MULTILINE
        )
    ]


@pytest.fixture(scope="module")
def figures(app) -> str:
    return app.test_client().get("/metrics").text


@pytest.mark.parametrize("expression", sorted(set(ASKED)))
def test_figure_asked_for_is_given(expression, figures):
    assert unknown(expression, figures) == []
    assert SERIES.search(expression) or expression.startswith("up{")


def test_missing_figure_is_found(figures):
    planted = 'rate(provenport_gone[5m]) + provenport_records{state="gone"}'
    assert unknown(planted, figures) == ["provenport_gone", 'provenport_records{state="gone"}']


def test_every_figure_is_on_the_board(figures):
    given = set(re.findall(r"^(provenport_\w+)", figures, re.MULTILINE))
    assert {
        found[1] for panel in BOARD["panels"] for one in panel["targets"] for found in SERIES.finditer(one["expr"])
    } == given


def test_alerts_have_the_bounds_of_healthz():
    bounds = {rule["alert"]: rule["expr"] for rule in RULES}
    assert bounds["ProvenportAnchoringLate"].endswith(f"> {LATE_SECONDS}")
    assert bounds["ProvenportAccountEmpty"].endswith(f"< {FEW_TRANSACTIONS}")


def test_legends_name_labels_of_the_figures(figures):
    for panel in BOARD["panels"]:
        for one in panel["targets"]:
            for label in re.findall(r"\{\{(\w+)\}\}", one["legendFormat"]):
                name = SERIES.search(one["expr"])[1]
                assert f"{name}{{{label}=" in figures
