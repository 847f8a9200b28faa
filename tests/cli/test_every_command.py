"""Every command of ``provenport`` runs once with real arguments, over a copy of the demonstration."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import click
import pytest

from backend.cli.main import cli
from tests.cli.conftest import Desk
from tests.helpers import tokens
from tests.helpers.click_tree import without_a_run

PROGRAM = "from backend.cli.main import cli; cli()"
EXAMPLE = Path(__file__).parents[2] / "docs/examples/consignments.csv"


def until_stopped(command: str, answers: str | None = None, node: bool = False) -> Callable[[Desk], None]:
    """A run of a process of its own that is asked once, where it answers, and ended by a signal."""

    def run(desk: Desk) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        given = {**os.environ, "DATA_DIR": str(desk.copy()), "PORT": str(port)}
        if node:
            assert "LEDGER_RPC_URL" in desk.run(command, code=1).output
            given["LEDGER_RPC_URL"] = desk.rpc
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, command], env=given, stdout=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout is not None
            if answers is None:
                assert any("works" in line for line in process.stdout)
            else:
                _wait_for(f"http://127.0.0.1:{port}{answers}", process)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=30) == 0
            assert "Stopped" in process.stdout.read()
        finally:
            process.kill()

    return run


def _wait_for(url: str, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 60
    while not _answers(url):
        assert process.poll() is None, "it ended by itself"
        assert time.monotonic() < deadline, "it does not answer"
        time.sleep(0.1)


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (URLError, ConnectionError):
        return False


def restore(desk: Desk) -> None:
    desk.run("backup", desk.files / "again")
    (copy,) = (path for path in (desk.files / "again").iterdir() if path.is_dir())
    desk.run("restore", copy, data=desk.files / "restored")
    assert "ours" in desk.run("chain", "status", data=desk.files / "restored").output


def act(desk: Desk, operation: str, data: Path) -> str:
    asked = ("chain", operation, desk.accredited, "--as", "authority@example.org", "--json")
    told: dict[str, str] = json.loads(desk.run(*asked, data=data).stdout)
    assert told["state"] == "asked"
    return told["id"]


def reinstate(desk: Desk) -> None:
    data = desk.copy()
    act(desk, "suspend", data)
    act(desk, "reinstate", data)


def cancel(desk: Desk) -> None:
    data = desk.copy()
    announced = act(desk, "accredit", data)
    assert announced in desk.run("chain", "pending", data=data).output
    assert "Asked" in desk.run("chain", "cancel", announced, data=data).output


def history(desk: Desk) -> None:
    said = desk.run("chain", "history", desk.accredited).output
    assert "versions: 1" in said
    assert "accredited" in said
    listed = json.loads(desk.run("chain", "history", desk.accredited, "--json").stdout)
    assert [one["event"] for one in listed["versions"]] == ["accredited"]
    assert json.loads(desk.run("chain", "history", listed["key"], "--before", "1", "--json").stdout) == listed
    assert "no such key" in desk.run("chain", "history", 64 * "0", code=1).output


def to_token(desk: Desk) -> None:
    """In a process of its own: a token's module reads its settings once for each."""
    data = desk.copy()
    assert "PKCS11_MODULE is not set" in desk.run("keys", "to-token", data=data, code=1).output
    if (module := tokens.module()) is None:
        return
    folder = desk.files / "softhsm"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", "")
        (label,) = tokens.prepare(folder, 1)
        given = {**os.environ, "DATA_DIR": str(data), "PKCS11_MODULE": module, "PKCS11_TOKEN": label}
        told = subprocess.run(
            [sys.executable, "-c", "from backend.cli.main import main; main()", "keys", "to-token"],
            env={**given, "PKCS11_PIN": tokens.PIN},
            capture_output=True,
            text=True,
            check=False,
        )
    assert told.returncode == 0, told.stderr
    assert "in the token" in told.stdout


def power(*arguments: object) -> Callable[[Desk], None]:
    """A run of a command that uses a power over the contracts, by the accounts of the folder."""

    def run(desk: Desk) -> None:
        assert "Done." in desk.run("chain", *arguments, data=desk.copy()).output

    return run


def resume(desk: Desk) -> None:
    data = desk.copy()
    desk.run("chain", "pause", "--by", "guardian", data=data)
    assert "paused until" in desk.run("chain", "powers", data=data).output
    desk.run("chain", "resume", data=data)
    assert "The ledger runs" in desk.run("chain", "powers", data=data).output


def withdraw(desk: Desk) -> None:
    def announced() -> set[str]:
        told = json.loads(desk.run("chain", "powers", "--json", data=data).stdout)
        return {one["operation"] for one in told["announced"]}

    data = desk.copy()
    before = announced()  # others announce on the demonstration that the desk is made from
    assert "Announced." in desk.run("chain", "role", "grant", "brake", "office", data=data).output
    (operation,) = announced() - before
    assert "Cancelled." in desk.run("chain", "withdraw", operation, data=data).output
    assert announced() == before


def upgrade(desk: Desk) -> None:
    assert "Announced." in desk.run("chain", "upgrade", data=desk.copy()).output


def guardian(desk: Desk) -> None:
    data = desk.copy()
    desk.run("chain", "guardian", "propose", "--out", "guardian", "--in", "office", data=data)
    assert "NotDue" in desk.run("chain", "guardian", "execute", data=data, code=1).output
    desk.run("chain", "guardian", "cancel", data=data)


def sign(desk: Desk) -> None:
    own = ("--rpc", desk.rpc, "--key", desk.key(), "--trust", desk.trust(), "--out", desk.files / "signed.json")
    desk.run("snapshot", "sign", desk.files / "bundle.json", *own)
    assert json.loads((desk.files / "signed.json").read_text())["snapshot"]


def trs(desk: Desk) -> None:
    assert "lodgement" in desk.run("trs").output
    desk.run("trs", "--events", desk.files / "events.csv")
    assert (desk.files / "events.csv").stat().st_size


def import_records(desk: Desk) -> None:
    asked = ("import", EXAMPLE, "--as", "merchant@example.org", "--json")
    assert json.loads(desk.run(*asked, data=desk.copy()).stdout)


def rotate(desk: Desk) -> None:
    assert re.match("[0-9a-f]{64} sign", desk.run("keys", "rotate", desk.accredited, data=desk.copy()).output)


def compromised(desk: Desk) -> None:
    key = desk.run("keys", "list").stdout.split()[0]
    since = f"{datetime.now(UTC):%Y-%m-%dT00:00Z}"
    assert "signs nothing more" in desk.run("keys", "compromised", key, "--since", since, data=desk.copy()).output


def erase(desk: Desk) -> None:
    assert "Nothing was erased" in desk.run("erase", desk.invoice).output
    assert "Erased 1 record" in desk.run("erase", desk.invoice, "--yes", data=desk.copy()).output


def inactive(desk: Desk, data: Path) -> set[str]:
    people = json.loads(desk.run("users", "list", "--json", data=data).stdout)
    return {one["email"] for one in people if not one["isActive"]}


def shut_out(desk: Desk) -> None:
    """A person's token is refused from then on, and the person comes back without it."""
    data = desk.copy()
    before = inactive(desk, data)
    assert "sessions ended, tokens revoked" in desk.run("users", "deactivate", MERCHANT, data=data).output
    assert inactive(desk, data) - before == {MERCHANT}
    desk.run("tokens", "new", MERCHANT, "--name", "till", code=1, data=data)
    assert "may sign in again" in desk.run("users", "reactivate", MERCHANT, data=data).output
    assert json.loads(desk.run("tokens", "list", MERCHANT, "--json", data=data).stdout) == []


def reset_password(desk: Desk) -> None:
    data = desk.copy()
    told = desk.run("users", "reset-password", MERCHANT, data=data).stdout
    assert len(told.split()[-1]) == 16


def make_and_revoke(desk: Desk) -> None:
    data = desk.copy()
    made = json.loads(desk.run("tokens", "new", MERCHANT, "--name", "till", "--days", "30", "--json", data=data).stdout)
    assert (made["name"], made["scope"]) == ("till", "read")
    listed = desk.run("tokens", "list", MERCHANT, data=data).stdout
    assert made["id"] in listed
    assert made["token"] not in listed
    desk.run("tokens", "revoke", made["id"], data=data)
    assert made["id"] not in desk.run("tokens", "list", MERCHANT, data=data).stdout
    desk.run("tokens", "revoke", made["id"], code=1, data=data)


def says(words: str, *arguments: object) -> Callable[[Desk], None]:
    """A run of one command whose answer holds these words."""

    def run(desk: Desk) -> None:
        given = [one(desk) if callable(one) else one for one in arguments]
        assert words in desk.run(*given).output

    return run


MERCHANT = "merchant@example.org"
OFFICERS = "officer@example.org"


def register(desk: Desk) -> None:
    assert "is registered" in desk.run("register", *MEMBER, data=desk.copy()).output
    office = ("--role", "officer", "--name", "Jinhua Customs", "--email", "jinhua@example.org")
    assert "needs its code" in desk.run("register", *office, code=1).output
    data = desk.copy()
    assert "is registered" in desk.run("register", *office, "--office", "CNJHA", "--office", "2926", data=data).output
    assert desk.run("office", "list", data=data).output.count("Jinhua Customs") == 2


def second_office(desk: Desk) -> str:
    listed = json.loads(desk.run("office", "list", "--json").stdout)
    return str(next(one["organisation"] for one in listed if one["office"] == "CNNBO"))


def delegate(desk: Desk, data: Path) -> str:
    until = f"{datetime.now(UTC) + timedelta(days=30):%Y-%m-%d}"
    asked = ("office", "delegate", "cnyiu", "--to", second_office(desk), "--until", until, "--as", OFFICERS)
    return desk.run(*asked, data=data).output.split()[-1]


def end_delegation(desk: Desk) -> None:
    data = desk.copy()
    made = delegate(desk, data)
    assert "no more" in desk.run("office", "end", made, "--as", OFFICERS, data=data).output
    assert "has ended" in desk.run("office", "end", made, "--as", OFFICERS, data=data, code=1).output


def add_code(desk: Desk) -> None:
    asked = ("office", "add", second_office(desk), "3101", "--as")
    assert "serves 3101" in desk.run(*asked, "authority@example.org", data=desk.copy()).output
    assert "only the authority" in desk.run(*asked, OFFICERS, code=1).output


def publish(desk: Desk) -> None:
    asked, data = ("chain", "publish-revocation"), desk.copy()
    assert "none of these" in desk.run(*asked, desk.files / "bundle.json", data=data, code=1).output
    assert "Asked: 1 " in desk.run(*asked, desk.files / "revoked.json", data=data).output
    assert json.loads(desk.run(*asked, desk.files / "revoked.json", "--json", data=data).stdout) == {"asked": 0}


def allow(desk: Desk) -> None:
    data = desk.copy()
    agents = json.loads(desk.run("chain", "powers", "--json", data=data).stdout)["agents"]
    account = next(one["account"].split()[0] for one in agents if "office" in one["roles"])
    assert "Asked." in desk.run("chain", "allow-drawdowns", account, data=data).output
    asked = desk.run("chain", "allow-drawdowns", account, "--no-longer", "--json", data=data)
    assert json.loads(asked.stdout) == {"asked": 1}
    assert "no address" in desk.run("chain", "allow-drawdowns", "office", data=data, code=1).output


def ask(*words: str, refused: str) -> Callable[[Desk], None]:
    """A request that the ledger of the desk refuses, in words; what it accepts is tested where there is a ledger."""

    def run(desk: Desk) -> None:
        assert refused in desk.run("chain", *words, data=desk.copy(), code=1).output

    return run


MEMBER = ("--role", "merchant", "--name", "Evening Star", "--email", "evening@example.org")


def import_codes(desk: Desk) -> None:
    table = desk.written("codes.csv", "code,en,zh\n9405.2100,Desk lamps with diodes,LED 台灯\n")
    assert "1 HS code is stored. Merchants find it" in desk.run("hs", "import", table, data=desk.copy()).output
    wrong = desk.written("wrong.csv", "code,en\nlamp,Lamps\n")
    assert "Line 2" in desk.run("hs", "import", wrong, data=desk.copy(), code=1).output


RUNS: dict[str, Callable[[Desk], None]] = {
    "anchor": until_stopped("anchor", node=True),
    "audit": says("no discrepancies", "audit"),
    "backup": says("bytes", "backup", lambda desk: desk.files / "copies"),
    "chain accredit": lambda desk: act(desk, "accredit", desk.copy()) and None,
    "chain agent move": power("agent", "move", "anchorer"),
    "chain agent office": power("agent", "office", "cnyiu"),
    "chain agent register": power("agent", "register", "guardian", "--role", "office"),
    "chain agent suspend": power("agent", "suspend", "office"),
    "chain cancel": cancel,
    "chain deploy": lambda desk: desk.run("chain", "deploy", data=desk.files / "empty") and None,
    "chain guardian cancel": guardian,
    "chain guardian execute": guardian,
    "chain guardian propose": guardian,
    "chain history": history,
    "chain pause": power("pause", "--renew"),
    "chain pending": says("No changes wait", "chain", "pending"),
    "chain powers": says("gives and takes roles", "chain", "powers"),
    "chain publish-revocation": publish,
    "chain hand-on": ask("hand-on", "no-such-record", "CNYIU", refused="no such"),
    "chain correct": ask("correct", "no-such-record", refused="no such"),
    "chain allow-drawdowns": allow,
    "chain reinstate": reinstate,
    "chain resume": resume,
    "chain role grant": withdraw,
    "chain role revoke": power("role", "revoke", "revocation", "authority"),
    "chain status": says("ours", "chain", "status"),
    "chain suspend": lambda desk: act(desk, "suspend", desk.copy()) and None,
    "chain upgrade": upgrade,
    "chain withdraw": withdraw,
    "erase": erase,
    "hs import": import_codes,
    "import": import_records,
    "register": register,
    "keys compromised": compromised,
    "keys list": says("signs", "keys", "list"),
    "keys rotate": rotate,
    "keys to-token": to_token,
    "keys rotate-master": lambda desk: desk.run("keys", "rotate-master", data=desk.copy()) and None,
    "office add": add_code,
    "office delegate": lambda desk: delegate(desk, desk.copy()) and None,
    "office end": end_delegation,
    "office list": says("CNYIU", "office", "list"),
    "restore": restore,
    "serve": until_stopped("serve", "/healthz"),
    "snapshot new-key": lambda desk: desk.key() and None,
    "snapshot sign": sign,
    "snapshot trust-file": says(
        '"Customs"', "snapshot", "trust-file", "--name", "Customs", "--key", Desk.key, "--trust", Desk.trust
    ),
    "trs": trs,
    "tokens list": says("registration", "tokens", "list", MERCHANT),
    "tokens new": make_and_revoke,
    "tokens revoke": make_and_revoke,
    "trust-file": lambda desk: desk.trust() and None,
    "users deactivate": shut_out,
    "users list": says(MERCHANT, "users", "list"),
    "users reactivate": shut_out,
    "users reset-password": reset_password,
    "verify": says("VALID", "verify", lambda desk: desk.files / "bundle.json", "--trust", Desk.trust),
    "web": until_stopped("web", "/readyz", node=True),
    "work": until_stopped("work", node=True),
}


@pytest.mark.parametrize("command", RUNS)
def test_command_with_real_arguments_is_done(desk, command):
    RUNS[command](desk)


def test_every_command_of_the_tree_has_a_run():
    assert without_a_run(cli, RUNS) == []


def test_command_without_a_run_is_named():
    ctx = click.Context(cli)
    commands = {name: cli.get_command(ctx, name) for name in cli.list_commands(ctx)}
    planted = click.Group("planted", {**commands, "planted": click.Command("planted")})
    assert without_a_run(planted, RUNS) == ["planted"]
