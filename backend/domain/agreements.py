"""The trade agreements under which a certificate of origin may claim a preference, as data: one entry each.

Forms, API, import, signing and verdict read them here. The rules that apply them are in
``kinds.certificate_of_origin``. The independent verifiers verifier/verify.py and verifier/verifier.html contain the
same table, and report INDETERMINATE for an agreement that they do not know.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class Retroactive:
    """The issue after shipment: for ``unmarked_days`` without a mark, then with one, at most ``months`` after it."""

    unmarked_days: int
    months: int


@dataclass(frozen=True)
class Agreement:
    """What an agreement lets a certificate state; ``name`` is a key in the catalogue, ``aliases`` other names of it.

    ``parties`` maps each party's ISO 3166-1 code to the day from which it applies the agreement; it is empty where no
    preference is claimed. ``criteria`` are the codes of the origin criteria (``fields.ORIGIN_CRITERIA``) in use.
    ``term_months`` is how long a certificate is valid from the day of issue, or None without a limit. ``form`` is the
    name of its certificate, if any, ``languages`` those that it is written in (ISO 639), ``source`` the legal source,
    ``looked_up`` the day on which it was read, and ``not_confirmed`` what could not be confirmed then.

    ``least_value_content`` is the percentage that the criterion RVC asks for under every heading, or None where it
    differs between them.

    A preference may be one-sided: then ``beneficiaries`` are the countries whose goods it is for, and ``parties`` those
    that grant it. ``unconfirmed`` are pairs of origin and importing country for which it is not confirmed that the
    preference applies. ``retroactive`` limits the issue after shipment, where that is confirmed.
    """

    code: str
    name: str
    parties: Mapping[str, date]
    criteria: tuple[str, ...]
    term_months: int | None
    languages: tuple[str, ...]
    source: str
    looked_up: date
    form: str | None = None
    least_value_content: int | None = None
    not_confirmed: str = ""
    beneficiaries: frozenset[str] = frozenset()
    unconfirmed: frozenset[tuple[str, str]] = frozenset()
    retroactive: Retroactive | None = None
    aliases: tuple[str, ...] = ()


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
        source=(
            "RCEP Agreement, chapter 3: articles 3.2, 3.16 and 3.17, Annexes 3A and 3B; in force since 1 January 2022"
        ),
        looked_up=date(2026, 11, 29),
        least_value_content=40,
        not_confirmed="how long after shipment a certificate may be issued (article 3.17.8): it is not judged",
        aliases=("regional comprehensive economic partnership", "区域全面经济伙伴关系协定"),
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
        looked_up=date(2026, 11, 29),
        form="Form E",
        least_value_content=40,
        not_confirmed="whether the protocol signed in 2025 is in force: the terms are those of 2019",
        retroactive=Retroactive(unmarked_days=3, months=12),
        aliases=("form e", "asean-china", "中国-东盟", "中国-东盟自由贸易协定"),
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
        looked_up=date(2026, 11, 29),
        not_confirmed="how long after shipment a certificate may be issued: it is not judged",
        aliases=("china-australia", "中澳自由贸易协定", "中澳自贸协定"),
    ),
    Agreement(
        code="CPTPP",
        name="CPTPP",
        parties=_all_since(date(2018, 12, 30), "AU CA JP MX NZ SG")
        | {"VN": date(2019, 1, 14), "PE": date(2021, 9, 19), "MY": date(2022, 11, 29), "CL": date(2023, 2, 21)}
        | {"BN": date(2023, 7, 12), "GB": date(2024, 12, 15)},
        criteria=("WO", "PE", "PSR"),
        term_months=12,
        languages=("en",),
        source=(
            "CPTPP, chapter 3: articles 3.2 and 3.20, Annex 3-B, certified by exporter, producer or importer; in force "
            "since 30 December 2018. China is no party"
        ),
        looked_up=date(2026, 11, 29),
        not_confirmed=(
            "whether it applies between the United Kingdom and Canada or Mexico; a longer term that an importing party "
            "may allow is not counted"
        ),
        unconfirmed=frozenset({("GB", "CA"), ("CA", "GB"), ("GB", "MX"), ("MX", "GB")}),
    ),
    Agreement(
        code="USMCA",
        name="USMCA",
        parties=_all_since(date(2020, 7, 1), "CA MX US"),
        criteria=("WO", "PE", "PSR"),
        term_months=48,
        languages=("en", "es", "fr"),
        source=(
            "USMCA, article 4.2 (its A is WO here, B is PSR, C is PE), articles 5.2 and 5.3, Annex 5-A, certified by "
            "exporter, producer or importer; in force since 1 July 2020. China is no party"
        ),
        looked_up=date(2026, 11, 29),
        not_confirmed="criterion D, unassembled goods, has no code here",
        aliases=("cusma", "t-mec"),
    ),
    Agreement(
        code="GSP",
        name="Generalized System of Preferences (Form A)",
        parties=_all_since(date(1971, 6, 25), "AU NO NZ"),
        criteria=("WO", "PSR"),
        term_months=None,
        languages=("en", "fr"),
        source=(
            "Generalised System of Preferences, laws of the granting countries; for goods of China those left by "
            "announcement 84 of 2021 of China's customs. P of Form A is WO here, W is PSR; the day is that of the GATT "
            "waiver (L/3545), before which none was granted"
        ),
        looked_up=date(2026, 11, 29),
        form="Form A",
        not_confirmed=(
            "whether Australia, New Zealand and Norway still grant it to goods of China, their terms, and its "
            "beneficiaries but China: a certificate is never more than indeterminate"
        ),
        beneficiaries=frozenset({"CN"}),
        unconfirmed=frozenset({("CN", "AU"), ("CN", "NO"), ("CN", "NZ")}),
        aliases=("form a", "普惠制"),
    ),
    Agreement(
        code="NONE",
        name="No preference claimed",
        parties={},
        criteria=("WO", "PE", "CC", "CTH", "CTSH", "RVC", "CR", "PSR", "NP"),
        term_months=None,
        languages=(),
        source="Revised Kyoto Convention, Specific Annex K: non-preferential origin",
        looked_up=date(2026, 11, 29),
    ),
)
AGREEMENTS: dict[str, Agreement] = {agreement.code: agreement for agreement in _LISTED}
"""The agreements by code, in the order of the forms."""
