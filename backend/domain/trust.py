"""The reader's trust file: whose statements about which ledger count, where the ledger itself is not asked.

It is a small JSON file that only the reader writes. It names ledgers, each by chain, deployment number and addresses,
and for each the thumbprints of the keys that may state what it holds.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from backend.domain.errors import Invalid
from backend.domain.evidence import LedgerName, is_address, is_hex, ledger_named

FORMAT = "provenport-trust"
VERSION = 1
LARGEST = 1024 * 1024
"""Maximum size in bytes."""
_OPTIONAL = frozenset({"revocations", "succeeds"})
_MEMBERS = frozenset({"name", "chainId", "instanceId", "ledger", "accreditation", "confirmations", "keys"})


class MalformedTrust(Invalid):
    """Raised for a file that is not a trust file, with what is wrong in it."""

    code = "malformed-trust"


@dataclass(frozen=True)
class Trusted:
    """One ledger that the reader trusts, and the keys that may make statements about it.

    ``revocations`` is the address of its contract for revocations of records wherever they stand, if it has one.
    ``succeeds`` are lost ledgers in whose place it is: what was signed to be anchored there may stand here.
    """

    name: str
    ledger: LedgerName
    accreditation: str
    confirmations: int = 0
    keys: tuple[str, ...] = ()
    revocations: str | None = None
    succeeds: tuple[LedgerName, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the entry as in the file."""
        return {
            "name": self.name,
            **self.ledger.as_json(),
            "accreditation": self.accreditation,
            "confirmations": self.confirmations,
            "keys": list(self.keys),
            **({} if self.revocations is None else {"revocations": self.revocations}),
            **({} if not self.succeeds else {"succeeds": [one.as_json() for one in self.succeeds]}),
        }


@dataclass(frozen=True)
class Trust:
    """All ledgers that a reader trusts."""

    trusted: tuple[Trusted, ...] = ()

    def of(self, ledger: LedgerName) -> tuple[Trusted, ...]:
        """Return the entries about one ledger."""
        return tuple(entry for entry in self.trusted if entry.ledger == ledger)

    def knows(self, key: str) -> bool:
        """Tell whether a key may make statements about any ledger."""
        return any(key in entry.keys for entry in self.trusted)

    def names_of(self, key: str) -> tuple[str, ...]:
        """Return the names under which a key may make statements."""
        return tuple(dict.fromkeys(entry.name for entry in self.trusted if key in entry.keys))

    def spoken_for_by(self, name: str, key: str) -> "Trust":
        """Return entries about the same ledgers for another signer, with a name and a key of its own."""
        ledgers: dict[tuple[LedgerName, str], Trusted] = {}
        for entry in self.trusted:
            which = entry.ledger, entry.accreditation
            own = ledgers.setdefault(which, replace(entry, name=name, keys=(key,)))
            # Of several entries about one ledger the most confirmations, and any that names its revocations: the other
            # signer must not be the more careless one.
            ledgers[which] = replace(
                own,
                confirmations=max(own.confirmations, entry.confirmations),
                revocations=own.revocations or entry.revocations,
                succeeds=tuple(dict.fromkeys((*own.succeeds, *entry.succeeds))),
            )
        return Trust(tuple(ledgers.values()))

    def joined_by(self, other: "Trust") -> "Trust":
        """Return both together.

        Where a name has an entry for a ledger already, keys are added to it, the newer first.
        """
        entries = list(self.trusted)
        for new in other.trusted:
            which = new.name, new.ledger, new.accreditation
            at = next((i for i, e in enumerate(entries) if (e.name, e.ledger, e.accreditation) == which), None)
            if at is None:
                entries.append(new)
            else:
                earlier = entries[at]
                keys = tuple(dict.fromkeys((*new.keys, *earlier.keys)))
                succeeds = tuple(dict.fromkeys((*new.succeeds, *earlier.succeeds)))
                revocations = new.revocations or earlier.revocations
                entries[at] = replace(earlier, keys=keys, revocations=revocations, succeeds=succeeds)
        return Trust(tuple(entries))

    def as_json(self) -> dict[str, Any]:
        """Return the file's content."""
        return {"format": FORMAT, "version": VERSION, "trusted": [entry.as_json() for entry in self.trusted]}


def read(content: Any) -> Trust:
    """Parse a trust file. Unknown members are refused, so that a typing error is noticed.

    Raises:
        MalformedTrust: if it is not a trust file.
    """
    if not isinstance(content, Mapping) or content.get("format") != FORMAT:
        raise MalformedTrust("not a trust file: the member format must read {format}", format=FORMAT)
    if type(content.get("version")) is not int or content["version"] != VERSION:
        raise MalformedTrust("this version of trust file is not known here: it must be {version}", version=VERSION)
    entries = content.get("trusted")
    if not isinstance(entries, list) or set(content) != {"format", "version", "trusted"}:
        raise MalformedTrust("a trust file has the members format, version and trusted, and no other")
    return Trust(tuple(_entry(entry, number) for number, entry in enumerate(entries, 1)))


def _entry(fields: Any, number: int) -> Trusted:
    if not isinstance(fields, Mapping) or set(fields) - _OPTIONAL != _MEMBERS:
        raise MalformedTrust(
            "entry {number} must have exactly the members {names}", number=number, names=", ".join(sorted(_MEMBERS))
        )
    keys = fields["keys"]
    numbers = fields["chainId"], fields["confirmations"]
    # type() and not isinstance(), by which True would pass for 1.
    if any(type(count) is not int or count < 0 for count in numbers) or not isinstance(fields["name"], str):
        raise MalformedTrust(
            "entry {number}: chainId and confirmations are whole numbers, name is a text", number=number
        )
    if not isinstance(keys, list) or not all(map(_is_thumbprint, keys)):
        raise MalformedTrust("entry {number}: keys is a list of thumbprints (RFC 7638) of 43 characters", number=number)
    if not fields["name"].strip(" "):
        raise MalformedTrust("entry {number}: name is empty, and a verdict must say according to whom", number=number)
    revocations = fields.get("revocations")
    addresses = fields["ledger"], fields["accreditation"], *(() if revocations is None else (revocations,))
    if not all(map(is_address, addresses)):
        raise MalformedTrust("entry {number}: addresses are 0x and 40 lower-case hex digits", number=number)
    if not is_hex(64, fields["instanceId"]):
        raise MalformedTrust("entry {number}: instanceId is 64 lower-case hex digits", number=number)
    listed = fields.get("succeeds")
    succeeds = [ledger_named(one) for one in listed] if isinstance(listed, list) else [] if listed is None else [None]
    if None in succeeds:
        raise MalformedTrust(
            "entry {number}: succeeds lists ledgers by chainId, instanceId and ledger, each written as in an entry",
            number=number,
        )
    return Trusted(
        fields["name"],
        LedgerName(fields["chainId"], bytes.fromhex(fields["instanceId"]), fields["ledger"]),
        fields["accreditation"],
        fields["confirmations"],
        tuple(keys),
        revocations,
        tuple(one for one in succeeds if one is not None),
    )


def _is_thumbprint(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[A-Za-z0-9_-]{43}", value) is not None
