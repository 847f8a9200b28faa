"""A text that still knows its template and its values, so that it can be said in another language."""

import re
from collections.abc import Mapping
from typing import Any

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


class Message(str):
    """English for programs and logs; ``template`` is its key in the catalogue, ``values`` fill the ``{placeholders}``.

    It is a ``str``, so that whoever needs only the English takes it as one.
    """

    template: str
    values: Mapping[str, Any]

    def __new__(cls, template: str, /, **values: Any) -> "Message":
        """Fill the template; what is a message already is taken as it is."""
        if isinstance(template, Message):
            return template
        made = super().__new__(cls, filled(template, values))
        made.template, made.values = template, values
        return made


def filled(template: str, values: Mapping[str, Any]) -> str:
    """Put the values in. Other braces stay: a text of others may hold some, and nothing is looked up inside a value."""
    return _PLACEHOLDER.sub(lambda found: str(values[found[1]]) if found[1] in values else found[0], template)


def message_of(error: BaseException) -> str:
    """What an error says, as a message where it is one: ``str(error)`` would forget the template."""
    said = error.args[0] if error.args else ""
    return said if isinstance(said, Message) else str(error)
