"""Several use cases in one unit of work, so that all of them are stored or none."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from backend.services.ports import AppContext
from backend.store.unit_of_work import JoinedWork


@contextmanager
def joined(ctx: AppContext) -> Iterator[AppContext]:
    """Yield a context in which every use case joins one unit of work, committed at the end of the block.

    An error in the block rolls everything back. Anchoring is woken once, after the commit, since before it there is
    nothing to see.
    """
    with ctx.work() as outer:
        yield replace(ctx, work=JoinedWork(outer), wake_anchoring=lambda: None)
        outer.commit()
    ctx.wake_anchoring()
