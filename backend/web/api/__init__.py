"""The programming interface, version 1: JSON in, JSON out, bearer tokens, OpenAPI 3.1."""

from backend.web.api import certifying, clearance_events, customs, evidence, issuers, simulations
from backend.web.api.interface import blueprint

__all__ = ["blueprint", "certifying", "clearance_events", "customs", "evidence", "issuers", "simulations"]
