"""Chinese pages read as traders write: their punctuation, and the names that organisations have in Chinese."""

import re
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest

from backend.domain.errors import NameInLanguages, NotAllowed
from backend.domain.kinds import Kind
from backend.domain.verdict import REGISTER, Check, Outcome
from backend.messages.catalogue import languages, say
from backend.messages.verdict import reason_text
from backend.runtime.demo import LOGINS
from tests.helpers.builders import Api
from tests.messages.test_catalogue import entries

ENGLISH_NAMES = tuple(profile.name for profile in LOGINS.values() if profile.local_name)
MISTAKES = {
    "two full stops": re.compile(r"[。．][。．.]|[。；，、]。"),
    "a half-width mark after Chinese": re.compile(r"[\u3400-\u9fff）”][:;?!,](?!//)"),
    "an organisation's English name": re.compile("|".join(map(re.escape, ENGLISH_NAMES))),
}
AS_SIGNED = {"sheet", "match", "quoted"}
"""Classes of the parts of a page that quote what papers say, in the words that were signed."""
FEWEST_PAGES = {"merchant": 15, "chamber": 5, "laboratory": 5, "officer": 6, "authority": 4, "analyst": 3}


class Prose(HTMLParser):
    """The text blocks of a page, and the addresses that it links to. What papers say is left out."""

    _BLOCKS = frozenset({"p", "li", "td", "th", "dt", "dd", "div", "h1", "h2", "h3", "legend", "label", "option", "a"})
    _EMPTY = frozenset({"meta", "link", "input", "br", "img", "hr"})

    def __init__(self) -> None:
        super().__init__()
        self.blocks, self.links, self._open = [""], [], []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag not in self._EMPTY:
            quoted = bool(AS_SIGNED & set((given.get("class") or "").split()))
            self._open.append((tag, quoted or tag in ("script", "style", "textarea", "code", "datalist")))
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag in self._BLOCKS:
            self.blocks.append("")

    def handle_endtag(self, tag):
        while self._open and self._open.pop()[0] != tag:
            pass
        if tag in self._BLOCKS:
            self.blocks.append("")

    def handle_data(self, data):
        if not any(is_quoted for _tag, is_quoted in self._open):
            self.blocks[-1] += data


def prose(html):
    reader = Prose()
    reader.feed(html)
    return [" ".join(block.split()) for block in reader.blocks if block.strip()], reader.links


def mistakes(texts):
    return [(what, text) for text in texts for what, pattern in MISTAKES.items() if pattern.search(text)]


def pages_of(client, start="/", most=120):
    """Every page that links lead to from the start, one of each sort of address."""
    seen, waiting, found = set(), [start], {}
    while waiting and len(found) < most:
        path = waiting.pop(0)
        sort = re.sub(r"[0-9a-f-]{36}|[0-9a-f]{64}|[0-9A-Za-z_-]{43}|=.*", "*", path)
        if sort in seen or path.startswith(("/static", "/api", "/p/", "/docs")):
            continue
        seen.add(sort)
        answer = client.get(path, follow_redirects=True)
        if answer.mimetype == "text/html" and answer.status_code == 200:
            found[path] = answer.text
            links = (urlsplit(link) for link in prose(answer.text)[1])
            waiting += [f"{link.path}?{link.query}".rstrip("?") for link in links if not link.netloc and link.path]
    return found


@pytest.fixture(scope="module")
def papers_of_all_fates(app, people, settle):
    """A revoked certificate whose reason ends with a full stop, and a statement that waits."""
    api = Api(app.test_client(), people)
    revoked = api.certificate()
    revoked = api.post(f"/records/{revoked['id']}/revocation", "chamber", {"reason": "货物与申报不符。"})
    assert revoked.status_code == 201, revoked.text
    settle()


@pytest.mark.usefixtures("papers_of_all_fates")
@pytest.mark.parametrize("role", FEWEST_PAGES)
def test_chinese_pages_hold_no_mistake(app, people, role):
    client = app.test_client()
    client.set_cookie("language", "zh")
    page = client.get("/sign-in").text
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)[1]
    sent = {"csrf_token": token, "email": people[role].email, "password": people[role].password}
    assert client.post("/sign-in", data=sent).status_code == 302
    found = pages_of(client)
    assert len(found) >= FEWEST_PAGES[role], list(found)
    assert {path: wrong for path, html in found.items() if (wrong := mistakes(prose(html)[0]))} == {}


@pytest.mark.parametrize(
    ("planted", "what"),
    [
        ("<p>已被撤销：货物不符。。请申请。</p>", "two full stops"),
        ("<dt>判定规则: <b>简单接受</b></dt>", "a half-width mark after Chinese"),
        ("<li>请向Zhejiang Chamber of Commerce (demo)申请</li>", "an organisation's English name"),
        ("<div><strong>浙江商会</strong>: 请更正</div>", "a half-width mark after Chinese"),
        ("<span>浙江商会（演示）, 2026年</span>", "a half-width mark after Chinese"),
    ],
)
def test_planted_mistake_on_a_page_is_found(planted, what):
    assert what in {found for found, _text in mistakes(prose(planted)[0])}


def test_what_papers_say_is_left_as_signed():
    signed = '<p>甲</p><article class="sheet"><dd>Zhejiang Chamber of Commerce (demo)</dd></article><p>乙</p>'
    assert prose(signed)[0] == ["甲", "乙"]


def test_chinese_catalogue_holds_no_mistake():
    assert "zh" in languages()
    texts = [text for text in entries("zh").values() if text]
    assert len(texts) > 1500
    assert mistakes(texts) == []
    assert mistakes(["判定规则: {rule}"])


def test_reason_with_full_stop_ends_with_one():
    check = REGISTER["STATUS"].answer("revoked", {"issuer": "X", "why": "货物不符。"})
    assert isinstance(check, Check)
    assert check.outcome is Outcome.FAIL
    assert reason_text(check, "zh") == "已被撤销：货物不符。请向X申请新证书。"
    assert ". —" not in reason_text(check, "en")


def test_refusal_names_an_organisation_in_chinese():
    refusal = NotAllowed(
        "{name} does not sign {kind} records", kind=Kind.ORDER.slug, name=NameInLanguages("A", {"zh": "甲"})
    )
    assert str(refusal).startswith("A does not sign")
    assert say(refusal, "zh").startswith("甲不签署")


def test_interface_names_the_issuer_in_chinese(app, people, settle):
    api = Api(app.test_client(), people)
    record = api.certificate()
    settle()
    answer = api.get(f"/records/{record['id']}", "merchant", headers={"Accept-Language": "zh"}).get_json()
    signature = next(check for check in answer["verdict"]["checks"] if check["code"] == "SIGNATURE")
    assert "浙江商会（演示）" in signature["message"]
    assert signature["evidence"]["issuer"] == "Zhejiang Chamber of Commerce (demo)"
