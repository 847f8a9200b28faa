"""Languages of the pages, and times and durations in the reader's language."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import cache, lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date
from babel.numbers import format_decimal
from babel.support import NullTranslations
from flask import Flask
from flask_babel import Babel, Domain
from markupsafe import Markup

from backend.domain.parties import LOCAL_LANGUAGE
from backend.messages import catalogue
from backend.messages.catalogue import SOURCE, Language, gettext, translations
from backend.web.context import language

TRADE_ZONE = ZoneInfo("Asia/Shanghai")


class SourceDomain(Domain):  # type: ignore[misc]
    """Translations read from the translators' files (.po) themselves, so that no compiled copy can be out of date."""

    def get_translations(self) -> NullTranslations:
        """Return the catalogue of the reader's language. English needs none, as its texts are the keys."""
        return translations(language())


class SourceBabel(Babel):  # type: ignore[misc]
    """Flask-Babel on top of ``SourceDomain``."""

    @property
    def domain_instance(self) -> Domain:
        """The domain in which texts are looked up."""
        return SourceDomain()


def languages() -> dict[Language, str]:
    """Return the name of each available language, in that language."""
    return {code: _own_name(code) for code in catalogue.languages()}


@cache
def _own_name(code: Language) -> str:
    return str(Locale(code).display_name).capitalize()


def install_languages(app: Flask) -> None:
    """Set up translation for the application and its templates."""
    SourceBabel(app, locale_selector=language)
    app.jinja_env.globals.update(
        language=language, languages=languages, tag=tag, own=own, LOCAL_LANGUAGE=LOCAL_LANGUAGE
    )
    # In place of Jinja's own, which look for the reader's language and make a mark-up of each text anew.
    app.jinja_env.globals.update(colon=colon, gettext=template_text, _=template_text)
    app.jinja_env.filters.update(moment=moment, duration=duration, day=day, number=number)


def template_text(text: str, **values: Any) -> Markup:
    """Return a template's text in the reader's language, filled with values that are escaped. ``%`` is always a format.

    Raises:
        KeyError: if a value that the text names is missing.
    """
    return _marked(text, language()) % values if values else _filled(text, language())


@lru_cache(maxsize=4096)
def _marked(text: str, code: Language) -> Markup:
    return Markup(translations(code).ugettext(text))


@lru_cache(maxsize=4096)
def _filled(text: str, code: Language) -> Markup:
    return _marked(text, code) % {}


def own(words: Mapping[Language, str]) -> str:
    """Return a text that comes with its translations in the reader's language, else in English."""
    return words.get(language()) or words.get(SOURCE, "")


def tag(code: Language) -> str:
    """Return the value of a page's ``lang``, with a region where the choice of fonts depends on it."""
    return _TAGS.get(code, code)


# Han characters are drawn differently in China and Japan, and browsers choose the font by the tag.
_TAGS = {"zh": "zh-CN"}


def colon() -> str:
    """Return what stands between a label and its value in the reader's language."""
    return gettext(": ", language())


def listed(texts: Iterable[str]) -> str:
    """Write texts one after another, with what stands between them in the reader's language."""
    return gettext(", ", language()).join(texts)


def number(value: Any) -> str:
    """Write a number with its thousands separated, and with the decimals that it has. Other text stays as it is."""
    try:
        exact = Decimal(str(value))
        decimals = max(0, -int(exact.as_tuple().exponent))
    except (InvalidOperation, ValueError):  # the second for NaN and infinity
        return str(value or "")
    return str(format_decimal(exact, format=f"#,##0.{'0' * decimals}".rstrip("."), locale=language()))


def day(value: Any) -> str:
    """Write a date, given as such or in the form 2026-03-31. Text that is no date stays as it is."""
    try:
        given = value if isinstance(value, date) else date.fromisoformat(str(value))
    except ValueError:
        return str(value or "")
    return _day(given.year, given.month, given.day, language())


@lru_cache(maxsize=4096)  # a list shows the same days in each row
def _day(year: int, month: int, number: int, code: Language) -> str:
    # The medium form of "en" is that of the United States; the trade of the rest writes the day first.
    return str(format_date(date(year, month, number), "d MMM y" if code == SOURCE else "medium", locale=code))


def moment(value: datetime) -> str:
    """Write a time in China time and name the zone. A script on the page may show the reader's own."""
    here = value.astimezone(TRADE_ZONE)
    return f"{day(here.date())} {here:%H:%M} {gettext('China time', language())}"


def moment_text(text: str) -> str:
    """Write a time from a record. Text that is no time stays as it is."""
    try:
        return moment(datetime.fromisoformat(text))
    except ValueError:
        return text


def duration(value: timedelta) -> str:
    """Write a duration in the reader's language, such as 3 h 20 min, with seconds below two minutes."""
    seconds = int(value.total_seconds())
    if seconds < 120:
        return gettext("{count} s", language(), count=seconds)
    days, minutes = divmod(seconds // 60, 1440)
    hours, minutes = divmod(minutes, 60)
    parts = [
        gettext("{count} d", language(), count=days) if days else "",
        gettext("{count} h", language(), count=hours) if hours else "",
        gettext("{count} min", language(), count=minutes) if minutes else "",
    ]
    return " ".join([part for part in parts if part][:2])
