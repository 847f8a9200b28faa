"""Simulations of the clearance procedure, for analysts."""

from datetime import datetime
from typing import Any, Literal

from flask import Response, send_file, url_for
from pydantic import Field

from backend.domain.simulation import MOST_REPLICATIONS, Scenario, Simulation
from backend.services import simulations
from backend.web.api.shapes import Shape
from backend.web.api.views import auth, blueprint
from backend.web.context import language, person, simulation_context
from backend.web.presentation.languages import own


class ParameterShape(Shape):
    """A number of a scenario that may be changed."""

    key: str
    title: str
    value: float
    low: float
    high: float
    unit: str
    source: str = Field(description="Where the value comes from; “assumption” where nobody has published one")


class ScenarioShape(Shape):
    """A packaged scenario."""

    name: str
    title: str
    summary: str
    parameters: list[ParameterShape]


class ScenarioList(Shape):
    """The packaged scenarios."""

    scenarios: list[ScenarioShape]


class SimulationInput(Shape):
    """A simulation to run: a packaged scenario by its name, or the text of a scenario file."""

    scenario: str | None = Field(None, max_length=120)
    scenario_text: str | None = Field(None, description="A TOML file of one's own, instead of scenario")
    parameters: dict[str, float] = Field(default_factory=dict, max_length=500)
    replications: int = Field(20, ge=1, le=MOST_REPLICATIONS)
    seed: int = Field(1, ge=0)


class FaultShape(Shape):
    """Why a simulation failed."""

    where: str
    line: int | None
    what: str
    fix: str


class SimulationSummary(Shape):
    """One line of a list of simulations."""

    id: str
    scenario: str
    title: str
    state: Literal["waiting", "running", "done", "failed", "cancelled", "lost"]
    done: int = Field(description="Replications that are done")
    total: int
    ordered_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    url: str


class SimulationShape(SimulationSummary):
    """A simulation with what went in and what came out."""

    parameters: dict[str, float] = Field(description="Values that differ from the scenario's own")
    replications: int
    seed: int
    faults: list[FaultShape]
    files: dict[str, str] = Field(description="What it left, by name: JSON, Parquet and HTML to download")
    result: dict[str, Any] | None = Field(description="Clocks and stations with their intervals, once it is done")


class SimulationList(Shape):
    """Simulations, newest first."""

    simulations: list[SimulationSummary]


@blueprint.get("/simulation-scenarios")
@blueprint.auth_required(auth)
@blueprint.output(ScenarioList)
@blueprint.doc(summary="List scenarios", tags=["Analysts"], responses=[401, 403, 503])
def list_scenarios() -> dict[str, Any]:
    """The packaged scenarios with the parameters that may be changed, and within which bounds."""
    return {"scenarios": [_scenario(scenario) for scenario in simulations.scenarios(simulation_context(), person())]}


@blueprint.post("/simulations")
@blueprint.auth_required(auth)
@blueprint.input(SimulationInput, location="json", arg_name="body")
@blueprint.output(SimulationShape, status_code=201)
@blueprint.doc(summary="Order a simulation", tags=["Analysts"], responses=[401, 403, 409, 422, 503])
def post_simulation(body: SimulationInput) -> dict[str, Any]:
    """It runs in the background when its turn comes. A scenario that is refused names every fault with its line."""
    order = simulations.Order(
        body.scenario, body.scenario_text, body.parameters, body.replications, body.seed, language()
    )
    return _whole(simulations.order(simulation_context(), person(), order))


@blueprint.get("/simulations")
@blueprint.auth_required(auth)
@blueprint.output(SimulationList)
@blueprint.doc(summary="List simulations", tags=["Analysts"], responses=[401, 403])
def list_simulations() -> dict[str, Any]:
    """Your organisation's, newest first."""
    return {"simulations": [_summary(simulation) for simulation in simulations.listed(simulation_context(), person())]}


@blueprint.get("/simulations/<simulation_id>")
@blueprint.auth_required(auth)
@blueprint.output(SimulationShape)
@blueprint.doc(summary="Read a simulation", tags=["Analysts"], responses=[401, 404])
def get_simulation(simulation_id: str) -> dict[str, Any]:
    """Where it stands, and its result once it is done."""
    return _whole(_visible(simulation_id))


@blueprint.post("/simulations/<simulation_id>/cancellation")
@blueprint.auth_required(auth)
@blueprint.output(SimulationSummary, status_code=201)
@blueprint.doc(summary="Cancel a simulation", tags=["Analysts"], responses=[401, 404, 409])
def post_cancellation(simulation_id: str) -> dict[str, Any]:
    """End it; 409 where it has ended already."""
    return _summary(simulations.cancel(simulation_context(), person(), simulation_id))


@blueprint.get("/simulations/<simulation_id>/files/<name>")
@blueprint.auth_required(auth)
@blueprint.doc(summary="Download a simulation's file", tags=["Analysts"], responses=[401, 404])
def get_simulation_file(simulation_id: str, name: str) -> Response:
    """result.json, trace.parquet, report.en.html or report.zh.html, as far as there is one."""
    found = simulations.file_of(simulation_context(), _visible(simulation_id), name)
    return send_file(found, as_attachment=True, download_name=name)


def _visible(simulation_id: str) -> Simulation:
    with simulation_context().work(reading=True) as work:
        return simulations.visible(work, person(), simulation_id)


def _scenario(scenario: Scenario) -> dict[str, Any]:
    return {
        "name": scenario.name,
        "title": own(scenario.title),
        "summary": own(scenario.summary),
        "parameters": [
            {
                "key": parameter.key,
                "title": own(parameter.title),
                "value": parameter.value,
                "low": parameter.low,
                "high": parameter.high,
                "unit": parameter.unit,
                "source": parameter.source,
            }
            for parameter in scenario.parameters
        ],
    }


def _summary(simulation: Simulation) -> dict[str, Any]:
    return {
        "id": simulation.id,
        "scenario": simulation.scenario,
        "title": own(simulation.title),
        "state": simulation.state.value,
        "done": simulation.done,
        "total": simulation.total or simulation.replications,
        "orderedAt": simulation.ordered_at,
        "startedAt": simulation.started_at,
        "endedAt": simulation.ended_at,
        "url": url_for("api.get_simulation", simulation_id=simulation.id),
    }


def _whole(simulation: Simulation) -> dict[str, Any]:
    names = simulations.files_of(simulation_context(), simulation)
    return {
        **_summary(simulation),
        "parameters": simulation.settings,
        "replications": simulation.replications,
        "seed": simulation.seed,
        "faults": simulation.faults,
        "files": {name: url_for("api.get_simulation_file", simulation_id=simulation.id, name=name) for name in names},
        "result": simulation.result,
    }
