"""What records say: the fields of each kind of document, checked in one place for forms, interface and files.

Field names are the UN/CEFACT vocabulary's where it has one. Quantities, weights and prices are decimals written as
strings, so that no reader rounds them.
"""

import re
import unicodedata
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StrictBool,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from backend.domain.codes import CountryCode, CurrencyCode, HsCode, UnitCode
from backend.domain.errors import Invalid
from backend.domain.kinds import Kind


def _plain_text(text: str) -> str:
    text = unicodedata.normalize("NFC", text)
    if any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co") and c not in "\n\t" for c in text):
        raise PydanticCustomError("hidden_characters", "the text holds characters that cannot be seen")
    return text


def _from_text(value: Any) -> Any:
    # A float has lost digits already; whole numbers and strings have not.
    if isinstance(value, float) and not value.is_integer():
        return repr(value)
    return value


def _day(value: Any) -> Any:
    # A date-time is no date: which day it is depends on the reader's zone.
    if isinstance(value, datetime) or (isinstance(value, str) and not re.fullmatch(r"\s*\d{4}-\d\d-\d\d\s*", value)):
        raise PydanticCustomError("day", "Input should be a valid date: year-month-day, such as 2026-03-31")
    return value


def _decimal_text(value: Decimal) -> str:
    return f"{value.normalize():f}"


Text = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_plain_text)]
LongText = Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(_plain_text)]
Reference = Annotated[str, Field(min_length=1, max_length=60), AfterValidator(_plain_text)]
Day = Annotated[date, BeforeValidator(_day)]
Quantity = Annotated[
    Decimal,
    BeforeValidator(_from_text),
    Field(gt=0, max_digits=18, decimal_places=3),
    PlainSerializer(_decimal_text, return_type=str),
]
Amount = Annotated[
    Decimal,
    BeforeValidator(_from_text),
    Field(ge=0, max_digits=18, decimal_places=4),
    PlainSerializer(_decimal_text, return_type=str),
]


class Document(BaseModel):
    """A document's fields: unknown ones are refused, text is trimmed, JSON names are in camelCase."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        str_strip_whitespace=True,
    )


class Party(Document):
    """A company or person named in a document."""

    name: Text
    postal_address: Text | None = None
    country_code: CountryCode | None = None
    identifier: Reference | None = Field(None, description="Company number, for China the 18-character USCC")


class Attachment(Document):
    """A file bound to a record by digest and size."""

    file_name: Text
    media_type: Literal["application/pdf"] = "application/pdf"
    size: int = Field(gt=0, description="Bytes")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class CertificateOfOrigin(Document):
    """Certificate of origin: the minimum information of RCEP Annex 3B, as on Form E."""

    certificate_number: Reference | None = Field(
        None, description="Given by the chamber; absent on a merchant's own statement"
    )
    exporter: Party
    consignee: Party | None = None
    origin_country: CountryCode
    import_country: CountryCode
    free_trade_agreement_name: Literal["RCEP", "ACFTA", "CHAFTA", "NONE"] = "NONE"
    origin_criteria: Literal["WO", "PE", "CC", "CTH", "CTSH", "RVC", "CR", "PSR", "NP"]
    hs_code: HsCode
    description: LongText
    quantity: Quantity
    unit_code: UnitCode
    gross_weight_measure: Quantity | None = Field(None, description="Kilograms")
    invoice_reference: Reference | None = None
    issue_date: Day
    valid_until: Day | None = Field(None, description="Last day; RCEP certificates hold one year")
    attachments: tuple[Attachment, ...] = ()

    @model_validator(mode="after")
    def _dates_in_order(self) -> Self:
        if self.valid_until is not None and self.valid_until < self.issue_date:
            raise PydanticCustomError("dates", "validUntil lies before issueDate")
        return self


class TestResult(Document):
    """One result of an inspection, with its unit and limit (ISO/IEC 17025:2017, 7.8.2.1 m)."""

    __test__ = False  # not a test case for pytest, which looks for names like this one

    characteristic: Text
    value: Text
    unit: Annotated[str, Field(max_length=40)] | None = None
    limit: Text | None = None
    meets_limit: StrictBool | None = None


class InspectionReport(Document):
    """Inspection report with the contents of ISO/IEC 17025:2017, 7.8.2 and 7.8.6; a bare pass or fail is refused."""

    report_number: Reference | None = Field(
        None, description="Given by the laboratory; absent on a merchant's own statement"
    )
    customer: Party
    item_description: LongText
    item_identification: Reference = Field(description="Lot, batch or sample number")
    hs_code: HsCode
    relates_to: Literal["sample", "lot"] = Field("sample", description="Results hold for the items tested only")
    performed_from: Day
    performed_to: Day
    method: Text = Field(description="Standard or method used")
    results: tuple[TestResult, ...] = Field(min_length=1, max_length=100)
    specification: Text = Field(description="What conformity is stated with")
    decision_rule: Text = Field(description="ISO/IEC 17025:2017, 7.8.6: how uncertainty was taken into account")
    conforms: StrictBool
    accreditation_number: Reference | None = Field(
        None, description="CNAS, CMA or other accreditation of the laboratory"
    )
    authorised_by: Text | None = None
    issue_date: Day
    attachments: tuple[Attachment, ...] = ()

    @model_validator(mode="after")
    def _dates_in_order(self) -> Self:
        if not self.performed_from <= self.performed_to <= self.issue_date:
            raise PydanticCustomError("dates", "performedFrom, performedTo and issueDate must follow one another")
        return self


class GoodsItem(Document):
    """One line of a declaration."""

    hs_code: HsCode
    description: Text
    quantity: Quantity
    unit_code: UnitCode
    unit_price: Amount
    currency: CurrencyCode
    origin_country: CountryCode


class NamedRecord(Document):
    """A record that a declaration relies on, bound by the digest of its signed text."""

    id: str
    kind: Literal["certificate-of-origin", "inspection-report", "invoice"]
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Declaration(Document):
    """Declaration of a consignment, with the fields of China's 9610 list (CEB603)."""

    declaration_reference: Reference = Field(description="The declarant's own number (copNo)")
    customs_office: Reference = Field(description="Code of the customs office (customsCode)")
    previous_procedure_type_code: Literal["9610", "9710", "9810"] = Field("9610", description="Trade mode (tradeMode)")
    direction: Literal["export", "import"] = "export"
    merchant: Party = Field(description="ebcCode, ebcName")
    platform_name: Text | None = Field(None, description="ebpName")
    order_reference: Reference = Field(description="orderNo")
    waybill_reference: Reference = Field(description="logisticsNo")
    carrier_name: Text | None = Field(None, description="logisticsName")
    destination_country: CountryCode = Field(description="country")
    package_quantity: Annotated[int, Field(gt=0, le=1_000_000)] = Field(1, description="packNo")
    gross_weight_measure: Quantity = Field(description="Kilograms (grossWeight)")
    net_weight_measure: Quantity | None = Field(None, description="Kilograms (netWeight)")
    arrival_date_time: AwareDatetime | None = Field(
        None, description="When the goods came under customs' control; absent while they are on their way"
    )
    items: tuple[GoodsItem, ...] = Field(min_length=1, max_length=200)
    records: tuple[NamedRecord, ...] = Field((), max_length=50)


class InvoiceLine(Document):
    """One line of an invoice."""

    description: LongText
    quantity: Quantity
    unit_code: UnitCode
    amount: Amount
    hs_code: HsCode | None = None


class Invoice(Document):
    """Commercial invoice."""

    invoice_number: Reference
    seller: Party
    buyer: Party
    issue_date: Day
    currency: CurrencyCode
    total_amount: Amount
    destination_country: CountryCode | None = None
    items: tuple[InvoiceLine, ...] = Field(min_length=1, max_length=200)
    attachments: tuple[Attachment, ...] = ()


AnyDocument = CertificateOfOrigin | InspectionReport | Declaration | Invoice

MODELS: dict[Kind, type[Document]] = {
    Kind.CERTIFICATE_OF_ORIGIN: CertificateOfOrigin,
    Kind.INSPECTION_REPORT: InspectionReport,
    Kind.DECLARATION: Declaration,
    Kind.INVOICE: Invoice,
}
SLUGS: dict[Kind, str] = {
    Kind.CERTIFICATE_OF_ORIGIN: "certificate-of-origin",
    Kind.INSPECTION_REPORT: "inspection-report",
    Kind.DECLARATION: "declaration",
    Kind.INVOICE: "invoice",
}
KINDS = {slug: kind for kind, slug in SLUGS.items()}
CREDENTIAL_TYPES: dict[Kind, str] = {
    Kind.CERTIFICATE_OF_ORIGIN: "CertificateOfOrigin",
    Kind.INSPECTION_REPORT: "InspectionReport",
    Kind.DECLARATION: "Declaration",
    Kind.INVOICE: "Invoice",
}


def read(kind: Kind, fields: Any) -> AnyDocument:
    """The document that these fields state; raises Invalid with every fault and where it is."""
    try:
        return MODELS[kind].model_validate(fields)  # type: ignore[return-value]
    except ValidationError as error:
        raise Invalid(f"not a valid {SLUGS[kind]}", problems_of(error)) from error


def problems_of(error: ValidationError) -> list[tuple[str, str]]:
    """(where, what) for each fault, where as a dotted path of JSON names."""
    faults = error.errors(include_url=False, include_input=False)
    places = [fault["loc"] for fault in faults]
    return [
        (".".join(str(to_camel(part) if isinstance(part, str) else part) for part in fault["loc"]), _what(fault))
        for fault in faults
        if not _follows_from_others(fault["type"], fault["loc"], places)
    ]


def _follows_from_others(kind: str, place: tuple[int | str, ...], places: list[tuple[int | str, ...]]) -> bool:
    """A list whose every line is faulty is reported as too short as well: that tells nobody anything."""
    return kind == "too_short" and any(len(other) > len(place) and other[: len(place)] == place for other in places)


def _what(fault: Any) -> str:
    if fault["type"] == "missing":
        return "is missing"
    if fault["type"] == "extra_forbidden":
        return "is not a field of this document"
    return str(fault["msg"])


def fields_of(document: BaseModel) -> dict[str, Any]:
    """The document's fields by their JSON names, without empty ones: what is signed."""
    return document.model_dump(mode="json", by_alias=True, exclude_none=True)


def quantity_of(document: AnyDocument) -> Decimal | None:
    """The quantity that the document's entry carries: only a certificate of origin has one."""
    return document.quantity if isinstance(document, CertificateOfOrigin) else None
