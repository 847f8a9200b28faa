"""The command ``provenport``, with one module for each command or group of commands."""
