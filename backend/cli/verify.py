"""``provenport verify`` and ``provenport trust-file``: verify evidence anywhere, and make what readers need for it.

Verification needs no installation, no settings, and no network unless a node is named. Imports are kept small.
"""

import os
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from backend.cli.localised import Command
from backend.cli.terminal import JSON_HELP, _, fault_line, language, print_json, said
from backend.domain.errors import message_of

if TYPE_CHECKING:
    from backend.domain.bundle import Bundle
    from backend.domain.bundle_verification import Remark
    from backend.domain.trust import Trust
    from backend.domain.verdict import Verdict

EXIT = {"VALID": 0, "INVALID": 1, "INDETERMINATE": 2}
_MARKS = {"pass": "●", "fail": "■", "indeterminate": "◐", "note": "○"}


class Age(click.ParamType[timedelta]):
    """A parameter type for durations."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Parse a duration such as 90m, 24h or 7d."""
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch("([0-9]{1,6})([mhd])", str(value))
        if found is None:
            self.fail(_("{value} is no age: write 90m, 24h or 7d", value=repr(value)), param, ctx)
        unit = {"m": "minutes", "h": "hours", "d": "days"}[found[2]]
        return timedelta(**{unit: int(found[1])})


class _Moment(click.ParamType[datetime]):
    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Parse an RFC 3339 time that does not lie in the future."""
        from backend.domain.strict_json import parse_timestamp

        try:
            moment = parse_timestamp(value)
        except ValueError:
            moment = None
        if moment is None:
            self.fail(_("{value} is no time: write 2026-03-02T12:00:00Z", value=repr(value)), param, ctx)
        if moment > datetime.now(UTC):
            self.fail(_("nobody knows yet what the ledger will hold then"), param, ctx)
        return moment


class VerdictCommand(Command):
    """A command whose exit code is a verdict. It never ends with 1 (INVALID) because of a fault."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Whatever goes wrong ends with 2: a full disk, a closed pipe, Ctrl-C, a fault of ours."""
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.UsageError):
            raise
        except (Exception, KeyboardInterrupt) as error:
            click.echo(
                _(
                    "{command}: no verdict: {error}",
                    command=ctx.command_path,
                    error=_why(error),
                ),
                err=True,
            )
            if isinstance(error, OSError):
                sys.stdout = None  # what could not be written is not tried again: that has an exit code of its own
            sys.exit(EXIT["INDETERMINATE"])


def _why(error: BaseException) -> str:
    shown = fault_line(error) if isinstance(error, Exception) else None
    return shown or said(message_of(error)) or type(error).__name__


@click.command("verify", cls=VerdictCommand)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--rpc", metavar="URL", help="Ask this node what the ledger holds, e.g. http://127.0.0.1:8080/rpc")
@click.option(
    "--trust",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Your trust file.",
)
@click.option("--max-age", type=Age(), default="24h", show_default=True, help="How old the ledger's facts may be.")
@click.option("--at", type=_Moment(), help="Judge as of this time (RFC 3339) instead of now.")
@click.option("--json", "as_json", is_flag=True, help=JSON_HELP)
def verify_command(
    file: Path,
    rpc: str | None,
    trust: Path | None,
    max_age: timedelta,
    at: datetime | None,
    as_json: bool,
) -> None:
    """Verify an evidence bundle, without any installation.

    Exit codes: 0 VALID, 1 INVALID, 2 INDETERMINATE (or wrong usage, or not finished).
    Offline, what the ledger holds counts as far as your trust file lets the signer of the bundle's snapshot speak for
    it; with --rpc the contracts are asked.
    """
    from backend.domain import bundle_verification
    from backend.domain.bundle import LARGEST
    from backend.domain.verdict import Verdict

    if rpc is not None:
        require_address(rpc)
    moment = at or datetime.now(UTC)
    with file.open("rb") as opened:
        read = bundle_verification.read(opened.read(LARGEST + 1), moment)
    trusted = trust_in(trust)
    verdict = read if isinstance(read, Verdict) else _verdict(read, trusted, moment, max_age, rpc)
    remarks = [] if isinstance(read, Verdict) else bundle_verification.remarks(read, verdict)
    _report(verdict, remarks, as_json)
    sys.exit(EXIT[verdict.conclusion.value])


def _verdict(bundle: "Bundle", trust: "Trust", moment: datetime, max_age: timedelta, rpc: str | None) -> "Verdict":
    from backend.domain import bundle_verification

    if rpc is None:
        return bundle_verification.verdict_on(
            bundle, bundle_verification.snapshot_facts(bundle, trust, moment, max_age), moment
        )
    from backend.adapters.node_client import Node, facts_by_node

    return bundle_verification.verdict_on(bundle, facts_by_node(bundle, Node(rpc), trust, moment, max_age), moment)


def require_address(rpc: str) -> None:
    """Refuse a text that is no node's address.

    Raises:
        BadParameter: It is no HTTP or HTTPS address.
    """
    try:
        parts = urlsplit(rpc)
        is_one = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_one = False
    if not is_one:
        raise click.BadParameter(_("a node's address is written like http://127.0.0.1:8545"), param_hint="--rpc")


def trust_in(path: Path | None) -> "Trust":
    """Read the reader's trust file. Without one nothing is trusted.

    Raises:
        BadParameter: The file is no trust file.
    """
    from backend.domain import strict_json, trust
    from backend.domain.errors import Invalid

    if path is None:
        return trust.Trust()
    try:
        with path.open("rb") as opened:
            return trust.read(strict_json.loads(opened.read(trust.LARGEST)))
    except Invalid as error:
        raise click.BadParameter(_("{path}: {error}", path=path, error=error), param_hint="--trust") from error


def _report(verdict: "Verdict", remarks: "list[Remark]", as_json: bool) -> None:
    from backend.messages.verdict import (
        actor_name,
        check_title,
        conclusion_word,
        headline,
        on_one_line,
        proof_state_name,
        reason_text,
        short_of_form,
        verdict_json,
    )

    speech = language()
    who = next(
        (check.values for check in verdict.checks if check.reason in ("snapshot-trusted", "ledger-consulted")), {}
    )
    according_to = on_one_line(who.get("name") or who.get("node") or "")
    if as_json:
        reported = verdict_json(verdict, speech) | {"accordingTo": according_to or None}
        reported["remarks"] = [
            {"record": one.record, "message": short_of_form(one.record, one.faults, speech), "faults": one.faults}
            for one in remarks
        ]
        print_json(reported)
        return
    colour = {"VALID": "green", "INVALID": "red", "INDETERMINATE": "yellow"}[verdict.conclusion.value]
    click.secho(conclusion_word(verdict.conclusion, speech), fg=colour, bold=True, nl=False)
    if according_to:
        time = f"{verdict.as_of:%Y-%m-%d %H:%M:%S} UTC"
        click.echo(_(" as of {time}, according to {who}", time=time, who=according_to))
    else:
        click.echo()
    click.echo(headline(verdict, speech))
    if verdict.proof_state:
        click.echo("  " + _("Proof: {state}", state=proof_state_name(verdict.proof_state, speech)))
    for check in verdict.checks:
        about = f" {check.record}" if check.record else ""
        title = check_title(check.code, speech)
        click.echo(f"  {_MARKS[check.outcome.value]}{about:>3}  {title}: {reason_text(check, speech)}")
        if check.action_by and check.outcome.value in ("fail", "indeterminate") and check.action_by.value != "nobody":
            click.echo("        " + _("Who can fix it: {who}", who=actor_name(check.action_by, speech)))
    for one in remarks:
        click.echo(_("Remark: {remark}", remark=short_of_form(one.record, one.faults, speech)))


@click.command("trust-file", cls=Command)
@click.option("--name", metavar="NAME", default="Provenport", show_default=True, help="What readers will call you.")
@click.option("--new-key", is_flag=True, help="Sign with a fresh key from now on; the earlier ones stay named.")
def trust_file_command(name: str, new_key: bool) -> None:
    """Print this installation's trust file, to hand to readers by a way that they trust."""
    from backend.adapters.keys.vault import OperatorKeys
    from backend.adapters.ledger import Deployment
    from backend.domain.errors import NotFound
    from backend.runtime.context import VERSION, opened
    from backend.runtime.data_folder import DataFolder
    from backend.services.bundles import own_trust
    from backend.settings import Settings

    if not name.strip():
        raise click.BadParameter(_("readers must be able to call you something"), param_hint="--name")
    settings = Settings.from_environment(os.environ)
    with opened(settings) as at:
        deployment = Deployment.read(DataFolder.open(settings.data_dir, VERSION).deployment)
        if deployment is None:
            raise NotFound("no contracts were deployed yet: start provenport serve once")
        if new_key and isinstance(at.keys.operator, OperatorKeys):
            at.keys.operator.renew()
        trust = own_trust(at, name, deployment.ledger_name, deployment.accreditation.lower(), deployment.revocations)
    print_json(trust.as_json())
    click.echo(_("Hand this to readers, and let them compare the keys with what you publish elsewhere."), err=True)
