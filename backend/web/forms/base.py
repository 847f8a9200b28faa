"""Building blocks of forms. Forms turn what is typed into a document's fields, and the domain validates them.

Every form field has the name of the document's field, so that the domain's faults can be shown beside it.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from flask_wtf import FlaskForm
from pydantic.alias_generators import to_camel, to_snake
from wtforms import Field, FieldList, Form, FormField, RadioField, SelectField, StringField, TextAreaField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]
from wtforms.validators import Optional
from wtforms.widgets import DateInput, DateTimeLocalInput

from backend.messages.fields import place_of
from backend.web.forms import choices
from backend.web.presentation.field_names import in_words
from backend.web.presentation.languages import colon

Problems = Iterable[tuple[str, str]]
_NOT_STATED = {"csrf_token", "issuer"}


class TextField(StringField):
    """One line of text, trimmed."""

    def __init__(self, label: Any = None, optional: bool = False, **kwargs: Any) -> None:
        super().__init__(label, validators=[Optional()] if optional else [], **kwargs)


class LongField(TextAreaField):
    """Several lines of text."""

    def __init__(self, label: Any = None, optional: bool = False, **kwargs: Any) -> None:
        super().__init__(label, validators=[Optional()] if optional else [], **kwargs)


class DayField(TextField):
    """A date, kept as typed until the domain parses it."""

    widget = DateInput()


class MomentField(TextField):
    """A date and time in the zone of the trade."""

    widget = DateTimeLocalInput()


class NumberField(TextField):
    """A decimal number, kept as text so that nothing is rounded."""


class ChoiceField(SelectField):
    """A select box whose options are named in the reader's language."""

    def __init__(self, label: Any = None, choices: Any = None, optional: bool = False, **kwargs: Any) -> None:
        checks = [Optional()] if optional else []
        pairs = choices() if callable(choices) else choices
        # WTForms does not judge the choice: the domain does, and shows its fault beside the field like every other.
        super().__init__(label, validators=checks, validate_choice=False, **kwargs)
        self.offer(pairs or [])

    def offer(self, pairs: Iterable[tuple[str, Any]]) -> None:
        """Set the options, as (value, name)."""
        self.choices = [SelectChoice(value, name) for value, name in pairs]


_ANSWERS = {"true": True, "false": False}


def yes_or_no(answer: Any) -> Any:
    """Return the boolean for "true" and "false". Anything else stays as it is, for the domain to refuse."""
    return _ANSWERS.get(answer, answer)


class YesNoField(RadioField):
    """A question with two answers, ``true`` and ``false`` on the page."""

    def __init__(self, label: Any = None, choices: Iterable[tuple[str, Any]] = (), **kwargs: Any) -> None:
        offered = [SelectChoice(value, name) for value, name in choices]
        super().__init__(label, choices=offered, coerce=yes_or_no, validate_choice=False, **kwargs)


class CodeField(TextField):
    """A code from a long list that can be searched in every language. It is shown with its names."""

    list_name = "countries"

    def process_formdata(self, valuelist: Sequence[Any]) -> None:
        """Take the code that the text names, or the text itself."""
        if valuelist:
            self.data = choices.code_of(choices.LISTS[self.list_name](), str(valuelist[0]))

    def _value(self) -> str:
        return choices.label(choices.LISTS[self.list_name](), self.data) if self.data else ""


class CountryField(CodeField):
    """A country."""


class CurrencyField(CodeField):
    """A currency."""

    list_name = "currencies"


class Row(Form):
    """A line of a list. Fields in ``preset`` have a default, so they do not make a line count as filled in."""

    preset: frozenset[str] = frozenset()
    style = ""
    """The class of its line on the page."""

    @property
    def is_blank(self) -> bool:
        """Whether nothing was filled in."""
        return all(_stated(field) is None for name, field in self._fields.items() if name not in self.preset)


class PaperForm(FlaskForm):  # type: ignore[misc]
    """A form that states a document."""

    @property
    def document(self) -> dict[str, Any]:
        """The document's fields by their JSON names, without those that were left empty."""
        fields = ((name, _stated(field)) for name, field in self._fields.items() if name not in _NOT_STATED)
        return {to_camel(name): value for name, value in fields if value is not None}

    def has_place_for(self, name: str) -> bool:
        """Tell whether the form has a control for a document's field, by its JSON name."""
        return to_snake(name) in self._fields

    def show(self, problems: Problems) -> None:
        """Show each fault beside its field, in the reader's language."""
        for path, message in problems:
            place = place_of(path, message)
            target = _find(self, place.split(".")) if place else None
            if target is None:
                self.loose = [*self.loose, f"{place}{colon()}{in_words(message)}" if place else in_words(message)]
            else:
                target.errors = [*target.errors, in_words(message)]

    def mark(self, names: Iterable[str]) -> None:
        """Let fields stand out that the issuer finds doubtful, by their JSON names. The page shows each with a note."""
        for name in names:
            if (field := self._fields.get(to_snake(name))) is not None:
                field.flags.doubtful = True

    loose: Sequence[str] = ()
    """Faults that belong to no field here."""

    @property
    def has_faults(self) -> bool:
        """Whether any fault is shown."""
        rows = (entry for field in self if isinstance(field, FieldList) for entry in field.entries)
        return bool(self.loose or self.errors or any(entry.errors for entry in rows))


def _stated(field: Field) -> Any:
    if isinstance(field, FormField):
        parts = {to_camel(name): _stated(part) for name, part in field.form._fields.items()}
        return {name: value for name, value in parts.items() if value is not None} or None
    if isinstance(field, FieldList):
        return [_stated(entry) for entry in field.entries if not entry.form.is_blank] or None
    if isinstance(field.data, bool):
        return field.data
    text = "" if field.data is None else str(field.data).strip()
    return text or None


def _find(form: Any, path: list[str]) -> Field | None:
    """Return the form field for a path of JSON names. For a group it is the group's first field."""
    field: Any = form._fields.get(to_snake(path[0]))
    for part in path[1:]:
        if isinstance(field, FieldList):
            # The domain was given the filled rows alone, so its numbers count these.
            filled = [entry for entry in field.entries if not entry.form.is_blank]
            field = filled[int(part)] if part.isdigit() and int(part) < len(filled) else None
        elif isinstance(field, FormField):
            field = field.form._fields.get(to_snake(part))
    if isinstance(field, FormField):
        return next(iter(field.form._fields.values()), None)
    return field if isinstance(field, Field) else None


def filled_in(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document's JSON fields as the first values of a form."""
    # Files are no field of the form: ``documents.receive`` keeps them from one attempt to the next.
    return {to_snake(name): _start(value) for name, value in document.items() if name != "attachments"}


def _start(value: Any) -> Any:
    if isinstance(value, dict):
        return filled_in(value)
    if isinstance(value, list):
        return [_start(item) for item in value]
    return value


def add_blank_rows(rows: "FieldList[Any]", at_least: int) -> None:
    """Add empty lines, for browsers without scripts."""
    while len(rows.entries) < at_least:
        rows.append_entry()
