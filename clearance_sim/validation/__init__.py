"""Validation of the engine on queueing systems whose answer is known exactly, simulated from scenario files."""
