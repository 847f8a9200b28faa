"""Holders show what is necessary and no more; what they erase is gone, and nobody else's proof suffers."""

import json
import os
import shutil
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from hashlib import sha256

import pytest
from sqlalchemy import insert, text

from backend.adapters import record_keys
from backend.adapters.files import FolderFiles
from backend.adapters.record_keys import KeyDestroyed, KeyMissing, RecordKeys
from backend.adapters.store import database, tables
from backend.adapters.store.database import SqlWork, open_engine
from backend.adapters.store.forgetting import follow_the_keys
from backend.adapters.store.sealed import Sealed, keys_of
from backend.domain import evidence
from backend.domain.clearance import Decision
from backend.domain.errors import Conflict, Invalid, NotAllowed, NotFound, StorageFull
from backend.domain.kinds import Kind
from backend.domain.presentations import Audience, every_field, fields_for
from backend.domain.records import StoredFile
from backend.domain.sd_jwt import unb64
from backend.domain.verdict import Ruling
from backend.services import deciding, erasing, files, issuing, lodging, showing, stating
from backend.services.auditing import audit
from backend.services.verifying import verdict_on, verdict_on_bundle, verdict_on_consignment
from tests.builders import FIELDS, PDF, certificate_fields, lodgement_fields, outcomes

SECRET = "Salmon-coloured lamp for Mr Tan of Bukit Timah"


def shown(house, record, audience=None, *names):
    choice = showing.choose(house.at, house.merchant, record.id, audience, names)
    return showing.presentation(house.at, choice)


def held_certificate(house, **changes):
    record = house.issue_certificate(description=SECRET, **changes)
    house.settle()
    assert record.holder.id == house.merchant.organisation.id
    return record


def erase(house, record):
    return erasing.erase(house.at, house.merchant, record.id)


def bytes_on_disk(house):
    folder = house.at.files._folder.parent
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def everything_sealed(house):
    """Each sealed value of the database and each attachment, as it lies there."""
    found = [path.read_bytes() for path in house.at.files._folder.glob("??/*")]
    with house.at.work(reading=True) as work:
        connection = work.store._session.connection()
        for table in tables.metadata.tables.values():
            for column in table.columns:
                if isinstance(column.type, Sealed):
                    rows = connection.execute(text(f"SELECT {column.name} FROM {table.name}")).scalars()
                    found += [bytes(one) for one in rows if one]
    return found


def readable_in(copies, house):
    """What the keys of today open of what a copy holds."""
    opened = []
    for sealed in copies:
        with suppress(KeyDestroyed):
            opened.append(keys(house).open(sealed))
    return opened


def older_copy(house, folder):
    """The house's database and files as they are now, to be opened beside it."""
    house.at.scrub()
    shutil.copytree(house.at.files._folder.parent, folder)
    return folder


def put_newest_keys(house, copy):
    shutil.copy(house.at.files._folder.parent / "record.keys", copy / "record.keys")


@contextmanager
def opened_again(house, copy):
    """A copy of the database and the files, opened as at a start, with the keys that were put beside it."""
    with closing(RecordKeys(copy / "record.keys")) as newest:
        engine = open_engine(f"sqlite:///{copy / 'db.sqlite'}", newest)
        stored = FolderFiles(copy / "files", newest)
        erased = follow_the_keys(engine, stored, house.clock())
        yield replace(house, at=replace(house.at, work=SqlWork(engine), files=stored)), erased
        engine.dispose()


def engine_of(house):
    with house.at.work(reading=True) as work:
        return work.store._session.get_bind()


def keys(house):
    return keys_of(engine_of(house).dialect)


# Showing


@pytest.mark.parametrize("audience", Audience)
def test_what_is_shown_to_each_is_what_it_needs_and_is_still_proven(house, audience):
    record = held_certificate(house)
    bundle = shown(house, record, audience)
    read = evidence.read(bundle)
    expected = set(fields_for(audience, Kind.CERTIFICATE_OF_ORIGIN)) & set(record.fields)
    assert set(read.record.subject) == expected
    assert verdict_on_bundle(house.at, bundle).ruling is Ruling.VALID


def test_each_audience_is_shown_more_than_the_one_before():
    shown_to = [set(fields_for(audience, Kind.CERTIFICATE_OF_ORIGIN)) for audience in Audience]
    assert shown_to[0] < shown_to[1] < shown_to[2] < shown_to[3]


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("audience", Audience)
def test_choices_name_only_fields_that_there_are(kind, audience):
    assert set(fields_for(audience, kind)) <= set(every_field(kind))
    assert set(fields_for(Audience.CUSTOMS, kind)) >= set(FIELDS[kind]())


def test_what_is_withheld_is_nowhere_in_the_bundle(house):
    record = held_certificate(house)
    bundle = json.dumps(shown(house, record, None, "originCountry"))
    read = evidence.read(json.loads(bundle)).record
    assert read.subject == {"originCountry": "CN"}
    assert SECRET not in bundle
    assert SECRET not in "".join(unb64(d).decode() for d in read.disclosures)
    assert "Morning Star" not in bundle.replace("Zhejiang", "")
    assert read.withheld == len(record.fields) - 1


def test_a_field_that_there_is_not_cannot_be_shown(house):
    with pytest.raises(Invalid, match="field"):
        shown(house, held_certificate(house), None, "salary")


@pytest.mark.parametrize("who", ["rival", "laboratory", "other_chamber", "authority"])
def test_others_cannot_show_a_record(house, who):
    record = held_certificate(house)
    with pytest.raises(NotFound):
        showing.choose(house.at, house.people[who], record.id, Audience.BUYER)


# Erasing


def test_what_is_erased_is_gone_from_every_file(house):
    record = held_certificate(house)
    kept = house.record(record.id)
    disclosure = next(d for d in kept.disclosures if SECRET in unb64(d).decode())
    before = everything_sealed(house)
    assert all(one in bytes_on_disk(house) for one in before)
    assert disclosure.encode() in b"".join(readable_in(before, house))
    assert kept.signed_jwt.encode() in readable_in(before, house)
    erase(house, record)
    after = bytes_on_disk(house)
    assert not any(one in after for one in before)
    assert kept.number.encode() not in after
    assert readable_in(before, house) == []
    gone = house.record(record.id)
    assert (gone.signed_jwt, gone.disclosures, gone.number) == ("", [], None)
    assert gone.erased_at is not None


def test_what_records_say_lies_nowhere_in_the_open(house):
    record = held_certificate(house, certificateNumber="Number-4711")
    issuing.revoke(house.at, house.chamber, record.id, "Mrs Wong found a mistake")
    files.store_pdf(house.at, house.chamber, PDF)
    house.settle()
    lying = bytes_on_disk(house)
    planted = b"Zhejiang Chamber"  # the organisations' names are no record's secret: this search does find them
    assert planted in lying
    kept = house.record(record.id)
    for secret in (SECRET.encode(), b"Mrs Wong", b"number4711", b"4711", PDF, kept.signed_jwt.encode()[:200]):
        assert secret not in lying
    assert b"Mrs Wong found a mistake" in readable_in(everything_sealed(house), house)


def test_an_older_copy_forgets_what_was_erased_since_and_keeps_the_rest(house, tmp_path):
    bound = files.store_pdf(house.at, house.chamber, PDF)
    attached = [{"fileName": "lamp.pdf", "size": bound.size, "sha256": bound.sha256}]
    one = held_certificate(house, certificateNumber="F-1", attachments=attached)
    other = held_certificate(house, certificateNumber="F-2")
    issuing.revoke(house.at, house.chamber, one.id, "Mrs Wong found a mistake")
    house.settle()
    copy = older_copy(house, tmp_path / "copy")
    erase(house, one)
    put_newest_keys(house, copy)
    with opened_again(house, copy) as (again, erased):
        assert erased == 1
        assert again.record(one.id).erased_at is not None
        assert again.at.files.get(bound.sha256) is None
        assert verdict_on(again.at, again.record(one.id)).ruling is Ruling.CANNOT_TELL
        assert verdict_on(again.at, again.record(other.id)).ruling is Ruling.VALID
        with again.at.work(reading=True) as work:
            assert [change.reason for change in work.store.status_changes_of(one.id)] == [""]
            assert work.store.find_file(bound.sha256, house.chamber.organisation) is None
        assert audit(again.at).discrepancies == ()
    with opened_again(house, copy) as (_, erased):
        assert erased == 0


def test_keys_older_than_the_database_stop_the_start_before_anything_is_done(house, tmp_path):
    older = tmp_path / "older"
    older.write_bytes((tmp_path / "record.keys").read_bytes()[:64])
    held_certificate(house)
    house.at.scrub()
    with closing(RecordKeys(older)) as old:
        engine = open_engine(f"sqlite:///{tmp_path / 'db.sqlite'}", old)
        with pytest.raises(KeyMissing, match="put its newest copy back"):
            follow_the_keys(engine, FolderFiles(tmp_path / "files", old), house.clock())
        engine.dispose()
    assert older.stat().st_size == 64


def test_after_a_crash_between_the_commit_and_the_end_of_the_keys_they_end_at_the_next_start(house, monkeypatch):
    record = held_certificate(house)
    before = everything_sealed(house)
    with monkeypatch.context() as patch:
        patch.setattr(database, "destroy_forgotten", lambda _: None)  # the process ends here
        erase(house, record)
    assert SECRET.encode() in b"".join(unb64(d) for d in disclosures_in(readable_in(before, house)))
    follow_the_keys(engine_of(house), house.at.files, house.clock())
    assert readable_in(before, house) == []


@pytest.mark.parametrize("when", ["before the erasure", "before the last block", "another installation"])
def test_keys_that_are_not_the_newest_stop_the_start_and_none_is_destroyed(house, tmp_path, when):
    record = held_certificate(house)
    older = tmp_path / "older"
    if when == "before the erasure":
        older.write_bytes((tmp_path / "record.keys").read_bytes())
        erase(house, record)
    elif when == "before the last block":
        with closing(RecordKeys(tmp_path / "record.keys")) as beside:
            beside.seal(b"a block of a process beside")
        older.write_bytes((tmp_path / "record.keys").read_bytes())
        keys(house).reserve(1025)
        house.issue_certificate(certificateNumber="A-1")
    else:
        with closing(RecordKeys(older)) as others:
            others.reserve(5000)
    with house.at.work() as work:
        work.store._session.execute(insert(tables.forgotten_key), [{"number": 3}])
        work.commit()
    before = older.read_bytes()
    with closing(RecordKeys(older)) as old:
        engine = open_engine(f"sqlite:///{tmp_path / 'db.sqlite'}", old)
        with pytest.raises(KeyMissing, match="put its newest copy back"):
            follow_the_keys(engine, FolderFiles(tmp_path / "files", old), house.clock())
        engine.dispose()
    assert older.read_bytes() == before


def test_a_crash_while_keys_are_overwritten_is_noticed_by_an_older_copy(house, tmp_path, monkeypatch):
    record = held_certificate(house)
    copy = older_copy(house, tmp_path / "copy")
    written = os.pwrite

    def once(handle, content, at):
        if content == bytes(32):
            monkeypatch.setattr(record_keys.os, "pwrite", crash)
        return written(handle, content, at)

    def crash(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(record_keys.os, "pwrite", once)
    with pytest.raises(KeyboardInterrupt):
        erase(house, record)
    monkeypatch.setattr(record_keys.os, "pwrite", written)
    put_newest_keys(house, copy)
    sealed = everything_sealed(house)
    with opened_again(house, copy) as (again, erased):
        assert erased == 1
        assert again.record(record.id).disclosures == []
        lost = [one for one in readable_in(sealed, again) if SECRET.encode() in one]
        assert lost == []
    follow_the_keys(engine_of(house), house.at.files, house.clock())
    assert house.record(record.id).erased_at is not None


def test_a_text_set_from_another_keeps_both_keys_where_they_belong(house):
    record = held_certificate(house)
    issuing.revoke(house.at, house.chamber, record.id, "Mrs Wong found a mistake")
    house.settle()
    for text_set in ("another", None, "a third"):
        with house.at.work() as work:
            kept = work.store.get_record(record.id)
            (change,) = work.store.status_changes_of(record.id)
            change.reason = kept.status_reason
            work.store._session.flush()
            change.reason = text_set or kept.status_reason
            work.commit()
        assert house.record(record.id).status_reason == "Mrs Wong found a mistake"


def test_a_text_that_gives_way_unread_takes_its_key_along(house):
    record = held_certificate(house)
    issuing.revoke(house.at, house.chamber, record.id, "Mrs Wong found a mistake")
    house.settle()
    before = everything_sealed(house)
    with house.at.work() as work:
        (change,) = work.store.status_changes_of(record.id)
        work.store._session.expire(change)
        change.reason = "a better reason"
        work.commit()
    assert len(readable_in(before, house)) == len(before) - 1


def test_where_no_key_can_be_made_halfway_it_is_told_in_our_words(house, monkeypatch):
    def full(*_):
        raise StorageFull("no room")

    monkeypatch.setattr(RecordKeys, "reserve", lambda *_: None)
    monkeypatch.setattr(RecordKeys, "seal", full)
    with pytest.raises(StorageFull):
        house.issue_certificate()


def test_thousands_of_keys_end_at_once(house):
    with house.at.work() as work:
        keys(house).reserve(50_000)
        work.store._session.execute(insert(tables.forgotten_key), [{"number": n} for n in range(40_000)])
        work.commit()
    follow_the_keys(engine_of(house), house.at.files, house.clock())
    assert keys(house).destroyed == 40_000


def test_a_file_that_another_has_uploaded_too_stays(house):
    stored = files.store_pdf(house.at, house.chamber, PDF)
    files.store_pdf(house.at, house.other_chamber, PDF)
    bound = [{"fileName": "lamp.pdf", "size": stored.size, "sha256": stored.sha256}]
    assert erase(house, held_certificate(house, attachments=bound)).files == 0
    assert house.at.files.get(stored.sha256) == PDF
    with house.at.work(reading=True) as work:
        assert work.store.find_file(stored.sha256, house.other_chamber.organisation) is not None
        assert work.store.find_file(stored.sha256, house.chamber.organisation) is None


def test_a_file_that_is_uploaded_while_the_same_is_erased_stays(house, monkeypatch):
    stored = files.store_pdf(house.at, house.chamber, PDF)
    bound = [{"fileName": "lamp.pdf", "size": stored.size, "sha256": stored.sha256}]
    record = held_certificate(house, attachments=bound)
    put = FolderFiles.put

    def slowly(self, content):
        monkeypatch.setattr(FolderFiles, "put", put)
        digest = put(self, content)
        erase(house, record)
        return digest

    monkeypatch.setattr(FolderFiles, "put", slowly)
    files.store_pdf(house.at, house.other_chamber, PDF)
    assert house.at.files.get(stored.sha256) == PDF


@pytest.mark.parametrize("number", [b"\0\0\0\0\0\0\xff\0", b"\0\0\0\0\0\0\0\xff"])  # no key, a free one
@pytest.mark.parametrize("column", ["signed_jwt", "disclosures"])
def test_a_row_that_names_another_key_is_taken_for_altered(house, number, column):
    record = held_certificate(house)
    with house.at.work() as work:
        session = work.store._session
        lying = session.execute(text(f"SELECT {column} FROM record WHERE id = :id"), {"id": record.id}).scalar_one()
        altered = lying[:1] + number + lying[9:]
        assert altered != lying
        session.execute(text(f"UPDATE record SET {column} = :it WHERE id = :id"), {"it": altered, "id": record.id})
        work.commit()
    assert verdict_on(house.at, house.record(record.id)).ruling is Ruling.INVALID
    follow_the_keys(engine_of(house), house.at.files, house.clock())
    audit(house.at)


def test_keys_that_cannot_be_destroyed_now_undo_nothing_and_go_with_the_next_ones(house, monkeypatch):
    record, other = (held_certificate(house, certificateNumber=f"K-{n}") for n in range(2))
    before = everything_sealed(house)
    full = OSError(5, "Input/output error")
    with monkeypatch.context() as patch:
        patch.setattr(RecordKeys, "destroy", lambda *_: (_ for _ in ()).throw(full))
        erase(house, record)
    assert house.record(record.id).erased_at is not None
    assert len(readable_in(before, house)) == len(before)
    erase(house, other)
    assert readable_in(before, house) == []


def disclosures_in(opened):
    return [one for content in opened if content.startswith(b"[") for one in json.loads(content)]


def test_a_file_that_a_crash_left_behind_goes_at_the_next_start(house):
    named, left, fresh = (house.at.files.put(PDF + bytes([n])) for n in range(3))
    with house.at.work() as work:
        work.store.add(StoredFile(named, house.chamber.organisation, 1, "application/pdf", house.clock()))
        work.commit()
    for digest in (named, left):
        os.utime(house.at.files._path(digest), (1, 1))
    assert erasing.finish(house.at) == 1
    assert [house.at.files.get(one) is None for one in (named, left, fresh)] == [False, True, False]


def test_a_text_that_gives_way_to_another_takes_its_key_along(house):
    record = held_certificate(house)
    issuing.revoke(house.at, house.chamber, record.id, "the first reason")
    house.settle()
    before = everything_sealed(house)
    with house.at.work() as work:
        work.store.get_record(record.id).status_reason = "a better reason"
        work.commit()
    assert b"the first reason" in readable_in(before, house)  # of the change of status, which has its own
    assert len(readable_in(before, house)) == len(before) - 1
    assert house.record(record.id).status_reason == "a better reason"


def test_a_change_that_is_not_committed_takes_no_key(house):
    record = held_certificate(house)
    before = everything_sealed(house)
    with house.at.work() as work:
        work.store.get_record(record.id).erase(house.clock())
        work.store._session.flush()
    assert len(readable_in(before, house)) == len(before)
    assert house.record(record.id).fields["description"] == SECRET


def test_everybody_elses_proofs_in_the_batch_go_on(house):
    records = [house.issue_certificate(certificateNumber=f"B-{n}") for n in range(5)]
    reports = [house.issue_report(reportNumber=f"B-{n}") for n in range(4)]
    house.settle()
    assert len({house.record(r.id).batch.root for r in [*records, *reports]}) == 1
    bundles = {r.id: evidence.write(evidence.read(shown(house, r, Audience.CUSTOMS))) for r in [*records, *reports]}
    for victim in (records[0], records[3], reports[3]):
        erase(house, victim)
    for record in [*records, *reports]:
        expected = Ruling.CANNOT_TELL if house.record(record.id).erased_at else Ruling.VALID
        assert verdict_on(house.at, house.record(record.id)).ruling is expected
        assert verdict_on_bundle(house.at, bundles[record.id]).ruling is Ruling.VALID  # who has a copy has a proof
    assert audit(house.at).discrepancies == ()


def test_an_audit_notices_an_erased_place_whose_digest_was_changed(house):
    record = held_certificate(house)
    erase(house, record)
    with house.at.work() as work:
        work.store.get_record(record.id).digest = sha256(b"another").hexdigest()
        work.commit()
    assert {one.name for one in audit(house.at).discrepancies} == {"proof-broken", "root-differs"}


def test_the_verdict_says_that_it_was_erased(house):
    record = held_certificate(house)
    erase(house, record)
    verdict = verdict_on(house.at, house.record(record.id))
    assert verdict.ruling is Ruling.CANNOT_TELL
    assert outcomes(verdict.checks)["CONTENT"] == ("cannot_tell", "erased")


def test_the_statement_that_a_certificate_replaced_goes_with_it_and_so_do_its_files(house):
    stored = files.store_pdf(house.at, house.merchant, PDF)
    fields = {k: v for k, v in certificate_fields(description=SECRET).items() if k != "certificateNumber"}
    fields["attachments"] = [{"fileName": "lamp.pdf", "size": stored.size, "sha256": stored.sha256}]
    chamber = house.chamber.organisation.id
    statement = stating.state(house.at, house.merchant, Kind.CERTIFICATE_OF_ORIGIN, fields, chamber)
    with house.at.work(reading=True) as work:
        request = work.store.find_request_about(statement.id)
    record = issuing.confirm(house.at, house.chamber, request.id, "CO-1")
    house.settle()
    gone = erase(house, record)
    assert {one.id for one in gone.records} == {record.id, statement.id}
    assert gone.files == 1
    assert house.at.files.get(stored.sha256) is None
    assert SECRET.encode() not in bytes_on_disk(house)


def test_a_file_that_another_record_binds_stays(house):
    stored = files.store_pdf(house.at, house.chamber, PDF)
    bound = [{"fileName": "lamp.pdf", "size": stored.size, "sha256": stored.sha256}]
    one = held_certificate(house, attachments=bound, certificateNumber="F-1")
    held_certificate(house, attachments=bound, certificateNumber="F-2")
    assert erase(house, one).files == 0
    assert house.at.files.get(stored.sha256) == PDF


def test_the_reason_of_a_revocation_goes_too(house):
    record = held_certificate(house)
    issuing.revoke(house.at, house.chamber, record.id, "Mrs Wong found a mistake")
    house.settle()
    erase(house, record)
    assert b"Mrs Wong" not in bytes_on_disk(house)


@pytest.mark.parametrize("who", ["rival", "chamber", "laboratory", "officer", "authority"])
def test_only_the_holder_erases(house, who):
    record = held_certificate(house)
    with pytest.raises(NotFound):
        erasing.erase(house.at, house.people[who], record.id)
    assert house.record(record.id).erased_at is None


def test_what_customs_still_need_is_not_erased(house):
    certificate = held_certificate(house)
    consignment = house.lodge([certificate])
    house.settle()
    with pytest.raises(Conflict, match="customs have not decided"):
        erase(house, certificate)
    with pytest.raises(NotAllowed):
        erasing.erase(house.at, house.merchant, consignment.id)
    lodging.withdraw(house.at, house.merchant, consignment.id)
    house.settle()
    erase(house, certificate)
    with house.at.work(reading=True) as work:
        dossier = verdict_on_consignment(house.at, work.store, work.store.get_consignment(consignment.id))
    assert "erased" in {check.reason for check in dossier.verdict.checks}
    assert "named-other" not in {check.reason for check in dossier.verdict.checks}


def test_a_certificate_whose_draw_the_ledger_has_not_taken_is_not_erased(house):
    certificate = held_certificate(house)
    consignment = house.lodge([certificate, house.issue_report()])
    house.settle()
    deciding.decide(house.at, house.officer, consignment.id, Decision.RELEASE, "Papers in order")
    with pytest.raises(Conflict, match="on their way"):
        erase(house, certificate)
    house.settle()
    erase(house, certificate)
    house.settle()
    assert house.consignment(consignment.id).status.name == "RELEASED"
    assert audit(house.at).discrepancies == ()


def test_an_erased_record_is_named_by_no_new_declaration(house):
    certificate = held_certificate(house)
    erase(house, certificate)
    with pytest.raises(Invalid):
        lodging.lodge(house.at, house.merchant, lodgement_fields(records=[certificate.id]))


def test_what_is_on_its_way_is_not_erased(house):
    record = house.issue_certificate()
    with pytest.raises(Conflict, match="on its way"):
        erase(house, record)
    house.settle()
    issuing.revoke(house.at, house.chamber, record.id, "wrong goods")
    with pytest.raises(Conflict, match="on its way"):
        erase(house, record)


def test_nothing_is_erased_twice(house):
    record = held_certificate(house)
    erase(house, record)
    with pytest.raises(Conflict, match="already"):
        erase(house, record)
