"""What a report consists of, before it becomes HTML or PDF: sections of paragraphs, tables and charts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from clearance_sim.report.canvas import MOST_PANELS_ABREAST, Canvas


@dataclass(frozen=True)
class Paragraph:
    """A sentence or several; ``is_note`` sets it smaller."""

    text: str
    is_note: bool = False


@dataclass(frozen=True)
class Bullets:
    """A list of sentences."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Code:
    """What a reader types."""

    text: str


@dataclass(frozen=True)
class Subheading:
    """Divides a section."""

    text: str


@dataclass(frozen=True)
class Table:
    """Rows under a heading; the first ``text_columns`` hold text, the others figures."""

    heading: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    text_columns: int = 1


@dataclass(frozen=True)
class Chart:
    """A picture that is drawn for each width; ``alternative`` tells those who cannot see it what it shows."""

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
        """Of panels, on a wide page."""
        return -(-self.panels // MOST_PANELS_ABREAST)


Block = Paragraph | Bullets | Code | Subheading | Table | Chart


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    name: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Verdict:
    """What the first page says."""

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
    """Return a section of the blocks that are there; None where there is none."""
    present = tuple(block for block in blocks if block is not None)
    return Section(name, title, present) if present else None
