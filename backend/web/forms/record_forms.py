"""The form for each kind of record, derived from the pydantic model that validates it.

A kind without a layout gets a form with all its fields. A layout states which fields are asked for, in which groups,
and what stands beside them, since people fill in less than a program may send.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from flask_babel import LazyString
from flask_babel import lazy_gettext as _
from pydantic.alias_generators import to_snake
from wtforms import Field, FieldList, FormField

from backend.domain.fields import Document
from backend.domain.kinds import KINDS, Kind, Signing, own_words
from backend.messages.catalogue import gettext
from backend.web.context import language
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
from backend.web.forms.documents import COUNTRY_HELP, HS_HELP, OptionalParty, PartyPart
from backend.web.presentation import field_names

# The longest ``fields.Text``; what may be longer gets several lines.
_ONE_LINE = 200
# How the schemas of decimals begin (``fields.Quantity``, ``Amount``): they are strings on the wire.
_NUMBER_PATTERN = "^[0-9]"
_BLANK = ("", "–")


class TradeRow(Row):
    """One line of an order or an invoice."""

    preset = frozenset({"unit_code"})
    style = "row-trade"
    description = TextField(_("Goods"))
    quantity = NumberField(_("Quantity"))
    unit_code = ChoiceField(_("Unit"), choices=choices.unit_choices, default="H87")
    amount = NumberField(_("Amount"))


class ResultRow(Row):
    """One result of an inspection."""

    style = "row-results"
    characteristic = TextField(_("Characteristic"))
    value = TextField(_("Result"))
    unit = TextField(_("Unit"), optional=True)
    limit = TextField(_("Limit"), optional=True)
    meets_limit = ChoiceField(
        _("Within limit"),
        choices=[_BLANK, ("true", _("Yes")), ("false", _("No"))],
        coerce=yes_or_no,
        optional=True,
    )


ROWS: Mapping[str, type[Row]] = {"TradeLine": TradeRow, "TestResult": ResultRow}
"""The form row for each model of a line."""
CHOICES: Mapping[str, Callable[[], list[tuple[str, Any]]]] = {
    "conforms": lambda: [("true", _("They conform")), ("false", _("They do not conform"))],
    "eventType": field_names.event_types,
    "originCriteria": choices.criterion_choices,
    "relatesTo": lambda: [("sample", _("the sample tested")), ("lot", _("the whole lot"))],
    "transportModeCode": field_names.transport_modes,
}
"""Names of the values of fields that have a fixed list. Other values are shown as they are."""


@dataclass(frozen=True)
class Group:
    """Fields that are shown together, by their JSON names, with an optional legend."""

    fields: tuple[str, ...]
    legend: Any = None


@dataclass(frozen=True)
class Layout:
    """The fields of a form in their order, with labels, help texts and first values other than the usual ones.

    A first value is a text, or a function that gives it in the language of whoever opens the form.
    """

    groups: tuple[Group, ...]
    labels: Mapping[str, Any] = field(default_factory=dict)
    help: Mapping[str, Any] = field(default_factory=dict)
    start: Mapping[str, str | Callable[[], str]] = field(default_factory=dict)


def _flat(*fields: str, **more: Any) -> Layout:
    return Layout((Group(fields),), **more)


LAYOUTS: Mapping[Kind, Layout] = {
    Kind.CERTIFICATE_OF_ORIGIN: Layout(
        (
            Group(("exporter", "consignee")),
            Group(("description", "hsCode", "quantity", "unitCode", "grossWeightMeasure"), _("Goods")),
            Group(
                (
                    "originCountry",
                    "importCountry",
                    "freeTradeAgreementName",
                    "originCriteria",
                    "freeOnBoardAmount",
                    "currency",
                    "invoiceReference",
                    "issueDate",
                    "validUntil",
                ),
                _("Where they were made"),
            ),
        ),
        help={
            "quantity": _("The most that may be declared under this certificate."),
            "originCountry": COUNTRY_HELP,
            "importCountry": COUNTRY_HELP,
            "freeOnBoardAmount": _("Needed where the criterion is RVC, with its currency."),
            "validUntil": _("Last day. Left empty, the last one that the agreement allows."),
        },
        start={"originCriteria": "NP"},
    ),
    Kind.INSPECTION_REPORT: Layout(
        (
            Group(("customer",)),
            Group(
                (
                    "itemDescription",
                    "itemIdentification",
                    "hsCode",
                    "relatesTo",
                    "performedFrom",
                    "performedTo",
                    "method",
                ),
                _("Goods"),
            ),
            Group(("results",)),
            Group(("conforms", "specification", "decisionRule", "issueDate"), _("Conformity")),
        ),
        labels={"issueDate": _("Date of the report")},
        help={
            "method": _("Standard used, such as IEC 60598-2-4:2017."),
            "specification": _("What conformity is stated with."),
            "decisionRule": _("How measurement uncertainty was taken into account (ISO/IEC 17025, 7.8.6)."),
        },
        start={"decisionRule": lambda: gettext("Simple acceptance, ILAC-G8:09/2019, 4.2.1", language())},
    ),
    Kind.INVOICE: _flat(
        "invoiceNumber",
        "issueDate",
        "currency",
        "totalAmount",
        "orderReference",
        "destinationCountry",
        "seller",
        "buyer",
        "items",
    ),
    Kind.ORDER: _flat(
        "orderReference",
        "orderDate",
        "platformName",
        "currency",
        "totalAmount",
        "destinationCountry",
        "seller",
        "buyer",
        "items",
        help={"totalAmount": _("Goods, freight and discount together.")},
    ),
    Kind.PAYMENT_RECEIPT: _flat(
        "receiptReference",
        "orderReference",
        "paymentServiceName",
        "amount",
        "currency",
        "paidDateTime",
        "payee",
        "payer",
    ),
    Kind.WAYBILL: _flat(
        "waybillReference",
        "issueDate",
        "orderReference",
        "transportModeCode",
        "transportMeans",
        "destinationCountry",
        "description",
        "packageQuantity",
        "grossWeightMeasure",
        "carrier",
        "consignor",
        "consignee",
    ),
    Kind.MOVEMENT_EVENT: _flat(
        "eventReference",
        "eventType",
        "eventDateTime",
        "locationName",
        "locationCountry",
        "waybillReference",
        "orderReference",
        "transportMeans",
        "packageQuantity",
        help={
            "eventReference": _("Your own number for it."),
            "locationName": _("Airport, port, warehouse or gate."),
        },
        start={"locationCountry": "CN"},
    ),
}


ORDERS: Mapping[Kind, Layout] = {
    Kind.INSPECTION_REPORT: Layout(
        (
            Group(("customer",)),
            Group(("itemDescription", "hsCode", "itemIdentification", "sample"), _("Goods")),
            Group(("testsWanted", "specification", "feeNote", "note"), _("Tests")),
        ),
        help={
            "sample": _("How many there are, and how they reach the laboratory."),
            "testsWanted": _("One in each line."),
            "specification": _("The standard that the goods are to conform to."),
            "feeNote": _("Who pays, and under which quotation."),
        },
    ),
}
"""The forms by which a merchant asks for what the issuer states itself."""


class RecordForm(PaperForm):
    """A form that states a record of one kind."""

    kind: Kind
    layout: Layout

    @property
    def groups(self) -> Iterator[tuple[Any, list[Field]]]:
        """The groups as (legend, fields), in page order. A party and a list of lines are groups of their own."""
        for group in self.layout.groups:
            plain: list[Field] = []
            for name in group.fields:
                one = self._fields[to_snake(name)]
                if not isinstance(one, FormField | FieldList):
                    plain.append(one)
            whole = [self._fields[to_snake(name)] for name in group.fields]
            legend = group.legend or gettext(KINDS[self.kind].names, language())
            if plain:
                yield legend, plain
            yield from ((None, [one]) for one in whole if one not in plain)


@cache
def form_for(kind: Kind) -> type[RecordForm]:
    """Return the form class of a kind. The form for a kind that issuers certify starts with the issuer."""
    stated = KINDS[kind]
    made = {}
    if stated.signing is Signing.CERTIFIED:
        made["issuer"] = _issuer(kind, _("It checks your statement and signs it."))
    return _form(kind, stated.model, LAYOUTS.get(kind) or _whole_layout(kind), made)


@cache
def order_form(kind: Kind) -> type[RecordForm] | None:
    """Return the form by which a merchant asks for a record of this kind, or None where it states it itself."""
    certification = KINDS[kind].certification
    if certification is None or certification.order is None:
        return None
    made = {"issuer": _issuer(kind, _("It tests the goods and signs what it finds."))}
    return _form(kind, certification.order, ORDERS[kind], made)


@cache
def issuing_form(kind: Kind) -> type[RecordForm]:
    """Return the form in which an issuer states a record itself: with its number, and the fields that only it knows."""
    stated, layout = KINDS[kind], LAYOUTS.get(kind) or _whole_layout(kind)
    own = (stated.number_field, *(stated.certification.set_by_issuer if stated.certification else ()))
    form = _form(kind, stated.model, replace(layout, groups=(Group(own, _("Issuer")), *layout.groups)), {})
    return _with_needed_number(form, stated.number_field)


@cache
def number_form(kind: Kind) -> type[RecordForm]:
    """Return the form in which an issuer gives a number, and nothing else."""
    stated = KINDS[kind]
    form = _form(kind, stated.model, Layout((Group((stated.number_field,), _("Issuer")),)), {})
    return _with_needed_number(form, stated.number_field)


def _with_needed_number(form: type[RecordForm], number_field: str) -> type[RecordForm]:
    # Only a merchant's statement may lack the number, so that the schema calls it optional.
    getattr(form, to_snake(number_field)).kwargs["optional"] = False
    return form


def _issuer(kind: Kind, about: Any) -> ChoiceField:
    roles = sorted(KINDS[kind].signed_by)
    label = LazyString(lambda: " / ".join(field_names.role_name(role) for role in roles))
    return ChoiceField(label, description=about)


def _form(kind: Kind, model: type[Document], layout: Layout, made: Mapping[str, Any]) -> type[RecordForm]:
    schema = model.model_json_schema(by_alias=True)
    fields = {to_snake(name): _field(name, schema, layout) for group in layout.groups for name in group.fields}
    return type(f"{model.__name__}Form", (RecordForm,), {"kind": kind, "layout": layout, **made, **fields})


def _whole_layout(kind: Kind) -> Layout:
    stated = KINDS[kind]
    given = {stated.number_field} if stated.certification else set()
    own = set(stated.certification.set_by_issuer) if stated.certification else set()
    return _flat(*(name for name in stated.every_field if name not in given | own | {"attachments"}))


def _field(name: str, schema: Mapping[str, Any], layout: Layout) -> Any:
    """Return the control for a field, chosen by its JSON Schema."""
    about = schema["properties"][name]
    # Pydantic writes an optional field as anyOf with null.
    alternatives = [one for one in about.get("anyOf", [about]) if one.get("type") != "null"]
    holds, is_optional = alternatives[0], "anyOf" in about
    # Lazy, since the class is made once and each request shows it in its reader's language.
    label = layout.labels.get(name) or LazyString(lambda: field_names.field_name(name))
    default = layout.start.get(name, about.get("default"))
    common = {"description": layout.help.get(name) or _usual_help(name, holds), "default": default}
    if "$ref" in holds:
        return FormField(OptionalParty if is_optional else PartyPart, label)
    if holds.get("type") == "array":
        return FieldList(FormField(ROWS[holds["items"]["$ref"].rsplit("/", 1)[1]]), label)
    if holds.get("type") == "boolean" and not is_optional:
        return YesNoField(label, choices=_named(name, ("true", "false")), description=common["description"])
    if holds.get("type") == "boolean" or "enum" in holds or "const" in holds:
        values = holds.get("enum") or ([holds["const"]] if "const" in holds else ["true", "false"])
        blank = [_BLANK] if is_optional else []
        coerce = {"coerce": yes_or_no} if holds.get("type") == "boolean" else {}
        return ChoiceField(
            label, choices=lambda: blank + _named(name, values), optional=is_optional, **common, **coerce
        )
    return _control(holds)(label, optional=is_optional, **_with_usual_start(holds, is_optional, common))


def _named(name: str, values: Any) -> list[tuple[str, Any]]:
    yes_no = {"true": _("Yes"), "false": _("No")}
    return CHOICES[name]() if name in CHOICES else [(value, yes_no.get(value, value)) for value in values]


def _control(holds: Mapping[str, Any]) -> Callable[..., Any]:
    by_list: dict[str, Callable[..., Any]] = {
        "agreement": lambda label, **more: ChoiceField(label, choices=choices.agreement_choices, **more),
        "country": CountryField,
        "currency": CurrencyField,
        "unit": lambda label, **more: ChoiceField(label, choices=choices.unit_choices, **more),
    }
    by_format = {"date": DayField, "date-time": MomentField}
    if "x-code-list" in holds:
        return by_list[holds["x-code-list"]]
    if holds.get("format") in by_format:
        return by_format[holds["format"]]
    is_number = holds.get("type") == "integer" or str(holds.get("pattern", "")).startswith(_NUMBER_PATTERN)
    if is_number:
        return NumberField
    return LongField if holds.get("maxLength", 0) > _ONE_LINE else TextField


def _with_usual_start(holds: Mapping[str, Any], is_optional: bool, common: dict[str, Any]) -> dict[str, Any]:
    usual = {"currency": "USD", "unit": "H87"}.get(holds.get("x-code-list", ""))
    return common if is_optional or common["default"] is not None else {**common, "default": usual}


def _usual_help(name: str, holds: Mapping[str, Any]) -> Any:
    own = own_words(name)
    if own is not None:
        return LazyString(lambda: gettext(own.meaning, language()))
    if name == "hsCode":
        return HS_HELP
    return _("China time.") if holds.get("format") == "date-time" else ""
