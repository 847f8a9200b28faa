"""One replication in few numbers, small enough for a thousand of them; and where its start-up ends (MSER-5)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clearance_sim.analysis.quantiles import figures, quantiles
from clearance_sim.engine import state as st
from clearance_sim.engine.replication import Replication


def mser5(values: ArrayLike) -> int:
    """Return how many values to drop from the front, by the MSER-5 rule (White, 1997).

    Means of five are cut where the standard error of the rest is least. A cut in the second half means that the run
    is too short to tell; the whole first half is dropped then.
    """
    series = np.asarray(values, np.float64)
    series = series[: len(series) // 5 * 5].reshape(-1, 5).mean(axis=1)
    n = len(series)
    if n < 4:
        return 0
    left = np.arange(n, 0, -1)
    sums, squares = np.cumsum(series[::-1])[::-1], np.cumsum(series[::-1] ** 2)[::-1]
    error = np.maximum(squares - sums**2 / left, 0.0) / left.astype(np.float64) ** 2
    return 5 * int(np.argmin(error[: n // 2 + 1]))


AT = (0.5, 0.9, 0.95)
VISIT_FIGURES = (
    "entered", "served", "lost", "abandoned", "delayed_share", "wait_mean", "wait_p50", "wait_p90", "wait_p95",
    "sojourn_mean", "sojourn_p50", "sojourn_p90", "sojourn_p95", "throughput_per_h", "lost_share", "abandoned_share",
)  # fmt: skip
TIME_FIGURES = ("queue_length", "in_service", "on_duty", "utilisation", "overtime", "scheduled_overtime")
CLOCK_FIGURES = ("mean", "p50", "p90", "p95", "count", "standard_deviation")


@dataclass
class Summary:
    """The figures of one replication."""

    number: int
    visits: NDArray[np.float64]  # [station, all or class, VISIT_FIGURES]
    times: NDArray[np.float64]  # [station, TIME_FIGURES]
    clocks: NDArray[np.float64]  # [clock, all or class, CLOCK_FIGURES and one share for each target]
    observed: NDArray[np.float64]  # [moment, station or everyone, waiting | busy | on duty | share empty]
    run: NDArray[np.float64]  # arrived, counted, still inside, window hours, events
    values: NDArray[np.float64] | None
    classes: NDArray[np.int16] | None


def summarised(done: Replication, warm_up: int, warm_h: float, targets: list[tuple[float, ...]], keep: bool) -> Summary:
    """Return the figures of a replication; declarations of the warm-up do not count on the clocks."""
    window = done.window_to - done.window_from
    first = warm_up if not warm_h else done.arrived - done.counted
    counts = done.observed_n[:, None, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        observed = done.observed[:, :, :4] / counts
        run = np.array([done.arrived, done.counted, done.inside, window, done.events], np.float64)
        return Summary(
            done.number, _visits(done, window), _times(done, window), _clocks(done, first, targets), observed, run,
            done.out if keep else None, done.out_class if keep else None,
        )  # fmt: skip


def _visits(done: Replication, window: float) -> NDArray[np.float64]:
    stations, classes = done.sums.shape[:2]
    found = np.full((stations, classes + 1, len(VISIT_FIGURES)), np.nan)
    for s in range(stations):
        for c in range(classes + 1):
            sums = done.sums[s].sum(axis=0) if c == 0 else done.sums[s, c - 1]
            counted = done.histogram[s].sum(axis=0) if c == 0 and classes > 1 else done.histogram[s, max(c - 1, 0)]
            if c and classes == 1:
                found[s, c] = found[s, 0]
                continue
            served, entered = sums[st.SERVED], sums[st.ENTERED_N]
            found[s, c] = [
                entered, served, sums[st.LOST_N], sums[st.ABANDONED_N], sums[st.DELAYED] / served,
                sums[st.WAIT] / served, *quantiles(counted[0], AT), sums[st.SOJOURN] / served,
                *quantiles(counted[1], AT), served / window, sums[st.LOST_N] / entered, sums[st.ABANDONED_N] / entered,
            ]  # fmt: skip
    return found


def _times(done: Replication, window: float) -> NDArray[np.float64]:
    a = done.areas
    busy, duty = a[:, st.BUSY_AREA], a[:, st.DUTY_AREA]
    # What is worked beyond the number on duty is overtime; the rest is the use of those on duty.
    use = (busy - a[:, st.OVER_AREA]) / duty
    return np.column_stack(
        [a[:, st.QUEUE_AREA] / window, busy / window, duty / window, use, a[:, st.OVER_AREA] / window,
         a[:, st.OVERTIME_AREA] / window]
    )  # fmt: skip


def _clocks(done: Replication, first: int, targets: list[tuple[float, ...]]) -> NDArray[np.float64]:
    clocks, classes = done.out.shape[0], done.sums.shape[1]
    width = len(CLOCK_FIGURES) + max(map(len, targets), default=0)
    found = np.full((clocks, classes + 1, width), np.nan)
    of_class = done.out_class[first:]
    for k in range(clocks):
        of_clock = figures(done.out[k, first:], of_class, classes, AT, targets[k])
        found[k, :, : of_clock.shape[1]] = of_clock
    return found
