"""Developers' tools for the contracts: compile, test with forge, plant faults, analyse.

Nothing at run time needs them, and an installed Provenport does not contain them.
"""
