"""``provenport snapshot``: an office with a node signs what the ledger holds, with a key of its own.

It needs no installation, data folder or server of ours, only a bundle, a node, a key's file and a trust file.
"""

import json
import os
import re
import stat
import sys
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from backend.cli.localised import Group
from backend.cli.terminal import _, language, require_folder
from backend.cli.verify import (
    EXIT,
    Age,
    VerdictCommand,
    require_address,
    trust_in,
)

if TYPE_CHECKING:
    from backend.adapters.keys.key_files import FileKey
    from backend.domain.bundle import Bundle
    from backend.domain.snapshot import Snapshot
    from backend.domain.verdict import Check

PASSPHRASE = "PROVENPORT_KEY_PASSPHRASE"
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_OUT = click.Path(dir_okay=False, path_type=Path)


@click.group("snapshot", cls=Group)
def snapshot_command() -> None:
    r"""Sign, with a node and a key of your own, what the ledger holds.

    \b
    Once:        provenport snapshot new-key office.pem
                 provenport snapshot trust-file --key office.pem --name "Shenzhen Customs" \
                     --trust operator.json --out customs.json     (hand customs.json to your readers)
    Each time:   provenport snapshot sign bundle.json --rpc http://127.0.0.1:8545 \
                     --key office.pem --trust operator.json --out signed.json
    Readers:     provenport verify signed.json --trust customs.json
    """


@snapshot_command.command("new-key")
@click.argument("file", type=_OUT)
@click.option("--no-passphrase", is_flag=True, help="Keep it readable by whoever gets at the file.")
def new_key_command(file: Path, no_passphrase: bool) -> None:
    """Make a key in FILE, to sign snapshots with.

    FILE is PKCS#8 in PEM, readable by you alone, sealed with a passphrase (asked for, or PROVENPORT_KEY_PASSPHRASE).
    Prints the key's thumbprint (RFC 7638): publish it, so that readers can compare it with your trust file.
    """
    from backend.adapters.keys import key_files

    require_folder(file, "FILE")
    passphrase = None if no_passphrase else _passphrase(confirm=True)
    try:
        made = key_files.new_key(file, passphrase)
    except FileExistsError as error:
        raise click.ClickException(
            _("{file} is there already: choose another name, a key is not overwritten", file=file)
        ) from error
    except OSError as error:
        raise click.ClickException(_("{file} cannot be written: {why}", file=file, why=error.strerror)) from error
    click.echo(_thumbprint(made))
    click.echo(
        _("That is the thumbprint of the key in {file}. Keep the file; publish the thumbprint.", file=file), err=True
    )


@snapshot_command.command("sign", cls=VerdictCommand)
@click.argument("bundle", type=_FILE)
@click.option("--rpc", required=True, metavar="URL", help="The node to read the ledger with: your own.")
@click.option(
    "--key", "key_file", required=True, type=_FILE, metavar="FILE", help="Your key: P-256, PEM (see new-key)."
)
@click.option(
    "--trust",
    required=True,
    type=_FILE,
    metavar="FILE",
    help="Names the right ledger: its operator's trust file, or yours.",
)
@click.option("--max-age", type=Age(), default="2h", show_default=True, help="How old the node's newest block may be.")
@click.option(
    "--out", type=_OUT, metavar="FILE", help="Where to write the signed bundle; without it, to standard output."
)
def sign_command(bundle: Path, rpc: str, key_file: Path, trust: Path, max_age: timedelta, out: Path | None) -> None:
    """Read the ledger for a BUNDLE and sign what it holds.

    The records' own proofs are checked and the node is asked as by "provenport verify --rpc". What it shows is stated
    as it is, also "revoked". The bundle comes out as it went in, with this snapshot in place of the one that it had.

    Exit codes: 0 signed; 1 nothing signed, since the bundle was altered or is forged; 2 nothing signed, since the
    ledger could not be told (or wrong usage).
    """
    from backend.adapters.node_client import Node, node_facts
    from backend.domain import bundle as bundles
    from backend.domain import bundle_verification, snapshot
    from backend.domain.bundle_verification import blockers, statement_of
    from backend.domain.verdict import Verdict

    require_address(rpc)
    require_folder(out, "--out")
    _spare(key_file, out, _("your key"))
    _spare(trust, out, _("your trust file"))
    trusted, key = trust_in(trust), _key(key_file)
    moment = datetime.now(UTC)
    with bundle.open("rb") as opened:
        read = bundle_verification.read(opened.read(bundles.LARGEST + 1), moment)
    if isinstance(read, Verdict):
        _refuse(blockers(None, read))
    # The trust file says which ledger is the right one, never the node that is asked.
    reported = node_facts(read, Node(rpc), trusted, moment, max_age, node_may_name=False)
    against = blockers(read, bundle_verification.verdict_on(read, reported.source, moment))
    if against or reported.block is None or reported.ledger is None:
        _refuse(against)
    stated = statement_of(read, reported.source, reported.ledger, reported.block.number, reported.block.time, moment)
    signed = replace(read, snapshot=snapshot.sign(stated, key.jwk, key.sign))
    _write(bundles.text(signed), out)
    _report(signed, stated, reported.node, _thumbprint(key))


@snapshot_command.command("trust-file")
@click.option("--name", required=True, metavar="NAME", help='What readers will call you, e.g. "Shenzhen Customs".')
@click.option(
    "--key", "key_file", type=_FILE, metavar="FILE", help="Your key: the PEM of new-key, its public part, or a JWK."
)
@click.option("--thumbprint", metavar="THUMBPRINT", help="Instead of --key: its thumbprint (RFC 7638).")
@click.option(
    "--trust",
    required=True,
    type=_FILE,
    metavar="FILE",
    help="Names the ledgers that you speak for: the operator's file.",
)
@click.option("--join", is_flag=True, help="Keep what stands in that file, so that both may speak.")
@click.option("--out", type=_OUT, metavar="FILE", help="Where to write it; without it, to standard output.")
def trust_file_command(
    name: str, key_file: Path | None, thumbprint: str | None, trust: Path, join: bool, out: Path | None
) -> None:
    """Print a trust file that lets your key speak for the ledgers of another.

    Readers who take it alone believe you and not the operator. With --join and a key of yours that is newer, the
    earlier one stays named beside it, for what it has signed.
    """
    require_folder(out, "--out")
    named = _named_key(key_file, thumbprint)
    _spare(key_file, out, _("your key"))
    given = trust_in(trust)
    if not name.strip():
        raise click.BadParameter(_("readers must be able to call you something"), param_hint="--name")
    if not given.trusted:
        raise click.BadParameter(
            _("{trust} names no ledger: take the operator's trust file", trust=trust), param_hint="--trust"
        )
    others = [other for other in given.names_of(named) if other != name]
    if join and others:
        raise click.ClickException(
            _(
                "in {trust} this key speaks already, as {other}: two names would mislead readers",
                trust=trust,
                other=others[0],
            )
        )
    own = given.spoken_for_by(name, named)
    written = given.joined_by(own) if join else own
    _write(json.dumps(written.as_json(), indent=2, ensure_ascii=False) + "\n", out)
    whose = _(" and ").join(dict.fromkeys(entry.name for entry in written.trusted))
    click.echo(
        _("With it readers believe {whose} about {count} ledger(s).", whose=whose, count=len(own.trusted)), err=True
    )
    click.echo(
        _(
            "Hand it over by a way that they trust; let them compare your key with what you publish: {named}",
            named=named,
        ),
        err=True,
    )


# ---- the key


def _thumbprint(key: "FileKey") -> str:
    from backend.domain.sd_jwt import b64, thumbprint

    return b64(thumbprint(key.jwk))


def _passphrase(*, confirm: bool) -> str:
    """Return the passphrase from the environment, or ask for it.

    Raises:
        UsageError: It is not in the environment, and standard input is no terminal.
    """
    given = os.environ.get(PASSPHRASE)
    if given:
        return given
    if not sys.stdin.isatty():
        text = _("nobody is here to type the passphrase: give it as {variable}", variable=PASSPHRASE)
        if confirm:
            text = _(
                "nobody is here to type the passphrase: give it as {variable}, or say --no-passphrase",
                variable=PASSPHRASE,
            )
        raise click.UsageError(text)
    typed: str = click.prompt(_("Passphrase of the key"), hide_input=True, confirmation_prompt=confirm, err=True)
    return typed


def _key(path: Path) -> "FileKey":
    from backend.adapters.keys import key_files

    content = key_files.read(path)
    # A key without passphrase is as safe as the file, so its mode matters.
    if not key_files.is_sealed(content) and path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        click.echo(
            _("Careful: others can read {path}, and it has no passphrase: chmod 600 {path}", path=path), err=True
        )
    try:
        return key_files.opened(content, _passphrase(confirm=False) if key_files.is_sealed(content) else None)
    except key_files.UnusableKey as error:
        raise click.BadParameter(_("{path}: {error}", path=path, error=error), param_hint="--key") from error


def _named_key(path: Path | None, thumbprint: str | None) -> str:
    from backend.adapters.keys import key_files
    from backend.domain import sd_jwt

    if (path is None) == (thumbprint is None):
        raise click.UsageError(_("give your key, by --key FILE or by --thumbprint"))
    if path is None:
        if not re.fullmatch("[A-Za-z0-9_-]{43}", thumbprint or ""):
            raise click.BadParameter(_("a thumbprint (RFC 7638) has 43 letters and digits"), param_hint="--thumbprint")
        return str(thumbprint)
    content = key_files.read(path)
    if key_files.holds_private(content):
        return _thumbprint(_key(path))
    try:
        return sd_jwt.b64(sd_jwt.thumbprint(key_files.public_jwk(content)))
    except key_files.UnusableKey as error:
        raise click.BadParameter(_("{path}: {error}", path=path, error=error), param_hint="--key") from error


# ---- telling


def _refuse(against: "Iterable[Check]") -> NoReturn:
    """Tell why nothing was signed, and exit."""
    from backend.domain.verdict import Outcome, Verdict
    from backend.messages.verdict import check_title, reason_text

    verdict = Verdict.of(against, datetime.now(UTC))
    click.secho(_("Nothing was signed:"), fg="red", bold=True, err=True)
    for check in verdict.checks:
        mark = "■" if check.outcome is Outcome.FAIL else "◐"
        about = f" {check.record}" if check.record else ""
        click.echo(
            f"  {mark}{about:>3}  {check_title(check.code, language())}: {reason_text(check, language())}", err=True
        )
    sys.exit(EXIT[verdict.conclusion.value])


def _report(signed: "Bundle", stated: "Snapshot", node: str, signer: str) -> None:
    """Tell what was signed, by verifying it as a reader does who trusts the key."""
    from backend.domain import bundle_verification
    from backend.domain.trust import Trust, Trusted
    from backend.messages.verdict import conclusion_word, headline

    trust = Trust((Trusted("", stated.ledger, stated.accreditation, keys=(signer,)),))
    source = bundle_verification.snapshot_facts(signed, trust, stated.read_at, timedelta.max)
    verdict = bundle_verification.verdict_on(signed, source, stated.read_at)
    time = f"{stated.block_time:%Y-%m-%d %H:%M:%S} UTC"
    word, why = conclusion_word(verdict.conclusion, language()), headline(verdict, language())
    click.secho(
        _("Signed: what {node} showed in block {block} of {time}.", node=node, block=stated.block, time=time),
        bold=True,
        err=True,
    )
    click.echo(
        _("Key: {signer}. Who trusts it reads: {conclusion}. {why}", signer=signer, conclusion=word, why=why),
        err=True,
    )


def _spare(file: Path | None, out: Path | None, what: str) -> None:
    if file is not None and out is not None and out.exists() and out.samefile(file):
        raise click.BadParameter(_("that is {what}: it would be lost", what=what), param_hint="--out")


def _write(text: str, out: Path | None) -> None:
    """Write all or nothing. The file may be the one that was read, and a symbolic link is kept."""
    from backend.store.disk import write_over

    if out is None:
        click.echo(text, nl=False)
        return
    out = out.resolve()
    if out.exists() and not out.is_file():
        raise click.BadParameter(
            _("{out} is no file: leave --out away for standard output", out=out), param_hint="--out"
        )
    try:
        write_over(out, text.encode(), mode=0o666)
    except OSError as error:
        raise click.BadParameter(
            _("{out} cannot be written: {why}", out=out, why=error.strerror), param_hint="--out"
        ) from error
