"""A report as one HTML file that contains its style, its charts and, for Chinese, its font."""

from html import escape
from importlib.resources import files
from string import Template

from clearance_sim.messages import language_tag
from clearance_sim.report.canvas import COLOURS, as_woff, draw, inline
from clearance_sim.report.document import (
    Block,
    Bullets,
    Chart,
    Code,
    Document,
    Paragraph,
    Section,
    Subheading,
    Table,
    Verdict,
)
from clearance_sim.report.labels import Labels

SHAPES = {"holds": ("●", "good"), "holds as median": ("◐", "wait"), "does not hold": ("■", "bad")}
"""Shape and tone of each outcome, so that colour alone tells nothing. Others are indeterminate."""
INDETERMINATE = ("◐", "wait")
_STYLE = "/* style */"


class _Page:
    """Writes blocks as HTML, and numbers figures and tables."""

    def __init__(self, language: str) -> None:
        self.labels = Labels(language)
        self.figures = 0
        self.tables = 0

    def block(self, block: Block) -> str:
        """Return a block as HTML."""
        match block:
            case Paragraph():
                return f'<p class="note">{escape(block.text)}</p>' if block.is_note else f"<p>{escape(block.text)}</p>"
            case Bullets():
                return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in block.items) + "</ul>"
            case Code():
                return f'<pre tabindex="0"><code>{escape(block.text)}</code></pre>'
            case Subheading():
                return f"<h3>{escape(block.text)}</h3>"
            case Table():
                return self.table(block)
            case Chart():
                return self.chart(block)

    def chart(self, chart: Chart) -> str:
        """Return a chart with its number and caption, drawn for wide and narrow pages."""
        self.figures += 1
        title = self.labels.text("figure", number=self.figures, title=chart.title)
        pictures = "".join(
            f'<div class="{kind}">{inline(draw(chart, is_wide, as_paths=False), f"{chart.name}-{kind}")}</div>'
            for kind, is_wide in (("wide", True), ("narrow", False))
        )
        note = f"<span>{escape(chart.note)}</span>" if chart.note else ""
        return (
            f'<figure id="figure-{chart.name}"><figcaption><b>{escape(title)}</b>{note}</figcaption>'
            f'<div role="img" aria-label="{escape(chart.alternative)}">{pictures}</div></figure>'
        )

    def table(self, table: Table) -> str:
        """Return a table with its number and caption."""
        self.tables += 1
        title = self.labels.text("table", number=self.tables, title=table.caption)
        head = "".join(
            f'<th scope="col"{"" if place < table.text_columns else " class=n"}>{escape(cell)}</th>'
            for place, cell in enumerate(table.heading)
        )
        rows = "".join(self._row(table, row) for row in table.rows)
        name = f"table-{self.tables}"
        return (
            f'<p class="caption" id="{name}">{escape(title)}</p>'
            f'<div class="table" tabindex="0" role="region" aria-labelledby="{name}">'
            f'<table aria-labelledby="{name}"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
        )

    @staticmethod
    def _row(table: Table, row: tuple[str, ...]) -> str:
        first = f'<th scope="row">{escape(row[0])}</th>'
        cells = "".join(
            f"<td{'' if place < table.text_columns else ' class=n'}>{_figure(cell)}</td>"
            for place, cell in enumerate(row[1:], 1)
        )
        return f"<tr>{first}{cells}</tr>"

    def section(self, section: Section) -> str:
        """Return a section with its heading."""
        blocks = "\n".join(map(self.block, section.blocks))
        return f'<section id="{section.name}"><h2>{escape(section.title)}</h2>\n{blocks}</section>'

    def verdict(self, verdict: Verdict) -> str:
        """Return the verdict with its shape and colour, so that it can be told without either."""
        shape, tone = SHAPES.get(verdict.outcome, INDETERMINATE)
        reasons = "".join(f"<li>{escape(reason)}</li>" for reason in verdict.reasons)
        chart = self.chart(verdict.chart) if verdict.chart else ""
        label = escape(self.labels.text("verdict"))
        return (
            f'<section id="first" class="verdict {tone}"><p class="label">{label}</p>'
            f'<p class="word"><span aria-hidden="true">{shape}</span> {escape(verdict.label)}</p>'
            f"<ol>{reasons}</ol>{chart}</section>"
        )


def _figure(cell: str) -> str:
    """Return a cell's HTML, with an interval below its figure."""
    value, bracket, interval = cell.partition(" [")
    if not bracket:
        return escape(cell)
    return f'{escape(value)} <span class="i">[{escape(interval)}</span>'


def to_html(document: Document) -> str:
    """Return the document as an HTML page."""
    page = _Page(document.language)
    verdict = page.verdict(document.verdict) if document.verdict else ""
    sections = "\n".join(map(page.section, document.sections))
    links = "".join(f'<li><a href="#{part.name}">{escape(part.title)}</a></li>' for part in document.sections)
    body = Template(_template("report.html")).substitute(
        language=language_tag(document.language),
        title=escape(document.title),
        subtitle=escape(document.subtitle),
        made=escape(document.made),
        contents=escape(document.contents),
        links=links,
        verdict=verdict,
        sections=sections,
    )
    face = _font_face("".join(sorted(set(body))))
    return body.replace(_STYLE, face + _colours() + _template("report.css"), 1)


def _template(name: str) -> str:
    return (files("clearance_sim.report") / "templates" / name).read_text("utf-8")


def _colours() -> str:
    day = "".join(f"--{name}:{light};" for name, (light, _) in COLOURS.items())
    night = "".join(f"--{name}:{dark};" for name, (_, dark) in COLOURS.items())
    return f":root{{{day}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{night}}}}}\n"


def _font_face(characters: str) -> str:
    return (
        '@font-face{font-family:"Provenport Sans SC";font-weight:400;'
        f'src:url(data:font/woff;base64,{as_woff(characters)}) format("woff")}}\n'
    )
