"""Chapters on the basis of the figures: published studies, measurements, method, limits, and repetition."""

import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version

from clearance_sim.report import charts
from clearance_sim.report.document import Block, Bullets, Chart, Code, Paragraph, Section, Subheading, Table, section
from clearance_sim.report.labels import Json, Labels, estimate, number, percent, share, value_of

_LIMITS = ("limit.averages", "limit.choice", "limit.law")
_PACKAGES = ("numpy", "scipy", "numba", "SALib", "pandas", "pyarrow", "matplotlib", "fpdf2")
_TRS = ("arrival_to_release", "lodgement_to_release", "arrival_to_lodgement", "release_to_gate_out")


def validation(labels: Labels, claim: Json) -> Section | None:
    """Return the chapter on predicted against published figures, and on the calibration."""
    rows = claim.get("validation") or ()
    blocks: list[Block | None] = []
    if rows:
        inside = sum(bool(row["inside"]) for row in rows)
        blocks += [Paragraph(labels.text("validation.count", inside=inside, count=len(rows)))]
        blocks += [_validation_chart(labels, rows, inside), _validation_table(labels, rows)]
    blocks.append(_calibration(labels, claim.get("calibration") or ()))
    return section("validation", labels.text("section.validation"), blocks)


def _validation_chart(labels: Labels, rows: Sequence[Json], inside: int) -> Chart:
    outside = [_study(labels, row) for row in rows if not row["inside"]]
    # Where nothing or less is published there is no ratio to draw; the table shows it all the same.
    comparable = [
        {**row, "label": f"{place}. {labels.own(row['study'])}"}
        for place, row in enumerate(rows, 1)
        if float(row["published"]) > 0
    ]
    alternative = labels.text("validation.alt", inside=inside, count=len(rows), list=labels.joined(outside))
    return Chart(
        name="validation",
        title=labels.text("validation.title"),
        alternative=alternative,
        draw=lambda canvas: charts.validation(canvas, labels, comparable),
        height=0.7 + 0.21 * len(comparable),
    )


def _study(labels: Labels, row: Json) -> str:
    what = labels.own(row.get("what"))
    return f"{labels.own(row['study'])}{f' ({what})' if what else ''}"


def _validation_table(labels: Labels, rows: Sequence[Json]) -> Table:
    has_notes = any(labels.own(row.get("note")) for row in rows)
    heading = ["study", "what", "result", "known", *(["note"] if has_notes else [])]
    heading += ["published", "predicted", "tolerance"]
    lines = [
        (
            f"{place}. {labels.own(row['study'])}",
            labels.own(row.get("what")) or labels.clock(row["clock"]),
            labels.text("inside" if row["inside"] else "outside"),
            labels.name("known", str(row["known"])),
            *([labels.own(row.get("note"))] if has_notes else []),
            f"{number(row['published'])} {labels.name('unit', row['unit'])}",
            estimate(row["predicted"]),
            _tolerance(labels, row),
        )
        for place, row in enumerate(rows, 1)
    ]
    return Table(
        tuple(map(labels.text, heading)),
        tuple(lines),
        labels.text("validation.caption"),
        text_columns=5 if has_notes else 4,
    )


def _tolerance(labels: Labels, row: Json) -> str:
    factor = labels.text("factor", factor=number(row["tolerance"]))
    return factor + (labels.text("slack", slack=number(row["slack"])) if row.get("slack") else "")


def _calibration(labels: Labels, rows: Sequence[Json]) -> Table | None:
    heading = ("study", "what", "known", "published", "fitted", "simulated")
    lines = [
        (
            labels.own(row["study"]),
            labels.own(row["figure"]),
            labels.name("known", str(row["known"])),
            f"{number(row['published'])} {labels.name('unit', row['unit'])}",
            number(row["fitted"]),
            estimate(row["simulated"]),
        )
        for row in rows
    ]
    return (
        Table(tuple(map(labels.text, heading)), tuple(lines), labels.text("calibration.caption"), text_columns=3)
        if rows
        else None
    )


def measured(labels: Labels, probe: Json | None, trs: Json | None) -> Section | None:
    """Return the chapter on a probe of a running system and a study of a real log."""
    blocks = [*(_probe(labels, probe) if probe else ()), *(_trs(labels, trs) if trs else ())]
    return section("measured", labels.text("section.measured"), blocks)


def _probe(labels: Labels, probe: Json) -> Iterator[Block]:
    heading = (labels.text("probe.measure"), labels.text("count"), *map(labels.text, ("mean", "median", "p90", "p95")))
    rows = [
        (
            labels.name("probe", name),
            f"{measure['count']:,}",
            *(estimate(measure.get(key)) for key in ("mean", "p50", "p90", "p95")),
        )
        for name, measure in probe.get("measures", {}).items()
        if measure
    ]
    caption = labels.text("probe.caption", count=probe.get("sent", "–"))
    yield Table(heading, tuple(rows), f"{caption} ({labels.text('seconds')})")
    caught = list(_detections(labels, probe.get("detection", {})))
    if caught:
        columns = ("probe.kind", "probe.tried", "probe.caught", "probe.undecided", "probe.passed")
        yield Table((*map(labels.text, columns), "%"), tuple(caught), labels.text("probe.detection"))
    if probe.get("faults"):
        yield Bullets(tuple(map(str, probe["faults"])))


def _detections(labels: Labels, detection: Json) -> Iterator[tuple[str, ...]]:
    for kind, found in detection.items():
        for name, result in (found if "tried" not in found else {"": found}).items():
            label = labels.name("probe", kind) + ("" if name in ("", "all") else f": {name}")
            counts = (f"{result[key]:,}" for key in ("tried", "caught", "undecided", "passed"))
            yield (label, *counts, share(result.get("share")))


def _trs(labels: Labels, trs: Json) -> Iterator[Block]:
    target = trs["question"]["target_hours"]
    heading = [labels.text("group"), labels.text("clock"), labels.text("count")]
    heading += [labels.text(key) for key in ("mean", "median", "p90", "p95")]
    heading += [labels.text("within", hours=target) + " %", labels.text("km")]
    caption = labels.text(
        "trs.caption", source=trs["source"], released=trs["released"], open=trs["open"], aside=trs["set_aside"]
    )
    rows = [_trs_row(labels, interval) for interval in trs["intervals"] if interval.get("figures")]
    yield Table(tuple(heading), tuple(rows), f"{caption} ({labels.text('h')})", text_columns=2)
    yield from _trs_stages(labels, trs)
    by = labels.name("by", trs["resampled_by"])
    level = percent(trs["question"]["resampling"]["level"]).replace(".0", "")
    yield Paragraph(labels.text("trs.note", level=level, by=by), is_note=True)


def _trs_stages(labels: Labels, trs: Json) -> Iterator[Table]:
    rows = [
        (
            labels.name("station", stage["name"]),
            labels.name("owner", stage["party"]) if stage["party"] else labels.text("none"),
            f"{stage['cases']:,}",
            *(number(stage[key]) for key in ("mean", "mean_waiting", "median", "p90", "per_case")),
        )
        for stage in trs["stages"]
    ]
    heading = ("stage", "owner", "trs.cases", "mean", "trs.waiting", "median", "p90", "trs.per_case")
    if rows:
        caption = f"{labels.text('trs.stages', source=trs['source'])} ({labels.text('h')})"
        yield Table(tuple(map(labels.text, heading)), tuple(rows), caption, text_columns=2)


def _trs_row(labels: Labels, interval: Json) -> tuple[str, ...]:
    figures, survival = interval["figures"], interval.get("survival") or {}
    clock = labels.clock(interval["name"].replace("_to_", " → ").replace("gate_out", "gate-out"))
    return (
        labels.name("group", interval["group"]),
        clock,
        f"{figures['count']:,}",
        *(estimate(figures[key]) for key in ("mean", "median", "p90", "p95")),
        share(figures["within_target"]),
        number(survival.get("median")),
    )


def method(labels: Labels, claim: Json, commands: Sequence[str], missing: Sequence[str]) -> Section | None:
    """Return the chapter on the method, its limits, the commands to repeat it, and the versions used."""
    made = claim["made"]
    blocks: list[Block | None] = [
        Paragraph(labels.text("method.text")),
        Subheading(labels.text("limits")),
        Bullets(tuple(_limits(labels, claim, missing))),
        *_consistency(labels, claim),
        Subheading(labels.text("repeat")),
        Paragraph(labels.text("repeat.text")),
        Code("\n".join(commands)),
        _versions(labels, made),
        _parameters(labels, claim.get("parameters") or ()),
        Subheading(labels.text("sources")),
        Paragraph(labels.text("sources.text"), is_note=True),
    ]
    return section("method", labels.text("section.method"), blocks)


def _parameters(labels: Labels, parameters: Sequence[Json]) -> Table | None:
    """Return the table of the model's numbers with range, basis and source."""
    rows = [
        (
            labels.own(row["title"]),
            labels.name("known", str(row["known"])),
            labels.own(row["source"]),
            f"{_number(row['value'])} {labels.name('unit', str(row['unit']))}".replace(" share", ""),
            " – ".join(map(_number, row["range"])) if row.get("range") else labels.text("none"),
        )
        for row in parameters
    ]
    heading = tuple(map(labels.text, ("assumption", "known", "source", "value", "range")))
    return Table(heading, tuple(rows), labels.text("parameters.caption"), text_columns=3) if rows else None


def _number(value: object) -> str:
    return number(float(value)) if isinstance(value, int | float) else str(value)


def _limits(labels: Labels, claim: Json, missing: Sequence[str]) -> Iterator[str]:
    yield from map(labels.text, _LIMITS)
    if source := (claim.get("measured") or {}).get("source"):
        yield labels.text("limit.measured", source=labels.name("measured", str(source)))
    if missing:
        yield labels.text("missing", list=labels.joined(list(missing)))


def _consistency(labels: Labels, claim: Json) -> list[Block]:
    remarks = [labels.own(item) for item in claim.get("consistency") or ()]
    return [Subheading(labels.text("consistency")), Bullets(tuple(remarks))] if remarks else []


def _versions(labels: Labels, made: Json) -> Table:
    seconds = made.get("wall_seconds") or {}
    total = seconds.get("total") if isinstance(seconds, dict) else seconds
    facts = [
        (labels.text("version"), f"Provenport {made['version']}"),
        (labels.text("seed"), str(made["seed"])),
        (labels.text("replications"), f"{made['replications']:,}"),
        (labels.text("declarations"), f"{made['declarations']:,}"),
        (labels.text("workers"), str(made.get("workers", "–"))),
        (labels.text("seconds_taken"), "–" if total is None else number(value_of(total))),
        ("Python", platform.python_version()),
        *((name, found) for name in _PACKAGES if (found := _version_of(name))),
    ]
    return Table(
        (labels.text("name"), labels.text("value")), tuple(facts), labels.text("versions.caption"), text_columns=2
    )


def _version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
