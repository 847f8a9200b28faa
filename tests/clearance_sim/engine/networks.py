"""Random networks that use everything the scenario format offers."""

from typing import Any

from hypothesis import strategies as st

HOURS = st.sampled_from([0.1, 0.25, 0.5, 1.0, 2.0])


@st.composite
def distributions(draw: st.DrawFn) -> dict[str, Any]:
    mean, high = draw(HOURS), draw(st.sampled_from([2.5, 3.0]))
    distribution: dict[str, Any] = draw(
        st.sampled_from(
            [
                {"distribution": "exponential", "mean_h": mean},
                {"distribution": "deterministic", "value_h": mean},
                {"distribution": "uniform", "low_h": mean / 2, "high_h": mean},
                {"distribution": "triangular", "low_h": 0, "mode_h": mean, "high_h": high},
                {"distribution": "log-normal", "median_h": mean, "p90_h": 2 * mean, "shift_h": 0.1},
                {"distribution": "log-normal", "mean_h": mean, "cv": 1.5, "none_probability": 0.2},
                {"distribution": "gamma", "mean_h": mean, "cv": 0.7},
                {"distribution": "weibull", "shape": 1.5, "mean_h": mean},
                {"distribution": "erlang", "mean_h": mean, "phases": 3},
                {"distribution": "hyper-exponential", "mean_h": mean, "cv": 2},
                {"distribution": "empirical", "values_h": [0, mean, high], "weights": [1, 2, 1]},
            ]
        )
    )
    return distribution


@st.composite
def stations(draw: st.DrawFn, name: str, others: list[str]) -> dict[str, Any]:
    p = draw(st.sampled_from([0.25, 0.5]))
    to = draw(st.sampled_from(others))
    station: dict[str, Any] = {
        "service": draw(distributions()),
        "servers": draw(st.sampled_from([1, 2, 3, "unlimited"])),
    }
    station["next"] = [
        {
            "to": to,
            "probability": p,
            "frailty": draw(st.sampled_from([0, 0.8])),
            "becomes": draw(st.sampled_from(["a", "b"])),
        },
        {"to": "exit", "probability": 1 - p},
    ]
    if draw(st.booleans()):
        station["service_by_class"] = {"b": draw(distributions())}
        station["next_by_class"] = {"b": "exit"}
    if station["servers"] == "unlimited" and draw(st.booleans()):
        station["since"] = draw(st.sampled_from(["arrive", f"enter:{others[0]}", f"leave:{others[-1]}"]))
        return station
    if draw(st.booleans()):
        station["calendar"] = draw(st.sampled_from(["day", "round"]))
        station["end_of_shift"] = draw(st.sampled_from(["drain", "crew", "pre-empt-resume", "finish-before-close"]))
    station["pre_emptive"] = station.get("end_of_shift") != "finish-before-close" and draw(st.booleans())
    if draw(st.booleans()):
        station["waiting_room"] = draw(st.integers(0, 3))
        if draw(st.booleans()):
            station["overflow_to"] = draw(st.sampled_from([o for o in others if o > name] or ["exit"]))
    if draw(st.booleans()):
        station["patience"] = draw(distributions())
    station["frailty"] = draw(st.sampled_from([0, 0.5]))
    return station


@st.composite
def networks(draw: st.DrawFn) -> dict[str, Any]:
    names = ["one", "two", "three"][: draw(st.integers(1, 3))]
    arrivals: dict[str, Any] = {"classes": {"a": 0.6, "b": 0.4}, "to": dict.fromkeys(names, 1 / len(names))}
    arrivals |= draw(
        st.sampled_from(
            [
                {"rate_per_h": 1.5},
                {"gap": {"distribution": "deterministic", "value_h": 0.5}},
                {"gap": {"distribution": "gamma", "mean_h": 0.5, "cv": 0.5}},
                {"rate_per_h": 1, "sinusoid": {"amplitude": 0.8, "period_h": 24}},
                {"rate_per_h": 0.2, "profile": [{"days": "mon-fri", "from": "08:00", "to": "18:00", "rate_per_h": 2}]},
                {
                    "rate_per_h": 1,
                    "peaks": [{"from_h": 5, "to_h": 20, "factor": 4}, {"from_h": 30, "to_h": 40, "factor": 0}],
                },
            ]
        )
    )
    if draw(st.booleans()):
        sizes = [{"size": 3}, {"sizes": [1, 5], "weights": [3, 1]}, {"geometric_mean": 2.5}]
        arrivals["batch"] = draw(st.sampled_from(sizes))
    end = draw(st.sampled_from([{"declarations": 150}, {"horizon_h": 60}, {"horizon_h": 60, "cut_at_horizon": True}]))
    return {
        "name": "random",
        "classes": {"a": {"priority": draw(st.integers(0, 1))}, "b": {"priority": 1}},
        "stations": {name: draw(stations(name, names)) for name in names},
        "arrivals": {"all": arrivals, "more": {"rate_per_h": 0.3, "classes": {"a": 1}, "to": names[0]}},
        "calendars": {
            "day": {"shifts": [{"days": "mon-fri", "from": "08:30", "to": "17:00"}], "closed": ["2026-01-06"]},
            "round": {
                "cycle_h": 12,
                "shifts": [{"from_h": 1, "to_h": 6, "servers": 3}, {"from_h": 6, "to_h": 11, "servers": 1}],
            },
        },
        "clocks": {"inside": {"from": [f"enter:{names[0]}", "arrive"], "to": f"leave:{names[-1]}"}},
        "frailty": draw(st.sampled_from([{"of": "declaration"}, {"of": "trader", "traders": 7}])),
        "observe": draw(st.sampled_from([{"at_h": [1, 30]}, {"at_h": [0, 6], "every_h": 24}])),
        "run": {**end, "allow_overload": "horizon_h" in end},
    }
