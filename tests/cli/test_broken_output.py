"""Standard output or error is full or closed: told in one line, the exit code says so, and no work is lost."""

import json
import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from backend.cli.main import cli
from tests.cli.test_every_command import EXAMPLE, MEMBER
from tests.helpers import broken_output
from tests.helpers.click_tree import without_a_run

MERCHANT = "merchant@example.org"
AUTHORITY = ("--as", "authority@example.org")
DONE_BUT_NOT_TOLD = 3


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def key_of(desk):
    return desk.run("keys", "list").stdout.split()[0]


def office_of(desk):
    """The second customs office of the demonstration."""
    listed = json.loads(desk.run("office", "list", "--json").stdout)
    return next(one["organisation"] for one in listed if one["office"] == "CNNBO")


ARGUMENTS = {
    "audit": lambda desk: (),
    "backup": lambda desk: (desk.files / f"copies-{time.monotonic_ns()}",),
    "chain accredit": lambda desk: (desk.accredited, *AUTHORITY),
    "chain agent move": lambda desk: ("anchorer",),
    "chain agent office": lambda desk: ("CNYIU",),
    "chain agent register": lambda desk: ("guardian", "--role", "office"),
    "chain agent suspend": lambda desk: ("office",),
    "chain cancel": lambda desk: ("no-such-change",),
    "chain deploy": lambda desk: ("--again",),
    "chain guardian cancel": lambda desk: (),
    "chain guardian execute": lambda desk: (),
    "chain guardian propose": lambda desk: ("--out", "guardian", "--in", "office"),
    "chain history": lambda desk: (desk.accredited,),
    "chain pause": lambda desk: ("--renew",),
    "chain pending": lambda desk: (),
    "chain powers": lambda desk: (),
    "chain publish-revocation": lambda desk: (desk.files / "revoked.json",),
    "chain hand-on": lambda desk: ("no-such-record", "CNYIU"),
    "chain correct": lambda desk: ("no-such-record",),
    "chain allow-drawdowns": lambda desk: ("0x" + "11" * 20,),
    "chain reinstate": lambda desk: (desk.accredited, *AUTHORITY),
    "chain resume": lambda desk: (),
    "chain role grant": lambda desk: ("brake", "office"),
    "chain role revoke": lambda desk: ("revocation", "authority"),
    "chain status": lambda desk: (),
    "chain suspend": lambda desk: (desk.accredited, *AUTHORITY),
    "chain upgrade": lambda desk: (),
    "chain withdraw": lambda desk: (64 * "0",),
    "erase": lambda desk: (desk.invoice, "--yes"),
    "import": lambda desk: (EXAMPLE, "--as", "merchant@example.org"),
    "keys compromised": lambda desk: (key_of(desk), "--since", "2026-01-01T00:00Z"),
    "keys list": lambda desk: (),
    "keys rotate": lambda desk: (desk.accredited,),
    "keys rotate-master": lambda desk: (),
    "keys to-token": lambda desk: (),
    "office add": lambda desk: (office_of(desk), f"3{time.monotonic_ns() % 900 + 100}", *AUTHORITY),
    "office delegate": lambda desk: (
        "cnyiu",
        "--to",
        office_of(desk),
        "--until",
        "2030-01-01",
        "--as",
        "officer@example.org",
    ),
    "office end": lambda desk: ("no-such-delegation", "--as", "officer@example.org"),
    "office list": lambda desk: (),
    "hs import": lambda desk: (desk.written("codes.csv", "code,en\n940521,Desk lamps\n"),),
    "register": lambda desk: MEMBER,
    "restore": lambda desk: (copy_of(desk),),
    "serve": lambda desk: ("--port", free_port()),
    "snapshot new-key": lambda desk: ("--no-passphrase", desk.files / f"key-{time.monotonic_ns()}.pem"),
    "snapshot sign": lambda desk: (
        desk.files / "bundle.json",
        "--rpc",
        desk.rpc,
        "--key",
        desk.key(),
        "--trust",
        desk.trust(),
    ),
    "snapshot trust-file": lambda desk: ("--name", "Customs", "--key", desk.key(), "--trust", desk.trust()),
    "tokens list": lambda desk: (MERCHANT,),
    "tokens new": lambda desk: (MERCHANT, "--name", f"till {time.monotonic_ns()}"),
    "tokens revoke": lambda desk: ("no-such-token",),
    "trs": lambda desk: (),
    "trust-file": lambda desk: (),
    "users deactivate": lambda desk: (MERCHANT,),
    "users list": lambda desk: (),
    "users reactivate": lambda desk: (MERCHANT,),
    "users reset-password": lambda desk: (MERCHANT,),
    "anchor": lambda desk: (),
    "verify": lambda desk: (desk.files / "bundle.json", "--trust", desk.trust()),
    "web": lambda desk: ("--port", free_port()),
    "work": lambda desk: (),
}
"""What each command is given, so that it would be done if its output could be written."""
BESIDE_OTHERS = ("anchor", "web", "work")
"""Commands that need a node which several processes reach."""
UNTIL_STOPPED = ("serve", *BESIDE_OTHERS)
ONCE = "office delegate"
"""A second run meets the delegation that the first one made."""
FOR_NOTHING = (
    *("chain cancel", "chain correct", "chain guardian cancel", "chain guardian execute", "chain hand-on"),
    *("chain resume", "chain withdraw"),
    *("office end", "tokens revoke", "keys to-token"),
)
"""Commands that are given what does not exist: they end as refused whatever becomes of their output."""


ORDER = sorted(ARGUMENTS)
SHARES = {
    ways: ORDER[first::3] for first, ways in enumerate([("kept", "full"), ("kept", "closed"), ("closed", "kept")])
}
"""A stream that fails is met in one place for all commands: each way is tried with a third of them."""
SHARES["closed", "closed"] = SHARES["kept", "full"]


def copy_of(desk):
    folder = desk.files / "copies"
    if not folder.exists():
        desk.run("backup", folder)
    return next(path for path in folder.iterdir() if path.is_dir())


def data_for(desk, command):
    if command == "restore":
        return desk.files / f"restored-{time.monotonic_ns()}"
    return desk.copy()


def run_broken(desk, runs):
    """What became of (command, arguments, output, errors, data folder)."""
    asked = desk.files / f"runs-{time.monotonic_ns()}.json"
    plain = {"PROVENPORT_DEMO": "0", "LC_ALL": "C.UTF-8"}
    given = [
        {
            "arguments": [*command.split(), *map(str, arguments)],
            "output": output,
            "errors": errors,
            "environment": {
                **plain,
                "DATA_DIR": str(data),
                **({"LEDGER_RPC_URL": desk.rpc} if command in BESIDE_OTHERS else {}),
            },
        }
        for command, arguments, output, errors, data in runs
    ]
    asked.write_text(json.dumps(given), encoding="utf-8")
    subprocess.run([sys.executable, broken_output.__file__, str(asked)], check=True, timeout=500)
    return json.loads(asked.with_suffix(".done").read_text(encoding="utf-8"))


def outcomes_of(desk, asked):
    """What became of each (command, output, errors)."""
    runs = [
        (command, ARGUMENTS[command](desk), output, errors, data_for(desk, command))
        for command, output, errors in asked
    ]
    return dict(zip(asked, run_broken(desk, runs), strict=True))


@pytest.fixture(scope="module")
def full_output(desk):
    """What becomes of every command whose standard output is full."""
    return outcomes_of(desk, [(command, "full", "kept") for command in ARGUMENTS])


@pytest.fixture(scope="module")
def otherwise(desk):
    """What becomes of its share of the commands in every other way."""
    asked = [(command, *ways) for ways, share in SHARES.items() for command in share]
    # A server whose standard error fails goes on serving.
    return outcomes_of(desk, [one for one in asked if one[0] not in UNTIL_STOPPED or one[1] != "kept"])


def test_every_command_of_the_tree_has_arguments():
    assert without_a_run(cli, ARGUMENTS) == []


def assert_told_in_a_line(done):
    lines = done["errors"].strip().splitlines()
    assert "Traceback" not in done["errors"]
    assert "Exception ignored" not in done["errors"]
    assert done["code"] in (1, 2, DONE_BUT_NOT_TOLD), done
    assert 1 <= len(lines) <= 2, done


@pytest.mark.parametrize("command", ARGUMENTS)
def test_full_output_is_told_in_a_line(full_output, command):
    done = full_output[command, "full", "kept"]
    assert_told_in_a_line(done)
    if command not in FOR_NOTHING:
        assert "Nothing was done" not in done["errors"].strip().splitlines()[-1], done


@pytest.mark.slow
@pytest.mark.parametrize("command", SHARES["closed", "kept"])
def test_closed_output_is_told_in_a_line(otherwise, command):
    done = otherwise[command, "closed", "kept"]
    assert_told_in_a_line(done)
    assert "Nothing was done" in done["errors"].strip().splitlines()[-1], done


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "errors"),
    [
        (command, errors)
        for errors in ("full", "closed")
        for command in SHARES["kept", errors]
        if command not in (*UNTIL_STOPPED, ONCE, *FOR_NOTHING)
    ],
)
def test_error_stream_that_fails_changes_nothing(otherwise, command, errors):
    done = otherwise[command, "kept", errors]
    assert done["code"] == 0, done
    assert "Traceback" not in done["output"]


@pytest.mark.slow
@pytest.mark.parametrize("command", SHARES["closed", "closed"])
def test_both_streams_closed_refuses(otherwise, command):
    assert otherwise[command, "closed", "closed"]["code"] in (1, 2)


CHANGING = [
    "backup",
    "chain accredit",
    "chain deploy",
    "erase",
    "import",
    "keys compromised",
    "keys rotate",
    "register",
]


@pytest.mark.parametrize("command", CHANGING)
def test_done_work_has_its_own_exit_code(full_output, command):
    assert full_output[command, "full", "kept"]["code"] == DONE_BUT_NOT_TOLD


def test_password_that_could_not_be_shown_is_kept(desk):
    data = desk.copy()
    (done,) = run_broken(desk, [("register", MEMBER, "full", "kept", data)])
    (file,) = data.glob("credentials-*.json")
    assert str(file) in done["errors"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    kept = json.loads(file.read_text(encoding="utf-8"))
    assert signs_in(data, kept["email"], kept["password"])
    assert not signs_in(data, kept["email"], kept["password"] + "x")


def signs_in(data, email, password):
    from backend.runtime.context import opened
    from backend.services.organisations import sign_in
    from backend.settings import Settings

    with opened(Settings(data)) as ctx:
        return sign_in(ctx, email, password) is not None


def test_nobody_is_registered_where_output_is_closed(desk):
    data = desk.copy()
    before = desk.run("keys", "list", data=data).output
    run_broken(desk, [("register", MEMBER, "closed", "kept", data)])
    assert desk.run("keys", "list", data=data).output == before


def test_erased_record_is_gone_though_untold(desk):
    data = desk.copy()
    (done,) = run_broken(desk, [("erase", (desk.invoice, "--yes"), "full", "kept", data)])
    assert "is erased; but standard output cannot be written" in done["errors"]
    assert "Nothing was erased" not in desk.run("erase", desk.invoice, data=data, code=1).output


def test_copy_is_whole_though_untold(desk):
    folder = desk.files / f"untold-{time.monotonic_ns()}"
    run_broken(desk, [("backup", (folder,), "full", "kept", desk.copy())])
    (copy,) = (path for path in folder.iterdir() if path.is_dir())
    desk.run("restore", copy, data=desk.files / f"from-untold-{time.monotonic_ns()}")


def test_imported_tables_are_stored_though_untold(desk):
    data = desk.copy()
    given = (EXAMPLE, "--as", "merchant@example.org")
    (done,) = run_broken(desk, [("import", given, "full", "kept", data)])
    assert "everything is stored" in done["errors"]
    assert "was lodged before" in desk.run("import", *given, data=data, code=1).output


def test_reader_that_goes_away_ends_quietly(desk):
    """As in ``provenport trs | true``: no trace of a broken pipe."""
    reading, writing = os.pipe()
    os.close(reading)
    given = {**os.environ, "DATA_DIR": str(desk.copy()), "LC_ALL": "C.UTF-8"}
    command = [sys.executable, "-m", "backend.cli.main", "trs"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, env=given, timeout=60)
    os.close(writing)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("place", [Path("no-such-folder/out.csv"), Path("/proc/out.csv")])
def test_file_in_an_unwritable_folder_is_refused_first(desk, place):
    """Before anything is opened: there is no installation in this data folder."""
    nowhere = desk.files / "nowhere"
    for asked in (
        ("trs", "--events", place),
        ("snapshot", "new-key", place),
        ("snapshot", "trust-file", "--name", "x", "--thumbprint", "x", "--trust", desk.trust(), "--out", place),
    ):
        assert "cannot be written" in desk.run(*asked, data=nowhere, code=2).output
    assert not nowhere.exists()
