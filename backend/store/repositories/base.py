"""What every part of the store builds on: one session, and how things are found in it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend.domain.errors import Conflict, NotFound

Entity = TypeVar("Entity")


@contextmanager
def integrity_errors_as_conflict(session: Session) -> Iterator[None]:
    """What the database refuses because it is there already is a Conflict in our words."""
    try:
        yield
    except IntegrityError as error:
        session.rollback()
        raise Conflict("this was recorded already", fact=str(error.orig)) from error


class Repository:
    """Finds and keeps one kind of entity inside one session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def _all(self, query: Select[Any]) -> Sequence[Any]:
        return self._session.scalars(query).unique().all()

    def _one(self, query: Select[Any], kind: type[Entity]) -> Entity | None:
        found = self._session.scalars(query.limit(1)).unique().first()
        assert found is None or isinstance(found, kind)
        return found

    def _get(self, kind: type[Entity], key: str, absent: str) -> Entity:
        entity = self._session.get(kind, key)
        if entity is None:
            raise NotFound(absent, id=key)
        return entity
