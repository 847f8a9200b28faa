"""The engine held to theory: queueing systems whose answer is known exactly, simulated from scenario files."""
