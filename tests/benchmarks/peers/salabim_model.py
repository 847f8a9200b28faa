"""salabim: one component for a declaration, its monitors as they are by default; yield mode, the faster one here."""

import salabim

from tests.benchmarks.peers import draws, measuring
from tests.benchmarks.peers.draws import Draws
from tests.benchmarks.peers.simpy_model import _SERVERS, _SHIFTS


def mm3(count: int, seed: int) -> tuple[int, float]:
    """M/M/3."""
    return _simulate(draws.mm3(count, seed), {0: 3}, ((0,),), {})


def six_stations(count: int, seed: int) -> tuple[int, float]:
    """The six stations, shifts by setting a resource's capacity."""
    return _simulate(draws.six_stations(count, seed), _SERVERS, draws.PATHS, _SHIFTS)


def _simulate(given: Draws, servers: dict[int, int], paths: tuple, shifts: dict) -> tuple[int, float]:
    salabim.yieldless(False)
    world = salabim.Environment(trace=False, random_seed=0)
    desks = {s: salabim.Resource(str(s), capacity=0 if s in shifts else n) for s, n in servers.items()}
    sojourns: list[float] = []
    arrivals, services = given.arrivals.tolist(), given.services.tolist()

    class Declaration(salabim.Component):
        def setup(self, number: int) -> None:
            self.number = number

        def process(self):
            came = world.now()
            for station in paths[given.paths[self.number]]:
                desk = desks.get(station)
                if desk is None:
                    yield self.hold(services[self.number][station])
                    continue
                yield self.request(desk)
                yield self.hold(services[self.number][station])
                self.release(desk)
            sojourns.append(world.now() - came)
            if len(sojourns) == len(arrivals):
                world.main().activate()

    class Source(salabim.Component):
        def process(self):
            for number, arrival in enumerate(arrivals):
                yield self.hold(till=arrival)
                Declaration(number=number)

    class Roster(salabim.Component):
        def setup(self, station: int) -> None:
            self.station = station

        def process(self):
            day = 0
            while True:
                for hour, on_duty in shifts[self.station]:
                    yield self.hold(till=24.0 * day + hour)
                    desks[self.station].set_capacity(on_duty)
                day += 1

    Source()
    for station in shifts:
        Roster(station=station)
    world.run()
    return len(sojourns), sum(sojourns) / len(sojourns)


if __name__ == "__main__":
    measuring.main({"mm3": mm3, "six-stations": six_stations})
