"""The started server behind a proxy: nginx with the documented configuration, and a small one that is always there."""

import io
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
import zxingcpp
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from PIL import Image

from tests.journeys.conftest import Server, free_port, start
from tests.journeys.papers import a_certificate
from tests.journeys.reverse_proxy import proxying

ROOT = Path(__file__).resolve().parents[2]
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@dataclass
class Behind:
    """A server behind a proxy, and how a browser reaches it from some address."""

    server: Server
    public_url: str
    call: Callable[..., requests.Response]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    """Behind the small proxy, which ends no TLS but says that it did."""
    port, outside = free_port(), free_port()
    public_url = "https://trace.example.org/trade"
    with _started(tmp_path_factory.mktemp("small") / "data", port, public_url) as server, proxying(outside, port):

        def call(method: str, path: str, source: str = "127.0.0.1", **named: object) -> requests.Response:
            headers = {"Host": "trace.example.org", **named.pop("headers", {})}  # type: ignore[dict-item]
            with requests.Session() as session:
                session.mount("http://", _From(source))
                url = f"http://127.0.0.1:{outside}/trade{path}"
                return session.request(method, url, headers=headers, timeout=30, allow_redirects=False, **named)  # type: ignore[arg-type]

        yield Behind(server, public_url, call)


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    """Behind nginx, set up by docs/examples/nginx.conf: only ports and the places of the files are others."""
    if NGINX is None:
        pytest.skip(
            "NGINX IS NOT INSTALLED: its documented configuration was not tried (Debian: apt-get install nginx)"
        )
    folder, port, outside = tmp_path_factory.mktemp("nginx"), free_port(), free_port()
    public_url = f"https://trace.example.org:{outside}"
    key, pem = _certificate_of("trace.example.org", folder)
    site = (ROOT / "docs/examples/nginx.conf").read_text(encoding="utf-8")
    for documented, here in (
        ("listen 443 ssl", f"listen {outside} ssl"),
        ("listen 80;", f"listen {free_port()};"),
        ("Host $host;", "Host $http_host;"),  # the port is not the usual one here
        ("http://127.0.0.1:8080", f"http://127.0.0.1:{port}"),
        ("/etc/ssl/certs/trace.example.org.pem", str(pem)),
        ("/etc/ssl/private/trace.example.org.key", str(key)),
    ):
        assert documented in site, documented
        site = site.replace(documented, here)
    temporary = "\n".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"pid {folder}/pid;\nerror_log {folder}/error.log;\ndaemon off;\nworker_processes 1;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}\n{site}\n}}\n"
    )
    with _started(folder / "data", port, public_url) as server:
        process = subprocess.Popen([NGINX, "-p", str(folder), "-c", str(configuration)])
        try:
            wait_for(outside, process)

            def call(method: str, path: str, source: str = "127.0.0.1", **named: object) -> requests.Response:
                headers = {"Host": f"trace.example.org:{outside}", **named.pop("headers", {})}  # type: ignore[dict-item]
                with requests.Session() as session:
                    session.mount("https://", _From(source))
                    url = f"https://127.0.0.1:{outside}{path}"
                    return session.request(
                        method, url, headers=headers, timeout=30, allow_redirects=False, verify=False, **named
                    )  # type: ignore[arg-type]

            yield Behind(server, public_url, call)
        finally:
            process.terminate()
            process.wait(10)


class _From(requests.adapters.HTTPAdapter):
    """Connects from a loopback address of its own, as users come from addresses of their own."""

    def __init__(self, source: str) -> None:
        self._source = source
        super().__init__()

    def init_poolmanager(self, *arguments: object, **named: object) -> None:
        super().init_poolmanager(*arguments, source_address=(self._source, 0), assert_hostname=False, **named)  # type: ignore[arg-type]


@contextmanager
def _started(folder: Path, port: int, public_url: str) -> Iterator[Server]:
    changes = {"PUBLIC_URL": public_url, "TRUSTED_PROXIES": "127.0.0.1"}
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        server = start(folder, port)
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
    try:
        yield server
    finally:
        server.stop()


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while True:
        assert process.poll() is None, "nginx did not start"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def _certificate_of(host: str, folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    paths = folder / "key.pem", folder / "certificate.pem"
    paths[0].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    paths[1].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return paths


@pytest.fixture(params=["small", "nginx"])
def behind(request: pytest.FixtureRequest) -> Behind:
    found: Behind = request.getfixturevalue(request.param)
    return found


def _sign_in(behind: Behind, role: str, source: str, password: str | None = None) -> requests.Response:
    person = behind.server.people[role]
    page = behind.call("GET", "/sign-in", source)
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page.text)
    assert token is not None, page.text
    fields = {"csrf_token": token[1], "email": person.email, "password": password or person.password}
    return behind.call("POST", "/sign-in", source, data=fields, cookies=dict(page.cookies))


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_printed_label_names_the_public_address(behind: Behind) -> None:
    people = behind.server.people
    body = a_certificate(people["merchant"].organisation)
    made = behind.call("POST", "/api/v1/certificates-of-origin", json=body, headers=people["chamber"].bearer).json()
    code = made["labelUrl"].rsplit("/", 1)[1]
    assert made["labelUrl"] == f"{behind.public_url}/p/{code}"
    picture = Image.open(io.BytesIO(behind.call("GET", f"/p/{code}/label.png").content))
    assert [found.text for found in zxingcpp.read_barcodes(picture)] == [made["labelUrl"]]
    assert behind.call("GET", f"/p/{code}").status_code == 200


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_user_signs_in_over_tls_only(behind: Behind) -> None:
    answer = _sign_in(behind, "merchant", "127.0.0.21")
    assert answer.status_code == 302, answer.text
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
    assert "Secure" in answer.headers["Set-Cookie"]
    prefix = behind.public_url.partition("//")[2].partition("/")[2]
    assert answer.headers["Location"].endswith(f"/{prefix}/" if prefix else "/")


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_guesser_locks_out_only_himself(behind: Behind) -> None:
    tried = [_sign_in(behind, "officer", "127.0.0.22", "wrong").status_code for _ in range(11)]
    assert tried == [401] * 10 + [429]
    assert _sign_in(behind, "officer", "127.0.0.23").status_code == 302


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_another_host_is_misdirected(behind: Behind) -> None:
    forged = {"X-Forwarded-Host": "evil.example"}
    assert behind.call("GET", "/api/v1/me", headers=forged).status_code == 421
    direct = requests.get(f"{behind.server.url}/api/v1/me", headers={"Host": "evil.example"}, timeout=10)
    assert (direct.status_code, direct.json()["code"]) == (421, "misdirected")
    assert requests.get(f"{behind.server.url}/healthz", timeout=10).status_code == 200


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_figures_do_not_pass_the_proxy(behind: Behind) -> None:
    answer = behind.call("GET", "/metrics", headers={"X-Forwarded-For": "203.0.113.5"})
    assert answer.status_code in (403, 404)
    assert "provenport_" not in answer.text
    assert "provenport_" in requests.get(f"{behind.server.url}/metrics", timeout=10).text


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_started_server_names_its_public_address(behind: Behind) -> None:
    told = behind.server.output.read_text()
    assert f"is ready:  {behind.public_url}\n" in told
    assert f"proxy reaches it at {behind.server.url}" in told
