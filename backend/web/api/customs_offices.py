"""Customs offices, their codes, and whom they let act; HS codes by their words."""

from datetime import datetime
from typing import Any

from pydantic import Field

from backend.domain.fields import Instant
from backend.domain.parties import PLACES, CustomsOffice, OfficeDelegation
from backend.services import customs_offices, products
from backend.web.api.shapes import Shape
from backend.web.api.views import auth, blueprint
from backend.web.context import current_context, person


class OfficeInput(Shape):
    """A code that a customs office is to serve."""

    office: str = Field(max_length=60, description="UN/LOCODE such as CNYIU, or the office's national code")
    organisation: str = Field(description="The customs office's id as an organisation")


class OfficeShape(Shape):
    """A customs office's code and who serves it."""

    office: str
    place: str | None = Field(None, description="The place that the code names, where it is known here")
    name: str = Field(description="The organisation's name")
    organisation: str


class OfficeList(Shape):
    """Codes that a declaration may name."""

    offices: list[OfficeShape]


class DelegationInput(Shape):
    """Whom an office lets act on what is declared to it."""

    office: str = Field(max_length=60)
    organisation: str = Field(description="The other customs office's id as an organisation")
    until: Instant = Field(description="At most a year ahead")


class DelegationShape(Shape):
    """A delegation."""

    id: str
    office: str
    name: str = Field(description="Whose officers may act")
    organisation: str
    until: datetime
    made_at: datetime
    ended_at: datetime | None = None


class DelegationList(Shape):
    """Delegations that stand."""

    delegations: list[DelegationShape]


class HeadingShape(Shape):
    """An HS code and what it covers."""

    code: str
    text: str = Field(description="In English, empty where it is not known")
    local_text: str = Field(description="In Chinese, empty where it is not known")


class HeadingList(Shape):
    """Codes that were found."""

    codes: list[HeadingShape]


class HeadingQuery(Shape):
    """What is looked for."""

    q: str = Field(max_length=100, description="Words in Chinese or English, or the beginning of a code")
    limit: int = Field(20, ge=1, le=100)


@blueprint.get("/hs-codes")
@blueprint.auth_required(auth)
@blueprint.input(HeadingQuery, location="query", arg_name="query")
@blueprint.output(HeadingList)
@blueprint.doc(summary="Look up HS codes", tags=["Everybody"], responses=[401, 422])
def list_hs_codes(query: HeadingQuery) -> dict[str, Any]:
    """Subheadings and national codes for words in Chinese or English, or for the beginning of a code."""
    found = products.find_headings(current_context(), query.q, query.limit)
    return {"codes": [{"code": one.code, "text": one.text, "localText": one.local_text} for one in found]}


@blueprint.get("/customs-offices")
@blueprint.auth_required(auth)
@blueprint.output(OfficeList)
@blueprint.doc(summary="List customs offices", tags=["Everybody"], responses=[401])
def list_customs_offices() -> dict[str, Any]:
    """The codes that a declaration may name as its customs office, and who serves them."""
    return {"offices": [_office(one) for one in customs_offices.all_offices(current_context())]}


@blueprint.post("/customs-offices")
@blueprint.auth_required(auth)
@blueprint.input(OfficeInput, location="json", arg_name="body")
@blueprint.output(OfficeShape, status_code=201)
@blueprint.doc(summary="Give an office a code", tags=["Authority"], responses=[401, 403, 404, 409, 422])
def post_customs_office(body: OfficeInput) -> dict[str, Any]:
    """Let a customs office that has joined serve another code. Needs the authority's token."""
    return _office(customs_offices.add_code(current_context(), person(), body.organisation, body.office))


def _office(office: CustomsOffice) -> dict[str, Any]:
    return {
        "office": office.code,
        "place": PLACES.get(office.code),
        "name": office.organisation.name,
        "organisation": office.organisation.id,
    }


@blueprint.get("/office-delegations")
@blueprint.auth_required(auth)
@blueprint.output(DelegationList)
@blueprint.doc(summary="List delegations", tags=["Authority", "Customs"], responses=[401, 403])
def list_office_delegations() -> dict[str, Any]:
    """What your office lets others act on, and others let yours; for the authority all. Only what stands now."""
    return {"delegations": [_delegation(one) for one in customs_offices.delegations(current_context(), person())]}


@blueprint.post("/office-delegations")
@blueprint.auth_required(auth)
@blueprint.input(DelegationInput, location="json", arg_name="body")
@blueprint.output(DelegationShape, status_code=201)
@blueprint.doc(summary="Delegate to another office", tags=["Authority", "Customs"], responses=[401, 403, 404, 409, 422])
def post_office_delegation(body: DelegationInput) -> dict[str, Any]:
    """Let another office's officers read and decide what is declared to yours, until a moment."""
    made = customs_offices.delegate(current_context(), person(), body.office, body.organisation, body.until)
    return _delegation(made)


@blueprint.post("/office-delegations/<delegation_id>/end")
@blueprint.auth_required(auth)
@blueprint.output(DelegationShape, status_code=201)
@blueprint.doc(summary="End a delegation", tags=["Authority", "Customs"], responses=[401, 403, 404, 409])
def post_office_delegation_end(delegation_id: str) -> dict[str, Any]:
    """Take a delegation back at once."""
    return _delegation(customs_offices.end_delegation(current_context(), person(), delegation_id))


def _delegation(delegation: OfficeDelegation) -> dict[str, Any]:
    return {
        "id": delegation.id,
        "office": delegation.code,
        "name": delegation.organisation.name,
        "organisation": delegation.organisation.id,
        "until": delegation.until,
        "madeAt": delegation.made_at,
        "endedAt": delegation.ended_at,
    }
