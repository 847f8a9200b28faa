"""Reading and writing what records say: one place for forms, interface and files.

The fields of each kind stand in ``backend.domain.kinds``, a module a kind.
"""

from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.alias_generators import to_camel

from backend.domain.codes import AS_SIGNED
from backend.domain.errors import Invalid
from backend.domain.fields import Document
from backend.domain.kinds import KINDS, Kind
from backend.domain.kinds.certificate_of_origin import CertificateOfOrigin


def read(kind: Kind, fields: Any) -> Document:
    """The document that these fields state; raises Invalid with every fault and where it is."""
    try:
        return KINDS[kind].model.model_validate(fields)
    except ValidationError as error:
        raise Invalid("not a valid {kind}", problems_of(error), kind=kind.slug) from error


def as_signed(kind: Kind, fields: Any) -> Document:
    """The document that signed fields state: code lists of today do not make it wrong. Raises Invalid."""
    try:
        return KINDS[kind].model.model_validate(fields, context=AS_SIGNED)
    except ValidationError as error:
        raise Invalid("not a valid {kind}", problems_of(error), kind=kind.slug) from error


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


def quantity_of(document: Document) -> Decimal | None:
    """The quantity that the document's entry carries: only a certificate of origin has one."""
    return document.quantity if isinstance(document, CertificateOfOrigin) else None
