"""The demonstration: eight organisations, three products, three consignments at two offices, marked as fictitious.

Every step uses the services that real users use, so that it shows what the system does. It may be interrupted and
started again: existing parts are left alone.
"""

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from backend.domain.consignment import Decision
from backend.domain.errors import Message
from backend.domain.kinds import Kind, accreditation_bits
from backend.domain.parties import Person, Role
from backend.domain.records import Product, RecordOnFile
from backend.runtime.data_folder import DataFolder, UnusableFolder
from backend.services import accreditation, decisions, declarations, files, issuance, products, statements
from backend.services.anchoring import is_under_way, run_once
from backend.services.organisations import Credentials, OrganisationProfile, register
from backend.services.ports import AnchoringContext, AppContext

PROFILES = (
    OrganisationProfile(
        Role.AUTHORITY,
        "Accreditation Authority (demo)",
        "authority@example.org",
        "认可主管机关（演示）",
        "1 Harbour Road, Hangzhou",
    ),
    OrganisationProfile(
        Role.MERCHANT,
        "Yiwu Morning Star Trading Co., Ltd. (demo)",
        "merchant@example.org",
        "义乌市晨星贸易有限公司（演示）",
        "88 Chouzhou North Road, Yiwu, Zhejiang",
        "CN",
        "91330782DEM000001N",
    ),
    OrganisationProfile(
        Role.CHAMBER,
        "Zhejiang Chamber of Commerce (demo)",
        "chamber@example.org",
        "浙江商会（演示）",
        "12 Wensan Road, Hangzhou",
    ),
    OrganisationProfile(
        Role.LABORATORY,
        "Qiantang Testing Laboratory (demo)",
        "laboratory@example.org",
        "钱塘检测实验室（演示）",
        "300 Xuelin Street, Hangzhou",
    ),
    OrganisationProfile(
        Role.PLANT_PROTECTION,
        "Zhejiang Plant Protection Office (demo)",
        "plants@example.org",
        "浙江植物检疫站（演示）",
        "29 Fengqi East Road, Hangzhou",
    ),
    OrganisationProfile(
        Role.OFFICER,
        "Yiwu Customs Office (demo)",
        "officer@example.org",
        "义乌海关（演示）",
        "Yiwu, Zhejiang",
        offices=("CNYIU", "2925"),
    ),
    OrganisationProfile(
        Role.ANALYST,
        "Trade Facilitation Institute (demo)",
        "analyst@example.org",
        "贸易便利化研究院（演示）",
        "5 Yuhangtang Road, Hangzhou",
    ),
)
SECOND_OFFICE = OrganisationProfile(
    Role.OFFICER,
    "Ningbo Customs Office (demo)",
    "ningbo@example.org",
    "宁波海关（演示）",
    "Ningbo, Zhejiang",
    offices=("CNNBO",),
)
"""Whose officer sees nothing of what is declared at Yiwu, until Yiwu lets Ningbo act."""
LOGINS = {**{profile.role.value: profile for profile in PROFILES}, "officer-ningbo": SECOND_OFFICE}
"""Everybody by the name under which their password and token are kept."""
PRODUCTS: tuple[dict[str, Any], ...] = (
    {
        "name": "LED desk lamp, 8 W",
        "localName": "LED 台灯 8W",
        "hsCode": "940521",
        "unitCode": "H87",
        "originCountry": "CN",
        "description": "Table lamp with LED light source, 220-240 V, model MS-L8",
        "gtin": "6900000000014",
    },
    {
        "name": "Vacuum flask, 500 ml",
        "localName": "真空保温杯 500ml",
        "hsCode": "961700",
        "unitCode": "H87",
        "originCountry": "CN",
        "description": "Stainless steel vacuum flask, 500 ml, model MS-V500",
        "gtin": "6900000000021",
    },
    {
        "name": "Cotton T-shirt",
        "localName": "纯棉 T 恤",
        "hsCode": "610910",
        "unitCode": "H87",
        "originCountry": "CN",
        "description": "T-shirt, knitted, 100 % cotton, sizes S to XL",
        "gtin": "6900000000038",
    },
)
HEADINGS = (
    products.Heading("940521", "", "台灯、床头灯或落地灯，LED 光源"),
    products.Heading("940511", "", "吊灯、天花板灯或壁灯，LED 光源"),
    products.Heading("961700", "", "保温瓶、保温杯等真空容器及其零件"),
    products.Heading("392410", "", "塑料制餐具及厨房用具"),
    products.Heading("610910", "", "棉制针织或钩编的 T 恤衫、汗衫"),
    products.Heading("420222", "", "手提包，以塑料片或纺织材料作面"),
)
"""A few subheadings in Chinese; an operator brings the others with ``provenport hs import``."""
_TESTS: dict[str, dict[str, Any]] = {
    "940521": {
        "method": "IEC 60598-2-4:2017",
        "specification": "EN IEC 60598-1:2021",
        "results": [
            {"characteristic": "Leakage current", "value": "0.08", "unit": "mA", "limit": "≤ 0.7", "meetsLimit": True},
            {"characteristic": "Temperature rise of cord", "value": "21", "unit": "K", "limit": "≤ 50"},
        ],
    },
    "961700": {
        "method": "GB/T 29606-2013",
        "specification": "GB 4806.9-2016",
        "results": [
            {"characteristic": "Water after 6 h", "value": "63", "unit": "°C", "limit": "≥ 50", "meetsLimit": True},
            {"characteristic": "Lead migration", "value": "< 0.01", "unit": "mg/kg", "limit": "≤ 0.05"},
        ],
    },
    "610910": {
        "method": "ISO 105-C06:2010",
        "specification": "GB 18401-2010, class B",
        "results": [
            {"characteristic": "Formaldehyde", "value": "< 20", "unit": "mg/kg", "limit": "≤ 75", "meetsLimit": True},
            {"characteristic": "Colour fastness to washing", "value": "4", "limit": "≥ 3", "meetsLimit": True},
        ],
    },
}


@dataclass
class _Cast:
    """The demonstration's persons, by role."""

    people: dict[Role, Person]

    def __getitem__(self, role: Role) -> Person:
        return self.people[role]


def fill(ctx: AnchoringContext, folder: DataFolder, report: Callable[[Message], None]) -> None:
    """Create the parts of the demonstration that are missing."""
    _write_credentials(folder)
    credentials = {entry["role"]: entry for entry in credentials_in(folder)}
    report(Message("organisations and their keys"))
    people = _Cast({p.role: _join(ctx, p, credentials[p.role.value]) for p in PROFILES})
    _join(ctx, SECOND_OFFICE, credentials["officer-ningbo"])
    report(Message("accreditations on the ledger"))
    for role in people.people:
        if accreditation_bits(role):
            _accredit(ctx, people, role)
    settle(ctx)
    products.import_nomenclature(ctx, HEADINGS)
    report(Message("products, certificates of origin, inspection reports"))
    goods = [_product(ctx, people[Role.MERCHANT], fields) for fields in PRODUCTS]
    pdf = files.store_pdf(ctx, people[Role.MERCHANT], a_pdf())
    attachment = {"fileName": "demonstration.pdf", "size": pdf.size, "sha256": pdf.sha256}
    papers = [_papers(ctx, people, product, attachment, confirmed=place < 2) for place, product in enumerate(goods)]
    settle(ctx)
    report(Message("consignments, one of them released"))
    for place, product in enumerate(goods):
        _consignment(
            ctx, people, product, papers[place], f"MS-DEMO-{place + 1:03d}", arrived=timedelta(hours=5 - place)
        )
    settle(ctx)
    _release(ctx, people, "MS-DEMO-001")
    settle(ctx)


def is_whole(folder: DataFolder) -> bool:
    """Tell whether the data folder has all users of this version's demonstration."""
    return {entry["role"] for entry in credentials_in(folder)} >= set(LOGINS)


def credentials_in(folder: DataFolder) -> list[dict[str, str]]:
    """Return the demonstration's users with their passwords and tokens.

    Raises:
        UnusableFolder: if their file is damaged.
    """
    if not folder.demo_credentials.exists():
        return []
    try:
        entries = json.loads(folder.demo_credentials.read_bytes())
        return [{**entry, "role": _known(entry["role"]), "email": str(entry["email"])} for entry in entries]
    except (ValueError, KeyError, TypeError) as error:
        raise UnusableFolder(
            "{path} is damaged: put it back from a copy that provenport backup made, or delete it and set "
            "PROVENPORT_DEMO=0",
            path=folder.demo_credentials,
        ) from error


def role_of(login: str) -> Role:
    """What somebody does, by the name under which password and token are kept; raises ValueError for nobody's."""
    return LOGINS[login].role if login in LOGINS else Role(login)


def _known(login: str) -> str:
    role_of(login)
    return login


def _write_credentials(folder: DataFolder) -> None:
    """Give every user a password and a token, unless they have them."""
    if is_whole(folder):
        return
    kept = {entry["role"]: entry for entry in credentials_in(folder)}
    entries = [kept.get(name) or _fresh(name, profile) for name, profile in LOGINS.items()]
    folder.write_secret(folder.demo_credentials, (json.dumps(entries, indent=2) + "\n").encode())


def _fresh(name: str, profile: OrganisationProfile) -> dict[str, str]:
    return {
        "role": name,
        "organisation": profile.name,
        "email": profile.email,
        "password": secrets.token_urlsafe(9),
        "token": f"pp_{secrets.token_urlsafe(32)}",
    }


def settle(ctx: AnchoringContext, patience_seconds: float = 60) -> None:
    """Run rounds of anchoring until everything is final, or wait until another process, which leads, has done so."""
    deadline = time.monotonic() + patience_seconds
    while (run_once(ctx) or is_under_way(ctx)) and time.monotonic() < deadline:
        time.sleep(0.05)


def _join(ctx: AppContext, profile: OrganisationProfile, entry: dict[str, str]) -> Person:
    with ctx.work(reading=True) as work:
        person = work.persons.find_by_email(profile.email)
    return person or register(ctx, profile, Credentials(entry["password"], entry["token"])).person


def _accredit(ctx: AppContext, people: _Cast, role: Role) -> None:
    organisation = people[role].organisation
    with ctx.work(reading=True) as work:
        known = work.accreditation_changes.of_key(work.keys.active(organisation).thumbprint)
    if not known:
        # Backdated by a day, so that the first records do not race the clock of the chain.
        start = ctx.now() - timedelta(days=1)
        accreditation.accredit(ctx, people[Role.AUTHORITY], organisation.id, valid_from=start)


def _product(ctx: AppContext, merchant: Person, fields: dict[str, Any]) -> Product:
    with ctx.work(reading=True) as work:
        known = {product.name: product for product in work.products.of(merchant.organisation)}
    return known.get(fields["name"]) or products.add_product(ctx, merchant, fields)


def _papers(
    ctx: AppContext, people: _Cast, product: Product, attachment: dict[str, Any], *, confirmed: bool
) -> list[RecordOnFile]:
    """Return a certificate and a report of one product; unconfirmed, the certificate waits for the chamber."""
    with ctx.work(reading=True) as work:
        known = work.records.about(product, limit=50)
    kinds = {record.kind: record for record in known}
    certificate = kinds.get(Kind.CERTIFICATE_OF_ORIGIN) or _state_origin(ctx, people, product, attachment)
    report = kinds.get(Kind.INSPECTION_REPORT) or _state_inspection(ctx, people, product, attachment)
    number = product.hs_code
    if confirmed:
        certificate = _confirm(ctx, people[Role.CHAMBER], certificate, f"ZJ-DEMO-{number}")
    report = _confirm(ctx, people[Role.LABORATORY], report, f"QT-DEMO-{number}")
    return [certificate, report]


def _confirm(ctx: AppContext, issuer: Person, record: RecordOnFile, number: str) -> RecordOnFile:
    if record.issuer.id == issuer.organisation.id:
        return record
    with ctx.work(reading=True) as work:
        request = work.requests.find_about(record.id)
    assert request is not None
    return issuance.confirm(ctx, issuer, request.id, number)


def _state_origin(ctx: AppContext, people: _Cast, product: Product, attachment: dict[str, Any]) -> RecordOnFile:
    today = ctx.now().date()
    fields = {
        "exporter": _party(people[Role.MERCHANT]),
        "consignee": {"name": "Lim Household Supplies Pte. Ltd. (demo)", "countryCode": "SG"},
        "originCountry": product.origin_country,
        "importCountry": "SG",
        "freeTradeAgreementName": "RCEP",
        "originCriteria": "CTH",
        "hsCode": product.hs_code,
        "description": product.description,
        "quantity": "500",
        "unitCode": product.unit_code,
        "grossWeightMeasure": "240",
        "invoiceReference": f"INV-{product.hs_code}",
        "issueDate": today.isoformat(),
        "validUntil": (today + timedelta(days=364)).isoformat(),
        "attachments": [attachment],
    }
    merchant, chamber = people[Role.MERCHANT], people[Role.CHAMBER].organisation
    return statements.issue_statement(ctx, merchant, Kind.CERTIFICATE_OF_ORIGIN, fields, chamber.id, product.id)


def _state_inspection(ctx: AppContext, people: _Cast, product: Product, attachment: dict[str, Any]) -> RecordOnFile:
    today: date = ctx.now().date()
    fields = {
        "customer": _party(people[Role.MERCHANT]),
        "itemDescription": product.description,
        "itemIdentification": f"LOT-{product.hs_code}-01",
        "hsCode": product.hs_code,
        "relatesTo": "sample",
        "performedFrom": (today - timedelta(days=6)).isoformat(),
        "performedTo": (today - timedelta(days=3)).isoformat(),
        "decisionRule": "Simple acceptance, ILAC-G8:09/2019, 4.2.1",
        "conforms": True,
        "accreditationNumber": "DEMO-L0001",
        "authorisedBy": "Chen Jing (demo)",
        "issueDate": today.isoformat(),
        "attachments": [attachment],
        **_TESTS[product.hs_code],
    }
    merchant, laboratory = people[Role.MERCHANT], people[Role.LABORATORY].organisation
    return statements.issue_statement(ctx, merchant, Kind.INSPECTION_REPORT, fields, laboratory.id, product.id)


def _party(person: Person) -> dict[str, Any]:
    organisation = person.organisation
    return {
        "name": organisation.name,
        "postalAddress": organisation.postal_address,
        "countryCode": organisation.country_code,
        "identifier": organisation.identifier,
    }


def _consignment(
    ctx: AppContext,
    people: _Cast,
    product: Product,
    papers: list[RecordOnFile],
    reference: str,
    arrived: timedelta,
) -> None:
    merchant = people[Role.MERCHANT]
    with ctx.work(reading=True) as work:
        if work.consignments.reference_is_taken(merchant.organisation, reference):
            return
    fields = {
        "declarationReference": reference,
        "customsOffice": "CNYIU" if product.hs_code != PRODUCTS[-1]["hsCode"] else "CNNBO",
        "platformName": "Demo Marketplace",
        "orderReference": f"ORDER-{reference[-3:]}",
        "waybillReference": f"WAYBILL-{reference[-3:]}",
        "carrierName": "Demo Air Cargo",
        "destinationCountry": "SG",
        "packageQuantity": 10,
        "grossWeightMeasure": "96",
        "netWeightMeasure": "88",
        "arrivalDateTime": (ctx.now() - arrived).isoformat(timespec="seconds"),
        "items": [
            {
                "hsCode": product.hs_code,
                "description": product.name,
                "quantity": "200",
                "unitCode": product.unit_code,
                "unitPrice": "6.5",
                "currency": "USD",
                "originCountry": product.origin_country,
            }
        ],
        "records": [paper.id for paper in papers],
    }
    declarations.lodge(ctx, merchant, fields)


def _release(ctx: AppContext, people: _Cast, reference: str) -> None:
    with ctx.work(reading=True) as work:
        found = [c for c in work.consignments.search(people[Role.MERCHANT].organisation) if c.reference == reference]
    if found and found[0].status.is_open:
        decisions.decide(ctx, people[Role.OFFICER], found[0].id, Decision.RELEASE, "Papers in order (demonstration)")


def a_pdf() -> bytes:
    """Return a one-page PDF with a line that says what it is."""
    text = b"BT /F1 18 Tf 72 760 Td (Demonstration document - not a real certificate) Tj ET"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(text), text),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    body, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    count = len(objects) + 1
    body += b"xref\n0 %d\n0000000000 65535 f \n%s" % (count, table)
    end = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
    return body + end % (count, body.index(b"xref\n"))
