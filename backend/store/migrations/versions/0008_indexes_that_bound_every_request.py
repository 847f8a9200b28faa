"""Every query of a request finds what it asks for by an index, and reads no more than it shows.

Indexes of a single column give way to those that hold the whole question with its order. Two columns are new: an
organisation's name as it is compared, and a mark of what a request's statement says, by which the same statement is
found again. Requests that were made before have no mark.
"""

from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


class _New(NamedTuple):
    name: str
    table: str
    columns: Sequence[str]
    where: str | None = None


_UNSEALED = "batch_id IS NULL AND quarantined IS NULL"
_UNSENT = "transaction_id IS NULL AND {} IS NULL"
NEW = (
    _New("ix_organisation_identifier", "organisation", ["identifier"]),
    _New("ix_organisation_folded_name", "organisation", ["folded_name"]),
    _New("ix_organisation_local_name", "organisation", ["local_name"]),
    _New("ix_product_merchant", "product", ["merchant_id", "added_at", "id"]),
    _New("ix_outbound_transaction_block", "outbound_transaction", ["state", "block", "nonce"]),
    _New("ix_outbound_transaction_made", "outbound_transaction", ["state", "made_at"]),
    _New("ix_record_number", "record", ["issuer_id", "kind", "number"]),
    _New("ix_record_issued", "record", ["issuer_id", "kind", "recorded_at", "id", "superseded_by_id", "status"]),
    _New("ix_record_held", "record", ["holder_id", "kind", "recorded_at", "id", "superseded_by_id", "status"]),
    _New("ix_record_product", "record", ["product_id", "recorded_at"]),
    _New("ix_record_batch", "record", ["batch_id", "recorded_at"], "batch_id IS NOT NULL"),
    _New("ix_record_unsealed", "record", ["batch_id", "recorded_at", "issuer_id"], _UNSEALED),
    _New("ix_record_quarantined", "record", ["id"], "quarantined IS NOT NULL"),
    _New("ix_request_issuer", "request", ["issuer_id", "state", "made_at", "id"]),
    _New("ix_request_merchant", "request", ["merchant_id", "state", "made_at", "id"]),
    _New("ix_request_content", "request", ["merchant_id", "content"]),
    _New("ix_consignment_lodged", "consignment", ["lodged_at", "id"]),
    _New("ix_consignment_status", "consignment", ["status", "lodged_at", "id"]),
    _New("ix_consignment_merchant", "consignment", ["merchant_id", "lodged_at", "id"]),
    _New("ix_consignment_merchant_status", "consignment", ["merchant_id", "status", "lodged_at", "id"]),
    _New("ix_consignment_released", "consignment", ["released_at"], "released_at IS NOT NULL"),
    _New("ix_consignment_merchant_released", "consignment", ["merchant_id", "released_at"], "released_at IS NOT NULL"),
    _New("ix_paper_record", "paper", ["record_id", "number"]),
    _New("ix_event_recorded_at", "event", ["recorded_at"]),
    _New(
        "ix_activation_pending", "activation", ["transaction_id", "asked_at"], _UNSENT.format("refusal") + " AND {no}"
    ),
    _New("ix_drawdown_set_root", "drawdown", ["set_root"], "set_root IS NOT NULL"),
    _New(
        "ix_drawdown_pending",
        "drawdown",
        ["set_root", "asked_at", "declaration_id", "id"],
        "set_root IS NULL AND refusal IS NULL",
    ),
    _New(
        "ix_drawdown_to_refund",
        "drawdown",
        ["refund_transaction_id", "asked_at", "id"],
        "refund_asked_at IS NOT NULL AND refund_transaction_id IS NULL AND refunded_at IS NULL",
    ),
    _New("ix_status_change_pending", "status_change", ["transaction_id", "asked_at"], _UNSENT.format("settled")),
    _New("ix_idempotency_record_resource_id", "idempotency_record", ["resource_id"]),
)
OLD = {
    "product": ["merchant_id"],
    "outbound_transaction": ["state"],
    "record": ["issuer_id", "holder_id", "product_id", "batch_id", "recorded_at"],
    "request": ["issuer_id", "merchant_id", "state"],
    "consignment": ["merchant_id", "lodged_at", "status"],
    "paper": ["consignment_id", "record_id"],
    "drawdown": ["set_root"],
}
"""Indexes of one column that others begin with now."""
_ORGANISATION = sa.table("organisation", *(sa.column(name, sa.Text) for name in ("id", "name", "folded_name")))


_CLOSED = """
    UPDATE request SET state = 'closed' WHERE state = 'sent-back' AND EXISTS (
        SELECT 1 FROM record WHERE record.id = request.statement_id
        AND (record.superseded_by_id IS NOT NULL OR record.erased_at IS NOT NULL)
    )
"""
"""Requests that were sent back and wait for nobody any more have a state of their own."""


def upgrade() -> None:
    op.add_column("organisation", sa.Column("folded_name", sa.Text))
    op.add_column("request", sa.Column("content", sa.String(60)))
    connection = op.get_bind()
    names = connection.execute(sa.select(_ORGANISATION.c.id, _ORGANISATION.c.name)).all()
    renamed = sa.update(_ORGANISATION).where(_ORGANISATION.c.id == sa.bindparam("one"))
    if names:
        folded = [{"one": one, "folded": name.casefold()} for one, name in names]
        connection.execute(renamed.values(folded_name=sa.bindparam("folded")), folded)
    op.execute(_CLOSED)
    for table, columns in OLD.items():
        for column in columns:
            op.drop_index(f"ix_{table}_{column}", table)
    # As SQLAlchemy writes is_(False): SQLite takes a partial index only for queries with the terms of its WHERE.
    no = "is_known IS 0" if connection.dialect.name == "sqlite" else "is_known IS false"
    for new in NEW:
        where = sa.text(new.where.format(no=no)) if new.where else None
        op.create_index(new.name, new.table, new.columns, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    op.execute("UPDATE request SET state = 'sent-back' WHERE state = 'closed'")
    for new in NEW:
        op.drop_index(new.name, new.table)
    for table, columns in OLD.items():
        for column in columns:
            op.create_index(f"ix_{table}_{column}", table, [column])
    op.drop_column("request", "content")
    op.drop_column("organisation", "folded_name")
