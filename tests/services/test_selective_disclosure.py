"""Holders show what is necessary and no more, and what they show is still proven."""

import json

import pytest

from backend.domain import bundle
from backend.domain.errors import Invalid, NotFound
from backend.domain.kinds import Audience, Kind
from backend.domain.sd_jwt import unb64
from backend.domain.selective_disclosure import every_field, fields_for
from backend.domain.verdict import Conclusion
from backend.services import bundles
from backend.services.verification import verdict_on_bundle
from tests.helpers.builders import FIELDS
from tests.services.encrypted_texts import SECRET, held_certificate, shown


@pytest.mark.parametrize("audience", Audience)
def test_each_audience_gets_only_its_fields_still_proven(installation, audience):
    record = held_certificate(installation)
    content = shown(installation, record, audience)
    (read,) = bundle.read(content).records
    expected = {*fields_for(audience, Kind.CERTIFICATE_OF_ORIGIN), "quantity"} & set(record.fields)
    assert set(read.record.subject) == expected
    assert verdict_on_bundle(installation.ctx, content).conclusion is Conclusion.VALID


def test_each_audience_is_shown_more_than_the_last():
    shown_to = [set(fields_for(audience, Kind.CERTIFICATE_OF_ORIGIN)) for audience in Audience]
    assert shown_to[0] < shown_to[1] < shown_to[2] < shown_to[3]


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("audience", Audience)
def test_choices_name_only_fields_that_there_are(kind, audience):
    assert set(fields_for(audience, kind)) <= set(every_field(kind))
    assert set(fields_for(Audience.CUSTOMS, kind)) >= set(FIELDS[kind]())


def test_what_is_withheld_is_nowhere_in_the_bundle(installation):
    record = held_certificate(installation)
    content = json.dumps(shown(installation, record, None, "originCountry"))
    read = bundle.read(json.loads(content)).records[0].record
    assert read.subject == {"originCountry": "CN", "quantity": "500"}
    assert SECRET not in content
    assert SECRET not in "".join(unb64(d).decode() for d in read.disclosures)
    assert "Morning Star" not in content.replace("Zhejiang", "")
    assert read.withheld == len(record.fields) - 2


def test_field_that_does_not_exist_cannot_be_shown(installation):
    with pytest.raises(Invalid, match="field"):
        shown(installation, held_certificate(installation), None, "salary")


@pytest.mark.parametrize("who", ["rival", "laboratory", "other_chamber", "authority"])
def test_others_cannot_show_a_record(installation, who):
    record = held_certificate(installation)
    with pytest.raises(NotFound):
        bundles.choose(installation.ctx, installation.people[who], record.id, Audience.BUYER)
