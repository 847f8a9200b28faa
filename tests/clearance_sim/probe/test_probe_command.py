"""The command tells whether a forgery passed, and in plain words when it cannot be made."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from clearance_sim.commands.probe import probe_command
from tests.clearance_sim.probe.lying_server import TOKENS, lying_server

FORGED = {"never-issued", "self-signed", "altered-copy", "revoked", "unaccredited", "used-up"}


def run(*arguments: str, tokens: dict[str, str] = TOKENS) -> Result:
    given = [part for role, token in tokens.items() for part in ("--token", f"{role}={token}")]
    return CliRunner().invoke(probe_command, [*given, *arguments])


def found(result: Result) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(result.stdout)
    return parsed


def test_believing_server_is_found_out():
    """A server that believes every paper is found out."""
    with lying_server(believes=True) as server:
        result = run(
            "--url", server.url, "--count", "14", "--rate", "50", "--forged", "0.5", "--patience", "0.5", "--json"
        )
    assert result.exit_code == 1
    forged = found(result)["detection"]["forged"]
    assert set(forged) == FORGED | {"all"}
    assert forged["all"]["passed"] == forged["all"]["tried"] == 7
    assert found(result)["detection"]["wrong"]["all"]["passed"] > 0


def test_refusing_server_refuses_good_consignments_too():
    """A server that refuses everything refuses the good as well."""
    with lying_server(believes=False) as server:
        result = run("--url", server.url, "--count", "6", "--rate", "50", "--forged", "0", "--wrong", "0.5", "--json")
    assert result.exit_code == 0
    good = found(result)["detection"]["good"]
    assert (good["tried"], good["caught"], good["passed"]) == (3, 3, 0)
    assert good["share"]["value"] == 1
    assert good["share"]["low"] == pytest.approx(0.025 ** (1 / 3))  # Clopper and Pearson, all of three


def test_findings_are_written_to_file(tmp_path):
    """What is found is written to a file as well."""
    file = tmp_path / "new" / "probe.json"
    with lying_server(believes=True) as server:
        result = run("--url", server.url, "--count", "5", "--rate", "50", "--forged", "0", "--out", str(file))
    assert result.exit_code == 0
    written = json.loads(file.read_text())
    assert (written["format"], written["version"], written["sent"]) == ("provenport-probe", 1, 5)
    verify = written["measures"]["verify"]
    assert verify["count"] == len(verify["values"]) == 8
    assert verify["values"] == sorted(verify["values"])
    assert "released" in result.stdout


def test_no_consignment_begins_after_time_is_over():
    """No consignment is begun after the time is over."""
    with lying_server(believes=True) as server:
        result = run("--url", server.url, "--count", "50", "--rate", "5", "--seconds", "1", "--forged", "0", "--json")
    assert 4 <= found(result)["sent"] <= 6
    assert found(result)["wallSeconds"] < 15


def test_probe_without_authority_tries_no_unaccredited_issuer():
    """Without the authority an unaccredited issuer is not tried and that is said."""
    tokens = {role: token for role, token in TOKENS.items() if role != "authority"}
    asked = ["--count", "5", "--rate", "50", "--forged", "1", "--wrong", "0", "--patience", "0.2"]
    with lying_server(believes=True) as server:
        result = run("--url", server.url, *asked, tokens=tokens)
    assert "unaccredited" not in result.stdout.replace("Unaccredited issuers were not tried", "")
    assert "Unaccredited issuers were not tried" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "tokens", "says"),
    [
        (["--url", "http://127.0.0.1:9"], TOKENS, "is it running?"),
        (["--url", "ftp://there"], TOKENS, "no http:// or https:// address"),
        ([], {"merchant": "x"}, "no token for chamber, laboratory, officer"),
        (["--token", "mayor=x"], TOKENS, "--token takes ROLE=TOKEN"),
        (["--count", "0"], TOKENS, "count is 0: give a number from 1 to 5000"),
        (["--forged", "0.9"], TOKENS, "forged_share is 0.9"),
    ],
)
def test_probe_that_cannot_be_made_says_why(arguments, tokens, says):
    result = run(*arguments, tokens=tokens)
    assert result.exit_code == 2
    assert says in result.stderr
    assert "Traceback" not in result.output


def test_another_program_on_the_port_is_no_provenport():
    with lying_server(believes=True, title="Petstore") as server:
        result = run("--url", server.url)
    assert result.exit_code == 2
    assert "it is no Provenport" in result.stderr


def test_wrong_and_swapped_tokens_are_reported_apart():
    """A wrong token and a swapped one are told apart."""
    with lying_server(believes=True) as server:
        stale = run("--url", server.url, tokens={**TOKENS, "officer": "pp_old"})
        swapped = run("--url", server.url, tokens={**TOKENS, "officer": TOKENS["merchant"]})
    assert "the token for officer is nobody's" in stale.stderr
    assert "the token given for officer belongs to a merchant" in swapped.stderr


@pytest.mark.parametrize(
    ("content", "says"), [(None, "cannot be read"), ("{", "is no JSON"), ("[1]", "holds no credentials")]
)
def test_unusable_credentials_file_is_reported(tmp_path: Path, content: str | None, says: str):
    """A credentials file that is none is told plainly."""
    file = tmp_path / "credentials.json"
    if content is not None:
        file.write_text(content)
    result = CliRunner().invoke(probe_command, ["--credentials", str(file)])
    assert result.exit_code == 2
    assert says in result.stderr
