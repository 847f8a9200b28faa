"""Holds connections open as slowly as it can, and asks meanwhile like anybody else: how many questions are answered?

    python -m tests.stress.slow_clients [CONNECTIONS] [SECONDS]

Starts the server as a user does. In turn it attacks with clients that send the head of a request letter by letter
(``head``), that send its body letter by letter (``body``), that send nothing at all (``silent``), and that never read
the answer (``deaf``). An attacker whose connection is closed opens another at once. A second and more honest client on
the same address asks on a new connection every quarter of a second. Ends with 1 where fewer than 99 in 100 of its
questions were answered within PATIENCE seconds, or where no attacker held a connection: then nothing was tried.
"""

import select
import socket
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import requests

from tests.journeys.conftest import start

PATIENCE = 5.0
"""Seconds that the honest client waits."""
PAUSE = 0.25
"""Seconds between its questions."""
TEMPO = 1.0
"""Seconds between two letters of an attacker: far within any limit on inactivity."""

HEAD = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "
BODY = (
    b"POST /api/v1/verify HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    b"Content-Type: application/json\r\nContent-Length: 60000\r\n\r\n"
)
ASK = b"GET /api/docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
OPENINGS = {"head": HEAD, "body": BODY, "silent": b"", "deaf": ASK}
"""What an attacker of each sort sends at once; after that a letter at a time, where it is not silent or deaf."""


@dataclass
class Attack:
    """Attackers of one sort."""

    sort: str
    port: int
    connections: int
    held: int = 0
    """The most connections that were open at once."""
    closed: int = 0
    """Times that the server closed one."""
    _stop: threading.Event = field(default_factory=threading.Event)
    _sockets: list[socket.socket] = field(default_factory=list)

    def run(self) -> None:
        """Attack until told to stop."""
        while not self._stop.is_set():
            began = time.monotonic()
            while len(self._sockets) < self.connections and not self._stop.is_set():
                if (opened := self._opened()) is None:
                    break
                self._sockets.append(opened)
            self.held = max(self.held, len(self._sockets))
            self._drop_closed()
            if self.sort in ("head", "body"):
                for one in list(self._sockets):
                    self._send_letter(one)
            self._stop.wait(max(0.0, TEMPO - (time.monotonic() - began)))
        for one in self._sockets:
            one.close()

    def stop(self) -> None:
        self._stop.set()

    def _opened(self) -> socket.socket | None:
        opened = socket.socket()
        if self.sort == "deaf":
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        opened.settimeout(1)
        try:
            opened.connect(("127.0.0.1", self.port))
            opened.sendall(OPENINGS[self.sort])
        except OSError:
            opened.close()
            return None
        return opened

    def _send_letter(self, one: socket.socket) -> None:
        try:
            one.send(b"a")
        except OSError:
            self._drop(one)

    def _drop_closed(self) -> None:
        """Forget those that the server has closed; a deaf one reads nothing, so that only a reset tells it."""
        poll = select.poll()
        by_number = {one.fileno(): one for one in self._sockets}
        for number in by_number:
            poll.register(number, select.POLLRDHUP)
        for number, event in poll.poll(0):
            if event & (select.POLLRDHUP | select.POLLHUP | select.POLLERR):
                self._drop(by_number[number])

    def _drop(self, one: socket.socket) -> None:
        if one in self._sockets:
            self._sockets.remove(one)
            self.closed += 1
        one.close()


@dataclass(frozen=True)
class Result:
    """What the honest client saw."""

    asked: int
    seconds: list[float]
    """How long each answer took that came in time."""
    refused: list[str]
    """What came instead of the others."""

    @property
    def share(self) -> float:
        return len(self.seconds) / self.asked


def attack(port: int, sort: str, connections: int, seconds: float, patience: float = PATIENCE) -> tuple[Attack, Result]:
    """Attack for so long, and ask meanwhile, twice at least."""
    attackers = Attack(sort, port, connections)
    thread = threading.Thread(target=attackers.run)
    thread.start()
    try:
        time.sleep(min(3.0, seconds / 3))  # all are connected by then, where the server lets them
        return attackers, _ask(port, seconds, patience)
    finally:
        attackers.stop()
        thread.join()


def _ask(port: int, seconds: float, patience: float) -> Result:
    asked, taken, refused = 0, list[float](), list[str]()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline or asked < 2:
        asked, began = asked + 1, time.monotonic()
        try:
            answer = requests.get(f"http://127.0.0.1:{port}/api/v1/openapi.json", timeout=patience)
            if answer.ok and time.monotonic() - began <= patience:
                taken.append(time.monotonic() - began)
            else:
                refused.append(f"{answer.status_code} after {time.monotonic() - began:.1f} s")
        except requests.RequestException as fault:
            refused.append(f"{fault} after {time.monotonic() - began:.1f} s")
        time.sleep(PAUSE)
    return Result(asked, taken, refused)


def main(connections: int, seconds: float) -> int:
    """Run every sort of attack, and print a line for each."""
    with tempfile.TemporaryDirectory() as folder:
        server = start(Path(folder) / "data")
        try:
            return max(_told(server.port, sort, connections, seconds) for sort in OPENINGS)
        finally:
            server.stop()


def _told(port: int, sort: str, connections: int, seconds: float) -> int:
    attackers, result = attack(port, sort, connections, seconds)
    times = sorted(result.seconds) or [float("nan")]
    print(
        f"{sort:<7} {attackers.held:4} connections held, {attackers.closed:5} closed by the server; "
        f"{len(result.seconds)} of {result.asked} questions answered ({result.share:.0%}), "
        f"median {times[len(times) // 2]:.3f} s, worst {times[-1]:.3f} s",
        flush=True,
    )
    return int(result.share < 0.99 or attackers.held == 0)


if __name__ == "__main__":
    given = [int(number) for number in sys.argv[1:3]]
    sys.exit(main(*(given + [520, 30][len(given) :])))
