"""The keys of texts are out of reach: what is asked for is answered 503 in words, not as erased or altered."""

import pytest

from backend.domain.errors import StorageUnavailable
from backend.store.encryption import DataKeys
from tests.helpers.builders import Api


@pytest.fixture
def away(monkeypatch):
    def refuse(*_):
        raise StorageUnavailable("the database of keys does not answer: {why}", why="connection refused")

    def take_away():
        monkeypatch.setattr(DataKeys, "_read", refuse)
        monkeypatch.setattr(DataKeys, "_take", refuse)

    return take_away


def test_texts_without_keys_are_answered_503(app, people, settle, away):
    api = Api(app.test_client(), people)
    made = api.certificate()
    settle()
    path = f"/records/{made['id']}"
    assert api.get(path, "merchant").status_code == 200
    away()
    for answer in (api.get(path, "merchant"), api.get(f"{path}/evidence", "merchant")):
        assert (answer.status_code, answer.mimetype) == (503, "application/problem+json")
        assert "does not answer" in answer.get_json()["detail"]
        assert answer.headers["Retry-After"]
