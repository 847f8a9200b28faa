"""SD-JWT (RFC 9901) for records: one salted digest for each field, signed with ES256 by a key known by its thumbprint.

Keys and salts are passed in, so that this module stays pure. An entry's digest covers the issuer-signed JWT alone;
disclosures are appended to it, separated by ``~``. Our records are flat: fields of the subject, each disclosed as a
whole. ``selective_disclosure`` reads those of others, with digests anywhere, by the same steps.
"""

import binascii
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

from backend.domain import strict_json
from backend.domain.errors import Invalid
from backend.domain.strict_json import parse_timestamp

# Registered by W3C, Securing Verifiable Credentials using JOSE and COSE.
MEDIA_TYPE = "vc+sd-jwt"
MOST_DISCLOSURES = 500
"""Far more than the number of fields of any document here."""
Jwk = Mapping[str, str]
# p and n of secp256r1: SEC 2, section 2.4.2.
_P256_FIELD = 2**256 - 2**224 + 2**192 + 2**96 - 1
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
HALF_ORDER = ORDER // 2


_as_json = json.JSONEncoder(ensure_ascii=False).encode
"""Made once: ``json.dumps`` with options makes an encoder for each text, and a record has twenty."""
_quoted = json.encoder.encode_basestring
"""Writes a string as ``_as_json`` does. Most fields are strings, and starting an encoder for each takes longer."""
_BASE64URL = re.compile("[A-Za-z0-9_-]*")
_TO_BASE64 = bytes.maketrans(b"-_", b"+/")
_FROM_BASE64 = bytes.maketrans(b"+/", b"-_")
_LAST_LETTERS = {2: frozenset("AQgw"), 3: frozenset("AEIMQUYcgkosw048")}
"""The possible last letters where one or two bytes remain. Any other would decode to the same bytes."""
_COMMA = {0: "Cgos", 2: "os", 3: "s"}
"""What continues a piece of JSON, by what is left of its length over fours: a comma, with line feeds before it.

It fits because the unused bits of the last letter are 0 (``_LAST_LETTERS``).
"""


class MalformedRecord(Invalid):
    """Raised for a text that is not an SD-JWT of ours.

    ``reason``, ``where`` (a JSON pointer into what was signed) and ``told`` give a message in any language.
    """

    code = "malformed-record"

    def __init__(self, message: str, reason: str = "sd-form", where: str = "", **told: object) -> None:
        super().__init__(message)
        self.reason, self.where, self.told = reason, where, told


def b64(data: bytes) -> str:
    """Encode as base64url without padding (RFC 7515, section 2)."""
    return binascii.b2a_base64(data, newline=False).rstrip(b"=").translate(_FROM_BASE64).decode("ascii")


def _b64_of_each(pieces: Sequence[bytes]) -> list[str]:
    """Encode each piece as ``b64`` does, all of them in one call: a record has three times as many as fields."""
    # Three bytes become four letters: pieces filled up to threes can be cut apart again.
    filled = b"".join(piece + bytes(-len(piece) % 3) for piece in pieces)
    text = binascii.b2a_base64(filled, newline=False).translate(_FROM_BASE64).decode("ascii")
    encoded, start = [], 0
    for piece in pieces:
        length = len(piece)
        encoded.append(text[start : start + (length * 4 + 2) // 3])
        start += -(-length // 3) * 4
    return encoded


def _b64_of_digests(pieces: Sequence[bytes]) -> list[str]:
    """Encode each piece as ``b64`` does; all are 32 bytes long."""
    # With a byte behind each, which is 0 as what ``b64`` fills up with: 43 letters that count, and one that does not.
    text = binascii.b2a_base64(b"\0".join([*pieces, b""]), newline=False).translate(_FROM_BASE64).decode("ascii")
    return [text[start : start + 43] for start in range(0, len(text), 44)]


def unb64(text: str) -> bytes:
    """Decode unpadded base64url, and refuse anything that would not be encoded to the same text.

    Raises:
        MalformedRecord: if it is not base64url, or not in its only spelling.
    """
    over = len(text) % 4
    if over == 1 or not _BASE64URL.fullmatch(text):
        raise MalformedRecord("not base64url")
    # The last letter has unused bits, which decoders ignore: a signed text could be changed without its signature
    # failing.
    if over and text[-1] not in _LAST_LETTERS[over]:
        raise MalformedRecord("base64url with loose ends")
    return binascii.a2b_base64(text.encode("ascii").translate(_TO_BASE64) + b"=="[: -len(text) % 4])


def thumbprint(jwk: Jwk) -> bytes:
    """Return the RFC 7638 thumbprint (32 bytes) of a P-256 public key, under which the ledger accredits it.

    Raises:
        MalformedRecord: if the JWK lacks a member.
    """
    try:
        crv, kty, x, y = jwk["crv"], jwk["kty"], jwk["x"], jwk["y"]
    except KeyError as error:
        raise MalformedRecord("the key lacks its member {name}", name=error.args[0]) from error
    return _thumbprint(crv, kty, x, y)


# Typed, since 1 and True are one key of a dictionary and two texts in JSON, and so two thumbprints.
@lru_cache(maxsize=1024, typed=True)
def _thumbprint(crv: str, kty: str, x: str, y: str) -> bytes:
    # RFC 7638, sections 3.2 and 3.3: the required members alone, in this order, without white space.
    members = {"crv": crv, "kty": kty, "x": x, "y": y}
    return sha256(json.dumps(members, separators=(",", ":")).encode()).digest()


@dataclass(frozen=True)
class Record:
    """A parsed SD-JWT: the issuer-signed JWT, its header and payload, and the disclosed fields."""

    signed_jwt: str
    header: Mapping[str, Any]
    payload: Mapping[str, Any]
    disclosures: tuple[str, ...]
    disclosed: Mapping[str, Any]

    @cached_property
    def subject(self) -> Mapping[str, Any]:
        """The credential's subject: fields that are always open, and those disclosed."""
        open_fields = {k: v for k, v in self.payload["credentialSubject"].items() if k != "_sd"}
        return {**open_fields, **self.disclosed}

    @cached_property
    def text_digest(self) -> bytes:
        """SHA-256 of the text with its disclosures, by which it can be known again without being kept."""
        return sha256(self.compact.encode("utf-8", "surrogatepass")).digest()

    @property
    def withheld(self) -> int:
        """The number of fields that were not disclosed."""
        return len(self.payload["credentialSubject"].get("_sd", [])) - len(self.disclosed)

    @property
    def compact(self) -> str:
        """The text with its disclosures: ``jwt~disclosure~…~``."""
        return "~".join([self.signed_jwt, *self.disclosures, ""])

    def disclosing(self, names: Sequence[str]) -> "Record":
        """Return the same record with only these fields disclosed."""
        kept = tuple(d for d in self.disclosures if member_of(parts_of(d))[0] in names)
        return Record(
            self.signed_jwt,
            self.header,
            self.payload,
            kept,
            {n: v for n, v in self.disclosed.items() if n in names},
        )


@dataclass(frozen=True)
class Unsigned:
    """A record that only lacks its signature: what is to be signed, and the disclosures."""

    header: dict[str, Any]
    payload: dict[str, Any]
    disclosures: tuple[str, ...]
    subject: dict[str, Any]
    signing_input: bytes

    def signed(self, signature: bytes) -> Record:
        """Return the record with its 64-byte ES256 signature (r ‖ s), which is not checked here.

        It is written with the lower s, whichever of the two forms was handed in.
        """
        signed_jwt = f"{self.signing_input.decode('ascii')}.{b64(with_lower_s(signature))}"
        return Record(signed_jwt, self.header, self.payload, self.disclosures, self.subject)


def draft(claims: Mapping[str, Any], subject: Mapping[str, Any], jwk: Jwk, new_salt: Callable[[], bytes]) -> Unsigned:
    """Prepare a record to be signed with the key ``jwk``.

    Every field of ``subject`` gets its own 256-bit salt from ``new_salt``. ``claims`` are not hidden.
    """
    # Without a salt, the digest of a withheld field with few possible values could be found by trying them
    # (RFC 9901, section 9.3).
    salts = _b64_of_digests([new_salt() for _ in subject])
    disclosures = tuple(_b64_of_each(list(map(_disclosure, salts, subject, subject.values()))))
    digests = _b64_of_digests([sha256(disclosure.encode()).digest() for disclosure in disclosures])
    payload = {
        **claims,
        "credentialSubject": {
            **claims.get("credentialSubject", {}),
            # Sorted, so that the order of the digests tells nothing about the order of the fields (RFC 9901, section
            # 4.2.4.1).
            "_sd": sorted(digests),
        },
        "_sd_alg": "sha-256",
    }
    signing_input = f"{_encoded_header(tuple(jwk.items()))}.{b64(_as_json(payload).encode())}"
    return Unsigned(_header(jwk), payload, disclosures, dict(subject), signing_input.encode("ascii"))


def _header(jwk: Jwk) -> dict[str, Any]:
    return {"alg": "ES256", "typ": MEDIA_TYPE, "kid": b64(thumbprint(jwk)), "jwk": dict(jwk)}


@lru_cache(maxsize=1024)
def _encoded_header(jwk: tuple[tuple[str, str], ...]) -> str:
    """Encode the header of a key's records, which is the same each time."""
    return b64(_as_json(_header(dict(jwk))).encode())


def _disclosure(salt: str, name: str, value: Any) -> bytes:
    """Return the text of a disclosure, as ``_as_json`` writes a list of the three."""
    written = _quoted(value) if type(value) is str else _as_json(value)
    return f'["{salt}", {_quoted(name)}, {written}]'.encode()


def parse(text: str) -> Record:
    """Parse an SD-JWT and match its disclosures with the signed digests. The signature is not checked.

    Raises:
        MalformedRecord: if it is not an SD-JWT of ours, or a disclosure was not signed.
        HostileJson: if a part is JSON that programs would read differently.
    """
    digest = sha256(text.encode("utf-8", "surrogatepass")).digest()
    found = _found_sound(digest)
    record = _read(text) if found else _parsed(text)
    if not found:
        found.append(True)
    if text.endswith("~"):  # as ``compact`` writes it, also where nothing is disclosed
        record.__dict__["text_digest"] = digest
    return record


@lru_cache(maxsize=16_384)
def _found_sound(digest: bytes) -> list[bool]:
    """Return what is known of the text with this digest: nothing, or that it was parsed without a fault.

    Lists ask for the same texts each time. Only digests are kept: of a text that is erased nothing may stay.
    """
    return []


def _read(text: str) -> Record:
    """Parse a text that ``_parsed`` found no fault in."""
    signed_jwt, *disclosures = text.split("~")
    pieces = [*signed_jwt.split(".")[:2], *disclosures[:-1]]
    # Decoded and parsed as one list, since most of the time would go into calls for each piece.
    joined = "".join([piece + _COMMA[len(piece) % 4] for piece in pieces]).encode("ascii").translate(_TO_BASE64)
    header, payload, *members = json.loads(f"[{binascii.a2b_base64(joined).decode()[:-1]}]")
    return Record(signed_jwt, header, payload, tuple(disclosures[:-1]), {name: value for _, name, value in members})


def _parsed(text: str) -> Record:
    signed_jwt, *disclosures = text.split("~")
    if disclosures and disclosures[-1] != "":
        raise MalformedRecord("key binding is not used: the text must end with ~")
    header, payload = _parts(signed_jwt)
    subject = payload.get("credentialSubject")
    if not isinstance(subject, dict) or payload.get("_sd_alg", "sha-256") != "sha-256":
        raise MalformedRecord("no credentialSubject, or digests by another algorithm than sha-256")
    digests = digests_in(subject)
    signed = set(digests)
    # RFC 9901, section 7.1, step 4.
    if len(signed) != len(digests):
        raise MalformedRecord("a digest stands twice")
    if len(disclosures) > MOST_DISCLOSURES:
        raise MalformedRecord("more than {most} fields", most=MOST_DISCLOSURES)
    _refuse_nested({name: value for name, value in subject.items() if name != "_sd"})
    disclosed: dict[str, Any] = {}
    for disclosure in disclosures[:-1]:
        name, value = member_of(parts_of(disclosure))
        if digest_of(disclosure) not in signed:
            raise MalformedRecord("the field {name} is not what the issuer signed", name=repr(name))
        refuse_taken(name, disclosed, subject)
        _refuse_nested(value)
        disclosed[name] = value
    return Record(signed_jwt, header, payload, tuple(disclosures[:-1]), disclosed)


def _refuse_nested(value: Any) -> None:
    """Refuse digests inside a field: they would hide a part that is neither shown nor counted as withheld."""
    if isinstance(value, dict):
        if "_sd" in value or "..." in value:
            raise MalformedRecord("a digest stands in a nested place")
        for member in value.values():
            _refuse_nested(member)
    elif isinstance(value, list):
        for item in value:
            _refuse_nested(item)


def _parts(signed_jwt: str) -> tuple[dict[str, Any], dict[str, Any]]:
    pieces = signed_jwt.split(".")
    if len(pieces) != 3:
        raise MalformedRecord("a signed JWT has three parts")
    header, payload = (strict_json.loads(unb64(piece)) for piece in pieces[:2])
    if not isinstance(header, dict) or not isinstance(payload, dict):
        raise MalformedRecord("header and payload must be objects")
    # One algorithm, and no critical extension: a header must not choose how it is verified (RFC 8725, section 3.1).
    if header.get("alg") != "ES256" or header.get("typ") != MEDIA_TYPE or "crit" in header:
        raise MalformedRecord("only ES256 records of type {media_type} are read", media_type=MEDIA_TYPE)
    return header, payload


def parts_of(disclosure: str) -> list[Any]:
    """Return the parts of a disclosure (RFC 9901, section 4.2): salt, name and value of a member, or salt and value.

    Raises:
        MalformedRecord: if it is not a disclosure.
        HostileJson: if it is JSON that programs would read differently.
    """
    parts = strict_json.loads(unb64(disclosure))
    if isinstance(parts, list) and len(parts) in (2, 3) and isinstance(parts[0], str) and isinstance(parts[-2], str):
        return parts
    raise MalformedRecord("a disclosure is a list of salt, name and value", "sd-disclosure")


def member_of(parts: Sequence[Any], where: str = "") -> tuple[str, Any]:
    """Return name and value of a disclosed member.

    Raises:
        MalformedRecord: if the disclosure is of a list's element.
    """
    if len(parts) != 3:
        raise MalformedRecord("a disclosure is a list of salt, name and value", "sd-shape", where)
    return parts[1], parts[2]


def digest_of(disclosure: str) -> str:
    """Return the digest of a disclosure, as in the signed text (RFC 9901, section 4.2.3)."""
    return b64(sha256(disclosure.encode()).digest())


def digests_in(members: Mapping[str, Any], where: str = "") -> list[str]:
    """Return an object's digests of its members (RFC 9901, section 4.2.4.1).

    Raises:
        MalformedRecord: if they are not a list of texts.
    """
    digests = members.get("_sd", [])
    if not isinstance(digests, list) or not all(isinstance(digest, str) for digest in digests):
        raise MalformedRecord("the list of digests is damaged", "sd-digests", where)
    return digests


def refuse_taken(name: str, shown: Mapping[str, Any], members: Mapping[str, Any], where: str = "") -> None:
    """Refuse a disclosed name that is open or disclosed already, or is reserved (RFC 9901, section 7.1, step 3).

    Raises:
        MalformedRecord: if the name is refused.
    """
    if name in shown or name in members or name in ("_sd", "..."):
        raise MalformedRecord("the field {shown} stands twice", "sd-name", where, name=name, shown=repr(name))


def is_signed_by_its_key(record: Record) -> bool:
    """Tell whether the record is signed by the key in its header, and that key has the thumbprint it names."""
    jwk = record.header.get("jwk")
    if not isinstance(jwk, dict):
        return False
    try:
        # Accreditation is looked up by ``kid``: one that is not this key's would borrow another key's accreditation.
        if record.header.get("kid") != b64(thumbprint(jwk)):
            return False
        signing_input, _, signature = record.signed_jwt.rpartition(".")
        return verify(jwk, signing_input.encode("ascii"), unb64(signature))
    except (MalformedRecord, ValueError, TypeError):
        return False


def with_lower_s(signature: bytes) -> bytes:
    """Return the equivalent 64-byte ES256 signature with the lower s, so that a text has only one signature."""
    # ECDSA accepts (r, s) and (r, n - s): without a rule anybody could turn a signed text into a second valid one.
    s = int.from_bytes(signature[32:], "big")
    return signature if s <= HALF_ORDER or s >= ORDER else signature[:32] + (ORDER - s).to_bytes(32, "big")


def has_lower_s(signed_jwt: str) -> bool:
    """Tell whether a signed JWT ends in the ES256 signature with the lower of the two s that fit."""
    try:
        raw = unb64(signed_jwt.rpartition(".")[2])
    except MalformedRecord:
        return False
    return len(raw) == 64 and int.from_bytes(raw[32:], "big") <= HALF_ORDER


def with_other_signature(signed_jwt: str) -> str:
    """Return the same JWT with the other ES256 signature that fits whenever its own does, (r, n - s) of (r, s).

    A text that ends in no ES256 signature is returned as it is.
    """
    signing_input, _, signature = signed_jwt.rpartition(".")
    try:
        raw = unb64(signature)
    except MalformedRecord:
        return signed_jwt
    s = int.from_bytes(raw[32:], "big")
    if len(raw) != 64 or not 0 < s < ORDER:
        return signed_jwt
    return f"{signing_input}.{b64(raw[:32] + (ORDER - s).to_bytes(32, 'big'))}"


def verify(jwk: Jwk, message: bytes, signature: bytes) -> bool:
    """Tell whether this is the key's ES256 signature (r ‖ s) of the message.

    Raises:
        ValueError, KeyError, MalformedRecord: if the JWK is not a P-256 key.
    """
    point = str(jwk["x"]), str(jwk["y"]), str(jwk["kty"]), str(jwk["crv"])
    return _is_signature(*point, sha256(message).digest(), signature)


@lru_cache(maxsize=16_384)
def _is_signature(x: str, y: str, kty: str, crv: str, digest: bytes, signature: bytes) -> bool:
    """Verify and cache the result, because lists ask for the same signatures each time. Only digests are kept."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    key = _key_at(x, y, kty, crv)
    # RFC 7518, section 3.4: 32 bytes each. Any other length, or a number beyond the order, would be a second spelling.
    if len(signature) != 64 or not (0 < r < ORDER and 0 < s < ORDER):
        return False
    try:
        key.verify(encode_dss_signature(r, s), digest, ec.ECDSA(Prehashed(hashes.SHA256())))
    except InvalidSignature:
        return False
    return True


@lru_cache(maxsize=1024)
def _key_at(x: str, y: str, kty: str, crv: str) -> ec.EllipticCurvePublicKey:
    """Build and cache a key, because checking that a point is on the curve costs as much as a signature."""
    return public_key({"kty": kty, "crv": crv, "x": x, "y": y})


def public_key(jwk: Jwk) -> ec.EllipticCurvePublicKey:
    """Return the P-256 key of a JWK.

    Raises:
        MalformedRecord: if it is another type of key, or a coordinate has another length or value than allowed.
        ValueError: if the point is not on the curve.
    """
    if jwk.get("kty") != "EC" or jwk.get("crv") != "P-256":
        raise MalformedRecord("only P-256 keys are read")
    point = [unb64(str(jwk[name])) for name in ("x", "y")]
    if any(len(coordinate) != 32 for coordinate in point):
        raise MalformedRecord("a coordinate of the key is not 32 bytes long")  # RFC 7518, section 6.2.1.2
    x, y = (int.from_bytes(coordinate, "big") for coordinate in point)
    if max(x, y) >= _P256_FIELD:  # OpenSSL would take the remainder: a second spelling of the same key
        raise MalformedRecord("a coordinate of the key lies beyond the field")
    return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()


def issued_at(record: Record) -> datetime | None:
    """Return the time of issue that the record states, or None where it cannot be read."""
    try:
        return parse_timestamp(record.payload.get("validFrom"))
    except ValueError:
        return None


def issuer_name(record: Record) -> str:
    """Return the issuer's name as stated in the record."""
    issuer = record.payload.get("issuer")
    return str(issuer.get("name", "")) if isinstance(issuer, dict) else ""


def is_statement(record: Record) -> bool:
    """Tell whether this is a merchant's statement that no issuer has confirmed."""
    return record.payload.get("assurance") == "stated"
