"""Signing keys: made here, kept sealed under a master key that never lies in the database."""

import os
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from backend.domain.errors import TraceabilityError
from backend.domain.sd_jwt import Jwk, b64


class WrongMasterKey(TraceabilityError):
    """The master key does not open the sealed keys."""

    code = "wrong-master-key"


def master_key(path: Path, given: str | None = None) -> bytes:
    """The master key: given (from the environment), or read from its file, which is made at first use, mode 600."""
    if given:
        return given.encode()
    if not path.exists():
        _write_secret(path, Fernet.generate_key())
    return path.read_bytes().strip()


def _write_secret(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


class SealedVault:
    """The Vault port: P-256 keys, sealed with Fernet (AES-128-CBC and HMAC-SHA-256) under the master key."""

    def __init__(self, master: bytes) -> None:
        try:
            self._seal = Fernet(master)
        except ValueError as error:
            raise WrongMasterKey("the master key is not 32 bytes in base64url") from error

    def new_key(self) -> tuple[Jwk, bytes]:
        """A fresh key: public JWK, and the private part sealed."""
        private = ec.generate_private_key(ec.SECP256R1())
        point = private.public_key().public_numbers()
        x, y = (b64(number.to_bytes(32, "big")) for number in (point.x, point.y))
        pkcs8 = private.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return {"kty": "EC", "crv": "P-256", "x": x, "y": y}, self._seal.encrypt(pkcs8)

    def sign(self, sealed_private: bytes, signing_input: bytes) -> bytes:
        """The 64-byte ES256 signature (RFC 7518, section 3.4)."""
        private = serialization.load_der_private_key(self.unseal(sealed_private), None)
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        r, s = decode_dss_signature(private.sign(signing_input, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def seal(self, secret: bytes) -> bytes:
        """Any secret, sealed."""
        return self._seal.encrypt(secret)

    def unseal(self, sealed: bytes) -> bytes:
        """The secret again; raises WrongMasterKey."""
        try:
            return self._seal.decrypt(sealed)
        except InvalidToken as error:
            raise WrongMasterKey("the master key does not open the keys kept in this data folder") from error
