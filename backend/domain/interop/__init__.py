"""Documents that others made, read as ours: pure mappings that guess nothing and tell everything.

A certificate of another maker never states quite what ours states. Every reading therefore tells, line by line, what
was taken, what was converted and how, what lacks, and what was left over; while anything lacks, nothing is stored.
"""
