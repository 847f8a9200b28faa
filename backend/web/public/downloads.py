"""What a reader takes along to check evidence without us: the one-file verifier, our trust file, and their schemas."""

import base64
import re
from functools import cache
from hashlib import sha256

from flask import Blueprint, Response, abort, jsonify, request, send_file
from flask.typing import ResponseReturnValue

from backend.domain.bundle import Bundle, text
from backend.services.bundles import trust_of
from backend.web.context import current_context
from verifier import FOLDER, PAGE

blueprint = Blueprint("downloads", __name__)

_SCHEMAS = {("evidence-bundle", 1), ("trust-file", 1)}


@blueprint.get("/verify-offline")
def verifier() -> Response:
    """The verifier: one HTML file that works from a disk just as well. ``?download=1`` saves it."""
    page = _page()
    answer = Response(page, mimetype="text/html")
    if request.args.get("download"):
        answer.headers.set("Content-Disposition", "attachment", filename="provenport-verifier.html")
    return answer


@cache
def _page() -> bytes:
    return PAGE.read_bytes()


def _policy(page: bytes) -> str:
    """Only the scripts and the style that stand in the file run. It may ask any node: the reader names it."""
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
    """Our entry for a reader's trust file. Whoever needs certainty compares it with what we say elsewhere."""
    answer = jsonify(trust_of(current_context(), request.host).as_json())
    answer.headers["Access-Control-Allow-Origin"] = "*"
    answer.headers["Cache-Control"] = "no-store"
    return answer


@blueprint.get("/schemas/<any('evidence-bundle', 'trust-file'):name>/v<int:version>.json")
def schema(name: str, version: int) -> ResponseReturnValue:
    """The JSON Schema of a file that readers keep. Nothing that was published here changes."""
    if (name, version) not in _SCHEMAS:
        abort(404)
    answer = send_file(FOLDER / f"{name}-v{version}.schema.json", mimetype="application/schema+json", max_age=86400)
    answer.headers["Access-Control-Allow-Origin"] = "*"
    return answer


def bundle_file(bundle: Bundle, name: str) -> Response:
    """The file, named after what it is about: the very bytes that count, not JSON written anew."""
    answer = Response(text(bundle), mimetype="application/json")
    answer.headers.set("Content-Disposition", "attachment", filename=f"evidence-{name[:8]}.json")
    answer.headers["Cache-Control"] = "no-store"
    return answer
