"""The commands about the powers over the contracts, run as an operator would on an embedded chain of their own."""

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from backend.adapters.chains.embedded import EmbeddedChain
from backend.adapters.ledger import ACCOUNT_NAMES
from backend.adapters.ledger.deployment import ROLES
from backend.cli.main import cli
from backend.cli.powers import ROLE_NAMES
from tests.cli.test_broken_output import ARGUMENTS

DAY = 86_400
WHEN_DUE = 86_460
OLD = Path(__file__).parents[1] / "vectors" / "data-folder-v1.tar.xz"


class Operator:
    """Somebody before a terminal, whose clock tests move."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.ahead = folder, 0.0
        now = time.time
        monkeypatch.setattr("backend.adapters.ledger.powers.time.time", lambda: now() + self.ahead)
        own = EmbeddedChain.__init__

        def later(chain, *arguments, **settings):
            own(chain, *arguments, **settings | {"clock": lambda: now() + self.ahead, "in_real_time": False})

        monkeypatch.setattr(EmbeddedChain, "__init__", later)

    def run(self, *arguments: str, code: int = 0, **environment: str):
        given = {"DATA_DIR": str(self.folder), "LANG": "C.UTF-8", **environment}
        done = CliRunner(env=given).invoke(cli, ["chain", *arguments])
        assert done.exit_code == code, (arguments, done.output, done.exception)
        return done

    def told(self, *arguments: str):
        return json.loads(self.run(*arguments, "--json").stdout)

    def account(self, name: str) -> str:
        return self.told("status")["accounts"][name]["address"]

    def roles(self) -> set[tuple[str, str]]:
        return {(one["role"], one["account"].split()[0]) for one in self.told("powers")["roles"]}


@pytest.fixture
def operator(tmp_path, monkeypatch):
    made = Operator(tmp_path / "data", monkeypatch)
    made.run("deploy", LEDGER_REGISTRATION_DELAY_SECONDS=str(DAY))
    return made


def test_powers_are_told_with_accounts_and_notices(operator):
    told = operator.told("powers")
    accounts = {name: operator.account(name) for name in (*ACCOUNT_NAMES, "guardian")}
    assert {(one["role"], one["account"].split()[0], one["delaySeconds"]) for one in told["roles"]} == {
        ("admin", accounts["admin"], DAY),
        ("authority", accounts["authority"], 0),
        ("brake", accounts["authority"], 0),
        ("brake", accounts["guardian"], 0),
        ("registrar", accounts["authority"], DAY),
        ("guardian", accounts["guardian"], 0),
        ("removal", accounts["admin"], 0),
        ("removal", accounts["authority"], 0),
        ("revocation", accounts["authority"], 3 * DAY),
    }
    assert [one["roles"] for one in told["agents"]] == [["anchorer"], ["office"], ["authority"]]
    assert (told["isCurrent"], told["pausedUntil"], told["guardianChange"], told["announced"]) == (True, None, None, [])


def test_pause_ends_by_itself_and_is_renewed(operator):
    operator.run("pause", "--by", "guardian")
    first = operator.told("powers")["pausedUntil"]
    assert "PauseUnchanged" in operator.run("pause", code=1).output
    operator.ahead += 3_600
    operator.run("pause", "--renew")
    assert operator.told("powers")["pausedUntil"] > first
    operator.ahead += 3 * DAY + 60
    operator.run("agent", "suspend", "office")
    assert operator.told("powers")["pausedUntil"] is None
    assert "PauseTooSoon" in operator.run("pause", "--by", "guardian", code=1).output


def test_registration_is_announced_then_done_by_same_command(operator):
    office = "0x" + "0d" * 20
    register = ("agent", "register", office, "--role", "office")
    assert operator.told(*register)["state"] == "announced"
    assert operator.told(*register)["state"] == "waiting"
    (announced,) = operator.told("powers")["announced"]
    assert announced["function"] == "registerAgent"
    operator.ahead += WHEN_DUE
    done = operator.told(*register)
    assert (done["state"], done["account"]) == ("done", "authority")
    assert operator.told("powers")["agents"][-1]["roles"] == ["office"]
    assert operator.told("powers")["announced"] == []


def test_announced_call_is_withdrawn_by_guardian(operator):
    operator.run("agent", "register", "guardian", "--role", "anchorer")
    (announced,) = operator.told("powers")["announced"]
    assert operator.told("withdraw", announced["operation"])["account"] == "guardian"
    assert operator.told("powers")["announced"] == []
    assert "nothing is announced" in operator.run("withdraw", announced["operation"], code=1).output


def test_dry_run_tells_the_call_and_sends_nothing(operator):
    told = operator.told("agent", "suspend", "anchorer", "--dry-run")
    assert (told["state"], told["account"], told["transaction"]) == ("dry-run", "authority", None)
    assert told["data"].startswith("0x")
    assert operator.told("powers")["agents"][0]["roles"] == ["anchorer"]
    assert "RoleMissing" in operator.run("agent", "suspend", "guardian", "--dry-run", code=1).output


def test_stolen_anchorer_is_suspended_and_moved(operator):
    old = operator.account("anchorer")
    operator.run("agent", "suspend", "anchorer")
    assert operator.told("powers")["agents"][0]["roles"] == []
    assert "The new account is" in operator.run("agent", "move", "anchorer").output
    assert operator.account("anchorer") == old
    operator.ahead += WHEN_DUE
    operator.run("agent", "move", "anchorer")
    new = operator.account("anchorer")
    assert new != old
    assert int(operator.told("status")["accounts"]["anchorer"]["wei"]) > 0
    agents = {one["account"].split()[0]: (one["number"], one["roles"]) for one in operator.told("powers")["agents"]}
    assert agents[new] == (1, ["anchorer"])
    assert old not in agents


def test_move_cut_short_is_taken_up_again(operator, monkeypatch):
    from backend.adapters.keys.vault import AccountKeys

    old = operator.account("office")
    operator.run("agent", "move", "office")
    operator.ahead += WHEN_DUE
    with monkeypatch.context() as cut:
        cut.setattr(AccountKeys, "take_over", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        operator.run("agent", "move", "office", code=1)
    assert operator.account("office") == old
    operator.run("agent", "move", "office")
    assert operator.account("office") != old


def test_office_gets_an_account_of_its_own(operator):
    """It is announced like any registration; the key comes into use when it is done, and the account has money."""
    assert operator.told("agent", "office", "cnyiu")["state"] == "announced"
    assert "CNYIU" not in operator.told("status")["accounts"]
    operator.ahead += WHEN_DUE
    assert operator.told("agent", "office", "CNYIU")["state"] == "done"
    own = operator.told("status")["accounts"]["CNYIU"]
    assert int(own["wei"]) > 0
    assert (
        operator.told("powers")["agents"][-1]["account"].split()[0],
        operator.told("powers")["agents"][-1]["roles"],
    ) == (
        own["address"],
        ["office"],
    )
    assert "account of its own" in operator.run("agent", "office", "CNYIU", code=1).output
    assert "no code of a customs office" in operator.run("agent", "office", "nowhere", code=1).output


def test_offices_account_is_suspended_and_moved(operator):
    operator.run("agent", "office", "2925")
    operator.ahead += WHEN_DUE
    operator.run("agent", "office", "2925")
    old = operator.account("2925")
    operator.run("agent", "suspend", "2925")
    operator.run("agent", "move", "2925")
    operator.ahead += WHEN_DUE
    operator.run("agent", "move", "2925")
    assert operator.account("2925") != old
    (moved,) = [one for one in operator.told("powers")["agents"] if operator.account("2925") in one["account"]]
    assert (moved["number"], moved["roles"]) == (4, ["office"])


def test_role_goes_at_once_and_comes_announced(operator):
    authority = operator.account("authority")
    assert operator.told("role", "revoke", "authority", "authority")["account"] == "admin"
    assert ("authority", authority) not in operator.roles()
    grant = ("role", "grant", "authority", "authority", "--delay", "3600")
    assert operator.told(*grant)["state"] == "announced"
    operator.ahead += WHEN_DUE
    assert operator.told(*grant)["state"] == "done"
    assert ("authority", authority) in operator.roles()


def test_guardian_is_replaced_after_seven_days(operator):
    guardian, office = operator.account("guardian"), operator.account("office")
    assert "GuardianNeedsNotice" in operator.run("role", "revoke", "guardian", "guardian", code=1).output
    operator.run("guardian", "propose", "--out", "guardian", "--in", "office")
    change = operator.told("powers")["guardianChange"]
    assert (change["out"].split()[0], change["in"].split()[0]) == (guardian, office)
    assert office in operator.run("powers").output
    assert "GuardianChangeNotDue" in operator.run("guardian", "execute", code=1).output
    operator.ahead += 7 * DAY + 60
    operator.run("agent", "suspend", "office")  # a block, from whose time on the change is due
    operator.run("guardian", "execute")
    assert ("guardian", office) in operator.roles()
    assert not {("guardian", guardian), ("brake", guardian)} & operator.roles()


def test_role_held_by_another_wallet_is_told(tmp_path, monkeypatch):
    operator = Operator(tmp_path / "data", monkeypatch)
    operator.run("deploy", LEDGER_ADMIN="0x" + "ad" * 20)
    assert "may not do this" in operator.run("role", "revoke", "brake", "authority", code=1).output
    told = operator.told("role", "revoke", "brake", "authority", "--dry-run")
    assert told["state"] == "elsewhere"
    assert told["data"].startswith("0x")
    assert "From the wallet" in operator.run("role", "revoke", "brake", "authority", "--dry-run").output


def test_guardian_elsewhere_is_told_what_to_send(tmp_path, monkeypatch):
    operator = Operator(tmp_path / "data", monkeypatch)
    operator.run("deploy", LEDGER_GUARDIAN="0x" + "9d" * 20, LEDGER_REGISTRATION_DELAY_SECONDS=str(DAY))
    operator.run("agent", "register", "guardian", "--role", "anchorer")
    (announced,) = operator.told("powers")["announced"]
    withdrawal = "withdraw", announced["operation"], "--by", "guardian"
    assert "UnauthorizedCancel" in operator.run(*withdrawal, code=1).output
    told = operator.told(*withdrawal, "--dry-run")
    assert (told["state"], told["transaction"]) == ("elsewhere", None)
    assert announced["data"].removeprefix("0x") in told["data"]
    assert "From the wallet" in operator.run(*withdrawal, "--dry-run").output
    assert operator.told("powers")["announced"] == [announced]


def test_admin_that_is_authority_is_refused(operator, tmp_path):
    same = operator.account("authority")
    assert "another account" in operator.run("deploy", "--again", code=1, LEDGER_ADMIN=same).output


@pytest.mark.parametrize("language", ["en", "zh"])
def test_wrong_address_is_refused_in_both_languages(operator, language):
    said = operator.run("agent", "suspend", "0x12", "--lang", language, code=1).output
    assert ("no address" in said) == (language == "en")
    assert "0x12" in said


def test_every_role_of_the_contracts_has_words():
    assert set(ROLE_NAMES) == set(ROLES)


@pytest.mark.parametrize("operation", ["00", "zz", "0x" + 64 * "0"])
def test_operation_that_is_not_announced_is_named(operator, operation):
    assert f"nothing is announced under {operation}" in operator.run("withdraw", operation, code=1).output


ASKING = {command: given for command, given in ARGUMENTS.items() if command.startswith("chain ")}


@pytest.mark.parametrize("command", ASKING)
def test_node_out_of_reach_is_told(desk, command):
    """What is only written into the database needs no node; everything else says that it cannot be reached."""
    given = {"DATA_DIR": str(desk.copy()), "LC_ALL": "C.UTF-8", "LEDGER_RPC_URL": "http://127.0.0.1:1/rpc"}
    done = CliRunner(env=given).invoke(cli, [*command.split(), *map(str, ASKING[command](desk))])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    asks_no_node = command in ("chain cancel", "chain hand-on", "chain correct")
    assert "cannot be reached" in done.output or done.exit_code == 0 or asks_no_node, done.output


def test_running_server_is_told_by_its_address(operator):
    with EmbeddedChain(operator.folder / "chain.sqlite", []):
        assert "start it again" in operator.run("pause", code=1).output
        assert "or ask it: --rpc http://127.0.0.1:" in operator.run("powers", code=1).output


# ---- the contract that counts drawdowns


def deployed(operator):
    return json.loads((operator.folder / "deployment.json").read_text("utf-8"))


def test_upgrade_is_announced_then_done_by_same_command(operator):
    """Another contract counts, on the same ledger; the addresses change in the file when they do on the chain."""
    before = deployed(operator)
    assert "no next contract" in operator.run("upgrade", "--dry-run", code=1).output
    first = operator.told("upgrade")
    assert (first["state"], first["account"]) == ("announced", "admin")
    fresh = deployed(operator)["nextBalance"]
    assert deployed(operator) == before | {"nextBalance": fresh}
    assert operator.told("upgrade", "--dry-run")["state"] == "waiting"
    operator.ahead += WHEN_DUE
    second = operator.told("upgrade")
    assert (second["state"], second["account"]) == ("announced", "authority")
    assert [one["function"] for one in operator.told("powers")["announced"]] == ["handOver"]
    operator.ahead += WHEN_DUE
    assert "Drawdowns are counted by" in operator.run("upgrade").output
    assert deployed(operator) == before | {"balance": fresh, "earlierBalances": [before["balance"]]}
    assert operator.told("status")["ledger"] == "ours"


def test_upgrade_cut_short_is_taken_up(operator, monkeypatch):
    """Between the chain and the file: the next run writes down what the chain says."""
    operator.run("upgrade")
    operator.ahead += WHEN_DUE
    operator.run("upgrade")
    operator.ahead += WHEN_DUE
    fresh = deployed(operator)["nextBalance"]
    with monkeypatch.context() as broken:
        broken.setattr("backend.cli.powers.Opened.rewrite", lambda here, deployment: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            CliRunner(env={"DATA_DIR": str(operator.folder)}).invoke(cli, ["chain", "upgrade"], catch_exceptions=False)
    assert deployed(operator)["nextBalance"] == fresh
    assert operator.told("upgrade") == {"state": "done", "to": fresh}
    assert (deployed(operator)["balance"], deployed(operator)["nextBalance"]) == (fresh, None)


def test_guardian_cancels_an_upgrade(operator):
    operator.run("upgrade")
    operator.ahead += WHEN_DUE
    operator.run("upgrade")
    (announced,) = operator.told("powers")["announced"]
    assert operator.told("withdraw", announced["operation"])["account"] == "guardian"
    assert operator.told("upgrade")["state"] == "announced"


# ---- contracts of an earlier version


@pytest.fixture
def older(tmp_path, monkeypatch):
    """The folder of an earlier version, whose authority administers."""
    import tarfile

    with tarfile.open(OLD) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = (path.parent for path in tmp_path.rglob("provenport.json"))
    return Operator(folder, monkeypatch)


def test_older_contracts_keep_their_powers(older):
    told = older.told("powers")
    assert not told["isCurrent"]
    authority = older.account("authority")
    assert ("admin", authority) in older.roles()
    older.run("pause")
    assert "earlier version" in older.run("powers").output
    older.run("resume")
    older.run("agent", "register", "guardian", "--role", "office")
    assert older.told("role", "revoke", "brake", "guardian")["account"] == "authority"


@pytest.mark.parametrize(
    "command",
    [
        ("pause", "--renew"),
        ("agent", "suspend", "anchorer"),
        ("agent", "move", "anchorer"),
        ("guardian", "propose", "--out", "guardian"),
        ("guardian", "execute"),
        ("guardian", "cancel"),
        ("upgrade",),
    ],
)
def test_older_contracts_say_what_they_lack(older, command):
    assert "chain deploy --again" in older.run(*command, code=1).output
