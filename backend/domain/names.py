"""Words that stand beside what they name, in each language of the pages."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Names:
    """The same words in each language of the pages."""

    en: str
    zh: str

    def of(self, language: str) -> str:
        """The words in a language; English where there are none in it."""
        return str(getattr(self, language, self.en))
