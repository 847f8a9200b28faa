"""The papers of the trade behind a declaration, signed by the merchant."""

from typing import Any

from backend.domain.documents import fields_of
from backend.domain.fields import Document
from backend.domain.kinds import Kind
from backend.domain.trade_documents import Invoice, MovementEvent, Order, PaymentReceipt, Waybill
from backend.services import statements
from backend.web.api import views
from backend.web.api.access import auth, idempotency_key
from backend.web.api.interface import blueprint
from backend.web.api.shapes import RecordReceipt
from backend.web.auth import person
from backend.web.context import current_context


@blueprint.post("/invoices")
@blueprint.auth_required(auth)
@blueprint.input(Invoice, location="json", arg_name="document")
@blueprint.output(RecordReceipt, status_code=201)
@blueprint.doc(summary="Sign an invoice", tags=["Merchants"], responses=[401, 403, 409, 422])
def post_invoice(document: Invoice) -> dict[str, Any]:
    """A merchant signs its own invoice. Needs a merchant's token."""
    return _signed(Kind.INVOICE, document)


@blueprint.post("/orders")
@blueprint.auth_required(auth)
@blueprint.input(Order, location="json", arg_name="document")
@blueprint.output(RecordReceipt, status_code=201)
@blueprint.doc(summary="Sign an order", tags=["Merchants"], responses=[401, 403, 409, 422])
def post_order(document: Order) -> dict[str, Any]:
    """A merchant signs an order as it or its platform took it. Needs a merchant's token."""
    return _signed(Kind.ORDER, document)


@blueprint.post("/payment-receipts")
@blueprint.auth_required(auth)
@blueprint.input(PaymentReceipt, location="json", arg_name="document")
@blueprint.output(RecordReceipt, status_code=201)
@blueprint.doc(summary="Sign a payment receipt", tags=["Merchants"], responses=[401, 403, 409, 422])
def post_payment_receipt(document: PaymentReceipt) -> dict[str, Any]:
    """A merchant signs a receipt of the money for an order. Needs a merchant's token."""
    return _signed(Kind.PAYMENT_RECEIPT, document)


@blueprint.post("/waybills")
@blueprint.auth_required(auth)
@blueprint.input(Waybill, location="json", arg_name="document")
@blueprint.output(RecordReceipt, status_code=201)
@blueprint.doc(summary="Sign a waybill", tags=["Merchants"], responses=[401, 403, 409, 422])
def post_waybill(document: Waybill) -> dict[str, Any]:
    """A merchant signs a waybill of goods it sends. Needs a merchant's token."""
    return _signed(Kind.WAYBILL, document)


@blueprint.post("/movement-events")
@blueprint.auth_required(auth)
@blueprint.input(MovementEvent, location="json", arg_name="document")
@blueprint.output(RecordReceipt, status_code=201)
@blueprint.doc(summary="Sign a movement event", tags=["Merchants"], responses=[401, 403, 409, 422])
def post_movement_event(document: MovementEvent) -> dict[str, Any]:
    """A merchant signs what happened to its goods on their way. Needs a merchant's token."""
    return _signed(Kind.MOVEMENT_EVENT, document)


def _signed(kind: Kind, document: Document) -> dict[str, Any]:
    return views.receipt(statements.sign_own(current_context(), person(), kind, fields_of(document), idempotency_key()))
