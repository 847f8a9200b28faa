"""The forms for products and declarations. ``record_forms`` makes those for the other kinds of record."""

import re
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import Any

from flask import request
from flask_babel import lazy_gettext as _
from wtforms import FieldList, Form, FormField

from backend.domain.errors import Invalid
from backend.domain.interop.reading import UnknownFormat
from backend.domain.interop.table import plain_name, read_table
from backend.domain.kinds.inspection_report import FAILS, MEETS, RESULT_COLUMNS
from backend.messages.catalogue import gettext, languages
from backend.services.files import store_pdf
from backend.services.ports import AppContext
from backend.web.context import person
from backend.web.forms import choices
from backend.web.forms.base import (
    ChoiceField,
    CountryField,
    CurrencyField,
    LongField,
    MomentField,
    NumberField,
    PaperForm,
    Row,
    TextField,
)

HS_HELP = _("6 to 13 digits, with or without dots.")
COUNTRY_HELP = _("Type the first letters of the name, in Chinese or English, or the code.")


class OptionalParty(Form):
    """A company that the paper may leave out."""

    name = TextField(_("Name"), optional=True)
    postal_address = TextField(_("Address"), optional=True)
    country_code = CountryField(_("Country"), optional=True)
    identifier = TextField(_("Company number"), optional=True)


class HsField(TextField):
    """An HS code, which can be looked up by words."""


class ProductForm(PaperForm):
    """A product, from which other forms are filled in."""

    name = TextField(_("Name in English"), description=_("As it should read on papers."))
    local_name = TextField(_("Name in Chinese"), optional=True)
    model = TextField(_("Model or article number"), optional=True, description=_("No two products in use share it."))
    hs_code = HsField(_("HS code"), description=_("6 to 13 digits, or words such as desk lamp to look it up."))
    unit_code = ChoiceField(_("Unit"), choices=choices.unit_choices, default="H87")
    origin_country = CountryField(_("Made in"), default="CN", description=COUNTRY_HELP)
    description = LongField(
        _("Description in English"),
        description=_("Material, use, model. Certificates under most agreements must be in English."),
    )
    gtin = TextField(_("GTIN (bar code)"), optional=True)
    net_weight = NumberField(_("Net weight of one unit, kg"), optional=True)
    gross_weight = NumberField(
        _("Gross weight of one unit, kg"), optional=True, description=_("Fills in weights on forms.")
    )
    consignee = FormField(OptionalParty, _("Usual consignee"))


class PartyPart(Form):
    """A company."""

    name = TextField(_("Name"))
    postal_address = TextField(_("Address"), optional=True)
    country_code = CountryField(_("Country"), optional=True)
    identifier = TextField(_("Company number"), optional=True, description=_("In China the 18-character USCC."))


class ItemRow(Row):
    """One line of goods."""

    preset = frozenset({"unit_code", "currency", "origin_country"})
    style = "row-items"
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
    customs_office = TextField(
        _("Customs office"),
        description=_("Its code, from the list."),
        render_kw={"list": "offices", "autocomplete": "off"},
    )
    previous_procedure_type_code = ChoiceField(
        _("Trade mode"),
        choices=[
            ("9610", _("9610 · retail export")),
            ("9710", _("9710 · B2B direct export")),
            ("9810", _("9810 · overseas warehouse")),
        ],
    )
    direction = ChoiceField(_("Direction"), choices=[("export", _("Export")), ("import", _("Import"))])
    destination_country = CountryField(_("Destination"), description=COUNTRY_HELP)
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


_COUNTED = re.compile(r"^(.*?)(\d+)(\D*)$", re.DOTALL)


def next_number(last: str | None, first: str, is_taken: Callable[[str], bool]) -> str:
    """Return the first free number after ``last``, in the same pattern, or after ``first`` if there is no last one.

    ``is_taken`` tells whether a number is in use. It is asked for at most 1,000 numbers.
    """
    number = _after(last) if last else first
    for _attempt in range(1000):
        if not is_taken(number):
            break
        number = _after(number)
    return number


def _after(number: str) -> str:
    found = _COUNTED.match(number)
    if found is None:
        return f"{number}-2"
    head, digits, tail = found.groups()
    return f"{head}{int(digits) + 1:0{len(digits)}d}{tail}"


MOST_RESULTS = 100
"""Of a report; as many as ``InspectionReport.results`` takes."""


def results_in(content: bytes) -> list[dict[str, Any]]:
    """Read the results of an inspection from a table (CSV), as the first values of a form's lines.

    Raises:
        Invalid: The bytes are no table, no column is headed as a characteristic or as a result, or there are more lines
            than a report takes.
    """
    known = {
        plain_name(name): field
        for field, (label, *names) in RESULT_COLUMNS.items()
        for name in (label, *names, *(gettext(label, language) for language in languages()))
    }
    try:
        table = read_table(content, known)
    except UnknownFormat as error:
        raise Invalid(
            "no table",
            [("results", "is no table of results: save it as CSV, with columns headed Characteristic and Result")],
        ) from error
    fields = [known.get(plain_name(heading)) for heading in table.header]
    if "characteristic" not in fields or "value" not in fields:
        raise Invalid("no results", [("results", "needs columns headed Characteristic and Result")])
    if len(table.rows) > MOST_RESULTS:
        raise Invalid("too many results", [("results", "has more than 100 lines: a report takes no more")])
    return [_result(dict(zip(fields, cells, strict=False))) for _number, cells in table.rows]


def _result(row: dict[str | None, str]) -> dict[str, Any]:
    verdict = row.pop("meets_limit", "").strip().casefold()
    found: dict[str, Any] = {name: cell for name, cell in row.items() if name and cell}
    return found | ({"meets_limit": verdict in MEETS} if verdict in MEETS | FAILS else {})


# As long as ``fields.Text``, which a file's name is in a document.
LONGEST_NAME = 200


def receive(ctx: AppContext) -> tuple[list[dict[str, Any]], list[str]]:
    """Store the uploaded files of the current request.

    Returns the attachments, those kept from an earlier attempt and new ones, and the faults as ``name|message``.
    """
    attachments, faults = _kept(ctx, request.form.getlist("kept")), []
    for upload in request.files.getlist("pdf"):
        if not upload.filename:
            continue
        # A client may send a whole path, of either system. Cut in front, so that the ending stays.
        name = PurePath(upload.filename.replace("\\", "/")).name[-LONGEST_NAME:]
        try:
            stored = store_pdf(ctx, person(), upload.read())
        except Invalid as error:
            faults += [f"{name}|{message}" for _where, message in error.problems]
            continue
        if all(attachment["sha256"] != stored.sha256 for attachment in attachments):
            attachments.append({"fileName": name, "size": stored.size, "sha256": stored.sha256})
    return attachments, faults


def _kept(ctx: AppContext, values: Sequence[str]) -> list[dict[str, Any]]:
    """Return files of an earlier attempt at this form, given as ``sha256|name``."""
    attachments = []
    with ctx.work(reading=True) as work:
        for value in dict.fromkeys(values):
            sha256, _bar, name = value.partition("|")
            # The digest comes from the form: knowing it gives no right to a file that somebody else uploaded.
            stored = work.files.find(sha256, person().organisation)
            if stored is not None and name:
                attachments.append({"fileName": name[:LONGEST_NAME], "size": stored.size, "sha256": sha256})
    return attachments
