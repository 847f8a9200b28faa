"""Draws on certificates, decisions that were undone, and acts that are announced before they are done."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "opening",
        sa.Column("certificate_id", sa.String(length=36), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sending_id", sa.String(length=80), nullable=True),
        sa.Column("refusal", sa.String(length=200), nullable=True),
        sa.Column("is_known", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["certificate_id"], ["record.id"], name=op.f("fk_opening_certificate_id")),
        sa.ForeignKeyConstraint(["sending_id"], ["sending.id"], name=op.f("fk_opening_sending_id")),
        sa.PrimaryKeyConstraint("certificate_id", name=op.f("pk_opening")),
    )
    op.create_index(op.f("ix_opening_sending_id"), "opening", ["sending_id"])
    op.create_table(
        "certificate_draw",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("certificate_id", sa.String(length=80), nullable=False),
        sa.Column("line_id", sa.String(length=80), nullable=False),
        sa.Column("declaration_id", sa.String(length=80), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sending_id", sa.String(length=80), nullable=True),
        sa.Column("drawing", sa.LargeBinary(length=32), nullable=True),
        sa.Column("position", sa.Integer(), nullable=True),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("refusal", sa.String(length=200), nullable=True),
        sa.Column("back_asked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("back_sending_id", sa.String(length=80), nullable=True),
        sa.Column("given_back_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["certificate_id"], ["record.id"], name=op.f("fk_certificate_draw_certificate_id")),
        sa.ForeignKeyConstraint(["line_id"], ["record.id"], name=op.f("fk_certificate_draw_line_id")),
        sa.ForeignKeyConstraint(
            ["declaration_id"], ["consignment.id"], name=op.f("fk_certificate_draw_declaration_id")
        ),
        sa.ForeignKeyConstraint(["sending_id"], ["sending.id"], name=op.f("fk_certificate_draw_sending_id")),
        sa.ForeignKeyConstraint(["back_sending_id"], ["sending.id"], name=op.f("fk_certificate_draw_back_sending_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_certificate_draw")),
    )
    for column in ("certificate_id", "line_id", "declaration_id", "sending_id", "drawing", "back_sending_id"):
        op.create_index(op.f(f"ix_certificate_draw_{column}"), "certificate_draw", [column])
    with op.batch_alter_table("decision", schema=None) as decision:
        decision.add_column(sa.Column("undone", sa.String(length=200), nullable=True))
    with op.batch_alter_table("accreditation_act", schema=None) as act:
        act.add_column(sa.Column("announcement_id", sa.String(length=80), nullable=True))
        act.add_column(sa.Column("due_at", sa.DateTime(timezone=True), nullable=True))
        act.add_column(sa.Column("cancel_asked_at", sa.DateTime(timezone=True), nullable=True))
        act.add_column(sa.Column("cancelling_id", sa.String(length=80), nullable=True))
        act.add_column(sa.Column("ended", sa.String(length=200), nullable=True))
        act.create_index(act.f("ix_accreditation_act_cancelling_id"), ["cancelling_id"])
        act.create_foreign_key(act.f("fk_accreditation_act_cancelling_id"), "sending", ["cancelling_id"], ["id"])
        act.create_index(act.f("ix_accreditation_act_announcement_id"), ["announcement_id"])
        act.create_foreign_key(act.f("fk_accreditation_act_announcement_id"), "sending", ["announcement_id"], ["id"])


def downgrade() -> None:
    with op.batch_alter_table("accreditation_act", schema=None) as act:
        act.drop_constraint(act.f("fk_accreditation_act_announcement_id"), type_="foreignkey")
        act.drop_constraint(act.f("fk_accreditation_act_cancelling_id"), type_="foreignkey")
        act.drop_index(act.f("ix_accreditation_act_cancelling_id"))
        act.drop_index(act.f("ix_accreditation_act_announcement_id"))
        for column in ("ended", "cancelling_id", "cancel_asked_at", "due_at", "announcement_id"):
            act.drop_column(column)
    with op.batch_alter_table("decision", schema=None) as decision:
        decision.drop_column("undone")
    for table in ("certificate_draw", "opening"):
        op.drop_table(table)
