"""Ciw: the network as a declaration, the shifts as server schedules (a crew finishes beside the next one)."""

import ciw

from tests.benchmarks.peers import measuring

_LATE = 1e12


def mm3(count: int, seed: int) -> tuple[int, float]:
    """M/M/3."""
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(rate=2.7)],
        service_distributions=[ciw.dists.Exponential(rate=1.0)],
        number_of_servers=[3],
    )
    return _simulate(network, count, seed)


def six_stations(count: int, seed: int) -> tuple[int, float]:
    """The six stations."""
    services = [
        ciw.dists.Lognormal(*_log(4.0, 1.0)),
        ciw.dists.Exponential(rate=4.0),
        ciw.dists.Lognormal(*_log(0.9, 1.0)),
        ciw.dists.Lognormal(*_log(1.8, 0.8)),
        ciw.dists.Exponential(rate=1 / 8.0),
        ciw.dists.Exponential(rate=2.0),
    ]
    classes = {"green": 4.2, "yellow": 1.2, "red": 0.6}
    after_lodgement = {"green": 5, "yellow": 2, "red": 2}
    after_review = {"green": 5, "yellow": 5, "red": 3}
    network = ciw.create_network(
        arrival_distributions={name: [ciw.dists.Exponential(rate=rate)] + [None] * 5 for name, rate in classes.items()},
        service_distributions=dict.fromkeys(classes, services),
        number_of_servers=[
            float("inf"),
            2,
            ciw.Schedule(numbers_of_servers=[0, 5, 2], shift_end_dates=[8, 16, 24]),
            ciw.Schedule(numbers_of_servers=[0, 3, 0], shift_end_dates=[8, 20, 24]),
            2,
            4,
        ],
        routing={name: _routing(after_lodgement[name], after_review[name]) for name in classes},
    )
    return _simulate(network, count, seed)


def closing(count: int, seed: int) -> tuple[int, float]:
    """Five jobs of an hour for a shift of four."""
    shifts = ciw.Schedule(numbers_of_servers=[0, 1, 0], shift_end_dates=[8, 12, 24])
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Deterministic(48.0)],
        batching_distributions=[ciw.dists.Deterministic(5)],
        service_distributions=[ciw.dists.Deterministic(1.0)],
        number_of_servers=[shifts],
    )
    return _simulate(network, count, seed)


def pre_emptive_room(count: int, seed: int) -> tuple[int, float]:
    """M/M/1/3 with two priorities, of which one interrupts: how many were served."""
    classes = ("first", "second")
    network = ciw.create_network(
        arrival_distributions={name: [ciw.dists.Exponential(rate=0.5)] for name in classes},
        service_distributions={name: [ciw.dists.Exponential(rate=1.0)] for name in classes},
        number_of_servers=[1],
        queue_capacities=[2],
        priority_classes=({"first": 0, "second": 1}, ["resume"]),
    )
    ciw.seed(seed)
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_customers(count, method="Arrive")
    records = [record for record in simulation.get_all_records() if record.record_type == "service"]
    return len(records), sum(record.exit_date - record.arrival_date for record in records) / len(records)


def _routing(after_lodgement: int, after_review: int) -> list[list[float]]:
    ways = [[0.0] * 6 for _ in range(6)]
    ways[0][1] = ways[1][after_lodgement] = ways[2][after_review] = ways[4][5] = 1.0
    ways[3][4], ways[3][5] = 0.3, 0.7
    return ways


def _log(mean: float, cv: float) -> tuple[float, float]:
    import math

    variance = math.log1p(cv * cv)
    return math.log(mean) - variance / 2, math.sqrt(variance)


def _simulate(network, count: int, seed: int) -> tuple[int, float]:
    ciw.seed(seed)
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_customers(count, method="Finish")
    times: dict[int, tuple[float, float]] = {}
    for record in simulation.get_all_records():
        came, left = times.get(record.id_number, (_LATE, 0.0))
        times[record.id_number] = (min(came, record.arrival_date), max(left, record.exit_date))
    return count, sum(left - came for came, left in times.values()) / len(times)


if __name__ == "__main__":
    networks: dict[str, measuring.Run] = {
        "mm3": mm3,
        "six-stations": six_stations,
        "closing": closing,
        "pre-emptive-room": pre_emptive_room,
    }
    measuring.main(networks)
