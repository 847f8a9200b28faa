"""Whether a claim agrees with itself: short remarks, each computed."""

from __future__ import annotations

LOGISTICS_DAYS = 5.7
FULFILMENT_WORKING_DAYS = (3, 5)

Remark = dict[str, object]


def remarks(from_h: float, to_h: float, saved_by_ledger_arm_h: float) -> list[Remark]:
    """A door-to-door time of 5.7 days beside a clearance of 72 h or 8 h inside it, and beside what is saved here."""
    return [_room(from_h, to_h), _cut(from_h - to_h, saved_by_ledger_arm_h), _fulfilment()]


def _room(from_h: float, to_h: float) -> Remark:
    door = 24 * LOGISTICS_DAYS
    before, after = (door - from_h) / 24, (door - to_h) / 24
    part_before, part_after = f"{100 * from_h / door:.0f}", f"{100 * to_h / door:.0f}"
    en = (
        f"{from_h:g} h of clearance would be {part_before} % of {LOGISTICS_DAYS} logistics days and leave {before:.1f} "
        f"days for everything else; {to_h:g} h would be {part_after} % and leave {after:.1f} days. {LOGISTICS_DAYS} "
        "days agree with either, each time only if the rest of the way takes that long."
    )
    zh = (
        f"若通关需 {from_h:g} 小时，将占 {LOGISTICS_DAYS} 天物流时间的 {part_before}%，其余环节只剩 {before:.1f} 天；"
        f"若为 {to_h:g} 小时，则占 {part_after}%，其余环节 {after:.1f} 天。"
        f"{LOGISTICS_DAYS} 天与两者都不矛盾，但前提是其余环节确需如此之久。"
    )
    return {"en": en, "zh": zh, "values": {"door_days": LOGISTICS_DAYS, "rest_before": before, "rest_after": after}}


def _cut(cut_h: float, saved_h: float) -> Remark:
    days, saved = cut_h / 24, saved_h / 24
    en = (
        f"If clearance falls by {cut_h:g} h, door to door falls by at most {days:.1f} days; the paperless arm with a "
        f"ledger saves {saved_h:.1f} h on average here, which is {saved:.1f} days."
    )
    zh = (
        f"通关缩短 {cut_h:g} 小时，门到门最多缩短 {days:.1f} 天；"
        f"本研究中无纸化加账本平均节省 {saved_h:.1f} 小时，即 {saved:.1f} 天。"
    )
    return {"en": en, "zh": zh, "values": {"cut_days": days, "saved_days": saved}}


def _fulfilment() -> Remark:
    least, most = FULFILMENT_WORKING_DAYS
    fits = most + 2 >= LOGISTICS_DAYS
    end_en = "only at its slow end" if fits else "not at all"
    end_zh = "仅其上限容得下" if fits else "容不下"
    en = (
        f"A fulfilment of {least} to {most} working days spans {least} to {most + 2} calendar days with a weekend: it "
        f"holds {LOGISTICS_DAYS} logistics days {end_en}."
    )
    zh = (
        f"{least} 至 {most} 个工作日的履约期，遇周末为 {least} 至 {most + 2} 个日历日："
        f"{end_zh} {LOGISTICS_DAYS} 天物流时间。"
    )
    return {"en": en, "zh": zh, "values": {"calendar_days": [least, most + 2]}}
