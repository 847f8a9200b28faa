"""The judge of the disk's faults finds what is planted; ``make disk-faults`` lets real ones happen."""

import sqlite3
from contextlib import closing
from hashlib import sha256

from tests.helpers.builders import PDF
from tests.stress.faulty_disk import (
    Outcome,
    _judge,
    prepare,
    work,
)


def test_judge_finds_planted_losses_and_half_written_files(tmp_path):
    prepare(tmp_path)
    with (tmp_path / "told").open("wb") as told:
        work(tmp_path, told.fileno())
    lines = (tmp_path / "told").read_text().split("\n")[:-1]
    sound = Outcome()
    _judge(tmp_path, lines, 0, sound, "nothing")
    assert (sound.faults, sound.answered, sound.unanswered) == ([], 12, 0)
    with closing(sqlite3.connect(tmp_path / "db.sqlite")) as connection, connection:
        connection.execute("UPDATE record SET signed_jwt = x'01' WHERE id = ?", [lines[0].split()[0]])
    planted = Outcome()
    _judge(tmp_path, [*lines, f"never-stored {sha256(PDF + b'x').hexdigest()}"], 0, planted, "planted")
    assert len(planted.faults) == 3
