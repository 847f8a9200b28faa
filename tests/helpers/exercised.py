"""Which answers checks gave while something ran, and which of the registered ones nothing made them give."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from backend.domain.verdict import Check, Outcome, Register, RegisteredCheck

Given = tuple[str, Outcome, str]


@contextmanager
def listening() -> Iterator[set[Given]]:
    """Every answer that any check gives meanwhile: (code, outcome, reason)."""
    given: set[Given] = set()
    answer = RegisteredCheck.answer

    def heard(self: RegisteredCheck[Any], *args: Any, **named: Any) -> Check:
        found = answer(self, *args, **named)
        given.add((found.code, found.outcome, found.reason))
        return found

    with patch.object(RegisteredCheck, "answer", heard):
        yield given


def unexercised(register: Register, given: Collection[Given]) -> list[str]:
    """The checks that were never made, and the answers that were never given, in words."""
    told = []
    for check in register:
        if not any(code == check.code for code, _, _ in given):
            told.append(f"{check.code} is never made")
            continue
        told += [
            f"{check.code} never answers {answer.reason} ({answer.outcome})"
            for answer in check.answers
            if (check.code, answer.outcome, answer.reason) not in given
        ]
    return told
