"""Reads credentials secured as SD-JWT (RFC 9901), with notes on who signed and what is withheld.

A wrong signature refuses the file. A signature that cannot be checked, because its key is not in the file, is reported:
an imported document becomes the merchant's own statement in any case (decision 0017).
"""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from backend.domain import sd_jwt
from backend.domain.interop.reading import Note, Severity
from backend.domain.sd_jwt import MalformedRecord, b64
from backend.domain.selective_disclosure import SIGNED_WITH, SdJwt, Signature, holder_proof, read, read_json

MEDIA_TYPES = ("vc+sd-jwt", "dc+sd-jwt")
_BARE = re.compile(rb"eyJ[\w-]+\.[\w-]+\.[\w-]+")
"""A signed JWT: its header is an object, which begins with these letters in base64url."""
_CUT = re.compile(rb"[\"']?eyJ[\w.~\s-]{40,}[\"']?", re.ASCII)
"""A JWT or an SD-JWT that quotation marks or line breaks got into on its way."""
_COMPACT = re.compile(rb"[\w-]+\.[\w-]+\.[\w-]*~")
_ENVELOPE = frozenset({"iss", "iat", "nbf", "exp", "jti", "aud", "cnf", "vct", "vct#integrity"})
"""Claims about the credential, not about the goods (RFC 7519; SD-JWT VC)."""


def is_compact(content: bytes) -> bool:
    """Tell whether a file looks like an SD-JWT in compact form."""
    return _COMPACT.match(content.lstrip()) is not None


def is_bare_jwt(content: bytes) -> bool:
    """Tell whether a file is a signed JWT without the ~ of an SD-JWT."""
    return _BARE.fullmatch(content.strip()) is not None


def is_damaged_jwt(content: bytes) -> bool:
    """Tell whether a file was a JWT or an SD-JWT before it was wrapped or quoted."""
    return _CUT.fullmatch(content.strip()) is not None


def is_json_form(document: Any) -> bool:
    """Tell whether a JSON document looks like an SD-JWT in flattened or general form."""
    return (
        isinstance(document, dict) and "payload" in document and ("signature" in document or "signatures" in document)
    )


def from_compact(content: bytes) -> SdJwt:
    """Read the compact form. Its signature is checked by ``notes_on``.

    Raises:
        MalformedRecord: if it is damaged, of another type, or a JWT without ~.
    """
    if is_bare_jwt(content):
        raise MalformedRecord("a JWT without ~", "sd-no-tilde")
    return _of_known_type(read(content.decode("utf-8", "replace").strip()))


def from_json(document: Any) -> SdJwt:
    """Read a JSON form. Its signature is checked by ``notes_on``.

    Raises:
        MalformedRecord: if it is damaged or of another type.
    """
    return _of_known_type(read_json(document))


def document_in(credential: SdJwt) -> dict[str, Any]:
    """Return what was disclosed, as a credential without its envelope.

    ``iss`` and ``vct`` give issuer, type and schema.
    """
    claims = credential.claims
    document = {name: value for name, value in claims.items() if name not in _ENVELOPE}
    if isinstance(claims.get("iss"), str):
        document.setdefault("issuer", {"name": claims["iss"]})
    if isinstance(vct := claims.get("vct"), str):
        document.setdefault("type", [re.split("[/#:]", vct)[-1]])
        document.setdefault("credentialSchema", {"id": vct})
    return document


def notes_on(credential: SdJwt) -> Iterator[Note]:
    """Yield notes on who signed, its validity period, who presented it, and what was withheld.

    Raises:
        MalformedRecord: if a signature is wrong.
    """
    for signature in credential.signatures:
        yield _note_on_signature(signature, credential.payload)
    for claim, code in (("nbf", "sd-from"), ("exp", "sd-until"), ("iat", "sd-issued")):
        if claim in credential.claims:
            moment = _numeric_date(claim, credential.claims[claim])
            yield Note(Severity.WARNING, code, f"/{claim}", values={"value": _moment(moment), "moment": moment})
    if credential.key_binding:
        yield _note_on_holder(credential)
    for where, count in credential.withheld.items():
        yield Note(Severity.WARNING, "sd-withheld", where, values={"count": count})


def _of_known_type(credential: SdJwt) -> SdJwt:
    for signature in credential.signatures:
        named = signature.header.get("typ")
        if not isinstance(named, str) or named.casefold().removeprefix("application/") not in MEDIA_TYPES:
            raise MalformedRecord("of another type", "sd-type", value=str(named), known=", ".join(MEDIA_TYPES))
    return credential


def _note_on_signature(signature: Signature, payload: str) -> Note:
    header = signature.header
    jwk = header.get("jwk")
    if header["alg"] != SIGNED_WITH:
        return Note(Severity.WARNING, "sd-other-algorithm", values={"value": header["alg"]})
    # Nothing is fetched by ``kid``: an import must depend on nobody's answer, nor tell others of it (decision 0017).
    if not isinstance(jwk, dict):
        return Note(Severity.WARNING, "sd-no-key", values={"value": str(header.get("kid", "–"))})
    if not signature.is_by(jwk, payload):
        raise MalformedRecord("not signed by the key in its header", "sd-signature")
    return Note(Severity.WARNING, "sd-signed", values={"key": b64(sd_jwt.thumbprint(jwk))})


def _note_on_holder(credential: SdJwt) -> Note:
    try:
        proof = holder_proof(credential)
    except MalformedRecord as error:
        # A holder's key that is not at hand, or of another type, leaves the proof unchecked; a wrong proof keeps the
        # file out.
        if error.reason != "kb-key":
            raise
        return Note(Severity.WARNING, "kb-not-checked")
    values = {"key": b64(proof.key), "value": proof.audience, "day": _moment(_numeric_date("iat", proof.signed_at))}
    return Note(Severity.WARNING, "kb-checked", values=values)


def _numeric_date(claim: str, value: Any) -> datetime:
    """Return a NumericDate (RFC 7519, section 2), which is a JSON number of seconds since 1970.

    Raises:
        MalformedRecord: if it is a text, a boolean or out of range.
    """
    try:
        # RFC 7519, section 2: a JSON number; to Python true is one as well.
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    raise MalformedRecord(
        "{claim} is no NumericDate", "sd-date", f"/{claim}", value=json.dumps(value)[:60], claim=claim
    )


def _moment(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
