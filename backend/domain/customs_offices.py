"""Customs offices: what their codes look like, which we know by name, and who may act for one.

Names are those of UN/LOCODE 2023-1 (UNECE, https://unece.org/trade/cefact/UNLOCODE-Download), of places that the
trade here passes. The list names codes on pages and bounds nothing: an office registers its code.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from backend.domain.errors import Invalid
from backend.domain.parties import Organisation

PLACES: Mapping[str, str] = {
    "CNGGZ": "Guangzhou",
    "CNHAZ": "Hangzhou",
    "CNJHA": "Jinhua",
    "CNNBO": "Ningbo",
    "CNSGH": "Shanghai",
    "CNSNZ": "Shenzhen",
    "CNXAM": "Xiamen",
    "CNYIU": "Yiwu",
    "CNZGZ": "Zhengzhou",
}
_UN_LOCODE = r"[A-Z]{2}[A-Z2-9]{3}"
"""UN/CEFACT Recommendation 16: the country, then three letters or the digits 2 to 9."""
_CHINA = r"[0-9]{4}"
"""China customs' own numbers (customsCode in its CEB messages)."""
_EU = r"[A-Z]{2}[A-Z0-9]{6}"
"""The reference number of a customs office in the European Union's list: the country, then six letters or digits."""
_SHAPE = re.compile("|".join((_UN_LOCODE, _CHINA, _EU)))


def normalised(typed: str) -> str:
    """A code as it is kept: without spaces around it, in capitals."""
    return typed.strip().upper()


def office_code(typed: str, where: str = "offices") -> str:
    """A customs office's code, as it is kept; raises Invalid where it has the shape of none."""
    code = normalised(typed)
    if not _SHAPE.fullmatch(code):
        raise Invalid("no code of a customs office", [(where, "must be a UN/LOCODE or the office's national code")])
    return code


@dataclass(eq=False)
class CustomsOffice:
    """A code that an organisation of customs officers serves. An office may have several, and several may share one."""

    code: str
    organisation: Organisation
    registered_at: datetime


@dataclass(eq=False)
class OfficeDelegation:
    """One office lets another one's officers read and decide what is declared to it, until a moment."""

    id: str
    code: str
    organisation: Organisation
    """Whose officers may act."""
    until: datetime
    made_at: datetime
    made_by: str
    """The person who delegated."""
    ended_at: datetime | None = None

    def holds(self, moment: datetime) -> bool:
        """Whether it stands at a moment."""
        return moment < min(self.until, self.ended_at or self.until)
