"""A sound scenario, to be spoilt in one place."""

SOUND = """\
name = "office"

[stations.lodge]
servers = 2
service = { distribution = "exponential", mean_h = 0.25 }
next = { review = 0.3, exit = 0.7 }

[stations.review]
servers = 3
calendar = "desk"
service = { distribution = "log-normal", p90_h = 2, median_h = { value = 0.5, source = "assumed", range = [0.2, 2] } }
next = "exit"

[calendars.desk]
shifts = [{ days = "mon-fri", from = "08:30", to = "17:00" }]

[arrivals.importers]
rate_per_h = 2
to = "lodge"

[run]
declarations = 1000
"""


def spoilt(old: str, new: str) -> str:
    """The scenario with one passage replaced."""
    assert SOUND.count(old) == 1
    return SOUND.replace(old, new)
