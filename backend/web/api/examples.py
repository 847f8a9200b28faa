"""The examples of the published description: one for each request body, and one for each parameter that needs one.

Ids in them stand for ids that a server gave; the tests call every operation with its example, with real ids instead.
They belong to the interface's description only: the schemas of records stay as they are published.
"""

from typing import Any

from pydantic import BaseModel

from backend.domain.bundle import FORMAT, VERSION
from backend.domain.kinds import KINDS, Kind, Signing
from backend.domain.kinds.base import A_MOMENT
from backend.web.api import shapes
from backend.web.api.customs_offices import DelegationInput, OfficeInput
from backend.web.api.simulations import SimulationInput

SIGNATURE = "hXkw0Zb5cYl8vGmQnT3rJ2uE7aLdPfS1oKxWzCtBiN9yRgMqVjUe4sDh6pAIwOFbHXkw0Zb5cYl8vGmQnT3rJw"
ETAG = '"1"'
"""Of a thing that nothing was done to since it came onto file."""
A_MOMENT_AHEAD = "2027-01-31T16:00:00Z"
"""A moment that lies ahead of whoever sends the example."""
PARAMETERS: dict[str, str] = {
    "audience": "buyer",
    "declaration_id": "0d3f1c2a-7b64-4e0f-9a51-6c8e2b7d4f10",
    "delegation_id": "3e8a4d17-6b2c-4f95-8d01-9c7e5a2b4f68",
    "name": "result.json",
    "organisation_id": "5b2e9d84-1f3a-4c67-8d20-e94b7a6c3f15",
    "record_id": "c41a7e60-92d5-4b3f-a8e7-2f5d6b9c0e33",
    "request_id": "8e6d3b12-4a5c-4f79-b1c0-7d2e9f8a6b54",
    "simulation_id": "f27b5c91-6e0d-4a38-9c4f-1b8d3e7a5c62",
    "thumbprint": "9f3c1e5a7b2d4f608c1a3e5b7d9f0a2c4e6b8d0f1a3c5e7b9d1f3a5c7e9b0d2f",
}

BODIES: dict[type[BaseModel], dict[str, Any]] = {
    **{stated.model: dict(stated.example) for stated in KINDS.values() if stated.signing is not Signing.LODGED},
    shapes.DeclarationInput: {
        **KINDS[Kind.DECLARATION].example,
        "records": [PARAMETERS["record_id"]],
    },
    shapes.DecisionInput: {"decision": "examine", "reason": "Weight and packages do not match: please open carton 3."},
    shapes.ReasonInput: {"reason": "The goods were made elsewhere."},
    shapes.ArrivalInput: {"arrivedAt": A_MOMENT},
    shapes.ErasureInput: {"confirm": "erase for good"},
    shapes.OrganisationInput: {
        "role": "laboratory",
        "name": "Ningbo Testing Laboratory",
        "localName": "宁波检测实验室",
        "email": "desk@ningbo-lab.example",
        "countryCode": "CN",
    },
    OfficeInput: {"office": "CNHAZ", "organisation": PARAMETERS["organisation_id"]},
    DelegationInput: {"office": "CNYIU", "organisation": PARAMETERS["organisation_id"], "until": A_MOMENT_AHEAD},
    shapes.AccreditationInput: {"chapters": [84, 85, 94]},
    shapes.SuspensionInput: {"since": A_MOMENT},
    shapes.RotationInput: {},
    shapes.CompromiseInput: {"since": A_MOMENT},
    shapes.SigningRequestInput: {
        "act": "issue",
        "kind": "certificate-of-origin",
        "document": {**KINDS[Kind.CERTIFICATE_OF_ORIGIN].example, "certificateNumber": "ZJ-26-004712"},
    },
    shapes.SignatureInput: {"signature": SIGNATURE},
    SimulationInput: {"scenario": "office", "replications": 20, "seed": 1},
}
BY_SCHEMA = {f"#/components/schemas/{model.__name__}": example for model, example in BODIES.items()}
PDF = (
    "%PDF-1.4\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n"
    "2 0 obj\n<< /Type /Pages /Kids [3 0 R] /Count 1 >>\nendobj\n"
    "3 0 obj\n<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] >>\nendobj\n"
    "xref\n0 4\n0000000000 65535 f \n0000000009 00000 n \n0000000058 00000 n \n0000000115 00000 n \n"
    "trailer\n<< /Size 4 /Root 1 0 R >>\nstartxref\n186\n%%EOF\n"
)
BUNDLE = {
    "format": FORMAT,
    "version": VERSION,
    "records": [
        {
            "record": "eyJhbGciOiJFUzI1NiIs…",
            "entry": {"kind": 1, "quantity": "500000"},
            "proof": {"leafIndex": 3, "treeSize": 10, "inclusionPath": ["67fd4f46517bce4b…"]},
            "anchor": {
                "chainId": 1337,
                "ledger": "0x8f3a…",
                "instanceId": "4c1b…",
                "root": "d35a42853a339bd8…",
                "transaction": "08b2…",
                "block": 7,
                "blockTime": A_MOMENT,
            },
        }
    ],
    "superseded": [],
    "snapshot": "eyJhbGciOiJFUzI1NiIs…",
}
"""Cut short where it says …: a whole one is given out by GET /records/{record_id}/evidence."""
