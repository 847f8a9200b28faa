"""Proxies before real nodes that make things go wrong on the way: they partition, hang, lag, lie, or lead to a fork.

They run in a process of their own, so that they take no time from who is tested: ``python -m
tests.helpers.faulty_nodes PORT…``. ``faulty_nodes`` starts that, and each ``FaultyNode`` sets what its proxy does.
"""

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

STATE_AT = {"eth_call": 1, "eth_getBalance": 1, "eth_getTransactionCount": 1}
"""Methods that ask for the state at a block, with the place of the block among their parameters."""
NOTHING_THERE = {"code": -32001, "message": "Resource not found"}
LIES = ("heads", "other heads", "receipts", "forged receipts", "statuses", "logs", "calls", "nonces", "chain id")


class FaultyNode:
    """A proxy before a node."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def be(self, fault: str, upstream: str, **details: Any) -> None:
        """Set what the proxy does from now on.

        ``honest``, ``partitioned``, ``hangs``, ``broken``, ``lags`` (``behind`` blocks), ``lies`` (``about``, one of
        ``LIES``), ``legacy`` (a chain without base fees and typed transactions).
        """
        body = json.dumps({"fault": fault, "upstream": upstream, **details}).encode()
        with urlopen(Request(f"{self.url}/be", body, method="POST"), timeout=10) as answer:
            assert answer.status == 200


@contextmanager
def faulty_nodes(count: int, upstream: str) -> Iterator[list[FaultyNode]]:
    """Start so many proxies, honest ones."""
    from tests.helpers.nodes import free_port  # the proxies themselves start without pytest

    ports = [free_port() for _ in range(count)]
    command = [sys.executable, "-m", "tests.helpers.faulty_nodes", *map(str, ports)]
    process = subprocess.Popen(command)
    try:
        nodes = [FaultyNode(port) for port in ports]
        for node in nodes:
            deadline = time.monotonic() + 120
            while True:
                try:
                    node.be("honest", upstream)
                    break
                except URLError:
                    assert time.monotonic() < deadline, "the proxies do not start"
                    time.sleep(0.05)
        yield nodes
    finally:
        process.kill()
        process.wait()


class _Proxy:
    """What one proxy does, and what it swallowed."""

    def __init__(self) -> None:
        self.now: dict[str, Any] = {"fault": "honest"}
        self.changed = threading.Event()
        self.swallowed: dict[str, dict[str, Any]] = {}
        self._local = threading.local()

    def be(self, wanted: dict[str, Any]) -> None:
        before, self.changed = self.changed, threading.Event()
        self.now = wanted
        before.set()

    def ask(self, method: str, *params: Any) -> Any:
        answer = json.loads(self.forward({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}))
        return answer.get("result")

    def forward(self, request: dict[str, Any]) -> bytes:
        host = urlsplit(self.now["upstream"]).netloc
        for attempt in (0, 1):
            if getattr(self._local, "host", None) != host or attempt:
                self._local.host, self._local.line = host, http.client.HTTPConnection(host, timeout=20)
            try:
                self._local.line.request("POST", "/", json.dumps(request), {"Content-Type": "application/json"})
                content: bytes = self._local.line.getresponse().read()
            except (http.client.HTTPException, OSError):
                continue
            return content
        raise ConnectionError(host)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return what is said to a question, of a fault that alters answers."""
        method, params = request["method"], list(request["params"])
        frame = {"jsonrpc": "2.0", "id": request["id"]}
        if self.now["fault"] == "lags":
            return frame | self._late(method, params)
        if self.now["fault"] == "legacy":
            return frame | self._legacy(method, params)
        return frame | self._lie(self.now["about"], method, params)

    def _plain(self, method: str, params: list[Any]) -> dict[str, Any]:
        answer = json.loads(self.forward({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
        return {name: answer[name] for name in ("result", "error") if name in answer}

    def _late(self, method: str, params: list[Any]) -> dict[str, Any]:
        """As a node says it that does not have the newest blocks."""
        newest = max(0, int(self.ask("eth_blockNumber"), 16) - self.now["behind"])
        if method == "eth_blockNumber":
            return {"result": hex(newest)}
        if method == "eth_getBlockByNumber":
            number = newest if params[0] == "latest" else int(params[0], 16)
            return {"result": None} if number > newest else self._plain(method, [hex(number), *params[1:]])
        if method in STATE_AT:
            where = params[STATE_AT[method]]
            if isinstance(where, dict):
                block = self.ask("eth_getBlockByHash", where["blockHash"], False)
                if block is None or int(block["number"], 16) > newest:
                    return {"error": NOTHING_THERE}
            else:
                params[STATE_AT[method]] = hex(newest)
        if method == "eth_getLogs":
            if int(params[0]["fromBlock"], 16) > newest:
                return {"result": []}
            params[0] |= {"toBlock": hex(min(newest, int(params[0]["toBlock"], 16)))}
        found = self._plain(method, params)
        is_mined = method in ("eth_getTransactionReceipt", "eth_getTransactionByHash") and found.get("result")
        if is_mined and int(found["result"]["blockNumber"] or "0x0", 16) > newest:
            return {"result": None}
        return found

    def _legacy(self, method: str, params: list[Any]) -> dict[str, Any]:
        """As a node says it whose chain knows neither base fees nor typed transactions."""
        if method == "eth_sendRawTransaction" and int(params[0][2:4], 16) < 0xC0:
            return {"error": {"code": -32000, "message": "transaction type not supported"}}
        found = self._plain(method, params)
        if method == "eth_getBlockByNumber" and found.get("result"):
            found["result"].pop("baseFeePerGas", None)
        return found

    def _lie(self, about: str, method: str, params: list[Any]) -> dict[str, Any]:
        if about == "forged receipts":
            forged = self._forged(method, params)
            if forged is not None:
                return forged
        found = self._plain(method, params)
        said = found.get("result")
        if said is None:
            return found
        if about in ("heads", "other heads") and method == "eth_getBlockByNumber" and params[0] == "latest":
            number = int(said["number"], 16) + (1000 if about == "heads" else 0)
            said |= {"number": hex(number), "hash": "0x" + sha256(f"{about} {number}".encode()).hexdigest()}
        elif about == "receipts" and method == "eth_getTransactionReceipt":
            found["result"] = None
        elif about == "statuses" and method == "eth_getTransactionReceipt":
            said |= {"status": "0x0" if said["status"] == "0x1" else "0x1"}
        elif about == "logs" and method == "eth_getLogs":
            found["result"] = said[:-1]
        elif about == "calls" and method == "eth_call" and len(said) > 2:
            found["result"] = said[:-1] + f"{int(said[-1], 16) ^ 1:x}"
        elif about == "nonces" and method == "eth_getTransactionCount":
            found["result"] = hex(int(said, 16) + 1)
        elif about == "chain id" and method == "eth_chainId":
            found["result"] = "0x7"
        return found

    def _forged(self, method: str, params: list[Any]) -> dict[str, Any] | None:
        """Take transactions, pass them on to nobody, and say that they were mined at once."""
        if method == "eth_sendRawTransaction":
            from eth_utils.crypto import keccak

            transaction_hash = "0x" + keccak(bytes.fromhex(params[0][2:])).hex()
            newest = self.ask("eth_getBlockByNumber", "latest", False)
            self.swallowed[transaction_hash] = {
                "transactionHash": transaction_hash,
                "blockNumber": newest["number"],
                "blockHash": newest["hash"],
                "status": "0x1",
                "gasUsed": "0x5208",
                "logs": [],
            }
            return {"result": transaction_hash}
        if method == "eth_getTransactionReceipt" and params[0] in self.swallowed:
            return {"result": self.swallowed[params[0]]}
        return None


def _handler(proxy: _Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/be":
                proxy.be(body)
                self._say(200, b"{}")
                return
            fault, changed = proxy.now["fault"], proxy.changed
            if fault == "hangs":
                changed.wait(60)
            if fault in ("hangs", "partitioned"):
                self.close_connection = True
                return
            if fault == "broken":
                self._say(503, b"<html>Service Unavailable</html>")
                return
            try:
                said = proxy.forward(body) if fault == "honest" else json.dumps(proxy.answer(body)).encode()
            except ConnectionError:
                self.close_connection = True
                return
            self._say(200, said)

        def _say(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: Any) -> None:
        """Stay silent about who went away."""


def main() -> None:
    """Serve one proxy on each port, until killed."""
    servers = [_Server(("127.0.0.1", int(port)), _handler(_Proxy())) for port in sys.argv[1:]]
    for server in servers[1:]:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    servers[0].serve_forever()


if __name__ == "__main__":
    main()
