"""Several use cases in one unit of work: all of them happen, or none."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from backend.services.ports import AppContext
from backend.store.unit_of_work import JoinedWork


@contextmanager
def joined(ctx: AppContext) -> Iterator[AppContext]:
    """A context in which every use case joins one unit of work, committed at the end of the block.

    Nothing stands unless the block ends well. Anchoring is woken once, after the commit.
    """
    with ctx.work() as outer:
        work = JoinedWork(outer)
        yield replace(ctx, work=work, wake_anchoring=lambda: None)
        outer.commit()
    for step in work.steps:
        step()
    ctx.wake_anchoring()
