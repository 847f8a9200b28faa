"""Results of a claim study in the shape that the report reads, made up but of plausible size."""

import math
from typing import Any

LEVERS = ("ledger", "early_documents", "automation", "fewer_interventions", "deferred_duty", "officers_24x7")
TITLES = {
    "ledger": ("ledger: verified records", "账本：可验凭证"),
    "early_documents": ("documents ready before arrival", "单证提前备齐、提前申报"),
    "automation": ("automatic acceptance and release, 24×7", "全天候自动受理与放行"),
    "fewer_interventions": ("fewer interventions", "降低布控与查验比例"),
    "deferred_duty": ("duty deferred or guaranteed", "担保放行、汇总征税"),
    "officers_24x7": ("officers and yard 24×7", "关员与查验场全天候"),
}
ARMS = (
    ("paper", "paper", "纸面办理", 72.0),
    ("edi", "paperless without a ledger (EDI)", "无纸化、无账本（EDI）", 41.0),
    ("ledger", "paperless with shared verified records", "无纸化并共享可验凭证（账本）", 38.5),
    ("edi-reformed", "paperless without a ledger, with R, D and O", "无纸化、无账本，并行 R、D、O", 7.6),
    ("ledger-reformed", "shared verified records, with R, D and O", "共享可验凭证，并行 R、D、O", 6.9),
)
CLOCKS = ("arrival → release", "lodgement → release")
STAGES = (
    ("documents", "trader", 26.0),
    ("unloading", "port", 8.7),
    ("in-tray", "customs", 9.0),
    ("document check", "customs", 4.0),
    ("query", "trader", 6.0),
    ("examination", "customs", 3.0),
    ("laboratory", "agency", 2.0),
    ("duty payment", "trader", 11.0),
    ("release by hand", "customs", 2.0),
)


def text(en: str, zh: str) -> dict[str, str]:
    return {"en": en, "zh": zh}


def e(value: float, spread: float = 0.03) -> dict[str, float]:
    return {"value": value, "low": value * (1 - spread), "high": value * (1 + spread)}


def a_clock(mean: float) -> dict[str, Any]:
    sigma = 0.86
    median = mean / math.exp(sigma**2 / 2)
    hours = [0.1 * 1.08**n for n in range(115)]

    def by(time: float) -> float:
        return 0.5 * (1 + math.erf(math.log(time / median) / sigma / math.sqrt(2)))

    return {
        "mean": e(mean),
        "median": e(median),
        "p90": e(median * math.exp(1.2816 * sigma), 0.05),
        "p95": e(median * math.exp(1.645 * sigma), 0.06),
        "within_8h": e(by(8)),
        "within_72h": e(by(72), 0.01),
        "ecdf": [[hour, by(hour)] for hour in hours],
    }


def three(mean: float) -> dict[str, Any]:
    clock = a_clock(mean)
    return {name: clock[name] for name in ("mean", "median", "p90")}


def an_arm(name: str, en: str, zh: str, mean: float) -> dict[str, Any]:
    scale = mean / 72
    week = [max(0.0, 30 * scale * math.sin((hour % 24 - 6) / 18 * math.pi)) * (hour < 120) + 4 for hour in range(168)]
    staff = [6 if hour < 120 and 8 <= hour % 24 < 18 else 0 for hour in range(168)]
    return {
        "name": name,
        "title": text(en, zh),
        "levers": dict.fromkeys(LEVERS, 0.0),
        "clocks": {CLOCKS[0]: a_clock(mean), CLOCKS[1]: a_clock(mean * 0.4)},
        "channels": [
            {"channel": channel, "share": e(share), **three(mean * factor), "within_8h": e(0.3 / factor)}
            for channel, share, factor in (("green", 0.6, 0.7), ("yellow", 0.28, 1.2), ("red", 0.12, 2.1))
        ],
        "stages": [
            {"station": station, "owner": owner, "mean_h": hours * scale, "share": hours / 72}
            for station, owner, hours in STAGES
        ],
        "staffed": [{"station": "document check", "utilisation": e(0.71), "wait": e(6.2 * scale)}],
        "week": [
            {"station": "document check", "queue": week, "servers": staff},
            {"station": "examination", "queue": [value / 3 for value in week], "servers": staff},
        ],
        "fraud": {
            "forged_per_10000": 40,
            "caught": e(9.0 if name == "paper" else 39.6),
            "false_but_signed_per_10000": 60,
            "false_caught": e(8.0),
        },
    }


def an_attribution(clock: str, statistic: str) -> dict[str, Any]:
    shares = dict(zip(LEVERS, (2, 33, 28, 12, 16, 9), strict=True))
    return {
        "clock": clock,
        "statistic": statistic,
        "baseline": e(72.2),
        "all": e(6.9),
        "saving": e(65.3),
        "levers": [
            {
                "lever": lever,
                "title": text(*TITLES[lever]),
                "shapley": e(0.653 * share, 0.08),
                "shapley_percent": e(share, 0.08),
                "first_in": e(0.8 * share, 0.1),
                "last_in": e(0.3 * share, 0.2),
            }
            for lever, share in shares.items()
        ],
        "ledger": {
            "direct_percent": e(2.1, 0.2),
            "enabled_percent": e(41, 0.1),
            "credited": {"early_documents": 1.0, "fewer_interventions": 0.5},
            "note": text("How much is credited is open to argument.", "计入多少见仁见智。"),
        },
    }


def a_context(name: str = "general", en: str = "General import by sea", zh: str = "一般贸易海运进口") -> dict[str, Any]:
    shares = [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    mean = [[72 * (1 - 0.85 * x) * (1 - 0.5 * y) for x in shares] for y in shares]
    inputs = [("documents_h", "documents incomplete", "单证不齐时长"), ("duty_h", "duty payment", "缴税时长")]
    inputs += [(f"p{n}", f"assumption number {n}", f"第 {n} 项假设") for n in range(6)]
    parts = [
        text(
            "General import by sea, clock arrival → release: on paper the mean is 72.2 h.",
            "一般贸易海运进口，纸面办理平均 72.2 小时。",
        ),
        text(
            "With shared verified records the mean is 38.5 h: 8 h is not reached.",
            "共享可验凭证后平均 38.5 小时：未达到 8 小时。",
        ),
        text("Alone they save 3.9 h of 72.2.", "单独使用仅节省 3.9 小时。"),
        text("With every reform the mean is 6.9 h.", "全部改革后平均 6.9 小时。"),
        text("Of the saving, 2 % is the ledger's own.", "节省的时间中，2% 来自账本本身。"),
    ]
    return {
        "name": name,
        "title": text(en, zh),
        "direction": "import",
        "cargo": "general",
        "mode": "sea",
        "remark": text("A port where papers come by courier.", "单证靠快递送达的口岸。"),
        "baseline_defensible": name == "general",
        "arms": [an_arm(*arm) for arm in ARMS],
        "factorial": {"levers": list(LEVERS), "cells": []},
        "attribution": [an_attribution(clock, statistic) for clock in CLOCKS for statistic in ("mean", "median")],
        "adoption": [
            {"share": s, "party_share": s**0.25, **{clock: three(72 - 33 * s) for clock in CLOCKS}} for s in shares
        ],
        "congestion": [
            {
                "load": load,
                "arms": {
                    name: {CLOCKS[0]: three(mean * (1 + max(0, load - 0.9) * 2)), "utilisation": 0.7 * load}
                    for name, _, _, mean in ARMS[:3]
                },
            }
            for load in (0.7, 0.85, 1.0, 1.15, 1.3)
        ],
        "frontier": {
            "x": {
                "name": "prelodged_share",
                "title": text("lodged before arrival", "提前申报"),
                "values": shares,
            },
            "y": {"name": "deferred_share", "title": text("automatic acceptance", "自动受理"), "values": shares},
            "slices": [
                {"name": "now", "title": text("duty and staff as now", "税费与人手不变"), "mean": mean},
                {
                    "name": "relaxed",
                    "title": text("duty deferred, officers 24×7", "延后缴税、全天候作业"),
                    "mean": [[0.6 * hours for hours in row] for row in mean],
                },
            ],
            "smallest_sets": {"mean": [list(LEVERS[1:])], "median": [list(LEVERS[1:3]), list(LEVERS[2:4])], "p90": []},
            "bound": text(
                "Port handling alone takes 8.6 to 14.4 h of 72.", "72 小时中仅港口作业就占 8.6 至 14.4 小时。"
            )
            | {"port_share": [0.12, 0.2], "hours_left": [8.6, 14.4]},
        },
        "sobol": {
            "clock": CLOCKS[0],
            "statistic": "mean",
            "arm": "ledger",
            "evaluations": 4096,
            "spread": {"p05": 11.2, "median": 16.9, "p95": 32.8},
            "within_8h": 0.013,
            "parameters": [
                {
                    "name": name,
                    "title": text(en, zh),
                    "first": e(0.5 / (n + 1.5)),
                    "total": e(0.6 / (n + 1.2)),
                    "range": [4, 170],
                }
                for n, (name, en, zh) in enumerate(inputs)
            ],
        },
        "tornado": [
            {"name": name, "title": text(en, zh), "low": 4, "high": 170}
            | {"at_low": 72 - 20 / (n + 1), "at_high": 72 + 34 / (n + 1), "base": 72}
            for n, (name, en, zh) in enumerate(inputs)
        ],
        "verdicts": {
            clock: {"outcome": outcome, "parts": [text(f"By {clock}.", f"按{clock}。")]}
            for clock, outcome in zip(CLOCKS, ("does not hold", "holds as median"), strict=True)
        },
        "verdict": text(" ".join(p["en"] for p in parts), "".join(p["zh"] for p in parts))
        | {"outcome": "does not hold", "parts": parts},
    }


def a_claim(**changes: Any) -> dict[str, Any]:
    contexts = [a_context(), a_context("parcels", "Parcels, export", "跨境电商出口包裹")]
    study = {"study": "Japan, Ministry of Finance, survey of March 2015", "year": 2015, "clock": CLOCKS[0], "unit": "h"}
    return {
        "format": "clearance-sim claim 1",
        "made": {
            "version": "0.1.0",
            "seed": 1,
            "replications": 20,
            "declarations": 5000,
            "quick": True,
            "workers": 2,
            "wall_seconds": {"factorial": 20.0, "total": 61.5},
        },
        "claim": {"from_h": 72, "to_h": 8},
        "measured": {"source": "assumption"},
        "verdict": contexts[0]["verdict"],
        "contexts": contexts,
        "calibration": [
            {"figure": "mean, sea", "known": "seen", "published": 144.18, "fitted": 143.9, "simulated": e(144.5)}
            | study
        ],
        "validation": [
            study
            | {"what": "arrival to permit, sea", "published": 59.5, "predicted": e(63), "tolerance": 1.35}
            | {"slack": 0, "inside": True, "known": "seen", "note": ""},
            study
            | {"what": "declaration to permit", "published": 2.4, "predicted": e(7.9), "tolerance": 1.5}
            | {"slack": 0.2, "inside": False, "known": "derived", "note": "the model has no AEO desk"},
        ],
        "parameters": [
            {"name": "unload", "title": text("Unloading, median", "卸货时间（中位数）"), "value": 6.0, "unit": "h"}
            | {"range": [2.0, 12.0], "source": "port share in Bangladesh's 2022 study", "known": "derived"}
        ],
        "consistency": [
            text("72 h would be 53 % of 5.7 days.", "72 小时占 5.7 天的 53%。") | {"values": {"share": 0.53}}
        ],
    } | changes


def a_result() -> dict[str, Any]:
    """What ``clearance-sim run --json`` writes, with one class of three and a desk that nobody came to."""
    nothing = {"value": None, "low": None, "high": None}

    def times(mean: float) -> dict[str, Any]:
        return {"mean": e(mean), "p50": e(0.7 * mean), "p90": e(2.1 * mean), "p95": e(2.9 * mean)}

    def a_clock_of(mean: float, **classes: float) -> dict[str, Any]:
        by_class = {name: a_clock_of(value) for name, value in classes.items()}
        return times(mean) | {"count": e(900, 0), "within": {"8.0": e(0.6)}, "by_class": by_class}

    def a_desk(wait: float, work: float) -> dict[str, Any]:
        figures = {"entered": e(900, 0), "queue_length": e(2.0), "in_service": e(1.5), "utilisation": e(0.75)}
        return figures | {"wait": times(wait), "sojourn": times(wait + work)}

    unused = dict.fromkeys(("entered", "queue_length", "in_service", "utilisation"), nothing)
    unused |= {key: dict.fromkeys(("mean", "p50", "p90", "p95"), nothing) for key in ("wait", "sojourn")}
    return {
        "format": "clearance-sim result 1",
        "scenario": "office",
        "replications": 20,
        "seed": 7,
        "level": 0.95,
        "warm_up_declarations": 100,
        "clocks": {"total": a_clock_of(7.4, green=5.4, red=18.5)},
        "stations": {"document check": a_desk(2.3, 0.9), "lab": a_desk(9.2, 7.9), "closed": unused},
    }
