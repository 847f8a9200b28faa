"""Replications on a cluster: an executor over Dask, on a scheduler that runs already or on a cluster of this machine.

Every draw is keyed by seed, replication and declaration, so where a chunk runs, or that it runs twice because its
worker died, changes nothing in the result.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

from clearance_sim.messages import _

Result = TypeVar("Result")
CONNECT_SECONDS = 15
CLOSE_SECONDS = 15
DEATHS_BORNE = 5
"""Workers that may die with the same chunk before it is given up: by then the chunk itself is to blame."""


class ClusterError(Exception):
    """The cluster cannot be used; the text says what to do."""


class DaskExecutor:
    """Obeys the executor port; close it, or use it with ``with``."""

    def __init__(self, scheduler: str | None = None, workers: int = 2) -> None:
        """Connect to ``scheduler`` (``tcp://host:8786``), or start ``workers`` processes here where it is None."""
        _be_quiet()
        self._cluster: LocalCluster | None = None
        self._client: Client = self._connect(scheduler) if scheduler else self._start(workers)
        try:
            self._check_workers()
        except ClusterError:
            self.close()
            raise

    def _connect(self, scheduler: str) -> "Client":
        distributed = _distributed()
        try:
            client: Client = distributed.Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
            return client
        except (OSError, ValueError) as error:
            raise ClusterError(
                _(
                    "no Dask scheduler answers at {scheduler}: start one with dask scheduler, and workers "
                    "with dask worker ADDRESS, in environments where make cluster was run",
                    scheduler=scheduler,
                )
            ) from error

    def _start(self, workers: int) -> "Client":
        distributed = _distributed()
        self._cluster = distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        )
        client: Client = distributed.Client(self._cluster, timeout=CONNECT_SECONDS, set_as_default=False)
        return client

    def _check_workers(self) -> None:
        """Make sure that there is a worker, and that each has the simulator that is here."""
        distributed = _distributed()
        try:
            self._client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except (TimeoutError, distributed.TimeoutError) as error:
            raise ClusterError(
                _(
                    "the scheduler has had no worker for {seconds} s: start one with dask worker",
                    seconds=CONNECT_SECONDS,
                )
            ) from error
        here = _version()
        # As chunks of work, not as calls to every worker: those would wait for one that is just dying.
        asked = {address: self._client.submit(_version, workers=[address], pure=False) for address in self._addresses()}
        for address, future in asked.items():
            try:
                found = future.result(timeout=CONNECT_SECONDS)
            except (TimeoutError, distributed.TimeoutError) as error:
                raise ClusterError(
                    _("the worker at {address} does not answer: end it, or start it again", address=address)
                ) from error
            if found != here:
                raise ClusterError(
                    _(
                        "the worker at {address} has {value}, here is {here}: install the same there",
                        address=address,
                        value=found or "no Provenport",
                        here=here,
                    )
                )

    def _addresses(self) -> list[str]:
        return list(self._client.nthreads())  # type: ignore[no-untyped-call]

    @property
    def size(self) -> int:
        """How many chunks run at once."""
        return max(1, sum(self._client.nthreads().values()))  # type: ignore[no-untyped-call]

    def submit(self, function: Callable[..., Result], *args: Any) -> Any:
        """Send a chunk; gives its future."""
        return self._client.submit(function, *args, pure=False, retries=0)

    def gather(self, futures: Iterable[Any]) -> Iterator[Any]:
        """Yield the results in the order in which they were sent; a chunk whose worker died runs again elsewhere."""
        distributed = _distributed()
        for future in futures:
            try:
                yield future.result()
            except distributed.KilledWorker as error:
                raise ClusterError(
                    _(
                        "a chunk was given up after {workers} workers had died with it: give workers more "
                        "memory, or send smaller chunks",
                        workers=DEATHS_BORNE,
                    )
                ) from error
            except distributed.CancelledError as error:
                raise ClusterError(_("the connection to the scheduler was lost while chunks were under way")) from error
            future.release()

    def close(self) -> None:
        """Disconnect, and end what was started here; a scheduler that ran before runs on."""
        # The client first: it would otherwise complain that its scheduler has gone.
        self._client.close(timeout=CLOSE_SECONDS)  # type: ignore[no-untyped-call]
        if self._cluster is not None:
            self._cluster.close(timeout=CLOSE_SECONDS)

    def __enter__(self) -> "DaskExecutor":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise ClusterError(_("a cluster needs Dask: run make cluster in Provenport's folder")) from error
    return distributed


def _be_quiet() -> None:
    """Silence Dask's own log, since what fails is reported once by ClusterError."""
    _distributed()
    import dask

    dask.config.set(
        {
            "logging.distributed": "critical",
            "distributed.scheduler.allowed-failures": DEATHS_BORNE,
            "distributed.worker.preload": [],
            "distributed.admin.log-format": "%(message)s",
        }
    )
    logging.getLogger("distributed").setLevel(logging.CRITICAL)


def _version() -> str:
    """Return which Provenport a process has; runs on the workers too."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        import clearance_sim  # noqa: F401 - it must be there, not only known to pip

        return f"Provenport {version('provenport')}"
    except (ImportError, PackageNotFoundError):
        return ""
