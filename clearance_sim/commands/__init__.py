"""The commands of `clearance-sim`. Each module defines one or several as `NAME_command`."""
