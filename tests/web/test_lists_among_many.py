"""What waits is found among a thousand newer ones, counted exactly; and a record has one word on every page."""

import re
import shutil
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import insert, select, update

from backend.domain.consignment import Decision
from backend.domain.ledger import DeclarationStatus
from backend.domain.records import RequestState
from backend.runtime import demo
from backend.runtime.app import create_app, running
from backend.services import accreditation, decisions, issuance
from backend.settings import Settings
from backend.store import tables as t
from tests.conftest import people_in
from tests.helpers.builders import Api

NEWER = 1_000


@pytest.fixture(scope="module")
def crowd(tmp_path_factory, demonstration):
    """An installation of its own where a thousand newer declarations and requests came after those that wait."""
    folder = shutil.copytree(demonstration, tmp_path_factory.mktemp("crowd") / "data")
    with running(Settings(folder)) as system:
        crowd = Crowd(system, people_in(folder))
        crowd.detained = crowd.decided(Decision.DETAIN)
        crowd.sent_back = crowd.submitted()
        issuance.send_back(system.ctx, crowd.person("chamber"), crowd.sent_back, "The weight is missing.")
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
            waiting = work.requests.search(merchant=self.person("merchant").organisation, state=RequestState.WAITING)
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
        """A thousand declarations, released and lodged ones, and as many requests, all newer."""
        now = datetime.now(UTC)
        with self.system.ctx.work() as work:
            work._session.execute(update(t.consignment).values(customs_office="CNYIU"))  # all before one office
            one = dict(work._session.execute(select(t.record).where(t.record.c.kind == 3).limit(1)).mappings().one())
            consignment = dict(work._session.execute(select(t.consignment).limit(1)).mappings().one())
            asked = dict(work._session.execute(select(t.request).limit(1)).mappings().one())
            records, lodged, requests = [], [], []
            for number in range(NEWER):
                moment = now + timedelta(milliseconds=number)
                copy = {"id": str(uuid4()), "digest": f"{number:064}", "label_code": f"{number:026}"}
                records.append(one | copy | {"recorded_at": moment, "batch_id": None, "leaf_index": None})
                status = DeclarationStatus.RELEASED if number % 2 else DeclarationStatus.LODGED
                more = {"reference": f"NEWER-{number}", "lodged_at": moment, "status": status, "released_at": None}
                lodged.append(consignment | {"id": copy["id"]} | more)
                requests.append(
                    asked | {"id": str(uuid4()), "made_at": moment, "state": RequestState.WAITING, "confirmed_id": None}
                )
            for table, rows in ((t.record, records), (t.consignment, lodged), (t.request, requests)):
                work._session.execute(insert(table), rows)
            work.commit()


def shown_within(text, heading):
    """The part of a page under one of its headings."""
    return text.split(f"<h2>{heading}</h2>", 1)[1].split("</section>", 1)[0]


def test_goods_held_are_shown_among_newer(crowd):
    tasks = shown_within(crowd.page("/", "merchant"), "Needs your attention")
    assert crowd.detained.reference in tasks
    assert f"/requests/{crowd.sent_back}/correct" in tasks
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


def test_deep_pages_of_lists_leave_nothing_out(crowd):
    with crowd.system.ctx.work(reading=True) as work:
        expected = set(work._session.scalars(select(t.consignment.c.id)))
    seen, after = [], ""
    while after is not None:
        listed = crowd.api.get(f"/declarations?limit=100{after and f'&after={after}'}", "officer").get_json()
        seen += [one["id"] for one in listed["declarations"]]
        after = listed["next"]
    assert len(seen) == len(set(seen))
    assert set(seen) == expected


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
    """In force a moment ago; then the authority no longer stands behind the chamber, and every page says so."""
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
    finally:
        accreditation.reinstate(crowd.system.ctx, crowd.person("authority"), chamber)
        demo.settle(crowd.system.ctx)
    assert words_of([crowd.page("/records", "merchant")])[certificate] == {"Valid"}


def test_planted_second_word_is_found():
    planted = '<span class="state" data-verdict-of="a">VALID</span><p class="x" data-verdict-of="a">INVALID</p>'
    assert contradictions([planted]) == {"a": {"VALID", "INVALID"}}
