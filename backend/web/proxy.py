"""The client's address and the public address of this server, behind proxies that the operator trusts or not."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from backend.web.context import FORWARDED, MISDIRECTED

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Networks = tuple[IPv4Network | IPv6Network, ...]

_SAID_BY_PROXIES = (
    "HTTP_FORWARDED",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PORT",
    "HTTP_X_FORWARDED_PREFIX",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_REAL_IP",
)
ANY_HOST = ("/healthz", "/readyz", "/metrics")
"""Paths that monitoring asks by the machine's bare address. Their answers hold no links, so the host does no harm."""


class PublicAddress:
    """WSGI middleware that lets the application see requests as they were made to the public address.

    Scheme, host and path prefix are those of ``public_url``. A request for another host is marked, and the application
    refuses it. The client's address is read from ``X-Forwarded-For``, from the nearest proxy to the farthest. What
    stands behind the first proxy that is not trusted may be forged and is ignored.
    """

    def __init__(self, application: "WSGIApplication", public_url: str, trusted: Networks) -> None:
        self._application = application
        self._trusted = trusted
        self._public = urlsplit(public_url)
        self._prefix = self._public.path

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Handle one request."""
        # Removed before the application can read them: from an untrusted peer these headers may say anything.
        said = {name: environ.pop(name) for name in _SAID_BY_PROXIES if name in environ}
        remote, host = environ.get("REMOTE_ADDR", ""), environ.get("HTTP_HOST", "")
        if is_within(remote, self._trusted):
            environ["REMOTE_ADDR"] = client_of(said.get("HTTP_X_FORWARDED_FOR", ""), remote, self._trusted)
            # Each proxy appends to the list. The last entry is the nearest proxy's, which is trusted.
            host = str(said.get("HTTP_X_FORWARDED_HOST", host)).rpartition(",")[2].strip()
        elif said:
            environ[FORWARDED] = True
        path = environ.get("PATH_INFO", "")
        # A proxy may hand on the path whole or without our prefix (docs/deploying.md).
        if path == self._prefix or path.startswith(f"{self._prefix}/"):
            path = environ["PATH_INFO"] = path[len(self._prefix) :] or "/"
        if path not in ANY_HOST and not self._is_ours(host):
            environ[MISDIRECTED] = host
        # In place of what the client said: Flask builds addresses, and Werkzeug redirects, from these.
        environ.update({"SCRIPT_NAME": self._prefix, "HTTP_HOST": self._public.netloc})
        environ["wsgi.url_scheme"] = self._public.scheme
        return self._application(environ, start_response)

    def _is_ours(self, host: str) -> bool:
        # RFC 3986, sections 3.2.2 and 3.2.3: a name may end with the root's dot, and the default port may be written.
        default = ":443" if self._public.scheme == "https" else ":80"
        return host.lower().removesuffix(default).removesuffix(".") == self._public.netloc


def client_of(forwarded_for: str, remote: str, trusted: Networks) -> str:
    """Return the client's address by ``X-Forwarded-For``: the nearest that is no trusted proxy, else the farthest."""
    client = remote
    for text in reversed(forwarded_for.split(",")):
        if not is_within(client, trusted) or (found := _address(text)) is None:
            break
        client = str(found)
    return client


def is_within(address: str, networks: Networks) -> bool:
    """Tell whether a text is an IP address in one of the networks."""
    found = _address(address)
    return found is not None and any(found in network for network in networks)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Parse an address as proxies write it: in brackets, with a port, or as IPv4 mapped into IPv6."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text)
    except ValueError:
        return None
    # A socket for both families reports 10.0.0.1 as ::ffff:10.0.0.1, which is in no IPv4 network of the operator's
    # list.
    return getattr(found, "ipv4_mapped", None) or found
