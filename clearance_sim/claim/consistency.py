"""Whether a claim agrees with itself: short remarks, each computed."""

from __future__ import annotations

LOGISTICS_DAYS = 5.7
FULFILMENT_WORKING_DAYS = (3, 5)


def remarks(from_h: float, to_h: float, saved_by_ledger_arm_h: float) -> list[dict[str, object]]:
    """A door-to-door time of 5.7 days beside a clearance of 72 h or 8 h inside it, and beside what is saved here."""
    door = 24 * LOGISTICS_DAYS
    cut = from_h - to_h
    rest_before, rest_after = door - from_h, door - to_h
    return [
        {
            "en": f"{from_h:g} h of clearance would be {100 * from_h / door:.0f} % of {LOGISTICS_DAYS} logistics days and "
            f"leave {rest_before / 24:.1f} days for everything else; {to_h:g} h would be {100 * to_h / door:.0f} % and "
            f"leave {rest_after / 24:.1f} days. {LOGISTICS_DAYS} days after the change are consistent with either only "
            f"if the rest of the way takes that long.",
            "zh": f"若通关需 {from_h:g} 小时，将占 {LOGISTICS_DAYS} 天物流时间的 {100 * from_h / door:.0f}%，其余环节只剩 "
            f"{rest_before / 24:.1f} 天；若为 {to_h:g} 小时，则占 {100 * to_h / door:.0f}%，其余 {rest_after / 24:.1f} 天。"
            f"改革后仍为 {LOGISTICS_DAYS} 天，只有在其余环节确需如此之久时才说得通。",
            "values": {"door_h": door, "rest_before_h": rest_before, "rest_after_h": rest_after},
        },
        {
            "en": f"If clearance falls by {cut:g} h, door to door falls by at most {cut / 24:.1f} days; the paperless arm "
            f"with a ledger saves {saved_by_ledger_arm_h:.1f} h on average here, which is "
            f"{saved_by_ledger_arm_h / 24:.1f} days.",
            "zh": f"通关缩短 {cut:g} 小时，门到门最多缩短 {cut / 24:.1f} 天；本研究中无纸化加账本平均节省 "
            f"{saved_by_ledger_arm_h:.1f} 小时，即 {saved_by_ledger_arm_h / 24:.1f} 天。",
            "values": {"cut_days": cut / 24, "saved_days": saved_by_ledger_arm_h / 24},
        },
        {
            "en": f"A fulfilment of {FULFILMENT_WORKING_DAYS[0]} to {FULFILMENT_WORKING_DAYS[1]} working days spans "
            f"{FULFILMENT_WORKING_DAYS[0]} to {FULFILMENT_WORKING_DAYS[1] + 2} calendar days with a weekend: it can hold "
            f"{LOGISTICS_DAYS} logistics days only at its slow end.",
            "zh": f"{FULFILMENT_WORKING_DAYS[0]} 至 {FULFILMENT_WORKING_DAYS[1]} 个工作日的履约期，遇周末为 "
            f"{FULFILMENT_WORKING_DAYS[0]} 至 {FULFILMENT_WORKING_DAYS[1] + 2} 个日历日：仅其上限容得下 {LOGISTICS_DAYS} 天物流时间。",
            "values": {"calendar_days": [FULFILMENT_WORKING_DAYS[0], FULFILMENT_WORKING_DAYS[1] + 2]},
        },
    ]
