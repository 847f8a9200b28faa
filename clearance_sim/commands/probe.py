"""``clearance-sim probe``: measure a running Provenport, and try to deceive it."""

import json
import sys
from pathlib import Path

import click
from rich.console import Console

from clearance_sim.probe import Campaign, Plan, ProbeError
from clearance_sim.probe.answers import ROLES, connect, tokens_from
from clearance_sim.probe.table import show

PASSED, NOT_MADE, INCOMPLETE = 1, 2, 3


@click.command("probe", short_help="Measure a running Provenport over HTTP, and try to deceive it.")
@click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="Where it runs.")
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
def probe(
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
    progress = Console(stderr=True)
    try:
        plan = Plan(count, seconds, rate, at_once, seed, wrong, forged, patience)
        at = connect(url, _tokens(credentials, tokens))
        with progress.status("Probing") as status:
            campaign = Campaign(at, plan, lambda done, wanted: status.update(f"Probing: {done} of {wanted}"))
            campaign.run()
        text = json.dumps(campaign.to_json(), indent=2, ensure_ascii=False, allow_nan=False)
        if out is not None:
            _write(out, text)
    except ProbeError as error:
        click.echo(f"clearance-sim probe: {error}", err=True)
        sys.exit(NOT_MADE)
    if as_json:
        click.echo(text)
    else:
        show(campaign, Console())
        if out is not None:
            click.echo(f"Written to {out}")
    sys.exit(_exit_code(campaign))


def _tokens(credentials: Path | None, given: tuple[str, ...]) -> dict[str, str]:
    tokens = tokens_from(credentials) if credentials else {}
    for pair in given:
        role, equals, token = pair.partition("=")
        if not equals or role not in ROLES or not token:
            raise ProbeError(f"--token takes ROLE=TOKEN with one of {', '.join(ROLES)}, not {role}")
        tokens[role] = token
    return {role: token for role, token in tokens.items() if role in ROLES}


def _write(out: Path, text: str) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise ProbeError(f"{out} cannot be written ({error.strerror})") from error


def _exit_code(campaign: Campaign) -> int:
    if campaign.found.forgeries_passed:
        return PASSED
    return INCOMPLETE if campaign.found.faults else 0
