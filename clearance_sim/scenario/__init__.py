"""Scenario files: what a queueing network is, read from TOML and refused with line numbers where it is wrong."""
