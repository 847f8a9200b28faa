"""A sound scenario, to be spoilt in one place."""

SOUND = """\
name = "office"

[stations.lodge]
servers = 2
service = { law = "exponential", mean_h = 0.25 }
next = { review = 0.3, exit = 0.7 }

[stations.review]
servers = 3
calendar = "desk"
service = { law = "log-normal", median_h = { value = 0.5, source = "assumption", range = [0.2, 2] }, p90_h = 2 }
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
