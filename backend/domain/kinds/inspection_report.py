"""The inspection report: a laboratory states what it measured."""

from typing import Annotated, Literal, Self

from pydantic import Field, StrictBool, ValidationInfo, model_validator

from backend.domain.fields import (
    Attachment,
    Day,
    Document,
    HsCode,
    LongText,
    Party,
    Reference,
    Text,
    fault,
    is_read_as_signed,
)
from backend.domain.kinds.base import A_MERCHANT, Audience, Certification, Kind, RecordKind, Segment, Signing
from backend.domain.parties import Role


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


RESULT_COLUMNS = {
    "characteristic": ("Characteristic", "characteristic", "test", "检验项目", "检测项目", "项目"),
    "value": ("Result", "value", "检验结果", "检测结果", "实测值"),
    "unit": ("Unit", "unit", "计量单位"),
    "limit": ("Limit", "limit", "标准要求", "技术要求", "requirement"),
    "meets_limit": ("Within limit", "meetsLimit", "单项判定", "单项结论", "conclusion"),
}
"""How laboratories head the columns of their results; the first name of each is its label on pages."""
MEETS = {"yes", "true", "pass", "passed", "是", "合格", "符合", "p"}
FAILS = {"no", "false", "fail", "failed", "否", "不合格", "不符合", "f"}
"""How laboratories say of one result whether it is within its limit, in small letters."""


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
        is_beyond = any(result.meets_limit is False for result in self.results)
        if self.conforms and is_beyond and not is_read_as_signed(info):
            raise fault("conformity", "conforms is true, and a result does not meet its limit: one of the two is wrong")
        return self


class TestOrder(Document):
    """What a merchant asks a laboratory to test. It states no results: these are the laboratory's own (7.8)."""

    __test__ = False

    customer: Party
    item_description: LongText
    item_identification: Reference = Field(description="Lot, batch or sample number")
    hs_code: HsCode
    sample: Text | None = Field(None, description="How many samples there are, and how they reach the laboratory")
    tests_wanted: LongText = Field(description="Characteristics or tests")
    specification: Text = Field(description="The standard that conformity is to be stated with")
    fee_note: Text | None = Field(None, description="Who pays the fee, under which quotation")
    note: LongText | None = None
    attachments: tuple[Attachment, ...] = ()


_GOODS = (
    "itemDescription",
    "hsCode",
    "conforms",
    "specification",
    "performedFrom",
    "performedTo",
    "issueDate",
)
_TEST = (
    "reportNumber",
    "itemIdentification",
    "method",
    "results",
    "relatesTo",
    "decisionRule",
    "accreditationNumber",
    "authorisedBy",
)

KIND = RecordKind(
    kind=Kind.INSPECTION_REPORT,
    model=InspectionReport,
    collection="inspection-reports",
    operation="Issue an inspection report",
    example={
        "reportNumber": "QT-26-004711",
        "customer": A_MERCHANT,
        "itemDescription": "LED desk lamp, 8 W, model MS-L8",
        "itemIdentification": "LOT-26-014",
        "hsCode": "940521",
        "relatesTo": "lot",
        "performedFrom": "2026-03-23",
        "performedTo": "2026-03-27",
        "method": "IEC 60598-2-4:2017",
        "results": [
            {"characteristic": "Leakage current", "value": "0.08", "unit": "mA", "limit": "≤ 0.7", "meetsLimit": True}
        ],
        "specification": "EN IEC 60598-1:2021",
        "decisionRule": "Simple acceptance, ILAC-G8:09/2019, 4.2.1",
        "conforms": True,
        "issueDate": "2026-03-31",
    },
    names="Inspection report",
    help="What a laboratory measured on the goods.",
    signing=Signing.CERTIFIED,
    signed_by=frozenset({Role.LABORATORY}),
    segment=Segment.INSPECTION,
    accreditation_bit=2,
    number_field="reportNumber",
    schema_version=2,
    merchant_field="customer",
    dates_of_the_past=("receivedDate", "samplingDate", "performedFrom", "performedTo", "issueDate"),
    is_bound_to_chapters=True,
    shown_to={
        Audience.PUBLIC_LABEL: _GOODS,
        Audience.BUYER: _GOODS + _TEST,
        Audience.BANK: (*_GOODS, "reportNumber", "itemIdentification", "customer"),
    },
    certification=Certification(
        number_stem="IR",
        signer="Inspected by",
        label_text="Inspected by {issuer}.",
        from_product={"description": "itemDescription", "hs_code": "hsCode"},
        set_by_issuer=("accreditationNumber", "authorisedBy"),
        order=TestOrder,
    ),
)
