"""Signing keys: made here, kept sealed under a master key that never lies in the database.

While the master key is being replaced, the next one lies beside it: what is sealed then is sealed under the next one,
and either opens. So a crash at any point leaves every key open to whoever has the data folder.
"""

import base64
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from backend.domain import sd_jwt, snapshot
from backend.domain.errors import TraceabilityError
from backend.domain.sd_jwt import Jwk, b64
from backend.domain.snapshot import Snapshot
from backend.domain.trust import LedgerName
from backend.store.disk import alone, write_new, write_over


class WrongMasterKey(TraceabilityError):
    """The master key does not open the sealed keys."""

    code = "wrong-master-key"


def master_key(path: Path, given: str | None = None) -> bytes:
    """The master key: given (from the environment), or read from its file, which is made at first use, mode 600.

    Raises WrongMasterKey where the file is missing though something is sealed already: a new one would open nothing.
    """
    if given:
        return given.encode()
    if not path.exists():
        if any(path.parent.glob("*.sealed")):
            raise WrongMasterKey("{path} is missing: put it back from a copy that provenport backup made", path=path)
        write_new(path, new_master_key())
    return path.read_bytes().strip()


def next_to(path: Path) -> Path:
    """Where the next master key lies while it replaces the one at ``path``."""
    return path.with_name(f"{path.name}.next")


def new_master_key() -> bytes:
    """32 random bytes in base64url."""
    return Fernet.generate_key()


def is_master_key(content: bytes) -> bool:
    """Whether these bytes are 32 in base64url, as a master key is."""
    try:
        Fernet(content.strip())
    except ValueError:
        return False
    return True


def jwk_of(public: ec.EllipticCurvePublicKey) -> Jwk:
    """A P-256 public key as a JWK (RFC 7517)."""
    point = public.public_numbers()
    x, y = (b64(number.to_bytes(32, "big")) for number in (point.x, point.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def es256(private: ec.EllipticCurvePrivateKey, signing_input: bytes) -> bytes:
    """The 64-byte ES256 signature (RFC 7518, section 3.4)."""
    r, s = decode_dss_signature(private.sign(signing_input, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def opened_vault(path: Path, given: str | None = None, following: str | None = None) -> "KeyVault":
    """The vault of a data folder; ``following`` is the environment's next master key, where there is one."""

    def masters() -> list[bytes]:
        if given:
            return [*([following.encode()] if following else []), given.encode()]
        coming = next_to(path)
        # The next one first: it becomes the present one by a rename, so one of the two reads finds it.
        upcoming = coming.read_bytes().strip() if coming.exists() else b""
        return [*([upcoming] if is_master_key(upcoming) else []), master_key(path)]

    return KeyVault(*masters(), reread=masters)


class KeyVault:
    """The Vault port: P-256 keys, sealed with Fernet (AES-128-CBC and HMAC-SHA-256) under the master key.

    The first of ``masters`` seals, any of them opens. ``reread`` tells which they are now.
    """

    def __init__(self, *masters: bytes, reread: Callable[[], Sequence[bytes]] | None = None) -> None:
        self._reread = reread
        self._seal = _seal(masters)

    def new_key(self) -> tuple[Jwk, bytes]:
        """A fresh key: public JWK, and the private part sealed."""
        private = ec.generate_private_key(ec.SECP256R1())
        pkcs8 = private.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return jwk_of(private.public_key()), self.encrypt(pkcs8)

    def sign(self, encrypted_private: bytes, signing_input: bytes) -> bytes:
        """The 64-byte ES256 signature (RFC 7518, section 3.4)."""
        private = serialization.load_der_private_key(self.decrypt(encrypted_private), None)
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        return es256(private, signing_input)

    def encrypt(self, secret: bytes) -> bytes:
        """Any secret, sealed under the newest master key there is."""
        if self._reread is not None:
            self._seal = _seal(self._reread())
        return self._seal.encrypt(secret)

    def decrypt(self, sealed: bytes) -> bytes:
        """The secret again; raises WrongMasterKey."""
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
        """The same secret, sealed under the newest master key."""
        return self.encrypt(self.decrypt(sealed))


def _seal(masters: Sequence[bytes]) -> MultiFernet:
    try:
        return MultiFernet([Fernet(master) for master in masters])
    except ValueError as error:
        raise WrongMasterKey("the master key is not 32 bytes in base64url") from error


class Argon2Passwords:
    """The Passwords port over argon2-cffi, with its recommended parameters (RFC 9106, second choice)."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._nobody = self._hasher.hash("nobody has this password")

    def hashed(self, password: str) -> str:
        """The text to keep."""
        return self._hasher.hash(password)

    def matches(self, password_hash: str, password: str) -> bool:
        """Whether the password is right; for an unknown person the same work is done against a hash of nobody's."""
        try:
            self._hasher.verify(password_hash or self._nobody, password)
        except (VerifyMismatchError, InvalidHashError):
            return False
        return bool(password_hash)


class OperatorKeys:
    """Obeys ``backend.services.ports.Operator``: keys in one file, sealed as a whole, the newest first.

    The file is read each time, so that a key made by a command counts at once in a running server.
    """

    def __init__(self, path: Path, vault: KeyVault) -> None:
        self._path = path
        self._vault = vault

    def thumbprints(self) -> tuple[str, ...]:
        """What a reader's trust file names: every key that ever signed here."""
        return tuple(sd_jwt.b64(sd_jwt.thumbprint(key["jwk"])) for key in self._keys())

    def sign(self, stated: Snapshot) -> str:
        """The signed text, by the newest key."""
        key = self._keys()[0]
        private = self._vault.encrypt(base64.b64decode(key["private"]))
        return snapshot.sign(stated, key["jwk"], lambda message: self._vault.sign(private, message))

    def former_ledgers(self) -> tuple[tuple[LedgerName, str], ...]:
        """The ledgers that were used here before, each with its accreditation: what was anchored there stays good."""
        from backend.adapters.ledger import Deployment  # draws in the contracts, which few who open keys need

        read = (Deployment.read(path) for path in sorted(self._path.parent.glob("deployment-*.json")))
        return tuple(
            (LedgerName(one.chain_id, one.instance_id, one.ledger.lower()), one.accreditation.lower())
            for one in read
            if one is not None
        )

    def renew(self) -> None:
        """Sign with a fresh key from now on; the earlier ones stay named, for what they have signed."""
        with alone(self._path.parent):  # nobody else changes keys of this data folder meanwhile
            write_over(self._path, self._sealed([self._fresh(), *self._keys()]))

    def _keys(self) -> list[dict[str, Any]]:
        if not self._path.exists():
            with suppress(FileExistsError):  # another process was first
                write_new(self._path, self._sealed([self._fresh()]))
        keys: list[dict[str, Any]] = json.loads(self._vault.decrypt(self._path.read_bytes()))
        return keys

    def _fresh(self) -> dict[str, Any]:
        jwk, sealed = self._vault.new_key()
        return {"jwk": dict(jwk), "private": base64.b64encode(self._vault.decrypt(sealed)).decode("ascii")}

    def _sealed(self, keys: list[dict[str, Any]]) -> bytes:
        return self._vault.encrypt(json.dumps(keys).encode())
