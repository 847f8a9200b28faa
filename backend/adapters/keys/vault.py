"""Signing keys: created here, and stored encrypted under a master key that is never in the database.

While the master key is being replaced, the next one lies beside it: new secrets are encrypted under the next one, and
either opens. So a crash at any point leaves every key readable to the owner of the data folder.
"""

import base64
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property, lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import structlog
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from backend.domain import sd_jwt, snapshot
from backend.domain.errors import TraceabilityError
from backend.domain.evidence import LedgerName
from backend.domain.sd_jwt import Jwk, b64
from backend.domain.snapshot import Snapshot
from backend.store.disk import alone, write_new, write_over

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

log = structlog.get_logger()

_KEPT_OPEN = 64
REFERENCE = b"pkcs11:"
"""Begins what stands in the place of a private key that lies in a token; its CKA_ID follows, 32 hexadecimal digits."""


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
        # Looked for again: keys are encrypted after the master key is made, by another process just now perhaps.
        if any(path.parent.glob("*.sealed")) and not path.exists():
            raise WrongMasterKey("{path} is missing: put it back from a copy that provenport backup made", path=path)
        # Of two processes at first use one creates the file. The other does not replace the key.
        with suppress(FileExistsError):
            write_new(path, new_master_key())
    return path.read_bytes().strip()


def next_to(path: Path) -> Path:
    """Return the path of the next master key, which replaces the one at ``path``."""
    return path.with_name(f"{path.name}.next")


_ECDSA = ec.ECDSA(hashes.SHA256())


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
    r, s = decode_dss_signature(private.sign(signing_input, _ECDSA))
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
        # Opening a key takes four times as long as signing with it. The master key, which opens them all, is in memory
        # anyway.
        self._opened = lru_cache(maxsize=_KEPT_OPEN)(self._open)

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
        return es256(self._opened(encrypted_private), signing_input)

    def _open(self, encrypted_private: bytes) -> ec.EllipticCurvePrivateKey:
        private = serialization.load_der_private_key(self.decrypt(encrypted_private), None)
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        return private

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

    def new_account_key(self) -> str:
        """Make the key of an account on the ledger: 32 random bytes in hex, or a reference to where it stays."""
        return os.urandom(32).hex()

    def account(self, key: str) -> "LocalAccount":
        """Return the account that has this key.

        Raises:
            WrongMasterKey: if the key lies in a token, and none is named.
        """
        if ":" in key:
            raise WrongMasterKey("the keys of the ledger's accounts lie in a token: name it with PKCS11_MODULE=…")
        from eth_account import Account  # heavy, and few who open keys need it

        account: LocalAccount = Account.from_key(bytes.fromhex(key))
        return account


def _seal(masters: Sequence[bytes]) -> MultiFernet:
    try:
        return MultiFernet([Fernet(master) for master in masters])
    except ValueError as error:
        raise WrongMasterKey("the master key is not 32 bytes in base64url") from error


class Argon2Passwords:
    """Implements the Passwords port with argon2-cffi's default parameters (RFC 9106, second recommended option)."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()

    @cached_property
    def _nobody(self) -> str:
        return self._hasher.hash("nobody has this password")

    def hashed(self, password: str) -> str:
        """Return the hash to store."""
        return self._hasher.hash(password)

    def matches(self, password_hash: str, password: str) -> bool:
        """Tell whether the password is right.

        For an unknown person, whose ``password_hash`` is empty, the same work is done against a fixed hash, so that the
        time of the answer does not tell which accounts exist.
        """
        # Made at the first question, whoever it is about; commands that ask none save themselves the work.
        nobody = self._nobody
        try:
            self._hasher.verify(password_hash or nobody, password)
        except (VerifyMismatchError, InvalidHashError):
            return False
        return bool(password_hash)


class AccountKeys(Mapping[str, "LocalAccount"]):
    """The accounts on the ledger whose keys are in one encrypted file, by name.

    The file is read again once it has changed, so that an account that a page or a command adds, or whose key it
    replaces, signs in every running process without a restart.
    """

    def __init__(self, path: Path, vault: KeyVault) -> None:
        self._path = path
        self._vault = vault
        self._lock = Lock()
        self._read_at: tuple[int, ...] = ()
        self._accounts: dict[str, tuple[str, LocalAccount]] = {}

    def __getitem__(self, name: str) -> "LocalAccount":
        return self._current()[name][1]

    def __iter__(self) -> Iterator[str]:
        return iter(self._current())

    def __len__(self) -> int:
        return len(self._current())

    def create(self, names: Sequence[str]) -> None:
        """Create the keys that are missing among these. The caller keeps other processes out.

        Raises:
            WrongMasterKey: if the master key does not open the file.
        """
        keys = self._keys() if self._path.exists() else {}
        if missing := [name for name in names if name not in keys]:
            self._write(keys | {name: self._vault.new_account_key() for name in missing})

    def prepare(self, name: str) -> str:
        """Create the key that will be an account's once the ledger knows it, and return its address.

        One that was created before, and did not become the account's, is returned again.

        Raises:
            WrongMasterKey: if the master key does not open the file.
        """
        with alone(self._path.parent):
            keys = self._keys()
            if f"{name}.next" not in keys:
                keys[f"{name}.next"] = self._vault.new_account_key()
                self._write(keys)
        return str(self._vault.account(keys[f"{name}.next"]).address)

    def take_over(self, name: str, address: str) -> None:
        """Let an account have the key that was prepared for it, if that has this address. The old one is kept apart.

        Raises:
            WrongMasterKey: if the master key does not open the file.
        """
        with alone(self._path.parent):
            keys = self._keys()
            prepared = keys.get(f"{name}.next")
            if prepared is None or self._vault.account(prepared).address != address:
                return  # done by an earlier try, or it was never to have another key
            if name in keys:
                keys[f"{name}.before"] = keys[name]
            keys[name] = keys.pop(f"{name}.next")
            self._write(keys)

    def _current(self) -> dict[str, tuple[str, "LocalAccount"]]:
        with self._lock:
            try:
                found = self._path.stat()
            except OSError:
                if self._accounts:
                    return self._accounts  # the disk is away, and what is known still signs
                raise
            # It is replaced by a new file each time, never written in place.
            at = found.st_ino, found.st_mtime_ns, found.st_size
            if at != self._read_at:
                self._accounts, self._read_at = self._opened(), at
            return self._accounts

    def _opened(self) -> dict[str, tuple[str, "LocalAccount"]]:
        try:
            keys = self._keys()
        except WrongMasterKey:
            if not self._accounts:
                raise
            # The master key was replaced under a running process, which goes on with the keys that it has.
            log.exception("the keys of the ledger's accounts were changed and cannot be read: restart with the new one")
            return self._accounts
        known = self._accounts
        # Names with a dot are of keys that are not in use: prepared for an account, or of one that gave way.
        return {
            name: known[name] if name in known and known[name][0] == key else (key, self._vault.account(key))
            for name, key in keys.items()
            if "." not in name
        }

    def _keys(self) -> dict[str, str]:
        return dict(json.loads(self._vault.decrypt(self._path.read_bytes())))

    def _write(self, keys: Mapping[str, str]) -> None:
        write_over(self._path, self._vault.encrypt(json.dumps(keys).encode()))


class OperatorKeys:
    """Implements ``backend.services.ports.Operator`` with keys in one encrypted file, the newest first.

    The file is read each time, so that a key created by a command takes effect at once in a running server.
    """

    def __init__(self, path: Path, vault: KeyVault) -> None:
        self._path = path
        self._vault = vault

    def thumbprints(self) -> tuple[str, ...]:
        """Return the thumbprints that a reader's trust file lists: every key that ever signed here.

        Raises:
            WrongMasterKey: if the master key does not open the file.
        """
        return tuple(sd_jwt.b64(sd_jwt.thumbprint(key["jwk"])) for key in self._keys())

    def sign(self, stated: Snapshot) -> str:
        """Sign a snapshot with the newest key and return the signed text (a JWS).

        Raises:
            WrongMasterKey: if the master key does not open the file.
        """
        key = self._keys()[0]
        private = key["reference"].encode() if "reference" in key else self._vault.encrypt(_private_of(key))
        return snapshot.sign(stated, key["jwk"], lambda message: self._vault.sign(private, message))

    def former_ledgers(self) -> tuple[tuple[LedgerName, str], ...]:
        """Return the ledgers used here before, each with its accreditation contract.

        What was anchored there stays valid.

        Raises:
            DamagedDeployment: if a deployment's file cannot be read.
        """
        from backend.adapters.ledger import Deployment  # draws in the contracts, which few who open keys need

        read = (Deployment.read(path) for path in sorted(self._path.parent.glob("deployment-*.json")))
        return tuple((one.ledger_name, one.accreditation.lower()) for one in read if one is not None)

    def renew(self) -> None:
        """Create a key that signs from now on. Earlier keys stay listed for what they have signed.

        Raises:
            WrongMasterKey: if the master key does not open the file.
        """
        with alone(self._path.parent):  # nobody else changes keys of this data folder meanwhile
            write_over(self._path, self._sealed([self._fresh(), *self._keys()]))

    def bring(self, vault: "KeyVault") -> int:
        """Let another vault keep the private parts, and return how many there are. The caller keeps others out.

        Raises:
            WrongMasterKey: if the master key does not open the file.
        """
        keys = [self._brought(key, vault) for key in self._keys()]
        write_over(self._path, vault.encrypt(json.dumps(keys).encode()))
        return len(keys)

    def _brought(self, key: dict[str, Any], vault: "KeyVault") -> dict[str, Any]:
        if "reference" in key:
            return key
        kept = vault.reencrypt(self._vault.encrypt(_private_of(key)))
        return {"jwk": key["jwk"], "reference": kept.decode()}

    def _keys(self) -> list[dict[str, Any]]:
        if not self._path.exists():
            with suppress(FileExistsError):  # another process was first
                write_new(self._path, self._sealed([self._fresh()]))
        keys: list[dict[str, Any]] = json.loads(self._vault.decrypt(self._path.read_bytes()))
        return keys

    def _fresh(self) -> dict[str, Any]:
        jwk, sealed = self._vault.new_key()
        if sealed.startswith(REFERENCE):
            return {"jwk": dict(jwk), "reference": sealed.decode()}
        return {"jwk": dict(jwk), "private": base64.b64encode(self._vault.decrypt(sealed)).decode("ascii")}

    def _sealed(self, keys: list[dict[str, Any]]) -> bytes:
        return self._vault.encrypt(json.dumps(keys).encode())


def _private_of(key: dict[str, Any]) -> bytes:
    return base64.b64decode(key["private"])
