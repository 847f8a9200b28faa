"""A campaign: which consignments are sent, when, and how many at once. It is bounded in count and in time."""

import random
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from clearance_sim.messages import _
from clearance_sim.probe.cases import FORGED, PLAYS, WRONG, Case
from clearance_sim.probe.client import ProbeError, Provenport, Unexpected
from clearance_sim.probe.documents import Consignment
from clearance_sim.probe.findings import FORMAT, FORMAT_VERSION, Findings

MOST_CONSIGNMENTS = 5_000
MOST_AT_ONCE = 16
STRANGER = "Unaccredited Chamber (probe)"


@dataclass(frozen=True)
class Plan:
    """How much is sent, and how fast.

    Raises:
        ProbeError: A number is out of range.
    """

    count: int = 40
    seconds: float = 300.0
    """After this time no consignment is started. Those started are completed."""
    rate: float = 2.0
    """Consignments started per second."""
    at_once: int = 4
    seed: int = 1
    wrong_share: float = 0.25
    forged_share: float = 0.35
    patience_seconds: float = 120.0

    def __post_init__(self) -> None:
        bounds = {
            "count": (1, self.count, MOST_CONSIGNMENTS),
            "seconds": (1, self.seconds, 24 * 3600),
            "rate": (0.01, self.rate, 100),
            "at_once": (1, self.at_once, MOST_AT_ONCE),
            "wrong_share": (0, self.wrong_share, 1),
            "forged_share": (0, self.forged_share, 1 - self.wrong_share),
        }
        for name, (low, value, high) in bounds.items():
            if not low <= value <= high:
                raise ProbeError(
                    _(
                        "{name} is {value}: give a number from {low} to {high:g}",
                        name=name,
                        value=value,
                        low=low,
                        high=high,
                    )
                )

    def kinds(self, with_stranger: bool) -> list[tuple[str, str]]:
        """Return the kinds to send, in an order drawn from the seed. Kinds of a family take turns."""
        forged = [kind for kind in FORGED if with_stranger or kind != "unaccredited"]
        counts = {"wrong": round(self.count * self.wrong_share), "forged": round(self.count * self.forged_share)}
        dealt = [("wrong", kind) for kind in _dealt(list(WRONG), counts["wrong"])]
        dealt += [("forged", kind) for kind in _dealt(forged, counts["forged"])]
        dealt += [("good", "good")] * (self.count - len(dealt))
        random.Random(f"{self.seed} order").shuffle(dealt)
        return dealt


def _dealt(kinds: list[str], count: int) -> list[str]:
    return [kinds[place % len(kinds)] for place in range(count)]


class Campaign:
    """A plan that is carried out on one running Provenport."""

    def __init__(
        self, at: Provenport, plan: Plan, progress: Callable[[int, int], None] = lambda done, wanted: None
    ) -> None:
        self.at, self.plan, self.progress = at, plan, progress
        self.found = Findings()
        self.started_at = datetime.now(UTC)
        self.wall_seconds = 0.0
        self._name = f"{plan.seed}-{uuid.uuid4().hex[:8]}"
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._begun = self._done = 0
        self._stranger = self._admit_stranger()

    def _admit_stranger(self) -> str:
        """Register a chamber without accreditation, where the authority's token allows it."""
        if "authority" not in self.at.tokens or not self.plan.forged_share:
            return ""
        body = {"role": "chamber", "name": STRANGER, "email": f"probe-{self._name}@example.org"}
        return str(self.at.post("/organisations", "authority", body).body["token"])

    def run(self) -> Findings:
        """Send everything. A fault of one consignment is noted and does not end the others."""
        kinds = self.plan.kinds(with_stranger=bool(self._stranger))
        started = time.monotonic()
        with ThreadPoolExecutor(self.plan.at_once, thread_name_prefix="probe") as pool:
            try:
                wait([pool.submit(self._play, started, place, kind) for place, kind in enumerate(kinds)])
            except KeyboardInterrupt:
                self._stopped.set()
                raise
        self.wall_seconds = time.monotonic() - started
        if not self._stranger and self.plan.forged_share:
            note = _("Unaccredited issuers were not tried: that needs the authority's token.")
            self.found.notes.append(str(note))
        return self.found

    def _play(self, started: float, place: int, kind: tuple[str, str]) -> None:
        planned = place / self.plan.rate
        if planned > self.plan.seconds or self._stopped.wait(max(0.0, started + planned - time.monotonic())):
            return
        if time.monotonic() - started > self.plan.seconds:
            return
        with self._lock:
            self._begun += 1
        chance = random.Random(f"{self.plan.seed} {place}")
        consignment = Consignment.drawn(chance, f"{self._name}-{place:04d}", self.at.organisations["merchant"])
        found = Findings()
        case = Case(self.at, found, consignment, chance, self.plan.patience_seconds, self._stranger)
        try:
            found.fates[kind].note(PLAYS[kind](case))
        except (ProbeError, KeyError) as error:
            reason = str(_("the answer lacks {error}", error=error) if isinstance(error, KeyError) else error)
            found.faults.append(f"{'/'.join(dict.fromkeys(kind))} {consignment.number}: {reason}")
            if isinstance(error, ProbeError) and not isinstance(error, Unexpected):
                self._stop_if_gone()
        self._take(found)

    def _stop_if_gone(self) -> None:
        """Stop the campaign if the server no longer answers, instead of failing with every consignment."""
        try:
            self.at.call("GET", "/me", "officer")
        except ProbeError:
            self._stopped.set()

    def _take(self, found: Findings) -> None:
        with self._lock:
            for name, values in found.seconds.items():
                self.found.seconds[name] += values
            for kind, fates in found.fates.items():
                self.found.fates[kind] += fates
            self.found.faults += found.faults
            self._done += 1
            self.progress(self._done, self.plan.count)

    def to_json(self) -> dict[str, Any]:
        """Return the content of probe.json."""
        return {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "url": self.at.url,
            "provenport": self.at.version,
            "startedAt": self.started_at.isoformat(timespec="seconds"),
            "seed": self.plan.seed,
            "ratePerSecond": self.plan.rate,
            "atOnce": self.plan.at_once,
            "wanted": self.plan.count,
            "sent": self._begun,
            "wallSeconds": round(self.wall_seconds, 3),
            **self.found.to_json(),
        }


def probe(at: Provenport, plan: Plan, progress: Callable[[int, int], None] = lambda done, wanted: None) -> Campaign:
    """Carry out a plan, and return the campaign with its findings.

    Raises:
        ProbeError: The campaign cannot be started.
    """
    campaign = Campaign(at, plan, progress)
    campaign.run()
    return campaign
