"""A server with Provenport's interface that believes everything: what a probe must be able to find out."""

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKENS = {role: f"pp_{role}" for role in ("chamber", "laboratory", "merchant", "officer", "authority")}
VERSION = 3
"""Of everything: what rests on no version is refused, as a real one does."""
HEADER = {"alg": "ES256", "typ": "vc+sd-jwt", "kid": "k", "jwk": {}}


class LyingServer(ThreadingHTTPServer):
    """Says VALID to what it believes: ``believes`` is asked with the bundle or the declaration's papers."""

    def __init__(self, believes: bool, title: str = "Provenport") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.believes, self.title = believes, title
        self.declared: dict[str, list[dict[str, Any]]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: LyingServer

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        path = self.path.removeprefix("/api/v1")
        role = next((r for r, t in TOKENS.items() if self.headers.get("Authorization") == f"Bearer {t}"), None)
        if path == "/openapi.json":
            return self._answer(200, {"info": {"title": self.server.title, "version": "0"}})
        if role is None:
            return self._answer(401, {"title": "Send your token"})
        if path == "/me":
            return self._answer(200, {"role": role, "organisation": f"The {role}"})
        if path.endswith("/evidence"):
            return self._answer(200, _a_bundle())
        if path.startswith("/records/"):
            return self._answer(200, {"proofState": "final", "version": VERSION})
        verdict = {"verdict": "VALID" if self.server.believes else "INVALID", "summary": "", "checks": []}
        decisions = self.server.declared.get(path.split("/")[-1], [])
        return self._answer(
            200, {"verdict": verdict, "proofState": "final", "decisions": decisions, "version": VERSION}
        )

    def do_POST(self) -> None:
        path = self.path.removeprefix("/api/v1")
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if path == "/verify":
            return self._answer(200, {"verdict": "VALID"})
        if path == "/organisations":
            return self._answer(201, {"token": TOKENS["chamber"]})
        if path.endswith(("/decisions", "/revocation")) and self.headers.get("If-Match") != f'"{VERSION}"':
            return self._answer(428, {"title": "Say which version you read"})
        if path.endswith("/decisions"):
            taken = {"proofState": "final"}
            self.server.declared.setdefault(path.split("/")[2], []).append(taken)
            return self._answer(201 if self.server.believes else 409, taken)
        return self._answer(201, {"id": str(uuid.uuid4())})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _a_bundle() -> dict[str, Any]:
    from clearance_sim.probe.documents import _b64

    parts = [HEADER, {"issuer": {"name": "A chamber"}, "credentialSubject": {}}]
    jwt = ".".join(_b64(json.dumps(part).encode()) for part in parts) + ".c2lnbmF0dXJl"
    disclosure = _b64(json.dumps(["salt", "quantity", "100"]).encode())
    paper = {
        "record": f"{jwt}~{disclosure}~",
        "entry": {"kind": 1, "quantity": "100000"},
        "proof": {"leafIndex": 0, "treeSize": 1, "inclusionPath": []},
        "anchor": {"root": "00" * 32},
    }
    return {"records": [paper], "snapshot": "stated"}


@contextmanager
def lying_server(*, believes: bool, title: str = "Provenport") -> Iterator[LyingServer]:
    """Serve until the test is over."""
    server = LyingServer(believes, title)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
