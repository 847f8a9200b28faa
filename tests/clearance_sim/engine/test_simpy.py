"""The six-station network as a SimPy model of its own, on the draws of the engine: the same paths, to the bit."""

import math

import numpy as np
import simpy

from clearance_sim.commands.files import opened
from clearance_sim.engine.philox import stream_key
from clearance_sim.engine.replication import drawing, replicate
from clearance_sim.engine.tables import compiled

SEED, COUNT = 11, 1500
CLASSES = ("green", "yellow", "red")
ROSTERS = {"review": [(0, 0), (8, 5), (16, 2)], "inspect": [(0, 0), (8, 3), (20, 0)]}
MOST = {"prepare": COUNT, "lodge": 2, "review": 5, "inspect": 3, "lab": 2, "pay": 4}


def lognormal(mean, cv):
    variance = math.log1p(cv * cv)
    return ("log-normal", math.log(mean) - variance / 2, math.sqrt(variance))


SERVICES = {
    "prepare": lognormal(4, 1), "lodge": ("exponential", 0.25, 0), "review": lognormal(0.9, 1),
    "inspect": lognormal(1.8, 0.8), "lab": ("exponential", 8.0, 0), "pay": ("exponential", 0.5, 0),
}  # fmt: skip
KINDS = {"exponential": 1, "log-normal": 3}


class Draws:
    def __init__(self):
        self.one, self.four = drawing()

    def words(self, declaration, stream, purpose):
        return self.four(SEED, 0, declaration, np.uint64(stream_key(stream)), 0, purpose)

    def service(self, declaration, station):
        kind, a, b = SERVICES[station]
        u, way, _, _ = self.words(declaration, station, 0)
        return self.one(np.array([KINDS[kind], 0, 0, a, b, 0, 0, 0], float), np.zeros((0, 2)), u), way


def next_of(station, of_class, way):
    return {
        "prepare": "lodge",
        "lodge": "pay" if of_class == "green" else "review",
        "review": "inspect" if of_class == "red" else "pay",
        "inspect": "lab" if way <= 0.3 else "pay",
        "lab": "pay",
        "pay": None,
    }[station]


class Desk:
    """A desk whose officers finish what they began when their shift ends."""

    def __init__(self, env, capacity):
        self.env, self.capacity, self.busy, self.queue = env, capacity, 0, []

    def ask(self):
        event = self.env.event()
        self.queue.append(event)
        self.look()
        return event

    def look(self):
        while self.queue and self.busy < self.capacity:
            self.busy += 1
            self.queue.pop(0).succeed()

    def give_back(self):
        self.busy -= 1
        self.look()

    def keep(self, roster):
        day = 0
        while True:
            for hour, capacity in roster:
                yield self.env.timeout(24 * day + hour - self.env.now)
                self.capacity = capacity
                self.look()
            day += 1


def simpy_paths():
    env, draws, visits = simpy.Environment(), Draws(), {}
    desks = {name: Desk(env, 0 if name in ROSTERS else most) for name, most in MOST.items()}
    for name, roster in ROSTERS.items():
        env.process(desks[name].keep(roster))

    def declaration(number, of_class):
        station = "prepare"
        while station is not None:
            work, way = draws.service(number, station)
            entered = env.now
            yield desks[station].ask()
            started = env.now
            yield env.timeout(work)
            visits[number, station] = (entered, started, env.now)
            desks[station].give_back()
            station = next_of(station, of_class, way)

    def arrive():
        at = 0.0
        for number in range(COUNT):
            gap = draws.words(number // 4, "arrivals:importers", 4)[number % 4]
            which, _, _, _ = draws.words(number, "arrivals:importers", 1)
            at += -1.0 * math.log(1.0 - gap) / 6.0
            yield env.timeout(at - env.now)
            env.process(declaration(number, CLASSES[0 if which <= 0.7 else 1 if which <= 0.9 else 2]))

    arriving = env.process(arrive())
    env.run(arriving)
    while any(desk.busy or desk.queue for desk in desks.values()):
        env.step()
    return visits


def engine_paths():
    made = compiled(opened("office", (f"run.declarations={COUNT}", "run.warm_up_declarations=0")))
    visits = {}

    def sink(rows, times):
        for row, time in zip(rows, times, strict=True):
            visits[int(row[0]), made.stations[row[2]]] = tuple(map(float, time[:3]))

    replicate(made.tables, SEED, 0, sink)
    return visits


def test_simpy_on_same_draws_takes_same_paths():
    """A simpy model on the same draws takes the same paths."""
    ours, theirs = engine_paths(), simpy_paths()
    assert ours.keys() == theirs.keys()
    assert len(ours) > 3 * COUNT
    # SimPy reckons with spans, now + (at - now), where the engine takes the time itself: the last digit may differ.
    assert all(ours[key] == theirs[key] or np.allclose(ours[key], theirs[key], rtol=1e-12, atol=0) for key in ours)
