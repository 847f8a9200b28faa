"""Units of quantity: UN/ECE Recommendation 20 (revision 17, 2021), and packages of Recommendation 21.

Those that trade documents use, the everyday ones first; the full lists hold two thousand, most of them for
laboratories. Names by language: people type them in tables. A code is at most three characters.
"""

from decimal import Decimal

UNITS: dict[str, dict[str, str]] = {
    "H87": {"en": "piece", "zh": "件"},
    "SET": {"en": "set", "zh": "套"},
    "PR": {"en": "pair", "zh": "双"},
    "DZN": {"en": "dozen", "zh": "打"},
    "KGM": {"en": "kilogram", "zh": "千克"},
    "GRM": {"en": "gram", "zh": "克"},
    "TNE": {"en": "tonne", "zh": "吨"},
    "LTR": {"en": "litre", "zh": "升"},
    "MLT": {"en": "millilitre", "zh": "毫升"},
    "MTR": {"en": "metre", "zh": "米"},
    "MTK": {"en": "square metre", "zh": "平方米"},
    "MTQ": {"en": "cubic metre", "zh": "立方米"},
    "BX": {"en": "box", "zh": "盒"},
    "CT": {"en": "carton", "zh": "箱"},
    "RO": {"en": "roll", "zh": "卷"},
    # counts
    "C62": {"en": "unit", "zh": "个"},
    "EA": {"en": "each", "zh": "只"},
    "MIL": {"en": "thousand", "zh": "千个"},
    "CEN": {"en": "hundred", "zh": "百个"},
    "GRO": {"en": "gross", "zh": "罗"},
    "KT": {"en": "kit", "zh": "组套"},
    "NIU": {"en": "number of international units", "zh": "国际单位"},
    # mass
    "MGM": {"en": "milligram", "zh": "毫克"},
    "DTN": {"en": "decitonne", "zh": "公担"},
    "LBR": {"en": "pound", "zh": "磅"},
    "ONZ": {"en": "ounce", "zh": "盎司"},
    "APZ": {"en": "troy ounce", "zh": "金衡盎司"},
    "STN": {"en": "short ton (US)", "zh": "短吨"},
    "LTN": {"en": "long ton (UK)", "zh": "长吨"},
    "CTM": {"en": "metric carat", "zh": "克拉"},
    "KSD": {"en": "kilogram of substance 90 % dry", "zh": "千克（90%干重）"},
    "KPO": {"en": "kilogram of potassium oxide", "zh": "千克氧化钾"},
    "KPP": {"en": "kilogram of phosphorus pentoxide", "zh": "千克五氧化二磷"},
    "KNI": {"en": "kilogram of nitrogen", "zh": "千克氮"},
    "KPH": {"en": "kilogram of potassium hydroxide", "zh": "千克氢氧化钾"},
    "KSH": {"en": "kilogram of sodium hydroxide", "zh": "千克氢氧化钠"},
    "KUR": {"en": "kilogram of uranium", "zh": "千克铀"},
    # volume
    "CLT": {"en": "centilitre", "zh": "厘升"},
    "DLT": {"en": "decilitre", "zh": "分升"},
    "HLT": {"en": "hectolitre", "zh": "百升"},
    "LPA": {"en": "litre of pure alcohol", "zh": "升纯酒精"},
    "CMQ": {"en": "cubic centimetre", "zh": "立方厘米"},
    "DMQ": {"en": "cubic decimetre", "zh": "立方分米"},
    "INQ": {"en": "cubic inch", "zh": "立方英寸"},
    "FTQ": {"en": "cubic foot", "zh": "立方英尺"},
    "YDQ": {"en": "cubic yard", "zh": "立方码"},
    "GLL": {"en": "gallon (US)", "zh": "美制加仑"},
    "GLI": {"en": "gallon (UK)", "zh": "英制加仑"},
    "OZA": {"en": "fluid ounce (US)", "zh": "美制液盎司"},
    "BLL": {"en": "barrel (US)", "zh": "美制桶"},
    # length and area
    "MMT": {"en": "millimetre", "zh": "毫米"},
    "CMT": {"en": "centimetre", "zh": "厘米"},
    "DMT": {"en": "decimetre", "zh": "分米"},
    "KMT": {"en": "kilometre", "zh": "千米"},
    "INH": {"en": "inch", "zh": "英寸"},
    "FOT": {"en": "foot", "zh": "英尺"},
    "YRD": {"en": "yard", "zh": "码"},
    "MMK": {"en": "square millimetre", "zh": "平方毫米"},
    "CMK": {"en": "square centimetre", "zh": "平方厘米"},
    "DMK": {"en": "square decimetre", "zh": "平方分米"},
    "INK": {"en": "square inch", "zh": "平方英寸"},
    "FTK": {"en": "square foot", "zh": "平方英尺"},
    "YDK": {"en": "square yard", "zh": "平方码"},
    "HAR": {"en": "hectare", "zh": "公顷"},
    # energy and time
    "KWH": {"en": "kilowatt hour", "zh": "千瓦时"},
    "MWH": {"en": "megawatt hour", "zh": "兆瓦时"},
    "JOU": {"en": "joule", "zh": "焦耳"},
    "KJO": {"en": "kilojoule", "zh": "千焦"},
    "HUR": {"en": "hour", "zh": "小时"},
    "DAY": {"en": "day", "zh": "天"},
    "MON": {"en": "month", "zh": "月"},
    # packages (Recommendation 21)
    "PK": {"en": "package", "zh": "包装"},
    "BG": {"en": "bag", "zh": "袋"},
    "BA": {"en": "barrel", "zh": "桶"},
    "BE": {"en": "bundle", "zh": "捆"},
    "BO": {"en": "bottle", "zh": "瓶"},
    "CA": {"en": "can", "zh": "罐"},
    "CS": {"en": "case", "zh": "箱盒"},
    "CR": {"en": "crate", "zh": "板条箱"},
    "DR": {"en": "drum", "zh": "圆桶"},
    "JR": {"en": "jar", "zh": "广口瓶"},
    "PA": {"en": "packet", "zh": "小包"},
    "PX": {"en": "pallet", "zh": "托盘"},
    "RL": {"en": "reel", "zh": "盘"},
    "SA": {"en": "sack", "zh": "麻袋"},
    "ST": {"en": "sheet", "zh": "张"},
    "TU": {"en": "tube", "zh": "管"},
}

_BASES: dict[str, dict[str, str]] = {
    "H87": {"H87": "1", "C62": "1", "EA": "1", "DZN": "12", "CEN": "100", "GRO": "144", "MIL": "1000"},
    "KGM": {
        **{"KGM": "1", "GRM": "0.001", "MGM": "0.000001", "TNE": "1000", "DTN": "100", "CTM": "0.0002"},
        **{"LBR": "0.45359237", "ONZ": "0.028349523125", "APZ": "0.0311034768"},
        **{"STN": "907.18474", "LTN": "1016.0469088"},
    },
    "LTR": {
        **{"LTR": "1", "MLT": "0.001", "CLT": "0.01", "DLT": "0.1", "HLT": "100"},
        **{"MTQ": "1000", "DMQ": "1", "CMQ": "0.001", "INQ": "0.016387064", "FTQ": "28.316846592"},
        **{"YDQ": "764.554857984", "GLL": "3.785411784", "GLI": "4.54609", "OZA": "0.0295735295625"},
        **{"BLL": "158.987294928"},
    },
    "MTR": {
        **{"MTR": "1", "MMT": "0.001", "CMT": "0.01", "DMT": "0.1", "KMT": "1000"},
        **{"INH": "0.0254", "FOT": "0.3048", "YRD": "0.9144"},
    },
    "MTK": {
        **{"MTK": "1", "MMK": "0.000001", "CMK": "0.0001", "DMK": "0.01", "HAR": "10000"},
        **{"INK": "0.00064516", "FTK": "0.09290304", "YDK": "0.83612736"},
    },
    "KWH": {"KWH": "1", "MWH": "1000"},
}
"""How many of a base unit each unit is: the conversion factors of Recommendation 20, which are exact.

Pairs, sets, boxes and other packages have none: how much is in one, the goods decide.
"""
_FACTORS = {unit: (base, Decimal(factor)) for base, units in _BASES.items() for unit, factor in units.items()}


def in_base_unit(quantity: Decimal, unit: str) -> tuple[str, Decimal]:
    """The code of the base unit, and the quantity in it; a unit that cannot be converted is its own base."""
    base, factor = _FACTORS.get(unit, (unit, Decimal(1)))
    return base, quantity * factor
