"""An analyst's simulations: choose a scenario, change its parameters, run it, compare and download results."""

from collections.abc import Mapping
from typing import Any

from flask import abort, flash, redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from backend.domain.errors import Conflict, Invalid
from backend.domain.parties import Role
from backend.domain.simulation import MOST_REPLICATIONS, Scenario, Simulation, SimulatorMissing, WrongScenario
from backend.messages.catalogue import say
from backend.services import simulations as use_cases
from backend.services.simulations import Order
from backend.web.context import language, only, person, simulation_context
from backend.web.pages import blueprint
from backend.web.presentation.field_names import in_words
from backend.web.presentation.languages import own
from backend.web.presentation.simulation_figures import compared, tables

MOST_COMPARED = 4
_FIELD = "parameter:"


@blueprint.get("/simulations")
@only(Role.ANALYST)
def simulations() -> str:
    """List the packaged scenarios and the analyst's simulations."""
    try:
        scenarios, missing = use_cases.scenarios(simulation_context(), person()), ""
    except SimulatorMissing as error:
        scenarios, missing = (), say(error, language())
    mine = use_cases.listed(simulation_context(), person())
    return render_template("pages/simulations.html", scenarios=scenarios, missing=missing, simulations=mine)


@blueprint.route("/simulations/new", methods=["GET", "POST"])
@only(Role.ANALYST)
def new_simulation() -> ResponseReturnValue:
    """Show a scenario's parameters with their bounds, or the faults of an uploaded file, and take the order."""
    if request.method == "GET":
        return _start()
    typed, faults = _numbers(request.form)
    text = _own_text()
    wanted = Order(
        request.form.get("scenario"),
        text,
        typed["parameters"],
        typed.get("replications", 20),
        typed.get("seed", 1),
        language(),
    )
    try:
        scenario = use_cases.find_scenario(simulation_context(), person(), wanted)
    except WrongScenario as error:
        return render_template("pages/simulation_file.html", text=text, faults=error.faults), 422
    except Invalid as error:
        return render_template("pages/simulation_file.html", text=text, wrong=_first(error)), 422
    if "look" in request.form:
        return _form(scenario, {}, {})
    if not faults:
        try:
            ordered = use_cases.order(simulation_context(), person(), wanted)
            return redirect(url_for("pages.simulation", simulation_id=ordered.id))
        except Invalid as error:
            faults = {where: in_words(what) for where, what in error.problems}
        except Conflict as error:
            faults = {"": _too_many(error)}
    return _form(scenario, request.form, faults), 422


def _start() -> ResponseReturnValue:
    """Show the form with the scenario's own values, or with those of an earlier simulation."""
    if earlier_id := request.args.get("from"):
        earlier = _visible(earlier_id)
        scenario = use_cases.find_scenario(simulation_context(), person(), Order(earlier.scenario, earlier.text))
        values = {f"{_FIELD}{key}": f"{value:g}" for key, value in earlier.settings.items()}
        values |= {"replications": str(earlier.replications), "seed": str(earlier.seed)}
        return _form(scenario, values, {})
    name = request.args.get("scenario")
    if name is None:
        return render_template("pages/simulation_file.html", text="")
    try:
        return _form(use_cases.find_scenario(simulation_context(), person(), Order(name)), {}, {})
    except Invalid:
        abort(404)


def _form(scenario: Scenario, values: Mapping[str, str], faults: Mapping[str, str]) -> str:
    return render_template(
        "pages/simulation_new.html",
        scenario=scenario,
        values=values,
        faults=faults,
        field=_FIELD,
        most=MOST_REPLICATIONS,
    )


def _own_text() -> str | None:
    """Return the text of an uploaded file, or the text kept in the form after that. None for a packaged scenario."""
    uploaded = request.files.get("file")
    if uploaded is not None and uploaded.filename:
        content: bytes = uploaded.read()
        return content.decode("utf-8", "replace")
    typed: str | None = request.form.get("text")
    return typed


def _numbers(form: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Parse the numbers typed. Returns them, and the faults by the names that the order's faults have."""
    typed: dict[str, Any] = {"parameters": {}}
    faults: dict[str, str] = {}
    for name, value in form.items():
        text = value.strip()
        if not text:
            continue
        try:
            if name in ("replications", "seed"):
                typed[name] = int(text)
            elif name.startswith(_FIELD):
                typed["parameters"][name.removeprefix(_FIELD)] = float(text)
        except ValueError:
            key = name.replace(_FIELD, "parameters.", 1)
            faults[key] = in_words("valid integer" if name in ("replications", "seed") else "valid decimal")
    return typed, faults


def _first(error: Invalid) -> str:
    return in_words(error.problems[0][1] if error.problems else error.message)


def _too_many(error: Conflict) -> str:
    told: str = _("Too many simulations are kept. Delete some that you no longer need.")
    if "pending" in error.values:
        told = _("Too many of your simulations wait already. Let one end, or cancel it.")
    return told


@blueprint.get("/simulations/<simulation_id>")
@only(Role.ANALYST)
def simulation(simulation_id: str) -> str:
    """Show a simulation: its progress, and its result."""
    found = _visible(simulation_id)
    return render_template(
        "pages/simulation.html",
        simulation=found,
        tables=tables(found.result),
        names=_names(found),
        files=use_cases.files_of(simulation_context(), found),
        files_are_coming=use_cases.files_are_coming(simulation_context(), found),
        now=simulation_context().now(),
    )


def _names(found: Simulation) -> dict[str, str]:
    """Return the titles of the changed parameters, if the scenario still has them."""
    try:
        scenario = use_cases.find_scenario(simulation_context(), person(), Order(found.scenario, found.text))
    except (Invalid, SimulatorMissing):
        return {}
    return {parameter.key: own(parameter.title) for parameter in scenario.parameters}


@blueprint.post("/simulations/<simulation_id>/cancel")
@only(Role.ANALYST)
def cancel_simulation(simulation_id: str) -> ResponseReturnValue:
    """Cancel a simulation."""
    try:
        use_cases.cancel(simulation_context(), person(), simulation_id)
    except Conflict:
        flash(_("It had ended already."))
    else:
        flash(_("Cancelled."))
    return redirect(url_for("pages.simulation", simulation_id=simulation_id))


@blueprint.post("/simulations/<simulation_id>/delete")
@only(Role.ANALYST)
def delete_simulation(simulation_id: str) -> ResponseReturnValue:
    """Delete a simulation with its files."""
    use_cases.remove(simulation_context(), person(), simulation_id)
    flash(_("Deleted."))
    return redirect(url_for("pages.simulations"))


@blueprint.get("/simulations/<simulation_id>/files/<name>")
@only(Role.ANALYST)
def simulation_file(simulation_id: str, name: str) -> ResponseReturnValue:
    """Download one of a simulation's files."""
    found = use_cases.file_of(simulation_context(), _visible(simulation_id), name)
    return send_file(found, as_attachment=True, download_name=f"simulation-{simulation_id[:8]}-{name}")


@blueprint.get("/simulations/compare")
@only(Role.ANALYST)
def compare_simulations() -> ResponseReturnValue:
    """Show several simulations side by side."""
    ids = list(dict.fromkeys(request.args.getlist("run")))[:MOST_COMPARED]
    if len(ids) < 2:
        flash(_("Tick two to four simulations that are done, then compare."), "wrong")
        return redirect(url_for("pages.simulations"))
    chosen = [_visible(simulation_id) for simulation_id in ids]
    keys = dict.fromkeys(key for simulation in chosen for key in simulation.settings)
    return render_template("pages/simulation_compare.html", simulations=chosen, keys=keys, groups=compared(chosen))


def _visible(simulation_id: str) -> Simulation:
    with simulation_context().work(reading=True) as work:
        return use_cases.visible(work, person(), simulation_id)
