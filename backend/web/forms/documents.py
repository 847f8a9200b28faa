"""The forms for a product, a certificate of origin, an inspection report and a declaration."""

from flask_babel import lazy_gettext as _
from wtforms import FieldList, Form, FormField

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
    YesNoField,
    yes_or_no,
)

_HS_HELP = _("6 to 13 digits, with or without dots.")
_COUNTRY_HELP = _("Type the first letters of the name, in Chinese or English, or the code.")


class ProductForm(PaperForm):
    """A product, to fill forms from."""

    name = TextField(_("Name in English"), description=_("As it should read on papers."))
    local_name = TextField(_("Name in Chinese"), optional=True)
    hs_code = TextField(_("HS code"), description=_HS_HELP)
    unit_code = ChoiceField(_("Unit"), choices=choices.unit_choices, default="H87")
    origin_country = CountryField(_("Made in"), default="CN", description=_COUNTRY_HELP)
    description = LongField(
        _("Description of the goods"), description=_("Material, use, model: what an officer needs to tell them apart.")
    )
    gtin = TextField(_("GTIN (bar code)"), optional=True)


class PartyPart(Form):
    """A company."""

    name = TextField(_("Name"))
    postal_address = TextField(_("Address"), optional=True)
    country_code = CountryField(_("Country"), optional=True)
    identifier = TextField(_("Company number"), optional=True, description=_("In China the 18-character USCC."))


class ConsigneePart(Form):
    """The buyer, as far as the certificate names one."""

    name = TextField(_("Name"), optional=True)
    postal_address = TextField(_("Address"), optional=True)
    country_code = CountryField(_("Country"), optional=True)


class OriginForm(PaperForm):
    """A certificate of origin, as the merchant states it."""

    issuer = ChoiceField(_("Chamber that certifies"), description=_("It checks your statement and signs it."))
    exporter = FormField(PartyPart, _("Exporter"))
    consignee = FormField(ConsigneePart, _("Consignee"))
    description = LongField(_("Description of the goods"))
    hs_code = TextField(_("HS code"), description=_HS_HELP)
    quantity = NumberField(_("Quantity"), description=_("The most that may be declared under this certificate."))
    unit_code = ChoiceField(_("Unit"), choices=choices.unit_choices, default="H87")
    gross_weight_measure = NumberField(_("Gross weight, kg"), optional=True)
    origin_country = CountryField(_("Country of origin"), description=_COUNTRY_HELP)
    import_country = CountryField(_("Country of import"), description=_COUNTRY_HELP)
    free_trade_agreement_name = ChoiceField(_("Trade agreement"), choices=choices.agreement_choices, default="NONE")
    origin_criteria = ChoiceField(_("Origin criterion"), choices=choices.criterion_choices, default="NP")
    free_on_board_amount = NumberField(
        _("FOB value"), optional=True, description=_("Needed where the criterion is RVC, with its currency.")
    )
    currency = CurrencyField(_("Currency"), optional=True)
    invoice_reference = TextField(_("Invoice number"), optional=True)
    issue_date = DayField(_("Date"))
    valid_until = DayField(_("Valid until"), optional=True, description=_("Last day. RCEP certificates hold one year."))


class ResultRow(Row):
    """One result of an inspection."""

    characteristic = TextField(_("Characteristic"))
    value = TextField(_("Result"))
    unit = TextField(_("Unit"), optional=True)
    limit = TextField(_("Limit"), optional=True)
    meets_limit = ChoiceField(
        _("Within limit"),
        choices=[("", "–"), ("true", _("Yes")), ("false", _("No"))],
        coerce=yes_or_no,
        optional=True,
    )


class InspectionForm(PaperForm):
    """An inspection report, as the merchant states it."""

    issuer = ChoiceField(_("Laboratory that tested"), description=_("It checks your statement and signs it."))
    customer = FormField(PartyPart, _("Customer"))
    item_description = LongField(_("Item tested"))
    item_identification = TextField(_("Lot, batch or sample number"))
    hs_code = TextField(_("HS code"), description=_HS_HELP)
    relates_to = ChoiceField(
        _("Results hold for"), choices=[("sample", _("the sample tested")), ("lot", _("the whole lot"))]
    )
    performed_from = DayField(_("Tested from"))
    performed_to = DayField(_("Tested to"))
    method = TextField(_("Method"), description=_("Standard used, such as IEC 60598-2-4:2017."))
    results = FieldList(FormField(ResultRow), _("Results"))
    specification = TextField(_("Specification"), description=_("What conformity is stated with."))
    decision_rule = TextField(
        _("Decision rule"),
        description=_("How measurement uncertainty was taken into account (ISO/IEC 17025, 7.8.6)."),
        default="Simple acceptance, ILAC-G8:09/2019, 4.2.1",
    )
    conforms = YesNoField(
        _("Do the goods conform?"), choices=[("true", _("They conform")), ("false", _("They do not conform"))]
    )
    issue_date = DayField(_("Date of the report"))


class ItemRow(Row):
    """One line of goods."""

    preset = frozenset({"unit_code", "currency", "origin_country"})
    hs_code = TextField(_("HS code"))
    description = TextField(_("Goods"))
    quantity = NumberField(_("Quantity"))
    unit_code = ChoiceField(_("Unit"), choices=choices.unit_choices, default="H87")
    unit_price = NumberField(_("Unit price"))
    currency = CurrencyField(_("Currency"), default="USD")
    origin_country = CountryField(_("Origin"), default="CN")


class DeclarationForm(PaperForm):
    """A declaration."""

    declaration_reference = TextField(_("Your reference"), description=_("Your own number for this declaration."))
    customs_office = TextField(_("Customs office"), description=_("Code of the office, such as 2925."))
    previous_procedure_type_code = ChoiceField(
        _("Trade mode"),
        choices=[
            ("9610", _("9610 · retail export")),
            ("9710", _("9710 · B2B direct export")),
            ("9810", _("9810 · overseas warehouse")),
        ],
    )
    direction = ChoiceField(_("Direction"), choices=[("export", _("Export")), ("import", _("Import"))])
    destination_country = CountryField(_("Destination"), description=_COUNTRY_HELP)
    order_reference = TextField(_("Order number"))
    platform_name = TextField(_("Sales platform"), optional=True)
    waybill_reference = TextField(_("Waybill number"))
    carrier_name = TextField(_("Carrier"), optional=True)
    package_quantity = NumberField(_("Packages"), default="1")
    gross_weight_measure = NumberField(_("Gross weight, kg"))
    net_weight_measure = NumberField(_("Net weight, kg"), optional=True)
    arrival_date_time = MomentField(
        _("Goods arrived at customs"),
        optional=True,
        description=_("China time. Leave empty while they are on their way; you can report it later."),
    )
    items = FieldList(FormField(ItemRow), _("Goods"))
