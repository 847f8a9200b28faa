"""Runs one installation's processes until they are told to stop: all in one, or web, anchoring and jobs apart."""

import gc
import json
import resource
import signal
import socket
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

from backend.domain.errors import Message, TraceabilityError
from backend.runtime import demo
from backend.runtime.app import System, create_app, running
from backend.runtime.context import VERSION
from backend.runtime.data_folder import FORMAT, DataFolder
from backend.runtime.http_server import ConnectionLimits, Server
from backend.services.anchoring import release_lease
from backend.settings import Settings
from backend.web.security import body_limits

THREADS = 8
FILES_BESIDE_CONNECTIONS = 150
"""Files that the process has open in addition to connections: databases, attachments, bodies on disk."""


class PortInUse(TraceabilityError):
    """Raised when another program listens at the address."""

    code = "port-in-use"


class NeedsNode(TraceabilityError):
    """Raised when a part is to run by itself and the chain is embedded, which one process alone can open."""

    code = "needs-node"


def serve(settings: Settings, report: Callable[[Message], None], workers: bool = True) -> None:
    """Open the data folder, create the demonstration if requested, and serve until SIGINT or SIGTERM.

    Requests that have begun by then are answered; a second signal ends it at once. Without ``workers``, other
    processes anchor and run simulations (``work``).

    Raises:
        PortInUse: if the address is taken.
        NeedsNode: if the chain is embedded, without ``workers``.
        UnusableFolder, ChainInUse, ForeignDatabase, WrongMasterKey: as ``running`` raises them.
    """
    if not workers:
        _require_node(settings)
    listener = _listen(settings)
    try:
        _on_signals(_interrupt)
        report(Message("Opening {folder}", folder=settings.data_dir))
        with running(settings, report) as system:
            if settings.demo:
                _make_demo(system, report)
            with system.working(anchoring=workers, jobs=workers):
                _serve(system, listener, report)
    finally:
        listener.close()
    report(Message("Stopped. Everything is kept; start again to go on."))


def work(settings: Settings, report: Callable[[Message], None], anchoring: bool = False, jobs: bool = False) -> None:
    """Take records to the ledger, or run simulations, beside the processes that serve, until SIGINT or SIGTERM.

    Raises:
        NeedsNode: if the chain is embedded.
        UnusableFolder, ForeignDatabase, WrongMasterKey: as ``running`` raises them.
    """
    _require_node(settings)
    _on_signals(_interrupt)
    report(Message("Opening {folder}", folder=settings.data_dir))
    with running(settings, report) as system:
        stopping = threading.Event()
        _on_signals(lambda: stopping.set())
        with system.working(anchoring=anchoring, jobs=jobs):
            report(Message("Provenport {version} works. Stop with Ctrl-C.", version=VERSION))
            stopping.wait()
    report(Message("Stopped. Everything is kept; start again to go on."))


def _require_node(settings: Settings) -> None:
    if settings.ledger_rpc_url is None:
        raise NeedsNode(
            "the embedded chain is open to one process alone: name a node that several can reach with "
            "LEDGER_RPC_URL=…, or run everything in one with provenport serve"
        )


def _on_signals(act: Callable[[], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):  # SIGINT too: a script's background jobs start with it ignored
        signal.signal(number, lambda number, frame: act())


def _make_demo(system: System, report: Callable[[Message], None]) -> None:
    with system.folder.starting():
        if not _has_demo(system.folder):
            report(Message("Making the demonstration (once, about 15 seconds)"))
            try:
                demo.fill(system.ctx, system.folder, lambda step: report(Message("  {step}", step=step)))
            finally:
                release_lease(system.ctx)  # this process may be one that does not anchor
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


def _interrupt() -> None:
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
    url = _own_address(system.settings)
    for line in _startup_banner(system, system.settings.public_url or url):
        report(line)
    # Only now: commands that find the address send their requests there.
    system.folder.note_server(url)
    try:
        _on_signals(lambda: _stop(server))
        spare_the_collector()
        server.run()
    finally:
        system.folder.forget_server()


def spare_the_collector() -> None:
    """Look for garbage in what requests leave alone, and less often: a list of verdicts makes 100,000 objects.

    What is loaded by now stays, and looking through it would hold up a request for a fifth of a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _stop(server: Server) -> None:
    if server.is_stopping:
        _interrupt()
    server.stop()


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
