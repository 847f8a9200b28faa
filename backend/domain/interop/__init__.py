"""Reads documents made by others as ours: pure mappings that never guess, and report everything.

A certificate from elsewhere rarely states exactly what ours states. So every reading reports, line by line, what was
taken, what was converted and how, what is missing and what was not used. While anything is missing, nothing is stored.
"""
