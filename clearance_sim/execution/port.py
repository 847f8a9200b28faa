"""What a run needs of whoever executes its parts."""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol


class Executor(Protocol):
    """Executes functions somewhere."""

    @property
    def size(self) -> int:
        """How many parts run at the same time."""

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Start a part; what is returned stands for its result."""

    def gather(self, parts: Iterable[Any]) -> Iterator[Any]:
        """The results, in the order of the parts."""

    def close(self) -> None:
        """Give back what was taken."""


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
