#!/usr/bin/env python3
"""Checks an evidence bundle of Provenport without Provenport: one file, Python 3.11 or newer, and `cryptography`.

    python verify.py BUNDLE.json [TRUST.json] [--max-age-hours 24] [--at 2026-03-02T12:00:00Z]

Exit code 0 VALID, 1 INVALID, 2 INDETERMINATE. docs/bundle.md says what is checked and why (the numbers in brackets are
its steps), docs/codes.md lists the codes. Nothing is asked of any network: what the ledger holds counts as far as
the trust file lets the signer of the bundle's snapshot speak for that ledger, and no longer than the given age.
"""

import argparse
import base64
import json
import re
import sys
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

try:
    from datetime import UTC, datetime, timedelta
    from itertools import pairwise

    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec, utils
    from cryptography.hazmat.primitives.hashes import SHA256
except ImportError as missing:
    print(f"verify.py needs Python 3.11 or newer and `pip install cryptography`: {missing}", file=sys.stderr)
    sys.exit(2)

# Tables of its own, although the server has the same: a verifier that read them there would share its faults. Tests
# compare them (decision 0018).
# Kind of record: type of its credential, its segment of a batch, the bit in an accreditation that covers it, and
# whether that must cover the HS chapter of its goods too.
KINDS = {
    1: ("CertificateOfOrigin", 0, 1, True),
    2: ("InspectionReport", 1, 2, True),
    3: ("Declaration", 2, 3, False),
    4: ("Invoice", 3, 4, False),
    5: ("Order", 3, 5, False),
    6: ("PaymentReceipt", 3, 6, False),
    7: ("Waybill", 3, 7, False),
    8: ("MovementEvent", 3, 7, False),
    9: ("PhytosanitaryCertificate", 3, 0, True),
    10: ("Listing", 3, 5, False),
}
# Kind of record: its fields that tell of the past.
DATES_OF_THE_PAST = {
    1: "issueDate invoiceDate",
    2: "receivedDate samplingDate performedFrom performedTo issueDate",
    3: "arrivalDateTime",
    4: "issueDate",
    5: "orderDate",
    6: "paidDateTime",
    7: "issueDate",
    8: "eventDateTime",
    9: "inspectionDate treatmentDate issueDate",
    10: "",
}
# Trade agreement: months that a certificate holds, its origin criteria, since when it is in force for whom, and what
# else it says: "late", the days and months after shipment for issue; "from", the countries whose goods a one-sided
# preference is for; "unconfirmed", pairs of origin and importing country for which it is not confirmed.
AGREEMENTS = {
    "RCEP": (
        12,
        "WO PE CC CTH CTSH RVC CR PSR",
        dict.fromkeys(["AU", "BN", "CN", "JP", "KH", "LA", "NZ", "SG", "TH", "VN"], "2022-01-01")
        | {"KR": "2022-02-01", "MY": "2022-03-18", "MM": "2022-05-01", "ID": "2023-01-02", "PH": "2023-06-02"},
        {},
    ),
    "ACFTA": (
        12,
        "WO PE CTH RVC PSR",
        dict.fromkeys(["BN", "CN", "ID", "KH", "LA", "MM", "MY", "PH", "SG", "TH", "VN"], "2005-01-01"),
        {"late": [3, 12]},
    ),
    "CHAFTA": (12, "WO PE PSR", dict.fromkeys(["AU", "CN"], "2015-12-20"), {}),
    "CPTPP": (
        12,
        "WO PE PSR",
        dict.fromkeys(["AU", "CA", "JP", "MX", "NZ", "SG"], "2018-12-30")
        | {"VN": "2019-01-14", "PE": "2021-09-19", "MY": "2022-11-29", "CL": "2023-02-21"}
        | {"BN": "2023-07-12", "GB": "2024-12-15"},
        {"unconfirmed": ["CA GB", "GB CA", "GB MX", "MX GB"]},
    ),
    "USMCA": (48, "WO PE PSR", dict.fromkeys(["CA", "MX", "US"], "2020-07-01"), {}),
    "GSP": (
        None,
        "WO PSR",
        dict.fromkeys(["AU", "NO", "NZ"], "1971-06-25"),
        {"from": ["CN"], "unconfirmed": ["CN AU", "CN NO", "CN NZ"]},
    ),
}
# what the checks are called: written by the project's script, from the table of checks that all verifiers share
TITLES = {
    "BUNDLE": "File",
    "SNAPSHOT": "What the ledger held",
    "SIGNATURE": "Signature",
    "CONTENT": "Content",
    "INCLUSION": "Sealed with the others",
    "ANCHOR": "Recorded on the ledger",
    "STATUS": "In force",
    "ISSUER_ACCREDITED": "Issuer accredited",
    "ISSUER_STANDING": "Issuer in good standing",
    "VALIDITY": "Dates",
    "AGREEMENT": "Trade agreement",
    "NAMED_RECORD": "Paper named by the declaration",
}
DECLARATION = 3
# Between the clocks of issuer, server and chain (docs/codes.md).
CLOCKS_MAY_DIFFER = timedelta(minutes=5)
GRACE = timedelta(hours=72)
LARGEST = 16 * 1024 * 1024
# The order of P-256's base point, and the prime of its field (FIPS 186-5, SP 800-186).
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
FIELD = 2**256 - 2**224 + 2**192 + 2**96 - 1
PASS, FAIL, INDETERMINATE, NOTE = "pass", "fail", "indeterminate", "note"
MOMENT = re.compile(
    r"\d{4}-\d\d-\d\dT([01]\d|2[0-3])(:[0-5]\d){2}(\.\d{1,6})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)", re.ASCII
)

COMMANDING = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")  # a terminal


class Malformed(Exception):
    """The bundle, snapshot or trust file has not its form, so nothing can be told from it."""


class Altered(Exception):
    """A record is not what was signed."""


def need(condition, why):
    """Raise Malformed with the reason unless the condition holds."""
    if not condition:
        raise Malformed(why)


# ---- [1] JSON with one reading only


def parse(content):
    """Return the value of a JSON text (bytes or str) that every program reads in the same way.

    Raises:
        ValueError: Two programs might read it differently: a repeated name, a number that a double does not hold,
            nesting deeper than 64, or half of a surrogate pair.
    """
    text = content.decode("utf-8") if isinstance(content, bytes) else content

    def members(pairs):
        if len({name for name, _ in pairs}) < len(pairs):
            raise ValueError("a key stands twice")
        return dict(pairs)

    def integer(digits):
        # Checked by length first: converting a very long number takes quadratic time.
        if len(digits) > 17 or abs(int(digits)) >= 2**53:
            raise ValueError("an integer beyond 2^53 - 1")
        return int(digits)

    def real(digits):
        short = len(digits) <= 40 and len(digits.lower().partition("e")[2]) <= 5
        if not short or abs(float(digits)) == float("inf") or Decimal(repr(float(digits))) != Decimal(digits):
            raise ValueError("a number that a double does not hold")
        return float(digits)

    def constant(name):
        raise ValueError(f"{name} is not JSON")

    # Possessive quantifiers (Python 3.11): a text full of quotation marks must not lead to backtracking.
    plain = re.sub(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', "", text, flags=re.DOTALL)  # what stands outside texts
    # Counted before json.loads, which would reach Python's limit of recursion.
    depth = 0
    for bracket in re.findall(r"[\[\]{}]", plain):
        depth += 1 if bracket in "[{" else -1
        if depth > 64:
            raise ValueError("nested too deep")
    value = json.loads(text, object_pairs_hook=members, parse_int=integer, parse_float=real, parse_constant=constant)
    json.dumps(value, ensure_ascii=False).encode("utf-8")  # half of a surrogate pair cannot be written
    return value


def unbase64(text):
    """Decode base64url without padding (RFC 4648, section 5).

    Raises:
        ValueError: It is not in its canonical form, by which a text could be altered without changing its bytes.
    """
    # b64decode passes over letters that are none and over unused bits: what is not encoded back to the same text is
    # refused.
    data = base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4))
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != text:
        raise ValueError("not base64url")
    return data


def base64url(data):
    """Encode bytes as base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def is_(kind, *values):
    """Tell whether all values have the form named by ``kind``."""
    forms = {
        "natural": lambda v: type(v) is int and v >= 0,
        "hash": lambda v: isinstance(v, str) and re.fullmatch("[0-9a-f]{64}", v),
        "address": lambda v: isinstance(v, str) and re.fullmatch("0x[0-9a-f]{40}", v),
        "thumbprint": lambda v: isinstance(v, str) and re.fullmatch("[A-Za-z0-9_-]{43}", v),
        "text": lambda v: isinstance(v, str),
    }
    return all(forms[kind](value) for value in values)


def has(fields, names):
    """Tell whether a value is an object with exactly these names, which are separated by spaces."""
    return isinstance(fields, dict) and set(fields) == set(names.split())


def moment(text):
    """Parse an RFC 3339 time into an aware datetime in UTC. None stays None.

    Raises:
        ValueError: It is anything else.
    """
    if text is None:
        return None
    if not isinstance(text, str) or not MOMENT.fullmatch(text):
        raise ValueError("no time")
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except OverflowError as error:
        raise ValueError("no time") from error


def seconds(text):
    """Parse a time as bundles write it, in UTC and to the second.

    Raises:
        Malformed: It is not written so.
    """
    need(is_("text", text) and len(text) == 20, "a time is written as 2026-03-02T12:00:00Z")
    try:
        return moment(text)
    except ValueError as error:
        raise Malformed(str(error)) from error


# ---- [2] the bundle: every member has its form before any of them is believed


def read_bundle(content):
    """Parse a bundle and check the form of every member before any of them is used.

    Raises:
        Malformed: It is no bundle.
        Altered: A record in it is not what was signed.
    """
    need(len(content) <= LARGEST, "longer than 16 MiB")
    try:
        bundle = parse(content)
    except (ValueError, RecursionError) as error:
        raise Malformed(str(error)) from error
    need(isinstance(bundle, dict) and bundle.get("format") == "provenport-evidence", "not a bundle")
    need(type(bundle.get("version")) is int and bundle["version"] == 1, "an unknown version")
    need(has(bundle, "format version records superseded snapshot"), "other members than a bundle's")
    records, superseded, snapshot = bundle["records"], bundle["superseded"], bundle["snapshot"]
    need(isinstance(records, list) and 1 <= len(records) <= 500, "records")
    need(isinstance(superseded, list) and len(superseded) <= 500, "superseded")
    need(all(is_("text", jwt) and jwt.isascii() for jwt in superseded), "superseded")
    need(snapshot is None or is_("text", snapshot), "snapshot")
    for one in records:
        need(has(one, "record entry proof anchor") and is_("text", one["record"]), "other members than a record's")
        check_forms(one["entry"], one["proof"], one["anchor"])
    need(len(records) == 1 or records[0]["entry"]["kind"] == DECLARATION, "several records need their declaration")
    for one in records:
        one["record"] = read_record(one["record"])
    return bundle


def check_forms(entry, proof, anchor):
    """Check the forms of a record's entry, inclusion proof and anchor, and add the anchor's parsed time.

    Raises:
        Malformed: One of them has not its form.
    """
    need(has(entry, "kind quantity") and is_("natural", entry["kind"]) and entry["kind"] in KINDS, "kind")
    quantity = entry["quantity"]
    need(is_("text", quantity) and re.fullmatch("0|[1-9][0-9]{0,38}", quantity), "quantity")
    need(int(quantity) < 2**128, "quantity")
    if proof is not None:
        need(has(proof, "leafIndex treeSize inclusionPath"), "other members than a proof's")
        need(is_("natural", proof["leafIndex"], proof["treeSize"]), "proof")
        path = proof["inclusionPath"]
        need(isinstance(path, list) and len(path) <= 64 and is_("hash", *path), "inclusionPath")
    if anchor is not None:
        need(
            has(anchor, "chainId ledger instanceId root transaction block blockTime"), "other members than an anchor's"
        )
        need(is_("natural", anchor["chainId"], anchor["block"]) and is_("address", anchor["ledger"]), "anchor")
        need(is_("hash", anchor["instanceId"], anchor["root"], anchor["transaction"]), "anchor")
        anchor["time"] = seconds(anchor["blockTime"])


# ---- [3] the record: SD-JWT (RFC 9901)


def read_record(text):
    """Parse an SD-JWT and return its parts, as ``read_sd_jwt`` does.

    Raises:
        Altered: It is no record, or a field in it is not what was signed.
    """
    try:
        return read_sd_jwt(text)
    except (ValueError, RecursionError) as error:
        raise Altered(str(error)) from error


def read_sd_jwt(text):
    """Parse an SD-JWT (RFC 9901) and match its disclosures with the signed digests. Does not check the signature.

    Returns a dict with jwt, header, payload, subject (disclosed fields), withheld (their number) and digest (bytes).

    Raises:
        ValueError: It is no record, or a disclosed field is not what was signed.
    """
    jwt, *disclosures = text.split("~")
    if disclosures and disclosures.pop() != "":
        raise ValueError("the record must end with ~")
    if len(disclosures) >= 500 or jwt.count(".") != 2:
        raise ValueError("too many fields, or no signed JWT")
    header, payload = (parse(unbase64(part)) for part in jwt.split(".")[:2])
    if not isinstance(header, dict) or not isinstance(payload, dict):
        raise ValueError("header and payload are objects")
    if header.get("alg") != "ES256" or header.get("typ") != "vc+sd-jwt" or "crit" in header:
        raise ValueError("not an ES256 record")
    subject = payload.get("credentialSubject")
    digests = subject.get("_sd", []) if isinstance(subject, dict) else None
    if not isinstance(digests, list) or not is_("text", *digests) or len(set(digests)) < len(digests):
        raise ValueError("no list of digests")
    if payload.get("_sd_alg", "sha-256") != "sha-256":
        raise ValueError("digests by another algorithm")
    signed = set(digests)
    refuse_nested([value for name, value in subject.items() if name != "_sd"])
    if "..." in subject:
        raise ValueError("a digest stands in a nested place")
    disclosed = {}
    for disclosure in disclosures:
        field = parse(unbase64(disclosure))
        if not isinstance(field, list) or len(field) != 3 or not is_("text", *field[:2]):
            raise ValueError("a field is a list of salt, name and value")
        name = field[1]
        if base64url(sha256(disclosure.encode()).digest()) not in signed:
            raise ValueError(f"the field {name} is not what was signed")
        if name in disclosed or name in subject or name in ("_sd", "..."):
            raise ValueError(f"the field {name} stands twice")
        refuse_nested(field[2])
        disclosed[name] = field[2]
    shown = {name: value for name, value in subject.items() if name != "_sd"} | disclosed
    return {
        "jwt": jwt,
        "header": header,
        "payload": payload,
        "subject": shown,
        "withheld": len(digests) - len(disclosed),
        "digest": sha256(jwt.encode()).digest(),
    }


def refuse_nested(value):
    """Refuse digests inside a field.

    Fields are disclosed as a whole, so a digest in one would hide a part that is neither shown nor counted as withheld.

    Raises:
        ValueError: There is a digest in it.
    """
    if isinstance(value, dict) and ("_sd" in value or "..." in value):
        raise ValueError("a digest stands in a nested place")
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
        refuse_nested(inner)


def thumbprint(jwk):
    """Return the RFC 7638 thumbprint of a P-256 key in base64url.

    Raises:
        ValueError: It is no P-256 key.
    """
    if not isinstance(jwk, dict) or jwk.get("kty") != "EC" or jwk.get("crv") != "P-256":
        raise ValueError("no P-256 key")
    if not is_("thumbprint", jwk.get("x"), jwk.get("y")):  # 32 bytes have the same form
        raise ValueError("no P-256 key")
    return base64url(sha256(f'{{"crv":"P-256","kty":"EC","x":"{jwk["x"]}","y":"{jwk["y"]}"}}'.encode()).digest())


def point(jwk):
    """Return the public key.

    Raises:
        ValueError: A coordinate is not below the field's prime, or the point is not on the curve.
    """
    x, y = (int.from_bytes(unbase64(jwk[name]), "big") for name in "xy")
    if max(x, y) >= FIELD:
        raise ValueError("a coordinate beyond the field")
    return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()


def is_signed(signed, signature, jwk):
    """Tell whether an ES256 signature (64 bytes, RFC 7518, section 3.4) fits the signed text and the key."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if len(signature) != 64 or not 0 < r < ORDER or not 0 < s < ORDER:
        return False
    try:
        point(jwk).verify(utils.encode_dss_signature(r, s), signed.encode("ascii"), ec.ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True


def is_signed_by_its_key(record):
    """Tell whether a record is signed by the key in its header, whose thumbprint must be the key id in it."""
    signed, _, signature = record["jwt"].rpartition(".")
    try:
        jwk = record["header"].get("jwk")
        return thumbprint(jwk) == record["header"].get("kid") and is_signed(signed, unbase64(signature), jwk)
    except ValueError:
        return False


def has_lower_s(record):
    """Tell whether a record's signature is the one with the lower of the two s that fit."""
    return int.from_bytes(unbase64(record["jwt"].rpartition(".")[2])[32:], "big") <= ORDER // 2


# ---- [4] the batch: RFC 9162, section 2.1.3.2


def root_from(place, size, path, entry):
    """Return the root that an inclusion proof leads to (RFC 9162, section 2.1.3.2), or None if it does not fit.

    ``place`` is the leaf index, ``size`` the tree's size, ``path`` the sibling hashes from the leaf up.
    """
    if place >= size:
        return None
    last, node = size - 1, sha256(b"\x00" + entry).digest()
    for sibling in path:
        if last == 0:
            return None
        if place % 2 or place == last:
            node = sha256(b"\x01" + sibling + node).digest()
            while place and not place % 2:
                place, last = place // 2, last // 2
        else:
            node = sha256(b"\x01" + node + sibling).digest()
        place, last = place // 2, last // 2
    return node if last == 0 else None


# ---- [5] the snapshot: what the ledger held, by the word of its signer


def read_snapshot(text):
    """Parse a snapshot and check its signature. Returns its statement with the signer's thumbprint and parsed times.

    Raises:
        Malformed: It is no snapshot, or its signature does not fit.
    """
    try:
        head, body, signature = text.split(".")
        header, raw = parse(unbase64(head)), unbase64(signature)
        need(has(header, "alg typ jwk") and has(header["jwk"], "kty crv x y"), "its header")
        need(header["alg"] == "ES256" and header["typ"] == "provenport-snapshot", "its type")
        signer = thumbprint(header["jwk"])
        # The lower of the two values s that fit, since the other one gives a second text with a valid signature.
        need(len(raw) == 64 and int.from_bytes(raw[32:], "big") <= ORDER // 2, "ES256 with the lower s")
        need(is_signed(f"{head}.{body}", raw, header["jwk"]), "its signature does not fit")
        stated = parse(unbase64(body))
    except (ValueError, RecursionError) as error:
        raise Malformed(str(error)) from error
    need(has(stated, "chainId instanceId ledger accreditation block blockTime readAt records"), "its members")
    need(is_("natural", stated["chainId"], stated["block"]) and is_("hash", stated["instanceId"]), "its ledger")
    need(is_("address", stated["ledger"], stated["accreditation"]) and isinstance(stated["records"], list), "its form")
    seconds(stated["blockTime"])
    return stated | {
        "signer": signer,
        "read": seconds(stated["readAt"]),
        "records": [reading(one) for one in stated["records"]],
    }


TERMS = "accreditation accreditationAtIssue accreditationAtAnchoring"


def reading(fields):
    """Check what a snapshot states of one record, and parse its times and terms.

    Raises:
        Malformed: It has not its form.
    """
    named = f"root leafIndex transaction block blockTime state segments anchorer status key revocation {TERMS}"
    need(has(fields, named) and is_("natural", fields["anchorer"]), "a reading")
    need(is_("hash", fields["root"], fields["transaction"]) and is_("text", fields["key"]), "a reading")
    need(is_("natural", fields["leafIndex"], fields["block"], fields["status"]), "a reading")
    segments = fields["segments"]
    need(isinstance(segments, list) and len(segments) == 4 and is_("natural", *segments), "segments")
    need(fields["state"] in ("anchored", "final"), "state")
    revoked = fields["revocation"]
    if revoked is not None:
        need(has(revoked, "status since publishedAt") and is_("natural", revoked["status"]), "a revocation")
        need(revoked["status"] in (2, 3), "the status of a revocation")
        seconds(revoked["publishedAt"])
        fields = fields | {"revocation": revoked | {"from": seconds(revoked["since"])}}
    return fields | {"time": seconds(fields["blockTime"])} | {name: terms(fields[name]) for name in TERMS.split()}


def terms(held):
    """Parse the terms of an accreditation. None, for a key that had none, stays None.

    Raises:
        Malformed: They have not their form.
    """
    if held is None:
        return None
    need(has(held, "kinds chapters validFrom validUntil suspendedSince") and is_("natural", held["kinds"]), "terms")
    need(is_("text", held["chapters"]) and re.fullmatch("[0-9a-f]{1,32}", held["chapters"]), "chapters")
    since = held["suspendedSince"]
    return {
        "kinds": held["kinds"],
        "chapters": int(held["chapters"], 16),
        "from": seconds(held["validFrom"]),
        "until": seconds(held["validUntil"]),
        "since": None if since is None else seconds(since),
    }


def read_trust(content):
    """Parse a trust file and return its entries.

    Raises:
        Malformed: It is no trust file.
    """
    try:
        trust = parse(content)
    except (ValueError, RecursionError) as error:
        raise Malformed(str(error)) from error
    need(has(trust, "format version trusted") and trust["format"] == "provenport-trust", "not a trust file")
    need(type(trust["version"]) is int and trust["version"] == 1 and isinstance(trust["trusted"], list), "its version")
    for entry in trust["trusted"]:
        need(isinstance(entry, dict), "an entry")
        named = "name chainId instanceId ledger accreditation confirmations keys"
        plain = {name: value for name, value in entry.items() if name not in ("revocations", "succeeds")}
        need(has(plain, named), "an entry's members")
        succeeds = entry.get("succeeds")
        need(succeeds is None or (isinstance(succeeds, list) and all(map(is_ledger, succeeds))), "succeeds")
        need(entry.get("revocations") is None or is_("address", entry["revocations"]), "an entry")
        need(is_("text", entry["name"]) and entry["name"].strip(" "), "an entry without a name")
        need(is_("natural", entry["chainId"], entry["confirmations"]), "an entry")
        need(is_("hash", entry["instanceId"]) and is_("address", entry["ledger"], entry["accreditation"]), "an entry")
        need(isinstance(entry["keys"], list) and is_("thumbprint", *entry["keys"]), "keys")
    return trust["trusted"]


def is_ledger(named):
    """Tell whether a value names a ledger, by chain, instance and address."""
    if not has(named, "chainId instanceId ledger"):
        return False
    return is_("natural", named["chainId"]) and is_("hash", named["instanceId"]) and is_("address", named["ledger"])


def same_ledger(one, other):
    """Tell whether two statements name the same ledger, by chain, instance and address."""
    names = ("chainId", "instanceId")
    return all(one[n] == other[n] for n in names) and one["ledger"].lower() == other["ledger"].lower()


def evaluate_snapshot(bundle, trusted, at, max_age):
    """Check the snapshot. Returns its check, and its statement if it counts, else None."""
    if bundle["snapshot"] is None:
        return ("SNAPSHOT", INDETERMINATE, "snapshot-missing", None), None
    try:
        stated = read_snapshot(bundle["snapshot"])
    except Malformed:
        return ("SNAPSHOT", INDETERMINATE, "snapshot-altered", None), None
    speaking = [entry for entry in trusted if stated["signer"] in entry["keys"]]
    about = [e for e in speaking if same_ledger(e, stated) and e["accreditation"] == stated["accreditation"]]
    reason = "snapshot-trusted"
    if not speaking:
        reason = "snapshot-signer-untrusted"
    elif not about:
        reason = "snapshot-ledger-untrusted"
    elif stated["read"] - at > CLOCKS_MAY_DIFFER:
        reason = "snapshot-too-new"
    elif at - stated["read"] > max_age:
        reason = "snapshot-too-old"
    if reason != "snapshot-trusted":
        return ("SNAPSHOT", INDETERMINATE, reason, None), None
    return ("SNAPSHOT", PASS, reason, None), stated | {
        "name": about[0]["name"],
        "succeeds": about[0].get("succeeds") or [],
    }


# ---- [6] one record


def evaluate(one, stated, at):
    """Return the checks of one record, each as (code, outcome, reason)."""
    record, kind = one["record"], one["entry"]["kind"]
    if not is_signed_by_its_key(record):
        return [("SIGNATURE", FAIL, "signature-invalid")]
    # A record that names its anchorer has one form of signature: a second one would be a second record.
    if "anchorer" in record["payload"] and not has_lower_s(record):
        return [("SIGNATURE", FAIL, "signature-not-canonical")]
    checks = [("SIGNATURE", PASS, "signature-valid"), evaluate_content(one, record, kind)]
    if checks[1][1] == FAIL:
        return checks
    found, why = find_reading(one, stated)
    if one["proof"] is None or one["anchor"] is None:
        checks += [("INCLUSION", INDETERMINATE, "not-sealed"), ("ANCHOR", INDETERMINATE, "not-anchored")]
    else:
        checks += [evaluate_inclusion(one, record, kind), evaluate_anchor(one, found, why, kind, stated)]
    checks.append(evaluate_status(one, found, why, kind))
    checks += [*evaluate_issuer(one, found, why, at), evaluate_dates(record, kind, at)]
    return checks + evaluate_agreement(record, kind)


def issued_at(record):
    """Return the time of issue that a record states, or None if it states none."""
    try:
        return moment(record["payload"].get("validFrom"))
    except ValueError:
        return None


def evaluate_content(one, record, kind):
    """Check that the batch entry has the kind and quantity of the record."""
    types = record["payload"].get("type")
    if not isinstance(types, list) or KINDS[kind][0] not in types or issued_at(record) is None:
        return ("CONTENT", FAIL, "entry-kind-mismatch")
    is_shown = kind == 1 and "quantity" in record["subject"]  # only a certificate's entry repeats its quantity
    if kind == 1 and not is_shown and record["withheld"]:
        return ("CONTENT", INDETERMINATE, "quantity-withheld")
    if (thousandths(record["subject"]["quantity"]) if is_shown else 0) != int(one["entry"]["quantity"]):
        return ("CONTENT", FAIL, "entry-quantity-mismatch")
    if record["withheld"]:
        return ("CONTENT", NOTE, "fields-withheld")
    return ("CONTENT", PASS, "content-complete")


def thousandths(stated):
    """Return a quantity, at most three decimals, in thousandths. None if it is none."""
    found = re.fullmatch(r"([0-9]{1,36})(?:\.([0-9]{1,3}))?", stated) if isinstance(stated, str) else None
    return int(found[1] + (found[2] or "").ljust(3, "0")) if found else None


def evaluate_inclusion(one, record, kind):
    """Check that the record's entry (kind, 16-byte quantity, digest) is in the batch that has the anchor's root."""
    entry = bytes([kind]) + int(one["entry"]["quantity"]).to_bytes(16, "big") + record["digest"]
    proof = one["proof"]
    root = root_from(
        proof["leafIndex"], proof["treeSize"], [bytes.fromhex(node) for node in proof["inclusionPath"]], entry
    )
    is_in = root is not None and root.hex() == one["anchor"]["root"]
    return ("INCLUSION", PASS, "included") if is_in else ("INCLUSION", FAIL, "not-included")


def find_reading(one, stated):
    """Return what the snapshot states of a record, and None; or None, and the reason why it states nothing."""
    if stated is None:
        return None, "ledger-not-consulted"
    anchor, proof = one["anchor"], one["proof"]
    if anchor is None or proof is None:
        return None, "ledger-unavailable"
    wanted = anchor["root"], proof["leafIndex"]
    found = next((r for r in stated["records"] if (r["root"], r["leafIndex"]) == wanted), None)
    if found is None or not same_ledger(stated, anchor):
        return None, "snapshot-record-mismatch"
    if (found["transaction"], found["key"]) != (anchor["transaction"], one["record"]["header"].get("kid")):
        return None, "snapshot-record-mismatch"
    return found, None


def evaluate_anchor(one, found, why, kind, stated):
    """Check that the ledger holds the batch, with the record in the segment of its kind."""
    if found is None:
        return ("ANCHOR", INDETERMINATE, why)
    *ends, size = found["segments"]
    segment = next((number for number, end in enumerate(ends) if one["proof"]["leafIndex"] < end), 3)
    if size != one["proof"]["treeSize"] or segment != KINDS[kind][1]:
        return ("ANCHOR", FAIL, "wrong-segment")
    payload = one["record"]["payload"]
    if "anchorer" in payload:
        named, ledgers = named_anchorer(payload["anchorer"]), [one["anchor"], *stated["succeeds"]]
        if named is not None and not any(same_ledger(named, ledger) for ledger in ledgers):
            return ("ANCHOR", INDETERMINATE, "other-ledger")
        if named is None or named["agent"] != found["anchorer"]:
            return ("ANCHOR", FAIL, "other-anchorer")
    if (one["anchor"]["block"], one["anchor"]["time"]) != (found["block"], found["time"]):
        return ("ANCHOR", INDETERMINATE, "anchor-mismatch")
    return ("ANCHOR", PASS, "anchor-final") if found["state"] == "final" else ("ANCHOR", INDETERMINATE, "not-final")


def named_anchorer(claim):
    """Return the claim by which a record says who may anchor it, or None if it has not its form."""
    if not isinstance(claim, dict) or not is_("natural", claim.get("agent")):
        return None
    return claim if is_ledger({name: value for name, value in claim.items() if name != "agent"}) else None


def evaluate_status(one, found, why, kind):
    """Check the record's status on the ledger. docs/codes.md lists the status numbers."""
    if one["anchor"] is None:
        return ("STATUS", INDETERMINATE, "not-anchored")
    if found is None:
        return ("STATUS", INDETERMINATE, why)
    status = found["status"]
    if status > (8 if kind == DECLARATION else 3):
        return ("STATUS", INDETERMINATE, "status-unknown")
    if kind == DECLARATION:
        return ("STATUS", FAIL, "withdrawn") if status == 8 else ("STATUS", PASS, "declaration-in-force")
    revoked = found["revocation"]
    if status == 0 and revoked is not None and revoked["from"] <= found["time"]:
        # The same text has ended in a batch that was anchored no later: this place gives it no new standing.
        return ("STATUS", FAIL, ("revoked-elsewhere", "superseded-elsewhere")[revoked["status"] - 2])
    if status == 0:
        return ("STATUS", PASS, "in-force")
    return ("STATUS", FAIL, ("suspended", "revoked", "superseded")[status - 1])


def evaluate_issuer(one, found, why, at):
    """Check that the issuer's key was accredited for the record, and its standing now."""
    record, kind = one["record"], one["entry"]["kind"]
    if record["payload"].get("assurance") == "stated":
        return [("ISSUER_ACCREDITED", INDETERMINATE, "self-attested")]
    if found is None:
        return [("ISSUER_ACCREDITED", INDETERMINATE, "ledger-not-consulted" if why == "ledger-unavailable" else why)]
    held = found["accreditation"]
    if held is None or held["kinds"] == 0:
        return [("ISSUER_ACCREDITED", FAIL, "never-accredited")]
    outcome, reason = evaluate_accreditation(record, kind, found)
    standing = ("ISSUER_STANDING", PASS, "good-standing")
    if held["since"] is not None and held["since"] <= at:
        standing = ("ISSUER_STANDING", FAIL, "accreditation-revoked")
    elif held["until"] <= at:
        standing = ("ISSUER_STANDING", NOTE, "accreditation-expired")
    return [("ISSUER_ACCREDITED", outcome, reason), standing]


def evaluate_accreditation(record, kind, found):
    """Check a record by the terms at its time of issue. Returns (outcome, reason).

    The terms at its anchoring, less the grace, must cover it too, or it may have been dated back. Suspensions count
    from their start, even if they were made later, and also after they are lifted (decision 0019).
    """
    issued, anchored, now = issued_at(record), found["time"], found["accreditation"]
    held, late = found["accreditationAtIssue"], found["accreditationAtAnchoring"]
    if held is None or late is None:
        return FAIL, "not-accredited-at-issue"
    if not held["kinds"] >> KINDS[kind][2] & 1:
        return FAIL, "kind-not-covered"
    code = record["subject"].get("hsCode") if KINDS[kind][3] else None
    if KINDS[kind][3]:
        all_chapters = held["chapters"] & 1
        if code is None and not all_chapters:
            return INDETERMINATE, "hs-code-withheld"
        if code is not None and not (isinstance(code, str) and re.fullmatch("[0-9]{6,13}", code)):
            return FAIL, "fields-invalid"
        if code is not None and not all_chapters and not held["chapters"] >> int(code[:2]) & 1:
            return FAIL, "chapter-not-covered"
    if issued - anchored > CLOCKS_MAY_DIFFER:
        return FAIL, "issued-after-anchoring"
    seen = max(issued, anchored)
    if now["since"] is not None and now["since"] <= seen:
        return FAIL, "accreditation-revoked"
    if held["since"] is not None and held["since"] <= issued:
        return FAIL, "signed-while-suspended"
    if not held["from"] <= issued < held["until"]:
        return FAIL, "not-accredited-at-issue"
    if seen - late["until"] >= GRACE:
        return INDETERMINATE, "anchored-after-expiry"
    covered = late["kinds"] >> KINDS[kind][2] & 1
    if KINDS[kind][3]:
        covered = covered and (late["chapters"] & 1 or late["chapters"] >> int((code or "0")[:2]) & 1)
    if not covered or late["from"] > issued or (late["since"] is not None and late["since"] <= seen):
        return INDETERMINATE, "anchored-after-change"
    return PASS, "accredited"


def evaluate_dates(record, kind, at):
    """Check the dates of a record, and the term that its trade agreement allows."""
    try:
        until = moment(record["payload"].get("validUntil"))
    except ValueError:
        return ("VALIDITY", FAIL, "fields-invalid")
    if issued_at(record) - at > CLOCKS_MAY_DIFFER:
        return ("VALIDITY", FAIL, "not-yet-issued")
    stated = [dated(record["subject"].get(name)) for name in DATES_OF_THE_PAST[kind].split()]
    if any(date is not None and date - at > timedelta(days=1) for date in stated):
        return ("VALIDITY", FAIL, "dated-ahead")
    if until is not None and until <= at:
        return ("VALIDITY", FAIL, "expired")
    agreement, issued = AGREEMENTS.get(agreement_of(record, kind)), record["subject"].get("issueDate")
    if agreement is not None and agreement[0] and is_day(issued) and has_passed(last_day(issued, agreement[0]), at):
        return ("VALIDITY", FAIL, "term-ended")
    return ("VALIDITY", PASS, "within-validity")


def dated(stated):
    """Return a day as its midnight in UTC, or a time. None for anything else."""
    try:
        return moment(f"{stated}T00:00:00Z" if isinstance(stated, str) and len(stated) == 10 else stated)
    except ValueError:
        return None


def is_day(stated):
    """Tell whether a value is a date in the form 2026-03-02."""
    return isinstance(stated, str) and len(stated) == 10 and dated(stated) is not None


def has_passed(day, at):
    """Tell whether a day is over."""
    return day is not None and at - day >= timedelta(days=1)


def last_day(issued, months):
    """Return the same day some months later, or that month's last day. None beyond the calendar."""
    year, month, day = map(int, issued.split("-"))
    year, month = divmod(year * 12 + month - 1 + months, 12)
    known = (dated(f"{year:04}-{month + 1:02}-{last:02}") for last in range(day, day - 4, -1))
    return next((one for one in known if one is not None), None)


def agreement_of(record, kind):
    """Return the trade agreement under which a certificate claims a preference, or None."""
    named = record["subject"].get("freeTradeAgreementName")
    return named if kind == 1 and isinstance(named, str) and named != "NONE" else None


def evaluate_agreement(record, kind):
    """Check a certificate against its trade agreement: parties, dates in force and origin criteria."""
    named, subject = agreement_of(record, kind), record["subject"]
    if named is None:
        return []
    if named not in AGREEMENTS:
        return [("AGREEMENT", INDETERMINATE, "agreement-unknown")]
    _, criteria, parties, more = AGREEMENTS[named]
    exporter, issued = subject.get("exporter"), subject.get("issueDate")
    origin, importing, criterion, exporting = (
        text if isinstance(text, str) else None
        for text in (
            *map(subject.get, ("originCountry", "importCountry", "originCriteria")),
            exporter.get("countryCode") if isinstance(exporter, dict) else None,
        )
    )
    if "from" in more:
        if origin in more["from"] and importing not in {None, *parties}:
            return [("AGREEMENT", FAIL, "agreement-not-granted")]
    elif any(country is not None and country not in parties for country in (origin, importing, exporting)):
        return [("AGREEMENT", FAIL, "agreement-party")]
    if origin is not None and origin == importing:
        return [("AGREEMENT", FAIL, "agreement-domestic")]
    if criterion is not None and criterion not in criteria.split():
        return [("AGREEMENT", FAIL, "agreement-criterion")]
    if is_day(issued) and any(issued < parties.get(country, "") for country in (origin, importing)):
        return [("AGREEMENT", FAIL, "agreement-not-in-force")]
    if "late" in more and issued_too_late(record, *more["late"]):
        return [("AGREEMENT", FAIL, "agreement-retroactive")]
    goods = subject.get("description")
    if isinstance(goods, str) and any(map(str.isalpha, goods)) and not re.search("[A-Za-z]", goods):
        return [("AGREEMENT", INDETERMINATE, "agreement-language")]
    deciding = ("exporter", "originCountry", "importCountry", "originCriteria", "issueDate")
    if record["withheld"] and not all(name in subject for name in deciding):
        return [("AGREEMENT", INDETERMINATE, "agreement-withheld")]
    is_another = "from" in more and origin not in {None, *more["from"]}
    if is_another or f"{origin} {importing}" in more.get("unconfirmed", []):
        return [("AGREEMENT", INDETERMINATE, "agreement-unconfirmed")]
    return [("AGREEMENT", PASS, "agreement-fits")]


def issued_too_late(record, days, months):
    """Tell whether a certificate was issued longer after shipment than its agreement allows."""
    subject = record["subject"]
    issued, departed, mark = map(subject.get, ("issueDate", "departureDate", "issuedRetroactively"))
    if not is_day(issued) or not is_day(departed):
        return False
    is_unmarked = mark is not True and not (mark is None and record["withheld"])
    last = last_day(departed, months)
    is_after = last is not None and dated(issued) > last
    return is_after or (is_unmarked and dated(issued) - dated(departed) > timedelta(days=days))


# ---- [7] a consignment's papers


def evaluate_named(bundle):
    """Check a consignment's papers against its declaration, and that no superseded record is superfluous."""
    used = []
    checks = link_papers(bundle, used)
    if used != bundle["superseded"]:
        checks.append(("BUNDLE", INDETERMINATE, "bundle-malformed", None))
    return checks


def link_papers(bundle, used):
    """Check that each paper is named by the declaration, or supersedes a named one, and that none is missing.

    Appends the superseded records that are needed to ``used``, in order.
    """
    declaration, *papers = bundle["records"]
    if not papers:
        return []
    subject = declaration["record"]["subject"]
    if "records" not in subject and declaration["record"]["withheld"]:
        return [("NAMED_RECORD", INDETERMINATE, "documents-withheld", "1")]
    listed, named = subject.get("records"), {}  # by digest: where it stands first, and the kind that it is named as
    for at, one in enumerate(listed if isinstance(listed, list) else []):
        if isinstance(one, dict) and isinstance(one.get("sha256"), str):
            named.setdefault(one["sha256"], (at, one.get("kind")))
    replaced = {sha256(text.encode()).hexdigest(): signed_link(text) for text in dict.fromkeys(bundle["superseded"])}
    found, checks = [], []
    for number, paper in enumerate(papers, 2):
        own = paper["record"]["digest"].hex()
        digest = own if own in named else leads_to(paper, named, replaced, used)
        if digest is None:
            checks.append(("NAMED_RECORD", FAIL, "document-not-named", str(number)))
        else:
            found.append(named[digest][0])
            checks.append(
                ("NAMED_RECORD", PASS, "document-named" if digest == own else "document-confirmed", str(number))
            )
    if any(later <= earlier for earlier, later in pairwise(found)):
        checks.append(("BUNDLE", INDETERMINATE, "bundle-malformed", None))
    if len(set(found)) < len(named):
        checks.append(("NAMED_RECORD", INDETERMINATE, "documents-missing", "1"))
    return checks


def leads_to(paper, named, replaced, used):
    """Return the digest of the named record that this one superseded, by signed links, or None."""
    record, kind = paper["record"], re.sub("(?<!^)(?=[A-Z])", "-", KINDS[paper["entry"]["kind"]][0]).lower()
    for _ in range(len(replaced) + 1):
        link = record["payload"].get("supersedes")
        if not isinstance(link, str):
            return None
        if link in named:
            return link if named[link][1] == kind or not is_("text", named[link][1]) else None
        record = replaced.get(link)
        if record is None:
            return None
        used.append(record["jwt"])
    return None


def signed_link(text):
    """Return a superseded record if its own signature fits, else None."""
    try:
        record = read_record(text)
    except Altered:
        return None
    return record if is_signed_by_its_key(record) else None


# ---- the verdict


def verify(content, trusted, at, max_age):
    """Verify a bundle (bytes) at a time, with the trusted entries and the greatest age of a snapshot.

    Returns the verdict, its checks as (code, outcome, reason, record), the least proof state, and the snapshot's
    statement.
    """
    try:
        bundle = read_bundle(content)
    except Malformed:
        return "INDETERMINATE", [("BUNDLE", INDETERMINATE, "bundle-malformed", None)], None, None
    except Altered:
        return "INVALID", [("SIGNATURE", FAIL, "record-altered", None)], None, None
    check, stated = evaluate_snapshot(bundle, trusted, at, max_age)
    checks = [check]
    for number, one in enumerate(bundle["records"], 1):
        checks += [(*found, str(number)) for found in evaluate(one, stated, at)]
    checks += evaluate_named(bundle)
    outcomes = {outcome for _, outcome, _, _ in checks}
    verdict = "INVALID" if FAIL in outcomes else "INDETERMINATE" if INDETERMINATE in outcomes else "VALID"
    return verdict, checks, proof_state(bundle, checks), stated


def proof_state(bundle, checks):
    """Return the least of the records' proof states, or None if one of them is not known."""
    order = ("stored", "sealed", "submitted", "anchored", "final")
    states = []
    for code, _, reason, number in checks:
        if code == "ANCHOR":
            waiting = "stored" if bundle["records"][int(number) - 1]["proof"] is None else "sealed"
            states.append({"anchor-final": "final", "not-final": "anchored", "not-anchored": waiting}.get(reason))
    return None if None in states else min(states, key=order.index, default=None)


def hours(text):
    """Parse a number of hours into a timedelta.

    Raises:
        ValueError: It is no number from 0 to 900,000, which is about a century.
    """
    if not 0 <= float(text) <= 900_000:
        raise ValueError("no such age")
    return timedelta(hours=float(text))


def read(path):
    """Return a file's bytes, one more than are accepted, so that a longer file is noticed without being read whole."""
    with path.open("rb") as opened:
        return opened.read(LARGEST + 1)  # one more than is taken


def main():
    """Run the command, and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("trust", type=Path, nargs="?")
    parser.add_argument("--max-age-hours", type=hours, default="24")
    parser.add_argument("--at", type=moment, default=datetime.now(UTC))
    asked = parser.parse_args()
    if sys.stdout is None:
        raise OSError("standard output is closed")
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show costs no verdict
    if asked.at > datetime.now(UTC):
        parser.error("nobody knows yet what the ledger will hold then")
    trusted = read_trust(read(asked.trust)) if asked.trust else []
    verdict, checks, state, stated = verify(read(asked.bundle), trusted, asked.at, asked.max_age_hours)
    whose = f" as of {stated['readAt']}, according to {COMMANDING.sub('?', stated['name'])}" if stated else ""
    print(verdict + whose)
    print(f"  proof state: {state or 'not known'}")
    for code, outcome, reason, record in checks:
        print(f"  {outcome:<12} {record or '':>2}  {TITLES[code]} ({code}): {reason}", flush=True)
    return {"VALID": 0, "INVALID": 1, "INDETERMINATE": 2}[verdict]


if __name__ == "__main__":
    try:
        exit_code = main()
    except (Exception, KeyboardInterrupt) as error:  # what cannot be finished is no verdict, least of all INVALID
        print(f"verify.py: no verdict: {error or type(error).__name__}", file=sys.stderr)
        # None, or Python writes what is left at its end, fails again and exits with 120.
        sys.stdout, exit_code = None, 2
    sys.exit(exit_code)
