"""The programming interface, version 1: JSON in, JSON out, bearer tokens, OpenAPI 3.1."""

from backend.web.api import (
    clearance_events,
    customs,
    evidence,
    issuers,
    keys,
    privacy,
    records,
    simulations,
)
from backend.web.api.interface import blueprint

__all__ = [
    "blueprint",
    "clearance_events",
    "customs",
    "evidence",
    "issuers",
    "keys",
    "privacy",
    "records",
    "simulations",
]
