"""Several use cases in one unit of work: all of them happen, or none."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from backend.services.ports import AppContext, Store, UnitOfWork


@dataclass
class _Within:
    """A unit of work inside another: its commit is left to the one around it."""

    store: Store

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the end to the one around it."""

    def commit(self) -> None:
        """Leave it to the one around it."""


@contextmanager
def together(ctx: AppContext) -> Iterator[AppContext]:
    """AppContext in which every use case joins one unit of work, committed at the end of the block.

    Nothing stands unless the block ends well; only then is anchoring woken.
    """
    with ctx.work() as around:

        def join(*, reading: bool = False) -> UnitOfWork:
            return _Within(around.store)

        yield replace(ctx, work=join, wake_anchoring=lambda: None)
        around.commit()
    ctx.wake_anchoring()
