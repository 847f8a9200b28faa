"""Each text has its key: it goes with the text, in older copies too, and with nothing else."""

import os
from contextlib import closing

import pytest
from sqlalchemy import insert, select, text, update

from backend.adapters.files import FolderFiles
from backend.domain.errors import StorageFull
from backend.domain.sd_jwt import unb64
from backend.domain.verdict import Conclusion
from backend.services import files, issuance
from backend.services.audit import audit
from backend.services.verification import verdict_on
from backend.store import crypto_shredding, encryption, tables, unit_of_work
from backend.store.crypto_shredding import follow_the_keys, note_keys_of_files
from backend.store.encryption import DataKeys, KeyMissing
from tests.helpers.builders import PDF
from tests.services.conftest import engine_at
from tests.services.encrypted_texts import (
    SECRET,
    bytes_on_disk,
    disclosures_in,
    engine_of,
    erase,
    everything_encrypted,
    held_certificate,
    keys,
    older_copy,
    opened_again,
    put_newest_keys,
    readable_in,
)


def test_what_records_say_lies_nowhere_in_the_open(installation):
    record = held_certificate(installation, certificateNumber="Number-471108352")
    issuance.revoke(installation.ctx, installation.chamber, record.id, "Mrs Wong found a mistake")
    files.store_pdf(installation.ctx, installation.chamber, PDF)
    installation.settle()
    lying = bytes_on_disk(installation)
    planted = b"Zhejiang Chamber"  # the organisations' names are no record's secret: this search does find them
    assert planted in lying
    kept = installation.record(record.id)
    for secret in (SECRET.encode(), b"Mrs Wong", b"number471108352", b"471108352", PDF, kept.signed_jwt.encode()[:200]):
        assert secret not in lying
    assert b"Mrs Wong found a mistake" in readable_in(everything_encrypted(installation), installation)


def test_older_copy_forgets_only_what_was_erased_since(installation, tmp_path):
    bound = files.store_pdf(installation.ctx, installation.chamber, PDF)
    attached = [{"fileName": "lamp.pdf", "size": bound.size, "sha256": bound.sha256}]
    one = held_certificate(installation, certificateNumber="F-1", attachments=attached)
    other = held_certificate(installation, certificateNumber="F-2")
    issuance.revoke(installation.ctx, installation.chamber, one.id, "Mrs Wong found a mistake")
    installation.settle()
    copy = older_copy(installation, tmp_path / "copy")
    erase(installation, one)
    put_newest_keys(installation, copy)
    with opened_again(installation, copy) as (again, erased):
        assert erased == 1
        assert again.record(one.id).erased_at is not None
        assert again.ctx.files.get(bound.sha256) is None
        assert verdict_on(again.ctx, again.record(one.id)).conclusion is Conclusion.INDETERMINATE
        assert verdict_on(again.ctx, again.record(other.id)).conclusion is Conclusion.VALID
        with again.ctx.work(reading=True) as work:
            assert [change.reason for change in work.status_changes.of_record(one.id)] == [""]
            assert work.files.find(bound.sha256, installation.chamber.organisation) is None
        assert audit(again.ctx).discrepancies == ()
    with opened_again(installation, copy) as (_, erased):
        assert erased == 0


def test_keys_older_than_the_database_stop_the_start(installation, tmp_path):
    """Nothing is done before."""
    older = tmp_path / "older"
    older.write_bytes((tmp_path / "record.keys").read_bytes()[:64])
    held_certificate(installation)
    installation.ctx.work.scrub()
    with closing(DataKeys(older)) as old:
        engine = engine_at(tmp_path, old)
        with pytest.raises(KeyMissing, match="put its newest copy back"):
            follow_the_keys(engine, FolderFiles(tmp_path / "files", old).is_erased, installation.clock())
        engine.dispose()
    assert older.stat().st_size == 64


def test_crash_after_the_commit_ends_keys_next_start(installation, monkeypatch):
    """The crash comes between the commit of an erasure and the end of its keys."""
    record = held_certificate(installation)
    before = everything_encrypted(installation)
    with monkeypatch.context() as patch:
        patch.setattr(unit_of_work, "destroy_forgotten", lambda _: None)  # the process ends here
        erase(installation, record)
    assert SECRET.encode() in b"".join(unb64(d) for d in disclosures_in(readable_in(before, installation)))
    follow_the_keys(engine_of(installation), installation.ctx.files.is_erased, installation.clock())
    assert readable_in(before, installation) == []


@pytest.mark.parametrize("when", ["before the erasure", "before the last block", "another installation"])
def test_outdated_keys_stop_the_start_destroying_none(installation, tmp_path, when):
    record = held_certificate(installation)
    older = tmp_path / "older"
    if when == "before the erasure":
        older.write_bytes((tmp_path / "record.keys").read_bytes())
        erase(installation, record)
    elif when == "before the last block":
        with closing(DataKeys(tmp_path / "record.keys")) as beside:
            beside.encrypt(b"a block of a process beside")
        older.write_bytes((tmp_path / "record.keys").read_bytes())
        keys(installation).reserve(1025)
        installation.issue_certificate(certificateNumber="A-1")
    else:
        with closing(DataKeys(older)) as others:
            others.reserve(5000)
    with installation.ctx.work() as work:
        work._session.execute(insert(tables.key_to_destroy), [{"number": 3}])
        work.commit()
    before = older.read_bytes()
    with closing(DataKeys(older)) as old:
        engine = engine_at(tmp_path, old)
        with pytest.raises(KeyMissing, match="put its newest copy back"):
            follow_the_keys(engine, FolderFiles(tmp_path / "files", old).is_erased, installation.clock())
        engine.dispose()
    assert older.read_bytes() == before


def test_crash_overwriting_keys_is_noticed_by_older_copy(installation, tmp_path, monkeypatch):
    record = held_certificate(installation)
    copy = older_copy(installation, tmp_path / "copy")
    written = os.pwrite

    def once(handle, content, ctx):
        if content == bytes(32):
            monkeypatch.setattr(encryption.os, "pwrite", crash)
        return written(handle, content, ctx)

    def crash(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(encryption.os, "pwrite", once)
    with pytest.raises(KeyboardInterrupt):
        erase(installation, record)
    monkeypatch.setattr(encryption.os, "pwrite", written)
    put_newest_keys(installation, copy)
    sealed = everything_encrypted(installation)
    with opened_again(installation, copy) as (again, erased):
        assert erased == 1
        assert again.record(record.id).disclosures == []
        lost = [one for one in readable_in(sealed, again) if SECRET.encode() in one]
        assert lost == []
    follow_the_keys(engine_of(installation), installation.ctx.files.is_erased, installation.clock())
    assert installation.record(record.id).erased_at is not None


def test_copied_text_keeps_both_keys_where_they_belong(installation):
    record = held_certificate(installation)
    issuance.revoke(installation.ctx, installation.chamber, record.id, "Mrs Wong found a mistake")
    installation.settle()
    for text_set in ("another", None, "a third"):
        with installation.ctx.work() as work:
            kept = work.records.get(record.id)
            (change,) = work.status_changes.of_record(record.id)
            change.reason = kept.status_reason
            work._session.flush()
            change.reason = text_set or kept.status_reason
            work.commit()
        assert installation.record(record.id).status_reason == "Mrs Wong found a mistake"


def test_text_replaced_unread_takes_its_key_along(installation):
    record = held_certificate(installation)
    issuance.revoke(installation.ctx, installation.chamber, record.id, "Mrs Wong found a mistake")
    installation.settle()
    before = everything_encrypted(installation)
    with installation.ctx.work() as work:
        (change,) = work.status_changes.of_record(record.id)
        work._session.expire(change)
        change.reason = "a better reason"
        work.commit()
    assert len(readable_in(before, installation)) == len(before) - 1


def test_full_disk_while_sealing_is_told_as_ours(installation, monkeypatch):
    """The error is a StorageFull, whatever the database library would make of it."""

    def full(*_):
        raise StorageFull("no room")

    monkeypatch.setattr(DataKeys, "reserve", lambda *_: None)
    monkeypatch.setattr(DataKeys, "encrypt", full)
    with pytest.raises(StorageFull):
        installation.issue_certificate()


def test_thousands_of_keys_end_at_once(installation):
    with installation.ctx.work() as work:
        keys(installation).reserve(50_000)
        work._session.execute(insert(tables.key_to_destroy), [{"number": n} for n in range(40_000)])
        work.commit()
    follow_the_keys(engine_of(installation), installation.ctx.files.is_erased, installation.clock())
    assert keys(installation).destroyed == 40_000


@pytest.mark.parametrize("number", [b"\0\0\0\0\0\0\xff\0", b"\0\0\0\0\0\0\0\xff"])  # no key, a free one
@pytest.mark.parametrize("column", ["signed_jwt", "disclosures"])
def test_row_naming_another_key_is_taken_for_altered(installation, number, column):
    record = held_certificate(installation)
    with installation.ctx.work() as work:
        session = work._session
        lying = session.execute(text(f"SELECT {column} FROM record WHERE id = :id"), {"id": record.id}).scalar_one()
        altered = lying[:1] + number + lying[9:]
        assert altered != lying
        session.execute(text(f"UPDATE record SET {column} = :it WHERE id = :id"), {"it": altered, "id": record.id})
        work.commit()
    assert verdict_on(installation.ctx, installation.record(record.id)).conclusion is Conclusion.INVALID
    follow_the_keys(engine_of(installation), installation.ctx.files.is_erased, installation.clock())
    audit(installation.ctx)


def test_keys_that_cannot_be_destroyed_go_next_time(installation, monkeypatch):
    """The erasure itself is not undone."""
    record, other = (held_certificate(installation, certificateNumber=f"K-{n}") for n in range(2))
    before = everything_encrypted(installation)
    full = OSError(5, "Input/output error")
    with monkeypatch.context() as patch:
        patch.setattr(DataKeys, "destroy", lambda *_: (_ for _ in ()).throw(full))
        erase(installation, record)
    assert installation.record(record.id).erased_at is not None
    assert len(readable_in(before, installation)) == len(before)
    erase(installation, other)
    assert readable_in(before, installation) == []


def test_text_replaced_by_another_takes_its_key_along(installation):
    record = held_certificate(installation)
    issuance.revoke(installation.ctx, installation.chamber, record.id, "the first reason")
    installation.settle()
    before = everything_encrypted(installation)
    with installation.ctx.work() as work:
        work.records.get(record.id).status_reason = "a better reason"
        work.commit()
    assert b"the first reason" in readable_in(before, installation)  # of the change of status, which has its own
    assert len(readable_in(before, installation)) == len(before) - 1
    assert installation.record(record.id).status_reason == "a better reason"


def test_uncommitted_change_takes_no_key(installation):
    record = held_certificate(installation)
    before = everything_encrypted(installation)
    with installation.ctx.work() as work:
        work.records.get(record.id).erase(installation.clock())
        work._session.flush()
    assert len(readable_in(before, installation)) == len(before)
    assert installation.record(record.id).fields["description"] == SECRET


def test_keys_of_earlier_attachments_are_noted_in_portions(installation, monkeypatch):
    """In portions; one that is lost has none, and keeps nothing from being noted."""
    stored = [files.store_pdf(installation.ctx, installation.chamber, PDF + bytes([n])) for n in range(5)]
    numbers = tables.stored_file.c.sha256, tables.stored_file.c.key_number
    engine = engine_of(installation)
    with engine.begin() as connection:
        noted = dict(connection.execute(select(*numbers)).tuples().all())
        connection.execute(update(tables.stored_file).values(key_number=None))
    assert all(number is not None for number in noted.values())
    lost = min(noted)
    monkeypatch.setattr(crypto_shredding, "AT_ONCE", 2)

    def number_of(digest):
        return None if digest == lost else installation.ctx.files.key_number(digest)

    assert note_keys_of_files(engine, number_of) == len(stored) - 1
    with engine.begin() as connection:
        assert dict(connection.execute(select(*numbers)).tuples().all()) == noted | {lost: None}
    assert note_keys_of_files(engine, number_of) == 0
