"""How each kind of consignment is played, step by step, and what the running system made of it."""

import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from clearance_sim.messages import _
from clearance_sim.probe.client import Answer, ProbeError, Provenport
from clearance_sim.probe.documents import CATALOGUE, DESTINATIONS, Consignment, altered, self_signed
from clearance_sim.probe.findings import Fate, Findings

PATIENCE_SECONDS = 120.0
"""For one record to reach the ledger; a node's confirmations take longer than the embedded chain."""
INDETERMINATE = "INDETERMINATE"
ON_CHAIN = ("anchored", "final")


class NotSettled(ProbeError):
    """The ledger did not take something in time."""


@dataclass
class Case:
    """One consignment at play: the people, its papers, and the stream its choices come from."""

    at: Provenport
    found: Findings
    consignment: Consignment
    chance: random.Random
    patience_seconds: float = PATIENCE_SECONDS
    stranger: str = ""
    """Token of a chamber that nobody accredited, where there is one."""

    # Steps

    def issue(
        self, certificate: dict[str, Any] | None = None, report: dict[str, Any] | None = None, stranger: bool = False
    ) -> list[str]:
        """Have both papers signed, and wait until they are final: a trader has them before the goods arrive."""
        token, role = (self.stranger, None) if stranger else ("", "chamber")
        fields = self.consignment.certificate() if certificate is None else certificate
        origin = self.at.post("/certificates-of-origin", role, fields, token=token).body["id"]
        fields = self.consignment.report() if report is None else report
        inspection = self.at.post("/inspection-reports", "laboratory", fields).body["id"]
        for record, reader in (
            (origin, token or self.at.tokens["chamber"]),
            (inspection, self.at.tokens["laboratory"]),
        ):
            self._until_final(record, reader)
        return [origin, inspection]

    def _until_final(self, record: str, token: str) -> None:
        def is_final() -> bool:
            return self.at.call("GET", f"/records/{record}", token=token).body.get("proofState") == "final"

        if not self.at.until(is_final, self.patience_seconds):
            raise NotSettled(
                _(
                    "record {record} did not become final within {seconds:.0f} s",
                    record=record,
                    seconds=self.patience_seconds,
                )
            )

    def lodge(self, records: list[str], suffix: str = "", **changes: Any) -> "Lodged":
        """Lodge a declaration, and follow it to its settled verdict."""
        started = time.perf_counter()
        answer = self.at.post("/declarations", "merchant", self.consignment.declaration(records, suffix, **changes))
        return Lodged(self, answer.body["id"], started, answer.seconds)

    def verify(self, bundle: dict[str, Any]) -> Answer:
        """Have a bundle checked, as anybody may."""
        return self.at.call("POST", "/verify", body=bundle)

    def evidence(self, record: str, role: str = "merchant") -> dict[str, Any]:
        """Return the bundle of a record."""
        return self.at.get(f"/records/{record}/evidence", role)


@dataclass
class Lodged:
    """A declaration under way, and the moments of its way."""

    case: Case
    id: str
    started: float
    answered_after: float
    seen: dict[str, Any] = field(default_factory=dict)
    """The declaration as it was read last."""

    def settled_verdict(self) -> dict[str, Any]:
        """Follow it until no check waits for the ledger any more; notes the times on ``moments``."""
        self.moments: dict[str, float] = {}
        at = self.case.at
        last: dict[str, Any] = {}

        def is_settled() -> bool:
            nonlocal last
            self.seen = last = at.get(f"/declarations/{self.id}", "officer")
            now = time.perf_counter() - self.started
            if last["verdict"]["verdict"] != INDETERMINATE:
                self.moments.setdefault(last["verdict"]["verdict"], now)
            if last["proofState"] in ON_CHAIN:
                self.moments.setdefault("anchored", now)
            if last["proofState"] == "final" and all(
                check["actionBy"] != "wait" for check in last["verdict"]["checks"]
            ):
                self.moments.setdefault("final", now)
            return "final" in self.moments

        if not at.until(is_settled, self.case.patience_seconds):
            raise NotSettled(
                _(
                    "declaration {id} was not settled within {seconds:.0f} s",
                    id=self.id,
                    seconds=self.case.patience_seconds,
                )
            )
        verdict: dict[str, Any] = last["verdict"]
        return verdict

    def try_release(self) -> bool:
        """Order release as an officer, without an override for doubtful documents; return whether it was accepted."""
        body = {"decision": "release", "reason": "Papers in order (probe)"}
        answer = self.case.at.call("POST", f"/declarations/{self.id}/decisions", "officer", body, read=self.seen)
        if answer.status not in (201, 409):
            raise ProbeError(
                _(
                    "a release was answered with {status}: {value}",
                    status=answer.status,
                    value=answer.body.get("detail", ""),
                )
            )
        if answer.status == 201:
            self.decided = time.perf_counter() - answer.seconds
            self.decision_seconds, self.decision = answer.seconds, answer.body
        return answer.status == 201

    def fate(self) -> Fate:
        """Return what became of a consignment that must not be released."""
        verdict = self.settled_verdict()["verdict"]
        if refused_after := self.moments.get("INVALID"):
            self.case.found.measured("lodgeToRefusal", refused_after)
        if self.try_release() or verdict == "VALID":
            return "passed"
        return "caught" if verdict == "INVALID" else "undecided"


def good(case: Case) -> Fate:
    """Play a consignment in order: it must become VALID, be released, and its evidence must verify."""
    records = case.issue()
    lodged = case.lodge(records)
    found = case.found
    found.measured("lodgeToAnswer", lodged.answered_after)
    verdict = lodged.settled_verdict()["verdict"]
    found.measured("lodgeToAnchored", lodged.moments["anchored"])
    found.measured("lodgeToFinal", lodged.moments["final"])
    if "VALID" in lodged.moments:
        found.measured("lodgeToVerdict", lodged.moments["VALID"])
    released = lodged.try_release()
    if released:
        _follow_decision(case, lodged)
    genuine = [_is_verified(case, record) for record in records]
    if verdict == "VALID" and released and all(genuine):
        return "passed"
    return "undecided" if verdict == INDETERMINATE else "caught"


def _follow_decision(case: Case, lodged: Lodged) -> None:
    found = case.found
    found.measured("decisionToAnswer", lodged.decision_seconds)
    seen: set[str] = set()

    def is_final() -> bool:
        taken = case.at.get(f"/declarations/{lodged.id}", "officer")["decisions"][-1]
        state = taken.get("proofState")
        if state is None:
            return True  # an older Provenport does not tell: there is nothing to wait for
        now = time.perf_counter() - lodged.decided
        if state in ON_CHAIN and "anchored" not in seen:
            seen.add("anchored")
            found.measured("decisionToAnchored", now)
        if state == "final":
            found.measured("decisionToFinal", now)
        return bool(state == "final")

    if not case.at.until(is_final, case.patience_seconds):
        raise NotSettled(
            _(
                "the decision on {id} was not final within {seconds:.0f} s",
                id=lodged.id,
                seconds=case.patience_seconds,
            )
        )


def _is_verified(case: Case, record: str) -> bool:
    answer = case.verify(case.evidence(record))
    case.found.measured("verify", answer.seconds)
    return answer.body.get("verdict") == "VALID"


# Wrong: honest papers that do not belong together


def _wrong(certificate: Callable[[Case], dict[str, Any]], declared: Callable[[Case], dict[str, Any]]) -> Any:
    def play(case: Case) -> Fate:
        records = case.issue(case.consignment.certificate(**certificate(case)))
        return case.lodge(records, **declared(case)).fate()

    return play


def _nothing(case: Case) -> dict[str, Any]:
    return {}


def _other_hs_code(case: Case) -> dict[str, Any]:
    others = [goods.hs_code for goods in CATALOGUE if goods != case.consignment.goods]
    return {"hsCode": case.chance.choice(others)}


def _other_destination(case: Case) -> dict[str, Any]:
    return {"importCountry": case.chance.choice([d for d in DESTINATIONS if d != case.consignment.destination])}


def _other_exporter(case: Case) -> dict[str, Any]:
    return {"exporter": {"name": f"Somebody Else Trading {case.consignment.number}", "countryCode": "CN"}}


def _too_much(case: Case) -> dict[str, Any]:
    return {"quantity": str(case.consignment.certified + case.chance.randrange(1, 500))}


def _failed_inspection(case: Case) -> Fate:
    return case.lodge(case.issue(report=case.consignment.report(conforms=False))).fate()


# Forged


def _never_issued(case: Case) -> Fate:
    """Play a certificate that nobody signed, named by a made-up id: lodging itself must refuse it."""
    inspection = case.issue()[1]
    fields = case.consignment.declaration([str(uuid.UUID(int=case.chance.getrandbits(128), version=4)), inspection])
    answer = case.at.call("POST", "/declarations", "merchant", fields)
    if answer.status == 422:
        return "caught"
    if answer.status != 201:
        raise ProbeError(
            _("lodging with a certificate that does not exist was answered with {status}", status=answer.status)
        )
    return Lodged(case, answer.body["id"], time.perf_counter(), answer.seconds).fate()


def _bundle_fate(answer: Answer) -> Fate:
    if answer.status in (400, 422):
        return "caught"  # not even taken for evidence
    if answer.status != 200:
        raise ProbeError(_("a forged bundle was answered with {status}", status=answer.status))
    fates: dict[str, Fate] = {"VALID": "passed", "INVALID": "caught"}
    return fates.get(answer.body.get("verdict", ""), "undecided")


def _genuine_bundle(case: Case) -> dict[str, Any]:
    """Return a bundle that is VALID as it stands, so that only the forgery can be refused afterwards."""
    certificate = case.issue()[0]
    bundle = case.evidence(certificate)
    answer = case.verify(bundle)
    case.found.measured("verify", answer.seconds)
    if answer.body.get("verdict") != "VALID":
        raise ProbeError(
            _(
                "the genuine certificate {certificate} does not verify, so no forgery can be tried on it",
                certificate=certificate,
            )
        )
    return bundle


def _altered_copy(case: Case) -> Fate:
    """Play a genuine certificate's bundle, altered where it would pay."""
    _, forged = altered(_genuine_bundle(case), case.chance)
    return _bundle_fate(case.verify(forged))


def _self_signed(case: Case) -> Fate:
    """Play a certificate's content signed with a key of the forger's own."""
    return _bundle_fate(case.verify(self_signed(_genuine_bundle(case))))


def _revoked(case: Case) -> Fate:
    """Play a certificate that its chamber revoked; neither a declaration nor its old bundle may pass on it."""
    records = case.issue()
    bundle = case.evidence(records[0])
    body = {"reason": "Goods were made elsewhere (probe)"}
    seen = case.at.get(f"/records/{records[0]}", "chamber")
    case.at.post(f"/records/{records[0]}/revocation", "chamber", body, read=seen)
    fate = case.lodge(records).fate()

    def is_known() -> bool:
        return _bundle_fate(case.verify(bundle)) != "passed"

    # The old bundle is judged by the ledger alone, which shows the revocation from the next block on.
    return fate if case.at.until(is_known, case.patience_seconds) else "passed"


def _unaccredited(case: Case) -> Fate:
    """Play a certificate signed by a chamber that nobody accredited; the server may refuse to sign it at all."""
    fields = case.consignment.certificate()
    answer = case.at.call("POST", "/certificates-of-origin", body=fields, token=case.stranger)
    if answer.status == 422 and answer.body.get("code") == "outside-accreditation":
        return "caught"
    return case.lodge(case.issue(stranger=True)).fate()


def _used_up(case: Case) -> Fate:
    """Play a genuine certificate whose quantity went to an earlier consignment."""
    records = case.issue()
    certified = case.consignment.certified
    first = case.lodge(records, "-1", quantity=str(certified))
    verdict = first.settled_verdict()
    if verdict["verdict"] != "VALID":
        raise ProbeError(
            _(
                "the first use of a certificate was {verdict}: {summary}",
                verdict=verdict["verdict"],
                summary=verdict["summary"],
            )
        )
    return case.lodge(records, "-2", quantity=str(case.chance.randrange(1, certified + 1))).fate()


WRONG: dict[str, Callable[[Case], Fate]] = {
    "hs-code": _wrong(_nothing, _other_hs_code),
    "origin": _wrong(lambda case: {"originCountry": "VN"}, _nothing),
    "destination": _wrong(_other_destination, _nothing),
    "exporter": _wrong(_other_exporter, _nothing),
    "quantity": _wrong(_nothing, _too_much),
    "failed-inspection": _failed_inspection,
}
FORGED: dict[str, Callable[[Case], Fate]] = {
    "never-issued": _never_issued,
    "self-signed": _self_signed,
    "altered-copy": _altered_copy,
    "revoked": _revoked,
    "unaccredited": _unaccredited,
    "used-up": _used_up,
}
PLAYS: dict[tuple[str, str], Callable[[Case], Fate]] = {
    ("good", "good"): good,
    **{("wrong", kind): play for kind, play in WRONG.items()},
    **{("forged", kind): play for kind, play in FORGED.items()},
}
