"""A terminal before an installation of its own, for every test of the command ``provenport``."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from backend.cli.main import cli
from backend.domain.kinds import Kind
from backend.services import issuance, statements
from tests.helpers.builders import Api, certificate_fields


@dataclass
class Desk:
    """A terminal before an installation of its own, with the files that commands take."""

    data: Path
    files: Path
    rpc: str
    accredited: str
    invoice: str

    def run(self, *arguments: object, code: int = 0, data: Path | None = None) -> Result:
        given = [str(one) for one in arguments]
        done = CliRunner(env={"DATA_DIR": str(data or self.data)}).invoke(cli, given)
        assert done.exit_code == code, (given, done.output, done.exception)
        return done

    def copy(self) -> Path:
        """The same installation once more, for what changes much of it."""
        return Path(shutil.copytree(self.data, self.files / f"copy-{time.monotonic_ns()}"))

    def trust(self) -> Path:
        return self.written("trust.json", self.run("trust-file", "--name", "Operator").stdout)

    def key(self) -> Path:
        file = self.files / f"office-{time.monotonic_ns()}.pem"
        self.run("snapshot", "new-key", "--no-passphrase", file)
        return file

    def written(self, name: str, text: str) -> Path:
        (self.files / name).write_text(text, encoding="utf-8")
        return self.files / name


@pytest.fixture(scope="module")
def desk(app, system, people, settle, rpc_url, tmp_path_factory):
    """Made from the running demonstration as an operator would: by ``backup`` and ``restore``."""
    api, files = Api(app.test_client(), people), tmp_path_factory.mktemp("desk")
    body = {"role": "chamber", "name": "Passing Chamber", "email": f"{api.fresh('passing')}@example.org"}
    issuer = api.post("/organisations", "authority", body).get_json()["id"]
    api.post(f"/issuers/{issuer}/accreditation", "authority", {})
    certificate, invoice = api.certificate()["id"], api.invoice()["id"]
    # Its end is not published by the server itself: a statement counts for nothing before it is confirmed.
    with system.ctx.work(reading=True) as work:
        merchant, chamber = (work.persons.find_by_email(f"{who}@example.org") for who in ("merchant", "chamber"))
    kind, fields = Kind.CERTIFICATE_OF_ORIGIN, certificate_fields()
    stated = statements.issue_statement(system.ctx, merchant, kind, fields, chamber.organisation.id)
    settle()
    issuance.revoke(system.ctx, merchant, stated.id, "the buyer went elsewhere")
    settle()
    for name, record in {"bundle.json": certificate, "revoked.json": stated.id}.items():
        (files / name).write_bytes(api.get(f"/records/{record}/evidence", "merchant").get_data())
    made = Desk(files / "data", files, rpc_url, issuer, invoice)
    made.run("backup", files / "safe", data=system.folder.path)
    (copy,) = (path for path in (files / "safe").iterdir() if path.is_dir())
    made.run("restore", copy)
    return made
