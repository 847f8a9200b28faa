"""Trust files name, where there is one, the contract for revocations; who speaks for others takes it over."""

import pytest

from backend.domain import trust
from backend.domain.evidence import LedgerName
from backend.domain.trust import MalformedTrust, Trust, Trusted

LEDGER = LedgerName(1, b"\7" * 32, "0x" + "ab" * 20)
REVOCATIONS = "0x" + "ef" * 20
KEY, OTHER = "k" * 43, "o" * 43


def an_entry(**changes):
    return Trusted(
        **{"name": "Operator", "ledger": LEDGER, "accreditation": "0x" + "cd" * 20, "keys": (KEY,)} | changes
    )


@pytest.mark.parametrize("revocations", [None, REVOCATIONS])
def test_trust_file_is_read_as_written(revocations):
    written = Trust((an_entry(revocations=revocations),))
    assert trust.read(written.as_json()) == written


def test_null_stands_for_no_contract():
    fields = an_entry().as_json()
    assert "revocations" not in fields
    content = Trust().as_json() | {"trusted": [fields | {"revocations": None}]}
    assert trust.read(content) == Trust((an_entry(),))


@pytest.mark.parametrize("wrong", ["", "0x12", REVOCATIONS.upper(), 5, [REVOCATIONS]])
def test_wrong_address_is_refused(wrong):
    content = Trust().as_json() | {"trusted": [an_entry().as_json() | {"revocations": wrong}]}
    with pytest.raises(MalformedTrust):
        trust.read(content)


def test_other_signer_is_not_more_careless():
    """Of several entries about one ledger, any that names the contract counts."""
    given = Trust((an_entry(confirmations=3), an_entry(name="Second", confirmations=12, revocations=REVOCATIONS)))
    own = given.spoken_for_by("Customs", OTHER)
    assert own.trusted == (an_entry(name="Customs", keys=(OTHER,), confirmations=12, revocations=REVOCATIONS),)


@pytest.mark.parametrize("first", [None, REVOCATIONS])
def test_joined_entries_keep_the_contract(first):
    second = REVOCATIONS if first is None else None
    joined = Trust((an_entry(revocations=first),)).joined_by(Trust((an_entry(keys=(OTHER,), revocations=second),)))
    assert joined.trusted == (an_entry(keys=(OTHER, KEY), revocations=REVOCATIONS),)
