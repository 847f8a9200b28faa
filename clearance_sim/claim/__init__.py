"""The study of one claim: whether clearance falls from 72 hours to 8, under which conditions, and by which lever."""
