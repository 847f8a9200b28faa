"""A report as PDF on A4, with an embedded font, so that it looks the same everywhere."""

import logging
import re
from dataclasses import asdict
from io import BytesIO
from tempfile import NamedTemporaryFile

from fpdf import FPDF, FontFace
from fpdf.enums import TableBordersLayout, TextEmphasis, XPos, YPos

from clearance_sim.messages import language_tag
from clearance_sim.report.canvas import WIDE, as_truetype, colour, draw
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
from clearance_sim.report.html import INDETERMINATE, SHAPES
from clearance_sim.report.labels import Labels

_FAMILY = "Noto Sans SC"
_TONES = {"good": (23, 112, 58), "bad": (179, 38, 30), "wait": (138, 86, 0)}
_STRAIGHT = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'"})
_CHINESE = re.compile(r"[\u2e80-\uffff]")
_CLOSING = "，。；：、）”》！？"
_PARTS = re.compile(rf"\n|[（“《]*[\u2e80-\uffff][{_CLOSING}\u3000]*|[^\s\u2e80-\uffff]+[{_CLOSING}]*[^\S\n]*|[^\S\n]+")
"""Where a line may end: after a word, after a Chinese character, never before what closes or after what opens."""
_WIDTH = 180.0
"""Millimetres of A4 between the margins."""


def _rgb(name: str) -> tuple[int, int, int]:
    code = colour(name)
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)


class _Paper(FPDF):
    """An A4 document with the report's font, colours and page numbers."""

    def __init__(self, document: Document) -> None:
        super().__init__(format="A4")
        self.labels = Labels(document.language)
        self.figures = 0
        self.tables = 0
        with NamedTemporaryFile(suffix=".ttf") as font:
            font.write(as_truetype(characters_of(document)))
            font.flush()
            self.add_font(_FAMILY, fname=font.name)
        self.set_margins(15, 16, 15)
        self.set_auto_page_break(True, margin=18)
        self.set_title(document.title)
        self.set_subject(document.subtitle)
        self.set_creator("Provenport")
        self.set_lang(language_tag(document.language))
        self.head = f"Provenport · {document.title}"

    def footer(self) -> None:
        """Print the report's name and the page number."""
        self.set_y(-12)
        self.type(7.5, "soft")
        self.cell(_WIDTH / 2, 4, self.head)
        self.cell(_WIDTH / 2, 4, self.labels.text("page", number=self.page_no()), align="R")

    def type(self, size: float, tone: str = "ink") -> None:
        """Set the size and colour of the following text."""
        self.set_font(_FAMILY, size=size)
        self.set_text_color(*_rgb(tone))

    def lines(self, text: str, size: float = 9.5, tone: str = "ink", height: float = 5.0, indent: float = 0) -> None:
        """Print text across the page."""
        if not _CHINESE.search(text):
            # The font draws curly quotation marks as wide as a Chinese character.
            text = text.translate(_STRAIGHT)
        self.type(size, tone)
        text = self.broken(text, _WIDTH - indent - 2 * self.c_margin)
        self.set_x(self.l_margin + indent)
        self.multi_cell(_WIDTH - indent, height, text, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def broken(self, text: str, width: float) -> str:
        """Break text into lines. fpdf2 breaks at spaces only, and Chinese has none."""
        lines = [""]
        for part in _PARTS.findall(text):
            if part == "\n" or self.get_string_width(lines[-1] + part.rstrip()) > width:
                lines.append("")
            lines[-1] += part.replace("\n", "")
        return "\n".join(line.rstrip() for line in lines)

    def room_for(self, millimetres: float) -> None:
        """Start a new page if less room is left."""
        if self.will_page_break(millimetres):
            self.add_page()


def characters_of(document: Document) -> str:
    """Return every character that the document shows. Text in charts is drawn as paths and not included."""
    labels = Labels(document.language)
    own = [labels.text("verdict"), *(labels.text("page", number=n) for n in range(10))]
    own += [labels.text(key, number=0, title="") for key in ("figure", "table")]
    return "".join(sorted({*str(asdict(document)), *"".join(own), *"•●◐■0123456789"}))


def to_pdf(document: Document) -> bytes:
    """Return the document as a PDF file."""
    # fpdf2 tells of every SVG attribute that it does not need.
    logging.getLogger("fpdf.svg").setLevel(logging.ERROR)
    paper = _Paper(document)
    paper.add_page()
    _head(paper, document)
    if document.verdict:
        _verdict(paper, document.verdict)
    for section in document.sections:
        _section(paper, section)
    return bytes(paper.output())


def _head(paper: _Paper, document: Document) -> None:
    paper.lines(document.title, 19, "ink", 8.5)
    paper.lines(document.subtitle, 11, "ink", 6)
    paper.lines(document.made, 8, "soft", 5)
    paper.set_draw_color(*_rgb("accent"))
    paper.set_line_width(0.6)
    paper.line(paper.l_margin, paper.y + 1, paper.l_margin + _WIDTH, paper.y + 1)
    paper.set_line_width(0.2)
    paper.ln(5)


def _verdict(paper: _Paper, verdict: Verdict) -> None:
    shape, tone = SHAPES.get(verdict.outcome, INDETERMINATE)
    top = paper.y
    paper.lines(paper.labels.text("verdict"), 9, "soft", 5, indent=5)
    paper.set_font(_FAMILY, size=17)
    paper.set_text_color(*_TONES[tone])
    paper.set_x(paper.l_margin + 5)
    paper.cell(8, 9, shape)
    paper.set_text_color(*_rgb("ink"))
    paper.multi_cell(_WIDTH - 13, 9, verdict.label, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    for number, reason in enumerate(verdict.reasons, 1):
        paper.lines(f"{number}. {reason}", 10, "ink", 5.4, indent=5)
        paper.ln(1)
    paper.set_fill_color(*_TONES[tone])
    paper.rect(paper.l_margin, top, 1.6, paper.y - top, style="F")
    paper.set_fill_color(255, 255, 255)
    paper.ln(3)
    if verdict.chart:
        _chart(paper, verdict.chart)


def _section(paper: _Paper, section: Section) -> None:
    first = section.blocks[0]
    paper.room_for(14 + (_height(first) + 16 if isinstance(first, Chart) else 30))
    paper.ln(4)
    paper.start_section(section.title)
    paper.lines(section.title, 14, "accent", 7)
    paper.ln(1)
    for block in section.blocks:
        _block(paper, block)


def _block(paper: _Paper, block: Block) -> None:
    match block:
        case Paragraph():
            size, tone = (8, "soft") if block.is_note else (9.5, "ink")
            paper.lines(block.text, size, tone, 4.4 if block.is_note else 5)
            paper.ln(1.5)
        case Bullets():
            for item in block.items:
                paper.lines(f"• {item}", 9.5, "ink", 5, indent=2)
            paper.ln(1.5)
        case Subheading():
            paper.room_for(25)
            paper.ln(2)
            paper.lines(block.text, 11, "ink", 6)
        case Code():
            paper.lines(block.text, 8.5, "ink", 4.6, indent=3)
            paper.ln(1.5)
        case Table():
            _table(paper, block)
        case Chart():
            _chart(paper, block)


def _height(chart: Chart) -> float:
    return chart.height * chart.rows / WIDE * _WIDTH


def _chart(paper: _Paper, chart: Chart) -> None:
    svg = draw(chart, is_wide=True, as_paths=True)
    height = _height(chart)
    paper.room_for(height + 16)
    paper.figures += 1
    paper.ln(1)
    paper.lines(paper.labels.text("figure", number=paper.figures, title=chart.title), 9.5, "ink", 5)
    if chart.note:
        paper.lines(chart.note, 7.5, "soft", 4)
    paper.image(BytesIO(svg.encode()), x=paper.l_margin, w=_WIDTH, h=height, alt_text=chart.alternative)
    paper.ln(3)


def _table(paper: _Paper, table: Table) -> None:
    paper.room_for(30)
    paper.tables += 1
    paper.ln(1)
    paper.lines(paper.labels.text("table", number=paper.tables, title=table.caption), 9.5, "ink", 5)
    paper.type(_size(table))
    paper.set_draw_color(*_rgb("line"))
    heading = FontFace(color=_rgb("soft"), emphasis=TextEmphasis.NONE)
    aligned = ["LEFT" if place < table.text_columns else "RIGHT" for place in range(len(table.heading))]
    with paper.table(
        width=_WIDTH,
        col_widths=_widths(paper, table),
        text_align=tuple(aligned),
        line_height=paper.font_size * 1.35,
        padding=(0.6, 1.2, 0.6, 0),
        borders_layout=TableBordersLayout.HORIZONTAL_LINES,
        headings_style=heading,
    ) as drawn:
        for row in (table.heading, *table.rows):
            drawn.row([_cell(table, cell) for cell in row])
    paper.ln(3)


def _cell(table: Table, cell: str) -> str:
    """Return a cell's text, in a wide table with the interval below its figure."""
    return cell.replace(" [", "\n[") if len(table.heading) > 5 else cell


def _size(table: Table) -> float:
    columns = len(table.heading)
    return 8 if columns <= 6 else 7 if columns <= 8 else 6.2


def _widths(paper: _Paper, table: Table) -> tuple[float, ...]:
    """Return the widths of the columns: as the longest figure needs, and for text up to a limit."""
    widths = []
    for place in range(len(table.heading)):
        cells = [line for row in table.rows for line in _cell(table, row[place]).split("\n")]
        longest = max((paper.get_string_width(cell) for cell in cells), default=10)
        head = max(paper.get_string_width(word) for word in table.heading[place].split(" ") or [""])
        widths.append(min(max(longest, min(head, 24), 9), 46) + 3)
    return tuple(widths)
