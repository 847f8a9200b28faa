"""Provenport's server: records, anchoring, verdicts and clearance, for merchants, issuers and customs."""
