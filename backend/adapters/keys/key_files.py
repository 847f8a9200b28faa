"""A signing key in a file that its owner keeps: PKCS#8 in PEM, which ``openssl`` and other tools read and write too.

It is for signers without an installation, such as a customs office. The private part never leaves the owner's machine.
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
"""Maximum size in bytes, more than any key needs."""


class UnusableKey(TraceabilityError):
    """Raised for a file that does not hold a key that snapshots can be signed with."""

    code = "unusable-key"


@dataclass(frozen=True)
class FileKey:
    """A private key that was read from its file."""

    private: ec.EllipticCurvePrivateKey

    @property
    def jwk(self) -> Jwk:
        """The public part as a JWK."""
        return jwk_of(self.private.public_key())

    def sign(self, signing_input: bytes) -> bytes:
        """Return the 64-byte ES256 signature (RFC 7518, section 3.4)."""
        return es256(self.private, signing_input)


def new_key(path: Path, passphrase: str | None) -> FileKey:
    """Create a P-256 key and write it to a new file with mode 600.

    Raises:
        FileExistsError: if the file exists.
        OSError: if it cannot be written.
    """
    private = ec.generate_private_key(ec.SECP256R1())
    sealing: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        sealing = serialization.BestAvailableEncryption(passphrase.encode())
    # Never overwrites: a key that has signed snapshots cannot be made again.
    write_new(path, private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealing))
    return FileKey(private)


def read(path: Path) -> bytes:
    """Return the content of a key's file, at most ``LARGEST`` bytes.

    Raises:
        OSError: if the file cannot be read.
    """
    with path.open("rb") as file:
        # Bounded, as the path may name a device or a huge file.
        return file.read(LARGEST)


def is_sealed(content: bytes) -> bool:
    """Tell whether a passphrase is needed to open the key."""
    return b"ENCRYPTED" in content


def opened(content: bytes, passphrase: str | None) -> FileKey:
    """Read the private key from the content of a PEM file.

    Raises:
        UnusableKey: if the passphrase is missing or wrong, or the file holds no private P-256 key.
    """
    if is_sealed(content) and not passphrase:
        raise UnusableKey("it needs its passphrase")
    try:
        private = serialization.load_pem_private_key(
            content, passphrase.encode() if is_sealed(content) and passphrase else None
        )
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        why = "the passphrase does not open it" if is_sealed(content) else "it holds no private key in PEM"
        raise UnusableKey(why) from error
    # ES256 is ECDSA on P-256 only (RFC 7518, section 3.4). A key on another curve would make signatures nobody accepts.
    if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(private.curve, ec.SECP256R1):
        raise UnusableKey("it holds another kind of key than P-256 (ES256)")
    return FileKey(private)


def holds_private(content: bytes) -> bool:
    """Tell whether a file holds a private key in PEM."""
    return b"PRIVATE KEY-----" in content


def public_jwk(content: bytes) -> Jwk:
    """Read the public key from a file's content, in PEM or as a JWK.

    Raises:
        UnusableKey: if there is no public P-256 key in it.
    """
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
