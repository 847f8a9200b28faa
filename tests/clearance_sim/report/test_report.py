"""The report: says the verdict first, is whole in both languages, needs no network, and can be read by everybody."""

import io
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import asdict
from html.parser import HTMLParser

import pypdf
import pytest
from click.testing import CliRunner

from clearance_sim.commands.report import report_command
from clearance_sim.messages import LANGUAGES
from clearance_sim.report import ReportError, compose, compose_run, to_html, to_pdf
from clearance_sim.report.canvas import COLOURS, draw, inline, wrapped
from clearance_sim.report.document import Chart, Table
from clearance_sim.report.labels import Labels, estimate, number
from tests.clearance_sim.report.builders import a_claim, a_context, a_result

COMMANDS = ("clearance-sim claim --quick --seed 1",)


def a_document(language="en", **changes):
    """One setting with every chapter: drawing is what takes time."""
    return compose(a_claim(contexts=[a_context()], **changes), language, commands=COMMANDS)


@pytest.fixture(scope="module")
def pages():
    return {language: to_html(a_document(language)) for language in LANGUAGES}


@pytest.fixture(scope="module")
def pdf():
    return to_pdf(a_document("zh"))


def said(document):
    """Everything that a document says, without drawing it."""
    parts = [str(asdict(block)) for section in document.sections for block in section.blocks]
    return " ".join([document.title, document.subtitle, document.made, *document.verdict.reasons, *parts])


class Reading(HTMLParser):
    """What a page's elements, attributes and text are."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.text, self.ids = [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_data(self, data):
        self.text.append(data)


def text_of(page):
    return "".join(Reading(re.sub(r"<style>.*?</style>", "", page, flags=re.S)).text)


# Labels


def test_another_language_is_refused():
    with pytest.raises(ValueError, match="choose en or zh"):
        Labels("fr")


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0.00"), (0.034, "0.034"), (2.4, "2.40"), (72.16, "72.2"), (1234.5, "1,234"), (-3.25, "−3.25"), (None, "–")],
)
def test_figures_have_the_digits_that_they_bear(value, shown):
    assert number(value) == shown


def test_estimate_shows_its_interval_if_any():
    """An estimate shows its interval where it has one."""
    assert estimate({"value": 8, "low": 7.5, "high": 8.25}) == "8.00 [7.50, 8.25]"
    assert estimate({"value": 8, "low": None, "high": None}) == "8.00"
    assert estimate(None) == "–"


# What it says


@pytest.mark.parametrize("language", LANGUAGES)
def test_first_page_has_verdict_reasons_and_chart(language):
    """The first page gives the verdict three sentences and one chart."""
    document = compose(a_claim(), language)
    assert document.verdict.label == Labels(language).text("outcome.does not hold")
    assert len(document.verdict.reasons) == 3
    assert isinstance(document.verdict.chart, Chart)


def test_verdict_stands_before_everything_else(pages):
    ids = Reading(pages["en"]).ids
    assert ids.index("first") < ids.index("verdict") < ids.index("time")


@pytest.mark.parametrize("outcome", ["holds", "holds as median", "does not hold", "indeterminate"])
def test_every_outcome_has_its_own_word_and_shape(outcome):
    bare = {"name": "bare", "title": "t", "arms": [{"name": "paper", "clocks": {"arrival → release": {}}}]}
    context = bare | {"verdict": {"outcome": outcome, "en": "", "zh": ""}}
    page = to_html(compose(a_claim(contexts=[context], validation=[], calibration=[]), "en"))
    assert Labels("en").text(f"outcome.{outcome}") in page
    shape = {"holds": "●", "does not hold": "■"}.get(outcome, "◐")
    assert f'<span aria-hidden="true">{shape}</span>' in page


def test_all_chapters_are_there_in_order():
    assert [part.name for part in compose(a_claim(), "zh").sections] == [
        "verdict", "time", "stages", "causes", "conditions", "load", "sensitivity", "others", "validation", "method",
    ]  # fmt: skip


def test_missing_chapters_are_named_among_limits():
    """What a run left out is named among the limits."""
    context = {key: value for key, value in a_context().items() if key not in ("sobol", "tornado", "congestion")}
    for arm in context["arms"]:
        arm.pop("week")
    text = said(compose(a_claim(contexts=[context], validation=[], calibration=[]), "en"))
    left_out = re.search("Not part of this run, and therefore not shown: (.*?)\\.", text).group(1)
    assert left_out.split("; ") == [
        Labels("en").text(f"section.{name}") for name in ("load", "sensitivity", "others", "validation", "measured")
    ]


def test_failures_of_validation_are_shown_not_dropped(pages):
    text = text_of(pages["en"])
    assert "1 of 2 figures" in text
    assert "■ outside" in text
    assert "the model has no AEO desk" in text


def test_ledger_credit_names_its_assumption(pages):
    """The ledger is credited two ways with the assumption named."""
    text = text_of(pages["en"])
    assert "100 % of documents ready before arrival; 50 % of fewer interventions" in text
    assert "an assumption, not a finding" in text


def test_indefensible_baseline_is_called_so():
    """A baseline that cannot be defended is called so."""
    assert "no defensible starting point" in said(compose(a_claim(), "en"))
    assert "no defensible starting point" not in said(a_document())


def test_referee_finds_seed_sizes_and_the_command(pages):
    text = text_of(pages["en"])
    assert "seed 1 · 20 replications × 5,000 declarations" in text
    assert COMMANDS[0] in text
    assert "quick run, not for citation" in text


def test_report_lists_assumptions_with_range_and_source(pages):
    """A referee finds every assumption with its range and source."""
    text = text_of(pages["en"])
    assert "port share in Bangladesh's 2022 study" in text
    assert "2.00 – 12.0" in text
    assert "90 % of the draws lie between 11.2 and 32.8 hours, half of them below 16.9; 1.3 % reach 8 hours" in text


def test_other_clock_has_its_own_verdict(pages):
    assert "By the clock lodgement → release" in text_of(pages["en"])
    assert "It holds for the median only. By lodgement → release." in text_of(pages["en"])


def test_what_results_say_cannot_become_markup():
    title = {"en": '<script>alert("x")</script> & $style', "zh": "<b>"}
    context = {"name": "x", "title": title, "arms": [{"name": "paper", "clocks": {"arrival → release": {}}}]}
    context |= {"verdict": {"outcome": "holds", "parts": [title]}, "remark": title}
    page = to_html(compose(a_claim(contexts=[context], validation=[], calibration=[]), "en"))
    assert "<script" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format": "something else"}, "make it with clearance-sim claim"),
        ({"contexts": []}, "holds no context"),
    ],
)
def test_files_of_another_kind_are_refused(change, told):
    with pytest.raises(ReportError, match=told):
        compose(a_claim(**change), "en")
    with pytest.raises(ReportError, match="make it with clearance-sim trs"):
        compose(a_claim(), "en", trs={"format": "clearance-sim claim 1"})


# The page


@pytest.mark.parametrize("language", LANGUAGES)
def test_page_asks_nothing_of_any_network(language, pages):
    reading = Reading(pages[language])
    assert not {"script", "link", "iframe", "img", "object", "embed", "base", "image"} & set(reading.tags)
    asking = [
        (tag, name, value) for tag, name, value in reading.attributes if name in ("src", "href", "srcset", "action")
    ]
    assert asking
    assert all(value.startswith("#") for _, _, value in asking)
    assert "://" not in pages[language]
    assert "@import" not in pages[language]
    assert set(re.findall(r"url\(([^)]{5})", pages[language])) <= {"data:"} | set(
        re.findall(r"url\((#[^)]{4})", pages[language])
    )


def test_search_for_addresses_would_find_one(pages):
    planted = pages["en"].replace("</main>", '<img src="https://example.org/x.png"></main>')
    reading = Reading(planted)
    assert "img" in reading.tags
    assert "://" in planted


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_picture_has_words_and_unique_id(language, pages):
    """Every picture is told in words and every id is its own."""
    reading = Reading(pages[language])
    pictures = [value for tag, name, value in reading.attributes if name == "role" and value == "img"]
    told = [value for tag, name, value in reading.attributes if tag == "div" and name == "aria-label"]
    assert len(pictures) >= 12
    assert len(told) == len(pictures)
    assert all(len(words) > 20 and re.search(r"\d", words) for words in told)
    assert len(reading.ids) == len(set(reading.ids))
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', pages[language]))
    assert used <= set(reading.ids)


def test_page_colours_are_variables_for_night(pages):
    """Day colours are replaced so that night can change them."""
    body = pages["en"][pages["en"].index("</style>") :]
    assert not [light for light, _ in COLOURS.values() if light in body]
    assert "prefers-color-scheme:dark" in pages["en"]


def test_colours_stay_legible_on_their_ground():
    def luminance(code):
        parts = [int(code[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(first, second):
        light, dark = sorted((luminance(first), luminance(second)), reverse=True)
        return (light + 0.05) / (dark + 0.05)

    for name in set(COLOURS) - {"ground", "line"}:
        for place in (0, 1):
            assert contrast(COLOURS[name][place], COLOURS["ground"][place]) >= 4.5, name


def test_chinese_pages_carry_every_character_that_they_use(pages):
    import base64

    from fontTools.ttLib import TTFont

    font = TTFont(io.BytesIO(base64.b64decode(re.search(r"data:font/woff;base64,([^)]+)\)", pages["zh"]).group(1))))
    used = {char for char in text_of(pages["zh"]) if ord(char) > 32}
    assert not {char for char in used if ord(char) not in font.getBestCmap()}
    assert len(pages["en"]) < 1_000_000


def test_same_results_give_the_same_picture():
    first, again = (inline(draw(a_document().verdict.chart, True, False), "x") for _ in range(2))
    assert first == again


def test_print_charts_are_shapes_page_charts_text():
    """Charts for print are shapes and for the page text."""
    chart = compose(a_claim(), "zh").verdict.chart
    for as_paths in (True, False):
        root = ET.fromstring(draw(chart, True, as_paths))
        texts = root.findall(".//{http://www.w3.org/2000/svg}text")
        assert bool(texts) is not as_paths
    assert not root.findall(".//{http://www.w3.org/2000/svg}image")


def test_tables_are_rectangular(pages):
    document = compose(a_claim(), "en")
    tables = [block for part in document.sections for block in part.blocks if isinstance(block, Table)]
    assert len(tables) >= 10
    for table in tables:
        assert {len(row) for row in table.rows} == {len(table.heading)}, table.caption


# PDF


def extracted(pdf):
    return "\n".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(pdf)).pages)


def test_text_of_the_pdf_can_be_copied(pdf):
    text = extracted(pdf)
    assert "\x00" not in text
    for words in ("站得住脚吗？", Labels("zh").text("outcome.does not hold"), "各国研究见上列各表", COMMANDS[0]):
        assert words in text


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="needs pdftotext")
def test_pdftotext_reads_chinese_of_pdf(pdf, tmp_path):
    """Another program reads the chinese of the pdf too."""
    (tmp_path / "r.pdf").write_bytes(pdf)
    done = subprocess.run(["pdftotext", str(tmp_path / "r.pdf"), "-"], capture_output=True, text=True, check=True)
    assert "从 72 小时到 8 小时：站得住脚吗？" in done.stdout
    assert "\x00" not in done.stdout


def test_pdf_is_a4_with_verdict_and_outline(pdf):
    """The pdf is a4 with its verdict first and an outline."""
    reader = pypdf.PdfReader(io.BytesIO(pdf))
    box = reader.pages[0].mediabox
    assert (round(float(box.width)), round(float(box.height))) == (595, 842)
    assert Labels("zh").text("outcome.does not hold") in reader.pages[0].extract_text()
    assert len(reader.outline) == len(a_document("zh").sections)
    assert 5 < len(reader.pages) < 20


def test_chinese_lines_are_filled_and_keep_their_punctuation(pdf):
    lines = [line for line in extracted(pdf).splitlines() if re.search("[\u4e00-\u9fff]", line)]
    begin = lines.index(next(line for line in lines if line.startswith("本报告采用")))
    assert len(lines[begin]) > 45
    assert not [line for line in lines if line[0] in "，。；：、）”》"]


def test_pdf_embeds_only_the_characters_it_needs(pdf):
    assert len(pdf) < 600_000


# The command


def test_command_writes_both_files_with_measurements(tmp_path):
    small = {key: value for key, value in a_context().items() if key in ("name", "title", "verdict")}
    small["arms"] = [{"name": "paper", "clocks": {"arrival → release": {}}}]
    (tmp_path / "claim.json").write_text(json.dumps(a_claim(contexts=[small], validation=[])))
    about = {"value": 1.5, "low": 1, "high": 2}
    measure = {"unit": "s", "count": 40} | dict.fromkeys(("mean", "p50", "p90", "p95"), about)
    caught = {"tried": 40, "caught": 40, "undecided": 0, "passed": 0, "share": {"value": 1, "low": 0.91, "high": 1}}
    probe = {"format": "provenport-probe", "sent": 40, "measures": {"lodgeToVerdict": measure}, "faults": []}
    probe["detection"] = {"good": caught, "forged": {"all": caught, "never-issued": caught}}
    (tmp_path / "probe.json").write_text(json.dumps(probe))
    asked = [str(tmp_path / "claim.json"), "--probe", str(tmp_path / "probe.json"), "--language", "zh"]
    done = CliRunner().invoke(
        report_command, [*asked, "-o", str(tmp_path / "r.html"), "--pdf", str(tmp_path / "r.pdf")]
    )
    assert done.exit_code == 0, done.output
    text = text_of((tmp_path / "r.html").read_text("utf-8"))
    assert "提交申报到给出判定" in text
    assert "伪造单证: never-issued" in text
    assert (tmp_path / "r.pdf").read_bytes().startswith(b"%PDF")


def test_command_names_unreadable_file(tmp_path):
    """The command names the file that it cannot read."""
    (tmp_path / "claim.json").write_text("{")
    done = CliRunner().invoke(report_command, [str(tmp_path / "claim.json"), "-o", str(tmp_path / "r.html")])
    assert done.exit_code == 1
    assert "cannot be read as JSON" in done.output
    (tmp_path / "claim.json").write_text(json.dumps({**a_claim(), "made": {}}))
    done = CliRunner().invoke(report_command, [str(tmp_path / "claim.json"), "-o", str(tmp_path / "r.html")])
    assert "a part is missing" in done.output


# One run


@pytest.mark.parametrize("language", LANGUAGES)
def test_run_has_a_report_of_its_own(language, tmp_path):
    (tmp_path / "result.json").write_text(json.dumps(a_result()))
    asked = [str(tmp_path / "result.json"), "--language", language, "-o", str(tmp_path / "r.html")]
    done = CliRunner().invoke(report_command, asked)
    assert done.exit_code == 0, done.output
    text = text_of((tmp_path / "r.html").read_text("utf-8"))
    labels = Labels(language)
    for said_so in (
        labels.text("clock.total"),
        labels.text("channel.red"),
        labels.text("station.document check"),
        "18.5",
    ):
        assert said_so in text
    assert "clearance-sim run office --seed 7 --replications 20 --json result.json" in text


def test_desk_that_nobody_came_to_shows_dashes():
    document = compose_run(a_result(), "en")
    (table,) = [block for block in document.sections[1].blocks if isinstance(block, Table)]
    assert table.rows[2] == ("closed", *["–"] * 6)
    assert "–" not in table.rows[0]


def test_long_titles_are_wrapped_to_width():
    """The longest names and titles keep to their room."""
    assert wrapped("automatic acceptance, ledger, officers 24×7", 20) == "automatic\nacceptance, ledger,\nofficers 24×7"
    assert wrapped("全天候自动受理与放行", 10) == "全天候自动\n受理与放行"
