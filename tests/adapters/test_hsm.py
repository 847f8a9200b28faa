"""Keys in a token: signatures that everybody accepts, and private parts that nobody gets to see."""

import json
import secrets
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from click.testing import CliRunner
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import serialization
from eth_account import Account

from backend.adapters.keys.hsm import Token, TokenVault, WrongToken
from backend.adapters.keys.vault import REFERENCE, KeyVault, OperatorKeys, WrongMasterKey
from backend.cli.main import cli
from backend.domain import sd_jwt
from backend.domain.kinds import Kind
from backend.runtime.app import ledger_accounts, running
from backend.runtime.context import bring_keys_to_token, opened, rotate_master_key, vault_of
from backend.runtime.data_folder import DataFolder
from backend.services import issuance
from backend.services.audit import audit
from backend.settings import Settings, WrongSetting
from tests.conftest import copied, people_in
from tests.helpers.builders import certificate_fields
from tests.helpers.tokens import PIN, module, needs_softhsm, prepare

pytestmark = needs_softhsm
FIELDS = {"chainId": 1, "nonce": 0, "gas": 21_000, "to": "0x" + "11" * 20, "value": 5, "data": b"\1\2"}
PRICES = {"fees": {"maxFeePerGas": 9, "maxPriorityFeePerGas": 1}, "gas price": {"gasPrice": 7}}


@pytest.fixture(scope="module", autouse=True)
def labels(tmp_path_factory):
    """Of tokens that no test has used."""
    return prepare(tmp_path_factory.mktemp("softhsm"), 30)


@pytest.fixture
def label(labels):
    return labels.pop()


@pytest.fixture
def token(label):
    return Token(module(), label, PIN)


@pytest.fixture
def former():
    return KeyVault(Fernet.generate_key())


@pytest.fixture
def vault(token, former):
    return TokenVault(token, lambda: former)


def objects(token):
    return list(token._session.get_objects())


def private_values(token):
    """What the token tells of the private and secret keys in it."""
    pkcs11 = sys.modules["pkcs11"]
    told = []
    for one in objects(token):
        if one.object_class in (pkcs11.ObjectClass.PRIVATE_KEY, pkcs11.ObjectClass.SECRET_KEY):
            try:
                told.append(one[pkcs11.Attribute.VALUE])
            except pkcs11.AttributeSensitive:
                told.append(None)
    return told


def test_issuers_key_signs_inside_the_token(vault, token):
    jwk, reference = vault.new_key()
    assert reference.startswith(REFERENCE)
    assert len(reference) == len(REFERENCE) + 32
    signature = vault.sign(reference, b"a record")
    assert sd_jwt.verify(jwk, b"a record", signature)
    assert not sd_jwt.verify(jwk, b"another", signature)
    assert private_values(token) == [None]


def test_many_threads_sign_with_one_token(vault):
    jwk, reference = vault.new_key()
    with ThreadPoolExecutor(8) as pool:
        signed = list(pool.map(lambda n: vault.sign(reference, bytes([n])), range(64)))
    assert all(sd_jwt.verify(jwk, bytes([n]), signature) for n, signature in enumerate(signed))


@pytest.mark.parametrize("price", PRICES)
def test_ledger_account_signs_inside_the_token(vault, token, price):
    account = vault.account(vault.new_account_key())
    signed_for = set()
    for nonce in range(12):  # both halves of s, both points
        signed = account.sign_transaction({**FIELDS, **PRICES[price], "nonce": nonce})
        assert Account.recover_transaction(signed.raw_transaction) == account.address
        assert signed.s <= 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
        signed_for.add(signed.v)
    assert len(signed_for) == 2
    assert private_values(token) == [None]
    assert bytes(account.key) == b""


def test_account_of_before_keeps_its_address(vault):
    key = secrets.token_bytes(32).hex()
    moved = vault.bring_account_key(key)
    assert key not in moved
    assert vault.bring_account_key(key) == vault.bring_account_key(moved) == moved
    before, account = Account.from_key(key), vault.account(moved)
    assert account.address == before.address
    signed = account.sign_transaction({**FIELDS, **PRICES["fees"]})
    assert Account.recover_transaction(signed.raw_transaction) == before.address


def test_issuers_key_of_before_moves_once(vault, former, token):
    jwk, sealed = former.new_key()
    assert sd_jwt.verify(jwk, b"before", vault.sign(sealed, b"before"))
    reference = vault.reencrypt(sealed)
    assert vault.reencrypt(sealed) == vault.reencrypt(reference) == reference
    assert sd_jwt.verify(jwk, b"after", vault.sign(reference, b"after"))
    pkcs11 = sys.modules["pkcs11"]
    assert len([one for one in objects(token) if one.object_class is pkcs11.ObjectClass.PRIVATE_KEY]) == 1


def test_secrets_open_with_the_token_alone(vault, label, former, token):
    sealed = [vault.encrypt(b"a secret"), vault.encrypt(b"a secret")]
    assert sealed[0] != sealed[1]
    assert [vault.decrypt(one) for one in sealed] == [b"a secret"] * 2
    assert vault.decrypt(former.encrypt(b"from before")) == b"from before"
    altered = sealed[0][:-1] + bytes([sealed[0][-1] ^ 1])
    with pytest.raises(WrongMasterKey):
        vault.decrypt(altered)
    with pytest.raises(WrongMasterKey):
        former.decrypt(sealed[0])
    again = TokenVault(Token(module(), label, PIN), lambda: former)
    assert again.decrypt(sealed[0]) == b"a secret"
    assert private_values(token) == [None]


def test_another_token_opens_nothing(vault, former, labels):
    _, reference = vault.new_key()
    sealed = vault.encrypt(b"a secret")
    other = TokenVault(Token(module(), labels.pop(), PIN), lambda: former)
    with pytest.raises(WrongMasterKey, match="does not hold"):
        other.decrypt(sealed)
    with pytest.raises(WrongMasterKey, match="has no key"):
        other.sign(reference, b"a record")


def test_operators_keys_move_and_go_on(tmp_path, vault, former):
    path = tmp_path / "operator-keys.sealed"
    before = OperatorKeys(path, former)
    thumbprints = before.thumbprints()
    after = OperatorKeys(path, vault)
    assert after.bring(vault) == after.bring(vault) == 1
    assert after.thumbprints() == thumbprints
    after.renew()
    kept = json.loads(vault.decrypt(path.read_bytes()))
    assert [set(key) for key in kept] == [{"jwk", "reference"}] * 2
    with pytest.raises(WrongMasterKey):
        before.thumbprints()


# ---- what does not work is told


@pytest.mark.parametrize(
    ("change", "match"),
    [({"label": "no such token"}, "PKCS11_TOKEN"), ({"pin": "0000"}, "PKCS11_PIN"), ({"module": "/no.so"}, "PKCS11")],
)
def test_wrong_settings_of_the_token_are_told(label, change, match):
    right = {"module": module(), "label": label, "pin": PIN}
    with pytest.raises(WrongToken, match=match) as told:
        Token(**{**right, **change})
    assert "0000" not in str(told.value)


def test_missing_library_is_told(monkeypatch, label):
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    with pytest.raises(WrongToken, match="provenport"):
        Token(module(), label, PIN)


def test_curve_that_the_token_lacks_is_refused(token, monkeypatch):
    """A token without secp256k1, of which there are many."""
    real = Token.make

    def refused(self, curve, label):
        with self._refusing(curve):
            if curve == "secp256k1":
                raise sys.modules["pkcs11"].DomainParamsInvalid
            return real(self, curve, label)

    monkeypatch.setattr(Token, "make", refused)
    vault = TokenVault(token, lambda: None)
    assert vault.new_key()
    with pytest.raises(WrongToken, match="PKCS11_LEDGER_ACCOUNTS=0"):
        vault.new_account_key()
    outside = TokenVault(token, lambda: None, ledger_accounts_inside=False)
    assert outside.account(outside.new_account_key()).address


# ---- a whole installation


def settings_with(settings, label):
    return replace(settings, pkcs11_module=module(), pkcs11_token=label, pkcs11_pin=PIN)


def settle(system, record_id):
    from backend.services.anchoring import run_once

    for _ in range(40):
        run_once(system.ctx)
        with system.ctx.work(reading=True) as work:
            if work.records.get(record_id).proof_state.value == "final":
                return
    raise AssertionError("not final")


@pytest.mark.slow
@pytest.mark.sqlite
def test_installation_of_before_moves_into_the_token(demonstration, tmp_path, label, monkeypatch):
    settings = copied(demonstration, tmp_path / "data")
    folder = DataFolder(settings.data_dir)
    addresses = {name: one.address for name, one in ledger_accounts(folder, vault_of(folder, settings)).items()}
    master = folder.master_key.read_bytes()
    inside = settings_with(settings, label)
    thumbprints = OperatorKeys(folder.operator_keys, vault_of(folder, settings)).thumbprints()

    for name, value in {"DATA_DIR": settings.data_dir, "PKCS11_MODULE": module(), "PKCS11_TOKEN": label}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("PKCS11_PIN", PIN)
    told = CliRunner().invoke(cli, ["keys", "to-token"])
    assert told.exit_code == 0, told.output
    assert "in the token" in told.output
    assert not folder.master_key.exists()

    assert bring_keys_to_token(inside) > 10  # again, as after a run that was cut short
    former = KeyVault(master)
    for path in folder.path.glob("*.sealed"):
        with pytest.raises(WrongMasterKey):
            former.decrypt(path.read_bytes())
    with opened(inside) as ctx, ctx.work(reading=True) as work:
        assert {key.encrypted_private[:7] for key in work.keys.all() if key.encrypted_private} == {REFERENCE}
        chamber = work.persons.find_by_email(people_in(folder.path)["chamber"].email)
    with running(inside) as system:
        accounts = ledger_accounts(folder, vault_of(folder, inside))
        assert {name: one.address for name, one in accounts.items()} == addresses
        assert system.ctx.keys.operator.thumbprints() == thumbprints
        made = issuance.issue(system.ctx, chamber, Kind.CERTIFICATE_OF_ORIGIN, certificate_fields())
        settle(system, made.id)
        assert audit(system.ctx).discrepancies == ()
    with pytest.raises(WrongMasterKey):
        vault_of(folder, settings)
    with pytest.raises(WrongSetting, match="never leaves"):
        rotate_master_key(inside)


@pytest.mark.slow
@pytest.mark.sqlite
def test_new_installation_keeps_no_key_outside(tmp_path, label):
    settings = settings_with(Settings(tmp_path / "data"), label)
    with running(settings) as system:
        keys = json.loads(system.ctx.keys.vault.decrypt(system.folder.ledger_accounts.read_bytes()))
        assert all(key.startswith("pkcs11:") for key in keys.values())
        assert system.ctx.keys.operator.thumbprints()
        assert not system.folder.master_key.exists()


@pytest.mark.slow
@pytest.mark.sqlite
@pytest.mark.parametrize("killed_at", ["reencrypt_all", "overwrite"])
def test_killed_move_to_the_token_is_taken_up(demonstration, tmp_path, label, monkeypatch, killed_at):
    settings = copied(demonstration, tmp_path / "data")
    inside = settings_with(settings, label)

    class Killed(BaseException):
        pass

    def killed(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(f"backend.runtime.context.{killed_at}", killed)
        with pytest.raises(Killed):
            bring_keys_to_token(inside)
    folder = DataFolder(settings.data_dir)
    assert folder.master_key.exists()
    assert ledger_accounts(folder, vault_of(folder, inside))
    assert bring_keys_to_token(inside) > 10
    assert not folder.master_key.exists()


def test_move_without_token_is_refused(tmp_path):
    with pytest.raises(WrongSetting, match="PKCS11_MODULE"):
        bring_keys_to_token(Settings(tmp_path))


def test_pin_shows_in_no_settings():
    settings = Settings.from_environment({"PKCS11_MODULE": "/x.so", "PKCS11_PIN": "987654"})
    assert "987654" not in repr(settings)
    assert settings.pkcs11_token == "provenport"


def test_key_of_before_is_der(former):
    """What tells a private key from other secrets."""
    _, sealed = former.new_key()
    assert serialization.load_der_private_key(former.decrypt(sealed), None)
