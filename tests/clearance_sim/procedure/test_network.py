import tomllib

import pytest

from clearance_sim.commands.customs import scenario_text
from clearance_sim.procedure.context import context, contexts
from clearance_sim.procedure.levers import ARMS, Levers
from clearance_sim.procedure.network import OWNERS, network, pruned
from clearance_sim.scenario.checks import loads_of
from clearance_sim.scenario.loader import from_values, loads
from tests.clearance_sim.procedure.builders import levers_by


@pytest.mark.parametrize("name", contexts())
@pytest.mark.parametrize("letters", ["", "L", "E", "A", "R", "D", "O", "LEARDO"])
def test_every_lever_makes_a_valid_scenario(name, letters):
    """Every set of levers makes a scenario that the reader takes."""
    scenario = from_values(network(context(name), levers_by(letters)))
    assert set(scenario.clocks) >= {"arrival → release", "lodgement → release"}


@pytest.mark.parametrize("arm", ARMS, ids=lambda arm: arm.name)
def test_written_scenario_reads_back_as_run(arm):
    """A written scenario is read back as the one that runs."""
    here = context("general-import")
    written = loads(scenario_text(here, arm))
    direct = from_values(network(here, arm.levers))
    assert set(written.stations) == set(direct.stations)
    assert loads_of(written) == pytest.approx(loads_of(direct), rel=1e-5)


def test_written_scenario_names_sources_of_numbers():
    """A written scenario names the source of its numbers."""
    text = scenario_text(context("general-import"), ARMS[0])
    service = tomllib.loads(text)["stations"]["document check"]["service"]
    assert service["median_h"]["source"].startswith("check_median_wh [assumption]: officer's work")
    assert service["median_h"]["range"] == [0.3, 2.0]


def test_paper_office_is_busy_but_not_overwhelmed():
    loads_found = loads_of(from_values(network(context("general-import"), Levers())))
    assert 0.6 < loads_found["document check"] < 0.95
    assert 0.4 < loads_found["examination"] < 0.9


def test_ledger_unloads_document_desk_only():
    """The ledger takes work off the document desk and nowhere else."""
    here = context("general-import")
    paper, ledger = (loads_of(from_values(network(here, levers_by(letters)))) for letters in ("", "L"))
    assert ledger["document check"] < 0.5 * paper["document check"]
    assert ledger["examination"] == pytest.approx(paper["examination"])


def test_what_nobody_takes_is_left_out():
    table = network(context("general-import"), levers_by("A"))
    assert "acceptance" not in table["stations"]
    assert "verification" not in table["stations"]
    assert "release by hand" not in table["stations"]
    assert pruned(table) == table


def test_every_station_that_takes_time_has_an_owner():
    instant = {"lodgement", "channel", "assessment", "clearing", "released"}
    for arm in ARMS:
        assert set(network(context("general-import"), arm.levers)["stations"]) - instant <= set(OWNERS)
