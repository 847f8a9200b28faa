"""The executor port, and the executors of this machine: serial, threads, processes."""

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor as Pool
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any, Protocol


class Executor(Protocol):
    """Executes functions somewhere."""

    @property
    def size(self) -> int:
        """How many parts run at the same time."""

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Start a part; what is returned stands for its result."""

    def gather(self, parts: Iterable[Any]) -> Iterator[Any]:
        """Yield the results, in the order of the parts."""

    def close(self) -> None:
        """Give back what was taken."""


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Serial:
    """One after the other, when asked for the result."""

    size = 1

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
        return lambda: function(*arguments)

    def gather(self, parts: Iterable[Callable[[], Any]]) -> Iterator[Any]:
        return (part() for part in parts)

    def close(self) -> None:
        pass


class _Pooled:
    def __init__(self, size: int, pool: Pool) -> None:
        self.size = size
        self._pool = pool

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return self._pool.submit(function, *arguments)

    def gather(self, parts: Iterable[Any]) -> Iterator[Any]:
        return (part.result() for part in parts)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


class Threads(_Pooled):
    """Threads of this process: no start, nothing copied; the compiled loop lets the others run."""

    def __init__(self, size: int) -> None:
        super().__init__(size, ThreadPoolExecutor(size, thread_name_prefix="replications"))


class Processes(_Pooled):
    """Processes of their own."""

    def __init__(self, size: int) -> None:
        super().__init__(size, ProcessPoolExecutor(size, mp_context=multiprocessing.get_context("spawn")))
