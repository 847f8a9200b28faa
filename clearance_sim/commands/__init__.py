"""One module for each command of `clearance-sim`; each holds a click command named `command`."""
