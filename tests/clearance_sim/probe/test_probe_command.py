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


def test_a_server_that_believes_every_paper_is_found_out():
    with lying_server(believes=True) as server:
        result = run(
            "--url", server.url, "--count", "14", "--rate", "50", "--forged", "0.5", "--patience", "0.5", "--json"
        )
    assert result.exit_code == 1
    forged = found(result)["detection"]["forged"]
    assert set(forged) == FORGED | {"all"}
    assert forged["all"]["passed"] == forged["all"]["tried"] == 7
    assert found(result)["detection"]["wrong"]["all"]["passed"] > 0


def test_a_server_that_refuses_everything_refuses_the_good_as_well():
    with lying_server(believes=False) as server:
        result = run("--url", server.url, "--count", "6", "--rate", "50", "--forged", "0", "--wrong", "0.5", "--json")
    assert result.exit_code == 0
    good = found(result)["detection"]["good"]
    assert (good["tried"], good["caught"], good["passed"]) == (3, 3, 0)
    assert good["share"]["value"] == 1
    assert good["share"]["low"] == pytest.approx(0.025 ** (1 / 3))  # Clopper and Pearson, all of three


def test_what_is_found_is_written_to_a_file_as_well(tmp_path):
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


def test_no_consignment_is_begun_after_the_time_is_over():
    with lying_server(believes=True) as server:
        result = run("--url", server.url, "--count", "50", "--rate", "5", "--seconds", "1", "--forged", "0", "--json")
    assert 4 <= found(result)["sent"] <= 6
    assert found(result)["wallSeconds"] < 15


def test_without_the_authority_an_unaccredited_issuer_is_not_tried_and_that_is_said():
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
def test_a_probe_that_cannot_be_made_says_why(arguments, tokens, says):
    result = run(*arguments, tokens=tokens)
    assert result.exit_code == 2
    assert says in result.stderr
    assert "Traceback" not in result.output


def test_another_program_on_the_port_is_no_provenport():
    with lying_server(believes=True, title="Petstore") as server:
        result = run("--url", server.url)
    assert result.exit_code == 2
    assert "it is no Provenport" in result.stderr


def test_a_wrong_token_and_a_swapped_one_are_told_apart():
    with lying_server(believes=True) as server:
        stale = run("--url", server.url, tokens={**TOKENS, "officer": "pp_old"})
        swapped = run("--url", server.url, tokens={**TOKENS, "officer": TOKENS["merchant"]})
    assert "the token for officer is nobody's" in stale.stderr
    assert "the token given for officer belongs to a merchant" in swapped.stderr


@pytest.mark.parametrize(
    ("content", "says"), [(None, "cannot be read"), ("{", "is no JSON"), ("[1]", "holds no credentials")]
)
def test_a_credentials_file_that_is_none_is_told_plainly(tmp_path: Path, content: str | None, says: str):
    file = tmp_path / "credentials.json"
    if content is not None:
        file.write_text(content)
    result = CliRunner().invoke(probe_command, ["--credentials", str(file)])
    assert result.exit_code == 2
    assert says in result.stderr
