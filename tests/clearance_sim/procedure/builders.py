"""Levers by their letters, as the study's texts name them."""

from clearance_sim.procedure.levers import LETTERS, Levers


def levers_by(letters: str) -> Levers:
    """Return these levers pulled fully: `levers_by("LEA")`."""
    return Levers.on(*(name for name, letter in LETTERS.items() if letter in letters))
