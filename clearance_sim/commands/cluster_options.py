"""Options of commands that may run on a cluster: ``--scheduler ADDRESS`` or ``--dask-workers N``."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import click

from clearance_sim.execution.port import Executor

Command = TypeVar("Command", bound=Callable[..., object])
MOST_WORKERS = 256


def cluster_options(command: Command) -> Command:
    """Add the options; the command takes them as ``scheduler`` and ``dask_workers``."""
    scheduler = click.option(
        "--scheduler", metavar="tcp://HOST:PORT", help="Run on the Dask cluster of this scheduler."
    )
    workers = click.option(
        "--dask-workers", type=click.IntRange(1, MOST_WORKERS), help="Run on so many Dask processes of this machine."
    )
    return scheduler(workers(command))


@contextmanager
def executor_for(scheduler: str | None, dask_workers: int | None) -> Iterator[Executor | None]:
    """The executor that was asked for, closed at the end; None where none was, so that threads are used."""
    if scheduler is None and dask_workers is None:
        yield None
        return
    if scheduler is not None and dask_workers is not None:
        raise click.UsageError("--scheduler and --dask-workers exclude each other: its workers are already there")
    from clearance_sim.execution.dask_cluster import ClusterError, DaskExecutor

    try:
        with DaskExecutor(scheduler, dask_workers or 1) as executor:
            yield executor
    except ClusterError as error:
        raise click.ClickException(str(error)) from error
