"""DATABASE_URL, as libpq writes it, becomes what SQLAlchemy and the driver understand."""

import pytest
from sqlalchemy import make_url

from backend.settings import Settings, WrongSetting


def address(text: str) -> str:
    return Settings.from_environment({"DATABASE_URL": text}).database_url or ""


def test_several_hosts_become_parameters() -> None:
    found = make_url(address("postgresql://me:p%2Cw@db1:5433,[::1]/name?target_session_attrs=read-write"))
    assert (found.username, found.password, found.database, found.host) == ("me", "p,w", "name", None)
    assert found.query == {"target_session_attrs": "read-write", "host": "db1,::1", "port": "5433,5432"}


@pytest.mark.parametrize("text", ["postgresql://me@db:5432/name", "postgresql://me@/name?host=/run/postgresql"])
def test_one_host_stays_as_it_is(text: str) -> None:
    assert address(text) == text


@pytest.mark.parametrize("text", ["postgresql://db:x/name", "postgresql://db1,db2:x/name", "postgresql://db1,db2"])
def test_wrong_address_is_refused(text: str) -> None:
    with pytest.raises(WrongSetting):
        address(text)


def test_wrong_log_format_is_refused() -> None:
    with pytest.raises(WrongSetting, match="LOG_FORMAT"):
        Settings.from_environment({"LOG_FORMAT": "xml"})
