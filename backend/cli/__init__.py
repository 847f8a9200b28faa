"""The command ``provenport``, one module a command or group of commands."""
