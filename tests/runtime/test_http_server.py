"""The server by itself, over a small application: who is let in, what is read, and when it loses patience."""

import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from backend.runtime.http_server import ConnectionLimits, Server
from backend.web.context import UNREAD_BODY, BodyLimit

QUICK = ConnectionLimits(
    connections=40,
    per_address=20,
    head_seconds=1,
    body_seconds=1,
    idle_seconds=3,
    slowest_rate=100_000,
    discard_seconds=3,
)
PATIENT = replace(QUICK, head_seconds=60, body_seconds=60, idle_seconds=60)
"""What happens with these happened before any deadline, however busy the machine is."""
MOST = 10_000


class Application:
    """Remembers what it was asked, and answers with what it was sent or why that was left unread."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.waiting: Callable[[], int] = lambda: 0
        """How many requests were read whole and wait for a thread."""
        self.is_held = threading.Event()
        self.is_held.set()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        self.asked.append((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
        if environ["PATH_INFO"] == "/held":
            self.is_held.wait(20)
        unread = environ.get(UNREAD_BODY)
        told = f"unread {unread.reason}" if unread else f"read {len(environ['wsgi.input'].read())}"
        start_response("413 Unread" if unread else "200 OK", [("Content-Length", str(len(told)))])
        return [told.encode()]


@contextmanager
def serving(limits: ConnectionLimits = QUICK, most: int = MOST) -> Iterator[tuple[Application, int]]:
    application = Application()
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(application, listener, lambda method, path, headers: BodyLimit(most), limits, threads=4)
    application.waiting = lambda: len(server.task_dispatcher.queue)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield application, listener.getsockname()[1]
    finally:
        application.is_held.set()
        server.asyncore.close_all(server._map, ignore_all=True)
        server.task_dispatcher.shutdown(timeout=1)


@contextmanager
def stoppable(limits: ConnectionLimits = QUICK) -> Iterator[tuple[Application, Server, int]]:
    """A server that is stopped as by a signal, in a thread that must end."""
    application, listener = Application(), socket.create_server(("127.0.0.1", 0))
    server = Server(application, listener, lambda method, path, headers: BodyLimit(MOST), limits, threads=4)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield application, server, listener.getsockname()[1]
    finally:
        application.is_held.set()
        server.stop()
        thread.join(timeout=20)
        assert not thread.is_alive()


@pytest.fixture
def served() -> Iterator[tuple[Application, int]]:
    with serving() as found:
        yield found


def connect(port: int, opening: bytes = b"", source: str = "127.0.0.1") -> socket.socket:
    opened = socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(source, 0))
    if opening:
        opened.sendall(opening)
    return opened


def read_all(one: socket.socket) -> bytes:
    found = b""
    with closing(one):
        while True:
            try:
                piece = one.recv(65536)
            except ConnectionResetError:
                return found + b"<reset>"
            if not piece:
                return found
            found += piece


def ask(port: int, source: str = "127.0.0.1") -> bytes:
    return read_all(connect(port, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", source))


def is_closed(one: socket.socket) -> bool:
    one.settimeout(0)
    try:
        return one.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def within(seconds: float, question: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not question():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize("opening", [b"", b"GET / HTTP/1.1\r\nX: ", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\na"])
def test_unfinished_requests_keep_nobody_out(opening):
    with serving(PATIENT) as (application, port):
        held = [connect(port, opening) for _ in range(200)]
        assert b"read 0" in ask(port)
        assert application.asked == [("GET", "/")], "the others asked nothing yet"
        for one in held:
            one.close()


def test_one_address_does_not_keep_another_out(served):
    application, port = served
    application.is_held.clear()
    held = [connect(port, b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(QUICK.per_address)]
    assert within(5, lambda: len(application.asked) == 4), "as many as there are threads"
    assert within(5, lambda: application.waiting() == QUICK.per_address - 4), "none is unfinished, so none can be ended"
    assert b"503 Service Unavailable" in ask(port), "all its connections wait for an answer: none is ended"
    beside = connect(port, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "127.0.0.2")
    application.is_held.set()
    assert b"read 0" in read_all(beside)
    for one in held:
        one.close()


def test_trusted_proxy_may_hold_more_connections():
    trusting = replace(PATIENT, trusted=(ip_network("127.0.0.0/8"),))
    with serving(trusting) as (_, port):
        held = [connect(port) for _ in range(QUICK.per_address + 10)]
        time.sleep(0.3)
        assert not any(is_closed(one) for one in held)
        assert b"read 0" in ask(port)


def test_full_server_ends_the_greediest_addresss_connection():
    with serving(replace(PATIENT, per_address=100)) as (_, port):
        greedy = [connect(port, b"GET", "127.0.0.2") for _ in range(QUICK.connections - 1)]
        modest = connect(port, b"GET", "127.0.0.3")
        assert b"read 0" in ask(port)
        assert within(10, lambda: any(is_closed(one) for one in greedy))
        assert not is_closed(modest)


@pytest.mark.parametrize("letters", [b"GET / HTTP/1.1\r\nX-Slow: ", b""])
def test_head_must_come_in_time(letters):
    with serving(replace(PATIENT, head_seconds=1)) as (_, port):
        slow = connect(port, letters)
        began = time.monotonic()
        while time.monotonic() - began < 30 and not is_closed(slow):
            try:
                slow.send(letters[-1:])  # each letter would keep a mere limit on inactivity away
            except OSError:
                break
            time.sleep(0.1)
        assert 0.9 < time.monotonic() - began < 25


def test_slow_body_is_told_so(served):
    application, port = served
    slow = connect(port, b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n")
    for _ in range(15):
        slow.send(b"a")
        time.sleep(0.1)
    assert b"unread too-slow" in read_all(slow)
    assert application.asked == [("POST", "/slow")]


def test_body_of_a_fair_rate_is_read():
    with serving(replace(QUICK, slowest_rate=500)) as (_, port):  # a second, and one for every 500 bytes
        steady = connect(port, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\nConnection: close\r\n\r\n")
        for _ in range(15):
            steady.sendall(b"a" * 666)
            time.sleep(0.1)
        steady.sendall(b"a" * 10)
        assert b"read 10000" in read_all(steady)


def test_idle_connection_is_closed(served):
    _, port = served
    idle = connect(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = b""
    while not answer.endswith(b"read 0"):  # its body may come after its head, and unread it would hide the end
        answer += idle.recv(1000)
    assert answer.startswith(b"HTTP/1.1 200")
    assert not is_closed(idle)
    assert within(6, lambda: is_closed(idle))


@pytest.fixture
def spooled(monkeypatch) -> list[Any]:
    """Files that waitress begins for bodies."""
    begun: list[Any] = []
    real = tempfile.TemporaryFile

    def counted(*arguments: Any, **named: Any) -> Any:
        begun.append(arguments)
        return real(*arguments, **named)

    monkeypatch.setattr("waitress.buffers.TemporaryFile", counted, raising=False)
    monkeypatch.setattr("tempfile.TemporaryFile", counted)
    return begun


def test_too_large_body_is_answered_unread(served, spooled):
    application, port = served
    sender = connect(port, b"POST /large HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n")
    piece = b"a" * 100_000
    for _ in range(500):
        sender.sendall(piece)  # all of it: whoever sends before reading gets to the answer all the same
    answer = read_all(sender)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"Connection: close" in answer
    assert answer.endswith(b"unread too-large")
    assert (application.asked, spooled) == ([("POST", "/large")], [])


def test_body_within_the_limit_may_lie_on_disk(spooled):
    """The planted case: what is read does lie in a file, once it is large."""
    with serving(most=10_000_000) as (_, port):
        sender = connect(port, b"POST / HTTP/1.0\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n")
        sender.sendall(b"a" * 2_000_000)
        assert b"read 2000000" in read_all(sender)
    assert len(spooled) == 1


def test_refused_body_is_not_read_as_requests(served):
    application, port = served
    inner = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    head = b"POST /large HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n"
    sender = connect(port, head + inner * 3)
    sender.sendall(inner * 3)
    answer = read_all(sender)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert application.asked == [("POST", "/large")]


def test_large_chunked_body_is_refused_at_its_limit(served):
    application, port = served
    sender = connect(port, b"POST /chunked HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(20):
        sender.sendall(b"3e8\r\n" + b"a" * 1000 + b"\r\n")
    assert b"unread too-large" in read_all(sender)
    assert application.asked == [("POST", "/chunked")]


def test_large_body_is_not_invited(served):
    _, port = served
    head = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    assert connect(port, head % 50_000).recv(100).startswith(b"HTTP/1.1 413")
    assert connect(port, head % 500).recv(100).startswith(b"HTTP/1.1 100")


def test_bodies_together_have_a_limit():
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n"
    with serving(replace(PATIENT, bodies=1_500_000), most=10_000_000) as (_, port):
        first = connect(port, head)
        assert within(10, lambda: b"unread too-busy" in read_all(connect(port, head)))
        first.close()
        assert b"read 5" in read_all(connect(port, b"POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\n12345"))


# ---- stopped


def refused(port: int) -> bool:
    try:
        connect(port).close()
    except ConnectionRefusedError:
        return True
    return False


def test_request_begun_before_the_stop_is_answered():
    """One in the application, one that waits for a thread, one whose body is still to come."""
    with stoppable(ConnectionLimits()) as (application, server, port):
        application.is_held.clear()
        held = [connect(port, b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(5)]
        sender = connect(port, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n123")
        assert within(5, lambda: len(application.asked) == 4)
        server.stop()
        assert within(5, lambda: refused(port))
        sender.sendall(b"45")
        application.is_held.set()
        answers = [read_all(one) for one in (*held, sender)]
        assert all(answer.startswith(b"HTTP/1.1 200") and b"Connection: close" in answer for answer in answers)
        assert b"read 5" in answers[-1]


def test_idle_connections_do_not_hold_up_the_stop():
    with stoppable(ConnectionLimits()) as (_, server, port):
        used = connect(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        found = b""
        while not found.endswith(b"read 0"):
            found += used.recv(1000)
        unused = connect(port)
        server.stop()
        began = time.monotonic()
        assert used.recv(1000) == b""
        assert unused.recv(1000) == b""
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("run", range(5))
def test_stop_loses_no_connection(run):
    told: Counter[str] = Counter()

    def knock(port: int) -> None:
        for _ in range(100_000):
            try:
                told[ask(port)[:15].decode()] += 1
            except ConnectionRefusedError:
                return
            except OSError as error:
                told[repr(error)] += 1

    with stoppable(ConnectionLimits()) as (_, server, port):
        clients = [threading.Thread(target=knock, args=(port,), daemon=True) for _ in range(16)]
        for client in clients:
            client.start()
        assert within(20, lambda: told["HTTP/1.1 200 OK"] > 200)
        server.stop()
        for client in clients:
            client.join(timeout=20)
    assert set(told) == {"HTTP/1.1 200 OK"}, told


def test_stop_waits_for_nobody_for_ever():
    with stoppable(replace(ConnectionLimits(), finish_seconds=0.5)) as (_, server, port):
        never = connect(port, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n123")
        assert within(5, lambda: bool(server.active_channels))
        server.stop()
        assert read_all(never) == b""
