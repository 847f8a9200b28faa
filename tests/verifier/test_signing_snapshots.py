"""``provenport snapshot`` as a customs office uses it: its own node, its own key, and nothing of ours but the files."""

import json
import os
import shutil
import stat
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from backend.adapters import node_client
from backend.adapters.keys import key_files
from backend.cli.snapshot import snapshot_command
from backend.domain import sd_jwt, snapshot, strict_json
from backend.domain import trust as trusts
from backend.domain.trust import Trust
from backend.services.bundles import trust_of
from tests.helpers.builders import Api
from tests.verifier.test_node_client import (
    FAULTS,
    calls,
    foreign,
    reorganised_while_asked,
    serving,
    without_the_batch,
)
from tests.verifier.verifiers import (
    PROGRAM,
    ROOT,
    Question,
    by_page,
    by_product,
    by_program,
    node,
)

DAY = timedelta(days=1)
NAME = "Shenzhen Customs 深圳海关"


@pytest.fixture(scope="module")
def api(app, people):
    return Api(app.test_client(), people)


@pytest.fixture(scope="module")
def content(api, settle):
    """A certificate's bundle, as the server gives it out."""
    made = api.certificate()
    settle()
    return api.get(f"/records/{made['id']}/evidence", "merchant").get_data()


@pytest.fixture(scope="module")
def dossier(api, settle):
    """A declaration's bundle with its papers."""
    lodged = api.declaration()
    settle()
    return api.get(f"/declarations/{lodged['id']}/evidence", "officer").get_data()


@pytest.fixture
def desk(system, content, tmp_path):
    """What lies on the office's desk: a bundle without a snapshot, the operator's trust file, a key."""
    (tmp_path / "bundle.json").write_bytes(without_snapshot(content))
    (tmp_path / "operator.json").write_text(json.dumps(trust_of(system.ctx, "Operator").as_json()))
    key_files.new_key(tmp_path / "office.pem", None)
    return tmp_path


def without_snapshot(content):
    return written(json.loads(content) | {"snapshot": None})


def written(values):
    return json.dumps(values, separators=(",", ":")).encode()


def office(*arguments, **settings):
    """The command in this process."""
    return CliRunner(env=settings).invoke(snapshot_command, [str(one) for one in arguments])


def sign(desk, url, *more, **settings):
    own = ["--key", desk / "office.pem", "--trust", desk / "operator.json", "--out", desk / "signed.json"]
    return office("sign", desk / "bundle.json", "--rpc", url, *own, *more, **settings)


def trust_file(desk, *more):
    done = office("trust-file", "--name", NAME, "--key", desk / "office.pem", "--trust", desk / "operator.json", *more)
    assert done.exit_code == 0, done.output
    return trusts.read(strict_json.loads(done.stdout))


def command(*arguments, folder, **settings):
    """The command as a process in the office's folder, with nothing of ours in its environment."""
    own = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "VIRTUAL_ENV")}
    line = [sys.executable, *map(str, arguments)]
    environment = own | {"PYTHONPATH": str(ROOT)} | settings
    return subprocess.run(line, env=environment, cwd=folder, capture_output=True, text=True, check=False)


def verifiers(question):
    """What each verifier says: its verdict, and its reason about the snapshot."""
    found = [by_product(question), by_program(question), *(by_page([question]) if node() else ())]
    return {(conclusion, *(c[2] for c in checks if c[0] == "SNAPSHOT")) for conclusion, checks, _ in found}


# ---- the whole way


def test_an_office_signs_and_its_readers_believe_it(desk, rpc_url):
    """Every step by the real command, with a sealed key, in a folder that holds nothing else."""
    provenport = ("-m", "backend.cli.main")
    secret = {"PROVENPORT_KEY_PASSPHRASE": "correct horse"}
    made = command(*provenport, "snapshot", "new-key", "sealed.pem", folder=desk, **secret)
    thumbprint = made.stdout.strip()
    assert (made.returncode, len(thumbprint)) == (0, 43), made.stderr
    given = ["--key", "sealed.pem", "--trust", "operator.json"]
    done = command(
        *provenport, "snapshot", "trust-file", "--name", NAME, *given, "--out", "customs.json", folder=desk, **secret
    )
    assert done.returncode == 0, done.stderr
    assert thumbprint in (desk / "customs.json").read_text()
    done = command(*provenport, "snapshot", "sign", "bundle.json", "--rpc", rpc_url, *given, folder=desk, **secret)
    assert done.returncode == 0, done.stderr
    assert f"Key: {thumbprint}. Who trusts it reads: VALID." in done.stderr
    (desk / "signed.json").write_text(done.stdout)
    names = {"bundle.json", "operator.json", "office.pem", "sealed.pem", "customs.json", "signed.json"}
    assert {path.name for path in desk.iterdir()} == names, "it leaves nothing"

    told = command(*provenport, "verify", "signed.json", "--trust", "customs.json", folder=desk)
    assert told.stdout.startswith("VALID as of ")
    assert told.stdout.splitlines()[0].endswith(f"according to {NAME}")
    told = command(PROGRAM, "signed.json", "customs.json", folder=desk)
    assert told.stdout.splitlines()[0].endswith(f"according to {NAME}")
    assert told.stdout.startswith("VALID as of ")
    told = command(*provenport, "verify", "signed.json", "--trust", "operator.json", folder=desk)
    assert (told.returncode, told.stdout.splitlines()[0]) == (2, "INDETERMINATE")


@pytest.mark.parametrize("which", ["content", "dossier"])
def test_three_verifiers_agree_on_snapshot_trust(desk, rpc_url, which, request):
    """They agree on whose word counts, and for how long."""
    content = request.getfixturevalue(which)
    (desk / "bundle.json").write_bytes(content)
    done = sign(desk, rpc_url)
    assert done.exit_code == 0, done.stderr
    signed, moment = (desk / "signed.json").read_bytes(), datetime.now(UTC)
    operator = trusts.read(strict_json.loads((desk / "operator.json").read_bytes()))
    question = Question(signed, trust_file(desk), moment)
    assert verifiers(question) == {("VALID", "snapshot-trusted")}
    assert verifiers(replace(question, trust=trust_file(desk, "--join"))) == {("VALID", "snapshot-trusted")}
    assert verifiers(replace(question, trust=operator)) == {("INDETERMINATE", "snapshot-signer-untrusted")}
    assert verifiers(replace(question, moment=moment + 2 * DAY)) == {("INDETERMINATE", "snapshot-too-old")}
    assert verifiers(replace(question, content=content)) == {("INDETERMINATE", "snapshot-signer-untrusted")}


def test_it_states_what_the_server_would(desk, rpc_url, client, dossier):
    """It drops nothing of the bundle."""
    (desk / "bundle.json").write_bytes(dossier)
    assert sign(desk, rpc_url).exit_code == 0
    signed = (desk / "signed.json").read_bytes()
    before, after = json.loads(dossier), json.loads(signed)
    assert signed == written(after), "one line, one spelling"
    assert after | {"snapshot": None} == before | {"snapshot": None}
    assert len(after["records"]) > 1
    schema = Draft202012Validator(client.get("/schemas/evidence-bundle/v1.json").get_json(force=True))
    assert schema.is_valid(after)
    own, theirs = (snapshot.read(one["snapshot"]).snapshot for one in (after, before))
    assert own.readings == theirs.readings
    assert (own.ledger, own.accreditation) == (theirs.ledger, theirs.accreditation)
    assert sd_jwt.b64(sd_jwt.thumbprint(key_files.opened((desk / "office.pem").read_bytes(), None).jwk)) in (
        snapshot.read(after["snapshot"]).signer
    )


def test_bundle_is_signed_in_place_or_to_stdout(desk, rpc_url):
    bundle, given = (
        desk / "bundle.json",
        ["--rpc", rpc_url, "--key", desk / "office.pem", "--trust", desk / "operator.json"],
    )
    printed = office("sign", bundle, *given)
    assert (printed.exit_code, printed.stdout) == (0, written(json.loads(printed.stdout)).decode())
    assert office("sign", bundle, *given, "--out", bundle).exit_code == 0
    assert json.loads(bundle.read_bytes())["snapshot"]
    assert office("sign", bundle, *given, "--out", bundle).exit_code == 0
    lost = office("sign", bundle, *given, "--out", desk / "office.pem")
    assert (lost.exit_code, "your key" in lost.stderr) == (2, True)
    nowhere = office("sign", bundle, *given, "--out", desk / "no" / "folder.json")
    assert (nowhere.exit_code, "cannot be written" in nowhere.stderr) == (2, True)


# ---- facts as they are


def test_a_revoked_record_is_stated_as_revoked(desk, rpc_url, api, settle):
    made = api.certificate()
    settle()
    (desk / "bundle.json").write_bytes(api.get(f"/records/{made['id']}/evidence", "merchant").get_data())
    api.post(f"/records/{made['id']}/revocation", "chamber", {"reason": "wrong goods"})
    settle()
    done = sign(desk, rpc_url)
    assert done.exit_code == 0
    assert "Who trusts it reads: INVALID. Revoked." in done.stderr
    question = Question((desk / "signed.json").read_bytes(), trust_file(desk), datetime.now(UTC))
    assert verifiers(question) == {("INVALID", "snapshot-trusted")}
    assert "将看到：无效。已被撤销" in sign(desk, rpc_url, LANG="zh_CN.UTF-8").stderr


def an_answer(selector, word, value):
    """The node's answer to a view with one of its words changed."""

    def rule(method, params, result):
        if method != "eth_call" or not params[0]["data"].startswith(f"0x{selector}"):
            return result
        at = 2 + 64 * word
        return f"{result[:at]}{value:064x}{result[at + 64 :]}"

    return rule


PUBLISHED = "0x" + "".join(f"{word:064x}" for word in (2, 1_700_000_000, 1_700_000_001))
STATED = {
    "suspended": (an_answer(node_client.STATUS_OF, 0, 1), "suspended"),
    "replaced": (an_answer(node_client.STATUS_OF, 0, 3), "superseded"),
    "revoked elsewhere": (calls(node_client.REVOCATION_OF, PUBLISHED), "revoked-elsewhere"),
    "a suspended key": (an_answer(node_client.ACCREDITATION_OF, 4, 1_700_000_000), "accreditation-revoked"),
    "a key for other kinds then": (an_answer(node_client.TERMS_OF_SIGNATURE, 0, 4), "kind-not-covered"),
    "an unknown key": (calls(node_client.ACCREDITATION_OF, "0x" + "00" * 160), "never-accredited"),
}


@pytest.mark.parametrize("what", STATED)
def test_ledger_facts_against_a_record_are_stated(system, desk, what):
    rule, reason = STATED[what]
    with serving(system, rule) as url:
        assert sign(desk, url).exit_code == 0
    found = by_product(Question((desk / "signed.json").read_bytes(), trust_file(desk), datetime.now(UTC)))
    assert (found[0], reason in {check[2] for check in found[1]}) == ("INVALID", True)


# ---- nothing is signed


def refused(done, desk, code, *said):
    assert done.exit_code == code, done.output
    assert done.stdout == ""
    assert not (desk / "signed.json").exists()
    assert all(words in done.stderr for words in said), done.stderr


@pytest.mark.parametrize("fault", sorted(set(FAULTS) - {"a ledger that nobody names", "its own trust refused"}))
def test_nothing_is_signed_by_a_node_at_fault(system, desk, fault):
    rule = reorganised_while_asked() if fault == "a reorganisation meanwhile" else FAULTS[fault][0]
    with serving(system, rule) as url:
        refused(sign(desk, url), desk, 2, "Nothing was signed:")


def test_nothing_is_signed_where_no_node_answers(desk):
    refused(sign(desk, "http://127.0.0.1:9/"), desk, 2, "Nothing was signed:", "Try again")
    refused(sign(desk, "http://127.0.0.1:9/", "--lang", "zh"), desk, 2, "未签署", "暂时无法查询链上记录")


def test_nothing_is_signed_about_an_untrusted_ledger(system, desk):
    """Also where the node itself names it: whose ledger it is, the office must know by another way."""
    with serving(system) as url:
        (desk / "operator.json").write_text(json.dumps(Trust().as_json()))
        refused(sign(desk, url), desk, 2, "does not name this ledger")
        refused(sign(desk, url, "--lang", "zh"), desk, 2, "信任文件未列出这条链")


def test_node_without_our_trust_file_suffices(system, desk):
    with serving(system, foreign) as url:
        assert sign(desk, url).exit_code == 0


def test_node_lagging_more_than_allowed_is_refused(system, desk):
    def rule(method, params, result):
        if method == "eth_getBlockByNumber" and result:
            return {**result, "timestamp": hex(int(result["timestamp"], 16) - 3 * 3600)}
        return result

    with serving(system, rule) as url:
        refused(sign(desk, url), desk, 2, "lags behind")


def test_a_forged_or_altered_bundle_is_refused(system, desk, content):
    absent = without_the_batch(eth_getTransactionReceipt=lambda _: None, eth_getTransactionByHash=lambda _: None)
    with serving(system, absent) as url:
        refused(sign(desk, url), desk, 1, "knows nothing of this record")
    with serving(system) as url:
        values = json.loads(without_snapshot(content))
        one = values["records"][0]
        (desk / "bundle.json").write_bytes(written(values | {"records": [one | {"record": altered(one["record"])}]}))
        refused(sign(desk, url), desk, 1, "Signature")
        proof = one["proof"] | {"leafIndex": one["proof"]["leafIndex"] + 1}
        (desk / "bundle.json").write_bytes(written(values | {"records": [one | {"proof": proof}]}))
        refused(sign(desk, url, "--lang", "zh"), desk, 1, "证明与链上记录不符")
        (desk / "bundle.json").write_bytes(b"{}")
        refused(sign(desk, url), desk, 2, "not an evidence bundle")


def altered(record):
    """The record with another letter in its signature."""
    head, _, disclosures = record.partition("~")
    at = len(head) - 20
    return f"{head[:at]}{'A' if head[at] != 'A' else 'B'}{head[at + 1 :]}~{disclosures}"


def test_document_not_named_by_declaration_is_refused(desk, rpc_url, content, dossier):
    declaration = json.loads(dossier)["records"][0]
    mixed = json.loads(without_snapshot(dossier)) | {"records": [declaration, *json.loads(content)["records"]]}
    (desk / "bundle.json").write_bytes(written(mixed))
    refused(sign(desk, rpc_url), desk, 1, "not the paper that the declaration names")


def test_incomplete_dossier_is_signed_as_it_is(desk, rpc_url, dossier):
    values = json.loads(dossier)
    (desk / "bundle.json").write_bytes(written(values | {"records": values["records"][:-1]}))
    done = sign(desk, rpc_url)
    assert (done.exit_code, "INDETERMINATE. The declaration names 1 more" in done.stderr) == (0, True), done.stderr


def test_bundle_with_altered_snapshot_is_not_signed(desk, rpc_url, content):
    values = json.loads(content)
    (desk / "bundle.json").write_bytes(written(values | {"snapshot": values["snapshot"][:-4] + "AAAA"}))
    refused(sign(desk, rpc_url), desk, 2, "altered or damaged")


def test_records_on_two_ledgers_or_none_are_refused(desk, rpc_url, dossier):
    values = json.loads(without_snapshot(dossier))
    first, *others = values["records"]
    elsewhere = first | {"anchor": first["anchor"] | {"ledger": "0x" + "ab" * 20}}
    (desk / "bundle.json").write_bytes(written(values | {"records": [elsewhere, *others]}))
    refused(sign(desk, rpc_url), desk, 2, "on 2 ledgers")
    waiting = first | {"anchor": None, "proof": None}
    (desk / "bundle.json").write_bytes(written(values | {"records": [waiting, *others]}))
    refused(sign(desk, rpc_url), desk, 2, "sealed within seconds")


@pytest.mark.parametrize("wrong", ["ftp://x", "http://", "http://[", "http://x:99999"])
def test_what_is_no_address_is_told(desk, wrong):
    refused(sign(desk, wrong), desk, 2, "a node's address is written like")


# ---- keys


def test_new_key_suits_openssl_and_owner_alone(tmp_path):
    """OpenSSL reads it, and nobody but its owner."""
    for name, more, settings, head in (
        ("open.pem", ["--no-passphrase"], {}, "-----BEGIN PRIVATE KEY-----"),
        ("sealed.pem", [], {"PROVENPORT_KEY_PASSPHRASE": "secret"}, "-----BEGIN ENCRYPTED PRIVATE KEY-----"),
    ):
        path = tmp_path / name
        done = office("new-key", path, *more, **settings)
        assert done.exit_code == 0
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.read_text().startswith(head)
        kept = path.read_bytes()
        again = office("new-key", path, *more, **settings)
        assert (again.exit_code, "is there already" in again.stderr, path.read_bytes()) == (1, True, kept)
        own = key_files.opened(kept, settings.get("PROVENPORT_KEY_PASSPHRASE"))
        assert sd_jwt.b64(sd_jwt.thumbprint(own.jwk)) == done.stdout.strip()
        if shutil.which("openssl"):
            read = ["openssl", "pkey", "-in", path, "-passin", "pass:secret", "-noout", "-text"]
            assert "prime256v1" in subprocess.run(read, capture_output=True, text=True, check=True).stdout


def test_a_key_that_will_not_do_is_told(desk):
    nobody = "http://127.0.0.1:9/"
    office("new-key", desk / "sealed.pem", PROVENPORT_KEY_PASSPHRASE="secret")
    shutil.copy(desk / "sealed.pem", desk / "office.pem")
    refused(sign(desk, nobody, PROVENPORT_KEY_PASSPHRASE="wrong"), desk, 2, "the passphrase does not open it")
    refused(sign(desk, nobody), desk, 2, "give it as PROVENPORT_KEY_PASSPHRASE")
    (desk / "office.pem").write_text("-----BEGIN PRIVATE KEY-----\nnone\n")
    refused(sign(desk, nobody), desk, 2, "no private key in PEM")
    done = office("new-key", desk / "other.pem")
    assert (done.exit_code, "--no-passphrase" in done.stderr) == (2, True)
    assert office("new-key", desk / "no" / "folder.pem", "--no-passphrase").exit_code == 2


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl here")
def test_openssl_key_signs_and_other_kinds_fail(desk, rpc_url):
    key = desk / "office.pem"
    curve = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
    subprocess.run(["openssl", "genpkey", *curve, "-out", key], check=True, capture_output=True)
    key.chmod(0o644)
    done = sign(desk, rpc_url)
    assert (done.exit_code, "others can read" in done.stderr) == (0, True)
    public = subprocess.run(["openssl", "pkey", "-in", key, "-pubout"], check=True, capture_output=True).stdout
    expected = trust_file(desk).as_json()
    (desk / "public.pem").write_bytes(public)
    (desk / "public.jwk").write_text(json.dumps(dict(key_files.public_jwk(public))))
    for name in ("public.pem", "public.jwk"):
        own = ["--name", NAME, "--trust", desk / "operator.json", "--key", desk / name]
        assert json.loads(office("trust-file", *own).stdout) == expected
    (desk / "signed.json").unlink()
    subprocess.run(["openssl", "genpkey", "-algorithm", "ED25519", "-out", key], check=True, capture_output=True)
    refused(sign(desk, rpc_url), desk, 2, "another kind of key than P-256")


# ---- trust files


def test_trust_file_names_office_for_operators_ledger(desk):
    operator = trusts.read(strict_json.loads((desk / "operator.json").read_bytes()))
    alone, joined = trust_file(desk), trust_file(desk, "--join")
    assert [(e.name, e.ledger, e.accreditation, e.confirmations) for e in alone.trusted] == [
        (NAME, e.ledger, e.accreditation, e.confirmations) for e in operator.trusted
    ]
    assert joined.trusted == (*operator.trusted, *alone.trusted)


def test_a_newer_key_joins_the_earlier_one(desk):
    trust = desk / "customs.json"
    trust.write_text(json.dumps(trust_file(desk, "--join").as_json()))
    own = ["--name", NAME, "--trust", trust, "--join", "--out", trust]
    assert office("trust-file", *own, "--thumbprint", "N" * 43).exit_code == 0
    found = trusts.read(strict_json.loads(trust.read_bytes()))
    assert [len(e.keys) for e in found.trusted] == [1, 2]
    assert found.trusted[1].keys[0] == "N" * 43
    again = office("trust-file", *own, "--thumbprint", "N" * 43)
    assert (again.exit_code, trusts.read(strict_json.loads(trust.read_bytes()))) == (0, found)


def test_a_trust_file_that_would_mislead_is_refused(desk):
    operator = trusts.read(strict_json.loads((desk / "operator.json").read_bytes()))
    given = ["--trust", desk / "operator.json"]
    done = office("trust-file", "--name", NAME, *given, "--join", "--thumbprint", operator.trusted[0].keys[0])
    assert (done.exit_code, "speaks already, as Operator" in done.stderr) == (1, True)
    for wrong, said in (
        ([], "--key FILE or by --thumbprint"),
        (["--thumbprint", "short"], "43 letters"),
        (["--key", desk / "bundle.json"], "no public P-256 key as a JWK"),
        (["--key", desk / "office.pem", "--thumbprint", "N" * 43], "--key FILE or by --thumbprint"),
        (["--thumbprint", "N" * 43, "--name", " "], "readers must be able"),
        (["--thumbprint", "N" * 43, "--trust", desk / "bundle.json"], "not a trust file"),
    ):
        done = office("trust-file", "--name", NAME, *given, *wrong)
        assert (done.exit_code, said in done.stderr) == (2, True), done.output
    (desk / "operator.json").write_text(json.dumps(Trust().as_json()))
    done = office("trust-file", "--name", NAME, *given, "--thumbprint", "N" * 43)
    assert (done.exit_code, "names no ledger" in done.stderr) == (2, True)


def test_failed_output_is_neither_signed_nor_forged(desk, system):
    """What cannot be handed over is not called signed, and is no forgery."""
    trusted = (desk / "operator.json").read_text()
    (desk / "link.json").symlink_to(desk / "signed.json")
    (desk / "signed.json").write_text("old")
    with serving(system) as url:
        own = [desk / "bundle.json", "--rpc", url, "--key", desk / "office.pem", "--trust", desk / "operator.json"]
        for out, why in ((desk / "operator.json", "your trust file"), ("/dev/null", "is no file")):
            done = office("sign", *own, "--out", out)
            assert (done.exit_code, why in done.stderr, "Signed" in done.stderr) == (2, True, False)
        line = ["-m", "backend.cli.main", "snapshot", "sign", *own]
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [sys.executable, *map(str, line)], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False
            )
        assert (done.returncode, "Signed" in done.stderr) == (2, False), done.stderr
        done = office("sign", *own, "--out", desk / "link.json")
        assert done.exit_code == 0, done.stderr
    assert (desk / "operator.json").read_text() == trusted
    assert Path("/dev/null").is_char_device()
    assert (desk / "link.json").is_symlink()
    assert json.loads((desk / "signed.json").read_text())["snapshot"]
