"""Cimba: M/M/3 as a container with three servers; by Little's law its mean number waiting gives the mean wait."""

import cimba
import numpy as np
from cimba import inputs

from tests.benchmarks.peers import measuring

_WARM_UP_H = 1000.0


class _MM3(cimba.Model):
    gap: cimba.Input[float] = inputs.dist.exponential(mean=1 / 2.7)
    service: cimba.Input[float] = inputs.dist.exponential(mean=1.0)
    waiting: cimba.Container
    mean_waiting: cimba.Output[float]

    @cimba.process
    def arrivals(self):
        while True:
            cimba.hold(self.gap.next())
            self.waiting.put(1)

    @cimba.process
    def first(self):
        while True:
            self.waiting.get(1)
            cimba.hold(self.service.next())

    @cimba.process
    def second(self):
        while True:
            self.waiting.get(1)
            cimba.hold(self.service.next())

    @cimba.process
    def third(self):
        while True:
            self.waiting.get(1)
            cimba.hold(self.service.next())

    @cimba.on_end
    def measure(self):
        self.mean_waiting = self.waiting.mean_level()


def mm3(count: int, seed: int) -> tuple[int, float]:
    """M/M/3 for the hours in which so many declarations come."""
    hours = max(count / 2.7 - _WARM_UP_H, 100.0)
    model = _MM3()
    window = cimba.Window(warmup=_WARM_UP_H, duration=hours)
    results = cimba.Experiment(model, replications=1, window=window, seed=seed).run()
    waiting = float(np.asarray(results[model].mean_waiting).mean())
    return round((hours + _WARM_UP_H) * 2.7), waiting / 2.7 + 1.0


if __name__ == "__main__":
    measuring.main({"mm3": mm3}, warm=True)
