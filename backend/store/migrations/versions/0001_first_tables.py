"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "claim",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("holder", sa.String(length=80), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_claim")),
    )
    op.create_table(
        "organisation",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("role", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("local_name", sa.String(length=200), nullable=True),
        sa.Column("postal_address", sa.String(length=400), nullable=True),
        sa.Column("country_code", sa.String(length=2), nullable=False),
        sa.Column("identifier", sa.String(length=60), nullable=True),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organisation")),
    )
    with op.batch_alter_table("organisation", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_organisation_role"), ["role"], unique=False)

    op.create_table(
        "sending",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("signer", sa.String(length=20), nullable=False),
        sa.Column("nonce", sa.BigInteger(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("transaction_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("block", sa.BigInteger(), nullable=True),
        sa.Column("block_hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("block_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("refusal", sa.String(length=200), nullable=True),
        sa.Column("earlier", sa.JSON(), server_default="[]", nullable=False),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("trouble", sa.String(length=200), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sending")),
        sa.UniqueConstraint("transaction_hash", name=op.f("uq_sending_transaction_hash")),
    )
    with op.batch_alter_table("sending", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_sending_signer"), ["signer"], unique=False)
        batch_op.create_index(batch_op.f("ix_sending_state"), ["state"], unique=False)
        batch_op.create_index(
            "uq_sending_open_nonce",
            ["signer", "nonce"],
            unique=True,
            sqlite_where=sa.text("state IN ('signed', 'sent', 'mined')"),
            postgresql_where=sa.text("state IN ('signed', 'sent', 'mined')"),
        )

    op.create_table(
        "accreditation_act",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("thumbprint", sa.String(length=64), nullable=False),
        sa.Column("verb", sa.String(length=20), nullable=False),
        sa.Column("terms", sa.JSON(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("asked_by", sa.String(length=36), nullable=False),
        sa.Column("sending_id", sa.String(length=80), nullable=True),
        sa.ForeignKeyConstraint(["sending_id"], ["sending.id"], name=op.f("fk_accreditation_act_sending_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accreditation_act")),
    )
    with op.batch_alter_table("accreditation_act", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_accreditation_act_sending_id"), ["sending_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_accreditation_act_thumbprint"), ["thumbprint"], unique=False)

    op.create_table(
        "batch",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("origin_end", sa.Integer(), nullable=False),
        sa.Column("inspection_end", sa.Integer(), nullable=False),
        sa.Column("declaration_end", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("sealed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("transaction_id", sa.String(length=80), nullable=True),
        sa.Column("transaction_hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("chain_id", sa.BigInteger(), nullable=True),
        sa.Column("ledger_address", sa.String(length=42), nullable=True),
        sa.Column("instance_id", sa.LargeBinary(length=32), nullable=True),
        sa.Column("anchored_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("block", sa.BigInteger(), nullable=True),
        sa.Column("trouble", sa.String(length=200), nullable=True),
        sa.ForeignKeyConstraint(["transaction_id"], ["sending.id"], name=op.f("fk_batch_transaction_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batch")),
        sa.UniqueConstraint("root", name=op.f("uq_batch_root")),
    )
    with op.batch_alter_table("batch", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_batch_state"), ["state"], unique=False)
        batch_op.create_index(batch_op.f("ix_batch_transaction_id"), ["transaction_id"], unique=False)

    op.create_table(
        "person",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organisation_id", sa.String(length=80), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"], name=op.f("fk_person_organisation_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person")),
        sa.UniqueConstraint("email", name=op.f("uq_person_email")),
    )
    with op.batch_alter_table("person", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_person_organisation_id"), ["organisation_id"], unique=False)

    op.create_table(
        "product",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("merchant_id", sa.String(length=80), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("local_name", sa.String(length=200), nullable=True),
        sa.Column("hs_code", sa.String(length=13), nullable=False),
        sa.Column("unit_code", sa.String(length=3), nullable=False),
        sa.Column("origin_country", sa.String(length=2), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("gtin", sa.String(length=14), nullable=True),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["merchant_id"], ["organisation.id"], name=op.f("fk_product_merchant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_product")),
    )
    with op.batch_alter_table("product", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_product_merchant_id"), ["merchant_id"], unique=False)

    op.create_table(
        "signing_key",
        sa.Column("thumbprint", sa.String(length=64), nullable=False),
        sa.Column("organisation_id", sa.String(length=80), nullable=False),
        sa.Column("public_jwk", sa.JSON(), nullable=False),
        sa.Column("sealed_private", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"], name=op.f("fk_signing_key_organisation_id")),
        sa.PrimaryKeyConstraint("thumbprint", name=op.f("pk_signing_key")),
    )
    with op.batch_alter_table("signing_key", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_signing_key_organisation_id"), ["organisation_id"], unique=False)

    op.create_table(
        "stored_file",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("owner_id", sa.String(length=36), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("media_type", sa.String(length=80), nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["organisation.id"], name=op.f("fk_stored_file_owner_id")),
        sa.PrimaryKeyConstraint("sha256", "owner_id", name=op.f("pk_stored_file")),
    )
    op.create_table(
        "answer",
        sa.Column("person_id", sa.String(length=36), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("request_digest", sa.String(length=64), nullable=False),
        sa.Column("resource_id", sa.String(length=36), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_answer_person_id")),
        sa.PrimaryKeyConstraint("person_id", "key", name=op.f("pk_answer")),
    )
    with op.batch_alter_table("answer", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_answer_answered_at"), ["answered_at"], unique=False)

    op.create_table(
        "api_token",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("person_id", sa.String(length=80), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_api_token_person_id")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_api_token")),
    )
    with op.batch_alter_table("api_token", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_api_token_person_id"), ["person_id"], unique=False)

    op.create_table(
        "record",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("assurance", sa.String(length=40), nullable=False),
        sa.Column("issuer_id", sa.String(length=80), nullable=False),
        sa.Column("holder_id", sa.String(length=80), nullable=False),
        sa.Column("product_id", sa.String(length=80), nullable=True),
        sa.Column("signed_jwt", sa.Text(), nullable=False),
        sa.Column("disclosures", sa.JSON(), nullable=False),
        sa.Column("number", sa.String(length=60), nullable=True),
        sa.Column("quantity", sa.String(length=40), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("label_code", sa.String(length=32), nullable=False),
        sa.Column("supersedes_id", sa.String(length=36), nullable=True),
        sa.Column("superseded_by_id", sa.String(length=36), nullable=True),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("status_reason", sa.Text(), nullable=True),
        sa.Column("batch_id", sa.String(length=80), nullable=True),
        sa.Column("place", sa.Integer(), nullable=True),
        sa.Column("path", sa.LargeBinary(), nullable=False),
        sa.Column("quarantined", sa.String(length=200), nullable=True),
        sa.ForeignKeyConstraint(["batch_id"], ["batch.id"], name=op.f("fk_record_batch_id")),
        sa.ForeignKeyConstraint(["holder_id"], ["organisation.id"], name=op.f("fk_record_holder_id")),
        sa.ForeignKeyConstraint(["issuer_id"], ["organisation.id"], name=op.f("fk_record_issuer_id")),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_record_product_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_record")),
        sa.UniqueConstraint("batch_id", "place", name=op.f("uq_record_batch_id")),
        sa.UniqueConstraint("digest", name=op.f("uq_record_digest")),
        sa.UniqueConstraint("label_code", name=op.f("uq_record_label_code")),
    )
    with op.batch_alter_table("record", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_record_batch_id"), ["batch_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_record_holder_id"), ["holder_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_record_issuer_id"), ["issuer_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_record_product_id"), ["product_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_record_recorded_at"), ["recorded_at"], unique=False)

    op.create_table(
        "consignment",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("merchant_id", sa.String(length=80), nullable=False),
        sa.Column("reference", sa.String(length=60), nullable=False),
        sa.Column("customs_office", sa.String(length=60), nullable=False),
        sa.Column("lodged_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("arrived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["id"], ["record.id"], name=op.f("fk_consignment_id")),
        sa.ForeignKeyConstraint(["merchant_id"], ["organisation.id"], name=op.f("fk_consignment_merchant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consignment")),
        sa.UniqueConstraint("merchant_id", "reference", name=op.f("uq_consignment_merchant_id")),
    )
    with op.batch_alter_table("consignment", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_consignment_lodged_at"), ["lodged_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_consignment_merchant_id"), ["merchant_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_consignment_status"), ["status"], unique=False)

    op.create_table(
        "request",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("statement_id", sa.String(length=80), nullable=False),
        sa.Column("issuer_id", sa.String(length=80), nullable=False),
        sa.Column("merchant_id", sa.String(length=80), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("confirmed_id", sa.String(length=80), nullable=True),
        sa.ForeignKeyConstraint(["confirmed_id"], ["record.id"], name=op.f("fk_request_confirmed_id")),
        sa.ForeignKeyConstraint(["issuer_id"], ["organisation.id"], name=op.f("fk_request_issuer_id")),
        sa.ForeignKeyConstraint(["merchant_id"], ["organisation.id"], name=op.f("fk_request_merchant_id")),
        sa.ForeignKeyConstraint(["statement_id"], ["record.id"], name=op.f("fk_request_statement_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_request")),
    )
    with op.batch_alter_table("request", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_request_confirmed_id"), ["confirmed_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_request_issuer_id"), ["issuer_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_request_merchant_id"), ["merchant_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_request_state"), ["state"], unique=False)
        batch_op.create_index(batch_op.f("ix_request_statement_id"), ["statement_id"], unique=False)

    op.create_table(
        "status_change",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("record_id", sa.String(length=80), nullable=False),
        sa.Column("new_status", sa.Integer(), nullable=False),
        sa.Column("signer", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("reason_salt", sa.LargeBinary(length=32), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sending_id", sa.String(length=80), nullable=True),
        sa.Column("settled", sa.String(length=200), nullable=True),
        sa.ForeignKeyConstraint(["record_id"], ["record.id"], name=op.f("fk_status_change_record_id")),
        sa.ForeignKeyConstraint(["sending_id"], ["sending.id"], name=op.f("fk_status_change_sending_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_status_change")),
    )
    with op.batch_alter_table("status_change", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_status_change_record_id"), ["record_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_status_change_sending_id"), ["sending_id"], unique=False)

    op.create_table(
        "decision",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("consignment_id", sa.String(length=80), nullable=False),
        sa.Column("decision", sa.String(length=40), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("officer_id", sa.String(length=80), nullable=False),
        sa.Column("office_id", sa.String(length=80), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("verdict", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["consignment_id"], ["consignment.id"], name=op.f("fk_decision_consignment_id")),
        sa.ForeignKeyConstraint(["office_id"], ["organisation.id"], name=op.f("fk_decision_office_id")),
        sa.ForeignKeyConstraint(["officer_id"], ["person.id"], name=op.f("fk_decision_officer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decision")),
    )
    with op.batch_alter_table("decision", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_decision_consignment_id"), ["consignment_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_decision_office_id"), ["office_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_decision_officer_id"), ["officer_id"], unique=False)

    op.create_table(
        "draw",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("consignment_id", sa.String(length=80), nullable=False),
        sa.Column("certificate_id", sa.String(length=80), nullable=False),
        sa.Column("heading", sa.String(length=6), nullable=False),
        sa.Column("unit_code", sa.String(length=3), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("is_shared", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["certificate_id"], ["record.id"], name=op.f("fk_draw_certificate_id")),
        sa.ForeignKeyConstraint(["consignment_id"], ["consignment.id"], name=op.f("fk_draw_consignment_id")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_draw")),
    )
    with op.batch_alter_table("draw", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_draw_certificate_id"), ["certificate_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_draw_consignment_id"), ["consignment_id"], unique=False)

    op.create_table(
        "event",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("consignment_id", sa.String(length=80), nullable=False),
        sa.Column("step", sa.String(length=40), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("organisation_id", sa.String(length=80), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["consignment_id"], ["consignment.id"], name=op.f("fk_event_consignment_id")),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"], name=op.f("fk_event_organisation_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
    )
    with op.batch_alter_table("event", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_event_consignment_id"), ["consignment_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_event_organisation_id"), ["organisation_id"], unique=False)

    op.create_table(
        "paper",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("consignment_id", sa.String(length=80), nullable=False),
        sa.Column("record_id", sa.String(length=80), nullable=False),
        sa.ForeignKeyConstraint(["consignment_id"], ["consignment.id"], name=op.f("fk_paper_consignment_id")),
        sa.ForeignKeyConstraint(["record_id"], ["record.id"], name=op.f("fk_paper_record_id")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_paper")),
        sa.UniqueConstraint("consignment_id", "record_id", name=op.f("uq_paper_consignment_id")),
    )
    with op.batch_alter_table("paper", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_paper_consignment_id"), ["consignment_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_paper_record_id"), ["record_id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("paper", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_paper_record_id"))
        batch_op.drop_index(batch_op.f("ix_paper_consignment_id"))

    op.drop_table("paper")
    with op.batch_alter_table("event", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_event_organisation_id"))
        batch_op.drop_index(batch_op.f("ix_event_consignment_id"))

    op.drop_table("event")
    with op.batch_alter_table("draw", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_draw_consignment_id"))
        batch_op.drop_index(batch_op.f("ix_draw_certificate_id"))

    op.drop_table("draw")
    with op.batch_alter_table("decision", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_decision_officer_id"))
        batch_op.drop_index(batch_op.f("ix_decision_office_id"))
        batch_op.drop_index(batch_op.f("ix_decision_consignment_id"))

    op.drop_table("decision")
    with op.batch_alter_table("status_change", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_status_change_sending_id"))
        batch_op.drop_index(batch_op.f("ix_status_change_record_id"))

    op.drop_table("status_change")
    with op.batch_alter_table("request", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_request_statement_id"))
        batch_op.drop_index(batch_op.f("ix_request_state"))
        batch_op.drop_index(batch_op.f("ix_request_merchant_id"))
        batch_op.drop_index(batch_op.f("ix_request_issuer_id"))
        batch_op.drop_index(batch_op.f("ix_request_confirmed_id"))

    op.drop_table("request")
    with op.batch_alter_table("consignment", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_consignment_status"))
        batch_op.drop_index(batch_op.f("ix_consignment_merchant_id"))
        batch_op.drop_index(batch_op.f("ix_consignment_lodged_at"))

    op.drop_table("consignment")
    with op.batch_alter_table("record", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_record_recorded_at"))
        batch_op.drop_index(batch_op.f("ix_record_product_id"))
        batch_op.drop_index(batch_op.f("ix_record_issuer_id"))
        batch_op.drop_index(batch_op.f("ix_record_holder_id"))
        batch_op.drop_index(batch_op.f("ix_record_batch_id"))

    op.drop_table("record")
    with op.batch_alter_table("api_token", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_api_token_person_id"))

    op.drop_table("api_token")
    with op.batch_alter_table("answer", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_answer_answered_at"))

    op.drop_table("answer")
    op.drop_table("stored_file")
    with op.batch_alter_table("signing_key", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_signing_key_organisation_id"))

    op.drop_table("signing_key")
    with op.batch_alter_table("product", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_product_merchant_id"))

    op.drop_table("product")
    with op.batch_alter_table("person", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_person_organisation_id"))

    op.drop_table("person")
    with op.batch_alter_table("batch", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_batch_transaction_id"))
        batch_op.drop_index(batch_op.f("ix_batch_state"))

    op.drop_table("batch")
    with op.batch_alter_table("accreditation_act", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_accreditation_act_thumbprint"))
        batch_op.drop_index(batch_op.f("ix_accreditation_act_sending_id"))

    op.drop_table("accreditation_act")
    with op.batch_alter_table("sending", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_sending_open_nonce",
            sqlite_where=sa.text("state IN ('signed', 'sent', 'mined')"),
            postgresql_where=sa.text("state IN ('signed', 'sent', 'mined')"),
        )
        batch_op.drop_index(batch_op.f("ix_sending_state"))
        batch_op.drop_index(batch_op.f("ix_sending_signer"))

    op.drop_table("sending")
    with op.batch_alter_table("organisation", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_organisation_role"))

    op.drop_table("organisation")
    op.drop_table("claim")
