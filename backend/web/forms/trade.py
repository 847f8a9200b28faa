"""The forms for the papers of the trade: invoice, order, payment receipt, waybill, movement of the goods."""

from flask_babel import lazy_gettext as _
from wtforms import FieldList, Form, FormField

from backend.domain.kinds import Kind
from backend.web.forms import choices
from backend.web.forms.base import (
    ChoiceField,
    CountryField,
    CurrencyField,
    DayField,
    LongField,
    MomentField,
    NumberField,
    PaperForm,
    Row,
    TextField,
)
from backend.web.forms.documents import PartyPart
from backend.web.presentation import field_names

_CHINA_TIME = _("China time.")


class OptionalParty(Form):
    """A company, as far as the paper names one."""

    name = TextField(_("Name"), optional=True)
    country_code = CountryField(_("Country"), optional=True)
    identifier = TextField(_("Company number"), optional=True)


class TradeRow(Row):
    """One line of an order or an invoice."""

    preset = frozenset({"unit_code"})
    description = TextField(_("Goods"))
    quantity = NumberField(_("Quantity"))
    unit_code = ChoiceField(_("Unit"), choices=choices.unit_choices, default="H87")
    amount = NumberField(_("Amount"))


class InvoiceForm(PaperForm):
    """A commercial invoice."""

    invoice_number = TextField(_("Invoice number"))
    issue_date = DayField(_("Date"))
    seller = FormField(PartyPart, _("Seller"))
    buyer = FormField(PartyPart, _("Buyer"))
    currency = CurrencyField(_("Currency"), default="USD")
    total_amount = NumberField(_("Total"))
    order_reference = TextField(_("Order number"), optional=True)
    destination_country = CountryField(_("Destination"), optional=True)
    items = FieldList(FormField(TradeRow), _("Goods"))


class OrderForm(PaperForm):
    """An order, as the merchant or its platform took it."""

    order_reference = TextField(_("Order number"))
    order_date = DayField(_("Date of the order"))
    platform_name = TextField(_("Sales platform"), optional=True)
    seller = FormField(PartyPart, _("Seller"))
    buyer = FormField(OptionalParty, _("Buyer"))
    currency = CurrencyField(_("Currency"), default="USD")
    total_amount = NumberField(_("Total"), description=_("Goods, freight and discount together."))
    destination_country = CountryField(_("Destination"), optional=True)
    items = FieldList(FormField(TradeRow), _("Goods"))


class ReceiptForm(PaperForm):
    """A receipt of the money for an order."""

    receipt_reference = TextField(_("Payment number"))
    order_reference = TextField(_("Order number"))
    payment_service_name = TextField(_("Payment service"), optional=True)
    payee = FormField(PartyPart, _("Paid to"))
    payer = FormField(OptionalParty, _("Paid by"))
    amount = NumberField(_("Amount"))
    currency = CurrencyField(_("Currency"), default="USD")
    paid_date_time = MomentField(_("Paid at"), description=_CHINA_TIME)


class WaybillForm(PaperForm):
    """A carrier's waybill."""

    waybill_reference = TextField(_("Waybill number"))
    issue_date = DayField(_("Date"))
    carrier = FormField(PartyPart, _("Carrier"))
    consignor = FormField(PartyPart, _("Consignor"))
    consignee = FormField(OptionalParty, _("Consignee"))
    order_reference = TextField(_("Order number"), optional=True)
    transport_mode_code = ChoiceField(_("Mode of transport"), choices=field_names.transport_modes, optional=True)
    transport_means = TextField(_("Vessel, flight or vehicle"), optional=True)
    destination_country = CountryField(_("Destination"))
    description = LongField(_("Description of the goods"))
    package_quantity = NumberField(_("Packages"), default="1")
    gross_weight_measure = NumberField(_("Gross weight, kg"))


class MovementForm(PaperForm):
    """What happened to goods on their way."""

    event_reference = TextField(_("Event number"), description=_("Your own number for it."))
    event_type = ChoiceField(_("What happened"), choices=field_names.event_types)
    event_date_time = MomentField(_("When"), description=_CHINA_TIME)
    location_name = TextField(_("Where"), description=_("Airport, port, warehouse or gate."))
    location_country = CountryField(_("Country"), default="CN")
    waybill_reference = TextField(_("Waybill number"), optional=True)
    order_reference = TextField(_("Order number"), optional=True)
    transport_means = TextField(_("Vessel, flight or vehicle"), optional=True)
    package_quantity = NumberField(_("Packages"), optional=True)


FORMS: dict[Kind, type[PaperForm]] = {
    Kind.ORDER: OrderForm,
    Kind.PAYMENT_RECEIPT: ReceiptForm,
    Kind.WAYBILL: WaybillForm,
    Kind.INVOICE: InvoiceForm,
    Kind.MOVEMENT_EVENT: MovementForm,
}
"""In the order in which a sale leaves them."""
OWN_PARTY = {
    Kind.ORDER: "seller",
    Kind.PAYMENT_RECEIPT: "payee",
    Kind.WAYBILL: "consignor",
    Kind.INVOICE: "seller",
}
"""Where the merchant itself stands on each."""
