"""Kills a migration with SIGKILL at each of its statements, and looks at what is left: the old tables or the new ones.

``python -m tests.stress.killed_migration FOLDER [KILLS]``: with KILLS only at so many statements, others each time. A
process of its own, since forking copies the locks of other threads; tests/adapters/test_migrations.py starts it.
"""

import os
import random
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import event

from backend.store.database import open_engine, upgrade
from backend.store.encryption import DataKeys

FIRST = "0001"


def main(folder: Path, kills: int | None = None) -> None:
    """Tell how many kills there were, how often old tables were left and how often new ones."""
    old, new = folder / "old.sqlite", folder / "new.sqlite"
    _in_child(lambda: _upgrade(old, to=FIRST))
    _plant(old)
    shutil.copy(old, new)
    statements = folder / "statements"
    _in_child(lambda: _upgrade(new, counted=statements))
    shape = {"old": _shape(old), "new": _shape(new)}
    assert shape["old"] != shape["new"]
    found = {"old": 0, "new": 0}
    for nth in _places(int(statements.read_text()) + 2, kills):
        victim = folder / f"{nth}.sqlite"
        shutil.copy(old, victim)
        code = _in_child(lambda path=victim, n=nth: _upgrade(path, kill_at=n))
        assert code == -signal.SIGKILL, code
        is_left = next((name for name, one in shape.items() if one == _shape(victim)), "between")
        assert is_left != "between", f"killed at statement {nth}: neither old nor new"
        found[is_left] += 1
        assert _in_child(lambda path=victim: _upgrade(path)) == 0
        assert _shape(victim) == shape["new"]
        victim.unlink()
    assert all(found.values()), found
    print(f"{sum(found.values())} kills: {found['old']} left the old tables, {found['new']} the new ones, none between")


def _places(count: int, kills: int | None) -> list[int]:
    """Where it is killed. The last two, before the commit and after it, are always among them."""
    if kills is None or kills >= count:
        return list(range(count))
    return sorted([*random.sample(range(count - 2), kills - 2), count - 2, count - 1])


def _upgrade(path: Path, to: str = "head", kill_at: int | None = None, counted: Path | None = None) -> None:
    engine = open_engine(f"sqlite:///{path}", DataKeys(path.with_name("record.keys")))
    number = [0]

    @event.listens_for(engine, "before_cursor_execute")
    def _kill(*_: Any) -> None:
        if number[0] == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        number[0] += 1

    @event.listens_for(engine, "commit")
    def _kill_before_commit(_: Any) -> None:
        if number[0] == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    upgrade(engine, to)
    if kill_at is not None:
        os.kill(os.getpid(), signal.SIGKILL)  # all is written, and nobody was told
    if counted is not None:
        counted.write_text(str(number[0]))
    engine.dispose()


def _plant(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO accreditation_act (id, thumbprint, verb, terms, asked_at, asked_by) "
            "VALUES ('1', 'a', 'accredit', '{}', '2026-03-02 12:00:00', 'somebody')"
        )


def _shape(path: Path) -> Any:
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        tables = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")
        shape = [(name, _parts(sql)) for name, sql in tables]
        table = next(name for name, _ in shape if name in ("accreditation_act", "accreditation_change"))
        planted = connection.execute(f"SELECT thumbprint FROM {table}").fetchall()
        revision = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    assert planted == [("a",)], "a row was lost"
    return shape, revision


def _parts(sql: str) -> list[str]:
    """The parts of a definition in their order, constraints last: SQLAlchemy writes those of a table in any order."""
    parts = [part.strip("() ") for part in " ".join(sql.split()).split(", ")]
    constraints = sorted(part for part in parts if part.startswith("CONSTRAINT"))
    return [part for part in parts if not part.startswith("CONSTRAINT")] + constraints


def _in_child(work: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        code = 70
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
