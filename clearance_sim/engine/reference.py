"""The same simulation in plain Python, to hold the compiled loop to: slow, and written to be read.

Declarations are objects, queues are lists, the events to come lie in a heap. It shares the tables and the single draws
with the engine, nothing of its bookkeeping; path by path the two must agree to the bit.
"""

import heapq
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from clearance_sim.engine import tables as t
from clearance_sim.engine.replication import drawing
from clearance_sim.engine.tables import Tables

VISIT, ARRIVAL, MEMBER, TRADER, GAPS = range(5)
OUTCOMES = SERVED, LOST, GAVE_UP = range(3)


@dataclass(eq=False)
class Declaration:
    """One declaration inside."""

    number: int
    of_class: int
    arrived: float
    frailty: float
    visits: dict[int, int] = field(default_factory=dict)
    first: dict[int, float] = field(default_factory=dict)
    last: dict[int, float] = field(default_factory=dict)
    station: int = -1
    visit: int = 0
    entered: float = 0.0
    started: float = math.nan
    work: float = 0.0
    ends: float = 0.0
    way_u: float = 0.0
    due: float = math.nan
    crew: int = 0
    ends_as: int = -1
    gives_up_as: int = -1


@dataclass(eq=False)
class Desk:
    """One station."""

    queues: list[list[Declaration]]
    step: int = -1
    capacity: int = 0
    crew: int = 0
    serving: list[Declaration] = field(default_factory=list)
    """In the order in which they began; those whose crew has gone home among them."""
    changes_at: float = math.inf
    closes_at: float = math.inf
    after: int = 0
    window: float = math.inf

    def held(self) -> int:
        """Return how many of those on duty are busy."""
        return sum(d.crew == self.crew for d in self.serving)


Visit = tuple[int, int, int, int, int, float, float, float]
"""Declaration, class, station, visit, outcome, entered, started, ended."""


@dataclass
class Reference:
    """A run of the reference, and what it found."""

    tables: Tables
    seed: int
    replication: int
    visits: list[Visit] = field(default_factory=list)
    clocks: dict[int, list[float]] = field(default_factory=dict)
    seen: list[tuple[int, list[tuple[int, int, int]]]] = field(default_factory=list)

    def run(self) -> "Reference":
        """Let it all happen."""
        T = self.tables
        self._draw, self._four = drawing()
        self._desks = [Desk([[] for _ in range(int(T.options[t.RANKS]))]) for _ in T.station]
        self._events: list[tuple[float, int, Declaration]] = []
        self._seq = self._inside = self._arrived = self._moment = 0
        self._now = 0.0
        self._closed = False
        self._sources = [_Source(self, a) for a in range(len(T.source))]
        for s, desk in enumerate(self._desks):
            self._change_shift(s, 0.0)
            desk.crew = 0
        while self._step():
            pass
        return self

    def draw(self, distribution: int, u: float) -> float:
        return float(self._draw(self.tables.distributions[distribution], self.tables.distribution_table, u))

    def four(self, declaration: int, stream: int, visit: int, purpose: int) -> tuple[float, float, float, float]:
        # The tables hold the key's bits as a signed number.
        key = np.uint64(int(stream) % 2**64)
        found: tuple[float, float, float, float] = self._four(
            self.seed, self.replication, int(declaration), key, int(visit), purpose
        )
        return found

    # ---- events

    def _step(self) -> bool:
        T = self.tables
        every, moments = T.options[t.EVERY_H], len(T.observe_at)
        looks = math.inf
        if moments and (every or self._moment < moments) and not (every and self._closed):
            looks = T.observe_at[self._moment % moments] + every * (self._moment // moments)
        if self._closed and self._inside == 0 and not (not every and looks < math.inf):
            return False
        source = min(self._sources, key=lambda source: source.fires_at)
        horizon = T.options[t.HORIZON]
        arrives = math.inf if self._closed else min(source.fires_at, horizon)
        changes = min(desk.changes_at for desk in self._desks)
        planned = self._events[0][0] if self._events else math.inf
        # What comes within TIE_H of a change comes at its moment, and after it: nobody begins a job while the desk
        # closes.
        if changes < math.inf and changes - t.TIE_H <= min(planned, looks, arrives):
            self._now = changes
            s = next(s for s, desk in enumerate(self._desks) if desk.changes_at == changes)
            self._change_shift(s, changes)
            self._serve(s, changes)
        elif planned <= min(looks, arrives) and planned < math.inf:
            at, seq, declaration = heapq.heappop(self._events)
            now = self._now = max(at, self._now)
            if seq == declaration.ends_as:
                self._end_service(declaration, now)
            elif seq == declaration.gives_up_as:
                self._give_up(declaration, now)
        elif looks <= arrives and looks < math.inf:
            self._moment += 1
            self.seen.append((self._arrived, [self._look(desk) for desk in self._desks]))
        elif self._closed:
            return False
        elif arrives < horizon:
            self._now = max(arrives, self._now)
            self._arrive(source, self._now)
        else:
            self._closed = True
            return not T.options[t.CUT]
        return True

    def _look(self, desk: Desk) -> tuple[int, int, int]:
        return sum(map(len, desk.queues)), len(desk.serving), desk.capacity

    def _arrive(self, source: "_Source", now: float) -> None:
        T, row = self.tables, source.row
        u_class, u_frailty, u_way = source.numbers()
        declaration = Declaration(self._arrived, int(source.picked(t.S_CLASSES, u_class)), now, 0.0)
        self._arrived += 1
        self._inside += 1
        if T.options[t.FRAIL]:
            declaration.frailty = self._frailty(u_frailty)
        source.next_member()
        way = int(row[t.S_WAYS])
        while row[t.S_WAYS_COUNT] > 1 and u_way > T.way_p[way, 0]:
            way += 1
        if self._arrived >= T.options[t.DECLARATIONS]:
            self._closed = True
        self._go(declaration, way, now)

    def _frailty(self, u: float) -> float:
        from clearance_sim.engine.distributions import normal

        traders = self.tables.options[t.TRADERS]
        if traders:
            u = self.four(int(u * traders), t.TRADER_STREAM, 0, TRADER)[0]
        return float(normal(u))

    def _end_service(self, d: Declaration, now: float) -> None:
        s = d.station
        self._desks[s].serving.remove(d)
        d.ends_as = -1
        self._record(d, SERVED, now)
        self._note(d, s, t.START_AT, d.started)
        self._note(d, s, t.LEAVE_AT, now)
        way = self._way_out(d, s)
        self._serve(s, now)
        self._go(d, way, now)

    def _give_up(self, d: Declaration, now: float) -> None:
        s = d.station
        for queue in self._desks[s].queues:
            if d in queue:
                queue.remove(d)
        d.gives_up_as = -1
        self._record(d, GAVE_UP, now)
        self._serve(s, now)
        self._enter(d, int(self.tables.station[s, t.ABANDON]), now)

    # ---- ways

    def _way_out(self, d: Declaration, s: int) -> int:
        T = self.tables
        first, count, moved = (int(n) for n in T.ways[d.of_class, s])
        if count == 1:
            return first
        if moved < 0:
            return next(w for w in range(first, first + count) if d.way_u <= T.way_p[w, 0])
        p = T.way_p[first + moved, 1]
        chance = 1.0 / (1.0 + math.exp(-(T.way_p[first + moved, 3] + T.way_p[first + moved, 2] * d.frailty)))
        total = 0.0
        for k in range(count):
            total += chance if k == moved else T.way_p[first + k, 1] * (1.0 - chance) / (1.0 - p)
            if d.way_u <= total:
                return first + k
        return first + count - 1

    def _go(self, d: Declaration, way: int, now: float) -> None:
        to, becomes = (int(n) for n in self.tables.way_to[way])
        if becomes >= 0:
            d.of_class = becomes
        self._enter(d, to, now)

    def _enter(self, d: Declaration, s: int, now: float) -> None:
        if s < 0:
            self._inside -= 1
            if s == t.OUT:
                self.clocks[d.number] = [self._reading(d, k, now) for k in range(len(self.tables.clock_to))]
            return
        row, desk = self.tables.station[s], self._desks[s]
        patience = self._plan(d, s, now)
        nobody_waits = not any(desk.queues)
        if nobody_waits and self._may_begin(d, s, now):
            self._begin(d, s, now)
            return
        if 0 <= row[t.ROOM] <= sum(map(len, desk.queues)):
            self._record(d, LOST, now)
            self._enter(d, int(row[t.OVERFLOW]), now)
            return
        if row[t.PRE_EMPTIVE] and self._not_worse(desk, self._rank(d)) < desk.capacity:
            other = self._last_of_worst(desk, self._rank(d), now)
            if other is not None:
                self._interrupt(other, s, now)
                self._begin(d, s, now)
                return
        desk.queues[self._rank(d)].append(d)
        if row[t.PATIENCE] >= 0:
            d.gives_up_as = self._plan_event(now + self.draw(int(row[t.PATIENCE]), patience), d)

    def _plan(self, d: Declaration, s: int, now: float) -> float:
        T, row = self.tables, self.tables.station[s]
        stream = int(row[t.STREAM])
        d.station, d.visit = s, d.visits.get(stream, 0) if T.options[t.LOOPS] else 0
        d.visits[stream] = d.visits.get(stream, 0) + 1
        u_work, d.way_u, u_patience, _ = self.four(d.number, stream, d.visit, VISIT)
        work = self.draw(int(T.service[d.of_class, s]), u_work)
        b = T.frailty[s]
        if b:
            # A log-normal factor of mean 1.
            work *= math.exp(b * d.frailty - 0.5 * b * b)
        d.entered, d.started, d.due = now, math.nan, math.nan
        since = int(row[t.SINCE])
        if since != t.NO_POINT:
            begun = d.arrived if since == t.ARRIVE else d.first.get(since, now)
            d.due = begun + work
            self._note(d, s, t.DUE_AT, d.due)
            work = max(0.0, d.due - now)
        d.work = work
        self._note(d, s, t.ENTER_AT, now)
        return u_patience

    def _note(self, d: Declaration, s: int, event: int, now: float) -> None:
        point = int(self.tables.station[s, event])
        if point >= 0:
            d.first.setdefault(point, now)
            d.last[point] = now

    def _reading(self, d: Declaration, k: int, now: float) -> float:
        special = {t.ARRIVE: d.arrived, t.LEFT: now}
        points = [int(p) for p in self.tables.clock_from[k] if p != t.NO_POINT]
        begun = [special.get(p, d.first.get(p, math.nan)) for p in points]
        to = int(self.tables.clock_to[k])
        if any(map(math.isnan, begun)):
            return math.nan
        return float(special.get(to, d.last.get(to, math.nan)) - max(begun))

    # ---- serving

    def _rank(self, d: Declaration) -> int:
        return int(self.tables.rank[d.of_class])

    def _may_begin(self, d: Declaration, s: int, now: float) -> bool:
        desk = self._desks[s]
        if desk.held() >= desk.capacity:
            return False
        if self.tables.station[s, t.POLICY] != t.FINISH:
            return True
        closes, window = desk.closes_at + t.TIE_H, desk.window + t.TIE_H
        beyond = sum(other.ends > closes for other in desk.serving)
        return now + d.work <= closes or beyond < desk.after or d.work > window

    def _begin(self, d: Declaration, s: int, now: float) -> None:
        desk = self._desks[s]
        if math.isnan(d.started):
            d.started = now
        d.crew, d.gives_up_as, d.ends = desk.crew, -1, now + d.work
        desk.serving.append(d)
        d.ends_as = self._plan_event(d.ends, d)

    def _plan_event(self, at: float, d: Declaration) -> int:
        self._seq += 1
        heapq.heappush(self._events, (at, self._seq, d))
        return self._seq

    def _serve(self, s: int, now: float) -> None:
        queues = self._desks[s].queues
        while any(queues):
            queue = next(queue for queue in queues if queue)
            if not self._may_begin(queue[0], s, now):
                return
            self._begin(queue.pop(0), s, now)

    def _not_worse(self, desk: Desk, rank: int) -> int:
        return sum(d.crew == desk.crew and self._rank(d) <= rank for d in desk.serving)

    def _last_of_worst(self, desk: Desk, better_than: int, now: float) -> Declaration | None:
        busy = [d for d in desk.serving if d.crew == desk.crew and d.ends > now + t.TIE_H]
        candidates = [d for d in busy if self._rank(d) > better_than]
        worst = max(map(self._rank, candidates), default=0)
        return next((d for d in reversed(candidates) if self._rank(d) == worst), None)

    def _interrupt(self, d: Declaration, s: int, now: float) -> None:
        desk = self._desks[s]
        desk.serving.remove(d)
        d.ends_as = -1
        if now - d.started <= t.TIE_H:
            d.started = math.nan
        else:
            d.work = d.ends - now
        desk.queues[self._rank(d)].insert(0, d)

    def _change_shift(self, s: int, now: float) -> None:
        T, desk = self.tables, self._desks[s]
        desk.step += 1
        desk.capacity, _, handover = self._duty(s, desk.step)
        policy = T.station[s, t.POLICY]
        if policy == t.CREW and handover:
            desk.crew += 1
        count = int(T.calendar[s, 1])
        desk.changes_at = math.inf if count == 1 else self._begins(s, desk.step + 1)
        if policy == t.FINISH:
            drops = (k for k in range(desk.step + 1, desk.step + count + 2) if self._duty(s, k)[0] < desk.capacity)
            drop = next(drops, None)
            desk.closes_at = math.inf if drop is None else self._begins(s, drop)
            desk.after = 0 if drop is None else self._duty(s, drop)[0]
            desk.window = desk.closes_at - now
        while policy == t.RESUME and desk.held() > desk.capacity and (last := self._last_of_worst(desk, -1, now)):
            self._interrupt(last, s, now)

    def _duty(self, s: int, step: int) -> tuple[int, int, int]:
        on, overtime, handover = self.tables.step[self._place(s, step)]
        return int(on), int(overtime), int(handover)

    def _place(self, s: int, step: int) -> int:
        first, count, cycle = (int(n) for n in self.tables.calendar[s])
        return first + (step if step < count else cycle + (step - cycle) % (count - cycle))

    def _begins(self, s: int, step: int) -> float:
        count, cycle = int(self.tables.calendar[s, 1]), int(self.tables.calendar[s, 2])
        turns = 0 if step < count else (step - cycle) // (count - cycle)
        return float(self.tables.step_at[self._place(s, step)] + self.tables.period[s] * turns)

    def _record(self, d: Declaration, outcome: int, now: float) -> None:
        self.visits.append((d.number, d.of_class, d.station, d.visit, outcome, d.entered, d.started, now))


class _Source:
    """A source of declarations."""

    def __init__(self, owner: Reference, a: int) -> None:
        self._owner, self.row, self._f = owner, owner.tables.source[a], owner.tables.source_f[a]
        self.fires_at, self._firing, self._member, self._size = 0.0, -1, 0, 0
        self._u: tuple[float, ...] = ()
        self._fire()

    def _fire(self) -> None:
        T = self._owner.tables
        self._firing += 1
        self._member = 0
        # Four gaps to a block, as the engine draws them: other counters would give other paths.
        gaps = self._owner.four(self._firing // 4, self.row[t.S_STREAM], 0, GAPS)
        self._u = self._owner.four(self._firing, self.row[t.S_STREAM], 0, ARRIVAL)
        gap = self._owner.draw(int(self.row[t.S_GAP]), gaps[self._firing % 4])
        self._size = self._batch(self._u[0])
        self.fires_at = self._after(T, self.fires_at, gap)

    def _batch(self, u: float) -> int:
        kind, size = self.row[t.S_BATCH], self._f[4]
        if kind == t.SINGLE:
            return 1
        if kind == t.FIXED_SIZE:
            return int(size)
        if kind == t.GEOMETRIC:
            return 1 if size <= 1 else 1 + int(math.log(1.0 - u) / math.log(1.0 - 1.0 / size))
        return int(self.picked(t.S_BATCH_FIRST, u))

    def picked(self, column: int, u: float) -> float:
        place = int(self.row[column])
        while u > self._owner.tables.pick[place, 0]:
            place += 1
        return float(self._owner.tables.pick[place, 1])

    def numbers(self) -> tuple[float, float, float]:
        """Return the uniform numbers for class, frailty and first station of the next to come."""
        if self.row[t.S_BATCH] == t.SINGLE:
            return self._u[0], self._u[1], self._u[2]
        # The engine has counted the firing on by one when it serves its members.
        a, b, c, _ = self._owner.four(self._firing + 1, self.row[t.S_STREAM], self._member, MEMBER)
        return a, b, c

    def next_member(self) -> None:
        self._member += 1
        if self._member == self._size:
            self._fire()

    def _after(self, T: Any, now: float, gap: float) -> float:
        first, count, cycle = int(self.row[t.S_FIRST]), int(self.row[t.S_COUNT]), int(self.row[t.S_CYCLE])
        if self._f[1] > 0:
            return self._swinging(float(T.rate_at[first, 1]), now, gap)
        if count == 1:
            return now + gap / float(T.rate_at[first, 1])
        step = self._step = getattr(self, "_step", 0)
        while True:
            place = step if step < count else cycle + (step - cycle) % (count - cycle)
            rate = float(T.rate_at[first + place, 1])
            end = self._begins(T, step + 1)
            if gap <= rate * (end - now):
                self._step = step
                return now + gap / rate if gap > 0 else now
            gap -= rate * (end - now)
            now, step = end, step + 1

    def _begins(self, T: Any, step: int) -> float:
        first, count, cycle = int(self.row[t.S_FIRST]), int(self.row[t.S_COUNT]), int(self.row[t.S_CYCLE])
        if step < count:
            return float(T.rate_at[first + step, 0])
        turns, place = divmod(step - cycle, count - cycle)
        return float(T.rate_at[first + cycle + place, 0]) + float(self._f[0]) * turns

    def _swinging(self, rate: float, now: float, gap: float) -> float:
        amplitude, omega, phase = float(self._f[1]), 2.0 * math.pi / float(self._f[2]), float(self._f[3])

        def expected(at: float) -> float:
            return at - amplitude / omega * math.cos(omega * (at - phase))

        base, wanted = expected(now), gap / rate
        low, high = now, now + wanted + 2.0 * amplitude / omega
        for _ in range(200):
            middle = 0.5 * (low + high)
            if middle <= low or middle >= high:
                break
            if expected(middle) - base < wanted:
                low = middle
            else:
                high = middle
        return high
