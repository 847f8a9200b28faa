"""The Chinese font, reduced to the characters that a document uses, for pages and for PDF."""

import base64
from functools import cache
from io import BytesIO
from pathlib import Path

import pylopdf_fonts_zh_cn
from fontTools import subset
from fontTools.pens.cu2quPen import Cu2QuPen
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTFont, newTable

FONT = Path(pylopdf_fonts_zh_cn.__file__).parent / "NotoSansSC-Regular.otf"
"""Noto Sans SC, under the SIL Open Font License, which allows embedding."""
_UNITS_OF_ERROR = 1.0


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
