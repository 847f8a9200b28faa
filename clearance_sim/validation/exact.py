"""Exact answers of queueing theory, in closed form or by Markov chain. Each function names the result it is.

Rates are per hour, times in hours. Nothing is simulated, and no value is copied from a table.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.sparse import csr_array
from scipy.stats import poisson

Floats = NDArray[np.float64]


def erlang_b(servers: int, offered: float) -> float:
    """Return the share lost in M/G/c/c (Erlang 1917), whatever the service distribution.

    `offered` is rate times mean service.
    """
    blocked = 1.0
    for k in range(1, servers + 1):
        blocked = offered * blocked / (k + offered * blocked)
    return blocked


def erlang_c(servers: int, offered: float) -> float:
    """Return the share that waits in M/M/c (Erlang 1917)."""
    blocked, load = erlang_b(servers, offered), offered / servers
    return blocked / (1.0 - load + load * blocked)


def mmc_wait(rate: float, mean_h: float, servers: int) -> float:
    """Return the mean wait in M/M/c, from Erlang's C formula."""
    return erlang_c(servers, rate * mean_h) / (servers / mean_h - rate)


def mmck(rate: float, mean_h: float, servers: int, room: int) -> tuple[float, float]:
    """Return the share lost and mean number waiting in M/M/c with `room` places to wait."""
    weights = [1.0]
    for n in range(1, servers + room + 1):
        weights.append(weights[-1] * rate * mean_h / min(n, servers))
    shares = np.array(weights) / sum(weights)
    waiting = np.maximum(np.arange(len(weights)) - servers, 0)
    return float(shares[-1]), float(shares @ waiting)


def pollaczek_khinchine_wait(rate: float, mean_h: float, squared_cv: float) -> float:
    """Return the mean wait in M/G/1 (Pollaczek 1930, Khinchine 1932)."""
    return rate * mean_h**2 * (1.0 + squared_cv) / (2.0 * (1.0 - rate * mean_h))


def batch_wait(rate: float, mean_h: float, size: float, size_squared: float) -> float:
    """Return the mean wait in M[X]/M/1: batches at `rate`, of mean size E[X] and E[X²] (Gross and Harris, 3.1)."""
    load = rate * size * mean_h
    in_system = (load + rate * mean_h * size_squared) / (2.0 * (1.0 - load))
    return in_system / (rate * size) - mean_h


def mdc_wait(rate: float, value_h: float, servers: int) -> float:
    """Return the mean wait in M/D/c (Crommelin 1932), from the chain seen every `value_h` hours."""
    states = 1200
    arrivals = poisson.pmf(np.arange(states), rate * value_h)
    chain = np.zeros((states, states))
    for n in range(states):
        left = max(n - servers, 0)
        chain[n, left:] = arrivals[: states - left]
        chain[n, -1] += 1.0 - chain[n].sum()
    shares = stationary(chain)
    return float(shares @ np.maximum(np.arange(states) - servers, 0)) / rate


def stationary(chain: Floats) -> Floats:
    """Return the stationary distribution of a Markov chain with this transition matrix."""
    equations = chain.T - np.eye(len(chain))
    equations[-1] = 1.0
    right = np.zeros(len(chain))
    right[-1] = 1.0
    return np.asarray(np.linalg.solve(equations, right), dtype=np.float64)


def jackson_sojourns(
    outside: Sequence[float], routing: Sequence[Sequence[float]], means_h: Sequence[float], servers: Sequence[int]
) -> tuple[list[float], float]:
    """Return the mean time per visit at each node of a Jackson network (1957), and from entering to leaving it."""
    flows = np.linalg.solve(np.eye(len(outside)) - np.array(routing).T, np.array(outside))
    times = [mmc_wait(f, m, c) + m for f, m, c in zip(flows, means_h, servers, strict=True)]
    return times, float(flows @ np.array(times)) / sum(outside)


def cobham_waits(rates: Sequence[float], means_h: Sequence[float], second_moments: Sequence[float]) -> list[float]:
    """Return the mean waits by priority in M/G/1 without interruption (Cobham 1954), highest priority first."""
    residual = sum(rate * moment for rate, moment in zip(rates, second_moments, strict=True)) / 2.0
    waits, before = [], 0.0
    for rate, mean in zip(rates, means_h, strict=True):
        after = before + rate * mean
        waits.append(residual / ((1.0 - before) * (1.0 - after)))
        before = after
    return waits


def priority_waits(rates: Sequence[float], mean_h: float, servers: int) -> list[float]:
    """Return the mean waits by priority in M/M/c without interruption, one service rate for all (Cobham 1954)."""
    offered = sum(rates) * mean_h
    residual = erlang_c(servers, offered) * mean_h / servers
    waits, before = [], 0.0
    for rate in rates:
        after = before + rate * mean_h / servers
        waits.append(residual / ((1.0 - before) * (1.0 - after)))
        before = after
    return waits


def pre_emptive_sojourns(
    rates: Sequence[float], means_h: Sequence[float], second_moments: Sequence[float]
) -> list[float]:
    """Return the mean sojourns by priority in M/G/1 with interruption and resumption (White and Christie 1958)."""
    sojourns, before, residual = [], 0.0, 0.0
    for rate, mean, moment in zip(rates, means_h, second_moments, strict=True):
        after = before + rate * mean
        residual += rate * moment / 2.0
        sojourns.append(mean / (1.0 - before) + residual / ((1.0 - before) * (1.0 - after)))
        before = after
    return sojourns


def pre_emptive_room(rates: Sequence[float], mean_h: float, room: int) -> tuple[float, list[float]]:
    """Return the share lost, and the mean sojourns of two priorities, in M/M/1 with pre-emption and `room` to wait.

    An arrival that finds one in service and `room` waiting is lost, whatever its priority. Computed from the Markov
    chain of the numbers of both present. The sojourns follow by Little's law (1961).
    """
    most = room + 2
    states = [(first, second) for first in range(most) for second in range(most - first)]
    place = {state: number for number, state in enumerate(states)}
    fastest = sum(rates) + 1.0 / mean_h
    chain = np.eye(len(states))
    for (first, second), here in place.items():
        served = (first - 1, second) if first else (first, second - 1)
        moves = [((first + 1, second), rates[0]), ((first, second + 1), rates[1]), (served, 1.0 / mean_h)]
        for there, rate in moves:
            if there in place:
                chain[here, place[there]] += rate / fastest
                chain[here, here] -= rate / fastest
    shares = stationary(chain)
    lost = float(sum(shares[place[state]] for state in states if sum(state) == room + 1))
    present = shares @ np.array(states)
    return lost, [float(n / (rate * (1.0 - lost))) for n, rate in zip(present, rates, strict=True)]


def fixed_work_wait(jobs: int, work_h: float, opens_h: float, a_shift: int, cycle_h: float) -> float:
    """Return the mean wait of jobs of equal length that come together at hour 0 of a cycle, for one server.

    A shift takes `a_shift` of them: they fill it, and nobody begins one at its end.
    """
    starts = [cycle_h * (k // a_shift) + opens_h + work_h * (k % a_shift) for k in range(jobs)]
    return math.fsum(starts) / jobs


def swinging_infinite_servers(
    rate: float, amplitude: float, period_h: float, mean_h: float, moments_h: Sequence[float]
) -> list[float]:
    """Return the mean number in Mt/M/infinity at these moments of the cycle.

    The rate is rate (1 + amplitude sin(2 pi t / period)).

    Eick, Massey and Whitt (1993).
    """
    w = 2.0 * math.pi / period_h
    swing = rate * amplitude * mean_h / (1.0 + (w * mean_h) ** 2)
    return [rate * mean_h + swing * (math.sin(w * t) - w * mean_h * math.cos(w * t)) for t in moments_h]


def swinging_arrivals(rate: float, amplitude: float, period_h: float, phase_h: float, horizon_h: float) -> float:
    """Return expected arrivals up to the horizon.

    The integral of rate (1 + amplitude sin(2 pi (t - phase) / period)).
    """
    w = 2.0 * math.pi / period_h
    swing = math.cos(w * phase_h) - math.cos(w * (horizon_h - phase_h))
    return rate * (horizon_h + amplitude * swing / w)


def deterministic_arrivals_wait(gap_h: float, mean_h: float) -> float:
    """Return the mean wait in D/M/1 (Kendall 1953): s / (1 - s) mean services, where s = exp(-(1 - s) gap / mean)."""
    sigma = brentq(lambda s: s - math.exp(-(1.0 - s) * gap_h / mean_h), 0.0, 1.0 - 1e-9)
    return mean_h * float(sigma) / (1.0 - float(sigma))


def kingman_bound(gap_mean_h: float, gap_cv2: float, mean_h: float, squared_cv: float) -> float:
    """Return Kingman's upper bound (1962) on the mean wait in GI/G/1."""
    rate = 1.0 / gap_mean_h
    return rate * (gap_cv2 * gap_mean_h**2 + squared_cv * mean_h**2) / (2.0 * (1.0 - rate * mean_h))


def erlang_a(rate: float, mean_h: float, servers: int, patience_h: float) -> tuple[float, float]:
    """Return the mean number waiting and share that gives up in M/M/c with memoryless patience (Palm 1957)."""
    weights = [1.0]
    while len(weights) < 4000:
        n = len(weights)
        weights.append(weights[-1] * rate / (min(n, servers) / mean_h + max(0, n - servers) / patience_h))
    shares = np.array(weights) / sum(weights)
    waiting = float(shares @ np.maximum(np.arange(len(weights)) - servers, 0))
    return waiting, waiting / patience_h / rate


@dataclass(frozen=True)
class Roster:
    """An M/M/c queue whose number of servers follows a cycle of equal shifts."""

    rate: float
    mean_h: float
    servers: tuple[int, ...]
    shift_h: float

    @property
    def cycle_h(self) -> float:
        """The length of the cycle in hours."""
        return self.shift_h * len(self.servers)


_MOST = 260


class Chain:
    """A continuous-time Markov chain over states 0..n-1, given by its transitions (from, to, rate).

    Its distribution is computed by uniformisation: exp(Q t) is the mixture of the powers of P = I + Q / q with
    Poisson(q t) weights. The state space is cut off where its probability is negligible.
    """

    def __init__(self, size: int, moves: Iterator[tuple[int, int, float]]) -> None:
        origins, ends, rates = (np.array(column) for column in zip(*moves, strict=True))
        leaving = np.bincount(origins, rates, size)
        self.fastest = float(leaving.max()) or 1.0
        stay = 1.0 - leaving / self.fastest
        entries = np.concatenate([rates / self.fastest, stay])
        rows, columns = np.concatenate([ends, np.arange(size)]), np.concatenate([origins, np.arange(size)])
        self._step = csr_array((entries, (rows, columns)), (size, size))

    def carried(self, shares: Floats, hours: float) -> tuple[Floats, Floats]:
        """Return the distribution after some hours, and the hours spent in each state until then."""
        expected = self.fastest * hours
        terms = int(poisson.ppf(1.0 - 1e-14, expected)) + 2
        weights = poisson.pmf(np.arange(terms), expected)
        # The time integral of Poisson(qt) weights: the chance of more than k jumps, over q.
        stays = poisson.sf(np.arange(terms), expected) / self.fastest
        after, spent = np.zeros_like(shares), np.zeros_like(shares)
        for weight, stay in zip(weights, stays, strict=True):
            after += weight * shares
            spent += stay * shares
            shares = self._step @ shares
        return after, spent


def from_empty(rate: float, mean_h: float, servers: int, moments_h: list[float]) -> list[float]:
    """Return the mean number in M/M/c at these moments when it starts empty."""
    most = 600
    chain = Chain(most, _birth_and_death(rate, mean_h, servers, most))
    found = []
    for moment in moments_h:
        shares = np.zeros(most)
        shares[0] = 1.0
        found.append(float(chain.carried(shares, moment)[0] @ np.arange(most)))
    return found


def pre_empt_resume_sojourn(roster: Roster) -> float:
    """Return the mean sojourn where work stops at the end of a shift and resumes with the next server."""
    chains = [Chain(_MOST, _birth_and_death(roster.rate, roster.mean_h, c, _MOST)) for c in roster.servers]
    numbers = np.arange(_MOST)

    def cycle(shares: Floats) -> tuple[Floats, float]:
        held = 0.0
        for chain in chains:
            shares, spent = chain.carried(shares, roster.shift_h)
            held += float(spent @ numbers)
        return shares, held

    return _periodic(cycle, _MOST) / roster.cycle_h / roster.rate


def roster_loss(roster: Roster, room: int) -> float:
    """Return the share lost where work stops at the end of a shift and resumes later, with `room` places to wait.

    Interrupted declarations stay. An arrival is lost while the waiting places are full.
    """
    numbers = np.arange(_MOST)
    full = [numbers >= servers + room for servers in roster.servers]

    def moves(servers: int, barred: NDArray[np.bool_]) -> Iterator[tuple[int, int, float]]:
        for here, there, rate in _birth_and_death(roster.rate, roster.mean_h, servers, _MOST):
            if there < here or not barred[here]:
                yield here, there, rate

    chains = [Chain(_MOST, moves(c, barred)) for c, barred in zip(roster.servers, full, strict=True)]

    def cycle(shares: Floats) -> tuple[Floats, float]:
        hours = 0.0
        for chain, barred in zip(chains, full, strict=True):
            shares, spent = chain.carried(shares, roster.shift_h)
            hours += float(spent @ barred)
        return shares, hours

    return _periodic(cycle, _MOST) / roster.cycle_h


def crew_sojourn(roster: Roster) -> float:
    """Return the mean sojourn where a crew finishes what it began beside the new crew, which starts with new work.

    A declaration in service at a change of shift stays one more mean service on average, and occupies nobody of the new
    crew.
    """
    chains = [Chain(_MOST, _birth_and_death(roster.rate, roster.mean_h, c, _MOST)) for c in roster.servers]
    numbers = np.arange(_MOST)

    def cycle(shares: Floats) -> tuple[Floats, float]:
        held = 0.0
        for chain, servers in zip(chains, roster.servers, strict=True):
            shares, spent = chain.carried(shares, roster.shift_h)
            in_service = np.minimum(numbers, servers)
            held += float(spent @ numbers) + float(shares @ in_service) * roster.mean_h
            kept = np.zeros_like(shares)
            np.add.at(kept, numbers - in_service, shares)
            shares = kept
        return shares, held

    return _periodic(cycle, _MOST) / roster.cycle_h / roster.rate


def drain_sojourn(roster: Roster) -> float:
    """Return the mean sojourn where servers finish what they began after their shift, counted among the next shift."""
    most_busy = max(roster.servers)
    size = (most_busy + 1) * _MOST
    chains = [Chain(size, _draining(roster, servers, most_busy)) for servers in roster.servers]
    numbers = np.tile(np.arange(_MOST), most_busy + 1) + np.repeat(np.arange(most_busy + 1), _MOST)

    def cycle(shares: Floats) -> tuple[Floats, float]:
        held = 0.0
        for chain, servers in zip(chains, roster.servers, strict=True):
            shares, spent = chain.carried(_started(shares, servers, most_busy), roster.shift_h)
            held += float(spent @ numbers)
        return shares, held

    return _periodic(cycle, size) / roster.cycle_h / roster.rate


def _birth_and_death(rate: float, mean_h: float, servers: int, most: int) -> Iterator[tuple[int, int, float]]:
    for n in range(most - 1):
        yield n, n + 1, rate
    for n in range(1, most):
        if servers:
            yield n, n - 1, min(n, servers) / mean_h


def _draining(roster: Roster, servers: int, most_busy: int) -> Iterator[tuple[int, int, float]]:
    """Yield moves between states (busy, waiting), numbered busy * _MOST + waiting."""
    for busy in range(most_busy + 1):
        for waiting in range(_MOST):
            here = busy * _MOST + waiting
            if busy < servers and waiting == 0:
                yield here, here + _MOST, roster.rate
            elif waiting < _MOST - 1:
                yield here, here + 1, roster.rate
            if busy > servers or (busy and waiting == 0):
                yield here, here - _MOST, busy / roster.mean_h
            elif busy:
                yield here, here - 1, busy / roster.mean_h


def _started(shares: Floats, servers: int, most_busy: int) -> Floats:
    """Return the distribution after the servers who come on duty have taken waiting declarations."""
    table = shares.reshape(most_busy + 1, _MOST)
    begun = np.zeros_like(table)
    for busy in range(most_busy + 1):
        for waiting in range(_MOST):
            taken = max(0, min(servers - busy, waiting))
            begun[busy + taken, waiting - taken] += table[busy, waiting]
    return begun.reshape(-1)


def _periodic(cycle: Callable[[Floats], tuple[Floats, float]], size: int) -> float:
    """Return declaration-hours in the system over one cycle, once successive cycles no longer differ."""
    shares = np.zeros(size)
    shares[0] = 1.0
    held = 0.0
    for _ in range(2000):
        before, (shares, held) = held, cycle(shares)
        if abs(held - before) < 1e-11 * held:
            break
    return held
