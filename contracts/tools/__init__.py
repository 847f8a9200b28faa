"""Developers' tools for the contracts: compile, test by forge, plant faults, analyse.

Nothing that runs needs them, and an installed Provenport has none of them.
"""
