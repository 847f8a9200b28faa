"""Languages of the pages, and times and durations in the reader's language."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from babel import Locale
from babel.support import NullTranslations
from flask import Flask
from flask_babel import Babel, Domain

from backend.domain.parties import LOCAL_LANGUAGE
from backend.messages import catalogue
from backend.messages.catalogue import SOURCE, Language, gettext, translations
from backend.web.context import language

_ZONE = ZoneInfo("Asia/Shanghai")


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
    app.jinja_env.filters.update(moment=moment, duration=duration)


def own(words: Mapping[Language, str]) -> str:
    """Return a text that comes with its translations in the reader's language, else in English."""
    return words.get(language()) or words.get(SOURCE, "")


def tag(code: Language) -> str:
    """Return the value of a page's ``lang``, with a region where the choice of fonts depends on it."""
    return _TAGS.get(code, code)


# Han characters are drawn differently in China and Japan, and browsers choose the font by the tag.
_TAGS = {"zh": "zh-CN"}


def moment(value: datetime) -> str:
    """Write a time in China time and name the zone. A script on the page may show the reader's own."""
    return f"{value.astimezone(_ZONE):%Y-%m-%d %H:%M} {gettext('China time', language())}"


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
