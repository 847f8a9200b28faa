"""The commands of `clearance-sim`: each module holds one or several as `NAME_command`."""
