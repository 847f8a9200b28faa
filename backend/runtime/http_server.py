"""waitress with deadlines, a limit on connections per address, and a check of bodies before they are read.

waitress reads requests and writes answers in one thread that never blocks, and runs the application in others. This
module adds what it lacks: its timeout restarts with each byte, and its connections are first come, first served, so
that a few hundred clients that send a byte now and then would keep everybody else out (slowloris;
docs/decisions/0021-waitress-with-deadlines.md).

A client that does not keep the server waiting is never disconnected. When there is no room, the connection ends whose
request has been incomplete for the longest time, of the address that has the most connections.
"""

import ctypes
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import TcpWSGIServer
from waitress.task import WSGITask

from backend.web.context import UNREAD_BODY, BodyLimit
from backend.web.proxy import Networks, is_within

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

_REFUSED = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 10\r\nConnection: close\r\n"
    b"Content-Type: text/plain\r\nContent-Length: 29\r\n\r\nToo many connections at once\r\n"
)
HANDSHAKE_SECONDS = 0.3
"""For connections that are half made when the server is stopped: the third packet takes one way of the network."""
_SO_ATTACH_FILTER = 26  # asm-generic/socket.h; Python's socket module does not name it
_ALL_BUT_OPENING_PACKETS = b"".join(
    struct.pack("=HBBI", *instruction)  # struct sock_filter of linux/filter.h
    for instruction in (
        (0x30, 0, 0, 13),  # load the byte of the TCP header that holds the flags (RFC 9293, 3.1)
        (0x45, 0, 1, 0x02),  # is SYN among them?
        (0x06, 0, 0, 0),  # then drop the packet
        (0x06, 0, 0, 0xFFFFFFFF),  # else keep all of it
    )
)


@dataclass(frozen=True)
class ConnectionLimits:
    """What one server, and one address, may hold open, and for how long."""

    connections: int = 1000
    per_address: int = 200
    """Trusted proxies have no such limit, because all users come from their addresses."""
    head_seconds: float = 10
    """From the first byte of a request to the end of its head, and from a new connection to its first byte."""
    body_seconds: float = 20
    """For the body, plus one second for each ``slowest_rate`` bytes received."""
    slowest_rate: int = 4096
    """Bytes per second, of incoming bodies and outgoing answers."""
    idle_seconds: float = 60
    """Between two requests, and without progress of an answer."""
    discard_seconds: float = 30
    """How long the rest of a refused body is read and discarded, so that the client reads the answer."""
    bodies: int = 512 * 1024 * 1024
    """Bytes of all bodies that are being received or processed."""
    finish_seconds: float = 15
    """For the requests that have begun when the server is stopped."""
    trusted: Networks = ()


class Request(HTTPRequestParser):
    """An incoming request. Its body is checked at the end of the head, before a byte of it is stored."""

    path: str
    headers: dict[str, str]

    def __init__(self, adj: Adjustments, server: "Server") -> None:
        super().__init__(adj)
        self.server = server
        self.began = time.monotonic()
        self.body_began = self.began
        self.limit = BodyLimit(0)
        self.unread: BodyLimit | None = None

    def received(self, data: bytes) -> int:
        """Take incoming bytes, and return how many belong to this request. A refused body is consumed entirely."""
        if self.unread is not None:
            return len(data)
        in_head = not self.headers_finished
        consumed = super().received(data)
        if in_head and self.headers_finished and self.body_rcv is not None:
            self.body_began = time.monotonic()
            self.limit = self.server.body_limit(self)
            self.error = None  # waitress's own limit on bodies: ours is told in our words
            if self.content_length > self.limit.most:
                self.leave_unread(self.limit)
        elif self.chunked and self.body_bytes_received > self.limit.most:
            self.leave_unread(self.limit)
        return consumed if self.unread is None else len(data)

    def leave_unread(self, why: BodyLimit) -> None:
        """Pass the request on without its body. The application reports why, and the connection ends."""
        self.close()
        self.body_rcv, self.error = None, None
        self.unread = why
        self.completed, self.connection_close = True, True
        self.expect_continue = False
        self.headers["CONNECTION"] = "close"

    @property
    def size(self) -> int:
        """Bytes that the body may take."""
        if self.body_rcv is None:
            return 0
        return self.limit.most if self.chunked else self.content_length

    def deadline(self, limits: ConnectionLimits) -> float:
        """Return when it must be complete (monotonic seconds)."""
        if not self.headers_finished:
            return self.began + limits.head_seconds
        return self.body_began + limits.body_seconds + self.body_bytes_received / limits.slowest_rate


class _Task(WSGITask):
    def get_environment(self) -> "WSGIEnvironment":
        environ = super().get_environment()
        if isinstance(self.request, Request) and self.request.unread is not None:
            environ[UNREAD_BODY] = self.request.unread
        return environ

    def build_response_header(self) -> bytes:
        """Say that the connection ends with this answer, where the server stops."""
        if isinstance(self.request, Request) and self.request.server.is_stopping:
            self.request.headers["CONNECTION"] = "close"
        return super().build_response_header()


class Channel(HTTPChannel):
    """One connection."""

    task_class = _Task
    server: "Server"
    socket: Any
    request: Request | None
    requests: list[Request]
    _fileno: int | None

    def __init__(self, server: "Server", sock: socket.socket, addr: Any, adj: Adjustments, map: Any = None) -> None:
        self.parser_class = partial(Request, server=server)  # type: ignore[assignment]
        self.address = str(addr[0])
        self.waiting_since = time.monotonic()
        self.answering_since: float | None = None
        self.answer = 0
        """Bytes that were pending at that time."""
        self.is_new = True
        self.is_refusing = False
        """Whether an answer is being sent to a request whose body was not read."""
        self.discarding_until: float | None = None
        super().__init__(server, sock, addr, adj, map=map)

    def received(self, data: bytes) -> bool:
        """Take incoming bytes."""
        if self.is_refusing:
            return True
        self.is_new = False
        is_taken = super().received(data)
        self.is_refusing = any(one.unread is not None for one in self.requests)
        return is_taken

    def readable(self) -> bool:
        """Return whether to read.

        During a refusal too, as unread bytes would reset the connection before the client reads it.
        """
        return self.is_refusing or super().readable()

    def handle_write(self) -> None:
        """Write. After a refusal, close only the writing side and keep reading for a while."""
        if not (self.is_refusing and self.close_when_flushed):
            super().handle_write()
            return
        self._flush_exception(self._flush_some)  # type: ignore[attr-defined]
        if self.will_close:
            self.handle_close()
        elif not self.total_outbufs_len:
            self.close_when_flushed = False
            self.discarding_until = time.monotonic() + self.server.limits.discard_seconds
            try:
                self.socket.shutdown(socket.SHUT_WR)
            except OSError:
                self.handle_close()

    def service(self) -> None:
        """Process one request, in a worker thread."""
        super().service()
        self.waiting_since = time.monotonic()

    @property
    def is_at_work(self) -> bool:
        """Whether a request is complete and not yet answered: such a connection is not ended."""
        return bool(self.requests)

    @property
    def is_idle(self) -> bool:
        """Whether no request has begun since the last one, and no answer is left to send."""
        return not (self.is_new or self.requests or self.request or self.total_outbufs_len or self.discarding_until)

    @property
    def is_unused(self) -> bool:
        """Whether not a byte of a first request has come."""
        return self.is_new and self.request is None

    def deadline(self, now: float, limits: ConnectionLimits) -> float:
        """Return when it ends unless something happens (monotonic seconds)."""
        if self.is_at_work:
            self.answering_since = None
            return now + 1
        if self.discarding_until is not None:
            return self.discarding_until
        if self.total_outbufs_len:
            if self.answering_since is None:
                self.answering_since, self.answer = now, self.total_outbufs_len
            gone = self.answer - self.total_outbufs_len
            return self.answering_since + limits.idle_seconds + gone / limits.slowest_rate
        self.answering_since = None
        if self.request is not None:  # its first bytes may have come while the one before it was worked on
            return max(self.request.deadline(limits), self.waiting_since + limits.head_seconds)
        return self.waiting_since + (limits.head_seconds if self.is_new else limits.idle_seconds)

    def handle_close(self) -> None:
        """Close, and drop a partly received request."""
        if self.request is not None:
            self.request.close()
            self.request = None
        super().handle_close()

    def add_channel(self, map: Any = None) -> None:
        """Count the connection for its address."""
        super().add_channel(map)
        self.server.count(self.address, +1)
        self.server.accepted.append(self)

    def del_channel(self, map: Any = None) -> None:
        """Stop counting the connection."""
        if self._fileno is not None and self._fileno in self.server.active_channels:
            self.server.count(self.address, -1)
        super().del_channel(map)


class Server(TcpWSGIServer):
    """Serves an application on a listening socket until it is stopped.

    ``body_limit`` is called for every request with a body, between head and body, and must not block. It gets the
    method, the path and the headers, named as in WSGI but without ``HTTP_``.
    """

    channel_class = Channel
    active_channels: dict[int, Channel]  # type: ignore[assignment]

    def __init__(
        self,
        application: "WSGIApplication",
        listener: socket.socket,
        body_limit: Callable[[str, str, Mapping[str, str]], BodyLimit],
        limits: ConnectionLimits,
        threads: int = 8,
    ) -> None:
        self.limits = limits
        self.is_stopping = False
        """Whether it only finishes what has begun."""
        self._body_limit = body_limit
        self._by_address: Counter[str] = Counter()
        self.accepted: list[Channel] = []
        adjustments = Adjustments(
            sockets=[listener],
            threads=threads,
            max_request_body_size=2**62,  # body_limit decides
            max_request_header_size=64 * 1024,
            connection_limit=2**31,  # handle_accept decides
            channel_timeout=2**31,  # maintenance decides
            clear_untrusted_proxy_headers=False,  # whether to believe them is decided by PublicAddress
            cleanup_interval=1,
            asyncore_use_poll=True,
            backlog=1024,
            ident=None,
        )
        self._listener = listener
        self._sockets: dict[int, Any] = {}
        where = (listener.family, listener.type, listener.proto, listener.getsockname())
        super().__init__(
            application, map=self._sockets, _sock=listener, adj=adjustments, sockinfo=where, bind_socket=False
        )

    def run(self) -> None:
        """Serve until ``stop`` is called, then answer what has begun; KeyboardInterrupt ends it at once."""
        try:
            while self._sockets and not self.is_stopping:
                self.asyncore.poll2(self.adj.asyncore_loop_timeout, self._sockets)
            self._finish()
        except KeyboardInterrupt:
            self.logger.warning("ended at once: requests may have been left unanswered")
        finally:
            self.task_dispatcher.shutdown()
            self.asyncore.close_all(self._sockets)

    def stop(self) -> None:
        """End ``run`` soon. May be called from a signal handler or another thread."""
        self.is_stopping = True
        with suppress(OSError):  # it has ended already
            self.pull_trigger()

    def _finish(self) -> None:
        """Answer what has begun.

        Who has connected is heard. Who connects from now on is refused, and asks another server. Closing a listening
        socket resets what is in its queue: so first nobody joins the queue any more, and then it is emptied.
        """
        began = time.monotonic()
        if _ignore_newcomers(self._listener):
            while time.monotonic() < began + HANDSHAKE_SECONDS:
                self.asyncore.poll2(0.05, self._sockets)
        self.handle_accept()
        while self.accepted:
            self.handle_accept()
        self.del_channel()
        self._listener.close()
        while (channels := self._channels()) and (now := time.monotonic()) < began + self.limits.finish_seconds:
            for channel in channels:
                if channel.is_idle or (channel.is_unused and now > began + 1):
                    channel.handle_close()
            self.maintenance(now)
            self.asyncore.poll2(0.1, self._sockets)

    def count(self, address: str, change: int) -> None:
        """Adjust the number of an address's connections."""
        self._by_address[address] += change
        if not self._by_address[address]:
            del self._by_address[address]

    def body_limit(self, request: Request) -> BodyLimit:
        """Return how much of this request's body to read."""
        limit = self._body_limit(str(request.command), request.path, request.headers)
        wanted = limit.most if request.chunked else request.content_length
        if wanted > limit.most:
            return limit
        # Announced sizes count, not received ones: otherwise many large bodies could begin at once and exceed the limit
        # together.
        taken = sum(
            one.size for channel in self._channels() for one in (*channel.requests, channel.request) if one is not None
        )
        is_room = taken - request.size + wanted <= self.limits.bodies
        return limit if is_room or wanted <= self.adj.inbuf_overflow else BodyLimit(0, "too-busy")

    def maintenance(self, now: float) -> None:
        """End connections whose request or answer is late.

        Slow bodies get an answer; after an incomplete head nobody can.
        """
        now = time.monotonic()
        for channel in self._channels():
            if channel.deadline(now, self.limits) > now:
                continue
            request = channel.request
            if request is not None and request.headers_finished and not channel.is_at_work:
                request.leave_unread(BodyLimit(0, "too-slow"))
                channel.received(b"\0")  # one letter more, which is not looked at, hands the request on
            else:
                channel.handle_close()

    def handle_accept(self) -> None:
        """Accept a client. Where there is no room, the connection that has kept the server waiting longest is ended."""
        self.accepted.clear()
        super().handle_accept()
        for newcomer in self.accepted:
            self._make_room_for(newcomer)

    def _make_room_for(self, newcomer: Channel) -> None:
        if not self._is_trusted(newcomer.address) and self._by_address[newcomer.address] > self.limits.per_address:
            self._end_one(newcomer, (one for one in self._channels() if one.address == newcomer.address))
        elif len(self.active_channels) > self.limits.connections:
            # The address with the most connections pays, so that one client cannot push out many others.
            greatest = self._by_address.most_common(1)[0][0]
            self._end_one(newcomer, (one for one in self._channels() if one.address == greatest))

    def _end_one(self, newcomer: Channel, candidates: Iterable[Channel]) -> None:
        # A connection whose request is being answered is never ended for a new one.
        waiting = [one for one in candidates if not one.is_at_work and one is not newcomer]
        if waiting:
            min(waiting, key=lambda one: one.request.began if one.request else one.waiting_since).handle_close()
            return
        try:
            newcomer.socket.send(_REFUSED)
        except OSError:
            self.logger.debug("refused, and gone already")
        newcomer.handle_close()

    def _channels(self) -> list[Channel]:
        return list(self.active_channels.values())

    def _is_trusted(self, address: str) -> bool:
        return is_within(address, self.limits.trusted)


def _ignore_newcomers(listener: socket.socket) -> bool:
    """Let the kernel drop what would open a connection; False where it cannot (only Linux has such filters).

    Their senders try again after a second, and are refused then, as the socket is closed by that time.
    """
    if not sys.platform.startswith("linux"):
        return False
    instructions = ctypes.create_string_buffer(_ALL_BUT_OPENING_PACKETS)
    count = len(_ALL_BUT_OPENING_PACKETS) // struct.calcsize("=HBBI")
    program = struct.pack("HP", count, ctypes.addressof(instructions))  # struct sock_fprog
    try:
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
    except OSError:  # a sandbox that knows no filters
        return False
    return True
