"""The chapters on what the figures rest on: published studies, measurements, method, limits, and how to repeat it."""

import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version

from clearance_sim.report import charts
from clearance_sim.report.document import Block, Bullets, Chart, Code, Paragraph, Section, Subheading, Table, section
from clearance_sim.report.texts import Json, Words, estimate, number, percent, share, value_of

_LIMITS = ("limit.averages", "limit.choice", "limit.law")
_PACKAGES = ("numpy", "scipy", "numba", "SALib", "pandas", "pyarrow", "matplotlib", "fpdf2")
_TRS = ("arrival_to_release", "lodgement_to_release", "arrival_to_lodgement", "release_to_gate_out")


def validation(words: Words, claim: Json) -> Section | None:
    """Predicted against published, failures first among equals; and what the model was fitted to."""
    rows = claim.get("validation") or ()
    blocks: list[Block | None] = []
    if rows:
        inside = sum(bool(row["inside"]) for row in rows)
        blocks += [Paragraph(words.say("validation.count", inside=inside, count=len(rows)))]
        blocks += [_validation_chart(words, rows, inside), _validation_table(words, rows)]
    blocks.append(_calibration(words, claim.get("calibration") or ()))
    return section("validation", words.say("section.validation"), blocks)


def _validation_chart(words: Words, rows: Sequence[Json], inside: int) -> Chart:
    outside = [_study(words, row) for row in rows if not row["inside"]]
    # Where nothing or less is published there is no ratio to draw; the table shows it all the same.
    comparable = [
        {**row, "label": f"{place}. {words.text(row['study'])}"}
        for place, row in enumerate(rows, 1)
        if float(row["published"]) > 0
    ]
    alternative = words.say("validation.alt", inside=inside, count=len(rows), list=words.joined(outside))
    return Chart(
        name="validation",
        title=words.say("validation.title"),
        alternative=alternative,
        draw=lambda canvas: charts.validation(canvas, words, comparable),
        height=0.7 + 0.21 * len(comparable),
    )


def _study(words: Words, row: Json) -> str:
    what = words.text(row.get("what"))
    return f"{words.text(row['study'])}{f' ({what})' if what else ''}"


def _validation_table(words: Words, rows: Sequence[Json]) -> Table:
    has_notes = any(words.text(row.get("note")) for row in rows)
    heading = ["study", "what", "result", "known", *(["note"] if has_notes else [])]
    heading += ["published", "predicted", "tolerance"]
    lines = [
        (
            f"{place}. {words.text(row['study'])}",
            words.text(row.get("what")) or words.clock(row["clock"]),
            words.say("inside" if row["inside"] else "outside"),
            words.name("known", str(row["known"])),
            *([words.text(row.get("note"))] if has_notes else []),
            f"{number(row['published'])} {words.name('unit', row['unit'])}",
            estimate(row["predicted"]),
            _tolerance(words, row),
        )
        for place, row in enumerate(rows, 1)
    ]
    return Table(
        tuple(map(words.say, heading)), tuple(lines), words.say("validation.caption"), words=5 if has_notes else 4
    )


def _tolerance(words: Words, row: Json) -> str:
    factor = words.say("factor", factor=number(row["tolerance"]))
    return factor + (words.say("slack", slack=number(row["slack"])) if row.get("slack") else "")


def _calibration(words: Words, rows: Sequence[Json]) -> Table | None:
    heading = ("study", "what", "known", "published", "fitted", "simulated")
    lines = [
        (
            words.text(row["study"]),
            words.text(row["figure"]),
            words.name("known", str(row["known"])),
            f"{number(row['published'])} {words.name('unit', row['unit'])}",
            number(row["fitted"]),
            estimate(row["simulated"]),
        )
        for row in rows
    ]
    return (
        Table(tuple(map(words.say, heading)), tuple(lines), words.say("calibration.caption"), words=3) if rows else None
    )


def measured(words: Words, probe: Json | None, trs: Json | None) -> Section | None:
    """What a probe of a running system and a study of a real log found."""
    blocks = [*(_probe(words, probe) if probe else ()), *(_trs(words, trs) if trs else ())]
    return section("measured", words.say("section.measured"), blocks)


def _probe(words: Words, probe: Json) -> Iterator[Block]:
    heading = (words.say("probe.measure"), words.say("count"), *map(words.say, ("mean", "median", "p90", "p95")))
    rows = [
        (
            words.name("probe", name),
            f"{measure['count']:,}",
            *(estimate(measure.get(key)) for key in ("mean", "p50", "p90", "p95")),
        )
        for name, measure in probe.get("measures", {}).items()
        if measure
    ]
    caption = words.say("probe.caption", count=probe.get("sent", "–"))
    yield Table(heading, tuple(rows), f"{caption} ({words.say('seconds')})")
    caught = list(_detections(words, probe.get("detection", {})))
    if caught:
        columns = ("probe.kind", "probe.tried", "probe.caught", "probe.undecided", "probe.passed")
        yield Table((*map(words.say, columns), "%"), tuple(caught), words.say("probe.detection"))
    if probe.get("faults"):
        yield Bullets(tuple(map(str, probe["faults"])))


def _detections(words: Words, detection: Json) -> Iterator[tuple[str, ...]]:
    for kind, found in detection.items():
        for name, result in (found if "tried" not in found else {"": found}).items():
            label = words.name("probe", kind) + ("" if name in ("", "all") else f": {name}")
            counts = (f"{result[key]:,}" for key in ("tried", "caught", "undecided", "passed"))
            yield (label, *counts, share(result.get("share")))


def _trs(words: Words, trs: Json) -> Iterator[Block]:
    target = trs["question"]["target_hours"]
    heading = [words.say("group"), words.say("clock"), words.say("count")]
    heading += [words.say(key) for key in ("mean", "median", "p90", "p95")]
    heading += [words.say("within", hours=target) + " %", words.say("km")]
    caption = words.say(
        "trs.caption", source=trs["source"], released=trs["released"], open=trs["open"], aside=trs["set_aside"]
    )
    rows = [_trs_row(words, interval) for interval in trs["intervals"] if interval.get("figures")]
    yield Table(tuple(heading), tuple(rows), f"{caption} ({words.say('h')})", words=2)
    yield from _trs_stages(words, trs)
    by = words.name("by", trs["resampled_by"])
    level = percent(trs["question"]["resampling"]["level"]).replace(".0", "")
    yield Paragraph(words.say("trs.note", level=level, by=by), is_note=True)


def _trs_stages(words: Words, trs: Json) -> Iterator[Table]:
    rows = [
        (
            words.name("station", stage["name"]),
            words.name("owner", stage["party"]) if stage["party"] else words.say("none"),
            f"{stage['cases']:,}",
            *(number(stage[key]) for key in ("mean", "mean_waiting", "median", "p90", "per_case")),
        )
        for stage in trs["stages"]
    ]
    heading = ("stage", "owner", "trs.cases", "mean", "trs.waiting", "median", "p90", "trs.per_case")
    if rows:
        caption = f"{words.say('trs.stages', source=trs['source'])} ({words.say('h')})"
        yield Table(tuple(map(words.say, heading)), tuple(rows), caption, words=2)


def _trs_row(words: Words, interval: Json) -> tuple[str, ...]:
    figures, survival = interval["figures"], interval.get("survival") or {}
    clock = words.clock(interval["name"].replace("_to_", " → ").replace("gate_out", "gate-out"))
    return (
        words.name("group", interval["group"]),
        clock,
        f"{figures['count']:,}",
        *(estimate(figures[key]) for key in ("mean", "median", "p90", "p95")),
        share(figures["within_target"]),
        number(survival.get("median")),
    )


def method(words: Words, claim: Json, commands: Sequence[str], missing: Sequence[str]) -> Section | None:
    """How it was done, what it cannot say, how to repeat it, and with which versions."""
    made = claim["made"]
    blocks: list[Block | None] = [
        Paragraph(words.say("method.text")),
        Subheading(words.say("limits")),
        Bullets(tuple(_limits(words, claim, missing))),
        *_consistency(words, claim),
        Subheading(words.say("repeat")),
        Paragraph(words.say("repeat.text")),
        Code("\n".join(commands)),
        _versions(words, made),
        _parameters(words, claim.get("parameters") or ()),
        Subheading(words.say("sources")),
        Paragraph(words.say("sources.text"), is_note=True),
    ]
    return section("method", words.say("section.method"), blocks)


def _parameters(words: Words, parameters: Sequence[Json]) -> Table | None:
    """Every number of the model with its range, its basis and its source."""
    rows = [
        (
            words.text(row["title"]),
            words.name("known", str(row["known"])),
            words.text(row["source"]),
            f"{_number(row['value'])} {words.name('unit', str(row['unit']))}".replace(" share", ""),
            " – ".join(map(_number, row["range"])) if row.get("range") else words.say("none"),
        )
        for row in parameters
    ]
    heading = tuple(map(words.say, ("assumption", "known", "source", "value", "range")))
    return Table(heading, tuple(rows), words.say("parameters.caption"), words=3) if rows else None


def _number(value: object) -> str:
    return number(float(value)) if isinstance(value, int | float) else str(value)


def _limits(words: Words, claim: Json, missing: Sequence[str]) -> Iterator[str]:
    yield from map(words.say, _LIMITS)
    if source := (claim.get("measured") or {}).get("source"):
        yield words.say("limit.measured", source=words.name("measured", str(source)))
    if missing:
        yield words.say("missing", list=words.joined(list(missing)))


def _consistency(words: Words, claim: Json) -> list[Block]:
    remarks = [words.text(item) for item in claim.get("consistency") or ()]
    return [Subheading(words.say("consistency")), Bullets(tuple(remarks))] if remarks else []


def _versions(words: Words, made: Json) -> Table:
    seconds = made.get("wall_seconds") or {}
    total = seconds.get("total") if isinstance(seconds, dict) else seconds
    facts = [
        (words.say("version"), f"Provenport {made['version']}"),
        (words.say("seed"), str(made["seed"])),
        (words.say("replications"), f"{made['replications']:,}"),
        (words.say("declarations"), f"{made['declarations']:,}"),
        (words.say("workers"), str(made.get("workers", "–"))),
        (words.say("seconds_taken"), "–" if total is None else number(value_of(total))),
        ("Python", platform.python_version()),
        *((name, found) for name in _PACKAGES if (found := _version_of(name))),
    ]
    return Table((words.say("name"), words.say("value")), tuple(facts), words.say("versions.caption"), words=2)


def _version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
