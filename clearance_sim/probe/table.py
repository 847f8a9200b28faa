"""The findings as a person reads them: two tables, and one sentence that says what they mean."""

from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.table import Table

from clearance_sim.probe.campaign import Campaign
from clearance_sim.probe.findings import MEASURES, QUANTILES, Estimate, Fates, Findings, proportion, quantile


def show(campaign: Campaign, console: Console) -> None:
    """Print what was found."""
    found = campaign.found
    console.print(
        f"Provenport {campaign.at.version} at {campaign.at.url}: {found.of('good').tried} good, "
        f"{found.of('wrong').tried} wrong, {found.of('forged').tried} forged in {campaign.wall_seconds:.0f} s"
    )
    console.print(_times(found))
    console.print(_detection(found))
    for line in (*found.notes, *_faults(found.faults)):
        console.print(line, highlight=False, soft_wrap=True)
    console.print(sentence(found), style="bold" if found.forgeries_passed else None, highlight=False, soft_wrap=True)


def _times(found: Findings) -> Table:
    table = Table(
        title="The machine's part, in seconds (95 % intervals)",
        title_justify="left",
        box=box.SIMPLE,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column("step", no_wrap=True)
    for heading in ("n", "P50", "", "P95", "", "P99"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, words in MEASURES.items():
        if seconds := found.seconds.get(name):
            p50, p95, p99 = (quantile(seconds, QUANTILES[share]) for share in ("p50", "p95", "p99"))
            figures = (_seconds(p50.value), _interval(p50), _seconds(p95.value), _interval(p95), _seconds(p99.value))
            table.add_row(words, str(len(seconds)), *figures)
    return table


def _interval(estimate: Estimate) -> str:
    return f"{_seconds(estimate.low)} to {_seconds(estimate.high)}"


def _seconds(value: float | None) -> str:
    return "?" if value is None else f"{value:.3f}" if value < 1 else f"{value:.2f}"


def _detection(found: Findings) -> Table:
    table = Table(
        title="What became of them", title_justify="left", box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False
    )
    for heading in ("consignments", "tried", "caught", "undecided", "passed", "share caught"):
        table.add_column(heading, justify="left" if heading == "consignments" else "right", no_wrap=True)
    for family in ("forged", "wrong", "good"):
        kinds = sorted((kind, fates) for (name, kind), fates in found.fates.items() if name == family)
        rows = kinds if family != "good" else [("refused wrongly", found.of("good"))]
        for kind, fates in rows:
            table.add_row(f"{family}: {kind}", *_row(fates))
        if family != "good" and rows:
            table.add_row(f"{family}: all", *_row(found.of(family)), end_section=True)
    return table


def _row(fates: Fates) -> Iterable[str]:
    yield from (str(fates.tried), str(fates.caught), str(fates.undecided), str(fates.passed))
    share = proportion(fates.caught, fates.tried)
    yield "–" if share.low is None else f"{share.value:.0%} ({share.low:.0%} to {share.high:.0%})"


MOST_FAULTS = 5


def _faults(faults: list[str]) -> list[str]:
    if not faults:
        return []
    shown = [f"  {fault}" for fault in faults[:MOST_FAULTS]]
    rest = [f"  … and {len(faults) - MOST_FAULTS} more"] if len(faults) > MOST_FAULTS else []
    return [f"{len(faults)} consignment(s) could not be brought to their end and count nowhere:", *shown, *rest]


def sentence(found: Findings) -> str:
    """What it comes to."""
    forged, wrong, good = found.of("forged"), found.of("wrong"), found.of("good")
    parts = []
    if forged.passed:
        parts.append(f"{forged.passed} of {forged.tried} forgeries passed for genuine.")
    elif forged.tried:
        share = proportion(forged.tried, forged.tried)
        parts.append(f"No forgery of {forged.tried} passed (with 95 % confidence at least {share.low:.1%} do not).")
    if wrong.passed:
        parts.append(f"{wrong.passed} of {wrong.tried} wrong consignments passed.")
    if good.tried and good.passed < good.tried:
        parts.append(f"{good.tried - good.passed} of {good.tried} consignments in order were refused or held.")
    elif good.tried:
        parts.append(f"All {good.tried} consignments in order were released.")
    return " ".join(parts) or "Nothing could be judged."
