"""Files for readers: the one-file verifier, the trust file, the schemas and the interface's documentation."""

import base64
import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import as_file, files
from pathlib import Path
from urllib.parse import urlsplit

from flask import (
    Blueprint,
    Response,
    abort,
    jsonify,
    make_response,
    render_template,
    request,
    send_file,
    send_from_directory,
    stream_with_context,
    url_for,
)
from flask.typing import ResponseReturnValue

from backend.domain import schemas
from backend.domain.bundle import Bundle, text
from backend.domain.kinds import BY_SLUG, KINDS, Kind
from backend.services.bundles import trust_of
from backend.web.context import current_context, instance
from verifier import FOLDER, PAGE

blueprint = Blueprint("downloads", __name__)

_FILE_SCHEMAS = {("evidence-bundle", 1), ("trust-file", 1)}


@blueprint.get("/verify-offline")
def verifier() -> Response:
    """Serve the verifier, an HTML file that works from a disk too. ``?download=1`` saves it."""
    page = _page()
    answer = Response(page, mimetype="text/html")
    if request.args.get("download"):
        answer.headers.set("Content-Disposition", "attachment", filename="provenport-verifier.html")
    return answer


@cache
def _page() -> bytes:
    return PAGE.read_bytes()


def _policy(page: bytes) -> str:
    """Build the content security policy of the verifier page.

    Only the scripts and styles in the file itself may run, named by their digests. It may connect to any node, as the
    reader chooses the node.
    """
    scripts, styles = (
        " ".join(
            f"'sha256-{base64.b64encode(sha256(found).digest()).decode()}'" for found in re.findall(pattern, page, re.S)
        )
        for pattern in (rb'<script id="[a-z]+">(.*?)</script>', rb"<style>(.*?)</style>")
    )
    return (
        f"default-src 'none'; script-src {scripts}; style-src {styles}; connect-src 'self' http: https:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


# Talisman sets the header of every answer; a view of its own kind tells it so by this attribute.
verifier.__dict__["talisman_view_options"] = {"content_security_policy": _policy(_page())}


@blueprint.get("/trust.json")
def trust_file() -> Response:
    """Return our entry for a reader's trust file.

    A reader who fetches it here trusts this connection. The keys should be compared with what the operator publishes
    elsewhere.
    """
    # The verifier also runs from a disk, where its origin is null: everybody's script may read what is public (CORS).
    answer = jsonify(trust_of(current_context(), urlsplit(instance().address).netloc).as_json())
    answer.headers["Access-Control-Allow-Origin"] = "*"
    answer.headers["Cache-Control"] = "no-store"
    return answer


@blueprint.get("/schemas/<any('evidence-bundle', 'trust-file'):name>/v<int:version>.json")
def file_schema(name: str, version: int) -> ResponseReturnValue:
    """Serve the JSON Schema of a file that readers keep. Published versions never change."""
    if (name, version) not in _FILE_SCHEMAS:
        abort(404)
    answer = send_file(FOLDER / f"{name}-v{version}.schema.json", mimetype="application/schema+json", max_age=86400)
    answer.headers["Access-Control-Allow-Origin"] = "*"
    return answer


def events_file(pieces: Iterator[str]) -> Response:
    """Send the events of clearance as a CSV file, in pieces while the database is read.

    So the events of many years need not fit into memory.
    """
    answer = Response(stream_with_context(pieces), mimetype="text/csv")
    answer.headers["Content-Disposition"] = "attachment; filename=clearance-events.csv"
    return answer


def bundle_file(bundle: Bundle, name: str) -> Response:
    """Answer with a bundle as a file. Its bytes are sent as they are, since written again they could differ."""
    answer = Response(text(bundle), mimetype="application/json")
    answer.headers.set("Content-Disposition", "attachment", filename=f"evidence-{name[:8]}.json")
    answer.headers["Cache-Control"] = "no-store"
    return answer


@blueprint.get("/schemas")
def record_schemas() -> Response:
    """List every version of every kind's schema."""
    return jsonify({"schemas": [_entry(BY_SLUG[slug], version) for slug, version in schemas.published()]})


def _entry(kind: Kind, version: int) -> dict[str, object]:
    return {
        "kind": kind.slug,
        "type": KINDS[kind].credential_type,
        "version": version,
        "id": KINDS[kind].schema_id(current_context().settings.public_url, version),
        "url": url_for("downloads.record_schema", slug=kind.slug, version=version),
    }


@blueprint.get("/schemas/<slug>/v<int:version>.json")
def record_schema(slug: str, version: int) -> ResponseReturnValue:
    """Serve one schema. Published versions never change, so caches may keep it."""
    if (slug, version) not in schemas.published():
        abort(404)
    kind = BY_SLUG[slug]
    named = KINDS[kind].schema_id(current_context().settings.public_url, version)
    answer = make_response(jsonify(schemas.credential_schema(kind, named, version)))
    answer.mimetype = "application/schema+json"
    answer.headers["Cache-Control"] = "public, max-age=86400"
    answer.headers["Access-Control-Allow-Origin"] = "*"
    return answer


_DOCUMENTATION_ASSETS = {"swagger-ui-bundle.js": "js", "swagger-ui.css": "css"}


@blueprint.get("/api/docs")
def documentation() -> Response:
    """Show the documentation of /api/v1/openapi.json in Swagger UI."""
    response = Response(render_template("documentation.html"))
    # Swagger UI sets styles on its own elements; scripts still come from here alone.
    response.headers["Content-Security-Policy"] = (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
    )
    return response


@blueprint.get("/api/docs/<any('swagger-ui-bundle.js', 'swagger-ui.css'):name>")
def documentation_asset(name: str) -> Response:
    """Serve a file of the swagger-ui package, so that the page loads nothing from other servers."""
    folder = files("flask_openapi_swagger") / "templates" / "swagger" / _DOCUMENTATION_ASSETS[name]
    with as_file(folder) as path:
        return send_from_directory(Path(path), name, max_age=86400)


MOST_ROWS = 5_000
"""Of a list that is downloaded as a table."""
_TABLES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_BEGINS_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def table_file(form: str, name: str, names: Sequence[str], rows: Iterable[Sequence[str]]) -> Response:
    """Return a list as a file for spreadsheets, ``csv`` or ``xlsx``, in which no cell is a formula."""
    lines = [names, *rows]
    answer = make_response(_csv(lines) if form == "csv" else _xlsx(lines))
    answer.headers["Content-Type"] = _TABLES[form]
    answer.headers.set("Content-Disposition", "attachment", filename=f"{name}.{form}")
    return answer


def _csv(lines: Iterable[Sequence[str]]) -> bytes:
    written = io.StringIO(newline="")
    csv.writer(written).writerows([harmless(cell) for cell in line] for line in lines)
    # With a byte order mark: Excel takes the file for the system's own encoding otherwise.
    return written.getvalue().encode("utf-8-sig")


def harmless(shown: str) -> str:
    """Return a cell that no spreadsheet carries out: one that would begin a formula begins with an apostrophe."""
    plain = _UNPRINTABLE.sub("", str(shown))
    return f"'{plain}" if plain.startswith(_BEGINS_FORMULA) else plain


def _xlsx(lines: Iterable[Sequence[str]]) -> bytes:
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell

    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    for line in lines:
        cells = []
        for shown in line:
            cell = WriteOnlyCell(sheet, harmless(shown))
            cell.data_type = "s"  # openpyxl would take a text that begins with = for a formula
            cells.append(cell)
        sheet.append(cells)
    written = io.BytesIO()
    book.save(written)
    return written.getvalue()
