"""The compiled functions that Python calls; see engine.compilation for why they carry a digest."""

import functools
from collections.abc import Callable
from typing import Any

from clearance_sim.engine.compilation import kept_on_disk, sources
from clearance_sim.engine.distributions import draw
from clearance_sim.engine.loop import begin_run, go_on
from clearance_sim.engine.philox import uniforms


@functools.cache
def entry_points(plain: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return `set_up` and `advance` of the loop, compiled or loaded from the cache.

    `advance` is compiled twice: for plain scenarios (1), and for all (0).
    """
    version = sources()

    @kept_on_disk
    def set_up(tables, state, seed, replication):  # type: ignore[no-untyped-def]
        # Used, so that it is a variable of the closure: only these are part of the key under which numba keeps the
        # code.
        _ = version
        begin_run(tables, state, seed, replication)

    @kept_on_disk
    def advance(tables, state, seed, replication, until_left):  # type: ignore[no-untyped-def]
        _ = version
        return go_on(tables, state, seed, replication, until_left, plain)

    return set_up, advance


@functools.cache
def drawing() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return `draw` and `uniforms`, for single numbers."""
    version = sources()

    @kept_on_disk
    def one(row, table, u):  # type: ignore[no-untyped-def]
        _ = version
        return draw(row, table, u)

    @kept_on_disk
    def four(seed, replication, declaration, stream, visit, purpose):  # type: ignore[no-untyped-def]
        _ = version
        return uniforms(seed, replication, declaration, stream, visit, purpose)

    return one, four
