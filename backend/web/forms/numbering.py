"""The number that comes after: chambers, laboratories and merchants count in their own ways."""

import re
from collections.abc import Callable

_COUNTED = re.compile(r"^(.*?)(\d+)(\D*)$", re.DOTALL)


def next_number(last: str | None, first: str, is_taken: Callable[[str], bool]) -> str:
    """The number after ``last``, in the same pattern, that is not taken yet; ``first`` where there was none."""
    number = _after(last) if last else first
    for _attempt in range(1000):
        if not is_taken(number):
            break
        number = _after(number)
    return number


def _after(number: str) -> str:
    found = _COUNTED.match(number)
    if found is None:
        return f"{number}-2"
    head, digits, tail = found.groups()
    return f"{head}{int(digits) + 1:0{len(digits)}d}{tail}"
