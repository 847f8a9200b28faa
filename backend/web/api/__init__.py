"""The programming interface, version 1: JSON in, JSON out, bearer tokens, OpenAPI 3.1."""

from backend.web.api import certifying, customs, evidence, issuers, keys, simulations, trade
from backend.web.api.interface import blueprint

__all__ = [
    "blueprint",
    "certifying",
    "customs",
    "evidence",
    "issuers",
    "keys",
    "simulations",
    "trade",
]
