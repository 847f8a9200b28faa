"""The programming interface, version 1: JSON in, JSON out, bearer tokens, OpenAPI 3.1."""

from backend.web.api import customs, customs_offices, evidence, issuers, records, simulations
from backend.web.api.views import blueprint

__all__ = [
    "blueprint",
    "customs",
    "customs_offices",
    "evidence",
    "issuers",
    "records",
    "simulations",
]
