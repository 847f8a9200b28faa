"""Scenario files: models of queueing networks, read from TOML. Faults are reported with their lines."""
