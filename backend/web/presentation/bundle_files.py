"""A bundle as a file to download: the very bytes that count, not JSON written anew."""

from flask import Response

from backend.domain.bundle import Bundle, text


def bundle_file(bundle: Bundle, name: str) -> Response:
    """The file, named after what it is about."""
    answer = Response(text(bundle), mimetype="application/json")
    answer.headers.set("Content-Disposition", "attachment", filename=f"evidence-{name[:8]}.json")
    answer.headers["Cache-Control"] = "no-store"
    return answer
