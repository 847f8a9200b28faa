"""A merchant's products, from which records can be filled in."""

from typing import Annotated
from uuid import uuid4

from pydantic import Field, ValidationError

from backend.domain.errors import Invalid, NotAllowed
from backend.domain.fields import CountryCode, Document, HsCode, LongText, Text, UnitCode, problems_of
from backend.domain.parties import Person, Role
from backend.domain.records import Product
from backend.services.ports import AppContext


class ProductFields(Document):
    """What a merchant says of a product."""

    name: Text
    local_name: Text | None = None
    hs_code: HsCode
    unit_code: UnitCode = "H87"
    origin_country: CountryCode = "CN"
    description: LongText
    gtin: Annotated[str, Field(pattern="^([0-9]{8}|[0-9]{12,14})$")] | None = None


def add_product(ctx: AppContext, actor: Person, fields: object) -> Product:
    """Store a new product of the actor's organisation.

    Raises:
        NotAllowed: The actor is not a merchant.
        Invalid: Fields are wrong. All faults are listed.
    """
    if actor.role is not Role.MERCHANT:
        raise NotAllowed("only merchants keep products")
    try:
        checked = ProductFields.model_validate(fields)
    except ValidationError as error:
        raise Invalid("not a valid product", problems_of(error)) from error
    with ctx.work() as work:
        merchant = work.organisations.get(actor.organisation.id)
        product = Product(id=str(uuid4()), merchant=merchant, added_at=ctx.now(), **checked.model_dump())
        work.add(product)
        work.commit()
    return product
