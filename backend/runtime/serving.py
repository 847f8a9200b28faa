"""Serves one installation until it is told to stop."""

import json
import resource
import signal
import socket
from collections.abc import Callable
from types import FrameType
from urllib.parse import urlsplit

from backend.domain.errors import Message, TraceabilityError
from backend.runtime import demo
from backend.runtime.app import System, create_app, running
from backend.runtime.context import VERSION
from backend.runtime.data_folder import FORMAT, DataFolder
from backend.runtime.http_server import ConnectionLimits, Server
from backend.settings import Settings
from backend.web.security import body_limits

THREADS = 8
FILES_BESIDE_CONNECTIONS = 150
"""Files that the process has open in addition to connections: databases, attachments, bodies on disk."""


class PortInUse(TraceabilityError):
    """Raised when another program listens at the address."""

    code = "port-in-use"


def serve(settings: Settings, report: Callable[[Message], None]) -> None:
    """Open the data folder, create the demonstration if requested, and serve until SIGINT or SIGTERM.

    Raises:
        PortInUse: if the address is taken.
        UnusableFolder, ChainInUse, ForeignDatabase, WrongMasterKey: as ``running`` raises them.
    """
    listener = _listen(settings)
    try:
        for number in (signal.SIGTERM, signal.SIGINT):  # SIGINT too: a script's background jobs start with it ignored
            signal.signal(number, _stop)
        report(Message("Opening {folder}", folder=settings.data_dir))
        with running(settings, report) as system:
            if settings.demo:
                _make_demo(system, report)
            _serve(system, listener, report)
    finally:
        listener.close()
    report(Message("Stopped. Everything is kept; start again to go on."))


def _make_demo(system: System, report: Callable[[Message], None]) -> None:
    with system.folder.starting():
        if not _has_demo(system.folder):
            report(Message("Making the demonstration (once, about 15 seconds)"))
            demo.fill(system.ctx, system.folder, lambda step: report(Message("  {step}", step=step)))
            _note_demo(system.folder)


def _listen(settings: Settings) -> socket.socket:
    """Bind the port before any other work, so that a taken one is reported at once."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # Otherwise connections of the previous process in TIME_WAIT keep the port taken after a restart.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise PortInUse(
            "cannot listen on {host}:{port} ({why}): choose another port with PORT=…",
            host=settings.host,
            port=settings.port,
            why=error.strerror,
        ) from error
    return listener


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _has_demo(folder: DataFolder) -> bool:
    """Tell whether the demonstration exists with all users of this version; an older one is completed."""
    return bool(json.loads(folder.marker.read_text(encoding="utf-8")).get("demo")) and demo.is_whole(folder)


def _note_demo(folder: DataFolder) -> None:
    content = json.loads(folder.marker.read_text(encoding="utf-8"))
    folder.write_marker({**content, "demo": True})


def _serve(system: System, listener: socket.socket, report: Callable[[Message], None]) -> None:
    app = create_app(system)
    server = Server(app, listener, body_limits(app), _limits(system.settings), THREADS)
    system.worker.start(system.ctx)
    system.simulations.start(system.ctx, alone=system.settings.ledger_rpc_url is None)
    url = _own_address(system.settings)
    for line in _startup_banner(system, system.settings.public_url or url):
        report(line)
    # Only now: commands that find the address send their requests there.
    system.folder.note_server(url)
    try:
        server.run()  # returns when _stop raises
    finally:
        system.folder.forget_server()


def _limits(settings: Settings) -> ConnectionLimits:
    """Return limits for as many connections as the process may open files, which is 256 on some systems by default."""
    most = ConnectionLimits.connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most + FILES_BESIDE_CONNECTIONS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        most = max(50, soft - FILES_BESIDE_CONNECTIONS)
    return ConnectionLimits(connections=most, per_address=most // 5, trusted=settings.trusted_proxies)


def _own_address(settings: Settings) -> str:
    """Return the URL at which programs on this machine reach the server."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)
    return f"http://{host}:{settings.port}"


def _startup_banner(system: System, url: str) -> list[Message]:
    blank = Message("")
    lines = [
        Message(
            "The data folder has format {format}, tables {tables}.", format=FORMAT, tables=system.folder.noted_tables()
        ),
        blank,
        Message("Provenport {version} is ready:  {url}", version=VERSION, url=url),
    ]
    settings = system.settings
    if settings.public_url is not None:
        lines.append(Message("Other hosts are refused; the proxy reaches it at {url}.", url=_own_address(settings)))
    elif urlsplit(settings.address).hostname != urlsplit(url).hostname:
        lines.append(
            Message("Labels and trust files name {address}: set PUBLIC_URL to change that.", address=settings.address)
        )
    if system.folder.demo_credentials.exists():
        lines += [blank, Message("Demonstration users (also in {file}):", file=system.folder.demo_credentials)]
        for entry in demo.credentials_in(system.folder):
            role = Message(demo.role_of(entry["role"]).names)
            lines.append(Message("  {email}  password {password}  ({role})", **entry | {"role": role}))
            lines.append(Message("      API token {token}", token=entry["token"]))
    lines += [
        blank,
        Message(
            "Next: sign in as the merchant at {url}/sign-in, or read the programming interface at {url}/api/docs",
            url=url,
        ),
        Message("Stop with Ctrl-C."),
        blank,
    ]
    return lines
