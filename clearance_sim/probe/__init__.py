"""A probe that drives a running Provenport over HTTP, and times the machine's part of a clearance.

Good, wrong and forged consignments are generated from a seed, sent at a steady pace, and counted by what the running
system makes of them. Nothing of the backend is imported, so that the probe knows only what any client can find out over
the interface.
"""

from clearance_sim.probe.campaign import Campaign, Plan, probe
from clearance_sim.probe.client import ProbeError
from clearance_sim.probe.findings import Findings

__all__ = ["Campaign", "Findings", "Plan", "ProbeError", "probe"]
