"""The trade agreements under which a certificate of origin may claim a preference, as data: one entry each.

Forms, API, import, signing and verdict read them here. The rules that apply them are in
``kinds.certificate_of_origin``. The independent verifiers verifier/verify.py and verifier/verifier.html contain the
same table, and report INDETERMINATE for an agreement that they do not know.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class Agreement:
    """What an agreement lets a certificate state; ``name`` is a key in the catalogue.

    ``parties`` maps each party's ISO 3166-1 code to the day from which it applies the agreement; it is empty where no
    preference is claimed. ``criteria`` are the codes of the origin criteria (``fields.ORIGIN_CRITERIA``) in use.
    ``term_months`` is how long a certificate is valid from the day of issue, or None without a limit. ``form`` is the
    name of its certificate, if any, ``languages`` those that it is written in (ISO 639), ``source`` the legal source.
    """

    code: str
    name: str
    parties: Mapping[str, date]
    criteria: tuple[str, ...]
    term_months: int | None
    languages: tuple[str, ...]
    source: str
    form: str | None = None


def _all_since(day: date, countries: str) -> dict[str, date]:
    return dict.fromkeys(countries.split(), day)


_LISTED = (
    Agreement(
        code="RCEP",
        name="RCEP",
        parties=_all_since(date(2022, 1, 1), "AU BN CN JP KH LA NZ SG TH VN")
        | {"KR": date(2022, 2, 1), "MY": date(2022, 3, 18), "MM": date(2022, 5, 1)}
        | {"ID": date(2023, 1, 2), "PH": date(2023, 6, 2)},
        criteria=("WO", "PE", "CC", "CTH", "CTSH", "RVC", "CR", "PSR"),
        term_months=12,
        languages=("en",),
        source="RCEP Agreement, chapter 3: articles 3.2, 3.16 and 3.17, Annex 3B; in force since 1 January 2022",
    ),
    Agreement(
        code="ACFTA",
        name="ASEAN–China (Form E)",
        parties=_all_since(date(2005, 1, 1), "BN CN ID KH LA MM MY PH SG TH VN"),
        criteria=("WO", "PE", "CTH", "RVC", "PSR"),
        term_months=12,
        languages=("en",),
        source=(
            "Agreement on Trade in Goods of the ASEAN-China Framework Agreement, Operational Certification Procedures "
            "and overleaf notes of Form E (box 8); in force since 1 January 2005"
        ),
        form="Form E",
    ),
    Agreement(
        code="CHAFTA",
        name="China–Australia",
        parties=_all_since(date(2015, 12, 20), "AU CN"),
        criteria=("WO", "PE", "PSR"),
        term_months=12,
        languages=("en",),
        source=(
            "China-Australia Free Trade Agreement, chapter 3 and Annex 3-A (its WP is PE here); in force since "
            "20 December 2015"
        ),
    ),
    Agreement(
        code="NONE",
        name="No preference claimed",
        parties={},
        criteria=("WO", "PE", "CC", "CTH", "CTSH", "RVC", "CR", "PSR", "NP"),
        term_months=None,
        languages=(),
        source="Revised Kyoto Convention, Specific Annex K: non-preferential origin",
    ),
)
AGREEMENTS: dict[str, Agreement] = {agreement.code: agreement for agreement in _LISTED}
"""The agreements by code, in the order of the forms."""
