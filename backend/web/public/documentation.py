"""The interface's documentation page, with nothing fetched from elsewhere."""

from importlib.resources import as_file, files
from pathlib import Path

from flask import Blueprint, Response, render_template, send_from_directory

blueprint = Blueprint("documentation", __name__)
_ASSETS = {"swagger-ui-bundle.js": "js", "swagger-ui.css": "css"}


@blueprint.get("/api/docs")
def documentation() -> Response:
    """Swagger UI over /api/v1/openapi.json."""
    response = Response(render_template("documentation.html"))
    # Swagger UI sets styles on its own elements; scripts still come from here alone.
    response.headers["Content-Security-Policy"] = (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
    )
    return response


@blueprint.get("/api/docs/<any('swagger-ui-bundle.js', 'swagger-ui.css'):name>")
def asset(name: str) -> Response:
    """A file of the swagger-ui package."""
    folder = files("flask_openapi_swagger") / "templates" / "swagger" / _ASSETS[name]
    with as_file(folder) as path:
        return send_from_directory(Path(path), name, max_age=86400)
