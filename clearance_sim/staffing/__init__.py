"""Staffing: how many officers on which shift reach a target at least cost."""
