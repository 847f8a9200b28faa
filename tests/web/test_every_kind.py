"""Every kind of record, new ones too, from its operation to its sheet, its label and its schema, in both languages."""

import re

import pytest

from backend.domain import schemas
from backend.domain.kinds import CERTIFIED, KINDS, OWN
from backend.messages.catalogue import gettext, languages
from backend.web.presentation.field_names import field_value, in_words
from tests.helpers.builders import FIELDS, Api
from tests.web.test_pages import browser, signed_in  # noqa: F401


@pytest.fixture(scope="module")
def api(app, people):
    return Api(app.test_client(), people)


def made(api, kind):
    """A record of this kind that the demonstration's merchant holds, as the interface answers it."""
    stated = KINDS[kind]
    merchant = api.get("/me", "merchant").get_json()["organisation"]
    fields = FIELDS[kind](**{stated.number_field: api.fresh("N")})
    if stated.merchant_field:
        fields[stated.merchant_field] = {"name": merchant}
    return fields, api._made(f"/{stated.collection}", min(stated.signed_by), fields)


@pytest.mark.parametrize("kind", CERTIFIED + OWN)
def test_sheet_shows_kind_number_and_party(app, api, signed_in, kind):  # noqa: F811
    fields, record = made(api, kind)
    stated = KINDS[kind]
    for language in languages():
        page = signed_in("merchant").get(f"/records/{record['id']}?lang={language}")
        assert gettext(stated.names, "zh") in page
        assert stated.names in page
        assert fields[stated.number_field] in page
        for name in stated.words.keys() & fields.keys():
            assert gettext(stated.words[name].label, language) in page
            with app.test_request_context(f"/?lang={language}"):
                assert field_value(name, fields[name]) in page


@pytest.mark.parametrize("kind", CERTIFIED)
def test_label_names_issuer_and_its_act(api, people, settle, browser, kind):  # noqa: F811
    _fields, record = made(api, kind)
    settle()
    stated = KINDS[kind]
    (issuer,) = [people[role].organisation for role in stated.signed_by]
    path = f"/p/{record['labelUrl'].rsplit('/', 1)[1]}"
    english, chinese = (browser.get(f"{path}?lang={language}") for language in ("en", "zh"))
    assert stated.certification.label_text.format(issuer=issuer) in english
    assert stated.certification.signer in english
    assert gettext(stated.certification.signer, "zh") in chinese
    before, _, after = gettext(stated.certification.label_text, "zh").partition("{issuer}")
    assert re.search(re.escape(before) + ".+" + re.escape(after), chinese)


@pytest.mark.parametrize("kind", CERTIFIED)
def test_issuer_reads_revokes_and_shows_its_record(api, signed_in, kind):  # noqa: F811
    """An issuer holds what it certified for nobody known here."""
    stated = KINDS[kind]
    issuer = min(stated.signed_by)
    fields = FIELDS[kind](
        **{stated.number_field: api.fresh("N"), stated.merchant_field: {"name": "DemoUser Else Ltd."}}
    )
    made = api._made(f"/{stated.collection}", issuer, fields)
    pages = signed_in(issuer)
    assert fields[stated.number_field] in pages.get("/records")
    pages.get(f"/records/{made['id']}/show")
    pages.get(f"/records/{made['id']}")
    pages.post(f"/records/{made['id']}/revoke", {"reason": "wrong goods"})


@pytest.mark.parametrize("kind", [kind for kind in OWN if not KINDS[kind].is_badge])
def test_paper_that_nobody_certified_has_no_label(api, kind):
    assert made(api, kind)[1]["labelUrl"] is None


@pytest.mark.parametrize(("slug", "version"), schemas.published())
def test_published_schema_is_served(browser, slug, version):  # noqa: F811
    assert f":{slug}:v{version}" in browser.get(f"/schemas/{slug}/v{version}.json")


def test_day_too_early_is_told_in_both_languages(app):
    for language, words in (("en", "This must not lie before: Inspected on."), ("zh", "不得早于：检疫日期。")):
        with app.test_request_context(f"/?lang={language}"):
            assert in_words("must not lie before inspectionDate") == words
