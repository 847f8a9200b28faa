"""Values and rules in plain Python: no clock, no randomness, no input or output."""
