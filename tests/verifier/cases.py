"""What the ledger's facts and a reader's trust do to a bundle: a question, the verdict, the reason that decides."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

from backend.domain import sd_jwt
from backend.domain.bundle import LARGEST
from backend.domain.evidence import NamedAnchorer, ledger_of, seal
from backend.domain.kinds import KINDS, Kind
from backend.domain.ledger import DeclarationStatus, DocumentStatus, Revocation
from backend.domain.records import ProofState
from backend.domain.trust import Trust
from tests.helpers.builders import (
    FIELDS,
    NOON,
    a_record,
    an_accreditation,
    an_anchor,
    certificate_fields,
    declaration_fields,
    header_of,
    report_fields,
    signed_text,
)
from tests.verifier.samples import (
    STRANGER,
    Sample,
    a_dossier,
    a_sample,
    digest_of,
    holding,
)
from tests.verifier.verifiers import Question

HOUR = timedelta(hours=1)


def sample(**changes) -> Sample:
    return a_sample(**changes)


def with_trust(one: Sample, **changes) -> Question:
    (entry,) = one.trust.trusted
    return one.question(trust=Trust((replace(entry, **changes),)))


def without(fields: dict[str, object], *names: str) -> dict[str, object]:
    return {name: value for name, value in fields.items() if name not in names}


def incomplete() -> dict[str, tuple[Question, str, str]]:
    """Properly signed and sealed, and short of the form of its kind: the proof holds, and nobody calls it INVALID."""
    papers = {
        "a certificate without exporter and origin": (
            Kind.CERTIFICATE_OF_ORIGIN,
            without(certificate_fields(), "exporter", "originCountry"),
        ),
        "a certificate with a field of another paper": (
            Kind.CERTIFICATE_OF_ORIGIN,
            certificate_fields(conforms=True, exporter=5),
        ),
        "a report without its method": (Kind.INSPECTION_REPORT, without(report_fields(), "method")),
        "a report dated before its test": (Kind.INSPECTION_REPORT, report_fields(issueDate="2026-01-01")),
        "a declaration without goods": (Kind.DECLARATION, declaration_fields(items=[])),
        "a waybill that says nothing": (Kind.WAYBILL, {}),
    }
    signed = {name: sample(records=[(a_record(kind, fields), kind)]) for name, (kind, fields) in papers.items()}
    return {name: (one.question(), "VALID", "content-complete") for name, one in signed.items()}


def with_another_signature(one: Sample, number: int, signature: str) -> Question:
    """The same where one record ends in this text instead of its signature."""
    records = list(one.bundle.records)
    record = records[number].record
    changed = replace(record, signed_jwt=f"{record.signed_jwt.rpartition('.')[0]}.{signature}")
    records[number] = replace(records[number], record=changed)
    return replace(one, bundle=replace(one.bundle, records=tuple(records))).question()


def spelt(one: Sample) -> Question:
    """A certificate whose signed times stand in another script's digits."""
    record = one.bundle.records[0].record
    payload = dict(record.payload) | {"validFrom": "２０２６-03-02T10:00:00Z"}
    changed = replace(record, signed_jwt=signed_text(header_of(), payload), payload=payload)
    return sample(records=[(changed, Kind.CERTIFICATE_OF_ORIGIN)]).question()


def tangled(papers: int, links: int) -> Question:
    """Papers that all lead through one long line to a record that nobody named."""
    newest, line = a_record(fields={}), []
    for _ in range(links):
        line.append(newest.signed_jwt)
        newest = a_record(fields={}, supersedes=digest_of(newest))
    lodged = a_record(Kind.DECLARATION, declaration_fields(records=[{"sha256": "00" * 32}]))
    own = [(a_record(supersedes=digest_of(newest)), Kind.CERTIFICATE_OF_ORIGIN) for _ in range(papers)]
    made = a_sample([(lodged, Kind.DECLARATION), *own], papers + 1, superseded=[newest.signed_jwt, *reversed(line)])
    return made.question()


def stood_in_for(kind: Kind, named_as: str | None = "certificate-of-origin") -> Question:
    """A paper of this kind replaces one that the declaration names, maybe as another kind."""
    named = a_record()
    entry = {"sha256": digest_of(named)} | ({"kind": named_as} if named_as else {})
    lodged = a_record(Kind.DECLARATION, declaration_fields(records=[entry]))
    paper = a_record(kind, supersedes=digest_of(named))
    return a_sample([(lodged, Kind.DECLARATION), (paper, kind)], 4).question()


def reformatted(one: Sample, **how: Any) -> bytes:
    """The same file as another program may write it: other spaces, or its members in another order."""
    written = json.dumps(json.loads(one.content), **how).encode()
    assert written != one.content
    return written


def with_quantity(one: Sample, quantity: int) -> Question:
    """The first record under another quantity than it was signed with, or with one where it was signed with none.

    Its batch was sealed so: whoever seals could write any number beside a record.
    """
    found = one.bundle.records[0]
    entry = replace(found.entry, quantity=quantity)
    batch = seal([entry])
    changed = replace(
        found, quantity=quantity, proof=batch.proof(0), anchor=replace(found.anchor or an_anchor(b""), root=batch.root)
    )
    reading = {"root": batch.root, "leaf_index": 0, "segments": batch.segments}
    return replace(one, bundle=replace(one.bundle, records=(changed,))).reading(**reading).question()


def claiming(**changes: Any) -> Question:
    """An RCEP certificate that says something of its own."""
    return papered(Kind.CERTIFICATE_OF_ORIGIN, certificate_fields(**({"freeTradeAgreementName": "RCEP"} | changes)))


def papered(kind: Kind, fields: dict[str, Any], **more: Any) -> Question:
    """A paper of this kind that says this."""
    return sample(records=[(a_record(kind, fields), kind)], **more).question()


def form_e(**changes: Any) -> Question:
    """A certificate under the agreement of ASEAN and China, of 2 March 2026."""
    return claiming(freeTradeAgreementName="ACFTA", issueDate="2026-03-02", **changes)


def claims() -> dict[str, tuple[Question, str, str]]:
    """What papers say against the clock, and certificates of origin against their agreement."""
    shown = ["freeTradeAgreementName", "originCountry", "hsCode", "quantity", "issueDate"]
    return {
        "a sound claim": (claiming(), "VALID", "agreement-fits"),
        "no claim": (papered(Kind.CERTIFICATE_OF_ORIGIN, certificate_fields()), "VALID", "within-validity"),
        "a claim for a stranger's market": (claiming(importCountry="US"), "INVALID", "agreement-party"),
        "a claim for a stranger's goods": (claiming(originCountry="US"), "INVALID", "agreement-party"),
        "a claim of a stranger": (
            claiming(exporter={"name": "Lamps Inc.", "countryCode": "US"}),
            "INVALID",
            "agreement-party",
        ),
        "a claim at home": (claiming(importCountry="CN"), "INVALID", "agreement-domestic"),
        "a claim without preference": (claiming(originCriteria="NP"), "INVALID", "agreement-criterion"),
        "a claim by another's criterion": (
            papered(
                Kind.CERTIFICATE_OF_ORIGIN, certificate_fields(freeTradeAgreementName="ACFTA", originCriteria="CTSH")
            ),
            "INVALID",
            "agreement-criterion",
        ),
        "a claim before its time": (
            claiming(importCountry="KR", issueDate="2022-01-15"),
            "INVALID",
            "agreement-not-in-force",
        ),
        "a claim that nobody grants": (
            claiming(freeTradeAgreementName="GSP", importCountry="US", originCriteria="WO"),
            "INVALID",
            "agreement-not-granted",
        ),
        "a claim that may be granted": (
            claiming(freeTradeAgreementName="GSP", importCountry="NO", originCriteria="WO"),
            "INDETERMINATE",
            "agreement-unconfirmed",
        ),
        "a claim for another's goods": (
            claiming(freeTradeAgreementName="GSP", originCountry="VN", importCountry="DE", originCriteria="WO"),
            "INDETERMINATE",
            "agreement-unconfirmed",
        ),
        "a claim of two who may not trade so": (
            claiming(
                exporter={"name": "Lamps", "countryCode": "GB"},
                freeTradeAgreementName="CPTPP",
                originCountry="GB",
                importCountry="CA",
                originCriteria="WO",
            ),
            "INDETERMINATE",
            "agreement-unconfirmed",
        ),
        "a claim after shipment": (form_e(departureDate="2026-02-26"), "INVALID", "agreement-retroactive"),
        "a claim in the days of grace": (form_e(departureDate="2026-02-27"), "VALID", "agreement-fits"),
        "a claim marked so": (form_e(departureDate="2025-03-02", issuedRetroactively=True), "VALID", "agreement-fits"),
        "a claim marked too late": (
            form_e(departureDate="2025-03-01", issuedRetroactively=True),
            "INVALID",
            "agreement-retroactive",
        ),
        "a claim in other letters": (claiming(description="台灯 8 W"), "VALID", "agreement-fits"),
        "a claim in another language": (claiming(description="台灯"), "INDETERMINATE", "agreement-language"),
        "a claim of nobody's": (claiming(freeTradeAgreementName="__proto__"), "INDETERMINATE", "agreement-unknown"),
        "a claim half shown": (
            sample(
                records=[
                    (a_record(fields=certificate_fields(freeTradeAgreementName="RCEP")), Kind.CERTIFICATE_OF_ORIGIN)
                ],
                shown=shown,
            ).question(),
            "INDETERMINATE",
            "agreement-withheld",
        ),
        "a claim with odd values": (
            claiming(originCountry=5, importCountry=["US"], exporter="x", originCriteria=None, issueDate="2026-02-30"),
            "VALID",
            "agreement-fits",
        ),
        "a claim on its last day": (claiming(issueDate="2025-03-02"), "VALID", "within-validity"),
        "a claim that ended": (claiming(issueDate="2025-03-01"), "INVALID", "term-ended"),
        "a claim of a leap day": (claiming(issueDate="2024-02-29"), "INVALID", "term-ended"),
        "a claim on the last of days": (claiming(issueDate="9999-12-31"), "INVALID", "dated-ahead"),
        "dated tomorrow": (claiming(issueDate="2026-03-03"), "VALID", "within-validity"),
        "dated in two days": (claiming(issueDate="2026-03-04"), "INVALID", "dated-ahead"),
    } | {
        f"{kind.slug} with {name} ahead": (
            papered(kind, FIELDS[kind](**{name: "2027-04-06T10:00:00+08:00" if "Time" in name else "2027-04-06"})),
            "INVALID",
            "dated-ahead",
        )
        for kind, stated in KINDS.items()
        for name in stated.dates_of_the_past
    }


def revoked_elsewhere() -> dict[str, tuple[Question, str, str]]:
    """Records that stand where they were anchored, one hour ago, and what is published of them themselves."""
    anchored, second = NOON - HOUR, timedelta(seconds=1)
    told = {
        "revoked where it was anchored before": (Kind.CERTIFICATE_OF_ORIGIN, 2, anchored - HOUR, "revoked-elsewhere"),
        "revoked where it was anchored too": (Kind.CERTIFICATE_OF_ORIGIN, 2, anchored, "revoked-elsewhere"),
        "revoked where it was anchored after": (Kind.CERTIFICATE_OF_ORIGIN, 2, anchored + second, "in-force"),
        "superseded where it was anchored before": (Kind.INSPECTION_REPORT, 3, anchored, "superseded-elsewhere"),
        "a declaration revoked elsewhere": (Kind.DECLARATION, 2, anchored, "declaration-in-force"),
    }
    found = {}
    for name, (kind, status, since, reason) in told.items():
        published = Revocation(status, since, NOON - HOUR / 2)
        verdict = "INVALID" if reason.endswith("elsewhere") else "VALID"
        question = a_sample([(a_record(kind), kind)]).reading(revocation=published).question()
        found[name] = (question, verdict, reason)
    suspended = sample().reading(status=1, revocation=Revocation(2, anchored, NOON)).question()
    return found | {"suspended here, revoked elsewhere": (suspended, "INVALID", "suspended")}


def naming(agent: int = 1, by: int = 1, kind: Kind = Kind.CERTIFICATE_OF_ORIGIN, **changes: object) -> Sample:
    """A record that names an agent of the samples' ledger, or of one that differs in ``changes``, anchored by one."""
    named = NamedAnchorer(replace(ledger_of(an_anchor(bytes(32))), **changes), agent)
    return a_sample([(a_record(kind, anchorer=named.as_claim()), kind)]).reading(anchorer=by)


def in_other_form(record: sd_jwt.Record) -> sd_jwt.Record:
    """The same record with the other signature that fits, whose s is the higher one."""
    return replace(record, signed_jwt=sd_jwt.with_other_signature(record.signed_jwt))


def anchorers() -> dict[str, tuple[Question, str, str]]:
    """Records that say who may anchor them, and where they stand."""
    certificate = Kind.CERTIFICATE_OF_ORIGIN
    claim = naming().bundle.records[0].record.payload["anchorer"]
    lost = ledger_of(replace(an_anchor(bytes(32)), chain_id=5))
    odd = {
        "a text": "1",
        "null": None,
        "a list": [claim],
        "one member more": claim | {"name": "x"},
        "no agent": without(claim, "agent"),
        "an agent as a text": claim | {"agent": "1"},
        "an agent below nought": claim | {"agent": -1},
        "a broken number": claim | {"agent": 1.5},
        "an address in capitals": claim | {"ledger": claim["ledger"].upper().replace("X", "x")},
        "a short instance": claim | {"instanceId": "07"},
    }
    found = {
        f"anchorer is {name}": (a_sample([(a_record(anchorer=value), certificate)]), "INVALID", "other-anchorer")
        for name, value in odd.items()
        if value is not None
    }
    # The builder leaves out claims that are None, so null is signed by hand.
    record = a_record()
    nulled = sd_jwt.parse(signed_text(record.header, {**record.payload, "anchorer": None}) + "~")
    nulled = replace(nulled, signed_jwt=in_lower_form(nulled.signed_jwt), disclosures=record.disclosures)
    nulled = replace(nulled, disclosed=record.disclosed)
    found |= {
        "anchorer is null": (a_sample([(nulled, certificate)]), "INVALID", "other-anchorer"),
        "anchored as named": (naming(), "VALID", "anchor-final"),
        "a declaration anchored as named": (naming(kind=Kind.DECLARATION), "VALID", "anchor-final"),
        "anchored by another": (naming(by=9), "INVALID", "other-anchorer"),
        "named for another": (naming(agent=2), "INVALID", "other-anchorer"),
        "named for another chain": (naming(chain_id=5), "INDETERMINATE", "other-ledger"),
        "named for another deployment": (naming(instance_id=bytes(32)), "INDETERMINATE", "other-ledger"),
        "named for another contract": (naming(address="0x" + "cc" * 20), "INDETERMINATE", "other-ledger"),
        "the other form of a signature": (
            a_sample([(in_other_form(a_record(anchorer=claim)), certificate)]),
            "INVALID",
            "signature-not-canonical",
        ),
        "the other form, of before": (a_sample([(in_other_form(a_record()), certificate)]), "VALID", "signature-valid"),
    }
    trusting = {"succeeds": (lost,)}
    return {name: (one.question(), verdict, reason) for name, (one, verdict, reason) in found.items()} | {
        "named for a ledger that was lost": (with_trust(naming(chain_id=5), **trusting), "VALID", "anchor-final"),
        "lost ledger, another's copy": (
            with_trust(naming(chain_id=5, by=9), **trusting),
            "INVALID",
            "other-anchorer",
        ),
        "another ledger was lost": (with_trust(naming(chain_id=6), **trusting), "INDETERMINATE", "other-ledger"),
    }


def in_lower_form(text: str) -> str:
    """A signed text with the lower of the two s that fit."""
    return text if sd_jwt.has_lower_s(text) else sd_jwt.with_other_signature(text)


def terms_of_the_past() -> dict[str, tuple[Question, str, str]]:
    """A certificate of chapter 94, signed two hours ago, anchored one hour ago, and what the ledger held when."""
    whole, other = an_accreditation(), an_accreditation(chapters=1 << 61)
    reports, ended = an_accreditation(kinds=4), an_accreditation(valid_until=NOON - 3 * HOUR)
    later = an_accreditation(valid_from=NOON - HOUR / 2)
    suspended = an_accreditation(suspended_since=NOON - 3 * HOUR)
    meanwhile = an_accreditation(suspended_since=NOON - 1.5 * HOUR)
    now = an_accreditation(suspended_since=NOON - HOUR / 2)
    grace_before = NOON - 73 * HOUR  # the certificate was anchored one hour ago
    long_ended = an_accreditation(valid_until=grace_before)
    just_not_ended = an_accreditation(valid_until=grace_before + timedelta(seconds=1))
    told = {
        "renewed since": (holding(later, whole), "VALID", "accredited"),
        "narrowed to another chapter since": (holding(other, whole), "VALID", "accredited"),
        "narrowed to another kind since": (holding(reports, whole), "VALID", "accredited"),
        "ended in retrospect": (holding(ended, whole), "VALID", "accreditation-expired"),
        "widened to its chapter since": (holding(whole, other), "INVALID", "chapter-not-covered"),
        "widened to its kind since": (holding(whole, reports), "INVALID", "kind-not-covered"),
        "begun in retrospect": (holding(whole, later), "INVALID", "not-accredited-at-issue"),
        "widened on its way": (holding(whole, other, whole), "INVALID", "chapter-not-covered"),
        "narrowed on its way": (holding(other, whole, other), "INDETERMINATE", "anchored-after-change"),
        "another kind on its way": (holding(reports, whole, reports), "INDETERMINATE", "anchored-after-change"),
        "ended the grace before": (holding(long_ended, whole, long_ended), "INDETERMINATE", "anchored-after-expiry"),
        "ended within the grace": (holding(just_not_ended, whole, just_not_ended), "VALID", "accreditation-expired"),
        "begun again on its way": (holding(later, whole, later), "INDETERMINATE", "anchored-after-change"),
        "suspended on its way, lifted since": (
            holding(whole, whole, meanwhile),
            "INDETERMINATE",
            "anchored-after-change",
        ),
        "signed while suspended, lifted since": (holding(whole, suspended), "INVALID", "signed-while-suspended"),
        "suspended then and now": (holding(suspended, suspended), "INVALID", "accreditation-revoked"),
        "suspended since": (holding(now, whole), "INVALID", "accreditation-revoked"),
        "suspended in retrospect": (holding(suspended, whole), "INVALID", "accreditation-revoked"),
        "accredited after it signed": (holding(whole, None, whole), "INVALID", "not-accredited-at-issue"),
        "accredited after it was anchored": (holding(whole, None), "INVALID", "not-accredited-at-issue"),
        "known then, and not when it was anchored": (holding(whole, whole, None), "INVALID", "not-accredited-at-issue"),
        "accredited for another chapter later": (holding(whole, None, other), "INVALID", "not-accredited-at-issue"),
        "terms of nothing": (holding(whole, an_accreditation(kinds=0)), "INVALID", "kind-not-covered"),
        "terms of nothing now": (holding(an_accreditation(kinds=0), whole), "INVALID", "never-accredited"),
    }
    certificate = sample()
    found = {name: (certificate.reading(**held).question(), *told) for name, (held, *told) in told.items()}
    withheld = sample(shown=["originCountry", "quantity"])
    return found | {
        "narrowed since, chapter withheld": (
            withheld.reading(**holding(other, whole)).question(),
            "VALID",
            "accredited",
        ),
        "narrowed on its way, chapter withheld": (
            withheld.reading(**holding(other, whole, other)).question(),
            "INDETERMINATE",
            "anchored-after-change",
        ),
    }


def cases() -> dict[str, tuple[Question, str, str]]:
    """A question, the verdict, and the reason that decides it."""
    plain, dossier = sample(), a_dossier()
    (entry,) = plain.trust.trusted
    ledger = entry.ledger
    earlier = an_accreditation(valid_until=NOON - 3 * HOUR)
    lapsed = an_accreditation(valid_until=NOON - 90 * timedelta(minutes=1))
    unmatched = replace(dossier, bundle=replace(dossier.bundle, records=dossier.bundle.records[:2]))
    reordered = replace(dossier, bundle=replace(dossier.bundle, records=dossier.bundle.records[::-1]))
    first, *papers = dossier.bundle.records
    exchanged = replace(dossier, bundle=replace(dossier.bundle, records=(first, *papers[::-1])))
    twice = replace(dossier, bundle=replace(dossier.bundle, records=(first, papers[0], *papers)))
    other = a_dossier(1)
    unlinked = replace(a_dossier(3), bundle=replace(a_dossier(3).bundle, superseded=()))
    waiting = replace(plain.bundle.records[0], anchor=None, proof=None)
    stated = plain.bundle.records[0].record
    declaration = sample(records=[(a_record(Kind.DECLARATION), Kind.DECLARATION)])
    return incomplete() | {
        **claims(),
        **anchorers(),
        **revoked_elsewhere(),
        **terms_of_the_past(),
        "no trust": (plain.question(trust=Trust()), "INDETERMINATE", "snapshot-signer-untrusted"),
        "another's trust": (
            with_trust(plain, keys=(sd_jwt.b64(STRANGER.thumbprint),)),
            "INDETERMINATE",
            "snapshot-signer-untrusted",
        ),
        "another ledger trusted": (
            with_trust(plain, ledger=replace(ledger, chain_id=1)),
            "INDETERMINATE",
            "snapshot-ledger-untrusted",
        ),
        "another deployment trusted": (
            with_trust(plain, ledger=replace(ledger, instance_id=bytes(32))),
            "INDETERMINATE",
            "snapshot-ledger-untrusted",
        ),
        "another accreditation": (
            with_trust(plain, accreditation="0x" + "ee" * 20),
            "INDETERMINATE",
            "snapshot-ledger-untrusted",
        ),
        "a day later": (plain.question(moment=NOON + timedelta(days=2)), "INDETERMINATE", "snapshot-too-old"),
        "a day later, allowed": (
            plain.question(moment=NOON + timedelta(days=2), max_age=timedelta(days=3)),
            "VALID",
            "within-validity",
        ),
        "before it was read": (plain.question(moment=NOON - HOUR), "INDETERMINATE", "snapshot-too-new"),
        "no snapshot": (
            replace(plain, bundle=replace(plain.bundle, snapshot=None)).question(),
            "INDETERMINATE",
            "snapshot-missing",
        ),
        "a stranger's snapshot": (
            plain.stating(plain.stated, STRANGER).question(),
            "INDETERMINATE",
            "snapshot-signer-untrusted",
        ),
        "another's snapshot": (
            replace(plain, bundle=replace(plain.bundle, snapshot=sample(size=11).bundle.snapshot)).question(),
            "INDETERMINATE",
            "snapshot-record-mismatch",
        ),
        "an altered snapshot": (
            replace(plain, bundle=replace(plain.bundle, snapshot=f"A{plain.bundle.snapshot}")).question(),
            "INDETERMINATE",
            "snapshot-altered",
        ),
        "suspended": (plain.reading(status=DocumentStatus.SUSPENDED).question(), "INVALID", "suspended"),
        "revoked": (plain.reading(status=DocumentStatus.REVOKED).question(), "INVALID", "revoked"),
        "superseded": (plain.reading(status=DocumentStatus.SUPERSEDED).question(), "INVALID", "superseded"),
        "an odd status": (plain.reading(status=9).question(), "INDETERMINATE", "status-unknown"),
        "released": (
            declaration.reading(status=DeclarationStatus.RELEASED).question(),
            "VALID",
            "declaration-in-force",
        ),
        "withdrawn": (declaration.reading(status=DeclarationStatus.WITHDRAWN).question(), "INVALID", "withdrawn"),
        "not final": (plain.reading(state=ProofState.ANCHORED).question(), "INDETERMINATE", "not-final"),
        "another block": (plain.reading(block=8).question(), "INDETERMINATE", "anchor-mismatch"),
        "another transaction": (
            plain.reading(transaction=bytes(32)).question(),
            "INDETERMINATE",
            "snapshot-record-mismatch",
        ),
        "never accredited": (plain.reading(**holding(None)).question(), "INVALID", "never-accredited"),
        "another kind": (
            plain.reading(**holding(an_accreditation(kinds=4))).question(),
            "INVALID",
            "kind-not-covered",
        ),
        "another chapter": (
            plain.reading(**holding(an_accreditation(chapters=2))).question(),
            "INVALID",
            "chapter-not-covered",
        ),
        "its own chapter": (
            plain.reading(**holding(an_accreditation(chapters=1 << 94))).question(),
            "VALID",
            "accredited",
        ),
        "chapter withheld": (
            sample(shown=["originCountry", "quantity"], held=an_accreditation(chapters=1 << 94)).question(),
            "INDETERMINATE",
            "hs-code-withheld",
        ),
        "quantity withheld": (sample(shown=["hsCode"]).question(), "INDETERMINATE", "quantity-withheld"),
        "quantity withheld and another sealed": (
            with_quantity(sample(shown=["hsCode"]), 900_000),
            "INDETERMINATE",
            "quantity-withheld",
        ),
        "another quantity sealed": (with_quantity(plain, 900_000), "INVALID", "entry-quantity-mismatch"),
        "a quantity that nobody signed": (
            with_quantity(sample(records=[(a_record(fields={}), Kind.CERTIFICATE_OF_ORIGIN)]), 900_000),
            "INVALID",
            "entry-quantity-mismatch",
        ),
        "no quantity at all": (
            sample(records=[(a_record(fields={"quantity": None}), Kind.CERTIFICATE_OF_ORIGIN)]).question(),
            "INVALID",
            "entry-quantity-mismatch",
        ),
        "lapsed before": (plain.reading(**holding(earlier)).question(), "INVALID", "not-accredited-at-issue"),
        "lapsed between": (plain.reading(**holding(lapsed)).question(), "VALID", "accreditation-expired"),
        "suspended key": (
            plain.reading(**holding(an_accreditation(suspended_since=NOON - HOUR / 2))).question(),
            "INVALID",
            "accreditation-revoked",
        ),
        "key suspended before anchoring": (
            plain.reading(**holding(an_accreditation(suspended_since=NOON - HOUR))).question(),
            "INVALID",
            "accreditation-revoked",
        ),
        "a merchant's statement": (
            sample(records=[(a_record(assurance="stated"), Kind.CERTIFICATE_OF_ORIGIN)]).question(),
            "INDETERMINATE",
            "self-attested",
        ),
        "expired": (
            sample(records=[(a_record(validUntil="2026-03-01T00:00:00Z"), Kind.CERTIFICATE_OF_ORIGIN)]).question(),
            "INVALID",
            "expired",
        ),
        "an odd end": (
            sample(records=[(a_record(validUntil="soon"), Kind.CERTIFICATE_OF_ORIGIN)]).question(),
            "INVALID",
            "fields-invalid",
        ),
        "dated ahead": (
            sample(records=[(a_record(issued_at=NOON + HOUR), Kind.CERTIFICATE_OF_ORIGIN)]).question(),
            "INVALID",
            "issued-after-anchoring",
        ),
        "waiting": (
            replace(plain, bundle=replace(plain.bundle, records=(waiting,))).question(),
            "INDETERMINATE",
            "not-sealed",
        ),
        "a paper missing": (unmatched.question(), "INDETERMINATE", "documents-missing"),
        "list of papers withheld": (
            replace(
                dossier,
                bundle=replace(
                    dossier.bundle,
                    records=(replace(first, record=first.record.disclosing(["orderReference"])), *papers),
                ),
            ).question(),
            "INDETERMINATE",
            "documents-withheld",
        ),
        "a paper too many": (
            replace(
                dossier, bundle=replace(dossier.bundle, records=(*dossier.bundle.records, plain.bundle.records[0]))
            ).question(),
            "INVALID",
            "document-not-named",
        ),
        "another's papers": (
            replace(
                dossier, bundle=replace(dossier.bundle, records=(other.bundle.records[0], *dossier.bundle.records[1:]))
            ).question(),
            "INVALID",
            "document-not-named",
        ),
        "papers that lead through one another": (tangled(30, 60), "INVALID", "document-not-named"),
        "a paper of another kind": (stood_in_for(Kind.WAYBILL), "INVALID", "document-not-named"),
        "a paper of the same kind": (stood_in_for(Kind.CERTIFICATE_OF_ORIGIN), "VALID", "document-confirmed"),
        "a paper of no kind": (stood_in_for(Kind.WAYBILL, named_as=None), "VALID", "document-confirmed"),
        "a broken line": (unlinked.question(), "INVALID", "document-not-named"),
        "papers first": (reordered.question(), "INDETERMINATE", "bundle-malformed"),
        "papers exchanged": (exchanged.question(), "INDETERMINATE", "bundle-malformed"),
        "a paper twice": (twice.question(), "INDETERMINATE", "bundle-malformed"),
        "another key's record": (
            replace(
                plain,
                bundle=replace(
                    plain.bundle, records=(replace(plain.bundle.records[0], record=a_record(key=STRANGER)),)
                ),
            ).question(),
            "INVALID",
            "not-included",
        ),
        "a large number of steps": (
            sample(
                records=[
                    (a_record(fields=certificate_fields(quantity="999999999999999.999")), Kind.CERTIFICATE_OF_ORIGIN)
                ]
            ).question(),
            "VALID",
            "within-validity",
        ),
        "a paper's signature in other letters": (
            with_another_signature(dossier, 1, "é"),
            "INVALID",
            "signature-invalid",
        ),
        "other digits": (spelt(plain), "INVALID", "entry-kind-mismatch"),
        "written with spaces": (plain.question(content=reformatted(plain, indent=2)), "VALID", "within-validity"),
        "members in another order": (
            plain.question(content=reformatted(plain, sort_keys=True)),
            "VALID",
            "within-validity",
        ),
        "as long as allowed": (plain.question(content=plain.content.ljust(LARGEST)), "VALID", "within-validity"),
        "longer than allowed": (
            plain.question(content=plain.content.ljust(LARGEST + 1)),
            "INDETERMINATE",
            "bundle-malformed",
        ),
        "no bundle": (plain.question(content=b"{}"), "INDETERMINATE", "bundle-malformed"),
        "no JSON": (plain.question(content=b"\xff"), "INDETERMINATE", "bundle-malformed"),
        "a key twice": (
            plain.question(content=plain.content.replace(b'"version":1', b'"version":1,"version":1')),
            "INDETERMINATE",
            "bundle-malformed",
        ),
        "a record that is none": (
            plain.question(content=plain.content.replace(stated.signed_jwt.encode(), b"x.y.z")),
            "INVALID",
            "record-altered",
        ),
    }
