"""Faults that the domain finds, in the reader's language, with what to do about them."""

import re
from collections.abc import Callable

from flask_babel import gettext as _

from backend.web.presentation.field_names import field_name

_Sentence = Callable[[re.Match[str]], str]

# The domain speaks English for programs; these are its sentences, and what people are told instead.
_PATTERNS: list[tuple[str, _Sentence]] = [
    (r"waybillReference is missing", lambda found: _("Name the waybill or the order that these goods travel under.")),
    (r"is missing: say what", lambda found: _("Say what the merchant should correct.")),
    (r"is missing or longer", lambda found: _("Give a reason of at most 2,000 characters.")),
    (r"is missing|field required|at least 1 character", lambda found: _("Please fill this in.")),
    (r"at most (\d+) characters", lambda found: _("At most %(count)s characters, please.", count=found[1])),
    (r"valid date", lambda found: _("Give a date as 2026-03-31.")),
    (r"timezone|valid datetime", lambda found: _("Give date and time as 2026-03-31 14:05.")),
    (r"greater than 0", lambda found: _("This must be more than zero.")),
    (r"greater than or equal to 0", lambda found: _("This must not be below zero.")),
    (r"less than or equal to (\d+)", lambda found: _("At most %(count)s, please.", count=found[1])),
    (r"no more than (\d+) decimal place", lambda found: _("At most %(count)s decimals, please.", count=found[1])),
    (r"no more than (\d+) digits", lambda found: _("This number has too many digits.")),
    (r"valid integer", lambda found: _("Give a whole number, such as 12.")),
    (r"valid decimal|finite number", lambda found: _("Give a number such as 12.5.")),
    (r"is no ISO 3166", lambda found: _("Choose a country from the list.")),
    (r"is no ISO 4217", lambda found: _("Choose a currency from the list.")),
    (r"is no unit", lambda found: _("Choose a unit from the list.")),
    (
        r"is not in HS 2022",
        lambda found: _("The first six digits are not in HS 2022: look the code up again, or ask your broker."),
    ),
    (r"identifier is mistyped", lambda found: _("This company number (USCC) is mistyped: its last character differs.")),
    (
        r"results state no measurement",
        lambda found: _("Pass or fail alone is no report: give at least one measured value with its unit or limit."),
    ),
    (r"belong together", lambda found: _("Amount and currency belong together: fill in both or neither.")),
    (r"is no HS code", lambda found: _("An HS code has 6 to 13 digits, such as 9405.21.")),
    (r"validUntil lies before|must lie after validFrom", lambda found: _("The last day lies before the first.")),
    (
        r"performedFrom, performedTo",
        lambda found: _("Testing begins before it ends, and the report is dated after that: check the three dates."),
    ),
    (r"must not lie before (\w+)", lambda found: _("This must not lie before: %(field)s.", field=field_name(found[1]))),
    (r"cannot be seen", lambda found: _("There are invisible characters in this text: type it anew.")),
    (r"at least 1 item", lambda found: _("At least one line is needed.")),
    (r"valid boolean|Input should be '", lambda found: _("Please choose one.")),
    (r"is not registered here|does not issue", lambda found: _("Choose an issuer from the list.")),
    (r"is no record of yours", lambda found: _("One of the papers is not yours: choose again.")),
    (r"lies in the future|must not lie in the future", lambda found: _("This lies in the future.")),
    (r"more than a year back", lambda found: _("This lies more than a year back.")),
    (r"must be from 1 to 97$", lambda found: _("HS chapters run from 1 to 97.")),
    (
        r"must be from (\S+) to (\S+)",
        lambda found: _("Give a number from %(low)s to %(high)s.", low=found[1], high=found[2]),
    ),
    (r"is no parameter of this scenario", lambda found: _("This scenario has no such parameter.")),
    (r"is no scenario of ours", lambda found: _("Choose a scenario from the list.")),
    (r"took longer than (\S+) minutes", lambda found: _("It took longer than %(count)s minutes.", count=found[1])),
    (r"took more memory than (\d+) GB", lambda found: _("It took more memory than %(count)s GB.", count=found[1])),
    (
        r"fewer replications, fewer declarations",
        lambda found: _("Take fewer replications, fewer declarations or a shorter horizon."),
    ),
    (
        r"the simulator ended with code",
        lambda found: _("The simulator ended without a result: %(why)s", why=found.string),
    ),
    (r"is larger than (\d+) KB", lambda found: _("The file is larger than %(size)s KB.", size=found[1])),
    (r"is no e-mail address", lambda found: _("This is no e-mail address.")),
    (r"is larger than (\d+) MB", lambda found: _("The file is larger than %(size)s MB.", size=found[1])),
    (r"not a PDF document", lambda found: _("This is not a PDF document, or it is damaged or locked.")),
    (r"names no uploaded file", lambda found: _("This file is not here any more: attach it again.")),
    (r"match pattern '\^\(\[0-9\]\{8\}", lambda found: _("A GTIN has 8, 12, 13 or 14 digits.")),
]
_COMPILED = [(re.compile(pattern, re.IGNORECASE), sentence) for pattern, sentence in _PATTERNS]

_PLACES = {
    "validUntil lies before issueDate": "validUntil",
    "must follow one another": "performedTo",
    "results state no measurement": "results",
    "freeOnBoardAmount": "freeOnBoardAmount",
    "waybillReference is missing": "waybillReference",
    "identifier is mistyped": "identifier",
}


def in_words(message: str) -> str:
    """The fault in the reader's language; one that is not known here stays in English."""
    for pattern, sentence in _COMPILED:
        if found := pattern.search(message):
            return sentence(found)
    return message


def place_of(path: str, message: str) -> str:
    """The field that a fault is shown at: a fault between fields is shown at the last of them."""
    if path and "identifier is mistyped" not in message:
        return path
    place = next((place for part, place in _PLACES.items() if part in message), "")
    return f"{path}.{place}" if path else place
