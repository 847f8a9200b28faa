"""Who may sign what: every kind by every role, at the interface of each service and where every record is made."""

import pytest

from backend.domain.errors import Invalid, NotAllowed
from backend.domain.kinds import CERTIFIED, KINDS, OWN, Kind, Signing
from backend.domain.parties import Role
from backend.domain.records import Assurance, document_of
from backend.services import issuance, statements
from backend.services.accreditation import OutsideAccreditation
from backend.services.records import DraftInputs, draft
from tests.helpers.builders import FIELDS
from tests.services.conftest import somebody

EVERY_PAIR = [(kind, role) for kind in Kind for role in Role]
IDS = [f"{kind.slug}-{role.value}" for kind, role in EVERY_PAIR]


def is_made(installation, kind, signer, assurance):
    """Whether a record of this kind can be drafted by this signer at all."""
    document = document_of(kind, FIELDS[kind]())
    with installation.ctx.work() as work:
        organisation = work.organisations.get(signer.organisation.id)
        try:
            draft(
                installation.ctx,
                work,
                DraftInputs.fresh(installation.ctx),
                kind,
                document,
                organisation,
                organisation,
                assurance,
            )
        except NotAllowed:
            return False
        except OutsideAccreditation:  # a newcomer: its role may, the ledger does not know it yet
            return True
    return True


@pytest.mark.parametrize(("kind", "role"), EVERY_PAIR, ids=IDS)
def test_record_is_made_only_by_permitted_signers(installation, kind, role):
    signer, stated = somebody(installation, role), KINDS[kind]
    assert is_made(installation, kind, signer, Assurance.ISSUED) == (role in stated.signed_by)
    may_state = role is Role.MERCHANT and stated.signing is Signing.CERTIFIED
    assert is_made(installation, kind, signer, Assurance.STATED) == may_state


@pytest.mark.parametrize(("kind", "role"), EVERY_PAIR, ids=IDS)
def test_services_refuse_who_may_not_sign(installation, kind, role):
    signer, fields = somebody(installation, role), FIELDS[kind]()
    certifies = kind in CERTIFIED and role in KINDS[kind].signed_by
    if not certifies:
        with pytest.raises(NotAllowed):
            issuance.issue(installation.ctx, signer, kind, fields)
    if kind not in OWN or role is not Role.MERCHANT:
        with pytest.raises((NotAllowed, Invalid)):
            statements.sign_own(installation.ctx, signer, kind, fields)


def test_merchant_signs_no_certificate_of_its_own(installation):
    for kind in CERTIFIED:
        with pytest.raises(NotAllowed):
            issuance.issue(installation.ctx, installation.merchant, kind, FIELDS[kind]())
        with pytest.raises(Invalid):
            statements.sign_own(installation.ctx, installation.merchant, kind, FIELDS[kind]())
