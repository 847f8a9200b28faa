"""Faults of fields in plain words for people, with what to do about them."""

import re
from collections.abc import Callable

from backend.messages.catalogue import Language, gettext, say

# The domain's messages are precise for programs. These replace them for people where plainer words help.
PATTERNS: dict[str, str] = {
    r"waybillReference is missing": "Name the waybill or the order that these goods travel under.",
    r"is missing: say what": "Say what the merchant should correct.",
    r"is missing or longer": "Give a reason of at most 2,000 characters.",
    r"is missing|field required|at least 1 character": "Please fill this in.",
    r"at most (?P<count>\d+) characters": "At most {count} characters, please.",
    r"is in no calendar": "There is no such day or time.",
    r"valid date\b": "Give a date as 2026-03-31.",
    r"timezone|valid datetime": "Give date and time as 2026-03-31 14:05.",
    r"greater than 0": "This must be more than zero.",
    r"greater than or equal to 0": "This must not be below zero.",
    r"less than or equal to (?P<count>\d+)": "At most {count}, please.",
    r"no more than (?P<count>\d+) decimal place": "At most {count} decimals, please.",
    r"no more than (\d+) digits": "This number has too many digits.",
    r"valid integer": "Give a whole number, such as 12.",
    r"valid decimal|finite number": "Give a number such as 12.5.",
    r"is no ISO 3166": "Choose a country from the list.",
    r"is no ISO 4217": "Choose a currency from the list.",
    r"is no unit": "Choose a unit from the list.",
    r"is not in HS 2022": "The first six digits are not in HS 2022: look the code up again, or ask your broker.",
    r"identifier is mistyped": "This company number (USCC) is mistyped: its last character differs.",
    r"results state no measurement": (
        "Pass or fail alone is no report: give at least one measured value with its unit or limit."
    ),
    r"grossWeightMeasure is less": "The gross weight is less than the quantity, which is a mass.",
    r"conforms is true": "The goods conform, yet a result does not meet its limit: correct one of the two.",
    r"belong together": "Amount and currency belong together: fill in both or neither.",
    r"HS 2022 has no chapter": "HS 2022 has no such chapter: look the code up again, or ask your broker.",
    r"has 12 digits": "China's HS codes have 8, 10 or 13 digits: is the leading zero missing?",
    r"is no HS code": "An HS code has 6 to 13 digits, such as 9405.21.",
    r"validUntil lies before|must lie after validFrom": "The last day lies before the first.",
    r"performedFrom, performedTo": (
        "Testing begins before it ends, and the report is dated after that: check the three dates."
    ),
    r"must not lie before (?P<field>\w+)": "This must not lie before: {field}.",
    r"cannot be seen": "There are invisible characters in this text: type it anew.",
    r"at least 1 item": "At least one line is needed.",
    r"valid boolean|Input should be '": "Please choose one.",
    r"is not registered here|does not issue": "Choose an issuer from the list.",
    r"is no record of yours": "One of the papers is not yours: choose again.",
    r"^(?P<country>\S+) is no party to (?P<agreement>\S+):": (
        "{country} is no party to {agreement}: choose another country or agreement, or claim no preference."
    ),
    r"^(?P<criterion>\S+) is no origin criterion of (?P<agreement>\S+), which has (?P<known>.*)": (
        "{agreement} does not know the criterion {criterion}. Choose one of these: {known}."
    ),
    r"under (?P<agreement>\S+) holds (?P<months>\d+) months: its last day is (?P<last>\S+)": (
        "A certificate under {agreement} holds {months} months: its last day is {last}."
    ),
    r"lies in the future|must not lie in the future": "This lies in the future.",
    r"more than a year back": "This lies more than a year back.",
    r"must be from 1 to 97$": "HS chapters run from 1 to 97.",
    r"must be from (?P<low>\S+) to (?P<high>\S+)": "Give a number from {low} to {high}.",
    r"is no parameter of this scenario": "This scenario has no such parameter.",
    r"is no scenario of ours": "Choose a scenario from the list.",
    r"took longer than (?P<count>\S+) minutes": "It took longer than {count} minutes.",
    r"took more memory than (?P<count>\d+) GB": "It took more memory than {count} GB.",
    r"fewer replications, fewer declarations": "Take fewer replications, fewer declarations or a shorter horizon.",
    r"(?P<why>.*the simulator ended with code.*)": "The simulator ended without a result: {why}",
    r"is larger than (?P<size>\d+) KB": "The file is larger than {size} KB.",
    r"is no e-mail address": "This is no e-mail address.",
    r"is not your present password": "This is not your present password.",
    r"needs 12 to 128 characters": "A password has 12 to 128 characters.",
    r"needs 1 to 80 printable characters": "Give it a name of 1 to 80 characters.",
    r"must be 1 to 730$": "Give a number of days from 1 to 730.",
    r"is larger than (?P<size>\d+) MB": "The file is larger than {size} MB.",
    r"not a PDF document": "This is not a PDF document, or it is damaged or locked.",
    r"names no uploaded file": "This file is not here any more: attach it again.",
    r"match pattern '\^\(\[0-9\]\{8\}": "A GTIN has 8, 12, 13 or 14 digits.",
}
"""Replacements by a pattern of the English message; its named groups fill the sentence."""
_COMPILED = [(re.compile(pattern, re.IGNORECASE), reason_text) for pattern, reason_text in PATTERNS.items()]

_PLACES = {
    "validUntil lies before issueDate": "validUntil",
    "must follow one another": "performedTo",
    "results state no measurement": "results",
    "conforms is true": "conforms",
    "freeOnBoardAmount": "freeOnBoardAmount",
    "waybillReference is missing": "waybillReference",
    "grossWeightMeasure is less": "grossWeightMeasure",
    "netWeightMeasure is more": "netWeightMeasure",
    "identifier is mistyped": "identifier",
}


def in_words(fault: str, language: Language, name_of: Callable[[str], str] = str) -> str:
    """Return the fault as shown to people; ``name_of`` returns the name of a field in it."""
    for pattern, reason_text in _COMPILED:
        if found := pattern.search(fault):
            values = {name: name_of(value) if name == "field" else value for name, value in found.groupdict().items()}
            return gettext(reason_text, language, **values)
    return say(fault, language)


def place_of(path: str, message: str) -> str:
    """Return the field at which a fault is shown; a fault between several fields is shown at the last of them."""
    if path and "identifier is mistyped" not in message:
        return path
    place = next((place for part, place in _PLACES.items() if part in message), "")
    return f"{path}.{place}" if path else place
