"""Implementations of the services' ports: chains, contracts, signing keys, files, passwords, the simulator."""
