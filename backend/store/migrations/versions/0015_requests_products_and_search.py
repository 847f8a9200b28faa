"""What operators ask of the ledger; products edited and retired; words by which codes and records are found; drafts.

Of products that share a bar code the oldest one keeps it to itself: the others stay, and are named when one of them is
edited. Of records' words keyed hashes are kept: the server enters earlier records in the background.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

COLUMNS = (
    sa.Column("model", sa.String(80)),
    sa.Column("net_weight", sa.String(24)),
    sa.Column("gross_weight", sa.String(24)),
    sa.Column("consignee", sa.JSON()),
    sa.Column("retired_at", sa.DateTime(timezone=True)),
    sa.Column("model_key", sa.String(60)),
    sa.Column("gtin_key", sa.String(14)),
    sa.Column("version", sa.Integer(), nullable=False, server_default="1"),
)
INDEXES = (
    ("uq_product_model", ["merchant_id", "model_key"], True, "model_key IS NOT NULL"),
    ("uq_product_gtin", ["merchant_id", "gtin_key"], True, "gtin_key IS NOT NULL"),
)


CERTIFIED = sa.text("assurance = 'issued' AND product_id IS NOT NULL AND superseded_by_id IS NULL")
PENDING = sa.text("transaction_id IS NULL AND settled IS NULL")
ASKED = sa.text("operation NOT IN ('fund', 'announce', 'withdraw')")


def upgrade() -> None:
    _add_requests()
    for column in COLUMNS:
        op.add_column("product", column)
    _claim_codes()
    op.drop_index("ix_product_merchant", "product")
    op.create_index("ix_product_merchant", "product", ["merchant_id", "added_at", "id", "retired_at"])
    for name, columns, unique, where in INDEXES:
        op.create_index(
            name, "product", columns, unique=unique, sqlite_where=sa.text(where), postgresql_where=sa.text(where)
        )
    op.create_index(
        "ix_record_certified",
        "record",
        ["product_id", "kind", "recorded_at"],
        sqlite_where=CERTIFIED,
        postgresql_where=CERTIFIED,
    )
    op.create_table(
        "hs_heading",
        sa.Column("code", sa.String(13), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("local_text", sa.Text(), nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_hs_heading")),
    )
    op.create_table(
        "hs_word",
        sa.Column("word", sa.String(40), nullable=False),
        sa.Column("code", sa.String(13), nullable=False),
        sa.ForeignKeyConstraint(["code"], ["hs_heading.code"], name=op.f("fk_hs_word_code")),
        sa.PrimaryKeyConstraint("word", "code", name=op.f("pk_hs_word")),
    )
    op.create_index(op.f("ix_hs_word_code"), "hs_word", ["code"])
    op.create_table(
        "search_word",
        sa.Column("mark", sa.String(20), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("record_id", sa.String(36), nullable=False),
        sa.ForeignKeyConstraint(["record_id"], ["record.id"], name=op.f("fk_search_word_record_id")),
        sa.PrimaryKeyConstraint("mark", "recorded_at", "record_id", name=op.f("pk_search_word")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_search_word_record_id"), "search_word", ["record_id"])
    op.create_table(
        "form_draft",
        sa.Column("person_id", sa.String(36), nullable=False),
        sa.Column("form", sa.String(40), nullable=False),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("typed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_form_draft_person_id")),
        sa.PrimaryKeyConstraint("person_id", "form", name=op.f("pk_form_draft")),
    )
    op.create_index(op.f("ix_form_draft_saved_at"), "form_draft", ["saved_at"])


def _claim_codes() -> None:
    connection, seen = op.get_bind(), set()
    found = sa.text("SELECT id, merchant_id, gtin FROM product WHERE gtin IS NOT NULL ORDER BY added_at, id")
    for product_id, merchant_id, gtin in connection.execute(found).all():
        key = merchant_id, gtin.zfill(14)
        if key not in seen:
            seen.add(key)
            claim = sa.text("UPDATE product SET gtin_key = :key WHERE id = :id")
            connection.execute(claim, {"key": key[1], "id": product_id})


def _add_requests() -> None:
    op.create_table(
        "ledger_request",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("operation", sa.String(length=20), nullable=False),
        sa.Column("terms", sa.JSON(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("transaction_id", sa.String(length=80), nullable=True),
        sa.Column("settled", sa.String(length=200), nullable=True),
        sa.ForeignKeyConstraint(
            ["transaction_id"], ["outbound_transaction.id"], name=op.f("fk_ledger_request_transaction_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_request")),
    )
    op.create_index(op.f("ix_ledger_request_transaction_id"), "ledger_request", ["transaction_id"])
    op.create_index(
        "ix_ledger_request_pending",
        "ledger_request",
        ["transaction_id", "asked_at"],
        sqlite_where=PENDING,
        postgresql_where=PENDING,
    )
    op.create_index(
        "ix_ledger_request_asked",
        "ledger_request",
        ["asked_at", "id"],
        sqlite_where=ASKED,
        postgresql_where=ASKED,
    )


def downgrade() -> None:
    op.drop_table("form_draft")
    op.drop_table("ledger_request")
    op.drop_table("search_word")
    op.drop_table("hs_word")
    op.drop_table("hs_heading")
    op.drop_index("ix_record_certified", "record")
    for name, *_ in INDEXES:
        op.drop_index(name, "product")
    op.drop_index("ix_product_merchant", "product")
    op.create_index("ix_product_merchant", "product", ["merchant_id", "added_at", "id"])
    for column in reversed(COLUMNS):
        op.drop_column("product", column.name)
