"""A real node for tests: anvil, started by its own binary, in its own process group, on a free port."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

TOOLS = Path(__file__).parents[1] / "tools" / "node_modules" / "@foundry-rs"
NOT_INSTALLED = "anvil is not installed: make anvil-check installs and runs it"


def binary(name: str) -> str | None:
    """A program of Foundry's, from where make anvil-check puts it, or from PATH."""
    found = sorted(TOOLS.glob(f"{name}-*/bin/{name}"))
    return str(found[0]) if found else shutil.which(name)


NEEDS_ANVIL = [pytest.mark.anvil, pytest.mark.skipif(binary("anvil") is None, reason=NOT_INSTALLED)]


class Anvil:
    """A running node and its own ways to make things go wrong."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, method: str, *params: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        answer = requests.post(self.url, json=body, timeout=10).json()
        assert "error" not in answer, answer
        return answer["result"]

    def fund(self, *addresses: str, ether: int = 1000) -> None:
        for address in addresses:
            self.ask("anvil_setBalance", address, hex(ether * 10**18))

    def mine(self, count: int = 1) -> None:
        self.ask("anvil_mine", hex(count))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def anvil(*arguments: str, port: int | None = None, hardfork: str = "prague") -> Iterator[Anvil]:
    """A fresh node that mines every transaction at once."""
    program = binary("anvil")
    assert program is not None, NOT_INSTALLED
    port = port or free_port()
    command = [program, "--port", str(port), "--accounts", "1", "--hardfork", hardfork, "--silent", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    node = Anvil(f"http://127.0.0.1:{port}")
    try:
        deadline = time.monotonic() + 20
        while not _answers(node):
            assert process.poll() is None, "anvil ended at once"
            assert time.monotonic() < deadline, "anvil does not answer"
            time.sleep(0.05)
        yield node
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(node: Anvil) -> bool:
    try:
        return bool(node.ask("eth_chainId"))
    except requests.RequestException:
        return False
