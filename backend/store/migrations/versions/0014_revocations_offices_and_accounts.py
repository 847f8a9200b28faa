"""Revocations to publish, offices that batches name, and status changes that are found by their account.

Revocations are published for the record itself, those of before too. A statement of a merchant's own counts for nothing
until its issuer confirms it, so one that was replaced needs none.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

CHANGES, TABLE = "ix_status_change_pending", "status_change"
PENDING = sa.text("transaction_id IS NULL AND settled IS NULL")


def upgrade() -> None:
    op.create_table(
        "revocation_notice",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("record_id", sa.String(length=36), nullable=True),
        sa.Column("batch_key", sa.LargeBinary(length=32), nullable=True),
        sa.Column("leaf_index", sa.Integer(), nullable=True),
        sa.Column("entry", sa.LargeBinary(length=64), nullable=True),
        sa.Column("path", sa.LargeBinary(), nullable=True),
        sa.Column("transaction_id", sa.String(length=80), nullable=True),
        sa.Column("settled", sa.String(length=200), nullable=True),
        sa.ForeignKeyConstraint(["record_id"], ["record.id"], name=op.f("fk_revocation_notice_record_id")),
        sa.ForeignKeyConstraint(
            ["transaction_id"], ["outbound_transaction.id"], name=op.f("fk_revocation_notice_transaction_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_revocation_notice")),
        sa.UniqueConstraint("batch_key", "leaf_index", name=op.f("uq_revocation_notice_batch_key")),
        sa.UniqueConstraint("record_id", name=op.f("uq_revocation_notice_record_id")),
    )
    op.create_index(op.f("ix_revocation_notice_transaction_id"), "revocation_notice", ["transaction_id"])
    op.create_index(
        "ix_revocation_notice_pending",
        "revocation_notice",
        ["transaction_id", "asked_at"],
        sqlite_where=PENDING,
        postgresql_where=PENDING,
    )
    # The record's id serves for the notice's: there is one for each.
    op.execute(
        """
        INSERT INTO revocation_notice (id, asked_at, record_id)
        SELECT id, recorded_at, id FROM record
        WHERE status IN (2, 3) AND kind <> 3 AND assurance = 'issued'
        """
    )
    op.add_column("batch", sa.Column("office", sa.String(20)))
    op.drop_index(CHANGES, TABLE)
    _find_changes_by("transaction_id", "signer", "asked_at")


def downgrade() -> None:
    op.drop_index(CHANGES, TABLE)
    _find_changes_by("transaction_id", "asked_at")
    op.drop_column("batch", "office")
    op.drop_table("revocation_notice")


def _find_changes_by(*columns: str) -> None:
    op.create_index(CHANGES, TABLE, list(columns), sqlite_where=PENDING, postgresql_where=PENDING)
