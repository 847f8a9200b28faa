"""Reads the HTML forms of a page and fills them in as a person would: from what the page itself offers."""

import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from html.parser import HTMLParser
from itertools import groupby
from secrets import randbelow
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from stdnum import ean

from tests.helpers.builders import PDF

CHINA = ZoneInfo("Asia/Shanghai")
_FAULTY = {"fault", "has-fault", "is-invalid", "notice-bad"}
_WITHOUT_VALUE = {"submit", "button", "reset", "image"}
_MOST_VARIANTS = 10
"""A longer list is one of codes (units): nobody learns more from sending each."""


@dataclass(frozen=True)
class Control:
    """One control of a form; a select box has the values that it offers."""

    type: str
    name: str
    value: str = ""
    is_on: bool = False
    offered: tuple[str, ...] = ()
    attributes: Mapping[str, str | None] = field(default_factory=dict)


@dataclass
class Form:
    """A form and where it is sent; ``in_main`` is false for those that stand around every page."""

    action: str
    method: str
    in_main: bool
    controls: list[Control] = field(default_factory=list)
    has_nameless_button: bool = False
    """Its main button sends nothing of its own; named ones beside it do something else."""

    @property
    def variants(self) -> int:
        """How often it is to be sent, so that each choice is made once."""
        lengths = [len(options) for options in self.choices().values()]
        return max([1, *(length for length in lengths if length <= _MOST_VARIANTS)])

    def choices(self) -> dict[str, list[str]]:
        """What each radio group, select box and row of named buttons offers."""
        found: dict[str, list[str]] = {}
        for control in self.controls:
            if control.type == "select":
                found[control.name] = [value for value in control.offered if value]
            elif control.type in ("radio", "submit"):
                found.setdefault(control.name, []).append(control.value)
        return found


@dataclass
class Page:
    """What a page holds: its forms, its lists of proposals, its links, and whether it tells of a fault."""

    forms: list[Form] = field(default_factory=list)
    lists: dict[str, list[str]] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """Text of what is marked as a fault or a bad notice."""


class _Reader(HTMLParser):
    """Gathers a page. Text is kept where a fault, a text area or an option wants it."""

    def __init__(self) -> None:
        super().__init__()
        self.page = Page()
        self._form: Form | None = None
        self._select: tuple[Mapping[str, str | None], list[str], list[str]] | None = None
        self._list: list[str] | None = None
        self._area: Mapping[str, str | None] | None = None
        self._text = ""
        self._in_main = False
        self._is_fault = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if _FAULTY & set((given.get("class") or "").split()):
            self._is_fault = True
        if tag == "main":
            self._in_main = True
        elif tag == "a" and given.get("href"):
            self.page.links.append(given["href"] or "")
        elif tag == "form":
            method = (given.get("method") or "get").lower()
            self._form = Form(given.get("action") or "", method, self._in_main)
            self.page.forms.append(self._form)
        elif tag == "datalist":
            self._list = self.page.lists.setdefault(given.get("id") or "", [])
        elif tag == "option":
            self._option(given)
        elif "disabled" in given or self._form is None:
            return
        elif tag == "select":
            self._select = (given, [], [])
        elif tag == "textarea":
            self._area, self._text = given, ""
        elif tag in ("input", "button"):
            self._input(tag, given)

    def _option(self, given: Mapping[str, str | None]) -> None:
        value = given.get("value") or ""
        if self._list is not None:
            self._list.append(value)
        elif self._select is not None:
            self._select[1].append(value)
            if "selected" in given:
                self._select[2].append(value)

    def _input(self, tag: str, given: Mapping[str, str | None]) -> None:
        kind = (given.get("type") or ("submit" if tag == "button" else "text")).lower()
        if not given.get("name"):
            if kind == "submit" and self._form is not None:
                self._form.has_nameless_button = True
            return
        default = "on" if kind in ("checkbox", "radio") else ""
        self._add(kind, given, given.get("value") or default, is_on="checked" in given)

    def _add(self, kind: str, given: Mapping[str, str | None], value: str, **more: Any) -> None:
        assert self._form is not None
        self._form.controls.append(Control(kind, given.get("name") or "", value, attributes=given, **more))

    def handle_data(self, data: str) -> None:
        self._text += data
        if self._is_fault and data.strip():
            self.page.faults.append(data.strip())
            self._is_fault = False

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "datalist":
            self._list = None
        elif tag == "select" and self._select is not None:
            given, offered, selected = self._select
            value = (selected or [*offered, ""])[0]
            self._add("select", given, value, is_on=bool(selected), offered=tuple(offered))
            self._select = None
        elif tag == "textarea" and self._area is not None:
            self._add("textarea", self._area, re.sub(r"^\r?\n", "", self._text))
            self._area = None


def a_gtin() -> str:
    """A bar code with its right check digit, which nobody else has."""
    digits = f"{randbelow(10**12):012d}"
    return digits + str(ean.calc_check_digit(digits))


def read_page(html: str) -> Page:
    """What stands on a page."""
    reader = _Reader()
    reader.feed(html)
    return reader.page


def fill(form: Form, page: Page, variant: int = 0, own: Mapping[str, str] | None = None) -> list[tuple[str, Any]]:
    """The names and values that a browser would send.

    What the page holds already stays. Of each choice the one at place ``variant`` is taken (at 0 the one that is chosen
    already), every free field gets something plausible, and ``own`` is typed over what stands there.
    """
    typed: dict[str, str] = dict(own or {})
    sent: list[tuple[str, Any]] = []
    for name, group in groupby(_sorted_by_name(form.controls), key=lambda control: control.name):
        controls = list(group)
        if controls[0].type == "submit" and form.has_nameless_button and variant == 0:
            continue
        if name in typed and controls[0].type != "hidden":
            sent.append((name, typed.pop(name)))
        else:
            sent += [(name, value) for value in _values(controls, page, variant)]
    assert not typed, f"the page has no field {', '.join(typed)}"
    return sent


def _sorted_by_name(controls: Iterable[Control]) -> list[Control]:
    places: dict[str, int] = {}
    return sorted(controls, key=lambda control: places.setdefault(control.name, len(places)))


def _values(controls: list[Control], page: Page, variant: int) -> list[Any]:
    kind = controls[0].type
    if kind in ("radio", "submit"):
        kept = [button.value for button in controls if button.is_on and variant == 0]
        return kept or [controls[variant % len(controls)].value]
    if kind == "select":
        offered = [value for value in controls[0].offered if value]
        is_kept = controls[0].is_on and variant == 0
        return [controls[0].value if is_kept else offered[variant % len(offered)]]
    if kind == "checkbox":
        ticked = [box.value for box in controls if box.is_on]
        return ticked or [controls[0].value]
    if kind == "file":
        return [(io.BytesIO(PDF), "scan.pdf")] if "pdf" in (controls[0].attributes.get("accept") or "") else []
    return [control.value or _plausible(control, page) for control in controls if kind not in _WITHOUT_VALUE]


def _plausible(control: Control, page: Page) -> str:
    """What somebody might type here."""
    proposals = page.lists.get(control.attributes.get("list") or "")
    if proposals:
        return proposals[0]
    name, now = control.name.rsplit("-", 1)[-1], datetime.now(CHINA)
    by_type = {
        "date": (now + timedelta(days=300 if "until" in name else 0)).date().isoformat(),
        "datetime-local": f"{now - timedelta(hours=1):%Y-%m-%dT%H:%M}",
        "email": f"{uuid4().hex[:12]}@example.org",
        "number": control.attributes.get("min") or "1",
    }
    by_name = {
        "hs_code": "9405.21",
        "gtin": a_gtin(),
        "listing_url": "https://shop.example/lamp",
        "chapters": "1-24, 61",
    }
    if control.attributes.get("inputmode") == "decimal":
        return "12"
    return by_type.get(control.type) or by_name.get(name) or f"Some {name.replace('_', ' ')} {uuid4().hex[:6]}"
