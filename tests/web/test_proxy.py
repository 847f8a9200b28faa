"""Behind a proxy, or asked under a false name: what leaves the house names the public address and no other."""

import io
import re
from dataclasses import replace
from ipaddress import ip_network
from urllib.parse import urlsplit

import pytest
import zxingcpp
from PIL import Image

from backend.runtime.app import create_app
from backend.settings import Settings, WrongSetting
from backend.web.proxy import client_of
from tests.helpers.builders import Api

PROXY = "10.0.0.1"
TRUSTED = (ip_network("10.0.0.0/24"),)
PUBLIC = "https://trace.example.org/trade"


@pytest.fixture(scope="module")
def public_app(system):
    settings = replace(system.settings, public_url=PUBLIC, trusted_proxies=TRUSTED, secure_cookies=True)
    return create_app(replace(system, settings=settings))


@pytest.fixture
def through(public_app):
    """A browser behind the proxy, which hands on the Host, keeps the path, and says who asks."""
    client = public_app.test_client()
    client.environ_base["REMOTE_ADDR"] = PROXY

    def call(path, method="GET", client_address="203.0.113.9", **named):
        headers = {"Host": "trace.example.org", "X-Forwarded-For": client_address, "X-Forwarded-Proto": "https"}
        url = path if path.startswith("/trade") else f"/trade{path}"
        return client.open(url, method=method, headers=headers | named.pop("headers", {}), **named)

    return call


@pytest.fixture(scope="module")
def certificate(app, people):
    return Api(app.test_client(), people).certificate()


def named_by(picture):
    """The address in the QR code of a label."""
    (found,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(picture.data)))
    return found.text


def code_of(certificate):
    return certificate["labelUrl"].rsplit("/", 1)[1]


def token_of(page):
    return re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)[1]


def sign_in(through, person, client_address="203.0.113.9", password=None, **named):
    page = through("/sign-in", client_address=client_address, **named).text
    fields = {"csrf_token": token_of(page), "email": person.email, "password": password or person.password}
    return through("/sign-in", "POST", client_address, data=fields, **named)


# ---- without PUBLIC_URL


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"X-Forwarded-Host": "evil.example"}])
def test_claimed_host_reaches_no_label_or_trust_file(app, people, certificate, headers):
    client = app.test_client()
    code = code_of(certificate)
    assert certificate["labelUrl"] == f"http://127.0.0.1:8080/p/{code}"
    assert named_by(client.get(f"/p/{code}/label.png", headers=headers)) == f"http://127.0.0.1:8080/p/{code}"
    for answer in (
        client.get("/trust.json", headers=headers),
        client.post("/rpc", json={"id": 1, "method": "provenport_trust"}, headers=headers),
        client.get(f"/p/{code}", headers=headers),
        client.get(f"/p/{code}/bundle.json", headers=headers),
        client.get(f"/api/v1/records/{certificate['id']}", headers=headers | people["merchant"].bearer),
        client.get("/declarations", headers=headers),
    ):
        assert answer.status_code < 400
        assert "evil.example" not in answer.text + str(answer.headers)


def test_forwarded_address_is_not_believed_by_default(app, people):
    """A new one with each try does not give a guesser more than ten."""
    client = app.test_client()
    client.environ_base["REMOTE_ADDR"] = "198.51.100.77"
    fields = {"csrf_token": token_of(client.get("/sign-in").text), "email": people["analyst"].email, "password": "x"}
    tried = [
        client.post("/sign-in", data=fields, headers={"X-Forwarded-For": f"203.0.113.{number}"}).status_code
        for number in range(11)
    ]
    assert tried == [401] * 10 + [429]


# ---- with it


def test_label_and_trust_file_name_the_public_address(through, people, certificate):
    code = code_of(certificate)
    assert named_by(through(f"/p/{code}/label.png")) == f"{PUBLIC}/p/{code}"
    assert through("/trust.json").get_json()["trusted"][0]["name"] == "trace.example.org"
    fields = {"reason": "x"}
    listed = through("/api/v1/declarations", headers=people["officer"].bearer).get_json()["declarations"]
    assert all(one["url"].startswith("/trade/api/v1/") for one in listed)
    refused = through("/api/v1/records/none/revocation", "POST", json=fields, headers=people["chamber"].bearer)
    assert refused.get_json()["type"].startswith("/trade/api/problems#")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:8080", "trace.example.org.evil.example", ""])
def test_another_host_is_refused(through, host):
    answer = through("/api/v1/me", headers={"Host": host})
    assert (answer.status_code, answer.get_json()["code"]) == (421, "misdirected")
    assert PUBLIC in answer.get_json()["detail"]
    assert through("/sign-in", headers={"Host": host}).status_code == 421
    assert through("/healthz", headers={"Host": host}).status_code == 200
    assert through("/readyz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["trace.example.org", "TRACE.example.org", "trace.example.org:443"])
def test_own_host_is_answered(through, host):
    assert through("/sign-in", headers={"Host": host}).status_code == 200


def test_host_may_come_from_the_trusted_proxy(public_app, through):
    headers = {"Host": "backend:8080", "X-Forwarded-Host": "trace.example.org"}
    assert through("/sign-in", headers=headers).status_code == 200
    stranger = public_app.test_client()
    stranger.environ_base["REMOTE_ADDR"] = "198.51.100.1"
    assert stranger.get("/trade/sign-in", headers=headers).status_code == 421


def test_wrong_passwords_elsewhere_lock_nobody_out(through, people):
    officer = people["officer"]
    tried = [sign_in(through, officer, "203.0.113.66", "wrong").status_code for _ in range(11)]
    assert tried == [401] * 10 + [429]
    assert sign_in(through, officer, "203.0.113.67").status_code == 302


def test_clients_lie_about_themselves_in_vain(through, people):
    """Only the last address was written by the proxy; what stands before it the client has sent."""
    tried = [
        sign_in(through, people["authority"], f"198.18.0.{number}, 203.0.113.68", "wrong").status_code
        for number in range(11)
    ]
    assert tried == [401] * 10 + [429]


def test_secure_address_brings_hsts_and_secure_cookies(through, people):
    answer = sign_in(through, people["merchant"], "203.0.113.70")
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
    cookies = answer.headers.getlist("Set-Cookie")
    assert cookies
    assert all("Secure" in cookie and "Path=/trade;" in f"{cookie};" for cookie in cookies)
    assert answer.headers["Location"] == "/trade/"


def test_plain_address_brings_no_hsts(system):
    settings = replace(system.settings, public_url="http://trace.example.org")
    client = create_app(replace(system, settings=settings)).test_client()
    answer = client.get("/sign-in", headers={"Host": "trace.example.org", "X-Forwarded-Proto": "https"})
    assert answer.status_code == 200
    assert "Strict-Transport-Security" not in answer.headers


LINK = re.compile(r'(?:href|src|action|data-[a-z]+)="(/[^"]*)"')
ACTION = re.compile(r'action="(/[^"]*)"')


def test_every_link_stands_below_the_prefix(through, people):
    """Follows every link of every page that a merchant is led to, and every file that the pages load."""
    assert sign_in(through, people["merchant"], "203.0.113.71").status_code == 302
    to_visit, seen = ["/trade/"], set()
    while to_visit:
        path = to_visit.pop()
        seen.add(path)
        answer = through(path)
        assert answer.status_code in (200, 302, 422), (path, answer.status_code)  # 422: a form that asks for more
        if answer.status_code == 302:
            links = [answer.headers["Location"]]
        else:
            links = LINK.findall(answer.text) if answer.mimetype == "text/html" else []
        for link in links:
            assert link.startswith("/trade/"), (path, link)
            wanted = link.replace("&amp;", "&").partition("#")[0]
            is_sent = link in ACTION.findall(answer.text)
            if wanted not in seen and not is_sent and len(seen) < 100:
                to_visit.append(wanted)
                seen.add(wanted)
    assert len(seen) > 20
    assert any("/static/" in path for path in seen)


def test_signing_in_leads_back_below_the_prefix(through, people):
    asked = through("/declarations", client_address="203.0.113.72")
    assert urlsplit(asked.headers["Location"]).path == "/trade/sign-in"
    target = asked.headers["Location"]
    page = through(target).text
    fields = {"csrf_token": token_of(page), "email": people["merchant"].email, "password": people["merchant"].password}
    assert through(target, "POST", "203.0.113.72", data=fields).headers["Location"] == "/trade/declarations"
    page = through("/declarations").text
    back = re.search(r'name="back" value="([^"]*)"', page)[1]
    chosen = through("/language", "POST", data={"csrf_token": token_of(page), "language": "zh", "back": back})
    assert chosen.headers["Location"] == "/trade/declarations"
    assert "Path=/trade;" in f"{chosen.headers['Set-Cookie']};"


def test_proxy_may_take_the_prefix_away(public_app):
    client = public_app.test_client()
    client.environ_base["REMOTE_ADDR"] = PROXY
    page = client.get("/sign-in", headers={"Host": "trace.example.org"}).text
    assert all(link.startswith("/trade/") for link in LINK.findall(page))


def test_prefix_of_a_page_of_ours_is_refused(system):
    settings = replace(system.settings, public_url="https://trace.example.org/api")
    with pytest.raises(WrongSetting, match="/api"):
        create_app(replace(system, settings=settings))


def test_described_interface_names_the_prefix(through):
    assert through("/api/v1/openapi.json").get_json()["servers"] == [{"url": "/trade"}]


@pytest.mark.parametrize(
    ("said", "remote", "client"),
    [
        ("203.0.113.9", PROXY, "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "198.51.100.1"),
        ("6.6.6.6, 203.0.113.9", PROXY, "203.0.113.9"),
        ("203.0.113.9, 10.0.0.7", PROXY, "203.0.113.9"),
        ("10.0.0.9, 10.0.0.7", PROXY, "10.0.0.9"),
        ("", PROXY, PROXY),
        ("unknown", PROXY, PROXY),
        ("203.0.113.9:4711", PROXY, "203.0.113.9"),
        ("[2001:db8::1]:4711", PROXY, "2001:db8::1"),
        ("2001:db8::1", PROXY, "2001:db8::1"),
        ("::ffff:203.0.113.9", "::ffff:10.0.0.1", "203.0.113.9"),
    ],
)
def test_client_is_the_nearest_that_is_no_proxy(said, remote, client):
    assert client_of(said, remote, TRUSTED) == client


# ---- the settings


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://Trace.Example.org/", "https://trace.example.org"),
        ("https://trace.example.org:443/trade/", "https://trace.example.org/trade"),
        ("http://trace.example.org:8080", "http://trace.example.org:8080"),
        ("http://[2001:DB8::1]:80", "http://[2001:db8::1]"),
    ],
)
def test_public_address_is_kept_in_one_spelling(given, kept):
    assert Settings.from_environment({"PUBLIC_URL": given}).public_url == kept


@pytest.mark.parametrize(
    "environment",
    [
        {"PUBLIC_URL": "https://x.example/?a=1"},
        {"PUBLIC_URL": "https://x.example/#a"},
        {"PUBLIC_URL": "https://user@x.example"},
        {"PUBLIC_URL": "https://x.example:99999"},
        {"PUBLIC_URL": "https://x.example/../y"},
        {"PUBLIC_URL": "x.example"},
        {"TRUSTED_PROXIES": "127.0.0.1"},
        {"TRUSTED_PROXIES": "nginx", "PUBLIC_URL": "https://x.example"},
        {"TRUSTED_PROXIES": "0.0.0.0/0", "PUBLIC_URL": "https://x.example"},
        {"METRICS_TOKEN": "short"},
    ],
    ids=str,
)
def test_setting_that_cannot_be_meant_is_refused(environment):
    with pytest.raises(WrongSetting):
        Settings.from_environment(environment)


def test_cookies_are_secure_where_the_address_is():
    assert Settings.from_environment({"PUBLIC_URL": "https://x.example"}).secure_cookies
    assert not Settings.from_environment({"PUBLIC_URL": "http://x.example"}).secure_cookies
    assert not Settings.from_environment({"PUBLIC_URL": "https://x.example", "SECURE_COOKIES": "0"}).secure_cookies


def test_proxies_may_be_addresses_and_networks():
    found = Settings.from_environment({"PUBLIC_URL": "https://x.example", "TRUSTED_PROXIES": "127.0.0.1, 10.0.0.7/24"})
    assert [str(network) for network in found.trusted_proxies] == ["127.0.0.1/32", "10.0.0.0/24"]
