"""Code lists: what a country, a currency, a unit, an HS code may be, and their names in both languages."""

import re
from typing import Annotated

import pycountry
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

HS_CHAPTERS = frozenset(range(1, 98)) - {77}
"""HS 2022: chapters 1 to 97; 77 is kept for later use."""

UNITS: dict[str, tuple[str, str]] = {
    "H87": ("piece", "件"),
    "SET": ("set", "套"),
    "PR": ("pair", "双"),
    "DZN": ("dozen", "打"),
    "KGM": ("kilogram", "千克"),
    "GRM": ("gram", "克"),
    "TNE": ("tonne", "吨"),
    "LTR": ("litre", "升"),
    "MLT": ("millilitre", "毫升"),
    "MTR": ("metre", "米"),
    "MTK": ("square metre", "平方米"),
    "MTQ": ("cubic metre", "立方米"),
    "BX": ("box", "盒"),
    "CT": ("carton", "箱"),
    "RO": ("roll", "卷"),
}
"""UN/ECE Recommendations 20 and 21: the units in use for parcels, with their names in English and Chinese."""

ORIGIN_CRITERIA: dict[str, tuple[str, str]] = {
    "WO": ("Wholly obtained", "完全获得"),
    "PE": ("Produced from originating materials only", "完全由原产材料生产"),
    "CC": ("Change of chapter", "章改变"),
    "CTH": ("Change of tariff heading", "品目改变"),
    "CTSH": ("Change of tariff subheading", "子目改变"),
    "RVC": ("Regional value content", "区域价值成分"),
    "CR": ("Chemical reaction", "化学反应"),
    "PSR": ("Product-specific rule", "产品特定规则"),
    "NP": ("Non-preferential origin", "非优惠原产"),
}
"""RCEP chapter 3 and ASEAN-China Form E, box 8; NP stands for certificates that claim no preference."""

AGREEMENTS: dict[str, tuple[str, str]] = {
    "RCEP": ("RCEP", "区域全面经济伙伴关系协定 (RCEP)"),
    "ACFTA": ("ASEAN–China (Form E)", "中国—东盟自贸协定 (Form E)"),
    "CHAFTA": ("China–Australia", "中国—澳大利亚自贸协定"),
    "NONE": ("No preference claimed", "不申请优惠"),
}


def country_name(code: str, language: str = "en") -> str:
    """The country's name; Chinese names come from CLDR where the page asks for them."""
    country = pycountry.countries.get(alpha_2=code)
    return str(getattr(country, "common_name", country.name)) if country else code


def _country(code: str) -> str:
    if pycountry.countries.get(alpha_2=code) is None or code != code.upper():
        raise PydanticCustomError(
            "country", "{code} is no ISO 3166-1 country code of two capital letters", {"code": code}
        )
    return code


def _currency(code: str) -> str:
    if pycountry.currencies.get(alpha_3=code) is None or code != code.upper():
        raise PydanticCustomError("currency", "{code} is no ISO 4217 currency code", {"code": code})
    return code


def _unit(code: str) -> str:
    if code not in UNITS:
        raise PydanticCustomError(
            "unit", "{code} is no unit in use here; use one of {allowed}", {"code": code, "allowed": ", ".join(UNITS)}
        )
    return code


def _hs_code(code: str) -> str:
    digits = re.sub(r"[.\s]", "", code)
    if not re.fullmatch(r"[0-9]{6}(?:[0-9]{2}){0,3}|[0-9]{13}", digits) or int(digits[:2]) not in HS_CHAPTERS:
        raise PydanticCustomError("hs_code", "{code} is no HS code of 6 to 13 digits", {"code": code})
    return digits


CountryCode = Annotated[str, AfterValidator(_country)]
CurrencyCode = Annotated[str, AfterValidator(_currency)]
UnitCode = Annotated[str, AfterValidator(_unit)]
HsCode = Annotated[str, AfterValidator(_hs_code)]
