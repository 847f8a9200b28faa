"""Alembic's entry point: runs the migrations on the connection that the caller has opened."""

from typing import Any, Literal

from alembic import context
from sqlalchemy.types import TypeDecorator

from backend.store.tables import metadata


def plain_types(kind: str, thing: Any, _: Any) -> str | Literal[False]:
    """Render our column types in migrations as the database's own, so that old migrations import no present code."""
    return f"sa.{thing.impl!r}" if kind == "type" and isinstance(thing, TypeDecorator) else False


connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True, render_item=plain_types)
with context.begin_transaction():
    context.run_migrations()
