"""What waits is found among a thousand newer ones, counted exactly; and a record has one word on every page."""

import re
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from html import escape, unescape
from uuid import uuid4

import pytest
from sqlalchemy import insert, select, update

from backend.domain.consignment import Decision, Step
from backend.domain.kinds import PAPERS, Kind
from backend.domain.ledger import DeclarationStatus
from backend.domain.records import RequestState
from backend.runtime import demo
from backend.runtime.app import create_app, running
from backend.services import accreditation, decisions, issuance, products, statements
from backend.store import tables as t
from backend.web.pages.records import NAMED_BY
from tests.conftest import copied, people_in
from tests.helpers.builders import Api, certificate_fields

NEWER = 1_000


@pytest.fixture(scope="module")
def crowd(tmp_path_factory, demonstration):
    """An installation of its own where a thousand newer declarations and requests came after those that wait."""
    with running(copied(demonstration, tmp_path_factory.mktemp("crowd") / "data")) as system:
        crowd = Crowd(system, people_in(system.folder.path))
        crowd.detained = crowd.decided(Decision.DETAIN)
        crowd.sent_back = crowd.submitted()
        issuance.send_back(system.ctx, crowd.person("chamber"), crowd.sent_back, "The weight is missing.")
        crowd.certificate = crowd.api.certificate()["id"]
        demo.settle(system.ctx)
        crowd.add_newer()
        yield crowd


class Crowd:
    """The installation, and what must be found in it."""

    def __init__(self, system, people):
        self.system, self.people = system, people
        self.app = create_app(system)
        self.api = Api(self.app.test_client(), people)
        self.browsers = {}

    def person(self, role):
        with self.system.ctx.work(reading=True) as work:
            return work.persons.find_by_email(self.people[role].email)

    def decided(self, decision):
        made = self.api.declaration()
        demo.settle(self.system.ctx)
        decisions.decide(self.system.ctx, self.person("officer"), made["id"], decision, "Held for a look")
        with self.system.ctx.work(reading=True) as work:
            return work.consignments.get(made["id"])

    def submitted(self):
        """The id of a request that lies before the chamber."""
        with self.system.ctx.work(reading=True) as work:
            waiting = work.requests.search(self.person("merchant").organisation, RequestState.WAITING)
        return waiting[0].id

    def page(self, path, role):
        if role not in self.browsers:
            client = self.app.test_client()
            token = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/sign-in").text)[1]
            person = self.people[role]
            typed = {"csrf_token": token, "email": person.email, "password": person.password}
            assert client.post("/sign-in", data=typed).status_code == 302
            self.browsers[role] = client
        answer = self.browsers[role].get(path, headers={"Accept-Language": "en"})
        assert answer.status_code == 200, (path, answer.text)
        return answer.text

    def add_newer(self):
        """A thousand declarations, released and lodged ones, and as many requests that wait and that were sent back.

        All are newer. The declarations name one certificate; to the released ones something happened afterwards.
        """
        now = datetime.now(UTC)
        with self.system.ctx.work() as work:
            work._session.execute(update(t.consignment).values(customs_office="CNYIU"))  # all before one office
            one = dict(work._session.execute(select(t.record).where(t.record.c.kind == 3).limit(1)).mappings().one())
            consignment = dict(work._session.execute(select(t.consignment).limit(1)).mappings().one())
            asked = dict(work._session.execute(select(t.request).limit(1)).mappings().one())
            records, lodged, requests, papers, events = [], [], [], [], []
            for number in range(NEWER):
                moment = now + timedelta(milliseconds=number)
                copy = {"id": str(uuid4()), "digest": f"{number:064}", "label_code": f"{number:026}"}
                records.append(one | copy | {"recorded_at": moment, "batch_id": None, "leaf_index": None})
                status = DeclarationStatus.RELEASED if number % 2 else DeclarationStatus.LODGED
                more = {"reference": f"NEWER-{number}", "lodged_at": moment, "status": status, "released_at": None}
                # One paper that falls alerts many at the same moment.
                more["alerted_at"] = now if status is DeclarationStatus.RELEASED else None
                lodged.append(consignment | {"id": copy["id"]} | more)
                requests += [
                    asked | {"id": str(uuid4()), "made_at": moment, "state": state, "confirmed_id": None}
                    for state in (RequestState.WAITING, RequestState.SENT_BACK)
                ]
                papers.append({"consignment_id": copy["id"], "record_id": self.certificate})
                if more["alerted_at"]:
                    told = {"id": str(uuid4()), "consignment_id": copy["id"], "step": Step.PAPER_REVOKED}
                    events.append(told | {"occurred_at": now, "recorded_at": now, "record_id": self.certificate})
            tables = (t.record, t.consignment, t.request, t.paper, t.event)
            for table, rows in zip(tables, (records, lodged, requests, papers, events), strict=True):
                work._session.execute(insert(table), rows)
            work.commit()


def shown_within(text, heading):
    """The part of a page under one of its headings."""
    return text.split(f"<h2>{heading}</h2>", 1)[1].split("</section>", 1)[0]


def test_goods_held_are_shown_among_newer(crowd):
    tasks = shown_within(crowd.page("/", "merchant"), "Needs your attention")
    assert crowd.detained.reference in tasks
    assert f"/requests/{crowd.sent_back}/correct" in tasks
    assert "The weight is missing." in tasks
    assert "Nothing at the moment" not in tasks


def test_officer_sees_who_waits_longest(crowd):
    with crowd.system.ctx.work(reading=True) as work:
        lodged = select(t.consignment.c.reference).where(t.consignment.c.status == DeclarationStatus.LODGED)
        expected = list(work._session.scalars(lodged.order_by(t.consignment.c.lodged_at).limit(5)))
    shown = re.findall(r">([^<]+)</a>", shown_within(crowd.page("/", "officer"), "Waiting longest"))
    assert shown == expected
    desk = re.findall(r"data-line>([^<]+)</a>", crowd.page("/desk", "officer"))
    assert desk[:5] == expected
    assert len(desk) == 50


def test_open_declarations_are_counted_exactly(crowd):
    counted = shown_within(crowd.page("/", "officer"), "Open declarations")
    with crowd.system.ctx.work(reading=True) as work:
        for status in (DeclarationStatus.LODGED, DeclarationStatus.DETAINED):
            ids = work._session.scalars(select(t.consignment.c.id).where(t.consignment.c.status == status)).all()
            assert f"<strong>{len(ids)}</strong> {status.name.capitalize()}" in counted
    assert "99+" not in counted


def test_chamber_counts_every_request_and_takes_oldest(crowd):
    page = crowd.page("/", "chamber")
    assert f"Waiting for you: {NEWER}" in page


ONWARD = r'<a class="btn btn-outline" (?:rel="next" )?href="([^"]+)">(?:Later|Earlier) ones</a>'


def every_page_from(crowd, path, role):
    """The pages of a list, as its reader turns them by the button below."""
    while path is not None:
        page = crowd.page(path, role)
        yield page
        onward = re.search(
            r'<a class="btn btn-outline" (?:rel="next" )?href="([^"]+)">(?:Later|Earlier) ones</a>', page
        )
        path = unescape(onward[1]) if onward else None


def shown_in(crowd, path, role, link):
    """What a list links to on all its pages, in order."""
    pages = [text.partition("<main")[2] for text in every_page_from(crowd, path, role)]
    assert len(pages) > 2
    return [found for page in pages for found in re.findall(link, page)]


def listed_by(crowd, path, role, what):
    """The ids that the interface lists on all its pages, in order."""
    seen, after = [], ""
    while after is not None:
        listed = crowd.api.get(f"{path}&limit=100{after and f'&after={after}'}", role).get_json()
        seen += [one["id"] for one in listed[what]]
        after = listed["next"]
    return seen


def test_deep_pages_of_lists_leave_nothing_out(crowd):
    with crowd.system.ctx.work(reading=True) as work:
        expected = set(work._session.scalars(select(t.consignment.c.id)))
    seen = listed_by(crowd, "/declarations?", "officer", "declarations")
    assert len(seen) == len(set(seen))
    assert set(seen) == expected


@pytest.mark.parametrize(
    ("state", "role", "link"),
    [
        ("sent-back", "merchant", r'href="/requests/([^/"]+)/correct"'),
        ("waiting", "chamber", r'href="/requests/([^/"?]+)"'),
    ],
)
def test_open_requests_are_listed_longest_waiting_first(crowd, state, role, link):
    c = t.request.c
    with crowd.system.ctx.work(reading=True) as work:
        own = crowd.person(role).organisation.id
        mine = ((c.merchant_id == own) | (c.issuer_id == own)) & (c.state == RequestState(state))
        expected = list(work._session.scalars(select(c.id).where(mine).order_by(c.made_at, c.id)))
    assert len(expected) >= NEWER
    shown = shown_in(crowd, f"/requests?state={state}", role, link)
    assert shown == expected == listed_by(crowd, f"/confirmation-requests?state={state}", role, "requests")
    assert f": {len(expected)}</a>" in crowd.page(f"/requests?state={state}", role)


def test_merchants_home_leads_to_all_that_it_counts(crowd):
    page = unescape(crowd.page("/", "merchant"))
    assert f'<a href="/requests?state=sent-back">Sent back by the issuer: {NEWER + 1}</a>' in page
    assert f'href="/requests?state=waiting">All of them: {NEWER}</a>' in page
    assert f'href="/declarations?alerted=yes">All of them: {NEWER // 2}</a>' in page
    assert '<a href="/declarations?status=detained">Detained: ' in page
    assert f'href="/desk?alerted=yes">All of them: {NEWER // 2}</a>' in unescape(crowd.page("/", "officer"))


@pytest.mark.parametrize(
    ("role", "path", "link"),
    [
        ("merchant", "/declarations", r'href="/declarations/([^/"?]+)">Open<'),
        ("officer", "/desk", r'href="/desk/([^/"?]+)">Open<'),
    ],
)
def test_all_changed_after_decision_are_listed(crowd, role, path, link):
    c = t.consignment.c
    with crowd.system.ctx.work(reading=True) as work:
        expected = set(work._session.scalars(select(c.id).where(c.alerted_at.is_not(None))))
    shown = shown_in(crowd, f"{path}?alerted=yes", role, link)
    assert len(shown) == len(expected) == NEWER // 2
    assert set(shown) == expected
    assert listed_by(crowd, "/declarations?alerted=true", role, "declarations") == shown


def test_all_declarations_that_name_a_paper_are_listed(crowd):
    record = crowd.page(f"/records/{crowd.certificate}", "merchant")
    assert len(re.findall(">NEWER-", record)) == NAMED_BY
    assert f'href="/declarations?paper={crowd.certificate}">All of them</a>' in record
    shown = shown_in(crowd, f"/declarations?paper={crowd.certificate}", "merchant", r">(NEWER-\d+)<")
    assert shown == [f"NEWER-{number}" for number in reversed(range(NEWER))]


def test_another_merchants_paper_lists_nothing(crowd):
    crowd.api.admit_rival()
    joined = crowd.api.get("/confirmation-requests", "rival").get_json()
    assert joined == {"requests": [], "next": None}
    for role in ("officer", "authority", "analyst"):
        assert crowd.api.get("/confirmation-requests", role).status_code == 403
    after = crowd.api.get(f"/confirmation-requests?after={crowd.sent_back}", "rival")
    assert after.status_code == 404


def test_products_papers_are_cut_after_replaced_ones(crowd, monkeypatch):
    """A page of two, and three versions that were replaced newer than all of them but one."""
    monkeypatch.setattr("backend.web.pages.statements.PAGE", 2)
    ctx, merchant, chamber = crowd.system.ctx, crowd.person("merchant"), crowd.person("chamber")
    fields = {"name": "Lamp of three versions", "hsCode": "940521", "description": "Lamp"}
    product = products.add_product(ctx, merchant, fields)
    certificate = certificate_fields(exporter={"name": merchant.organisation.name})
    certificate.pop("certificateNumber")

    def state(request=None):
        kind, issuer = Kind.CERTIFICATE_OF_ORIGIN, chamber.organisation.id
        made = statements.issue_statement(ctx, merchant, kind, certificate, issuer, product.id, request)
        demo.settle(ctx)
        return made

    def send_back(record):
        with ctx.work(reading=True) as work:
            request = work.requests.find_about(record.id)
        issuance.send_back(ctx, chamber, request.id, "The weight is missing.")
        return request.id

    current = [state(), state()]
    corrected = state()
    for _ in range(3):
        corrected = state(send_back(corrected))
    shown = list(every_page_from(crowd, f"/products/{product.id}", "merchant"))
    expected = [corrected.id, current[1].id, current[0].id]
    assert re.findall(r'<th scope="row"><a href="/records/([^"]+)"', "".join(shown)) == expected


def test_declarations_are_turned_by_reference(crowd, monkeypatch):
    """Forth to the end and back to the beginning, each reference once and in its order."""
    monkeypatch.setattr("backend.web.pages.declarations.PAGE", 40)
    with crowd.system.ctx.work(reading=True) as work:
        merchant = crowd.person("merchant").organisation
        expected = sorted(one.reference for one in work.consignments.lines(merchant, limit=5000))
    path, pages = "/declarations?order=reference", []
    while path is not None:
        page = crowd.page(path, "merchant")
        pages.append(re.findall(r'<th scope="row"><a href="/declarations/[^"]+">([^<]+)</a>', page))
        onward = re.search(r'rel="next" href="([^"]+)">Next page', page)
        path = unescape(onward[1]) if onward else None
    assert [unescape(one) for page in pages for one in page] == expected
    assert len(pages) > 2
    back = re.search(r'rel="prev" href="([^"]+)">Previous page', page)[1]
    before = re.findall(
        r'<th scope="row"><a href="/declarations/[^"]+">([^<]+)</a>', crowd.page(unescape(back), "merchant")
    )
    assert before == pages[-2]


def test_older_products_and_papers_can_be_declared(crowd, monkeypatch):
    """What was ticked stays ticked while the merchant looks for more."""
    monkeypatch.setattr("backend.web.pages.declarations.PAGE", 2)
    with crowd.system.ctx.work(reading=True) as work:
        merchant = crowd.person("merchant").organisation
        products = [one.id for one in work.products.of(merchant)]
        papers = [one.id for one in work.records.of(merchant, PAPERS, in_force=True)]
    assert len(products) > 2
    page = crowd.page(f"/declarations/new?after={papers[1]}&records={papers[0]}&products={products[-1]}", "merchant")
    assert set(re.findall(r'value="([^"]+)" checked', page)) == {papers[0], products[-1]}
    assert set(papers[2:4]) < set(re.findall(r'type="checkbox" name="records" id="[^"]+" value="([^"]+)"', page))
    onward = re.search('name="products_after" value="([^"]+)"', page)[1]
    page = crowd.page(f"/declarations/new?products_after={onward}", "merchant")
    assert f'value="{products[2]}"' in page
    with crowd.system.ctx.work(reading=True) as work:
        oldest = work.products.get(products[-1], merchant)
    form = crowd.page(f"/declarations/new?products={products[-1]}", "merchant")
    assert f'value="{oldest.hs_code}"' in form
    assert f'value="{escape(oldest.name)}"' in form


# ---- one word for a record


def words_of(pages):
    """What each record is called on these pages, by its id."""
    found = defaultdict(set)
    for page in pages:
        for attributes, word in re.findall(r"<(?:span|p) ([^>]*data-verdict-of=[^>]*)>([^<]+)<", page):
            found[re.search(r'data-verdict-of="([^"]+)"', attributes)[1]].add(word)
    return found


def contradictions(pages):
    """The records that are called two things."""
    return {record: words for record, words in words_of(pages).items() if len(words) > 1}


def every_page(crowd):
    """Every page on which records are named, as their readers see it."""
    with crowd.system.ctx.work(reading=True) as work:
        own = work.records.of(crowd.person("merchant").organisation, limit=20)
        held = [record for record in own if record.kind != 3]
        declared = work.consignments.lines(crowd.person("merchant").organisation, limit=2000)
        products = work.products.of(crowd.person("merchant").organisation)
    made = [one for one in declared if not one.reference.startswith("NEWER")]
    yield from (crowd.page(path, "merchant") for path in ("/records", "/records?replaced=yes", "/declarations/new"))
    yield from (crowd.page(path, role) for role in ("chamber", "laboratory") for path in ("/", "/records"))
    yield from (crowd.page(f"/records/{record.id}", "merchant") for record in held)
    yield from (crowd.page(f"/products/{product.id}", "merchant") for product in products)
    yield from (crowd.page(f"/declarations/{one.id}", "merchant") for one in made)
    yield from (crowd.page(f"/desk/{one.id}", "officer") for one in made)
    yield crowd.page("/desk?status=detained", "officer")


def test_record_has_one_word_on_every_page(crowd):
    found = words_of(every_page(crowd))
    assert len(found) > 10
    assert contradictions(every_page(crowd)) == {}


def test_lists_follow_a_suspended_accreditation(crowd):
    """In force a moment ago; then the authority no longer stands behind the chamber, and every page says so.

    It had been signed in the hour that the authority names, which lifting the suspension does not make good.
    """
    certificate = crowd.api.certificate()["id"]
    demo.settle(crowd.system.ctx)
    assert words_of([crowd.page("/records", "merchant")])[certificate] == {"Valid"}
    assert "Use in a declaration" in crowd.page(f"/records/{certificate}", "merchant")
    chamber = crowd.person("chamber").organisation.id
    since = crowd.system.ctx.now() - timedelta(hours=1)
    accreditation.suspend(crowd.system.ctx, crowd.person("authority"), chamber, since)
    demo.settle(crowd.system.ctx)
    try:
        pages = [*every_page(crowd), crowd.page(f"/records/{certificate}", "merchant")]
        assert words_of(pages)[certificate] == {"Invalid"}
        assert contradictions(pages) == {}
        assert "Use in a declaration" not in pages[-1]
        assert "Issuer suspended" in pages[-1]
        assert not any(">Issuer accredited</span>" in page for page in pages), "the title of a check, as if it were so"
    finally:
        accreditation.reinstate(crowd.system.ctx, crowd.person("authority"), chamber)
        demo.settle(crowd.system.ctx)
    later = crowd.api.certificate()["id"]
    demo.settle(crowd.system.ctx)
    shown = words_of([crowd.page("/records", "merchant")])
    assert (shown[certificate], shown[later]) == ({"Invalid"}, {"Valid"})


def test_planted_second_word_is_found():
    planted = '<span class="state" data-verdict-of="a">VALID</span><p class="x" data-verdict-of="a">INVALID</p>'
    assert contradictions([planted]) == {"a": {"VALID", "INVALID"}}
