"""Which language the reader wants, and times and durations as people say them in it."""

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
    """Reads the translators' own files (.po): there is no compiled copy that could be stale."""

    def get_translations(self) -> NullTranslations:
        """The catalogue of the reader's language; English is what stands in the code."""
        return translations(language())


class SourceBabel(Babel):  # type: ignore[misc]
    """Flask-Babel over the translators' own files."""

    @property
    def domain_instance(self) -> Domain:
        """Where texts are looked up."""
        return SourceDomain()


def languages() -> dict[Language, str]:
    """Each language that there is, by its own name."""
    return {code: _own_name(code) for code in catalogue.languages()}


@cache
def _own_name(code: Language) -> str:
    return str(Locale(code).display_name).capitalize()


def install_languages(app: Flask) -> None:
    """Let pages speak the reader's language."""
    SourceBabel(app, locale_selector=language)
    app.jinja_env.globals.update(
        language=language, languages=languages, tag=tag, own=own, LOCAL_LANGUAGE=LOCAL_LANGUAGE
    )
    app.jinja_env.filters.update(moment=moment, duration=duration)


def own(words: Mapping[Language, str]) -> str:
    """A text that comes with its translations, in the reader's language, else in English."""
    return words.get(language()) or words.get(SOURCE, "")


def tag(code: Language) -> str:
    """The language for a page's ``lang``, with the script that it is written in where readers' fonts depend on it."""
    return _TAGS.get(code, code)


_TAGS = {"zh": "zh-CN"}


def moment(value: datetime) -> str:
    """A time in the zone of the trade here, with the zone named; a script on the page may show the reader's own."""
    return f"{value.astimezone(_ZONE):%Y-%m-%d %H:%M} {gettext('China time', language())}"


def moment_text(text: str) -> str:
    """A time off a record, as people read it; what is none stays as it is."""
    try:
        return moment(datetime.fromisoformat(text))
    except ValueError:
        return text


def duration(value: timedelta) -> str:
    """3 h 20 min in the reader's language; seconds below two minutes."""
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
