"""A signing key in a file of its owner's: PKCS#8 in PEM, so that ``openssl`` and other tools read and make it, too.

For who signs without an installation, such as a customs office. The private part never leaves the owner's machine.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from backend.adapters.keys.vault import es256, jwk_of
from backend.domain.errors import TraceabilityError
from backend.domain.sd_jwt import Jwk, public_key
from backend.store.disk import write_new

LARGEST = 64 * 1024
"""In bytes; no key is longer."""


class UnusableKey(TraceabilityError):
    """A file that holds no key to sign snapshots with."""

    code = "unusable-key"


@dataclass(frozen=True)
class FileKey:
    """A key taken out of its file."""

    private: ec.EllipticCurvePrivateKey

    @property
    def jwk(self) -> Jwk:
        """The public part."""
        return jwk_of(self.private.public_key())

    def sign(self, signing_input: bytes) -> bytes:
        """The 64-byte ES256 signature."""
        return es256(self.private, signing_input)


def new_key(path: Path, passphrase: str | None) -> FileKey:
    """Make a P-256 key and keep it in a file that is not there yet, mode 600; raises FileExistsError, OSError."""
    private = ec.generate_private_key(ec.SECP256R1())
    sealing: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        sealing = serialization.BestAvailableEncryption(passphrase.encode())
    write_new(path, private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealing))
    return FileKey(private)


def read(path: Path) -> bytes:
    """A key's file; raises OSError."""
    with path.open("rb") as file:
        return file.read(LARGEST)


def is_sealed(content: bytes) -> bool:
    """Whether a passphrase is needed."""
    return b"ENCRYPTED" in content


def opened(content: bytes, passphrase: str | None) -> FileKey:
    """The key in a PEM file; raises UnusableKey."""
    if is_sealed(content) and not passphrase:
        raise UnusableKey("it needs its passphrase")
    try:
        private = serialization.load_pem_private_key(
            content, passphrase.encode() if is_sealed(content) and passphrase else None
        )
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        why = "the passphrase does not open it" if is_sealed(content) else "it holds no private key in PEM"
        raise UnusableKey(why) from error
    if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(private.curve, ec.SECP256R1):
        raise UnusableKey("it holds another kind of key than P-256 (ES256)")
    return FileKey(private)


def holds_private(content: bytes) -> bool:
    """Whether a file holds a private key in PEM."""
    return b"PRIVATE KEY-----" in content


def public_jwk(content: bytes) -> Jwk:
    """The public key in a file, in PEM or as a JWK; raises UnusableKey."""
    public = _of_json(content) if content.lstrip().startswith(b"{") else _of_pem(content)
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
        raise UnusableKey("it holds another kind of key than P-256 (ES256)")
    return jwk_of(public)


def _of_pem(content: bytes) -> Any:
    try:
        return serialization.load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UnusableKey("it holds no key, neither in PEM nor as a JWK") from error


def _of_json(content: bytes) -> ec.EllipticCurvePublicKey:
    try:
        jwk = json.loads(content)
        if (jwk["kty"], jwk["crv"]) != ("EC", "P-256"):
            raise UnusableKey("it holds another kind of key than P-256 (ES256)")
        return public_key(jwk)
    except UnusableKey:
        raise
    except (ValueError, TypeError, KeyError, TraceabilityError) as error:
        raise UnusableKey("it holds no public P-256 key as a JWK") from error
