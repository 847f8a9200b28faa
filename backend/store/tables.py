"""The tables. Times are UTC, numbers of more than 64 bits are text so that no digit is lost, ids are random UUIDs."""

from collections.abc import Callable
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    literal_column,
)
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.types import TypeDecorator

from backend.domain.consignment import Decision, Step
from backend.domain.kinds import Kind
from backend.domain.ledger import DeclarationStatus
from backend.domain.outbox import TransactionState
from backend.domain.parties import Role, TokenScope
from backend.domain.records import Assurance, ProofState, RequestState
from backend.domain.simulation import SimulationState
from backend.store.encryption import (
    EncryptedBytes,
    EncryptedList,
    EncryptedMembers,
    EncryptedText,
    Fingerprint,
)

metadata = MetaData(
    # Named, since SQLite's tables are made anew by a migration that drops a constraint, and Alembic finds it by its
    # name.
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcTime(TypeDecorator[datetime]):
    """An aware datetime, stored in UTC. SQLite would return it without its zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC for the database; raise ValueError for a time without a zone."""
        if value is not None and value.tzinfo is None:
            raise ValueError("a time without its zone")
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return an aware datetime in UTC."""
        return value and (value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC))

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None] | None:
        """Read SQLite's text in one step: lists read thousands of times, and each step in between counts."""
        if dialect.name == "sqlite":
            return lambda text: text and datetime.fromisoformat(f"{text}+00:00")
        return super().result_processor(dialect, coltype)


class Word(TypeDecorator[Any]):
    """A StrEnum, stored as its value."""

    impl = String(40)
    cache_ok = True

    def __init__(self, words: type[StrEnum]) -> None:
        super().__init__()
        self.words = words

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Convert to the enum's value."""
        return None if value is None else self.words(value).value

    def process_result_value(self, value: Any, dialect: Dialect) -> StrEnum | None:
        """Convert to the enum."""
        return None if value is None else self.words(value)


class Number(TypeDecorator[Any]):
    """An IntEnum, stored as its number."""

    impl = Integer
    cache_ok = True

    def __init__(self, numbers: type[IntEnum]) -> None:
        super().__init__()
        self.numbers = numbers

    def process_bind_param(self, value: Any, dialect: Dialect) -> int | None:
        """Convert to the number."""
        return None if value is None else int(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> IntEnum | None:
        """Convert to the enum."""
        return None if value is None else self.numbers(value)


class WholeNumber(TypeDecorator[int]):
    """An integer of up to 128 bits, stored as text."""

    impl = String(40)
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> str | None:
        """Convert to text."""
        return None if value is None else str(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:
        """Convert to an integer."""
        return None if value is None else int(value)


def _id() -> Column[str]:
    return Column("id", String(36), primary_key=True)


def _to(name: str, target: str, *, nullable: bool = False, index: bool = True) -> Column[str]:
    return Column(name, String(80), ForeignKey(target), nullable=nullable, index=index)


def _folded_name(context: DefaultExecutionContext) -> str:
    # Folded here: SQLite's lower() knows the letters of ASCII only.
    given: dict[str, Any] = context.get_current_parameters()  # type: ignore[no-untyped-call]
    return str(given["name"]).casefold()


def _index(
    name: str, table: Table, *columns: str, where: ColumnElement[bool] | None = None, unique: bool = False
) -> None:
    """Create an index over these columns, in the order in which queries filter and sort.

    With ``where``, it covers only the rows for which that holds. The indexes keep the cost of a request from growing
    with what is stored (tests/web/test_bounded_queries.py).
    """
    indexed = (table.c[column] for column in columns)
    Index(name, *indexed, unique=unique, sqlite_where=where, postgresql_where=where)


organisation = Table(
    "organisation",
    metadata,
    _id(),
    Column("role", Word(Role), nullable=False, index=True),
    Column("name", String(200), nullable=False),
    Column("local_name", String(200)),
    Column("postal_address", String(400)),
    Column("country_code", String(2), nullable=False),
    Column("identifier", String(60), index=True),
    Column("registered_at", UtcTime, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("folded_name", Text, default=_folded_name, index=True),
)
_index("ix_organisation_local_name", organisation, "local_name")
person = Table(
    "person",
    metadata,
    _id(),
    _to("organisation_id", "organisation.id"),
    # RFC 5321, section 4.5.3.1.3: 256 octets with the brackets around it.
    Column("email", String(254), nullable=False, unique=True),
    Column("password_hash", String(200), nullable=False),
    Column("is_active", Boolean, nullable=False),
)
api_token = Table(
    "api_token",
    metadata,
    Column("digest", String(64), primary_key=True),
    _to("person_id", "person.id"),
    Column("made_at", UtcTime, nullable=False),
    Column("name", String(80), nullable=False),
    Column("scope", Word(TokenScope), nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("last_used_at", UtcTime),
)
sign_in_session = Table(
    "sign_in_session",
    metadata,
    Column("digest", String(64), primary_key=True),
    _to("person_id", "person.id"),
    Column("started_at", UtcTime, nullable=False),
    Column("last_used_at", UtcTime, nullable=False),
)
form_draft = Table(
    "form_draft",
    metadata,
    Column("person_id", String(36), ForeignKey("person.id"), primary_key=True),
    Column("form", String(40), primary_key=True),
    Column("saved_at", UtcTime, nullable=False, index=True),
    Column("typed", EncryptedMembers, nullable=False),
)
signing_key = Table(
    "signing_key",
    metadata,
    Column("thumbprint", String(64), primary_key=True),
    _to("organisation_id", "organisation.id"),
    Column("public_jwk", JSON, nullable=False),
    Column("encrypted_private", LargeBinary),
    Column("made_at", UtcTime, nullable=False),
    Column("is_active", Boolean, nullable=False),
    Column("successor", String(64)),
    Column("usable_from", UtcTime),
    Column("retired_at", UtcTime),
    Column("compromised_since", UtcTime),
)
product = Table(
    "product",
    metadata,
    _id(),
    _to("merchant_id", "organisation.id", index=False),
    Column("name", String(200), nullable=False),
    Column("local_name", String(200)),
    Column("hs_code", String(13), nullable=False),
    Column("unit_code", String(3), nullable=False),
    Column("origin_country", String(2), nullable=False),
    Column("description", Text, nullable=False),
    Column("gtin", String(14)),
    Column("added_at", UtcTime, nullable=False),
    Column("model", String(80)),
    Column("net_weight", String(24)),
    Column("gross_weight", String(24)),
    Column("consignee", JSON(none_as_null=True)),
    Column("retired_at", UtcTime),
    Column("model_key", String(60)),
    Column("gtin_key", String(14)),
    Column("version", Integer, nullable=False, server_default="1"),
)
_index("ix_product_merchant", product, "merchant_id", "added_at", "id", "retired_at")
_index("uq_product_model", product, "merchant_id", "model_key", unique=True, where=product.c.model_key.is_not(None))
_index("uq_product_gtin", product, "merchant_id", "gtin_key", unique=True, where=product.c.gtin_key.is_not(None))
hs_heading = Table(
    "hs_heading",
    metadata,
    Column("code", String(13), primary_key=True),
    Column("text", Text, nullable=False),
    Column("local_text", Text, nullable=False, server_default=""),
)
hs_word = Table(
    "hs_word",
    metadata,
    Column("word", String(40), primary_key=True),
    Column("code", String(13), ForeignKey("hs_heading.code"), primary_key=True, index=True),
)
"""Where each word of the nomenclature stands: an index of words that is the same on SQLite and on PostgreSQL."""
outbound_transaction = Table(
    "outbound_transaction",
    metadata,
    _id(),
    Column("signer", String(20), nullable=False, index=True),
    Column("nonce", BigInteger, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("transaction_hash", LargeBinary(32), nullable=False, unique=True),
    Column("made_at", UtcTime, nullable=False),
    Column("state", Word(TransactionState), nullable=False),
    Column("sent_at", UtcTime),
    Column("block", BigInteger),
    Column("block_hash", LargeBinary(32)),
    Column("block_time", UtcTime),
    Column("refusal", String(200)),
    Column("earlier_attempts", JSON, nullable=False, server_default="[]"),
    Column("raised_at", UtcTime),
    Column("trouble", String(200)),
)
# Two workers may sign at once even if both believe they hold the lease: only one of them can use a nonce.
Index(
    "uq_outbound_transaction_open_nonce",
    outbound_transaction.c.signer,
    outbound_transaction.c.nonce,
    unique=True,
    sqlite_where=outbound_transaction.c.state.in_(["signed", "sent", "mined"]),
    postgresql_where=outbound_transaction.c.state.in_(["signed", "sent", "mined"]),
)
_index("ix_outbound_transaction_block", outbound_transaction, "state", "block", "nonce")
_index("ix_outbound_transaction_made", outbound_transaction, "state", "made_at")
lease = Table(
    "lease",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("holder", String(80), nullable=False),
    Column("until", UtcTime, nullable=False),
)
batch = Table(
    "batch",
    metadata,
    _id(),
    Column("root", LargeBinary(32), nullable=False, unique=True),
    Column("origin_end", Integer, nullable=False),
    Column("inspection_end", Integer, nullable=False),
    Column("declaration_end", Integer, nullable=False),
    Column("size", Integer, nullable=False),
    Column("sealed_at", UtcTime, nullable=False),
    Column("state", Word(ProofState), nullable=False, index=True),
    _to("transaction_id", "outbound_transaction.id", nullable=True),
    Column("transaction_hash", LargeBinary(32)),
    Column("chain_id", BigInteger),
    Column("ledger_address", String(42)),
    Column("instance_id", LargeBinary(32)),
    Column("anchored_at", UtcTime),
    Column("block", BigInteger),
    Column("trouble", String(200)),
    Column("office", String(20)),
)
record = Table(
    "record",
    metadata,
    _id(),
    Column("kind", Number(Kind), nullable=False),
    Column("assurance", Word(Assurance), nullable=False),
    _to("issuer_id", "organisation.id", index=False),
    _to("holder_id", "organisation.id", index=False),
    _to("product_id", "product.id", nullable=True, index=False),
    # What the record says is encrypted and can be erased. Kind, quantity and digest stay, as proofs need them (decision
    # 0008).
    Column("signed_jwt", EncryptedText, nullable=False),
    Column("disclosures", EncryptedList, nullable=False),
    # Only searched for, so a keyed hash suffices, and an old copy tells no number.
    Column("number", Fingerprint),
    # Text: an entry's quantity has up to 128 bits, more than an SQL integer.
    Column("quantity", WholeNumber, nullable=False),
    Column("digest", String(64), nullable=False, unique=True),
    Column("issued_at", UtcTime, nullable=False),
    Column("valid_until", UtcTime),
    Column("recorded_at", UtcTime, nullable=False),
    Column("label_code", String(32), nullable=False, unique=True),
    Column("supersedes_id", String(36)),
    Column("superseded_by_id", String(36)),
    Column("status", Integer, nullable=False),
    Column("status_reason", EncryptedText),
    _to("batch_id", "batch.id", nullable=True, index=False),
    Column("leaf_index", Integer),
    Column("path", LargeBinary, nullable=False),
    Column("quarantined", String(200)),
    Column("erased_at", UtcTime),
    Column("version", Integer, nullable=False, server_default="1"),
    # A place on the ledger has one status, so it belongs to one record.
    UniqueConstraint("batch_id", "leaf_index"),
)
unsealed = record.c.batch_id.is_(None) & record.c.quarantined.is_(None)
"""Records that wait for their batch.

Its index, like those of other pending rows, begins with a column that is NULL in all of them. Otherwise SQLite would
prefer another index over that column, and read all rows in which it is NULL.
"""
# As text, not as a value: neither database takes an index over some rows where a parameter says which are asked for.
issued = record.c.assurance == literal_column("'issued'")
"""Records that their issuer stands for, unlike a merchant's statements: only their numbers are used once."""
_index("uq_record_number", record, "issuer_id", "kind", "number", where=issued, unique=True)
_index("uq_record_successor", record, "supersedes_id", where=record.c.supersedes_id.is_not(None), unique=True)
_index("ix_record_issued", record, "issuer_id", "kind", "recorded_at", "id", "superseded_by_id", "status")
_index("ix_record_held", record, "holder_id", "kind", "recorded_at", "id", "superseded_by_id", "status")
_index("ix_record_product", record, "product_id", "recorded_at")
certified = issued & record.c.product_id.is_not(None) & record.c.superseded_by_id.is_(None)
"""What issuers stand for about a product now."""
_index("ix_record_certified", record, "product_id", "kind", "recorded_at", where=certified)
_index("ix_record_batch", record, "batch_id", "recorded_at", where=record.c.batch_id.is_not(None))
_index("ix_record_unsealed", record, "batch_id", "recorded_at", "issuer_id", where=unsealed)
_index("ix_record_quarantined", record, "id", where=record.c.quarantined.is_not(None))
search_word = Table(
    "search_word",
    metadata,
    Column("mark", String(20), primary_key=True),
    Column("recorded_at", UtcTime, primary_key=True),
    Column("record_id", String(36), ForeignKey("record.id"), primary_key=True, index=True),
    sqlite_with_rowid=False,
)
"""Which records have a word. What records say is encrypted, so only a keyed hash stands here, of the word together with
its holder and whether it is a declaration's: two holders' rows do not tell that they have a word in common.
"""
stored_file = Table(
    "stored_file",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("owner_id", String(36), ForeignKey("organisation.id"), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("media_type", String(80), nullable=False),
    Column("stored_at", UtcTime, nullable=False),
    Column("key_number", BigInteger),
)
_index("ix_stored_file_unnumbered", stored_file, "sha256", where=stored_file.c.key_number.is_(None))
request = Table(
    "request",
    metadata,
    _id(),
    _to("statement_id", "record.id", nullable=True),
    _to("issuer_id", "organisation.id", index=False),
    _to("merchant_id", "organisation.id", index=False),
    Column("made_at", UtcTime, nullable=False),
    Column("state", Word(RequestState), nullable=False),
    Column("answered_at", UtcTime),
    Column("reason", EncryptedText),
    _to("confirmed_id", "record.id", nullable=True),
    Column("content", Fingerprint),
    Column("first_id", String(36)),
    Column("corrects_id", String(36)),
    Column("order_fields", EncryptedMembers),
    Column("order_kind", Number(Kind)),
    _to("product_id", "product.id", nullable=True, index=False),
    Column("last_author_id", String(36)),
    Column("version", Integer, nullable=False, server_default="1"),
)
_index("ix_request_issuer", request, "issuer_id", "state", "made_at", "id")
_index("ix_request_merchant", request, "merchant_id", "state", "made_at", "id")
_index("ix_request_content", request, "merchant_id", "content")
_index("ix_request_order", request, "merchant_id", "order_kind", where=request.c.order_kind.is_not(None))
request_message = Table(
    "request_message",
    metadata,
    _id(),
    Column("thread_id", String(36), ForeignKey("request.id"), nullable=False),
    _to("author_id", "organisation.id", index=False),
    Column("said_at", UtcTime, nullable=False),
    Column("text", EncryptedText, nullable=False),
    Column("doubtful", JSON(none_as_null=True)),
)
_index("ix_request_message_thread", request_message, "thread_id", "said_at", "id")
customs_office = Table(
    "customs_office",
    metadata,
    Column("code", String(60), primary_key=True),
    Column("organisation_id", String(36), ForeignKey("organisation.id"), primary_key=True, index=True),
    Column("registered_at", UtcTime, nullable=False),
)
office_delegation = Table(
    "office_delegation",
    metadata,
    _id(),
    Column("code", String(60), nullable=False, index=True),
    _to("organisation_id", "organisation.id"),
    Column("until", UtcTime, nullable=False),
    Column("made_at", UtcTime, nullable=False),
    _to("made_by", "person.id", index=False),
    Column("ended_at", UtcTime),
)
consignment = Table(
    "consignment",
    metadata,
    Column("id", String(36), ForeignKey("record.id"), primary_key=True),
    _to("merchant_id", "organisation.id", index=False),
    Column("reference", String(60), nullable=False),
    Column("customs_office", String(60), nullable=False),
    Column("lodged_at", UtcTime, nullable=False),
    Column("status", Number(DeclarationStatus), nullable=False),
    Column("arrived_at", UtcTime),
    Column("released_at", UtcTime),
    Column("alerted_at", UtcTime),
    Column("version", Integer, nullable=False, server_default="1"),
    # A declaration that is lodged twice at the same moment is accepted once.
    UniqueConstraint("merchant_id", "reference"),
)
_index("ix_consignment_lodged", consignment, "lodged_at", "id")
_index("ix_consignment_status", consignment, "status", "lodged_at", "id")
_index("ix_consignment_merchant", consignment, "merchant_id", "lodged_at", "id")
_index("ix_consignment_merchant_status", consignment, "merchant_id", "status", "lodged_at", "id")
_index("ix_consignment_released", consignment, "released_at", where=consignment.c.released_at.is_not(None))
_index(
    "ix_consignment_merchant_released",
    consignment,
    "merchant_id",
    "released_at",
    where=consignment.c.released_at.is_not(None),
)
_index("ix_consignment_office", consignment, "customs_office", "lodged_at", "id")
_index("ix_consignment_office_status", consignment, "customs_office", "status", "lodged_at", "id")
_index(
    "ix_consignment_office_released",
    consignment,
    "customs_office",
    "released_at",
    where=consignment.c.released_at.is_not(None),
)
alerted = consignment.c.alerted_at.is_not(None)
_index("ix_consignment_alerts", consignment, "customs_office", "alerted_at", where=alerted)
_index("ix_consignment_merchant_alerts", consignment, "merchant_id", "alerted_at", where=alerted)
paper = Table(
    "paper",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    _to("consignment_id", "consignment.id", index=False),
    _to("record_id", "record.id", index=False),
    # A row of which no end is known is kept for good.
    Column("kept_until", UtcTime, nullable=False, server_default="9999-12-31 00:00:00"),
    UniqueConstraint("consignment_id", "record_id"),
)
_index("ix_paper_record", paper, "record_id", "number")
_index("ix_paper_kept", paper, "record_id", "kept_until")
planned_drawdown = Table(
    "planned_drawdown",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    _to("consignment_id", "consignment.id"),
    _to("certificate_id", "record.id"),
    Column("heading", String(6), nullable=False),
    Column("unit_code", String(3), nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("is_shared", Boolean, nullable=False),
)
event = Table(
    "event",
    metadata,
    _id(),
    _to("consignment_id", "consignment.id"),
    Column("step", Word(Step), nullable=False),
    Column("occurred_at", UtcTime, nullable=False),
    Column("recorded_at", UtcTime, nullable=False, index=True),
    _to("organisation_id", "organisation.id", nullable=True),
    Column("note", Text),
    Column("version", Integer),
    _to("record_id", "record.id", nullable=True),
    _to("person_id", "person.id", nullable=True, index=False),
)
decision = Table(
    "decision",
    metadata,
    _id(),
    _to("consignment_id", "consignment.id"),
    Column("decision", Word(Decision), nullable=False),
    # Not encrypted, so that no erasure takes it along: what customs decided stays (docs/trust.md).
    Column("reason", Text, nullable=False),
    _to("officer_id", "person.id"),
    _to("office_id", "organisation.id"),
    Column("decided_at", UtcTime, nullable=False),
    Column("verdict", JSON, nullable=False),
    Column("undone", String(200)),
    Column("version", Integer),
    _to("change_id", "status_change.id", nullable=True),
)
activation = Table(
    "activation",
    metadata,
    Column("certificate_id", String(36), ForeignKey("record.id"), primary_key=True),
    Column("asked_at", UtcTime, nullable=False),
    _to("transaction_id", "outbound_transaction.id", nullable=True),
    Column("refusal", String(200)),
    Column("is_known", Boolean, nullable=False),
)
activation_pending = (
    activation.c.transaction_id.is_(None) & activation.c.refusal.is_(None) & activation.c.is_known.is_(False)
)
"""Activations that were not sent yet."""
_index("ix_activation_pending", activation, "transaction_id", "asked_at", where=activation_pending)
drawdown = Table(
    "drawdown",
    metadata,
    _id(),
    _to("certificate_id", "record.id"),
    _to("original_id", "record.id"),
    _to("declaration_id", "consignment.id"),
    Column("quantity", BigInteger, nullable=False),
    Column("asked_at", UtcTime, nullable=False),
    _to("transaction_id", "outbound_transaction.id", nullable=True),
    Column("set_root", LargeBinary(32)),
    Column("position", Integer),
    Column("made_at", UtcTime),
    Column("refusal", String(200)),
    Column("refund_asked_at", UtcTime),
    _to("refund_transaction_id", "outbound_transaction.id", nullable=True),
    Column("refunded_at", UtcTime),
)
drawdown_pending = drawdown.c.set_root.is_(None) & drawdown.c.refusal.is_(None)
"""Drawdowns that were not sent yet."""
to_refund = (
    drawdown.c.refund_asked_at.is_not(None)
    & drawdown.c.refund_transaction_id.is_(None)
    & drawdown.c.refunded_at.is_(None)
)
"""Drawdowns that are to be refunded and have no transaction for it yet."""
standing = drawdown.c.refusal.is_(None) & drawdown.c.refunded_at.is_(None)
_index("uq_drawdown_standing", drawdown, "declaration_id", "certificate_id", where=standing, unique=True)
_index("ix_drawdown_set_root", drawdown, "set_root", where=drawdown.c.set_root.is_not(None))
_index("ix_drawdown_pending", drawdown, "set_root", "asked_at", "declaration_id", "id", where=drawdown_pending)
_index("ix_drawdown_to_refund", drawdown, "refund_transaction_id", "asked_at", "id", where=to_refund)
status_change = Table(
    "status_change",
    metadata,
    _id(),
    _to("record_id", "record.id"),
    Column("new_status", Integer, nullable=False),
    Column("signer", String(20), nullable=False),
    Column("reason", EncryptedText, nullable=False),
    Column("reason_salt", EncryptedBytes, nullable=False),
    Column("asked_at", UtcTime, nullable=False),
    _to("transaction_id", "outbound_transaction.id", nullable=True),
    Column("settled", String(200)),
)
change_pending = status_change.c.transaction_id.is_(None) & status_change.c.settled.is_(None)
"""Status changes that were not sent yet."""
_index("ix_status_change_pending", status_change, "transaction_id", "signer", "asked_at", where=change_pending)
revocation_notice = Table(
    "revocation_notice",
    metadata,
    _id(),
    Column("asked_at", UtcTime, nullable=False),
    Column("record_id", String(36), ForeignKey("record.id"), unique=True),
    Column("batch_key", LargeBinary(32)),
    Column("leaf_index", Integer),
    Column("entry", LargeBinary(64)),
    Column("path", LargeBinary),
    _to("transaction_id", "outbound_transaction.id", nullable=True),
    Column("settled", String(200)),
    UniqueConstraint("batch_key", "leaf_index"),
)
notice_pending = revocation_notice.c.transaction_id.is_(None) & revocation_notice.c.settled.is_(None)
"""Revocations that were not published yet."""
_index("ix_revocation_notice_pending", revocation_notice, "transaction_id", "asked_at", where=notice_pending)
ledger_request = Table(
    "ledger_request",
    metadata,
    _id(),
    Column("operation", String(20), nullable=False),
    Column("terms", JSON, nullable=False),
    Column("asked_at", UtcTime, nullable=False),
    _to("transaction_id", "outbound_transaction.id", nullable=True),
    Column("settled", String(200)),
)
request_pending = ledger_request.c.transaction_id.is_(None) & ledger_request.c.settled.is_(None)
"""Calls that operators asked for and that were not sent yet."""
_index("ix_ledger_request_pending", ledger_request, "transaction_id", "asked_at", where=request_pending)
# In words of SQL and not by parameters: SQLite takes a partial index only where a statement repeats its condition.
request_asked: ColumnElement[bool] = literal_column("operation NOT IN ('fund', 'announce', 'withdraw')")
"""Calls that somebody asked for, without those that only go along with them."""
_index("ix_ledger_request_asked", ledger_request, "asked_at", "id", where=request_asked)
accreditation_change = Table(
    "accreditation_change",
    metadata,
    _id(),
    Column("thumbprint", String(64), nullable=False, index=True),
    Column("operation", String(20), nullable=False),
    Column("terms", JSON, nullable=False),
    Column("asked_at", UtcTime, nullable=False),
    Column("asked_by", String(36), nullable=False),
    _to("transaction_id", "outbound_transaction.id", nullable=True),
    _to("announcement_id", "outbound_transaction.id", nullable=True),
    Column("due_at", UtcTime),
    Column("cancel_asked_at", UtcTime),
    _to("cancellation_id", "outbound_transaction.id", nullable=True),
    Column("ended", String(200)),
)
idempotency_record = Table(
    "idempotency_record",
    metadata,
    Column("person_id", String(36), ForeignKey("person.id"), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("request_digest", String(64), nullable=False),
    Column("resource_id", String(36), nullable=False, index=True),
    Column("answered_at", UtcTime, nullable=False, index=True),
    Column("response", EncryptedMembers),  # among what organisations are told are passwords and tokens
)
simulation = Table(
    "simulation",
    metadata,
    _id(),
    _to("organisation_id", "organisation.id"),
    _to("ordered_by", "person.id", index=False),
    Column("ordered_at", UtcTime, nullable=False, index=True),
    Column("scenario", String(120), nullable=False),
    Column("title", JSON, nullable=False),
    Column("settings", JSON, nullable=False),
    Column("replications", Integer, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("text", Text),
    Column("state", Word(SimulationState), nullable=False, index=True),
    Column("started_at", UtcTime),
    Column("ended_at", UtcTime),
    Column("seen_at", UtcTime),
    Column("done", Integer, nullable=False),
    Column("total", Integer, nullable=False),
    Column("faults", JSON, nullable=False),
    Column("result", JSON),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("files_due", UtcTime, index=True),
    Column("files_attempts", Integer, nullable=False, server_default="0"),
)
signing_request = Table(
    "signing_request",
    metadata,
    _id(),
    _to("person_id", "person.id"),
    Column("thumbprint", String(64), nullable=False),
    Column("act", String(40), nullable=False),
    Column("arguments", EncryptedMembers, nullable=False),
    Column("moment", UtcTime, nullable=False, index=True),
    Column("seed", LargeBinary(32), nullable=False),
    Column("text_digest", String(64), nullable=False),
)
key_to_destroy = Table(
    "key_to_destroy",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
)
key_state = Table(
    "key_state",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("mark", String(60), nullable=False),
    Column("made", BigInteger, nullable=False),
    Column("destroyed", BigInteger, nullable=False),
)
