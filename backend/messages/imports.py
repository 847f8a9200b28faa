"""The messages of import notes: English, which is also the key in the catalogue."""

from collections.abc import Mapping

from backend.domain.errors import Message, filled
from backend.domain.interop.field_help import Meaning
from backend.domain.interop.reading import Note, Severity, UnknownFormat, Unusable
from backend.domain.units import UNITS
from backend.messages.catalogue import SOURCE, Language, gettext, name_in, ngettext, say

_LONGEST = {"value": 80, "raw": 80}
"""Maximum length of a displayed value; explanations may be longer."""
_OF_OURS = frozenset({"what", "why"})
"""Values that are messages of ours, with or without values of their own."""

MESSAGES: dict[str, str] = {
    # taken
    "taken": "{value}",
    "given": "{value} (given by you)",
    "rows": "filled in {rows} of {all} rows",
    # converted
    "given-instead": "{value} (given by you instead of {raw})",
    "country-code": "{raw} is {value}",
    "country-name": "{raw} is {value} in ISO 3166",
    "day-of-instant": "{value}, the day of {raw} in its own time zone",
    "valid-from": "{value}: validFrom ({raw}) read as the day of issue",
    "issuance-date": "{value}: issuanceDate ({raw}) read as the day of issue",
    "earliest-end": "{value}: the earliest end that is told ({raw})",
    "importers-country": "{value}: the importer's country ({raw}) read as the importing country",
    "usmca-criterion": "criterion {raw} of USMCA is {value}",
    "joined": "{value} (its {count} parts joined)",
    "mass": "{raw} × {factor} kg = {value} kg exactly",
    "mass-rounded": "{raw} × {factor} kg = {value} kg, rounded to the gram",
    "counted": "{value} (piece): itemCount counts single items",
    "weighed": "{value} (kilogram): the net weight is the quantity",
    "manufactured-in": "{value}: a certification of origin names no other origin than the country of manufacture",
    "not-preferential": "{value}: it says that it claims no preference",
    "earliest": "{value}, the earliest of {count} observations",
    "latest": "{value}, the latest of {count} observations",
    "direction": "{raw} is {value}",
    "china-unit": "China customs' unit {raw} is {value} ({unit})",
    "china-country": "China customs' country {raw} is {value}",
    "unit-name": "{raw} is {value}",
    "agreement-name": "{raw} is {value}",
    "currency-code": "{raw} is {value}",
    "full-width": "{raw}, in full width, is {value}",
    "perhaps-cut": "{raw}: spreadsheets keep 15 digits and write zeros for the rest: see whether the zeros are right",
    "number-style": "{raw} is {value}",
    "decimal-point": "{raw}: the point is read as a decimal one (if it parts thousands: --decimal comma)",
    "guard": "{raw} is {value} without a spreadsheet's guard",
    "code-as-number": "{raw} is {value}: a spreadsheet stored the code as a number",
    "line-break": "{value}: its lines are joined",
    "end-of-day": "{raw} is {value}: 24:00 is the beginning of the next day",
    "zone-of-hours": "{raw} is {value}",
    "china-currency": "China customs' currency {raw} is {value}",
    # lacks
    "lacking": "{meaning}, such as {example}",
    "lacking-withheld": "not shown: ask for a copy that shows it, or give it: {meaning}, such as {example}",
    "lacking-column": "the column is missing: {meaning} (9610: {alias})",
    "lacking-issuer": "who is to confirm it. Give: --issuer with one of: {known}",
    # in excess
    "no-place": "not used: {value}",
    "left-out": "left out: {why}",
    "merchant-is-you": "the merchant is whoever lodges",
    "list-only": "of the 9610 list; a declaration here does not hold it",
    "unknown-column": "no known column",
    # heed
    "proof-not-checked": "its maker's signature was not checked and is not carried over: keep the original file",
    "sd-signed": (
        "signed by the key {key}, and not altered since. The file itself brings that key: compare it with what the "
        "issuer publishes"
    ),
    "sd-signer": "{key} is a key of {value}, registered here",
    "sd-signer-robbed": "{key} is a key of {value} that fell into wrong hands: ask {value} whether this is theirs",
    "sd-no-key": "its signature was not checked: the key is not in the file (it names {value}). Keep the original file",
    "sd-other-algorithm": (
        "its signature was not checked: it is made with {value}, and ES256 is read here. Keep the original file"
    ),
    "sd-from": "its issuer lets it hold from {value}",
    "sd-issued": "its issuer signed it on {value}",
    "sd-until": "its issuer lets it hold until {value}",
    "holds-until": "its maker lets it hold until {value}",
    "holds-from": "its maker lets it hold from {value}",
    "expired": "it ended on {value}: it proves nothing any more, unless its maker renews it",
    "not-yet": "it begins to hold on {value} only",
    "revocation-not-checked": (
        "it names a list of revoked credentials, which was not asked: ask its maker whether it still holds"
    ),
    "other-status": "its maker says of its standing: {value}",
    "sd-withheld": "{count} withheld, or digests of nothing to hide how many: only what was shown is read",
    "kb-checked": "shown to {value} on {day} by the holder of the key {key}",
    "kb-not-checked": "its holder's signature was not checked: the holder's key (P-256) is not in the file",
    "original-issuer": "{value} issued the original; here, who confirms it is named with --issuer",
    "original-maker": "{value} issued the original; here you issue it yourself",
    "default": "nothing is said; {value} is recorded",
    "default-rows": "{rows} rows say nothing; {value} is recorded",
    "table": "{rows} rows, {encoding}, delimiter: {delimiter}",
    "encoding-presumed": "read as {encoding}: {words}. If these words are wrong, name its encoding with --encoding",
    "items-above-gross": "the items alone weigh {net} kg, and {value} kg is the gross weight: check units and weights",
    "header-again": "the header stands again in these rows, which are left out: {rows}",
    "totals": "these rows sum up others, and are left out: {rows}",
    "titles": "above the header, and left out: {value}",
    "other-party": "{value}, but you import as {merchant}: customs compare the two",
    "issuer-cannot-confirm": "{what} Until then the issuer cannot confirm this",
    # wrong
    "unusable": "{why}. It is needed: {meaning}",
    "unusable-cell": "{why}",
    "fault": "{what}",
    "empty-cell": "is empty: {meaning}",
    "differs": "{value} differs from row {first}, which has the same reference",
    "column-twice": "this column stands twice, perhaps under both names",
    "too-many-cells": "{cells} cells under {columns} columns: a text with the delimiter in it needs quotes",
    "no-rows": "there are no rows under the header",
    "taken-back": "its maker says that it is no longer in force ({value}): ask for a valid one",
    "several-goods": "{count} kinds of goods; a certificate of origin here covers one: split the document",
    "several-lots": "{count} lots; an inspection report here is about one: split the document",
    "bare-verdict": (
        "it says no more than passed or failed: ask the laboratory for the results (ISO/IEC 17025:2017, 7.8.2)"
    ),
    "not-your-invoice": (
        "{value} is the seller, and you import as {merchant}: a merchant signs its own invoices only "
        "(if that is you under another name: --set seller.name)"
    ),
    "lodged-before": "{value} was lodged before",
    "number-taken": "you have issued invoice {value} before",
    "stated-before": "the same statement waits before {issuer} already",
    "twice-given": "{value} stands in {other} as well",
    "no-such-file": "names no uploaded file of this size: upload it first, or leave attachments out",
    "malformed-json": "{why}",
    # credentials secured as SD-JWT
    "sd-form": (
        "it is no whole SD-JWT: it was cut off, wrapped or altered on its way. "
        "Take the file again from whoever sent it to you"
    ),
    "sd-no-tilde": (
        "it is a JWT without ~, and so no SD-JWT, which ends with one even where nothing is withheld (RFC 9901). "
        "Ask whoever sent it for the whole"
    ),
    "sd-json-form": (
        "it is neither the flattened form of an SD-JWT in JSON (signature) nor the general one (signatures). "
        "Ask its issuer for one of these"
    ),
    "sd-other-header": (
        "disclosures or the holder's signature stand with another signature than the first, where RFC 9901 (section 8) "
        "wants them. Ask whoever sent it to put them there"
    ),
    "sd-date": "{value} is no date here: RFC 7519 wants a number, seconds since 1970. Ask its issuer for a new one",
    "sd-json": "a part of it is JSON that programs read differently ({why}). Ask its issuer for a new one",
    "sd-unsigned": "nobody signed it. Ask its issuer for the signed one",
    "sd-crit": "its header demands an extension (crit) that is not known here. Ask its issuer for one without",
    "sd-type": "its type (typ) is {value}; read are {known}. Ask its issuer for one of these",
    "sd-hash": "its digests are made with {value}; read are {known}. Ask its issuer for one of these",
    "sd-many": "more than {most} disclosures. Ask for one that shows less",
    "sd-deep": "nested deeper than {most} levels. Ask its issuer for a new one",
    "sd-disclosure": "disclosure {place} is damaged. Take the file again from whoever sent it to you",
    "sd-disclosure-twice": "disclosure {place} stands twice. Take the file again from whoever sent it to you",
    "sd-foreign": (
        "disclosure {place} ({name}) is not what the issuer signed: it was altered, or put in, or what it lies in is "
        "withheld. Take the file again from whoever sent it to you"
    ),
    "sd-shape": (
        "a member was shown here where an element of a list belongs, or the reverse. Ask its issuer for a new one"
    ),
    "sd-digests": "the digests here are damaged. Ask its issuer for a new one",
    "sd-digest-twice": "a digest here stands twice. Ask its issuer for a new one",
    "sd-name": "{name} would stand here twice, or is no name for a field. Ask its issuer for a new one",
    "sd-place": "a digest stands here where none belongs. Ask its issuer for a new one",
    "sd-signature": (
        "it is not signed by the key that it names: what it says was altered after signing. "
        "Take the file again from whoever sent it to you"
    ),
    "sd-key": "the key in its header is no P-256 key, which ES256 needs. Ask its issuer for a new one",
    "kb-form": "its holder's signature (key binding) is of no form that is read here. Ask its holder to show it anew",
    "kb-signature": "its holder's signature is not by the key that the issuer named. Ask its holder to show it anew",
    "kb-hash": (
        "its holder signed another choice of fields: some were taken away or put in. Ask its holder to show it anew"
    ),
    # why a value is unusable
    "no-text": "it is no text",
    "numeric-country": (
        "{value} is a number: China customs' country numbers are not ISO 3166; write two letters, such as SG"
    ),
    "china-country-unknown": (
        "{value} is no country number of China customs, whose numbers are not ISO 3166's; write two letters, such as SG"
    ),
    "no-country": "{value} names no country (ISO 3166)",
    "no-day": "{value} is no date: write 2026-03-01",
    "no-number": "{value} is no number: write digits with a point for decimals and nothing between thousands",
    "negative-number": "{value} is below zero",
    "china-currency-unknown": (
        "{value} is no currency code of China customs that is known here ({known}), whose codes are not ISO 4217's; "
        "write three letters, such as USD"
    ),
    "local-number": (
        "{value} may be read in two ways: write digits with a point for decimals and nothing between thousands, or say "
        "what stands before decimals: --decimal point or --decimal comma"
    ),
    "thousand-or-decimal": (
        "{value} may be {thousand}, or a decimal: say what stands before decimals in this table: --decimal comma if it "
        "is {thousand}, --decimal point if not"
    ),
    "shortened-number": "{value} was shortened by a spreadsheet: format the column as text and enter it again",
    "spreadsheet-error": "{value} is what a spreadsheet shows instead of a value that it could not find or fit in",
    "formula": "{value} is a formula without its value: save the table with values",
    "office-short": "{value} lost its leading zero: if it is the office {likely}, write {likely}",
    "local-mass": "{value} is {kilograms} kg: state the quantity in kilograms (KGM)",
    "no-whole-number": "{value} is no whole number",
    "no-mass": "{value} is no weight with a unit",
    "no-mass-unit": "{value} is no unit of mass known here ({known})",
    "no-currency": "{value} is no ISO 4217 currency code such as USD",
    "no-criterion": "{value} is none of the origin criteria {known}",
    "no-agreement": "{value} is none of {known}; set NONE only where no preference is claimed",
    "preference-without-agreement": "it claims a preference and names no agreement",
    "agreement-without-preference": "it names {value} and says that it claims no preference: one of the two is wrong",
    "no-switch": "{value} is neither true nor false",
    "no-unit": "{value} is no unit in use here, such as {known} (docs/import.md)",
    "china-unit-short": "{value} lost its leading zero: if it is China customs' unit {likely}, write {likely}",
    "china-unit-unknown": (
        "{value} is no code of a unit in use here: of China customs' unit codes these are known: {known}"
    ),
    "no-direction": "{value} is neither E, I, export nor import",
    "lost-zero": "{value} has an odd number of digits: a spreadsheet may have dropped the leading zero",
    "lost-zero-of-china": (
        "{value} has 12 digits, and China's codes have 8, 10 or 13: a spreadsheet may have dropped the leading zero"
    ),
    "no-instant": "{value} is no time with its zone: write 2026-03-01T08:30+08:00",
    "no-such-instant": "{value} is in no calendar or on no clock: write 2026-03-01T08:30+08:00",
    "other-currency": "priced in {value}, the total in {total}",
    "no-such-path": "{path} leads to no field",
    # files that are nothing known
    "not-text": "it is no text in {encoding} (byte {position}): save it as CSV UTF-8, or name it with --encoding",
    "which-encoding": (
        "it is no UTF-8, and its words depend on what it is encoded in: {readings}. Say which is right "
        "with --encoding, or save it as CSV UTF-8"
    ),
    "mixed-encodings": (
        "its lines are written in several encodings: some are UTF-8, and others are not (lines {lines}). "
        "Save the whole as CSV UTF-8"
    ),
    "json-not-utf-8": "it is JSON, but not in UTF-8: save it as UTF-8 (RFC 8259)",
    "no-columns": (
        "it is neither JSON nor a table of consignments: no row at its beginning, such as {seen}, holds column names "
        "known here (docs/import.md lists them)"
    ),
    "broken-table": "the table breaks off at row {row}: {why}",
    "too-many-rows": "more than {most} rows: split the file",
    "spreadsheet": "it is a spreadsheet file: save it as CSV UTF-8",
    "packed": "it is compressed: unpack it first",
    "pdf": "it is a PDF: attach it to a record in the browser",
    "xml": "it is XML, which is not read here: a table or JSON is",
    "too-large": "larger than {most} bytes",
    "empty": "it is empty",
    "not-an-object": "it is JSON, but no object. Known are: {known}",
    "unknown-document": "{seen} is no document known here. Known are: {known}",
    "unknown-kind": "the kind is {seen}; known are {known}, each with a document object",
}


def words(code: str, values: Mapping[str, object], language: Language) -> str:
    """Return a message with its values, made safe for display."""
    shown = {name: _shown(value, language, _LONGEST.get(name, 600)) for name, value in values.items()}
    if isinstance(meaning := values.get("meaning"), Meaning):
        shown["example"] = meaning.example
    if code == "china-unit":
        unit = str(values["value"])
        shown["unit"] = name_in(UNITS[unit], "unit", language) if unit in UNITS else unit
    if code == "no-place" and values.get("value") is None:
        shown["value"] = ngettext("{count} value", "{count} values", _count(values.get("count")), language)
    for name in _OF_OURS & values.keys():
        if isinstance(said := values[name], str):
            shown[name] = clear(say(said, language))
    if "told" in values:
        shown["value"] = shown["told"]
    return filled(gettext(MESSAGES[code], language), shown)


def report(note: Note, language: Language = SOURCE) -> str:
    """Return a note's message, with the number of rows where many rows have the same one."""
    rows = note.values.get("rows")
    said = words(note.code, note.values, language)
    if note.severity is Severity.CONVERTED and rows is not None:
        return ngettext("{said} ({count} row)", "{said} ({count} rows)", _count(rows), language, said=said)
    return said


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def _shown(value: object, language: Language, longest: int) -> str:
    if isinstance(value, Meaning):
        return gettext(value.text, language)
    if isinstance(value, Unusable | UnknownFormat):
        return words(value.reason, value.values, language)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        return "[…]" if isinstance(value, list) else "{…}"
    return clear(say(value, language) if isinstance(value, Message) else str(value), longest)


def clear(text: str, longest: int = 600) -> str:
    """Return a text that cannot move a terminal's cursor or hide: control characters are escaped, long text is cut."""
    visible = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)
    return visible if len(visible) <= longest else f"{visible[: longest - 1]}…"
