"""`clearance-sim staffing`: search for the cheapest roster that reaches a target."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import click

from clearance_sim.commands import LocalisedCommand
from clearance_sim.commands.files import opened
from clearance_sim.commands.terminal import echo_document
from clearance_sim.messages import _
from clearance_sim.scenario import ScenarioError
from clearance_sim.staffing.rosters import Offer, RosterError, own_offers, read_offer
from clearance_sim.staffing.search import Fate, Search, TargetError, read_target, search

REACHED, NOT_REACHED = 0, 1


@click.command(cls=LocalisedCommand, name="staffing", short_help="Find the least-cost roster that reaches a target.")
@click.argument("scenario")
@click.option("--target", "targets", multiple=True, required=True, help="'P90(lodgement → release) <= 8h'. Repeat it.")
@click.option("--station", "stations", multiple=True, help="Staff only this station's own shifts. Repeat it.")
@click.option(
    "--shift",
    "shifts",
    multiple=True,
    help="Offer a shift: 'STATION: mon-fri 17:00-24:00 x0-6 @1.5' (cost an hour). Repeat it.",
)
@click.option("--most", type=click.IntRange(1), help="At most so many on any one of the scenario's own shifts.")
@click.option(
    "--confidence", default=0.95, show_default=True, type=click.FloatRange(0.5, 0.999), help="Of every decision."
)
@click.option(
    "--indifference", default=0.1, show_default=True, type=click.FloatRange(1e-6), help="Hours that do not matter."
)
@click.option("--replications", default=64, show_default=True, type=click.IntRange(8), help="At most, for one roster.")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0), help="Seed.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def staffing_command(
    scenario: str,
    targets: tuple[str, ...],
    stations: tuple[str, ...],
    shifts: tuple[str, ...],
    most: int | None,
    confidence: float,
    indifference: float,
    replications: int,
    seed: int,
    as_json: bool,
) -> None:
    """Search how many people on which shift reach every target at the least cost a week.

    SCENARIO is a file, or the name of a packaged scenario.

    Offered are the shifts named with --shift, else the scenario's own. Ends with 0 when a roster reaches the targets,
    with 1 when none on offer does.
    """
    try:
        network = opened(scenario, ())
        wanted = [read_target(words, list(network.clocks)) for words in targets]
        offers = [read_offer(words, network) for words in shifts] or own_offers(network, stations)
    except (ScenarioError, TargetError, RosterError) as fault:
        raise click.ClickException(str(fault)) from fault
    if most is not None and not shifts:
        offers = [replace(offer, most=most) for offer in offers]
    log = (lambda _: None) if as_json else (lambda line: click.echo(f"  {line}"))
    found = search(
        network,
        offers,
        wanted,
        confidence=confidence,
        indifference_h=indifference,
        most=replications,
        seed=seed,
        log=log,
    )
    echo_document(json.dumps(document(found), ensure_ascii=False, indent=1)) if as_json else _show(found)
    raise SystemExit(REACHED if found.best else NOT_REACHED)


def document(found: Search) -> dict[str, Any]:
    """Return the result of the search as JSON values."""
    best, choice = found.best, found.choice
    return {
        "format": "clearance-sim staffing 1",
        "confidence": found.confidence,
        "targets": [target.words for target in found.targets],
        "best": None
        if best is None
        else {
            "cost_a_week": best.cost,
            "shifts": [_shift(offer, people) for offer, people in zip(found.offers, best.roster, strict=True)],
            "statistics": [figure.to_json() for figure in best.statistics],
            "replications": best.replications,
        },
        "equally_cheap": None
        if choice is None
        else {"systems": len(choice.replications), "decided": choice.decided, "indifference_h": choice.indifference},
        "tried": [
            {
                "roster": list(t.roster),
                "cost": t.cost,
                "fate": t.fate,
                "statistics": [figure.to_json() for figure in t.statistics],
            }
            for t in found.tried
        ],
        "skipped": {"by_load": found.skipped_by_load, "as_weaker": found.skipped_as_weaker},
    }


def _shift(offer: Offer, people: int) -> dict[str, Any]:
    return {"station": offer.station, "days": offer.days, "from": offer.from_, "to": offer.to, "servers": people}


def _show(found: Search) -> None:
    undecided = sum(t.fate == Fate.UNDECIDED for t in found.tried)
    line = _(
        "{count} rosters simulated, {by_load} skipped for lack of hours, {as_weaker} as weaker than one that fails",
        count=len(found.tried),
        by_load=found.skipped_by_load,
        as_weaker=found.skipped_as_weaker,
    )
    if undecided:
        line = _("{line}, {count} that could not be told apart from the target", line=line, count=undecided)
    click.echo(line)
    if found.best is None:
        click.echo(_("No roster on offer reaches the target: offer more people or other shifts (--shift, --most)."))
        return
    click.echo(_("Least cost: {cost:g} a week", cost=found.best.cost))
    for offer, people in zip(found.offers, found.best.roster, strict=True):
        click.echo(f"  {people:>3}  {offer.words}")
    for target, figure in zip(found.targets, found.best.statistics, strict=True):
        bounds = {"value": f"{figure.value:.3g}", "low": f"{figure.low:.3g}", "high": f"{figure.high:.3g}"}
        click.echo(f"  {target.words}: {_('{value} ({low} to {high})', **bounds)}")
    if found.choice and len(found.choice.replications) > 1:
        sure = _("{level:.0%} sure", level=found.confidence) if found.choice.decided else _("not told apart")
        count = len(found.choice.replications)
        click.echo(f"  {_('best of {count} equally cheap rosters ({sure})', count=count, sure=sure)}")
