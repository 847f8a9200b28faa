"""A small reverse proxy that does what docs/examples/nginx.conf tells nginx to do, without TLS."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    backend: int

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        said = self.headers.get("X-Forwarded-For")
        hops = f"{said}, {self.client_address[0]}" if said else self.client_address[0]
        kept = {name: value for name, value in self.headers.items() if name.lower() not in ("connection",)}
        upstream = http.client.HTTPConnection("127.0.0.1", self.backend, timeout=30)
        upstream.request(self.command, self.path, body, {**kept, "X-Forwarded-For": hops, "X-Forwarded-Proto": "https"})
        answer = upstream.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "content-length", "date", "server"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        upstream.close()

    do_GET = do_POST = do_DELETE = do_PUT = _handle

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def proxying(port: int, backend: int) -> Iterator[None]:
    """Hand on what comes in at ``port``."""
    handler = type("Handler", (_Handler,), {"backend": backend})
    server = ThreadingHTTPServer(("0.0.0.0", port), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
