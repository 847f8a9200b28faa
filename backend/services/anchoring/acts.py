"""The authority's acts on issuers' keys are sent, in the order in which they were asked."""

from backend.services.accreditation import to_ledger
from backend.services.anchoring.sending import keep, send, signed
from backend.services.anchoring.steps import Each
from backend.services.ports import Surroundings


def send_accreditation_acts(at: Surroundings) -> None:
    """Sign, keep and send the authority's acts, in the order in which they were asked."""
    with at.work(reading=True) as work:
        waiting = [act.id for act in work.store.accreditation_acts_in_flight()]
    each = Each()
    for act_id in waiting:
        each.attempt(_send_accreditation_act, at, act_id)
    each.finish()


def _send_accreditation_act(at: Surroundings, act_id: str) -> None:
    with at.work(reading=True) as work:
        act = next((act for act in work.store.accreditation_acts_in_flight() if act.id == act_id), None)
    if act is None:
        return
    sending = signed(at, to_ledger(act), "authority")
    at.reached("act-signed")
    with at.work() as work:
        kept = next((act for act in work.store.accreditation_acts_in_flight() if act.id == act_id), None)
        if kept is None:
            return
        sending = keep(work.store, sending)
        kept.sending = sending
        work.commit()
    at.reached("act-kept")
    send(at, sending)
    at.reached("act-sent")
