"""What records say: the fields of each kind of document, checked in one place for forms, interface and files.

Certificate, report and declaration stand here; the papers of the trade behind them in ``trade_documents``.
"""

from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, StrictBool, ValidationError, ValidationInfo, model_validator

from backend.domain.codes import AS_SIGNED, CountryCode, CurrencyCode, HsCode, UnitCode, is_read_as_signed
from backend.domain.errors import Invalid
from backend.domain.faults import fault, problems_of
from backend.domain.fields import (
    Amount,
    Attachment,
    Day,
    Document,
    LongText,
    Moment,
    Party,
    Percent,
    Quantity,
    Reference,
    Text,
)
from backend.domain.kinds import Kind
from backend.domain.trade_documents import Invoice, MovementEvent, Order, PaymentReceipt, Waybill


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
    free_trade_agreement_name: Literal["RCEP", "ACFTA", "CHAFTA", "NONE"] = "NONE"
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
    valid_until: Day | None = Field(None, description="Last day; RCEP certificates hold one year")
    attachments: tuple[Attachment, ...] = ()

    @model_validator(mode="after")
    def _holds_together(self, info: ValidationInfo) -> Self:
        if self.valid_until is not None and self.valid_until < self.issue_date:
            raise fault("dates", "validUntil lies before issueDate")
        if (self.free_on_board_amount is None) != (self.currency is None):
            raise fault("amount", "freeOnBoardAmount and currency belong together")
        lacks_value = self.origin_criteria == "RVC" and self.free_on_board_amount is None
        if lacks_value and self.free_trade_agreement_name != "NONE" and not is_read_as_signed(info):
            raise fault("value", "freeOnBoardAmount is missing: RVC is a share of the FOB value")
        return self


class TestResult(Document):
    """One result of an inspection, with its unit and limit (ISO/IEC 17025:2017, 7.8.2.1 m)."""

    __test__ = False  # not a test case for pytest, which looks for names like this one

    characteristic: Text
    value: Text
    unit: Annotated[str, Field(max_length=40)] | None = None
    limit: Text | None = None
    meets_limit: StrictBool | None = None
    measurement_uncertainty: Text | None = None
    by_external_provider: StrictBool | None = Field(None, description="7.8.2.1 p: not measured by this laboratory")

    @property
    def is_bare(self) -> bool:
        """Whether it says no more than pass or fail."""
        return self.value.casefold().strip(" .!。") in _BARE and self.limit is None and self.unit is None


_BARE = {
    "pass",
    "passed",
    "fail",
    "failed",
    "ok",
    "good",
    "yes",
    "no",
    "合格",
    "不合格",
    "通过",
    "不通过",
    "符合",
    "不符合",
}


class InspectionReport(Document):
    """Inspection report with the contents of ISO/IEC 17025:2017, 7.8.2 and 7.8.6; a bare pass or fail is refused."""

    report_number: Reference | None = Field(
        None, description="Given by the laboratory; absent on a merchant's own statement"
    )
    customer: Party
    place_of_activity: Text | None = Field(None, description="Where it was tested, if not at the laboratory")
    item_description: LongText
    item_identification: Reference = Field(description="Lot, batch or sample number")
    hs_code: HsCode
    relates_to: Literal["sample", "lot"] = Field("sample", description="Results hold for the items tested only")
    item_condition: Text | None = None
    received_date: Day | None = None
    sampling_date: Day | None = None
    sampling_plan: Text | None = None
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
    accreditation_scope: Text | None = None
    deviations: Text | None = Field(None, description="From the method")
    authorised_by: Text | None = None
    issue_date: Day
    attachments: tuple[Attachment, ...] = ()

    @model_validator(mode="after")
    def _holds_together(self, info: ValidationInfo) -> Self:
        if not self.performed_from <= self.performed_to <= self.issue_date:
            raise fault("dates", "performedFrom, performedTo and issueDate must follow one another")
        if all(result.is_bare for result in self.results) and not is_read_as_signed(info):
            raise fault("bare_results", "results state no measurement: pass or fail alone is no report")
        return self


class GoodsItem(Document):
    """One line of a declaration; names in brackets are those of China's 9610 list (CEB603)."""

    hs_code: HsCode = Field(description="(gcode)")
    description: Text = Field(description="(gname)")
    quantity: Quantity = Field(description="(qty)")
    unit_code: UnitCode = Field(description="(unit)")
    unit_price: Amount = Field(description="(price)")
    currency: CurrencyCode = Field(description="(currency)")
    origin_country: CountryCode = Field(description="(country)")
    item_number: Reference | None = Field(None, description="The merchant's own (itemNo)")
    item_record_number: Reference | None = Field(None, description="As filed with customs (itemRecordNo)")
    declaration_elements: Text | None = Field(None, description="Make, use, model (gmodel)")
    bar_code: Reference | None = Field(None, description="(barCode)")
    first_legal_quantity: Quantity | None = Field(None, description="(qty1)")
    first_legal_unit_code: UnitCode | None = Field(None, description="(unit1)")
    second_legal_quantity: Quantity | None = Field(None, description="(qty2)")
    second_legal_unit_code: UnitCode | None = Field(None, description="(unit2)")
    total_price: Amount | None = Field(None, description="(totalPrice)")


class NamedRecord(Document):
    """A record that a declaration relies on, bound by the digest of its signed text."""

    id: str
    kind: Literal[
        "certificate-of-origin",
        "inspection-report",
        "invoice",
        "order",
        "payment-receipt",
        "waybill",
        "movement-event",
    ]
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
    port_code: Reference | None = Field(None, description="Port of exit or entry (portCode)")
    movement_date: Day | None = Field(None, description="Day of export or import (ieDate)")
    declarant: Party | None = Field(None, description="Who declares for the merchant (agentCode, agentName)")
    goods_owner: Party | None = Field(None, description="(ownerCode, ownerName)")
    transport_mode_code: Reference | None = Field(None, description="(trafMode)")
    transport_means: Text | None = Field(None, description="(trafName)")
    voyage_reference: Reference | None = Field(None, description="(voyageNo)")
    bill_of_lading_reference: Reference | None = Field(None, description="(billNo)")
    supervised_place_code: Reference | None = Field(None, description="(loctNo)")
    licence_reference: Reference | None = Field(None, description="(licenseNo)")
    port_of_destination: Reference | None = Field(None, description="(POD)")
    freight_amount: Amount | None = Field(None, description="(freight)")
    freight_currency: CurrencyCode | None = Field(None, description="(fCurrency)")
    insurance_amount: Amount | None = Field(None, description="(insuredFee)")
    insurance_currency: CurrencyCode | None = Field(None, description="(iCurrency)")
    package_type: Reference | None = Field(None, description="(wrapType)")
    note: Text | None = Field(None, description="(note)")
    arrival_date_time: Moment | None = Field(
        None, description="When the goods came under customs' control; absent while they are on their way"
    )
    items: tuple[GoodsItem, ...] = Field(min_length=1, max_length=200)
    records: tuple[NamedRecord, ...] = Field((), max_length=50)


AnyDocument = (
    CertificateOfOrigin | InspectionReport | Declaration | Invoice | Order | PaymentReceipt | Waybill | MovementEvent
)

MODELS: dict[Kind, type[Document]] = {
    Kind.CERTIFICATE_OF_ORIGIN: CertificateOfOrigin,
    Kind.INSPECTION_REPORT: InspectionReport,
    Kind.DECLARATION: Declaration,
    Kind.INVOICE: Invoice,
    Kind.ORDER: Order,
    Kind.PAYMENT_RECEIPT: PaymentReceipt,
    Kind.WAYBILL: Waybill,
    Kind.MOVEMENT_EVENT: MovementEvent,
}
SLUGS: dict[Kind, str] = {kind: kind.slug for kind in Kind}
KINDS = {slug: kind for kind, slug in SLUGS.items()}
NUMBERS: dict[Kind, str] = {
    Kind.CERTIFICATE_OF_ORIGIN: "certificateNumber",
    Kind.INSPECTION_REPORT: "reportNumber",
    Kind.INVOICE: "invoiceNumber",
    Kind.ORDER: "orderReference",
    Kind.PAYMENT_RECEIPT: "receiptReference",
    Kind.WAYBILL: "waybillReference",
    Kind.MOVEMENT_EVENT: "eventReference",
}
"""The field that holds the number which the signer gives."""
CREDENTIAL_TYPES: dict[Kind, str] = {kind: model.__name__ for kind, model in MODELS.items()}


def read(kind: Kind, fields: Any) -> AnyDocument:
    """The document that these fields state; raises Invalid with every fault and where it is."""
    try:
        return MODELS[kind].model_validate(fields)  # type: ignore[return-value]
    except ValidationError as error:
        raise Invalid("not a valid {kind}", problems_of(error), kind=SLUGS[kind]) from error


def as_signed(kind: Kind, fields: Any) -> AnyDocument:
    """The document that signed fields state: code lists of today do not make it wrong. Raises Invalid."""
    try:
        return MODELS[kind].model_validate(fields, context=AS_SIGNED)  # type: ignore[return-value]
    except ValidationError as error:
        raise Invalid("not a valid {kind}", problems_of(error), kind=SLUGS[kind]) from error


def fields_of(document: BaseModel) -> dict[str, Any]:
    """The document's fields by their JSON names, without empty ones: what is signed."""
    return document.model_dump(mode="json", by_alias=True, exclude_none=True)


def quantity_of(document: AnyDocument) -> Decimal | None:
    """The quantity that the document's entry carries: only a certificate of origin has one."""
    return document.quantity if isinstance(document, CertificateOfOrigin) else None
