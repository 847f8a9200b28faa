"""What a merchant is told before lodging is what customs are told after it, by the same rules."""

import json
import random
import re
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select, text

from backend.domain.consignment import Decision
from backend.domain.errors import Conflict, Invalid, NotAllowed
from backend.domain.kinds import CERTIFIED, KINDS, Kind
from backend.domain.ledger import DocumentStatus
from backend.domain.parties import Role
from backend.domain.verdict import Conclusion
from backend.services import accreditation, decisions, declarations, erasure, issuance, statements
from backend.services.drawdowns import balances
from backend.services.verification import verdict_on_consignment
from backend.store import tables
from backend.store.encryption import EncryptedMembers, KeyDestroyed, keys_of
from tests.helpers.builders import FIELDS, goods_item, lodgement_fields, order_fields, waybill_fields
from tests.helpers.consignments import PAPERS, PLANTED, with_changes
from tests.services.conftest import somebody
from tests.services.encrypted_texts import bytes_on_disk

SLUGS = {kind.slug: kind for kind in Kind}
SHIPMENTS, PARTS = 46, 5
SIGNABLE = sorted(PLANTED.keys() - {"certified goods heavier than all"})
"""Without what no certificate can be signed with any more."""


def planted(name):
    return with_changes(PLANTED[name][0])


class Stock:
    """Signs each paper once, however many declarations name it."""

    def __init__(self, installation):
        self.installation = installation
        self.signed = {}
        installation.clock.time = datetime(2026, 4, 5, 9, tzinfo=UTC)
        self.plants = somebody(installation, Role.PLANT_PROTECTION)
        accreditation.accredit(installation.ctx, installation.authority, self.plants.organisation.id)
        installation.settle()

    def papers(self, said):
        return {slug: self._signed(SLUGS[slug], fields) for slug, fields in said.items() if slug != "declaration"}

    def _signed(self, kind, fields):
        key = kind, repr(fields)
        if key not in self.signed:
            stated = KINDS[kind]
            people = [self.plants, *self.installation.people.values()]
            actor = next(one for one in people if one.role in stated.signed_by)
            if kind in CERTIFIED:
                numbered = {stated.number_field: f"N-{len(self.signed)}", **fields}
                self.signed[key] = issuance.issue(self.installation.ctx, actor, kind, numbered)
            else:
                self.signed[key] = statements.sign_own(self.installation.ctx, actor, kind, fields)
        return self.signed[key]


def told(checks, own_record=None):
    return [
        (one.code, one.outcome, one.reason, dict(one.values), None if one.record == own_record else one.record)
        for one in checks
    ]


def customs_are_told(installation, consignment):
    """The checks on the papers of a lodged declaration, without those of its own record, which it had not before."""
    with installation.ctx.work(reading=True) as work:
        dossier = verdict_on_consignment(installation.ctx, work, work.consignments.get(consignment.id))
    own = len(dossier.declaration.verdict.checks)
    return told(dossier.verdict.checks[own:], consignment.id)


def merchant_is_told(checked):
    return told(checked.found.verdict.checks)


def refusal(use_case, installation, fields):
    """The problems for which a use case refuses these fields, or None."""
    try:
        use_case(installation.ctx, installation.merchant, fields)
    except Invalid as error:
        return error.problems
    return None


def shipments(stock, chance):
    """What a declaration and its papers say, with up to three planted differences, under numbers of its own."""
    for number in range(SHIPMENTS):
        said = with_changes({})
        for name in chance.sample(SIGNABLE, chance.choice((0, 1, 1, 2, 3))):
            changed = planted(name)
            said = {slug: changed[slug] if changed[slug] != PAPERS[slug] else said[slug] for slug in said}
        numbered = re.sub(r'"(ORDER|INV|AWB|PAY|MOVE)-(\d)"', rf'"\1-{number}-\2"', json.dumps(said))
        said = json.loads(numbered)
        yield said["declaration"], list(stock.papers(said).values())


def declared_parts(chance, declaration, papers, number):
    """Declarations of the same shipment: other quantities of it, now and then without one of its papers."""
    for part in range(PARTS):
        kept = [one.id for one in papers if chance.random() < 0.9]
        chance.shuffle(kept)
        lines = [dict(line) for line in declaration["items"]]
        lines[0]["quantity"] = str(chance.choice((3, 40, 60, 100, 101)))
        yield {**declaration, "declarationReference": f"D-{number}-{part}", "records": kept, "items": lines}


def test_pre_check_says_what_customs_read(installation):
    """Over generated declarations that take from the same certificates; some are released before the next ones."""
    stock, chance, ctx = Stock(installation), random.Random(20261130), installation.ctx
    conclusions, reasons, compared = set(), set(), 0
    for number, (declaration, papers) in enumerate(shipments(stock, chance)):
        for fields in declared_parts(chance, declaration, papers, number):
            if (refused := refusal(declarations.pre_check, installation, fields)) is not None:
                assert refusal(declarations.lodge, installation, fields) == refused
                continue
            checked = declarations.pre_check(ctx, installation.merchant, fields)
            lodged = declarations.lodge(ctx, installation.merchant, fields)
            assert merchant_is_told(checked) == customs_are_told(installation, lodged), fields
            compared += 1
            conclusions.add(checked.found.verdict.conclusion)
            reasons |= {one.reason for one in checked.found.verdict.checks}
            if number % 3 == 0:
                installation.settle(50)
                if checked.found.verdict.conclusion is not Conclusion.INVALID:
                    decisions.decide(ctx, installation.officer, lodged.id, Decision.RELEASE, "in order", True)
        if number == SHIPMENTS // 2:
            revoked = next(one for one in papers if one.kind is Kind.INSPECTION_REPORT)
            issuance.revoke(ctx, installation.laboratory, revoked.id, "another lot was tested")
    assert compared >= 200
    assert len(conclusions) > 1
    assert {"quantity-already-declared", "quantity-differs", "quantity-available", "quantity-exceeded"} <= reasons
    assert {"revoked", "goods-without-report", "gross-weight-matches"} <= reasons


@pytest.mark.parametrize("name", SIGNABLE)
def test_planted_difference_is_told_before_lodging(installation, name):
    _, code, reason, _ = PLANTED[name]
    said = planted(name)
    papers = Stock(installation).papers(said)
    fields = {**said["declaration"], "records": [one.id for one in papers.values()]}
    if refusal(declarations.pre_check, installation, fields) is not None:
        assert code == "MATCH_NET_WEIGHT"  # the declaration contradicts itself, which the form refuses
        return
    checked = declarations.pre_check(installation.ctx, installation.merchant, fields)
    assert (code, reason) in {(one.code, one.reason) for one in checked.found.verdict.checks}


def test_right_papers_have_no_difference_told(installation):
    papers = Stock(installation).papers(PAPERS)
    fields = {**PAPERS["declaration"], "records": [one.id for one in papers.values()]}
    checked = declarations.pre_check(installation.ctx, installation.merchant, fields)
    assert checked.found.verdict.conclusion is Conclusion.INDETERMINATE  # nothing is on the ledger yet
    assert {one.code for one in checked.differences} <= {"DOCUMENTS"}


def test_pre_check_stores_nothing(installation):
    papers = Stock(installation).papers(PAPERS)
    fields = {**PAPERS["declaration"], "records": [one.id for one in papers.values()]}

    def counts():
        with installation.ctx.work(reading=True) as work:
            return {
                name: work._session.scalar(select(func.count()).select_from(table))
                for name, table in tables.metadata.tables.items()
            }

    before = counts()
    declarations.pre_check(installation.ctx, installation.merchant, fields)
    assert counts() == before
    declarations.lodge(installation.ctx, installation.merchant, fields)


def test_balance_tells_what_is_left_and_taken(installation):
    certificate, report = installation.issue_certificate(), installation.issue_report()
    installation.settle()
    first = installation.lodge([certificate, report], declarationReference="A")
    installation.settle()
    decisions.decide(installation.ctx, installation.officer, first.id, Decision.RELEASE, "in order")
    fields = lodgement_fields(declarationReference="B", records=[certificate.id, report.id])
    (count,) = declarations.pre_check(installation.ctx, installation.merchant, fields).balances
    checked = declarations.pre_check(installation.ctx, installation.merchant, fields)
    assert (count.quantity, count.remaining) == (500_000, 300_000)
    assert checked.taken == {certificate.id: 200_000}
    more = fields | {"items": [goods_item(quantity="301")]}
    reasons = {one.reason for one in declarations.pre_check(installation.ctx, installation.merchant, more).differences}
    assert {"quantity-exceeded", "quantity-already-declared"} <= reasons


@pytest.mark.parametrize("who", ["chamber", "laboratory", "officer", "authority", "analyst"])
def test_only_merchants_pre_check(installation, who):
    with pytest.raises(NotAllowed):
        declarations.pre_check(installation.ctx, installation.people[who], lodgement_fields())


def test_pre_check_refuses_what_lodging_would(installation):
    theirs = installation.issue_certificate(exporter={"name": installation.rival.organisation.name})
    installation.lodge([])
    for fields, refusal in (
        (lodgement_fields(records=[theirs.id]), Invalid),
        (lodgement_fields(customsOffice="XX"), Invalid),
        (lodgement_fields(), Conflict),
    ):
        with pytest.raises(refusal):
            declarations.pre_check(installation.ctx, installation.merchant, fields)


# Papers that belong together, and what they fill in


def shipment(installation, number, **certified):
    """An order, its waybill, and a certificate and report of its goods."""
    lamp = {"description": "Lamp", "hsCode": "940521", "quantity": "200", "unitCode": "H87", "amount": "1300"}
    order = order_fields(orderReference=f"ORDER-{number}", items=[lamp], destinationCountry="SG")
    waybill = waybill_fields(waybillReference=f"AWB-{number}", orderReference=f"ORDER-{number}")
    return [
        statements.sign_own(installation.ctx, installation.merchant, Kind.ORDER, order),
        statements.sign_own(installation.ctx, installation.merchant, Kind.WAYBILL, waybill),
        installation.issue_certificate(certificateNumber=f"C-{number}", **certified),
        installation.issue_report(reportNumber=f"R-{number}"),
    ]


def proposed(installation, *chosen):
    with installation.ctx.work(reading=True) as work:
        merchant = installation.merchant.organisation
        return declarations.suitable_papers(work, merchant, chosen, declarations.MOST_SUITABLE)


def test_papers_of_same_order_come_first(installation):
    order, waybill, certificate, report = shipment(installation, 1)
    other_order, *_ = shipment(installation, 2)
    found = proposed(installation, order)
    assert found[0].record.id == waybill.id
    assert found[0].shared[0] == "order"
    assert {one.record.id for one in found} >= {certificate.id, report.id, other_order.id}
    assert all(one.shared == ("goods",) for one in found[1:])


def test_fallen_and_others_papers_are_never_proposed(installation):
    order, _, certificate, _ = shipment(installation, 1)
    theirs = installation.issue_certificate(
        certificateNumber="X", exporter={"name": installation.rival.organisation.name}
    )
    issuance.revoke(installation.ctx, installation.chamber, certificate.id, "made elsewhere")
    assert installation.record(certificate.id).status == DocumentStatus.REVOKED
    assert not {certificate.id, theirs.id} & {one.record.id for one in proposed(installation, order)}


def belonging(installation, first):
    with installation.ctx.work(reading=True) as work:
        return declarations.belonging_together(installation.ctx, work, installation.merchant.organisation, first)


def test_one_paper_brings_all_of_its_order(installation):
    order, waybill, _, _ = shipment(installation, 1)
    _, _, certificate, report = shipment(installation, 2)
    assert set(belonging(installation, order)) == {order.id, waybill.id, certificate.id, report.id}


def test_certificate_of_another_country_is_not_taken(installation):
    order, _, certificate, _ = shipment(installation, 1)
    shipment(installation, 2, importCountry="KE")
    assert certificate.id in belonging(installation, order)


def test_used_up_certificate_is_not_taken(installation):
    order, _, spent, report = shipment(installation, 1, quantity="200")
    installation.settle()
    lodged = installation.lodge([spent, report])
    installation.settle()
    decisions.decide(
        installation.ctx, installation.officer, lodged.id, Decision.RELEASE, "in order", accept_indeterminate=True
    )
    assert spent.id not in belonging(installation, order)


def test_declaration_is_filled_from_its_papers(installation):
    filled = declarations.filled_from(shipment(installation, 1))
    assert filled == {
        "orderReference": "ORDER-1",
        "waybillReference": "AWB-1",
        "carrierName": "Air Cargo",
        "packageQuantity": 10,
        "grossWeightMeasure": "96",
        "destinationCountry": "SG",
        "items": [
            {
                "hsCode": "940521",
                "description": "LED desk lamp, 8 W",
                "quantity": "200",
                "unitCode": "H87",
                "unitPrice": "6.5",
                "currency": "USD",
                "originCountry": "CN",
            }
        ],
    }


def test_filled_declaration_is_lodged_without_a_difference(installation):
    papers = shipment(installation, 1)
    installation.settle()
    fields = declarations.filled_from(papers) | {
        "declarationReference": "D-1",
        "customsOffice": "CNYIU",
        "records": [one.id for one in papers],
    }
    checked = declarations.pre_check(installation.ctx, installation.merchant, fields)
    assert checked.differences == []
    assert checked.found.verdict.conclusion is Conclusion.VALID


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ({"quantity": "20", "unitCode": "DZN", "amount": "1200"}, ("240", "5")),
        ({"quantity": "3", "unitCode": "H87", "amount": "10"}, ("3", "3.3333")),
        ({"quantity": "5", "unitCode": "KGM", "amount": "10"}, (None, None)),
    ],
)
def test_price_is_of_the_certificates_unit(installation, line, expected):
    lamp = {"description": "Lamp", "hsCode": "940521", **line}
    order = statements.sign_own(
        installation.ctx, installation.merchant, Kind.ORDER, order_fields(items=[lamp], totalAmount=line["amount"])
    )
    (item,) = declarations.filled_from([installation.issue_certificate(), order])["items"][:1]
    assert (item["quantity"] if "unitPrice" in item else None, item.get("unitPrice")) == expected


def test_certificate_alone_brings_what_is_left(installation):
    certificate, report = installation.issue_certificate(), installation.issue_report()
    lodged = installation.lodge([certificate, report])
    installation.settle()
    decisions.decide(
        installation.ctx, installation.officer, lodged.id, Decision.RELEASE, "in order", accept_indeterminate=True
    )
    with installation.ctx.work(reading=True) as work:
        left = balances(installation.ctx, work, [certificate])
    (item,) = declarations.filled_from([certificate], left)["items"]
    assert certificate.fields["quantity"] == "500"
    assert item["quantity"] == "300"
    assert declarations.filled_from([certificate])["items"][0]["quantity"] == "500"


def test_listing_is_no_paper_of_a_declaration(installation):
    listing = statements.sign_own(installation.ctx, installation.merchant, Kind.LISTING, FIELDS[Kind.LISTING]())
    with pytest.raises(Invalid):
        installation.lodge([listing])


# Drafts


def test_draft_is_one_for_each_person(installation):
    ctx = installation.ctx
    declarations.keep_draft(ctx, installation.merchant, {"values": {"a": "1"}})
    declarations.keep_draft(ctx, installation.merchant, {"values": {"a": "2"}})
    declarations.keep_draft(ctx, installation.rival, {"values": {"a": "3"}})
    with ctx.work(reading=True) as work:
        assert declarations.draft_kept(ctx, work, installation.merchant).typed == {"values": {"a": "2"}}
        assert work._session.scalar(select(func.count()).select_from(tables.form_draft)) == 2
    declarations.drop_draft(ctx, installation.merchant)
    with ctx.work(reading=True) as work:
        assert declarations.draft_kept(ctx, work, installation.merchant) is None
        assert declarations.draft_kept(ctx, work, installation.rival) is not None


def test_old_drafts_expire_and_are_cleared(installation):
    ctx = installation.ctx
    declarations.keep_draft(ctx, installation.merchant, {"a": "1"})
    installation.clock.time += declarations.DRAFT_KEPT_FOR * 1.01
    with ctx.work(reading=True) as work:
        assert declarations.draft_kept(ctx, work, installation.merchant) is None
    declarations.keep_draft(ctx, installation.rival, {"a": "2"})
    with ctx.work(reading=True) as work:
        assert work.form_drafts.find(installation.merchant.id, declarations.FORM) is None


def test_draft_has_a_largest_size(installation):
    with pytest.raises(Invalid):
        declarations.keep_draft(installation.ctx, installation.merchant, {"a": "x" * declarations.LARGEST_DRAFT})


def test_only_merchants_have_drafts(installation):
    with pytest.raises(NotAllowed):
        declarations.keep_draft(installation.ctx, installation.officer, {"a": "1"})


def test_lodging_by_interface_leaves_draft(installation):
    """Only the form that it was typed in ends it."""
    ctx = installation.ctx
    declarations.keep_draft(ctx, installation.merchant, {"a": "1"})
    installation.lodge([])
    with ctx.work(reading=True) as work:
        assert declarations.draft_kept(ctx, work, installation.merchant) is not None
    declarations.lodge(ctx, installation.merchant, lodgement_fields(declarationReference="B"), is_drafted=True)
    with ctx.work(reading=True) as work:
        assert declarations.draft_kept(ctx, work, installation.merchant) is None


def test_draft_lies_encrypted_and_goes_for_good(installation):
    """What it said before it was replaced or deleted is readable in no copy of the database."""
    secret, lying = "Mr Tan of Bukit Timah buys lamps", []
    with installation.ctx.work(reading=True) as work:
        keys = keys_of(work._session.get_bind().dialect)
    for note in (secret, f"{secret} and shades"):
        declarations.keep_draft(installation.ctx, installation.merchant, {"fields": {"note": note}})
        assert secret.encode() not in bytes_on_disk(installation)
        with installation.ctx.work(reading=True) as work:
            lying.append(bytes(work._session.connection().scalar(text("SELECT typed FROM form_draft"))))
        assert EncryptedMembers.unpacked(keys.open(lying[-1])) == {"fields": {"note": note}}
    with pytest.raises(KeyDestroyed):
        keys.open(lying[0])
    declarations.drop_draft(installation.ctx, installation.merchant)
    with pytest.raises(KeyDestroyed):
        keys.open(lying[1])


def test_erased_papers_leave_no_draft(installation):
    certificate = installation.issue_certificate()
    installation.settle()
    typed = {"records": [certificate.id], "fields": {"items-0-description": "LED desk lamp, 8 W"}}
    declarations.keep_draft(installation.ctx, installation.merchant, typed)
    declarations.keep_draft(installation.ctx, installation.rival, typed)  # who names it without holding it
    erasure.erase(installation.ctx, installation.merchant, certificate.id)
    with installation.ctx.work(reading=True) as work:
        assert declarations.draft_kept(installation.ctx, work, installation.merchant) is None
        assert declarations.draft_kept(installation.ctx, work, installation.rival) is not None
