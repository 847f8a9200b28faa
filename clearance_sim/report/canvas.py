"""What reports are drawn with: sizes, colours that can be told apart by colour-blind readers and in print, and fonts.

The Chinese font is reduced to the characters that a document uses, for pages and for PDF.
"""

import base64
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import matplotlib
import pylopdf_fonts_zh_cn
from fontTools import subset
from fontTools.pens.cu2quPen import Cu2QuPen
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTFont, newTable
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure

FONT = Path(pylopdf_fonts_zh_cn.__file__).parent / "NotoSansSC-Regular.otf"
"""Noto Sans SC, under the SIL Open Font License, which allows embedding."""
_UNITS_OF_ERROR = 1.0
MOST_PANELS_ABREAST = 3
WIDE, NARROW = 7.2, 3.7
"""Inches: a page or a desk, and a phone."""

COLOURS = {
    "ink": ("#16201f", "#e7eceb"),
    "soft": ("#5a6866", "#a3b0ad"),
    "line": ("#d5dddb", "#33403d"),
    "ground": ("#fefefe", "#0f1413"),
    "accent": ("#0b6b65", "#5cc9c1"),
    "first": ("#4a5553", "#c3cdca"),
    "second": ("#b85c00", "#f0a04b"),
    "third": ("#0b7a72", "#5bc8c0"),
    "fourth": ("#a6437b", "#e58bbe"),
    "fifth": ("#0b5cad", "#7db4f5"),
    "sixth": ("#6d6a1c", "#cfc95a"),
    "bad": ("#b3261e", "#ff958c"),
}
"""By day and by night. Nothing is told by colour alone: lines differ in dashes and marks, bars carry figures."""
SERIES = ("first", "second", "third", "fourth", "fifth", "sixth")
_DASHES = ("-", (0, (5, 2)), (0, (5, 1.5, 1, 1.5)), (0, (1.5, 1.5)), (0, (8, 2)), (0, (3, 1, 1, 1, 1, 1)))
_MARKS = ("o", "s", "^", "D", "v", "P")
TEXTURES = ("plain", "lines", "bars", "grid", "rail", "dense")
"""What bars are filled with, drawn as lines: programs that draw SVG into PDF know no patterns and no clipping."""


def colour(name: str) -> str:
    """Return a colour for light mode. The page replaces it in dark mode."""
    return COLOURS[name][0]


def series(number: int) -> dict[str, Any]:
    """Return the line style of the series with this number."""
    place = number % len(SERIES)
    return {"color": colour(SERIES[place]), "linestyle": _DASHES[place], "linewidth": 1.8}


def mark(number: int) -> str:
    """Return the marker of the series with this number."""
    return _MARKS[number % len(_MARKS)]


@dataclass(frozen=True)
class Bar:
    """A horizontal bar: its row, start, width and height."""

    row: float
    begin: float
    width: float
    height: float = 0.6


def textured(axes: Axes, bar: Bar, tone: str, texture: str, pitch: float, label: str | None = None) -> None:
    """Draw a bar with a texture. ``pitch`` is the distance between upright lines, in units of the axis."""
    edge = colour(tone)
    axes.barh(
        bar.row,
        bar.width,
        left=bar.begin,
        height=bar.height,
        color=edge + "40",
        edgecolor=edge,
        linewidth=0.8,
        label=label,
    )
    low, high = bar.row - bar.height / 2, bar.row + bar.height / 2
    thin: dict[str, Any] = {"color": edge, "linewidth": 0.6}
    if texture in ("lines", "grid", "dense"):
        number = 5 if texture == "dense" else 3
        heights = [low + bar.height * (n + 1) / (number + 1) for n in range(number)]
        axes.hlines(heights, bar.begin, bar.begin + bar.width, **thin)
    if texture in ("bars", "grid"):
        steps = int(bar.width / pitch)
        axes.vlines([bar.begin + pitch * (n + 0.5) for n in range(steps)], low, high, **thin)
    if texture == "rail":
        axes.hlines([bar.row], bar.begin, bar.begin + bar.width, color=edge, linewidth=2.4)


@dataclass(frozen=True)
class Canvas:
    """A figure to draw on, for a wide page or for a phone."""

    figure: Figure
    is_wide: bool

    def panels(self, count: int, share_y: bool = False) -> list[Axes]:
        """Return this many axes, up to three side by side on a wide page, else one below the other."""
        columns = min(count, MOST_PANELS_ABREAST) if self.is_wide else 1
        rows = -(-count // columns)
        axes = list(self.figure.subplots(rows, columns, squeeze=False, sharey=share_y and self.is_wide).flat)
        for spare in axes[count:]:
            spare.set_visible(False)
        return axes[:count]


def legend(canvas: Canvas, axes: Axes) -> None:
    """Draw the legend below the chart, in as many columns as fit its labels."""
    handles, labels = axes.get_legend_handles_labels()
    longest = max((width_of(label) for label in labels), default=0)
    columns = 1 if not canvas.is_wide else 3 if longest <= 30 else 2
    canvas.figure.legend(handles, labels, loc="outside lower left", ncols=min(columns, len(labels)), handlelength=3.2)


def wrapped(text: str, width: int) -> str:
    """Wrap a title into lines."""
    lines = [""]
    for word in re.findall(r"[\u2e80-\uffff]|[^\u2e80-\uffff\s]+\s*|\s+", text):
        if width_of(lines[-1] + word.rstrip()) > width:
            lines.append("")
        lines[-1] += word
    return "\n".join(line.strip() for line in lines)


def width_of(text: str) -> int:
    """Return the width of a text in letters, of which a Chinese character takes two."""
    return sum(2 if ord(char) > 0x2E80 else 1 for char in text)


@cache
def _know_the_font() -> str:
    font_manager.fontManager.addfont(str(FONT))
    return font_manager.FontProperties(fname=str(FONT)).get_name()


@contextmanager
def style(as_paths: bool, is_wide: bool) -> Iterator[None]:
    """Configure matplotlib for the charts, with text as text, or as paths that need no font."""
    size = 8.5 if is_wide else 8
    settings: dict[str, Any] = {
        "font.family": [_know_the_font()],
        "font.size": size,
        "svg.fonttype": "path" if as_paths else "none",
        "svg.hashsalt": "provenport",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": colour("soft"),
        "axes.labelcolor": colour("ink"),
        "axes.titlelocation": "left",
        "axes.titlesize": size + 0.5,
        "axes.titlecolor": colour("ink"),
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.facecolor": "none",
        "figure.facecolor": "none",
        "savefig.facecolor": "none",
        "grid.color": colour("line"),
        "grid.linewidth": 0.6,
        "text.color": colour("ink"),
        "xtick.color": colour("soft"),
        "ytick.color": colour("soft"),
        "xtick.labelcolor": colour("ink"),
        "ytick.labelcolor": colour("ink"),
        "legend.frameon": False,
        "legend.fontsize": size - 0.5,
        "axes.unicode_minus": True,
    }
    with matplotlib.rc_context(settings):  # type: ignore[arg-type]  # it wants every key as a literal
        yield


def draw(chart: Any, is_wide: bool, as_paths: bool) -> str:
    """Return a chart as an SVG document."""
    with style(as_paths, is_wide):
        panels = chart.rows if is_wide else chart.panels
        width = WIDE if is_wide else NARROW
        figure = Figure(figsize=(width, chart.height * panels), layout="constrained")
        chart.draw(Canvas(figure, is_wide))
        out = BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue().decode()


def inline(svg: str, name: str) -> str:
    """Return an SVG document for embedding in a page: without external addresses, and with unique ids.

    Fonts and colours become those of the page.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r' (xmlns(:\w+)?|version)="[^"]*"', "", svg)
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)
    svg = re.sub(r"font: (?:\w+ )?([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    svg = re.sub(r'<svg[^>]*viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true" focusable="false">', svg)
    for colour_name, (by_day, _) in COLOURS.items():
        svg = svg.replace(by_day, f"var(--{colour_name})")
    return _shorter(svg).strip()


def _shorter(svg: str) -> str:
    """Return an SVG without comments, empty lines and needless digits, at about half the size."""
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.S)
    svg = re.sub(r"(\d+\.\d{2})\d+", r"\1", svg)
    out = StringIO()
    for line in svg.splitlines():
        if stripped := line.strip():
            out.write(stripped + "\n")
    return out.getvalue()


@cache
def as_woff(characters: str) -> str:
    """Return the font as base64 WOFF, for readers whose machine has no Chinese font."""
    font = _cut_down(characters)
    font.flavor = "woff"
    return base64.b64encode(_saved(font)).decode()


@cache
def as_truetype(characters: str) -> bytes:
    """Return the font with TrueType outlines, for PDF.

    With OpenType outlines the PDF gets an encoding that some programs cannot follow when text is copied out of it:
    pypdf reads every other character as NUL.
    """
    font = _cut_down(characters)
    order = font.getGlyphOrder()
    outlines = font.getGlyphSet()
    glyphs = {}
    for name in order:
        pen = TTGlyphPen(outlines)
        outlines[name].draw(Cu2QuPen(pen, _UNITS_OF_ERROR, reverse_direction=True))
        glyphs[name] = pen.glyph()
    font["loca"], font["glyf"] = newTable("loca"), newTable("glyf")
    font["glyf"].glyphOrder, font["glyf"].glyphs = order, glyphs
    for table in ("CFF ", "VORG"):
        if table in font:
            del font[table]
    font["maxp"].tableVersion = 0x00010000
    for name in ("maxZones", "maxTwilightPoints", "maxStorage", "maxFunctionDefs", "maxInstructionDefs"):
        setattr(font["maxp"], name, 1 if name == "maxZones" else 0)
    for name in ("maxStackElements", "maxSizeOfInstructions", "maxComponentElements"):
        setattr(font["maxp"], name, 0)
    font["post"].formatType = 3.0
    font.sfntVersion = "\x00\x01\x00\x00"
    return _saved(font)


def _cut_down(characters: str) -> TTFont:
    options = subset.Options(layout_features=["kern", "locl"], hinting=False, desubroutinize=True)
    options.name_IDs = [0, 1, 2, 6, 13, 14]
    font = TTFont(FONT, lazy=True)
    chosen = subset.Subsetter(options)
    chosen.populate(text=characters)
    chosen.subset(font)
    return font


def _saved(font: TTFont) -> bytes:
    out = BytesIO()
    font.save(out)
    return out.getvalue()
