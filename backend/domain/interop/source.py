"""A JSON document that remembers what was read of it, so that the rest can be told."""

from collections.abc import Iterator
from typing import Any

_SILENT = ("@context", "type", "credentialSchema")
"""Members that name the vocabulary and state no fact of trade."""


class Source:
    """A JSON value, asked by pointers (RFC 6901)."""

    def __init__(self, document: Any) -> None:
        self._document = document
        self._used: set[str] = set()

    def value(self, pointer: str) -> Any:
        """What stands there, or None; an empty string is nothing. Asking alone does not count as use."""
        node = self._document
        for part in pointer.split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if isinstance(node, dict):
                node = node.get(name)
            elif isinstance(node, list) and name.isascii() and name.isdigit() and int(name) < len(node):
                node = node[int(name)]
            else:
                return None
        return None if isinstance(node, str) and not node.strip() else node

    def size(self, pointer: str) -> int:
        """How many elements the list there has; 0 where there is none."""
        value = self.value(pointer)
        return len(value) if isinstance(value, list) else 0

    def use(self, pointer: str) -> None:
        """Note that what stands there was taken, with everything inside."""
        self._used.add(pointer)

    def unused(self) -> Iterator[tuple[str, int]]:
        """What nobody took: the highest pointers that hold nothing taken, and how many values each holds."""
        rest, _, _ = self._rest(self._document, "")
        yield from rest

    def _rest(self, node: Any, pointer: str) -> tuple[list[tuple[str, int]], int, bool]:
        """The untaken places below, how many values they hold, and whether anything below was taken."""
        if pointer in self._used:
            return [], 0, True
        if not isinstance(node, dict | list):
            empty = node is None or (isinstance(node, str) and not node.strip())
            return ([], 0, False) if empty else ([(pointer, 1)], 1, False)
        members = node.items() if isinstance(node, dict) else enumerate(node)
        below = [
            self._rest(member, f"{pointer}/{str(name).replace('~', '~0').replace('/', '~1')}")
            for name, member in members
            if name not in _SILENT
        ]
        places = [place for found, _, _ in below for place in found]
        count, taken = sum(n for _, n, _ in below), any(t for _, _, t in below)
        if pointer and count and not taken:
            return [(pointer, count)], count, False
        return places, count, taken
