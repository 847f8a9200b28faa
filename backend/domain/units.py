"""Units of quantity: UN/ECE Recommendation 20 (revision 17, 2021), and packages of Recommendation 21.

Only units that trade documents use are listed, common ones first; the full lists hold two thousand, most of them for
laboratories. Names are given by language, because people type them in tables. A code has at most three characters.
"""

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

_SAME_IN_PLURAL = ("each", "gross", "dozen", "hundred", "thousand", "number")
_PLURALS = {"foot": "feet", "box": "boxes", "inch": "inches"}


def in_plural(name: str) -> str:
    """Return the English name of a unit for any number but one, such as square feet or gallons (US)."""
    head, rest = name, ""
    for mark in (" of ", " ("):
        before, found, after = head.partition(mark)
        head, rest = before, found + after + rest
    first, blank, noun = head.rpartition(" ")
    several = noun if noun in _SAME_IN_PLURAL else _PLURALS.get(noun, f"{noun}s")
    return f"{first}{blank}{several}{rest}"


UNIT_WORDS: dict[str, tuple[str, ...]] = {
    "H87": ("pc", "pcs", "pce", "pces", "pieces", "nos", *"台支条把片根块枚辆座艘架枝棵株册本粒部"),
    "C62": ("units",),
    "SET": ("sets",),
    "PR": ("pairs", "prs", "对"),
    "DZN": ("dz", "doz", "dozens"),
    "KGM": ("kg", "kgs", "kilo", "kilos", "kilograms", "kilogramme", "kilogrammes", "公斤"),
    "GRM": ("g", "gr", "grams", "gramme", "grammes"),
    "TNE": ("t", "tonnes", "metric ton", "metric tons", "公吨"),
    "LBR": ("lb", "lbs", "pounds"),
    "ONZ": ("oz", "ounces"),
    "LTR": ("l", "liter", "liters", "litres", "公升"),
    "MLT": ("ml", "milliliter", "milliliters", "millilitres"),
    "MTR": ("m", "meter", "meters", "metres", "公尺"),
    "MTK": ("m2", "sqm", "square meter", "square meters", "square metres", "平米"),
    "MTQ": ("m3", "cbm", "cubic meter", "cubic meters", "cubic metres"),
    "BX": ("box", "boxes"),
    "CT": ("ctn", "ctns", "cartons"),
    "RO": ("roll", "rolls"),
}
"""Common words that can mean only one unit, in addition to the units' names.

The Recommendation has several codes for countable goods: 个 is C62, whose Chinese name it is, 件 and piece are H87,
只 and each are EA. Quantities in the three are compared one to one. 台, 条 and their like count single pieces.
"""

LOCAL_MASSES: dict[str, str] = {"斤": "0.5", "市斤": "0.5", "两": "0.05", "市两": "0.05"}
"""Kilograms in one of the masses of Chinese markets, which trade documents do not use."""

# fmt: off
CHINA_UNIT_WORDS: dict[str, str] = {
    "001": "台", "002": "座", "003": "辆", "004": "艘", "005": "架", "006": "套", "007": "个", "008": "只",
    "010": "张", "011": "件", "012": "支", "013": "枝", "014": "根", "015": "条", "016": "把", "017": "块",
    "018": "卷", "020": "片", "025": "双", "026": "对", "027": "棵", "028": "株", "030": "米", "031": "盘",
    "032": "平方米", "033": "立方米", "035": "千克", "036": "克", "043": "百个", "047": "公担", "054": "千个",
    "062": "千瓦时", "067": "英尺", "070": "吨", "071": "长吨", "072": "短吨", "076": "磅", "083": "盎司",
    "084": "克拉", "086": "码", "088": "英寸", "095": "升", "096": "毫升", "099": "立方英尺", "110": "平方码",
    "111": "平方英尺", "120": "箱", "122": "罐", "127": "打", "129": "罗", "131": "册", "132": "本",
    "134": "枚", "135": "捆", "136": "袋", "139": "粒", "140": "盒", "142": "瓶", "147": "千米", "163": "部",
}
# fmt: on
"""China customs' unit codes whose word is that of a unit in use here; others are refused.

Source: General Administration of Customs of China, code table of units, read on 2026-11-29 from a published copy.
"""
