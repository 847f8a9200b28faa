"""SD-JWTs of every form (RFC 9901), as others make them: digests anywhere, compact or JSON, with key binding.

``sd_jwt`` reads our own records, which are the flat case, by the same steps. Reading matches disclosures with what was
signed. The caller, who knows whose key should have signed, then calls ``signed_by`` and ``holder_proof``.

At the end is which fields of our records are presented to which audience: no more than each needs. A presentation
always shows the record's kind, issuer and dates, and for a certificate of origin the quantity, which the ledger counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256, sha384, sha512
from typing import Any

from backend.domain import sd_jwt, strict_json
from backend.domain.errors import Invalid, Message, message_of
from backend.domain.kinds import KINDS, Audience, Kind
from backend.domain.sd_jwt import Jwk, MalformedRecord, b64, digests_in, member_of, parts_of, refuse_taken, unb64

MOST_DISCLOSURES = 5_000
MOST_SIGNATURES = 16
DEEPEST = strict_json.DEEPEST
"""Maximum depth of the result, because every disclosure may be inside another one."""
HASHES = {"sha-256": sha256, "sha-384": sha384, "sha-512": sha512}
"""Algorithms of the IANA registry in use; truncated ones are unsuitable (section 9.4)."""
SIGNED_WITH = "ES256"


@dataclass(frozen=True)
class Signature:
    """One signature over the payload, with its protected header as text and parsed."""

    protected: str
    header: Mapping[str, Any]
    signature: str

    def is_by(self, jwk: Jwk, payload: str) -> bool:
        """Tell whether this is the key's ES256 signature over the payload; other algorithms give False.

        Raises:
            MalformedRecord: if the JWK is not a P-256 key.
        """
        if self.header.get("alg") != SIGNED_WITH:
            return False
        try:
            return sd_jwt.verify(jwk, f"{self.protected}.{payload}".encode("ascii"), unb64(self.signature))
        except (KeyError, ValueError, TypeError) as error:
            raise MalformedRecord("the key is none", "sd-key") from error


@dataclass(frozen=True)
class SdJwt:
    """A credential as it was presented, and its claims.

    ``claims`` is the processed payload of section 7.1. ``withheld`` counts the digests without a disclosure by the
    pointer (RFC 6901) of their object or list; decoy digests (section 4.2.5) cannot be told from them.
    """

    payload: str
    signatures: tuple[Signature, ...]
    disclosures: tuple[str, ...]
    key_binding: str
    hash_name: str
    claims: Mapping[str, Any]
    withheld: Mapping[str, int]

    def signed_by(self, jwk: Jwk) -> bool:
        """Tell whether the key signed it.

        Raises:
            MalformedRecord: if the JWK is not a P-256 key.
        """
        return any(signature.is_by(jwk, self.payload) for signature in self.signatures)

    @property
    def presented(self) -> str:
        """The compact text without key binding, which the key binding covers.

        For a JSON form, it is built with the first signature.
        """
        first = self.signatures[0]
        return "~".join([f"{first.protected}.{self.payload}.{first.signature}", *self.disclosures, ""])


@dataclass(frozen=True)
class HolderProof:
    """What the holder signed at the presentation: for whom, for which nonce, and when (Unix seconds)."""

    key: bytes
    audience: str
    nonce: str
    signed_at: float


def read(text: str) -> SdJwt:
    """Parse the compact text, ``jwt~disclosure~…~`` or with a key binding at its end (section 4).

    No signature is checked.

    Raises:
        MalformedRecord: if it is not an SD-JWT, or a disclosure was not signed.
    """
    jwt, *disclosures = text.split("~")
    if not disclosures:
        raise MalformedRecord("no SD-JWT: there is no ~ in it")
    protected, payload, signature = _pieces(jwt)
    return _processed(payload, [(protected, signature)], disclosures[:-1], disclosures[-1])


def read_json(document: Any) -> SdJwt:
    """Parse the JSON serialization, flattened or general (section 8). No signature is checked.

    Of unprotected headers, which nobody signed, only ``disclosures`` and ``kb_jwt`` are read.

    Raises:
        MalformedRecord: if it is not an SD-JWT, or a disclosure was not signed.
    """
    if not isinstance(document, dict):
        raise MalformedRecord("no object")
    if ("signatures" in document) == ("signature" in document):
        raise MalformedRecord("neither the general nor the flattened form", "sd-json-form")
    signatures = document.get("signatures", [document])
    if not isinstance(signatures, list) or not 0 < len(signatures) <= MOST_SIGNATURES:
        raise MalformedRecord("not between 1 and {most} signatures", most=MOST_SIGNATURES)
    headers = [_unprotected(signature) for signature in signatures]
    if any("disclosures" in header or "kb_jwt" in header for header in headers[1:]):
        raise MalformedRecord("disclosures and key binding stand with the first signature only", "sd-other-header")
    disclosures, key_binding = headers[0].get("disclosures", []), headers[0].get("kb_jwt")
    if not isinstance(disclosures, list) or not isinstance(key_binding, str | None) or key_binding == "":
        raise MalformedRecord("disclosures are a list, and the key binding is a text")
    texts = [_text(disclosure) for disclosure in disclosures]
    signed = [(_text(one.get("protected")), _text(one.get("signature"))) for one in signatures]
    return _processed(_text(document.get("payload")), signed, texts, key_binding or "")


def holder_proof(credential: SdJwt, nonce: str | None = None, audience: str | None = None) -> HolderProof:
    """Check the key binding (sections 4.3 and 7.3), and nonce and audience where the verifier gave them.

    The caller decides how old ``signed_at`` may be.

    Raises:
        MalformedRecord: if there is no key binding, or it is not valid for this presentation.
    """
    if not credential.key_binding:
        raise MalformedRecord("the holder has signed nothing", "kb-missing")
    jwk = _holder_key(credential.claims)
    protected, payload, signature = _pieces(credential.key_binding)
    signed = Signature(protected, _header(protected), signature)
    claims = _object(payload)
    if signed.header.get("typ") != "kb+jwt" or signed.header["alg"] != SIGNED_WITH:
        raise MalformedRecord("the key binding is not of type kb+jwt, signed ES256", "kb-form")
    if not signed.is_by(jwk, payload):
        raise MalformedRecord("the key binding is not signed by the holder's key", "kb-signature")
    # The proof is bound to this choice of disclosures, so that nobody can add or remove some after the holder signed.
    if claims.get("sd_hash") != _digest(credential.presented, credential.hash_name):
        raise MalformedRecord("the key binding was made for other disclosures", "kb-hash")
    asked, shown_to, signed_at = claims.get("nonce"), claims.get("aud"), claims.get("iat")
    # Nonce and audience are required (section 4.3): without them a recorded presentation could be replayed elsewhere.
    if not isinstance(signed_at, int | float) or not (isinstance(asked, str) and isinstance(shown_to, str)):
        raise MalformedRecord("the key binding lacks nonce, aud or iat", "kb-form")
    if nonce is not None and asked != nonce:
        raise MalformedRecord("the key binding answers another question", "kb-nonce", value=asked)
    if audience is not None and shown_to != audience:
        raise MalformedRecord("the key binding was made for somebody else", "kb-audience", value=shown_to)
    return HolderProof(sd_jwt.thumbprint(jwk), shown_to, asked, float(signed_at))


def _holder_key(claims: Mapping[str, Any]) -> Jwk:
    """Return the holder's key from ``cnf.jwk`` (section 4.1.2). Other ways to name it would need outside look-ups."""
    confirmed = claims.get("cnf")
    jwk = confirmed.get("jwk") if isinstance(confirmed, dict) else None
    try:
        if isinstance(jwk, dict):
            sd_jwt.public_key(jwk)
            return jwk
    except (KeyError, ValueError, TypeError, MalformedRecord) as error:
        raise MalformedRecord("the holder's key is no P-256 key", "kb-key") from error
    raise MalformedRecord("the credential names no key of its holder", "kb-key")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise MalformedRecord("a text is missing")
    return value


def _unprotected(signature: Any) -> Mapping[str, Any]:
    header = signature.get("header", {}) if isinstance(signature, dict) else None
    if not isinstance(header, dict):
        raise MalformedRecord("a signature or its header is no object")
    return header


def _pieces(jwt: str) -> tuple[str, str, str]:
    pieces = jwt.split(".")
    if len(pieces) != 3:
        raise MalformedRecord("a signed JWT has three parts")
    return pieces[0], pieces[1], pieces[2]


def _json(text: str) -> Any:
    try:
        return strict_json.loads(unb64(text))
    except strict_json.HostileJson as error:
        raise MalformedRecord("a part of it is no good JSON: {why}", "sd-json", why=error.message) from error


def _object(text: str) -> dict[str, Any]:
    members = _json(text)
    if not isinstance(members, dict):
        raise MalformedRecord("header and payload must be objects")
    return members


def _header(protected: str) -> dict[str, Any]:
    header = _object(protected)
    algorithm = header.get("alg")
    # RFC 9901, section 7.1, step 2: "none" would be an unsigned credential. "crit" names extensions that must be
    # understood.
    if not isinstance(algorithm, str) or algorithm.casefold() == "none":
        raise MalformedRecord("nobody signed it: alg is none or missing", "sd-unsigned")
    if "crit" in header:
        raise MalformedRecord("its header makes an extension critical that is not known here", "sd-crit")
    return header


def _digest(text: str, hash_name: str) -> str:
    return b64(HASHES[hash_name](text.encode()).digest())


def _processed(payload: str, signed: Sequence[tuple[str, str]], disclosures: Sequence[str], key_binding: str) -> SdJwt:
    """Process the payload (section 7.1, steps 3 to 5, and the form of step 2)."""
    signatures = tuple(Signature(protected, _header(protected), signature) for protected, signature in signed)
    claims = _object(payload)
    hash_name = claims.pop("_sd_alg", "sha-256")
    if not isinstance(hash_name, str) or hash_name not in HASHES:
        raise MalformedRecord(
            "digests by {hash_name}",
            "sd-hash",
            "/_sd_alg",
            value=str(hash_name),
            known=", ".join(HASHES),
            hash_name=repr(hash_name),
        )
    if len(disclosures) > MOST_DISCLOSURES:
        raise MalformedRecord("more than {most} disclosures", "sd-many", most=MOST_DISCLOSURES)
    opened = _opened(disclosures, hash_name)
    walk = _Walk(opened)
    shown = walk.read(claims, "", 0)
    # Section 7.1, step 5: a disclosure that no digest refers to was added by somebody.
    for place, (digest, parts) in enumerate(opened.items(), 1):
        if digest not in walk.met:
            name = parts[1] if len(parts) == 3 else "…"
            raise MalformedRecord(
                "disclosure {place} ({shown}) was not signed", "sd-foreign", place=place, name=name, shown=repr(name)
            )
    return SdJwt(payload, signatures, tuple(disclosures), key_binding, hash_name, shown, walk.withheld)


def _opened(disclosures: Sequence[str], hash_name: str) -> dict[str, list[Any]]:
    """Return the parts of each disclosure, by its digest."""
    opened: dict[str, list[Any]] = {}
    for place, disclosure in enumerate(disclosures, 1):
        try:
            parts = parts_of(disclosure)
        except Invalid as error:
            raise MalformedRecord(
                "disclosure {place}: {error}", "sd-disclosure", place=place, error=message_of(error)
            ) from error
        digest = _digest(disclosure, hash_name)
        if digest in opened:
            raise MalformedRecord("disclosure {place} stands twice", "sd-disclosure-twice", place=place)
        opened[digest] = parts
    return opened


class _Walk:
    """Puts disclosed values in the place of their digests, and removes the digests (section 7.1, step 3)."""

    def __init__(self, opened: Mapping[str, list[Any]]) -> None:
        self._opened = opened
        self._places = {digest: place for place, digest in enumerate(opened)}
        self.met: set[str] = set()
        self.withheld: dict[str, int] = {}

    def read(self, node: Any, where: str, depth: int) -> Any:
        """Return a value with what was disclosed inside it."""
        if isinstance(node, dict | list) and depth >= DEEPEST:
            raise MalformedRecord("nested deeper than {most} levels", "sd-deep", where, most=DEEPEST)
        if isinstance(node, dict):
            return self._members(node, where, depth + 1)
        return self._elements(node, where, depth + 1) if isinstance(node, list) else node

    def _members(self, members: dict[str, Any], where: str, depth: int) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        # Issuers shuffle digests (section 4.2.4.1): the order of the disclosures is what is left of the members' own.
        for digest in sorted(digests_in(members, where), key=lambda digest: self._places.get(digest, -1)):
            parts = self._behind(digest, where)
            if parts is not None:
                name, value = member_of(parts, where)
                refuse_taken(name, shown, members, where)
                shown[name] = value
        said = {name: value for name, value in members.items() if name != "_sd"} | shown
        if "..." in said or "_sd_alg" in said:  # sections 4.1 and 4.1.1: in elements of lists, and on top, only
            raise MalformedRecord("a digest, or its algorithm, stands where none belongs", "sd-place", where)
        return {name: self.read(value, f"{where}/{_escaped(name)}", depth) for name, value in said.items()}

    def _elements(self, elements: list[Any], where: str, depth: int) -> list[Any]:
        said: list[Any] = []
        for element in elements:
            value = element
            if isinstance(element, dict) and "..." in element:
                digest = element["..."]
                if len(element) != 1 or not isinstance(digest, str):
                    raise MalformedRecord("an element's digest is damaged", "sd-digests", where)
                parts = self._behind(digest, where)
                if parts is None:
                    continue
                if len(parts) != 2:
                    raise MalformedRecord("a member was disclosed for an element", "sd-shape", where)
                value = parts[1]
            said.append(self.read(value, f"{where}/{len(said)}", depth))
        return said

    def _behind(self, digest: str, where: str) -> list[Any] | None:
        # Section 7.1, step 4: the same disclosure must not appear in two places.
        if digest in self.met:
            raise MalformedRecord("a digest stands twice", "sd-digest-twice", where)
        self.met.add(digest)
        parts = self._opened.get(digest)
        if parts is None:
            self.withheld[where] = self.withheld.get(where, 0) + 1
        return parts


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def fields_for(audience: Audience, kind: Kind) -> tuple[str, ...]:
    """Return the names of the fields for an audience: all for customs, none where a kind does not concern it."""
    if audience is Audience.CUSTOMS:
        return every_field(kind)
    return KINDS[kind].shown_to.get(audience, ())


def every_field(kind: Kind) -> tuple[str, ...]:
    """Return the names of all possible fields of a kind, in order."""
    return KINDS[kind].every_field


def always_shown(kind: Kind) -> tuple[str, ...]:
    """Return the fields that every presentation shows: the quantity of a certificate of origin.

    The entry states the quantity openly. Without the signed field nothing would bind that number to the issuer's
    signature, and no verifier could rely on it.
    """
    return ("quantity",) if kind is Kind.CERTIFICATE_OF_ORIGIN else ()


def chosen(kind: Kind, names: Sequence[str]) -> tuple[str, ...]:
    """Return the chosen names without duplicates.

    Raises:
        Invalid: if one is not a field of the kind.
    """
    known = every_field(kind)
    for name in names:
        if name not in known:
            raise Invalid(
                "no such field", [("fields", Message("{name} is no field of a {kind}", name=name, kind=kind.slug))]
            )
    return tuple(dict.fromkeys(names))
