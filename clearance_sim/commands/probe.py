"""`clearance-sim probe`: measure a running Provenport, try forgeries on it, and print the findings."""

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import click
from rich import box
from rich.console import Console
from rich.table import Table

from clearance_sim.commands import LocalisedCommand
from clearance_sim.commands.terminal import (
    check_writable,
    console,
    echo_document,
    make_folder,
    print_table,
    write_document,
)
from clearance_sim.messages import _, sentences
from clearance_sim.probe import Campaign, Plan, ProbeError
from clearance_sim.probe.client import ROLES, connect, tokens_from
from clearance_sim.probe.findings import MEASURES, QUANTILES, Estimate, Fates, Findings, proportion, quantile


def show(campaign: Campaign, on: Console) -> None:
    """Print the findings of a campaign."""
    found = campaign.found
    on.print(
        str(
            _(
                "Provenport {version} at {url}: {good} good, {wrong} wrong, {forged} forged in {seconds:.0f} s",
                version=campaign.at.version,
                url=campaign.at.url,
                good=found.of("good").tried,
                wrong=found.of("wrong").tried,
                forged=found.of("forged").tried,
                seconds=campaign.wall_seconds,
            )
        )
    )
    print_table(_times(found), on)
    print_table(_detection(found), on)
    for line in (*found.notes, *_faults(found.faults)):
        on.print(line, highlight=False, soft_wrap=True)
    on.print(sentence(found), style="bold" if found.forgeries_passed else None, highlight=False, soft_wrap=True)


def _times(found: Findings) -> Table:
    table = Table(
        title=str(_("The machine's part, in seconds (95 % intervals)")),
        title_justify="left",
        box=box.SIMPLE,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column(str(_("step")), no_wrap=True)
    for heading in ("n", "P50", "", "P95", "", "P99"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, title in MEASURES.items():
        if seconds := found.seconds.get(name):
            p50, p95, p99 = (quantile(seconds, QUANTILES[share]) for share in ("p50", "p95", "p99"))
            figures = (_seconds(p50.value), _interval(p50), _seconds(p95.value), _interval(p95), _seconds(p99.value))
            table.add_row(str(title), str(len(seconds)), *figures)
    return table


def _interval(estimate: Estimate) -> str:
    return str(_("{low} to {high}", low=_seconds(estimate.low), high=_seconds(estimate.high)))


def _seconds(value: float | None) -> str:
    return "?" if value is None else f"{value:.3f}" if value < 1 else f"{value:.2f}"


def _detection(found: Findings) -> Table:
    table = Table(
        title=str(_("What became of them")), title_justify="left", box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False
    )
    table.add_column(str(_("consignments")), no_wrap=True)
    for heading in (_("tried"), _("caught"), _("undecided"), _("passed"), _("share caught")):
        table.add_column(str(heading), justify="right", no_wrap=True)
    for family, title in _FAMILIES.items():
        kinds = sorted((kind, fates) for (name, kind), fates in found.fates.items() if name == family)
        rows = kinds if family != "good" else [(str(_("refused wrongly")), found.of("good"))]
        for kind, fates in rows:
            table.add_row(f"{title}: {kind}", *_row(fates))
        if family != "good" and rows:
            table.add_row(f"{title}: {_('all')}", *_row(found.of(family)), end_section=True)
    return table


_FAMILIES = {"forged": _("forged"), "wrong": _("wrong"), "good": _("good")}


def _row(fates: Fates) -> Iterable[str]:
    yield from (str(fates.tried), str(fates.caught), str(fates.undecided), str(fates.passed))
    share = proportion(fates.caught, fates.tried)
    if share.low is None:
        yield "–"
    else:
        yield str(_("{share:.0%} ({low:.0%} to {high:.0%})", share=share.value, low=share.low, high=share.high))


MOST_FAULTS = 5


def _faults(faults: list[str]) -> list[str]:
    if not faults:
        return []
    more = len(faults) - MOST_FAULTS
    head = _("{count} consignment(s) could not be brought to their end and count nowhere:", count=len(faults))
    rest = [f"  {_('… and {count} more', count=more)}"] if more > 0 else []
    return [str(head), *(f"  {fault}" for fault in faults[:MOST_FAULTS]), *rest]


def sentence(found: Findings) -> str:
    """Return the findings in a few sentences."""
    forged, wrong, good = found.of("forged"), found.of("wrong"), found.of("good")
    parts = []
    if forged.passed:
        values = {"passed": forged.passed, "tried": forged.tried}
        parts.append(_("{passed} of {tried} forgeries passed for genuine.", **values))
    elif forged.tried:
        least = proportion(forged.tried, forged.tried).low
        parts.append(
            _(
                "No forgery of {tried} passed (with 95 % confidence at least {least:.1%} do not).",
                tried=forged.tried,
                least=least,
            )
        )
    if wrong.passed:
        values = {"passed": wrong.passed, "tried": wrong.tried}
        parts.append(_("{passed} of {tried} wrong consignments passed.", **values))
    if good.tried and good.passed < good.tried:
        values = {"held": good.tried - good.passed, "tried": good.tried}
        parts.append(_("{held} of {tried} consignments in order were refused or held.", **values))
    elif good.tried:
        parts.append(_("All {tried} consignments in order were released.", tried=good.tried))
    return str(sentences(parts) if parts else _("Nothing could be judged."))


PASSED, NOT_MADE, INCOMPLETE = 1, 2, 3


def _own_url() -> str:
    """Return the address of a server that was started on this machine with the same environment."""
    return f"http://127.0.0.1:{os.environ.get('PORT') or '8080'}"


@click.command(
    cls=LocalisedCommand, name="probe", short_help="Measure a running Provenport over HTTP, and try to deceive it."
)
@click.option("--url", default=_own_url, help="Where it runs, by default on the port that PORT names, else 8080.")
@click.option("--credentials", type=click.Path(dir_okay=False, path_type=Path), help="File with roles and tokens.")
@click.option("--token", "tokens", multiple=True, metavar="ROLE=TOKEN", help=f"One of {', '.join(ROLES)}. Repeat it.")
@click.option("--count", type=int, default=40, show_default=True, help="Consignments to send.")
@click.option("--seconds", type=float, default=300.0, show_default=True, help="Begin none after this.")
@click.option("--rate", type=float, default=2.0, show_default=True, help="Consignments begun in a second.")
@click.option("--at-once", type=int, default=4, show_default=True, help="Consignments under way at once.")
@click.option("--wrong", type=float, default=0.25, show_default=True, help="Share with papers that do not match.")
@click.option("--forged", type=float, default=0.35, show_default=True, help="Share with a forged certificate.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed sends the same consignments.")
@click.option("--patience", type=float, default=120.0, show_default=True, help="Seconds for one step on the ledger.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write everything to this JSON file.")
@click.option("--json", "as_json", is_flag=True, help="Print the JSON instead of the tables.")
def probe_command(
    url: str,
    credentials: Path | None,
    tokens: tuple[str, ...],
    count: int,
    seconds: float,
    rate: float,
    at_once: int,
    wrong: float,
    forged: float,
    seed: int,
    patience: float,
    out: Path | None,
    as_json: bool,
) -> None:
    """Send good, wrong and forged consignments to a running Provenport, and time its part of each clearance.

    Needs the tokens of a chamber, a laboratory, a merchant and an officer; with the authority's, an issuer without
    accreditation is tried too. It leaves real records there: probe a demonstration or a test installation. Exit
    codes: 0 no forgery passed, 1 a forgery passed, 2 the probe could not be made, 3 some consignments could not be
    brought to their end.
    """
    progress = console(stderr=True)
    if out is not None:
        make_folder(out.parent)
        check_writable(out)
    try:
        plan = Plan(count, seconds, rate, at_once, seed, wrong, forged, patience)
        at = connect(url, _tokens(credentials, tokens))
        with progress.status(str(_("Probing"))) as status:
            campaign = Campaign(
                at,
                plan,
                lambda done, total: status.update(str(_("Probing: {done} of {total}", done=done, total=total))),
            )
            campaign.run()
        text = json.dumps(campaign.to_json(), indent=2, ensure_ascii=False, allow_nan=False)
        if out is not None:
            write_document(out, text + "\n")
    except ProbeError as error:
        click.echo(_("clearance-sim probe: {error}", error=error), err=True)
        sys.exit(NOT_MADE)
    if as_json:
        echo_document(text)
    else:
        show(campaign, console())
        if out is not None:
            click.echo(_("Written to {out}", out=out))
    sys.exit(_exit_code(campaign))


def _tokens(credentials: Path | None, given: tuple[str, ...]) -> dict[str, str]:
    tokens = tokens_from(credentials) if credentials else {}
    for pair in given:
        role, equals, token = pair.partition("=")
        if not equals or role not in ROLES or not token:
            raise ProbeError(
                _("--token takes ROLE=TOKEN with one of {names}, not {role}", names=", ".join(ROLES), role=role)
            )
        tokens[role] = token
    return {role: token for role, token in tokens.items() if role in ROLES}


def _exit_code(campaign: Campaign) -> int:
    if campaign.found.forgeries_passed:
        return PASSED
    return INCOMPLETE if campaign.found.faults else 0
