"""``provenport import`` as somebody at a terminal, or a program, meets it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from backend.cli.importing import import_command
from backend.domain.parties import Role
from backend.runtime.context import opened
from backend.runtime.data_folder import DataFolder
from backend.services.organisations import OrganisationProfile, register
from backend.settings import Settings
from tests.helpers.builders import certificate_fields, header_of, signed_text

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "consignments.csv"
CREDENTIAL = {
    "type": ["VerifiableCredential", "CertificationOfOrigin"],
    "issuer": {"name": "North Italy Chamber"},
    "validFrom": "2026-03-01T03:50:55Z",
    "credentialSubject": {
        "items": [
            {
                "description": "Espresso makers\x1b[2J",
                "itemCount": 30,
                "product": {"commodity": {"commodityCode": "851671", "commodityCodeType": "HS"}},
            }
        ],
        "manufacturingCountry": "Italy",
        "dateOfExport": "2026-03-02",
    },
}
REST = ["--set", "exporter.name=Morning Star", "--set", "importCountry=CN", "--set", "originCriteria=NP"]
CHAMBER = ["--issuer", "Zhejiang Chamber"]


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    """A data folder with a merchant and a chamber; no server runs on it."""
    folder = tmp_path_factory.mktemp("data")
    DataFolder.open(folder, "test")
    with opened(Settings(folder)) as ctx:
        for role, name in [(Role.MERCHANT, "Morning Star"), (Role.CHAMBER, "Zhejiang Chamber")]:
            register(ctx, OrganisationProfile(role, name, f"{role.value}@x.org"))
        register(ctx, OrganisationProfile(Role.OFFICER, "Yiwu Customs", "officer@x.org", offices=("2925",)))
    return folder


@pytest.fixture
def run(installation):
    def run(*arguments, email="merchant@x.org"):
        given = [*map(str, arguments), "--as", email]
        return CliRunner().invoke(import_command, given, env={"DATA_DIR": str(installation)})

    return run


@pytest.fixture
def credential(tmp_path):
    path = tmp_path / "origin.json"
    path.write_text(json.dumps(CREDENTIAL).replace("\\\\u", "\\u"), encoding="utf-8")
    return path


def test_documented_example_is_lodged_once_then_refused(run):
    trial = run(EXAMPLE, "--dry-run")
    assert trial.exit_code == 0
    assert "nothing was stored" in trial.output
    first = run(EXAMPLE)
    assert first.exit_code == 0, first.output
    assert "3 declarations lodged: MS-2026-0101, MS-2026-0102, MS-2026-0103" in first.output
    assert "  ✓ copNo → declarationReference: filled in 4 of 4 rows\n" in first.output
    assert "  ~ country → destinationCountry: MYS is MY (2 rows)\n" in first.output
    second = run(EXAMPLE)
    assert second.exit_code == 1
    assert "  ✗ row 3, copNo: MS-2026-0102 was lodged before\n" in second.output


def test_report_says_what_lacks_and_completing_command(run, credential):
    answer = run(credential)
    assert answer.exit_code == 1
    assert "  ~ /credentialSubject/manufacturingCountry → originCountry: IT" in answer.output
    assert "  – importCountry: where the goods go (ISO 3166, two letters), such as SG\n" in answer.output
    assert "  + /credentialSubject/dateOfExport: not used: 2026-03-02\n" in answer.output
    assert "--set importCountry=…" in answer.output
    assert "--issuer …" in answer.output
    assert "Refused: nothing was stored." in answer.output


def test_the_completed_command_stores_the_statement(run, credential):
    credential.write_text(json.dumps(CREDENTIAL).replace("\\u001b[2J", ""), encoding="utf-8")
    answer = run(credential, *REST, *CHAMBER)
    assert answer.exit_code == 0, answer.output
    assert "submitted to Zhejiang Chamber" in answer.output


def test_document_cannot_control_the_readers_terminal(run, credential):
    answer = run(credential)
    assert "\x1b" not in answer.output
    assert "Espresso makers\\u001b[2J" in answer.output


def test_the_report_for_programs_says_the_same(run, credential):
    answer = run(credential, "--json")
    assert answer.exit_code == 1
    report = json.loads(answer.output)
    assert report["stored"] is False
    assert {"exporter.name", "importCountry", "originCriteria"} <= {
        note["field"] for note in report["files"][0]["notes"] if note["severity"] == "missing"
    }


def test_the_report_speaks_chinese(run, credential):
    answer = run(credential, "--language", "zh")
    assert "已拒绝：未保存任何内容。" in answer.output
    assert "  – importCountry: 进口国（地区）（ISO 3166 两位字母），如 SG\n" in answer.output


@pytest.fixture
def secured(tmp_path):
    """A certificate as SD-JWT, of which one field is withheld."""
    path = tmp_path / "origin.sd-jwt"
    subject = {name: value for name, value in certificate_fields().items() if name != "importCountry"}
    schema = {"id": "urn:provenport:schema:certificate-of-origin:v1"}
    payload = {"credentialSchema": schema, "credentialSubject": subject | {"_sd": ["A" * 43]}}
    path.write_text(signed_text(header_of(), payload) + "~\n", encoding="utf-8")
    return path


def test_secured_credentials_report_names_key_and_withheld_fields(run, secured):
    answer = run(secured)
    assert answer.exit_code == 1
    assert f"  ! signed by the key {header_of()['kid']}, and not altered since." in answer.output
    assert "  ! /credentialSubject: 1 withheld, or digests of nothing" in answer.output
    assert "  – importCountry: not shown: ask for a copy that shows it, or give it:" in answer.output
    assert "--set importCountry=…" in answer.output
    completed = run(secured, "--set", "importCountry=SG", *CHAMBER)
    assert "submitted to Zhejiang Chamber" in completed.output, completed.output


def test_altered_credential_is_refused_with_advice(run, secured):
    secured.write_text(secured.read_text(encoding="utf-8").replace("~", "~WyJzIiwgIngiLCAxXQ~"), encoding="utf-8")
    answer = run(secured)
    assert answer.exit_code == 1
    assert "  ✗ disclosure 1 (x) is not what the issuer signed" in answer.output
    assert "Take the file again from whoever sent it to you" in answer.output
    assert "请向发送方重新索取原文件" in run(secured, "--language", "zh").output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "quantity"], "FIELD=VALUE"),
        (["--set", "quantity=…"], "FIELD=VALUE"),
        (["--issuer", "Nobody"], "Zhejiang Chamber"),
        (["--language", "fr"], "'fr'"),
        (["--encoding", "klingon"], "'klingon'"),
        (["--encoding", "base64"], "'base64'"),
        (["--decimal", "dot"], "'dot'"),
    ],
)
def test_wrong_usage_is_told_and_exits_with_2(run, credential, arguments, said):
    answer = run(credential, *arguments)
    assert answer.exit_code == 2
    assert said in answer.output


def test_what_a_table_leaves_open_is_asked(run, tmp_path):
    """The words are shown in each encoding; the command that answers is offered again with what was said."""
    lines = EXAMPLE.read_text(encoding="utf-8").replace("LED desk lamp, 8 W", "Müller, größer").splitlines()
    path = tmp_path / "goods.csv"
    path.write_bytes("\r\n".join([lines[0], *lines[1:]]).replace("MS-2026", "W-2026").encode("cp1252"))
    asked = run(path, "--dry-run")
    assert asked.exit_code == 1
    assert "cp1252: Müller, größer" in asked.output
    assert "--encoding" in run(path, "--dry-run", "--language", "zh").output
    answered = run(path, "--dry-run", "--encoding", "cp1252", "--decimal", "point")
    assert answered.exit_code == 0, answered.output
    assert "--encoding cp1252 --decimal point" in answered.output


def test_fields_cannot_be_set_on_a_table(run):
    assert run(EXAMPLE, "--set", "customsOffice=2925").exit_code == 2


@pytest.mark.parametrize("email", ["nobody@x.org", "chamber@x.org"])
def test_only_a_merchant_s_address_will_do(run, email):
    assert run(EXAMPLE, email=email).exit_code == 2


def test_missing_file_is_wrong_usage(run):
    assert run("no-such-file.csv").exit_code == 2


def test_without_an_installation_nothing_is_made(tmp_path):
    place = tmp_path / "nowhere"
    answer = CliRunner().invoke(import_command, [str(EXAMPLE), "--as", "a@x.org"], env={"DATA_DIR": str(place)})
    assert answer.exit_code == 1
    assert "provenport serve" in answer.output
    assert not place.exists()
