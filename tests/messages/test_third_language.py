"""One more file in the catalogue's folder, and pages, answers, commands and reports speak that language."""

import gettext as standard
import io
import json
import re
import shutil

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po
from click.testing import CliRunner

from backend.cli.importing import import_command
from backend.cli.main import cli
from backend.domain.errors import Message
from backend.domain.parties import Role
from backend.domain.verdict import ActionBy, Check, Outcome, Verdict
from backend.messages import catalogue
from backend.messages.verdict import verdict_json
from backend.runtime.context import opened
from backend.runtime.data_folder import DataFolder
from backend.services.organisations import OrganisationProfile, register
from backend.settings import Settings
from tests.helpers.builders import NOON

LANGUAGE = "eo"


@pytest.fixture
def esperanto(tmp_path, monkeypatch):
    """A catalogue in which every text of the Chinese one stands in brackets."""
    folder = tmp_path / "catalogue"
    shutil.copytree(catalogue.FOLDER / "zh", folder / "zh")
    with (folder / "zh" / "LC_MESSAGES" / "messages.po").open("rb") as file:
        chinese = read_po(file, locale="zh")
    made = Catalog(locale=LANGUAGE)
    for message in chinese:
        if message.id:
            shown = f"«{message.id}»" if isinstance(message.id, str) else tuple(f"«{text}»" for text in message.id)
            made.add(message.id, shown, context=message.context)
    target = folder / LANGUAGE / "LC_MESSAGES" / "messages.po"
    target.parent.mkdir(parents=True)
    content = io.BytesIO()
    write_po(content, made)
    target.write_bytes(content.getvalue())
    monkeypatch.setattr(catalogue, "FOLDER", folder)
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("LANG", f"{LANGUAGE}.UTF-8")
    yield
    standard.textdomain("messages")


@pytest.mark.usefixtures("esperanto")
def test_page_speaks_it(client):
    page = client.get(f"/sign-in?lang={LANGUAGE}").text
    assert f'<html lang="{LANGUAGE}"' in page
    assert "«Sign in»" in page
    assert "Esperanto" in client.get("/sign-in?lang=en").text


@pytest.mark.usefixtures("esperanto")
def test_page_follows_the_browsers_wish(client):
    assert "«Sign in»" in client.get("/sign-in", headers={"Accept-Language": "xx, eo;q=0.9, en;q=0.1"}).text


@pytest.mark.usefixtures("esperanto")
def test_verdict_speaks_it():
    why = Message("nested deeper than {most} levels", most=64)
    failed = Check("SIGNATURE", Outcome.FAIL, "record-altered", {"why": why}, ActionBy.ISSUER)
    passed = Check("VALIDITY", Outcome.PASS, "within-validity")
    told = verdict_json(Verdict.of([failed, passed], NOON), LANGUAGE)
    assert [check["title"] for check in told["checks"]] == ["«Signature»", "«Dates»"]
    assert "«nested deeper than 64 levels»" in told["summary"]
    assert told["checks"][1]["message"] == "«Within its dates.»"


@pytest.mark.usefixtures("esperanto")
def test_problem_speaks_it(client, people):
    wanted = people["merchant"].bearer | {"Accept-Language": LANGUAGE}
    problem = client.get("/api/v1/records/none", headers=wanted).get_json()
    assert problem["detail"] == "«no such record»"
    refused = client.post("/api/v1/invoices", json={"currency": "x" * 9}, headers=wanted).get_json()
    assert {"«is missing»"} <= {fault["message"] for fault in refused["errors"]}
    assert all(fault["message"].startswith("«") for fault in refused["errors"])


@pytest.mark.usefixtures("esperanto")
def test_command_speaks_it(tmp_path):
    bundle = tmp_path / "bundle.json"
    bundle.write_text('{"format": "x"}', encoding="utf-8")
    done = CliRunner().invoke(cli, ["verify", str(bundle)])
    assert done.exit_code == 2
    assert "«INDETERMINATE»" in done.output
    assert "«not a bundle: the member format must read provenport-evidence»" in done.output


@pytest.mark.usefixtures("esperanto")
def test_usage_error_speaks_it(tmp_path):
    assert "«No such command" in CliRunner().invoke(cli, ["unheard-of"]).output
    told = CliRunner().invoke(cli, ["verify", str(tmp_path), "--max-age", "soon"]).output
    assert "«" in told.rpartition("Error")[2]
    assert "«Missing" in CliRunner().invoke(cli, ["verify"]).output


@pytest.mark.usefixtures("esperanto")
def test_refusal_of_a_command_speaks_it(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "nothing"))
    done = CliRunner().invoke(cli, ["keys", "list"])
    assert "holds no installation yet: start it once with provenport serve»" in done.output


@pytest.mark.usefixtures("esperanto")
def test_import_report_speaks_it(tmp_path):
    folder = tmp_path / "data"
    DataFolder.open(folder, "test")
    with opened(Settings(folder)) as ctx:
        register(ctx, OrganisationProfile(Role.MERCHANT, "Morning Star", "m@x.org"))
    document = tmp_path / "odd.json"
    document.write_text(json.dumps({"kind": "unheard-of", "document": {}}), encoding="utf-8")
    given = [str(document), "--as", "m@x.org"]
    done = CliRunner().invoke(import_command, given, env={"DATA_DIR": str(folder)})
    assert done.exit_code == 1
    assert "«Refused: nothing was stored.»" in done.output
    assert re.search(r"✗ «[^»]+»", done.output)
    assert (
        "已拒绝"
        in CliRunner().invoke(import_command, [*given, "--language", "zh"], env={"DATA_DIR": str(folder)}).output
    )
