"""Keys that stay in a hardware security module, by PKCS #11 (PKCS11_MODULE): they are used there and never leave it.

The token holds an AES-256 key that encrypts what the data folder keeps secret, the organisations' P-256 keys, the
operator's, and the secp256k1 keys of the accounts on the ledger. In database and data folder the number of its object
in the token stands in the place of each private key.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from eth_account import Account
from eth_account._utils.signing import sign_transaction_dict
from eth_account.datastructures import SignedTransaction
from eth_account.signers.local import LocalAccount
from eth_keys.constants import SECPK1_N
from eth_keys.datatypes import PublicKey, Signature
from eth_utils.crypto import keccak
from hexbytes import HexBytes

from backend.adapters.keys.vault import REFERENCE, KeyVault, WrongMasterKey, jwk_of
from backend.domain.errors import StorageUnavailable, TraceabilityError
from backend.domain.sd_jwt import Jwk

_SEALED = b"aes-gcm:"
"""Begins a secret that the token encrypted; the master key's CKA_ID (16 bytes), the nonce (12) and the text follow."""
_MASTER = "provenport-master"
_P256, _SECP256K1 = "secp256r1", "secp256k1"


class WrongToken(TraceabilityError):
    """Raised when the token cannot be used as it is set, or cannot do what is asked."""

    code = "wrong-token"


class Token:
    """One token, signed in to. Safe to use from several threads, which take turns.

    Raises:
        WrongToken: At the start, where library, module or token is missing, or the PIN is wrong.
        StorageUnavailable: Later, where the token does not answer.
    """

    def __init__(self, module: str, label: str, pin: str) -> None:
        try:
            import pkcs11
        except ModuleNotFoundError as error:
            raise WrongToken(
                "PKCS11_MODULE is set, and the library for it is not installed here: install provenport[pkcs11]"
            ) from error
        self._pkcs11: Any = pkcs11
        self._label, self._pin = label, pin
        self._turn = threading.RLock()
        try:
            self._library = pkcs11.lib(module)
            self._session = self._opened()
        except (pkcs11.PKCS11Error, RuntimeError) as error:
            raise WrongToken(
                "the token {label} of PKCS11_MODULE cannot be used ({why}): look at PKCS11_MODULE, PKCS11_TOKEN and "
                "PKCS11_PIN",
                label=repr(label),
                why=_name(error),
            ) from error

    def _opened(self) -> Any:
        token = self._library.get_token(token_label=self._label)
        try:
            return token.open(rw=True, user_pin=self._pin)
        except self._pkcs11.UserAlreadyLoggedIn:
            return token.open(rw=True)  # signed in once for all of a process

    @contextmanager
    def _used(self) -> Iterator[Any]:
        """Give a session. One that ended, as when the token was taken out, is opened again by the next use."""
        broken = (
            self._pkcs11.SessionHandleInvalid,
            self._pkcs11.SessionClosed,
            self._pkcs11.DeviceRemoved,
            self._pkcs11.DeviceError,
            self._pkcs11.TokenNotPresent,
            self._pkcs11.UserNotLoggedIn,
        )
        with self._turn:
            try:
                if self._session is None:
                    self._session = self._opened()
                yield self._session
            except broken as error:
                self._session = None
                raise StorageUnavailable("the token of keys does not answer: {why}", why=_name(error)) from error

    # ---- P-256 and secp256k1

    def make(self, curve: str, label: str) -> tuple[bytes, bytes]:
        """Make a key pair in the token. Returns the object's id and the point (X || Y, 64 bytes).

        Raises:
            WrongToken: if the token does not make keys of this curve.
        """
        pkcs11, number = self._pkcs11, os.urandom(16)
        with self._used() as session, self._refusing(curve):
            parameters = session.create_domain_parameters(
                pkcs11.KeyType.EC, {pkcs11.Attribute.EC_PARAMS: _parameters(curve)}, local=True
            )
            public, _private = parameters.generate_keypair(
                store=True, id=number, label=label, private_template=self._kept_inside()
            )
            return number, bytes(public[pkcs11.Attribute.EC_POINT])[-64:]

    def bring(self, curve: str, private: int, label: str) -> bytes:
        """Bring a private key of before into the token. Returns the object's id, which the key itself determines.

        So a run that was cut short brings none twice.

        Raises:
            WrongToken: if the token does not take it.
        """
        pkcs11 = self._pkcs11
        number = sha256(b"provenport" + curve.encode() + private.to_bytes(32, "big")).digest()
        number = sha256(number).digest()[:16]  # the id may be read by everybody who reads the database
        with self._used() as session, self._refusing(curve):
            if not self._found(session, number):
                session.create_object(
                    {
                        pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY,
                        pkcs11.Attribute.KEY_TYPE: pkcs11.KeyType.EC,
                        pkcs11.Attribute.EC_PARAMS: _parameters(curve),
                        pkcs11.Attribute.VALUE: private.to_bytes(32, "big"),
                        pkcs11.Attribute.ID: number,
                        pkcs11.Attribute.LABEL: label,
                        pkcs11.Attribute.TOKEN: True,
                        pkcs11.Attribute.PRIVATE: True,
                        pkcs11.Attribute.SIGN: True,
                        **self._kept_inside(),
                    }
                )
        return number

    def sign(self, number: bytes, digest: bytes) -> tuple[int, int]:
        """Return the ECDSA signature (r, s) over a digest of 32 bytes.

        Raises:
            WrongMasterKey: if the token has no such key.
        """
        with self._used() as session:
            found = self._found(session, number)
            if not found:
                raise WrongMasterKey("the token {label} has no key {number}", label=self._label, number=number.hex())
            signature = bytes(found[0].sign(digest, mechanism=self._pkcs11.Mechanism.ECDSA))
        return int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")

    def _found(self, session: Any, number: bytes) -> list[Any]:
        pkcs11 = self._pkcs11
        wanted = {pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY, pkcs11.Attribute.ID: number}
        return list(session.get_objects(wanted))

    def _kept_inside(self) -> dict[Any, Any]:
        return {self._pkcs11.Attribute.SENSITIVE: True, self._pkcs11.Attribute.EXTRACTABLE: False}

    @contextmanager
    def _refusing(self, curve: str) -> Iterator[None]:
        pkcs11 = self._pkcs11
        try:
            yield
        except (
            pkcs11.MechanismInvalid,
            pkcs11.MechanismParamInvalid,
            pkcs11.DomainParamsInvalid,
            pkcs11.AttributeValueInvalid,
            pkcs11.TemplateInconsistent,
            pkcs11.TemplateIncomplete,
            pkcs11.FunctionNotSupported,
        ) as error:
            raise WrongToken(
                "the token {label} does not take keys of the curve {curve} ({why}). Keys of the ledger's accounts may "
                "stay in the data folder, encrypted by the token: PKCS11_LEDGER_ACCOUNTS=0",
                label=self._label,
                curve=curve,
                why=_name(error),
            ) from error

    # ---- the master key

    def encrypt(self, secret: bytes) -> bytes:
        """Encrypt under the newest master key, which is made where there is none (AES-256-GCM)."""
        pkcs11, nonce = self._pkcs11, os.urandom(12)
        with self._used() as session:
            wanted = {pkcs11.Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY, pkcs11.Attribute.LABEL: _MASTER}
            masters = list(session.get_objects(wanted))
            master = masters[0] if masters else self._new_master(session)
            mechanism, parameters = pkcs11.Mechanism.AES_GCM, pkcs11.GCMParams(nonce, b"", 128)
            text = bytes(master.encrypt(secret, mechanism=mechanism, mechanism_param=parameters))
            return _SEALED + bytes(master[pkcs11.Attribute.ID]) + nonce + text

    def _new_master(self, session: Any) -> Any:
        return session.generate_key(
            self._pkcs11.KeyType.AES, 256, store=True, id=os.urandom(16), label=_MASTER, template=self._kept_inside()
        )

    def decrypt(self, sealed: bytes) -> bytes:
        """Decrypt what the token encrypted.

        Raises:
            WrongMasterKey: if the token has not its master key, or the text was altered.
        """
        pkcs11, rest = self._pkcs11, sealed.removeprefix(_SEALED)
        number, nonce, text = rest[:16], rest[16:28], rest[28:]
        with self._used() as session:
            wanted = {pkcs11.Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY, pkcs11.Attribute.ID: number}
            masters = list(session.get_objects(wanted))
            if not masters:
                raise WrongMasterKey("the token {label} does not hold this folder's master key", label=self._label)
            parameters = pkcs11.GCMParams(nonce, b"", 128)
            try:
                return bytes(masters[0].decrypt(text, mechanism=pkcs11.Mechanism.AES_GCM, mechanism_param=parameters))
            except (pkcs11.EncryptedDataInvalid, pkcs11.EncryptedDataLenRange, pkcs11.GeneralError) as error:
                raise WrongMasterKey("the master key does not open the keys kept in this data folder") from error


class TokenVault(KeyVault):
    """Implements the Vault port with a token. ``former`` opens what was encrypted before there was one."""

    def __init__(self, token: Token, former: Callable[[], KeyVault], ledger_accounts_inside: bool = True) -> None:
        self._token, self._former = token, former
        self._ledger_accounts_inside = ledger_accounts_inside

    def new_key(self) -> tuple[Jwk, bytes]:
        """Make a key in the token, and return its public JWK and the reference to it."""
        number, point = self._token.make(_P256, "provenport-issuer")
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + point)
        return jwk_of(public), REFERENCE + number.hex().encode()

    def sign(self, encrypted_private: bytes, signing_input: bytes) -> bytes:
        """Return the 64-byte ES256 signature (RFC 7518, section 3.4), made in the token."""
        if not encrypted_private.startswith(REFERENCE):
            return self._former().sign(encrypted_private, signing_input)
        r, s = self._token.sign(_number(encrypted_private), sha256(signing_input).digest())
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def encrypt(self, secret: bytes) -> bytes:
        """Encrypt a secret in the token."""
        return self._token.encrypt(secret)

    def decrypt(self, sealed: bytes) -> bytes:
        """Decrypt a secret in the token; one from before, under the former master key.

        Raises:
            WrongMasterKey: if neither opens it.
        """
        return self._token.decrypt(sealed) if sealed.startswith(_SEALED) else self._former().decrypt(sealed)

    def reencrypt(self, sealed: bytes) -> bytes:
        """Bring a P-256 key into the token; encrypt any other secret there. What is there already stays as it is."""
        if sealed.startswith(REFERENCE):
            return sealed
        secret = self.decrypt(sealed)
        private = _p256_in(secret)
        return self.encrypt(secret) if private is None else self.bring_p256(private)

    def bring_p256(self, private: ec.EllipticCurvePrivateKey) -> bytes:
        """Bring a key into the token and return the reference to it."""
        number = self._token.bring(_P256, private.private_numbers().private_value, "provenport-issuer")
        return REFERENCE + number.hex().encode()

    # ---- accounts on the ledger

    def new_account_key(self) -> str:
        """Make the key of an account on the ledger in the token, and return the reference to it with its point."""
        if not self._ledger_accounts_inside:
            return super().new_account_key()
        number, point = self._token.make(_SECP256K1, "provenport-ledger")
        return f"{REFERENCE.decode()}{number.hex()}:{point.hex()}"

    def bring_account_key(self, key: str) -> str:
        """Bring a key of before into the token and return the reference to it."""
        if key.startswith(REFERENCE.decode()) or not self._ledger_accounts_inside:
            return key
        number = self._token.bring(_SECP256K1, int(key, 16), "provenport-ledger")
        public = Account.from_key(bytes.fromhex(key))._key_obj.public_key
        return f"{REFERENCE.decode()}{number.hex()}:{public.to_bytes().hex()}"

    def account(self, key: str) -> LocalAccount:
        """Return the account of a key, which signs in the token where the key is there."""
        if not key.startswith(REFERENCE.decode()):
            return super().account(key)
        _, number, point = key.split(":")
        return TokenAccount(_TokenKey(self._token, bytes.fromhex(number), PublicKey(bytes.fromhex(point))))


class _TokenKey:
    """Signs as eth-keys' private keys do."""

    def __init__(self, token: Token, number: bytes, public: PublicKey) -> None:
        self._token, self._id, self.public_key = token, number, public

    def sign_msg_hash(self, message_hash: bytes) -> Signature:
        """Sign a hash. The lower of the two values of s is taken (EIP-2), and which point it was is found out."""
        r, s = self._token.sign(self._id, message_hash)
        s = min(s, SECPK1_N - s)
        for v in (0, 1):
            signature = Signature(vrs=(v, r, s))
            if signature.recover_public_key_from_msg_hash(message_hash) == self.public_key:
                return signature
        raise WrongMasterKey("the token's signature is not of the key that this account has")


class TokenAccount(LocalAccount):
    """An account on the ledger whose key is in a token: it has an address and signs transactions, nothing else."""

    def __init__(self, key: _TokenKey) -> None:
        self._publicapi: Any = Account
        self._key_obj: Any = key
        self._address = key.public_key.to_checksum_address()
        self._private_key = HexBytes(b"")

    def sign_transaction(self, transaction_dict: Any, blobs: Any = None) -> SignedTransaction:
        """Sign a transaction in the token. All its fields are given."""
        v, r, s, encoded = sign_transaction_dict(self._key_obj, dict(transaction_dict))
        return SignedTransaction(HexBytes(encoded), HexBytes(keccak(encoded)), r, s, v)


def _number(reference: bytes) -> bytes:
    return bytes.fromhex(reference.removeprefix(REFERENCE).decode())


def _parameters(curve: str) -> bytes:
    from pkcs11.util.ec import encode_named_curve_parameters

    return bytes(encode_named_curve_parameters(curve))


def _p256_in(secret: bytes) -> ec.EllipticCurvePrivateKey | None:
    try:
        private = serialization.load_der_private_key(secret, None)
    except ValueError:
        return None
    return private if isinstance(private, ec.EllipticCurvePrivateKey) else None


def _name(error: Exception) -> str:
    return str(error) or type(error).__name__
