"""Exact answers by Markov chain: queues that start empty, and queues whose servers change by the clock.

A chain's distribution is carried through time by uniformisation: exp(Q t) is the mixture of the powers of
P = I + Q / q with Poisson(q t) weights. The number of declarations is cut off where its probability is negligible.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.stats import poisson

from clearance_sim.validation.exact import Roster

Floats = NDArray[np.float64]
_MOST = 260


class Chain:
    """A continuous-time chain over states 0..n-1, by its moves (from, to, rate)."""

    def __init__(self, size: int, moves: Iterator[tuple[int, int, float]]) -> None:
        origins, ends, rates = (np.array(column) for column in zip(*moves, strict=True))
        leaving = np.bincount(origins, rates, size)
        self.fastest = float(leaving.max()) or 1.0
        stay = 1.0 - leaving / self.fastest
        entries = np.concatenate([rates / self.fastest, stay])
        rows, columns = np.concatenate([ends, np.arange(size)]), np.concatenate([origins, np.arange(size)])
        self._step = csr_array((entries, (rows, columns)), (size, size))

    def carried(self, shares: Floats, hours: float) -> tuple[Floats, Floats]:
        """The distribution after these hours, and the hours spent in each state on the way."""
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
    """Mean number in M/M/c at these moments when it starts empty."""
    most = 600
    chain = Chain(most, _birth_and_death(rate, mean_h, servers, most))
    found = []
    for moment in moments_h:
        shares = np.zeros(most)
        shares[0] = 1.0
        found.append(float(chain.carried(shares, moment)[0] @ np.arange(most)))
    return found


def pre_empt_resume_sojourn(roster: Roster) -> float:
    """Mean sojourn where work stops at the end of a shift and goes on with the next server on duty."""
    chains = [Chain(_MOST, _birth_and_death(roster.rate, roster.mean_h, c, _MOST)) for c in roster.servers]
    numbers = np.arange(_MOST)

    def cycle(shares: Floats) -> tuple[Floats, float]:
        held = 0.0
        for chain in chains:
            shares, spent = chain.carried(shares, roster.shift_h)
            held += float(spent @ numbers)
        return shares, held

    return _periodic(cycle, _MOST) / roster.cycle_h / roster.rate


def crew_sojourn(roster: Roster) -> float:
    """Mean sojourn where a crew finishes what it began beside the new crew, which starts afresh.

    Who is in service at a change of shift stays on average one more mean service, and occupies nobody of the new crew.
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
    """Mean sojourn where servers off duty finish what they began, and count among those of the next shift."""
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
    """Moves between states (busy, waiting), numbered busy * _MOST + waiting."""
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
    """The distribution once those who wait have been taken by the servers who come on duty."""
    table = shares.reshape(most_busy + 1, _MOST)
    begun = np.zeros_like(table)
    for busy in range(most_busy + 1):
        for waiting in range(_MOST):
            taken = max(0, min(servers - busy, waiting))
            begun[busy + taken, waiting - taken] += table[busy, waiting]
    return begun.reshape(-1)


def _periodic(cycle: Callable[[Floats], tuple[Floats, float]], size: int) -> float:
    """Declaration-hours in the system over one cycle, once cycles no longer differ."""
    shares = np.zeros(size)
    shares[0] = 1.0
    held = 0.0
    for _ in range(2000):
        before, (shares, held) = held, cycle(shares)
        if abs(held - before) < 1e-11 * held:
            break
    return held
