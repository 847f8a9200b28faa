"""Products, records with their status changes, attachments, retention, and merchants' requests to issuers."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    String,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    tuple_,
    union_all,
    update,
)

from backend.domain import finding
from backend.domain.consignment import Event, Step
from backend.domain.errors import LaterChange, Message, NotFound
from backend.domain.kinds import CERTIFIED, ISSUERS, Kind
from backend.domain.ledger import DeclarationStatus, DocumentStatus
from backend.domain.outbox import OFFICE, OPEN_STATES, UNMINED_STATES, IdempotencyRecord, OutboundTransaction
from backend.domain.parties import Organisation
from backend.domain.records import (
    ConfirmationRequest,
    Product,
    ProofState,
    RecordOnFile,
    RequestMessage,
    RequestState,
    SealedBatch,
    StatusChange,
    StoredFile,
    plain_number,
)
from backend.store import tables as t
from backend.store.database import AT_ONCE, Repository, in_portions
from backend.store.encryption import keys_of


def _in_time(moment: Any, record_id: Any, oldest_first: bool) -> tuple[Any, Any]:
    return (moment, record_id) if oldest_first else (moment.desc(), record_id.desc())


_OWNER, _MOST = bindparam("owner", type_=String), bindparam("most", type_=Integer)


def _of(is_signed: bool, kind: Kind, is_current: bool) -> Select[Any]:
    """Select what the owner signed or holds of one kind: an index keeps its order, and that of no two together."""
    c = t.record.c
    query = select(c.id, c.recorded_at).where((c.issuer_id if is_signed else c.holder_id) == _OWNER, c.kind == kind)
    return query.where(c.superseded_by_id.is_(None)) if is_current else query


@cache
def _page_of(
    is_signed: bool, kinds: tuple[Kind, ...], current: bool, in_force: bool, oldest_first: bool, is_begun: bool
) -> Select[Any]:
    """Return the statement of ``RecordRepository.of``, built once for each form, since that takes longer than it."""
    c, here = t.record.c, tuple_(t.record.c.recorded_at, t.record.c.id)
    last = tuple_(bindparam("moment", type_=t.UtcTime()), bindparam("last", type_=String))

    def newest(kind: Kind) -> Select[Any]:
        query = _of(is_signed, kind, current or in_force)
        if in_force:
            query = query.where(c.status == int(DocumentStatus.ACTIVE))
        if is_begun:
            query = query.where(here > last if oldest_first else here < last)
        # No more than a page is read of any kind.
        one = query.order_by(*_in_time(c.recorded_at, c.id, oldest_first)).limit(_MOST).subquery()
        return select(one.c.id, one.c.recorded_at)

    page = union_all(*map(newest, kinds)).subquery()
    return select(page.c.id).order_by(*_in_time(page.c.recorded_at, page.c.id, oldest_first)).limit(_MOST)


@cache
def _count_of(is_signed: bool, kinds: tuple[Kind, ...], is_current: bool) -> Select[Any]:
    """Return the statement of ``RecordRepository.count``: a column for each kind, as an index holds them."""
    each = (_of(is_signed, kind, is_current).limit(_MOST).subquery() for kind in kinds)
    return select(*(select(func.count()).select_from(one).scalar_subquery() for one in each))


class ProductRepository(Repository):
    """Merchants' products."""

    def get(self, product_id: str, merchant: Organisation) -> Product:
        """Return the merchant's product with this id. Raise NotFound also for another merchant's."""
        product = self._get(Product, product_id, Message("no such product"))
        # The same error as for an unknown id, so that ids of other merchants cannot be tested.
        if product.merchant.id != merchant.id:
            raise NotFound("no such product", id=product_id)
        return product

    def next_version(self, product: Product, read: int | None = None) -> None:
        """Begin a change that rests on this version; raises StaleVersion where it has moved on since."""
        self._next_version(t.product, product, read, lambda version: [])

    def with_gtin(self, merchant: Organisation, gtin: str) -> Product | None:
        """Return the merchant's product in use that has this bar code."""
        c = t.product.c
        return self._one(select(Product).where(c.merchant_id == merchant.id, c.gtin_key == gtin.zfill(14)), Product)

    def twin_of(self, product: Product) -> tuple[str, Product] | None:
        """Return another product in use of the same merchant with the same model or bar code, and the field shared."""
        for field, key in (("model", "model_key"), ("gtin", "gtin_key")):
            value = getattr(product, key)
            if value is None:
                continue
            c = t.product.c
            query = select(Product).where(c.merchant_id == product.merchant.id, c[key] == value, c.id != product.id)
            found = self._one(query, Product)
            if found is not None:
                return field, found
        return None

    def of(
        self, merchant: Organisation, limit: int = 50, after: str | None = None, in_use: bool = False
    ) -> Sequence[Product]:
        """Return the merchant's products, newest first; ``after`` is the last id of the previous page.

        Raises:
            NotFound: if ``after`` is not a product of this merchant.
        """
        c = t.product.c
        query = select(Product).where(c.merchant_id == merchant.id)
        if in_use:
            query = query.where(c.retired_at.is_(None))
        if after is not None:
            last = self.get(after, merchant)
            query = query.where(
                tuple_(c.added_at, c.id) < tuple_(literal(last.added_at, t.UtcTime()), literal(last.id))
            )
        return self._all(query.order_by(c.added_at.desc(), c.id.desc()).limit(limit))

    def has_any(self, merchant: Organisation) -> bool:
        """Tell whether the merchant has a product."""
        query = select(t.product.c.id).where(t.product.c.merchant_id == merchant.id)
        return self._session.execute(query.limit(1)).first() is not None


class NomenclatureRepository(Repository):
    """What HS codes cover, with an index of the words of their texts. Rows are (code, text, text in Chinese)."""

    _ROW = t.hs_heading.c.code, t.hs_heading.c.text, t.hs_heading.c.local_text
    _FEWEST_DIGITS = 6
    _MOST_CANDIDATES = 500

    def has_any(self) -> bool:
        """Tell whether there is any entry."""
        return self._session.execute(select(t.hs_heading.c.code).limit(1)).first() is not None

    def all(self) -> list[tuple[str, str, str]]:
        """Return every entry."""
        return [tuple(row) for row in self._session.execute(select(*self._ROW))]

    def put(self, rows: Collection[tuple[str, str, str, Collection[str]]]) -> None:
        """Store entries with the words of their texts, in place of those of the same codes."""
        codes = [code for code, *_ in rows]
        for portion in in_portions(codes):
            self._session.execute(delete(t.hs_word).where(t.hs_word.c.code.in_(portion)))
            self._session.execute(delete(t.hs_heading).where(t.hs_heading.c.code.in_(portion)))
        if rows:
            headings = [{"code": code, "text": text, "local_text": local} for code, text, local, _ in rows]
            self._session.execute(insert(t.hs_heading), headings)
            words = [{"word": word, "code": code} for code, _, _, found in rows for word in sorted(found)]
            self._session.execute(insert(t.hs_word), words)

    def beginning_with(self, digits: str, limit: int) -> list[tuple[str, str, str]]:
        """Return entries of six digits or more whose codes begin with these digits, in their order."""
        c = t.hs_heading.c
        within = c.code >= digits, c.code <= digits.ljust(13, "9")
        query = select(*self._ROW).where(*within, func.length(c.code) >= self._FEWEST_DIGITS)
        return [tuple(row) for row in self._session.execute(query.order_by(c.code).limit(limit))]

    def with_words(self, words: Collection[str], begun: str | None) -> list[tuple[str, str, str]]:
        """Return entries of six digits or more that hold all these words; of ``begun`` its beginning is enough."""
        w = t.hs_word.c
        each = [w.word == word for word in words if begun is None or not begun.startswith(word)]
        if begun is not None:
            # Up to z and z again, since databases differ in what they sort behind it.
            each.append((w.word >= begun) & (w.word <= begun.ljust(40, "z")))
            each[-1] = or_(each[-1], w.word.in_([word for word in words if begun.startswith(word)]))
        found = [select(w.code).where(condition) for condition in each]
        c = t.hs_heading.c
        query = select(*self._ROW).where(func.length(c.code) >= self._FEWEST_DIGITS)
        for codes in found:
            query = query.where(c.code.in_(codes))
        return [tuple(row) for row in self._session.execute(query.limit(self._MOST_CANDIDATES))]


class RecordRepository(Repository):
    """Signed records."""

    def get(self, record_id: str) -> RecordOnFile:
        """Return the record with this id, or raise NotFound."""
        return self._get(RecordOnFile, record_id, Message("no such record"))

    def next_version(self, on_file: RecordOnFile, read: int | None = None) -> None:
        """Begin a change that rests on this version; raises StaleVersion where it has moved on since."""
        self._next_version(t.record, on_file, read, lambda version: self._changes_since(on_file, version))

    def _changes_since(self, on_file: RecordOnFile, version: int) -> list[LaterChange]:
        query = select(StatusChange).where(t.status_change.c.record_id == on_file.id)
        replaced_by = self.get(on_file.superseded_by_id).issuer if on_file.superseded_by_id else on_file.issuer
        changes = [
            LaterChange(
                on_file.status_name(change.new_status),
                change.asked_at,
                (replaced_by if change.new_status == DocumentStatus.SUPERSEDED else on_file.issuer).name,
                None,
                change.reason,
            )
            for change in self._all(query)
        ]
        e, steps = t.event.c, (Step.ERASURE_REQUESTED, Step.ERASURE_AGREED)
        noted = select(Event).where(e.record_id == on_file.id, e.step.in_(steps))
        # One act leaves an event with each declaration that relies on the record.
        acts = {(event.step, event.recorded_at): event for event in self._all(noted)}
        changes += [
            LaterChange(
                event.step.value,
                event.recorded_at,
                event.organisation and event.organisation.name,
                event.person_id,
                event.note,
            )
            for event in acts.values()
        ]
        if on_file.erased_at is not None:
            changes.append(LaterChange("ERASED", on_file.erased_at, on_file.holder.name))
        # Every change counts one version, so the last so many are those since.
        return sorted(changes, key=lambda change: change.at)[-max(on_file.version - version, 1) :]

    def original_of(self, on_file: RecordOnFile) -> RecordOnFile:
        """Return the first version of a record, by following what each version replaced."""
        # A cycle, which only an altered database can hold, must not stop the server; the same in ``latest_of``.
        seen = {on_file.id}
        while on_file.supersedes_id is not None and on_file.supersedes_id not in seen:
            on_file = self.get(on_file.supersedes_id)
            seen.add(on_file.id)
        return on_file

    def latest_of(self, on_file: RecordOnFile) -> RecordOnFile:
        """Return the newest version of a record, by following what replaced each version."""
        seen = {on_file.id}
        while on_file.superseded_by_id is not None and on_file.superseded_by_id not in seen:
            on_file = self.get(on_file.superseded_by_id)
            seen.add(on_file.id)
        return on_file

    def line_of(self, on_file: RecordOnFile) -> list[RecordOnFile]:
        """Return all versions of a record, the newest first."""
        line = [self.latest_of(on_file)]
        while line[-1].supersedes_id is not None and line[-1].supersedes_id not in {one.id for one in line}:
            line.append(self.get(line[-1].supersedes_id))
        return line

    def readable_of(self, organisation: Organisation) -> Iterator[RecordOnFile]:
        """Yield all records that the organisation holds or signed and that were not erased, read in portions."""
        mine = or_(t.record.c.holder_id == organisation.id, t.record.c.issuer_id == organisation.id)
        query = select(RecordOnFile).where(mine, t.record.c.erased_at.is_(None)).order_by(t.record.c.id)
        return iter(self._session.scalars(query.execution_options(yield_per=500)))

    def find_by_digest(self, digest: str) -> RecordOnFile | None:
        """Return the record whose signed text has this SHA-256 (hex), or None."""
        return self._one(select(RecordOnFile).where(t.record.c.digest == digest), RecordOnFile)

    def find_by_label(self, label_code: str) -> RecordOnFile | None:
        """Return the record of this label code, or None."""
        return self._one(select(RecordOnFile).where(t.record.c.label_code == label_code), RecordOnFile)

    def of(
        self,
        organisation: Organisation,
        kinds: Sequence[Kind] = tuple(Kind),
        limit: int = 500,
        after: str | None = None,
        current: bool = False,
        in_force: bool = False,
        oldest_first: bool = False,
    ) -> Sequence[RecordOnFile]:
        """Return what a merchant holds or an issuer signed, newest first unless ``oldest_first``.

        ``after`` is the last id of the previous page. ``current`` leaves out replaced records, ``in_force`` also
        suspended and revoked ones.

        Raises:
            NotFound: if ``after`` is not a record of this organisation.
        """
        moment, last = (None, None) if after is None else self.place_of(organisation, after)
        is_signed = organisation.role in ISSUERS
        ids = _page_of(is_signed, tuple(kinds), current, in_force, oldest_first, after is not None)
        given = {"owner": organisation.id, "most": limit, "moment": moment, "last": last}
        return self.in_order(self._session.scalars(ids, given).all())

    def count(self, organisation: Organisation, kinds: Sequence[Kind], most: int, current: bool = False) -> int:
        """Count what a merchant holds or an issuer signed, up to ``most``."""
        counts = _count_of(organisation.role in ISSUERS, tuple(kinds), current)
        return min(sum(self._session.execute(counts, {"owner": organisation.id, "most": most}).one()), most)

    def place_of(self, organisation: Organisation, record_id: str) -> tuple[datetime, str]:
        """Return where a record of the organisation's stands in its lists; raises NotFound for anybody else's."""
        last = self.get(record_id)
        if organisation.id not in (last.holder.id, last.issuer.id):
            raise NotFound("no such record", id=record_id)
        return last.recorded_at, last.id

    def in_order(self, ids: Sequence[str]) -> Sequence[RecordOnFile]:
        """Return the records of these ids, in the order of the ids."""
        found = {one.id: one for one in self._all(select(RecordOnFile).where(t.record.c.id.in_(ids)))}
        return [found[one] for one in ids]

    def has_any(self, holder: Organisation) -> bool:
        """Tell whether a merchant holds a record of any kind."""
        query = select(t.record.c.id).where(t.record.c.holder_id == holder.id)
        return self._session.execute(query.limit(1)).first() is not None

    def about(self, product: Product, limit: int, after: str | None = None) -> Sequence[RecordOnFile]:
        """Return the records about a product that nothing replaced, newest first.

        ``after`` is the last id of the previous page.

        Raises:
            NotFound: if ``after`` is not a record about this product.
        """
        found: list[RecordOnFile] = []
        page = self._about(product, limit, after)
        # The index does not know what was replaced: replaced ones are passed over until the page is full.
        while page and len(found) < limit:
            found += [one for one in page if one.superseded_by_id is None]
            page = self._about(product, limit, page[-1].id) if len(page) == limit else ()
        return found[:limit]

    def certified_about(self, product: Product) -> Sequence[RecordOnFile]:
        """Return what issuers stand for about a product: of each kind that they certify the newest, if any."""
        c = t.record.c
        newest = (
            select(RecordOnFile)
            .where(c.product_id == product.id, c.kind == kind, t.certified)
            .order_by(c.recorded_at.desc(), c.id.desc())
            .limit(1)
            for kind in CERTIFIED
        )
        return [found for query in newest if (found := self._one(query, RecordOnFile)) is not None]

    def _about(self, product: Product, limit: int, after: str | None) -> Sequence[RecordOnFile]:
        c = t.record.c
        query = select(RecordOnFile).where(c.product_id == product.id)
        if after is not None:
            last = self.get(after)
            if last.product is None or last.product.id != product.id:
                raise NotFound("no such record", id=after)
            query = query.where(
                tuple_(c.recorded_at, c.id) < tuple_(literal(last.recorded_at, t.UtcTime()), literal(last.id))
            )
        return self._all(query.order_by(c.recorded_at.desc(), c.id.desc()).limit(limit))

    def signed_by(self, issuer: Organisation, since: datetime) -> Sequence[RecordOnFile]:
        """Return the records that an organisation signed and that were stored since a time, oldest first."""
        c = t.record.c
        # Every kind by name: the index holds an issuer's records kind by kind, each in the order of time.
        query = select(RecordOnFile).where(c.issuer_id == issuer.id, c.kind.in_(tuple(Kind)), c.recorded_at >= since)
        return self._all(query.order_by(c.recorded_at))

    def count_signed_by(self, issuer: Organisation, most: int) -> int:
        """Count the records that an organisation signed, up to ``most``."""
        return self._count(select(t.record.c.id).where(t.record.c.issuer_id == issuer.id), most)

    def number_is_taken(self, issuer: Organisation, kind: Kind, number: str) -> bool:
        """Tell whether the issuer has issued this number before, regardless of spacing and case."""
        query = select(t.record.c.id).where(
            t.issued,
            t.record.c.issuer_id == issuer.id,
            t.record.c.kind == kind,
            t.record.c.number == plain_number(number),
        )
        return self._session.execute(query.limit(1)).first() is not None

    def numbers_taken(self, issuer_id: str, kind: Kind, numbers: Collection[str]) -> set[str]:
        """Return those of these numbers, in plain form, that the issuer has issued before."""
        # Only their marks are stored, from which no number can be read.
        marks = {keys_of(self._session.get_bind().dialect).mark(number): number for number in numbers}
        query = select(t.record.c.number).where(
            t.issued, t.record.c.issuer_id == issuer_id, t.record.c.kind == kind, t.record.c.number.in_(numbers)
        )
        return {marks[mark] for mark in self._session.scalars(query)}

    def erased_among(self, record_ids: Collection[str]) -> set[str]:
        """Return the ids of those of these records whose content was erased."""
        query = select(t.record.c.id).where(t.record.c.id.in_(record_ids), t.record.c.erased_at.is_not(None))
        return set(self._session.scalars(query))


class SearchRepository(Repository):
    """The words by which holders find their records (``domain/finding.py``)."""

    LOOKED_AT = 5_000
    """How many of the newest records with the rarest word are looked at: the bound of a question of common words."""

    def marks_of(self, record: RecordOnFile) -> list[str]:
        """Return the marks of a record, one for each word; and an empty one: that the record was entered."""
        holder_id, is_declaration = record.holder.id, record.kind is Kind.DECLARATION
        marks = {self._mark(holder_id, is_declaration, word) for word in finding.words_of_record(record)}
        return sorted(marks | {""})

    def _mark(self, holder_id: str, is_declaration: bool, word: str) -> str:
        kind = "declaration" if is_declaration else "paper"
        return keys_of(self._session.get_bind().dialect).mark(f"{holder_id} {kind} {word}")[:20]

    def enter(self, records: Sequence[RecordOnFile]) -> None:
        """Make records found by their words."""
        rows = [
            {"mark": mark, "recorded_at": record.recorded_at, "record_id": record.id}
            for record in records
            for mark in self.marks_of(record)
        ]
        if rows:
            self._session.connection().execute(insert(t.search_word), rows)

    def missing(self, beyond: str, limit: int) -> Sequence[RecordOnFile]:
        """Return records that were not erased and are not found yet, of ids after ``beyond``, by id."""
        r = t.record.c
        entered = exists().where(t.search_word.c.record_id == r.id)
        query = select(RecordOnFile).where(r.id > beyond, r.erased_at.is_(None), ~entered)
        return self._all(query.order_by(r.id).limit(limit))

    def forget(self, record_id: str) -> None:
        """Let nobody find a record any more, by words that it does not hold now."""
        self._session.execute(delete(t.search_word).where(t.search_word.c.record_id == record_id))

    def find(
        self,
        holder: Organisation,
        is_declaration: bool,
        words: Sequence[str],
        limit: int,
        beyond: tuple[datetime, str] | None = None,
        oldest_first: bool = False,
        kinds: Sequence[Kind] = (),
        statuses: Sequence[int] = (),
    ) -> list[str]:
        """Return ids of records that have all these words, newest first; ``beyond`` is where the last page ended."""
        marks = self._rarest_first([self._mark(holder.id, is_declaration, word) for word in words])
        w = t.search_word.c
        order = _in_time(w.recorded_at, w.record_id, oldest_first)
        found: list[str] = []
        for _portion in range(self.LOOKED_AT // AT_ONCE):
            query = select(w.recorded_at, w.record_id).where(w.mark == marks[0]).order_by(*order).limit(AT_ONCE)
            if beyond is not None:
                here = tuple_(w.recorded_at, w.record_id)
                there = tuple_(literal(beyond[0], t.UtcTime()), literal(beyond[1]))
                query = query.where(here > there if oldest_first else here < there)
            rows = self._session.execute(query).all()
            ids = [row.record_id for row in rows]
            fitting = self._fitting(ids, is_declaration, marks[1:], kinds, statuses)
            found += [one for one in ids if one in fitting]
            if len(found) >= limit or len(rows) < AT_ONCE:
                break
            beyond = rows[-1].recorded_at, rows[-1].record_id
        return found[:limit]

    def _fitting(
        self,
        ids: Sequence[str],
        is_declaration: bool,
        marks: Sequence[str],
        kinds: Sequence[Kind],
        statuses: Sequence[int],
    ) -> set[str]:
        """Return those of these records that have the other words, and are of these kinds and statuses."""
        r = t.record.c
        query = select(r.id).where(r.id.in_(ids))
        if not is_declaration:
            query = query.where(r.superseded_by_id.is_(None))
        if kinds:
            query = query.where(r.kind.in_(kinds))
        if statuses:
            query = query.where(r.status.in_(statuses))
        for mark in marks:
            o = t.search_word.alias().c
            query = query.where(exists().where(o.mark == mark, o.recorded_at == r.recorded_at, o.record_id == r.id))
        return set(self._session.scalars(query))

    def _rarest_first(self, marks: list[str]) -> list[str]:
        return sorted(marks, key=self._frequency) if len(marks) > 1 else marks

    def _frequency(self, mark: str) -> int:
        return self._count(select(t.search_word.c.record_id).where(t.search_word.c.mark == mark), 2_000)


class IdempotencyRepository(Repository):
    """Requests that were answered under an idempotency key."""

    def delete_for(self, resource_id: str) -> None:
        """Forget which requests led to a thing, and what they were told."""
        self._delete(select(IdempotencyRecord).where(t.idempotency_record.c.resource_id == resource_id))

    def delete_before(self, moment: datetime, most: int) -> None:
        """Forget the oldest answers, as far as they were given before a moment, and at most so many at once."""
        given = t.idempotency_record.c.answered_at
        self._delete(select(IdempotencyRecord).where(given < moment).order_by(given).limit(most))

    def delete(self, record: IdempotencyRecord) -> None:
        """Forget one answer; its key may be used again in the same unit of work."""
        self._session.delete(record)
        self._session.flush()

    def _delete(self, query: Select[Any]) -> None:
        """Forget these one by one: the keys of what is encrypted are destroyed only with objects of the session."""
        for record in self._all(query):
            self._session.delete(record)
        self._session.flush()

    def find(self, person_id: str, key: str) -> IdempotencyRecord | None:
        """Return the record of this person's request with this idempotency key, or None."""
        return self._session.get(IdempotencyRecord, (person_id, key))


class FileRepository(Repository):
    """The attachments that are stored, and their owners."""

    def hold(self, sha256: str) -> None:
        """Keep others from deleting the file, until the end of the unit of work; see ``Work.alone``."""
        self._hold(sha256)

    def delete(self, sha256: str, owners: Collection[str]) -> None:
        """Delete that these organisations uploaded a file; others may have uploaded the same one."""
        c = t.stored_file.c
        self._session.execute(delete(t.stored_file).where(c.sha256 == sha256, c.owner_id.in_(owners)))

    def is_named(self, sha256: str) -> bool:
        """Tell whether any organisation has uploaded this file."""
        query = select(t.stored_file.c.sha256).where(t.stored_file.c.sha256 == sha256)
        return self._session.execute(query.limit(1)).first() is not None

    def find(self, sha256: str, owner: Organisation) -> StoredFile | None:
        """Return the attachment with this digest as this organisation uploaded it, or None."""
        return self._session.get(StoredFile, (sha256, owner.id))

    def note_key(self, sha256: str, number: int | None) -> None:
        """Note for all who uploaded a file under which key it is encrypted now."""
        c = t.stored_file.c
        self._session.execute(update(t.stored_file).where(c.sha256 == sha256).values(key_number=number))

    def all(self) -> Sequence[StoredFile]:
        """Return every attachment, once for each organisation that uploaded it."""
        return self._all(select(StoredFile).order_by(t.stored_file.c.sha256))


MOST_MESSAGES = 200
"""The most messages of one thread."""


class RequestRepository(Repository):
    """Merchants' requests to issuers."""

    def get(self, request_id: str) -> ConfirmationRequest:
        """Return the request with this id, or raise NotFound."""
        return self._get(ConfirmationRequest, request_id, Message("no such request"))

    def next_version(self, request: ConfirmationRequest) -> None:
        """Begin to answer; raises Conflict where somebody else answers at the same moment."""
        self._next_version(t.request, request, None, lambda version: ())

    def search(
        self, party: Organisation, state: RequestState | None = None, limit: int = 50, after: str | None = None
    ) -> Sequence[ConfirmationRequest]:
        """Return the requests to an issuer or of a merchant: the longest waiting first in an open state, else newest.

        ``after`` is the last id of the previous page.

        Raises:
            NotFound: if ``after`` is not a request of this issuer or merchant.
        """
        c, last, oldest_first = t.request.c, None, state is not None and state.is_open
        if after is not None:
            before = self.get(after)
            if party.id not in (before.issuer.id, before.merchant.id):
                raise NotFound("no such request", id=after)
            last = tuple_(literal(before.made_at, t.UtcTime()), literal(before.id))
        found: list[ConfirmationRequest] = []
        for one in (state,) if state is not None else RequestState:  # each by itself: an index keeps its order
            query = select(ConfirmationRequest).where(self._is_of(party), c.state == one)
            if last is not None:
                query = query.where(tuple_(c.made_at, c.id) > last if oldest_first else tuple_(c.made_at, c.id) < last)
            order = (c.made_at, c.id) if oldest_first else (c.made_at.desc(), c.id.desc())
            found += self._all(query.order_by(*order).limit(limit))
        return sorted(found, key=lambda one: (one.made_at, one.id), reverse=not oldest_first)[:limit]

    def count(self, party: Organisation, state: RequestState) -> int:
        """Count the requests to an issuer or of a merchant in this state."""
        query = select(func.count()).select_from(t.request).where(self._is_of(party), t.request.c.state == state)
        return self._session.scalar(query) or 0

    @staticmethod
    def _is_of(party: Organisation) -> ColumnElement[bool]:
        return (t.request.c.issuer_id if party.role in ISSUERS else t.request.c.merchant_id) == party.id

    def with_content(self, merchant: Organisation, content: str) -> Sequence[ConfirmationRequest]:
        """Return the merchant's requests whose statement has exactly this content, at most nine."""
        c = t.request.c
        return self._all(select(ConfirmationRequest).where(c.merchant_id == merchant.id, c.content == content).limit(9))

    def for_statements(self, record_ids: Collection[str]) -> dict[str, ConfirmationRequest]:
        """Return the requests in which these statements were submitted, by the statement's id."""
        found = self._all(select(ConfirmationRequest).where(t.request.c.statement_id.in_(record_ids)))
        return {one.statement.id: one for one in found if one.statement is not None}

    def count_waiting(self, issuer: Organisation, most: int) -> int:
        """Count the requests that wait for an issuer, up to ``most``."""
        c = t.request.c
        return self._count(select(c.id).where(c.issuer_id == issuer.id, c.state == RequestState.WAITING), most)

    def orders_of(self, merchant: Organisation) -> Iterator[ConfirmationRequest]:
        """Yield the merchant's requests that are orders, read in portions."""
        c = t.request.c
        query = select(ConfirmationRequest).where(c.merchant_id == merchant.id, c.order_kind.is_not(None))
        return iter(self._session.scalars(query.execution_options(yield_per=500)))

    def orders_before(self, request: ConfirmationRequest) -> list[ConfirmationRequest]:
        """Return a request that is an order, with the orders sent back that it corrects; nothing for a statement."""
        found = [request] if request.order is not None else []
        while found and (earlier := found[-1].corrects_id) is not None and earlier not in {one.id for one in found}:
            found.append(self.get(earlier))
        return found

    def messages(self, request: ConfirmationRequest) -> Sequence[RequestMessage]:
        """Return what was written in a request's thread, the earliest first, at most ``MOST_MESSAGES``."""
        c = t.request_message.c
        query = select(RequestMessage).where(c.thread_id == request.thread_id).order_by(c.said_at, c.id)
        return self._all(query.limit(MOST_MESSAGES))

    def count_messages(self, request: ConfirmationRequest) -> int:
        """Count the messages of a request's thread, up to ``MOST_MESSAGES``."""
        c = t.request_message.c
        return self._count(select(c.id).where(c.thread_id == request.thread_id), MOST_MESSAGES)

    def delete_messages(self, request: ConfirmationRequest) -> None:
        """Delete a request's thread, one by one: the keys of what is encrypted are destroyed with objects only."""
        for message in self.messages(request):
            self._session.delete(message)
        self._session.flush()

    def find_about(self, record_id: str) -> ConfirmationRequest | None:
        """Return the request that submitted this statement or that this record confirmed, or None."""
        about = or_(t.request.c.statement_id == record_id, t.request.c.confirmed_id == record_id)
        return self._one(select(ConfirmationRequest).where(about), ConfirmationRequest)


class StatusChangeRepository(Repository):
    """Status changes on their way to the ledger."""

    def settled(self) -> Sequence[StatusChange]:
        """Return status changes that needed no transaction."""
        return self._all(select(StatusChange).where(t.status_change.c.settled.is_not(None)))

    def sent_by(self, transaction: OutboundTransaction) -> Sequence[StatusChange]:
        """Return the status changes that this transaction carries."""
        return self._all(select(StatusChange).where(t.status_change.c.transaction_id == transaction.id))

    def unsent(self, ids: Collection[str]) -> Sequence[StatusChange]:
        """Return those of these status changes that were not sent yet, in the order of the requests."""
        waiting = select(StatusChange).where(t.change_pending)
        found = [
            change
            for some in in_portions(list(ids))
            for change in self._all(waiting.where(t.status_change.c.id.in_(some)))
        ]
        return sorted(found, key=lambda change: change.asked_at)

    def has_pending(self) -> bool:
        """Tell whether a status change waits to be sent."""
        return self._session.execute(select(t.status_change.c.id).where(t.change_pending).limit(1)).first() is not None

    def signers(self) -> list[str]:
        """Return the accounts whose status changes wait to be sent."""
        c, found = t.status_change.c, [""]
        query = select(c.signer).where(t.change_pending).order_by(c.signer).limit(1)
        # A step of the index for each account, since one that cannot send may have thousands waiting.
        while (name := self._session.scalar(query.where(c.signer > found[-1]))) is not None:
            found.append(name)
        return found[1:]

    def busy_batches(self, signer: str) -> set[str]:
        """Return the ids of batches for which a transaction of this account with status changes waits to be mined."""
        c, o = t.status_change.c, t.outbound_transaction.c
        query = (
            select(t.record.c.batch_id)
            .join_from(t.outbound_transaction, t.status_change, c.transaction_id == o.id)
            .join(t.record, c.record_id == t.record.c.id)
            .where(o.signer == signer, o.state.in_(UNMINED_STATES))
        )
        return set(self._session.scalars(query.distinct()))

    def sign_as(self, signer: str, batch: SealedBatch, instead_of: str | None = OFFICE) -> None:
        """Let an account sign what another (by default the common one of all offices) was to sign in a batch."""
        c = t.status_change.c
        in_batch = select(t.record.c.id).where(t.record.c.batch_id == batch.id)
        waiting = update(t.status_change).where(t.change_pending, c.signer == instead_of, c.record_id.in_(in_batch))
        self._session.execute(waiting.values(signer=signer))

    def sendable(self, signer: str, limit: int) -> Sequence[StatusChange]:
        """Return an account's status changes that can be sent now, in the order of the requests.

        Their batches are on the ledger, and no earlier change of their records is still on its way there. A release
        waits for its drawdowns, since it cannot be undone on the ledger.
        """
        c, record, o, drawdown = t.status_change.c, t.record.c, t.outbound_transaction.c, t.drawdown.c
        earlier = t.status_change.alias("earlier")
        is_next = ~exists().where(
            earlier.c.record_id == c.record_id,
            earlier.c.transaction_id.is_(None),
            earlier.c.settled.is_(None),
            earlier.c.asked_at < c.asked_at,
        )
        is_alone = ~exists().where(
            earlier.c.record_id == c.record_id, earlier.c.transaction_id == o.id, o.state.in_(OPEN_STATES)
        )
        # When it was made first stays over a reorganisation, so that does not tell whether it is there now.
        sent = t.outbound_transaction.alias()
        is_on_its_way = exists().where(sent.c.id == drawdown.transaction_id, sent.c.state.in_(OPEN_STATES))
        is_drawn = ~exists().where(
            drawdown.declaration_id == c.record_id,
            drawdown.refusal.is_(None),
            or_(drawdown.set_root.is_(None), drawdown.made_at.is_(None), is_on_its_way),
        )
        is_release = and_(record.kind == Kind.DECLARATION, c.new_status == int(DeclarationStatus.RELEASED))
        query = (
            select(StatusChange)
            .join(t.record, c.record_id == record.id)
            .join(t.batch, record.batch_id == t.batch.c.id)
            .where(t.change_pending, c.signer == signer, t.batch.c.state.in_((ProofState.ANCHORED, ProofState.FINAL)))
            .where(t.batch.c.id.not_in(self.busy_batches(signer)), is_next, is_alone, or_(~is_release, is_drawn))
        )
        return self._all(query.order_by(c.asked_at).limit(limit))

    def of_record(self, record_id: str) -> Sequence[StatusChange]:
        """Return a record's status changes, in the order of the requests."""
        query = select(StatusChange).where(t.status_change.c.record_id == record_id)
        return self._all(query.order_by(t.status_change.c.asked_at))


@dataclass(frozen=True)
class Keeper:
    """A declaration that papers are kept for, and the code of the customs office to which it was lodged."""

    declaration_id: str
    customs_office: str


class RetentionRepository(Repository):
    """Which declarations papers are still kept for, and whether their offices agreed to an erasure (decision 0022).

    A ``line`` is all versions of a record, the newest first: they are kept together.
    """

    def latest(self, line: Sequence[RecordOnFile]) -> datetime | None:
        """Return the end of the longest period in which declarations keep this line, or None where none names it."""
        p = t.paper.c
        ends = [
            self._session.scalar(
                select(p.kept_until).where(p.record_id == one.id).order_by(p.kept_until.desc()).limit(1)
            )
            for one in line
        ]
        return max((end for end in ends if end is not None), default=None)

    def keepers(
        self,
        line: Sequence[RecordOnFile],
        after: datetime,
        *,
        asked: bool | None = None,
        offices: Collection[str] | None = None,
        limit: int | None = None,
    ) -> list[Keeper]:
        """Return declarations that keep this line beyond a moment and whose office has not agreed to its erasure.

        ``asked`` limits them to those for which the holder has asked for consent, or has not; ``offices`` to those
        lodged with these offices. Requests and consents name the newest version, so that those before it do not count:
        they were about another text.
        """
        p, c = t.paper.c, t.consignment.c
        query = select(c.id, c.customs_office).join_from(t.paper, t.consignment, p.consignment_id == c.id)
        query = query.where(p.record_id.in_([one.id for one in line]), p.kept_until > after)
        query = query.where(~_noted(Step.ERASURE_AGREED, line))
        if asked is not None:
            noted = _noted(Step.ERASURE_REQUESTED, line)
            query = query.where(noted if asked else ~noted)
        if offices is not None:
            query = query.where(c.customs_office.in_(offices))
        if limit is not None:
            query = query.limit(limit)
        return [Keeper(*row) for row in dict.fromkeys(tuple(row) for row in self._session.execute(query))]

    def request(self, newest: RecordOnFile) -> Event | None:
        """Return the holder's latest request to let this version and those before it be erased, or None."""
        e = t.event.c
        query = select(Event).where(e.record_id == newest.id, e.step == Step.ERASURE_REQUESTED)
        return self._one(query.order_by(e.recorded_at.desc()), Event)


def _noted(step: Step, line: Sequence[RecordOnFile]) -> ColumnElement[bool]:
    e = t.event.c
    return exists().where(e.consignment_id == t.consignment.c.id, e.step == step, e.record_id == line[0].id)
