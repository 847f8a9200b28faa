"""The phytosanitary certificate: a plant protection organization certifies that plants are free from pests."""

from datetime import date

from pydantic import Field, ValidationInfo, field_validator

from backend.domain.fields import (
    Attachment,
    CountryCode,
    Day,
    Document,
    HsCode,
    LongText,
    Packages,
    Party,
    Quantity,
    Reference,
    Text,
    UnitCode,
    fault,
)
from backend.domain.kinds.base import (
    A_BUYER,
    A_MERCHANT,
    Audience,
    Certification,
    FieldWords,
    Kind,
    RecordKind,
    Segment,
    Signing,
)
from backend.domain.parties import Role


class PhytosanitaryCertificate(Document):
    """Phytosanitary certificate with the contents of the model in ISPM 12, annex 1 (IPPC)."""

    certificate_number: Reference | None = Field(
        None, description="Given by the plant protection organization; absent on a merchant's own statement"
    )
    exporter: Party
    consignee: Party = Field(description="Declared name and address")
    origin_country: CountryCode
    place_of_origin: Text | None = None
    import_country: CountryCode = Field(description="To the plant protection organization of")
    transport_means: Text | None = Field(None, description="Declared means of conveyance")
    point_of_entry: Text | None = Field(None, description="Declared point of entry")
    description: LongText = Field(description="Name of produce")
    botanical_name: Text = Field(description="Botanical name of plants")
    hs_code: HsCode
    quantity: Quantity = Field(description="Quantity declared")
    unit_code: UnitCode
    package_quantity: Packages | None = None
    shipping_marks: Text | None = Field(None, description="Distinguishing marks")
    inspection_date: Day
    treatment: LongText | None = Field(
        None, description="Disinfestation or disinfection: chemical, concentration, duration and temperature"
    )
    treatment_date: Day | None = None
    additional_declaration: LongText | None = Field(None, description="What the importing country asks for")
    authorised_by: Text | None = Field(None, description="Name of the authorized officer")
    issue_date: Day
    attachments: tuple[Attachment, ...] = ()

    @field_validator("issue_date")
    @classmethod
    def _follows_the_inspection(cls, issued: date, info: ValidationInfo) -> date:
        inspected = info.data.get("inspection_date")
        if inspected is not None and issued < inspected:
            raise fault("dates", "must not lie before inspectionDate")
        return issued


_GOODS = ("originCountry", "description", "botanicalName", "hsCode", "inspectionDate", "treatment", "issueDate")
_CERTIFIED = ("certificateNumber", "exporter", "importCountry", "quantity", "unitCode", "additionalDeclaration")

KIND = RecordKind(
    kind=Kind.PHYTOSANITARY_CERTIFICATE,
    model=PhytosanitaryCertificate,
    collection="phytosanitary-certificates",
    operation="Issue a phytosanitary certificate",
    example={
        "certificateNumber": "PC-26-000341",
        "exporter": A_MERCHANT,
        "consignee": A_BUYER,
        "originCountry": "CN",
        "placeOfOrigin": "Huangyan, Zhejiang",
        "importCountry": "SG",
        "description": "Fresh mandarins",
        "botanicalName": "Citrus reticulata Blanco",
        "hsCode": "080521",
        "quantity": "1200",
        "unitCode": "KGM",
        "packageQuantity": 120,
        "inspectionDate": "2026-02-26",
        "treatment": "Cold treatment at 1 °C for 14 days",
        "treatmentDate": "2026-02-12",
        "issueDate": "2026-02-27",
    },
    names="Phytosanitary certificate",
    help="That plants are free from pests, certified by a plant protection organization.",
    signing=Signing.CERTIFIED,
    signed_by=frozenset({Role.PLANT_PROTECTION}),
    segment=Segment.OTHER,
    # The ledger has eight bits for kinds; this is the one that no number of a kind could ever claim as its own.
    accreditation_bit=0,
    number_field="certificateNumber",
    schema_version=2,
    merchant_field="exporter",
    dates_of_the_past=("inspectionDate", "treatmentDate", "issueDate"),
    is_bound_to_chapters=True,
    shown_to={
        Audience.PUBLIC_LABEL: _GOODS,
        Audience.BUYER: _GOODS + _CERTIFIED,
        Audience.BANK: (*_GOODS, *_CERTIFIED, "consignee"),
    },
    certification=Certification(
        number_stem="PC",
        signer="Certified by",
        label_text="Plant health certified by {issuer}.",
        from_product={
            "description": "description",
            "hs_code": "hsCode",
            "unit_code": "unitCode",
            "origin_country": "originCountry",
        },
        set_by_issuer=("authorisedBy",),
    ),
    words={
        "botanicalName": FieldWords(
            "Botanical name",
            "the scientific name of the plants",
            "'Citrus reticulata Blanco'",
        ),
        "inspectionDate": FieldWords(
            "Inspected on",
            "the day on which the plants were inspected",
            "2026-02-26",
        ),
        "treatment": FieldWords(
            "Treatment",
            "what was done against pests: chemical, concentration, duration, temperature",
            "'Cold treatment at 1 °C for 14 days'",
        ),
        "treatmentDate": FieldWords(
            "Treated on",
            "the day on which the treatment began",
            "2026-02-12",
        ),
        "placeOfOrigin": FieldWords(
            "Place of origin",
            "where the plants were grown",
            "'Huangyan, Zhejiang'",
        ),
        "pointOfEntry": FieldWords(
            "Point of entry",
            "where the plants enter the importing country",
            "'Singapore'",
        ),
        "additionalDeclaration": FieldWords(
            "Additional declaration",
            "what the importing country asks to have certified",
            "'Free from Bactrocera dorsalis'",
        ),
    },
)
