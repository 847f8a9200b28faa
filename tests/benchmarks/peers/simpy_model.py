"""SimPy: one generator for a declaration; officers off duty are requests of higher priority that occupy a place."""

import simpy

from tests.benchmarks.peers import draws, measuring
from tests.benchmarks.peers.draws import Draws

_SHIFTS = {2: ((8, 5), (16, 2), (24, 0)), 3: ((8, 3), (20, 0))}
_SERVERS = {1: 2, 2: 5, 3: 3, 4: 2, 5: 4}


def mm3(count: int, seed: int) -> tuple[int, float]:
    """M/M/3."""
    return _simulate(draws.mm3(count, seed), {0: 3}, ((0,),), {})


def six_stations(count: int, seed: int) -> tuple[int, float]:
    """The six stations, shifts that drain."""
    return _simulate(draws.six_stations(count, seed), _SERVERS, draws.PATHS, _SHIFTS)


def _simulate(given: Draws, servers: dict[int, int], paths: tuple, shifts: dict) -> tuple[int, float]:
    world = simpy.Environment()
    desks = {station: simpy.PriorityResource(world, number) for station, number in servers.items()}
    sojourns: list[float] = []
    arrivals, services = given.arrivals.tolist(), given.services.tolist()

    def declaration(number: int):
        came = world.now
        for station in paths[given.paths[number]]:
            desk = desks.get(station)
            if desk is None:
                yield world.timeout(services[number][station])
                continue
            with desk.request(priority=1) as turn:
                yield turn
                yield world.timeout(services[number][station])
        sojourns.append(world.now - came)

    def source():
        for number, arrival in enumerate(arrivals):
            yield world.timeout(arrival - world.now)
            world.process(declaration(number))

    for station, steps in shifts.items():
        world.process(_off_duty(world, desks[station], servers[station], steps))
    done = world.process(_all_done(world, sojourns, len(arrivals)))
    world.process(source())
    world.run(until=done)
    return len(sojourns), sum(sojourns) / len(sojourns)


def _off_duty(world, desk, most: int, steps: tuple):
    """Holds back those who are not on duty, from midnight on; who is busy finishes first."""
    held = [_hold(desk) for _ in range(most)]
    day = 0
    while True:
        for hour, on_duty in steps:
            yield world.timeout(24.0 * day + hour - world.now)
            while len(held) > most - on_duty:
                _let_go(desk, held.pop())
            while len(held) < most - on_duty:
                held.append(_hold(desk))
        day += 1


def _hold(desk):
    return desk.request(priority=0)


def _let_go(desk, request) -> None:
    if request.triggered:
        desk.release(request)
    else:
        request.cancel()


def _all_done(world, sojourns: list[float], count: int):
    while len(sojourns) < count:
        yield world.timeout(24.0)


if __name__ == "__main__":
    measuring.main({"mm3": mm3, "six-stations": six_stations})
