"""English or Chinese: which one the reader wants, and times and durations as people say them in it."""

import io
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from flask import Flask, has_request_context, request
from flask_babel import Babel, Domain

from backend.domain.sentences import Language

LANGUAGES: dict[str, str] = {"zh": "中文", "en": "English"}
COOKIE = "language"
_ZONES = {"zh": ("Asia/Shanghai", "北京时间"), "en": ("Asia/Shanghai", "China time")}
_FOLDER = Path(__file__).parents[1] / "translations"


class SourceDomain(Domain):  # type: ignore[misc]
    """Reads the translators' own files (.po): there is no compiled copy that could be stale."""

    def get_translations(self) -> NullTranslations:
        """The catalogue of the reader's language; English is what stands in the code."""
        return _catalogue(language())


class SourceBabel(Babel):  # type: ignore[misc]
    """Flask-Babel over the translators' own files."""

    @property
    def domain_instance(self) -> Domain:
        """Where texts are looked up."""
        return SourceDomain()


@cache
def _catalogue(code: str) -> NullTranslations:
    source = _FOLDER / code / "LC_MESSAGES" / "messages.po"
    if not source.exists():
        return NullTranslations()
    compiled = io.BytesIO()
    with source.open("rb") as file:
        write_mo(compiled, read_po(file, locale=code))
    compiled.seek(0)
    return Translations(compiled)


def install_languages(app: Flask) -> None:
    """Let pages speak the reader's language."""
    SourceBabel(app, locale_selector=language)
    app.jinja_env.globals.update(language=language, LANGUAGES=LANGUAGES)
    app.jinja_env.filters.update(moment=moment, duration=duration)


def language() -> Language:
    """The reader's choice (``?lang=``, then a cookie), else what the browser asks for, else English."""
    if not has_request_context():
        return "en"
    for chosen in (request.args.get("lang"), request.cookies.get(COOKIE)):
        if chosen in LANGUAGES:
            return "zh" if chosen == "zh" else "en"
    best = request.accept_languages.best_match(["en", "zh", "zh-CN", "zh-TW", "zh-HK", "zh-SG"], "en")
    return "zh" if str(best).startswith("zh") else "en"


def moment(value: datetime) -> str:
    """A time in the zone of the trade here, with the zone named; a script on the page may show the reader's own."""
    zone, name = _ZONES[language()]
    return f"{value.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} {name}"


def duration(value: timedelta) -> str:
    """3 h 20 min, or 3 小时 20 分; seconds below two minutes."""
    seconds = int(value.total_seconds())
    zh = language() == "zh"
    if seconds < 120:
        return f"{seconds} 秒" if zh else f"{seconds} s"
    days, minutes = divmod(seconds // 60, 1440)
    hours, minutes = divmod(minutes, 60)
    parts = [(days, "天", "d"), (hours, "小时", "h"), (minutes, "分", "min")]
    shown = [(n, z, e) for n, z, e in parts if n][:2]
    return " ".join(f"{n} {z if zh else e}" for n, z, e in shown)


__all__ = ["COOKIE", "LANGUAGES", "duration", "install_languages", "language", "moment"]


def moment_text(text: str) -> str:
    """A time off a record, as people read it; what is none stays as it is."""
    try:
        return moment(datetime.fromisoformat(text))
    except ValueError:
        return text
