"""The parts of a report, independent of HTML and PDF: sections of paragraphs, tables and charts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from clearance_sim.report.canvas import MOST_PANELS_ABREAST, Canvas


@dataclass(frozen=True)
class Paragraph:
    """One or several sentences. ``is_note`` sets them smaller."""

    text: str
    is_note: bool = False


@dataclass(frozen=True)
class Bullets:
    """A list of sentences."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Code:
    """Commands that a reader can type."""

    text: str


@dataclass(frozen=True)
class Subheading:
    """A heading inside a section."""

    text: str


@dataclass(frozen=True)
class Table:
    """Rows under a heading. The first ``text_columns`` hold text, the others figures."""

    heading: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    text_columns: int = 1


@dataclass(frozen=True)
class Chart:
    """A chart that is drawn for each width. ``alternative`` describes it for readers who cannot see it."""

    name: str
    title: str
    alternative: str
    draw: Callable[[Canvas], None]
    note: str = ""
    panels: int = 1
    height: float = 3.1
    """Inches of one panel."""

    @property
    def rows(self) -> int:
        """The number of rows of panels on a wide page."""
        return -(-self.panels // MOST_PANELS_ABREAST)


Block = Paragraph | Bullets | Code | Subheading | Table | Chart


@dataclass(frozen=True)
class Section:
    """A heading with its blocks."""

    name: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Verdict:
    """The content of the first page."""

    outcome: str
    """``holds``, ``holds as median``, ``does not hold`` or ``indeterminate``."""
    label: str
    text: str
    reasons: tuple[str, ...]
    chart: Chart | None


@dataclass(frozen=True)
class Document:
    """A whole report."""

    language: str
    title: str
    subtitle: str
    made: str
    contents: str
    verdict: Verdict | None
    sections: tuple[Section, ...] = field(default_factory=tuple)


def section(name: str, title: str, blocks: Sequence[Block | None]) -> Section | None:
    """Return a section of the blocks that are not None. None if there are none."""
    present = tuple(block for block in blocks if block is not None)
    return Section(name, title, present) if present else None
