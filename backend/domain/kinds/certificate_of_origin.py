"""The certificate of origin: a chamber certifies where goods were made."""

import re
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StrictBool, ValidationInfo, field_validator, model_validator

from backend.domain.agreements import AGREEMENTS, Agreement, Retroactive
from backend.domain.errors import Message
from backend.domain.fields import (
    AgreementCode,
    Amount,
    Attachment,
    CountryCode,
    CurrencyCode,
    Day,
    Document,
    HsCode,
    LongText,
    Party,
    Percent,
    Quantity,
    Reference,
    Text,
    UnitCode,
    fault,
    in_base_unit,
    is_read_as_signed,
)
from backend.domain.kinds.base import A_BUYER, A_MERCHANT, Audience, Certification, Kind, RecordKind, Segment, Signing
from backend.domain.parties import Role


@dataclass(frozen=True)
class PreferenceClaim:
    """The facts of a certificate that its agreement restricts; None where unknown.

    ``is_marked`` tells whether it bears the mark of one that was issued retroactively.
    """

    origin: str | None = None
    importing: str | None = None
    exporting: str | None = None
    criterion: str | None = None
    issued: date | None = None
    departed: date | None = None
    is_marked: bool | None = None
    description: str | None = None


def contradictions(agreement: Agreement, claim: PreferenceClaim) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield (field to correct, reason, values of the message) where a certificate contradicts its agreement."""
    values: dict[str, Any] = {"agreement": agreement.code}
    countries = [claim.origin, claim.importing]
    if agreement.beneficiaries:
        if claim.origin in agreement.beneficiaries and claim.importing not in {None, *agreement.parties}:
            named: dict[str, Any] = {"country": claim.importing, "origin": claim.origin}
            yield "free_trade_agreement_name", "agreement-not-granted", {**values, **named}
    elif agreement.parties:
        for country in (*countries, claim.exporting):
            if country is not None and country not in agreement.parties:
                yield "free_trade_agreement_name", "agreement-party", {**values, "country": country}
    if agreement.parties and claim.origin is not None and claim.origin == claim.importing:
        yield "free_trade_agreement_name", "agreement-domestic", {**values, "country": claim.origin}
    if claim.criterion is not None and claim.criterion not in agreement.criteria:
        known = {"criterion": claim.criterion, "known": ", ".join(agreement.criteria)}
        yield "origin_criteria", "agreement-criterion", {**values, **known}
    for country in countries:
        since = agreement.parties.get(country or "")
        if since is not None and claim.issued is not None and claim.issued < since:
            named = {"country": country, "since": since.isoformat()}
            yield "issue_date", "agreement-not-in-force", {**values, **named}
    if (late := agreement.retroactive) is not None and is_issued_too_late(late, claim):
        named = {"days": late.unmarked_days, "months": late.months}
        yield "issue_date", "agreement-retroactive", {**values, **named}


def is_issued_too_late(late: Retroactive, claim: PreferenceClaim) -> bool:
    """Tell whether a certificate was issued later after shipment than allowed; without its days, that is not known."""
    if claim.issued is None or claim.departed is None:
        return False
    is_unmarked = claim.is_marked is False and claim.issued - claim.departed > timedelta(days=late.unmarked_days)
    return is_unmarked or claim.issued > last_day(claim.departed, late.months)


def is_in_other_letters(agreement: Agreement, claim: PreferenceClaim) -> bool:
    """Tell whether the goods are described in none of the agreement's languages, which all use Latin letters."""
    text = claim.description or ""
    return bool(agreement.languages) and any(map(str.isalpha, text)) and not re.search("[A-Za-z]", text)


def is_unconfirmed(agreement: Agreement, claim: PreferenceClaim) -> bool:
    """Tell whether it is not confirmed that the agreement applies between origin and importing country."""
    is_another = bool(agreement.beneficiaries) and claim.origin not in {None, *agreement.beneficiaries}
    return is_another or (claim.origin, claim.importing) in agreement.unconfirmed


def last_day(issued: date, months: int) -> date:
    """Return the last day of a term in months counted from a day: the same day of the month, that many months later.

    Where that month has no such day, it is the month's last day.
    """
    year, month = divmod(issued.year * 12 + issued.month - 1 + months, 12)
    if year > date.max.year:
        return date.max
    return date(year, month + 1, min(issued.day, monthrange(year, month + 1)[1]))


def with_term(document: Document) -> Document:
    """Return a certificate with its agreement's last day where it states none; other documents unchanged."""
    if not isinstance(document, CertificateOfOrigin) or document.valid_until is not None:
        return document
    months = AGREEMENTS[document.free_trade_agreement_name].term_months
    if months is None:
        return document
    return document.model_copy(update={"valid_until": last_day(document.issue_date, months)})


_FAULTS = {
    "agreement-party": Message(
        "{country} is no party to {agreement}: correct the country or the agreement, or claim none"
    ),
    "agreement-domestic": Message(
        "{agreement} gives no preference to goods of {country} in {country} itself: claim none"
    ),
    "agreement-criterion": Message("{criterion} is no origin criterion of {agreement}, which has {known}"),
    "agreement-not-in-force": Message("{agreement} is in force for {country} only since {since}"),
    "agreement-not-granted": Message(
        "{country} grants no preference under {agreement} to goods of {origin}: correct the country or claim none"
    ),
    "agreement-retroactive": Message(
        "{agreement} allows issue after departureDate for {days} days, and then, with issuedRetroactively, for "
        "{months} months"
    ),
    "agreement-language": Message("under {agreement} goods are described in its languages: {languages}"),
    "value-content": Message("regionalValueContentPercent is below the {least} percent that {agreement} asks for"),
    "agreement-term": Message("a certificate under {agreement} holds {months} months: its last day is {last}"),
}


class CertificateOfOrigin(Document):
    """Certificate of origin: the minimum information of RCEP Annex 3B, as on Form E."""

    certificate_number: Reference | None = Field(
        None, description="Given by the chamber; absent on a merchant's own statement"
    )
    exporter: Party
    producer: Party | None = Field(None, description="Where it is not the exporter")
    consignee: Party | None = None
    origin_country: CountryCode
    import_country: CountryCode
    free_trade_agreement_name: AgreementCode = "NONE"
    origin_criteria: Literal["WO", "PE", "CC", "CTH", "CTSH", "RVC", "CR", "PSR", "NP"]
    hs_code: HsCode
    description: LongText
    quantity: Quantity
    unit_code: UnitCode
    gross_weight_measure: Quantity | None = Field(None, description="Kilograms")
    package_quantity: Annotated[int, Field(gt=0, le=1_000_000)] | None = None
    shipping_marks: Text | None = Field(None, description="Form E, box 6")
    regional_value_content_percent: Percent | None = Field(None, description="Where the criterion is RVC")
    free_on_board_amount: Amount | None = Field(None, description="FOB value; needed where the criterion is RVC")
    currency: CurrencyCode | None = Field(None, description="Of the FOB value")
    invoice_reference: Reference | None = None
    invoice_date: Day | None = None
    departure_date: Day | None = Field(None, description="Form E, box 3, with the next two")
    transport_means: Text | None = Field(None, description="Vessel or flight")
    discharge_port: Text | None = None
    issued_retroactively: StrictBool | None = Field(None, description="Form E, box 13, with the next three")
    for_exhibition: StrictBool | None = None
    is_movement_certificate: StrictBool | None = Field(None, description="Back-to-back, on an earlier certificate")
    third_party_invoicing: StrictBool | None = None
    issue_date: Day
    valid_until: Day | None = Field(None, description="Last day; by itself the last one of the agreement's term")
    attachments: tuple[Attachment, ...] = ()

    @field_validator("free_trade_agreement_name", "origin_criteria", "description", "issue_date")
    @classmethod
    def _fits_its_agreement(cls, value: Any, info: ValidationInfo) -> Any:
        # ``info.data`` holds the fields that stand before this one, so each of the three sees what it depends on, and a
        # fault stands beside the field that has to change.
        stated = {**info.data, str(info.field_name): value}
        agreement = AGREEMENTS.get(stated.get("free_trade_agreement_name", ""))
        if agreement is None or is_read_as_signed(info):
            return value
        exporter = stated.get("exporter")
        claim = PreferenceClaim(
            origin=stated.get("origin_country"),
            importing=stated.get("import_country"),
            exporting=exporter.country_code if isinstance(exporter, Party) else None,
            criterion=stated.get("origin_criteria"),
            issued=stated.get("issue_date"),
            departed=stated.get("departure_date"),
            is_marked=stated.get("issued_retroactively") is True,
            description=stated.get("description"),
        )
        for where, reason, values in contradictions(agreement, claim):
            if where == info.field_name:
                raise fault(reason, _FAULTS[reason].template, **values)
        if info.field_name == "description" and is_in_other_letters(agreement, claim):
            named = {"agreement": agreement.code, "languages": ", ".join(agreement.languages)}
            raise fault("agreement-language", _FAULTS["agreement-language"].template, **named)
        return value

    @field_validator("valid_until")
    @classmethod
    def _ends_with_the_term(cls, value: date | None, info: ValidationInfo) -> date | None:
        issued, agreement = info.data.get("issue_date"), AGREEMENTS.get(info.data.get("free_trade_agreement_name", ""))
        if value is None or issued is None or agreement is None or is_read_as_signed(info):
            return value
        if agreement.term_months is not None and value > (last := last_day(issued, agreement.term_months)):
            named = {"agreement": agreement.code, "months": agreement.term_months, "last": last.isoformat()}
            raise fault("agreement-term", _FAULTS["agreement-term"].template, **named)
        return value

    @model_validator(mode="after")
    def _holds_together(self, info: ValidationInfo) -> Self:
        if self.valid_until is not None and self.valid_until < self.issue_date:
            raise fault("dates", "validUntil lies before issueDate")
        if (self.free_on_board_amount is None) != (self.currency is None):
            raise fault("amount", "freeOnBoardAmount and currency belong together")
        base, mass = in_base_unit(self.quantity, self.unit_code)
        if base == "KGM" and not is_read_as_signed(info) and mass > (self.gross_weight_measure or mass):
            raise fault("mass", "grossWeightMeasure is less than the quantity, which is a mass")
        # RCEP, article 3.5: regional value content is a share of the FOB value.
        lacks_value = self.origin_criteria == "RVC" and self.free_on_board_amount is None
        if lacks_value and self.free_trade_agreement_name != "NONE" and not is_read_as_signed(info):
            raise fault("value", "freeOnBoardAmount is missing: RVC is a share of the FOB value")
        # What is read as signed may name an agreement that is not known here.
        agreement, stated = AGREEMENTS.get(self.free_trade_agreement_name), self.regional_value_content_percent
        least = None if agreement is None else agreement.least_value_content
        is_low = least is not None and stated is not None and stated < least
        if is_low and self.origin_criteria == "RVC" and not is_read_as_signed(info):
            named = {"agreement": self.free_trade_agreement_name, "least": least}
            raise fault("value-content", _FAULTS["value-content"].template, **named)
        return self


_GOODS = ("originCountry", "description", "hsCode", "issueDate", "validUntil")
_PREFERENCE = (
    "certificateNumber",
    "exporter",
    "importCountry",
    "freeTradeAgreementName",
    "originCriteria",
    "quantity",
    "unitCode",
    "departureDate",
    "issuedRetroactively",
)
_VALUE = ("consignee", "invoiceReference", "invoiceDate", "freeOnBoardAmount", "currency")
_TRANSPORT = ("transportMeans", "dischargePort", "packageQuantity", "grossWeightMeasure")

KIND = RecordKind(
    kind=Kind.CERTIFICATE_OF_ORIGIN,
    model=CertificateOfOrigin,
    collection="certificates-of-origin",
    operation="Issue a certificate of origin",
    example={
        "certificateNumber": "ZJ-26-004711",
        "exporter": A_MERCHANT,
        "consignee": A_BUYER,
        "originCountry": "CN",
        "importCountry": "SG",
        "freeTradeAgreementName": "RCEP",
        "originCriteria": "CTH",
        "hsCode": "940521",
        "description": "Table lamp with LED light source, 220-240 V, model MS-L8",
        "quantity": "500",
        "unitCode": "H87",
        "grossWeightMeasure": "240",
        "invoiceReference": "INV-2026-0815",
        "issueDate": "2026-03-31",
        "validUntil": "2027-03-30",
    },
    names="Certificate of origin",
    help="Where the goods were made, certified by a chamber.",
    signing=Signing.CERTIFIED,
    signed_by=frozenset({Role.CHAMBER}),
    segment=Segment.ORIGIN,
    # Also in CertificateBalance.sol, which asks for this bit before it activates a certificate.
    accreditation_bit=1,
    number_field="certificateNumber",
    schema_version=3,
    merchant_field="exporter",
    dates_of_the_past=("issueDate", "invoiceDate"),
    is_bound_to_chapters=True,
    shown_to={
        Audience.PUBLIC_LABEL: _GOODS,
        Audience.BUYER: _GOODS + _PREFERENCE,
        Audience.BANK: _GOODS + _PREFERENCE + _VALUE + _TRANSPORT,
    },
    certification=Certification(
        number_stem="CO",
        signer="Certified by",
        label_text="Origin certified by {issuer}.",
        from_product={
            "description": "description",
            "hs_code": "hsCode",
            "unit_code": "unitCode",
            "origin_country": "originCountry",
        },
    ),
)
