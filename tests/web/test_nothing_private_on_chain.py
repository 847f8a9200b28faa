"""Whatever people typed or we made of it, none of it stands on the chain: not as it is, not as a hash without salt."""

import json
from collections.abc import Iterator
from contextlib import closing, suppress
from decimal import Decimal
from hashlib import sha256

import pytest
from eth_utils.crypto import keccak
from sqlalchemy import inspect, text

from backend.adapters.keys.vault import opened_vault
from backend.adapters.ledger.calls import ContractCall, Fees, sign_call
from backend.domain.sd_jwt import unb64
from backend.runtime.app import ledger_accounts
from backend.store.encryption import DataKeys, NotEncrypted
from tests.helpers.builders import Api, order_fields, receipt_fields
from tests.helpers.postgres import as_it_lies

SHORTEST = 5
"""Shorter values turn up in random bytes; their hashes are looked for all the same."""
NOT_VALUES = {"outbound_transaction", "batch", "lease", "alembic_version"}
"""What went to the chain, and how far it came: comparing it with itself tells nothing."""
OF_THE_CHAIN = {("record", "digest"), ("record", "path"), ("signing_key", "thumbprint"), ("signing_key", "successor")}
OF_THE_CHAIN |= {("drawdown", "set_root")}
OF_THE_CHAIN |= {
    ("accreditation_change", "thumbprint"),
    ("accreditation_change", "terms"),
    ("signing_request", "thumbprint"),
}


def leaves(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for member in value.values():
            yield from leaves(member)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def stored_values(folder) -> set[bytes]:
    """Every value of every table, and what lies inside the records: fields, salts, disclosures, signed texts."""
    found: set[bytes] = set()
    with as_it_lies(folder) as database, closing(DataKeys(folder / "record.keys")) as keys:
        for table in set(inspect(database).get_table_names()) - NOT_VALUES:
            for row in database.execute(text(f"select * from {table}")).mappings():
                for name, value in row.items():
                    if (table, name) not in OF_THE_CHAIN:
                        found |= {v for v in inside(name, opened(keys, value)) if v}
    return found


def opened(keys: DataKeys, value: object) -> object:
    """What lies sealed, as it was before."""
    try:
        content = keys.open(value) if isinstance(value, bytes) else None
    except NotEncrypted:
        return value
    if content is None:
        return value
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content


def inside(name: str, value: object) -> Iterator[bytes]:
    if isinstance(value, bytes):
        yield value
    elif name == "disclosures":
        for disclosure in json.loads(str(value)):
            salt, field, content = json.loads(unb64(disclosure))
            yield from (disclosure.encode(), salt.encode(), unb64(salt), json.dumps({field: content}).encode())
            yield from (text.encode() for text in leaves(content))
            yield json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    elif name == "signed_jwt":
        # Its digest stands in the entry by which a certificate is opened: the salts in the text keep it unguessable.
        yield str(value).rpartition(".")[0].encode()
    elif isinstance(value, str):
        yield value.encode()
        with suppress(json.JSONDecodeError):  # people may type what only begins like JSON
            yield from (text.encode() for text in leaves(json.loads(value)))
    elif isinstance(value, int | float):
        yield str(Decimal(str(int(value) if isinstance(value, bool) else value))).encode()


def on_chain(system, first: int = 0) -> bytes:
    """Calldata and logs of every transaction since a block."""
    last = system.chain.head().number
    blobs = []
    for number in range(first, last + 1):
        block = system.node("eth_getBlockByNumber", [hex(number), True])
        blobs += [bytes.fromhex(transaction["input"][2:]) for transaction in block["transactions"]]
    for start in range(first, last + 1, 500):
        span = {"fromBlock": hex(start), "toBlock": hex(min(last, start + 499))}
        for log in system.node("eth_getLogs", [span]):
            blobs += [bytes.fromhex(part[2:]) for part in [log["data"], *log["topics"]]]
    return b"|".join(blobs)


def traces(values: set[bytes], chain: bytes) -> set[tuple[str, bytes]]:
    found = set()
    for value in values:
        if len(value) >= SHORTEST and value in chain:
            found.add(("raw", value))
        for name, hashed in (("sha256", sha256(value).digest()), ("keccak", keccak(value))):
            if hashed in chain or hashed.hex().encode() in chain:
                found.add((name, value))
    return found


@pytest.fixture
def busy(system, app, people, settle):
    """The demonstration, and besides it every act of which something reaches the chain."""
    api = Api(app.test_client(), people)
    certificate, declaration = api.certificate(), api.declaration()
    for path, fields in (("/orders", order_fields), ("/payment-receipts", receipt_fields)):
        name = "orderReference" if path == "/orders" else "receiptReference"
        assert api.post(path, "merchant", fields(**{name: api.fresh("X")})).status_code == 201
    settle()
    reason = {"reason": "Mrs Wong of 88 Chouzhou Road asked for it"}
    assert api.post(f"/records/{certificate['id']}/revocation", "chamber", reason).status_code == 201
    decided = {"decision": "examine", "reason": "The driver Mr Zhao was nervous"}
    assert api.post(f"/declarations/{declaration['id']}/decisions", "officer", decided).status_code == 201
    settle()
    return system


def test_stored_values_stay_off_chain_planted_are_found(busy):
    """Looks for each value as it is and hashed without salt."""
    values = stored_values(busy.folder.path)
    assert len(values) > 1000
    assert {b"The driver Mr Zhao was nervous", b"merchant@example.org", b"940521"} <= values
    chain = on_chain(busy)
    assert len(chain) > 10_000
    assert traces(values, chain) == set()

    height = busy.chain.head().number
    planted = b"merchant@example.org" + sha256(b"940521").digest() + keccak(b"The driver Mr Zhao was nervous")
    send(busy, planted)
    assert traces(values, on_chain(busy, height + 1)) >= {
        ("raw", b"merchant@example.org"),
        ("sha256", b"940521"),
        ("keccak", b"The driver Mr Zhao was nervous"),
    }


def send(system, data: bytes) -> None:
    """A transaction of the office's account to itself, with something in it that should never be there."""
    accounts = ledger_accounts(system.folder, opened_vault(system.folder.master_key))
    office = accounts["office"].address
    call = ContractCall("office", office, data, 200_000)
    nonce = system.chain.transaction_count(office)
    signed = sign_call(call, accounts, system.chain.chain_id(), nonce, Fees().at(system.chain.price()))
    system.chain.send_raw(signed.raw)
    while system.chain.receipt(signed.transaction_hash) is None:
        pass
