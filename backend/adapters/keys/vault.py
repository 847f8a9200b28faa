"""Signing keys: created here, and stored encrypted under a master key that is never in the database.

While the master key is being replaced, the next one lies beside it: new secrets are encrypted under the next one, and
either opens. So a crash at any point leaves every key readable to the owner of the data folder.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from backend.domain.errors import TraceabilityError
from backend.domain.sd_jwt import Jwk, b64
from backend.store.disk import write_new


class WrongMasterKey(TraceabilityError):
    """Raised when the master key does not open the encrypted keys."""

    code = "wrong-master-key"


def master_key(path: Path, given: str | None = None) -> bytes:
    """Return the master key: the given one (from the environment), or the one in its file.

    The file is created at first use, with mode 600.

    Raises:
        WrongMasterKey: if the file is missing although encrypted keys exist, which a new master key would not open.
    """
    if given:
        return given.encode()
    if not path.exists():
        if any(path.parent.glob("*.sealed")):
            raise WrongMasterKey("{path} is missing: put it back from a copy that provenport backup made", path=path)
        # Of two processes at first use one creates the file. The other gets FileExistsError and does not replace the
        # key.
        write_new(path, new_master_key())
    return path.read_bytes().strip()


def next_to(path: Path) -> Path:
    """Return the path of the next master key, which replaces the one at ``path``."""
    return path.with_name(f"{path.name}.next")


def new_master_key() -> bytes:
    """Return 32 random bytes in base64url."""
    return Fernet.generate_key()


def is_master_key(content: bytes) -> bool:
    """Tell whether these bytes are 32 bytes in base64url, as a master key is."""
    try:
        Fernet(content.strip())
    except ValueError:
        return False
    return True


def jwk_of(public: ec.EllipticCurvePublicKey) -> Jwk:
    """Return a P-256 public key as a JWK (RFC 7517)."""
    point = public.public_numbers()
    x, y = (b64(number.to_bytes(32, "big")) for number in (point.x, point.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def es256(private: ec.EllipticCurvePrivateKey, signing_input: bytes) -> bytes:
    """Return the 64-byte ES256 signature (RFC 7518, section 3.4)."""
    # JWS wants r and s as two fixed-length numbers, where the library gives a DER structure of varying length.
    r, s = decode_dss_signature(private.sign(signing_input, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def opened_vault(path: Path, given: str | None = None, following: str | None = None) -> "KeyVault":
    """Open the vault of a data folder; ``following`` is the next master key from the environment, where there is one.

    Raises:
        WrongMasterKey: if a master key is missing or malformed.
    """

    def masters() -> list[bytes]:
        if given:
            return [*([following.encode()] if following else []), given.encode()]
        coming = next_to(path)
        # The next one first: it becomes the present one by a rename, so one of the two reads finds it.
        upcoming = coming.read_bytes().strip() if coming.exists() else b""
        return [*([upcoming] if is_master_key(upcoming) else []), master_key(path)]

    return KeyVault(*masters(), reread=masters)


class KeyVault:
    """Implements the Vault port: P-256 keys, encrypted with Fernet (AES-128-CBC and HMAC-SHA-256) under the master key.

    The first of ``masters`` encrypts, any of them decrypts. ``reread`` returns the current ones.
    """

    def __init__(self, *masters: bytes, reread: Callable[[], Sequence[bytes]] | None = None) -> None:
        self._reread = reread
        self._seal = _seal(masters)

    def new_key(self) -> tuple[Jwk, bytes]:
        """Create a key and return its public JWK and the encrypted private part."""
        private = ec.generate_private_key(ec.SECP256R1())
        pkcs8 = private.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return jwk_of(private.public_key()), self.encrypt(pkcs8)

    def sign(self, encrypted_private: bytes, signing_input: bytes) -> bytes:
        """Return the 64-byte ES256 signature (RFC 7518, section 3.4).

        Raises:
            WrongMasterKey: if the master key does not open the private part.
        """
        private = serialization.load_der_private_key(self.decrypt(encrypted_private), None)
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        return es256(private, signing_input)

    def encrypt(self, secret: bytes) -> bytes:
        """Encrypt a secret under the newest master key.

        Raises:
            WrongMasterKey: if the master key is missing or malformed.
        """
        # A command in another process may have replaced the master key: encrypting under the old one would lose the
        # secret.
        if self._reread is not None:
            self._seal = _seal(self._reread())
        return self._seal.encrypt(secret)

    def decrypt(self, sealed: bytes) -> bytes:
        """Decrypt a secret, after re-reading the master keys where the known ones do not open it.

        Raises:
            WrongMasterKey: if no master key opens it.
        """
        try:
            return self._seal.decrypt(sealed)
        except InvalidToken:
            pass
        try:
            if self._reread is not None:
                self._seal = _seal(self._reread())
            return self._seal.decrypt(sealed)
        except InvalidToken as error:
            raise WrongMasterKey("the master key does not open the keys kept in this data folder") from error

    def reencrypt(self, sealed: bytes) -> bytes:
        """Encrypt a secret again under the newest master key.

        Raises:
            WrongMasterKey: if no master key opens it.
        """
        return self.encrypt(self.decrypt(sealed))


def _seal(masters: Sequence[bytes]) -> MultiFernet:
    try:
        return MultiFernet([Fernet(master) for master in masters])
    except ValueError as error:
        raise WrongMasterKey("the master key is not 32 bytes in base64url") from error
