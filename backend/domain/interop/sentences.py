"""Notes in plain words, in English and Chinese."""

from collections.abc import Mapping
from typing import Literal

from backend.domain.interop.columns import unit_name
from backend.domain.interop.field_help import Meaning
from backend.domain.interop.reading import (
    Mark,
    Note,
    UnknownFormat,
    Unusable,
)

Language = Literal["en", "zh"]

_LONGEST = {"value": 80, "raw": 80}
"""Characters that are shown of a value; explanations may be longer."""

SENTENCES: dict[str, tuple[str, str]] = {
    # taken
    "taken": ("{value}", "{value}"),
    "given": ("{value} (given by you)", "{value}（由您给出）"),
    "rows": ("filled in {rows} of {all} rows", "{all} 行中 {rows} 行有值"),
    # converted
    "given-instead": ("{value} (given by you instead of {raw})", "{value}（由您给出，取代 {raw}）"),
    "country-code": ("{raw} is {value}", "{raw} 即 {value}"),
    "country-name": ("{raw} is {value} in ISO 3166", "{raw} 在 ISO 3166 中为 {value}"),
    "day-of-instant": ("{value}, the day of {raw} in its own time zone", "{value}，即 {raw} 按其自身时区的日期"),
    "valid-from": ("{value}: validFrom ({raw}) read as the day of issue", "{value}：以 validFrom（{raw}）作为签发日期"),
    "joined": ("{value} (its {count} parts joined)", "{value}（由 {count} 部分合成）"),
    "mass": ("{raw} × {factor} kg = {value} kg exactly", "{raw} × {factor} 千克 = {value} 千克（精确）"),
    "mass-rounded": (
        "{raw} × {factor} kg = {value} kg, rounded to the gram",
        "{raw} × {factor} 千克 = {value} 千克（四舍六入至克）",
    ),
    "counted": ("{value} (piece): itemCount counts single items", "{value}（件）：itemCount 为单件计数"),
    "weighed": ("{value} (kilogram): the net weight is the quantity", "{value}（千克）：以净重为数量"),
    "manufactured-in": (
        "{value}: a certification of origin names no other origin than the country of manufacture",
        "{value}：该原产地证明仅以制造国表示原产国",
    ),
    "not-preferential": ("{value}: it says that it claims no preference", "{value}：文件声明不申请优惠"),
    "earliest": ("{value}, the earliest of {count} observations", "{value}，{count} 次观测中最早的日期"),
    "latest": ("{value}, the latest of {count} observations", "{value}，{count} 次观测中最晚的日期"),
    "direction": ("{raw} is {value}", "{raw} 即 {value}"),
    "china-unit": ("China customs' unit {raw} is {value} ({unit})", "海关计量单位 {raw} 即 {value}（{unit}）"),
    "unit-name": ("{raw} is {value}", "{raw} 即 {value}"),
    "china-currency": ("China customs' currency {raw} is {value}", "海关币制代码 {raw} 即 {value}"),
    # lacks
    "lacking": ("{meaning}, such as {example}", "{meaning}，如 {example}"),
    "lacking-withheld": (
        "not shown: ask for a copy that shows it, or give it: {meaning}, such as {example}",
        "未出示：请索取出示此项的副本，或自行填写：{meaning}，如 {example}",
    ),
    "lacking-column": ("the column is missing: {meaning} (9610: {alias})", "缺少此列：{meaning}（9610：{alias}）"),
    "lacking-issuer": (
        "who is to confirm it. Give: --issuer with one of: {known}",
        "由谁确认。请用 --issuer 指定：{known}",
    ),
    # in excess
    "no-place": ("not used: {value}", "未采用：{value}"),
    "left-out": ("left out: {why}", "未采用：{why}"),
    "merchant-is-you": ("the merchant is whoever lodges", "申报企业即导入者本身"),
    "list-only": ("of the 9610 list; a declaration here does not hold it", "9610 清单字段，本系统申报单不含此栏"),
    "unknown-column": ("no known column", "未知的列"),
    # heed
    "proof-not-checked": (
        "its maker's signature was not checked and is not carried over: keep the original file",
        "未核验原文件的签名，亦不随同保存：请保留原始文件",
    ),
    "sd-signed": (
        "signed by the key {key}, and not altered since. The file itself brings that key: compare it with what the "
        "issuer publishes",
        "由密钥 {key} 签名，此后未被改动。该密钥随文件附带：请与签发方公布的密钥核对",
    ),
    "sd-signer": ("{key} is a key of {value}, registered here", "{key} 是本系统登记的 {value} 的密钥"),
    "sd-signer-robbed": (
        "{key} is a key of {value} that fell into wrong hands: ask {value} whether this is theirs",
        "{key} 是 {value} 的密钥，但已落入他人之手：请向 {value} 核实",
    ),
    "sd-no-key": (
        "its signature was not checked: the key is not in the file (it names {value}). Keep the original file",
        "未核验签名：文件中没有密钥（所指密钥：{value}）。请保留原始文件",
    ),
    "sd-other-algorithm": (
        "its signature was not checked: it is made with {value}, and ES256 is read here. Keep the original file",
        "未核验签名：签名算法为 {value}，本系统只核验 ES256。请保留原始文件",
    ),
    "sd-from": ("its issuer lets it hold from {value}", "签发方规定自 {value} 起有效"),
    "sd-until": ("its issuer lets it hold until {value}", "签发方规定有效期至 {value}"),
    "sd-withheld": (
        "{count} withheld, or digests of nothing to hide how many: only what was shown is read",
        "{count} 项未出示（或仅为隐藏数目的填充摘要）：只读取已出示的内容",
    ),
    "kb-checked": (
        "shown to {value} on {day} by the holder of the key {key}",
        "由密钥 {key} 的持有人于 {day} 向 {value} 出示",
    ),
    "kb-not-checked": (
        "its holder's signature was not checked: the holder's key (P-256) is not in the file",
        "未核验持有人的签名：文件中没有持有人的密钥（P-256）",
    ),
    "original-issuer": (
        "{value} issued the original; here, who confirms it is named with --issuer",
        "原件由 {value} 签发；在此以 --issuer 指定确认机构",
    ),
    "original-maker": (
        "{value} issued the original; here you issue it yourself",
        "原件由 {value} 签发；在此由您自行签发",
    ),
    "default": ("nothing is said; {value} is recorded", "未注明，记为 {value}"),
    "default-rows": ("{rows} rows say nothing; {value} is recorded", "{rows} 行未注明，记为 {value}"),
    "table": ("{rows} rows, {encoding}, delimiter: {delimiter}", "{rows} 行，{encoding}，分隔符：{delimiter}"),
    "other-party": (
        "{value}, but you import as {merchant}: customs compare the two",
        "{value}，而导入者为 {merchant}：海关会比对二者",
    ),
    # wrong
    "unusable": ("{why}. It is needed: {meaning}", "{why}。此项必填：{meaning}"),
    "unusable-cell": ("{why}", "{why}"),
    "fault": ("{what}", "{what}"),
    "empty-cell": ("is empty: {meaning}", "为空：{meaning}"),
    "differs": (
        "{value} differs from row {first}, which has the same reference",
        "{value} 与同一编号的第 {first} 行不一致",
    ),
    "column-twice": ("this column stands twice, perhaps under both names", "此列出现两次（可能用了两种名称）"),
    "too-many-cells": (
        "{cells} cells under {columns} columns: a text with the delimiter in it needs quotes",
        "{columns} 列却有 {cells} 格：含分隔符的文字须加引号",
    ),
    "no-rows": ("there are no rows under the header", "表头之下没有任何行"),
    "several-goods": (
        "{count} kinds of goods; a certificate of origin here covers one: split the document",
        "含 {count} 种货物；本系统一份原产地证书只含一种，请拆分",
    ),
    "several-lots": (
        "{count} lots; an inspection report here is about one: split the document",
        "含 {count} 个批次；本系统一份检验报告只含一个批次，请拆分",
    ),
    "bare-verdict": (
        "it says no more than passed or failed: ask the laboratory for the results (ISO/IEC 17025:2017, 7.8.2)",
        "仅有合格与否的结论：请向实验室索取检验结果（ISO/IEC 17025:2017，7.8.2）",
    ),
    "not-your-invoice": (
        "{value} is the seller, and you import as {merchant}: a merchant signs its own invoices only "
        "(if that is you under another name: --set seller.name)",
        "卖方为 {value}，而导入者为 {merchant}：企业只能签发自己的发票（若为本企业别名：--set seller.name）",
    ),
    "lodged-before": ("{value} was lodged before", "{value} 已申报过"),
    "number-taken": ("you have issued invoice {value} before", "发票 {value} 已签发过"),
    "stated-before": ("the same statement waits before {issuer} already", "相同的陈述已提交 {issuer} 待确认"),
    "twice-given": ("{value} stands in {other} as well", "{value} 在 {other} 中也出现"),
    "no-such-file": (
        "names no uploaded file of this size: upload it first, or leave attachments out",
        "未找到该大小的已上传文件：请先上传，或去掉附件",
    ),
    "malformed-json": ("{why}", "{why}"),
    # credentials secured as SD-JWT
    "sd-form": (
        "it is no whole SD-JWT: it was cut off, wrapped or altered on its way. "
        "Take the file again from whoever sent it to you",
        "不是完整的 SD-JWT：可能被截断、折行或改动。请向发送方重新索取原文件",
    ),
    "sd-json": (
        "a part of it is JSON that programs read differently ({why}). Ask its issuer for a new one",
        "其中的 JSON 会被不同程序读出不同内容（{why}）。请向签发方重新索取",
    ),
    "sd-unsigned": ("nobody signed it. Ask its issuer for the signed one", "未经签名。请向签发方索取已签名的文件"),
    "sd-crit": (
        "its header demands an extension (crit) that is not known here. Ask its issuer for one without",
        "其头部要求本系统不支持的扩展（crit）。请向签发方索取不含该扩展的文件",
    ),
    "sd-type": (
        "its type (typ) is {value}; read are {known}. Ask its issuer for one of these",
        "其类型（typ）为 {value}；可读取的有 {known}。请向签发方索取其中一种",
    ),
    "sd-hash": (
        "its digests are made with {value}; read are {known}. Ask its issuer for one of these",
        "其摘要算法为 {value}；可读取的有 {known}。请向签发方索取其中一种",
    ),
    "sd-many": (
        "more than {most} disclosures. Ask for one that shows less",
        "出示项超过 {most} 个。请索取出示较少的文件",
    ),
    "sd-deep": (
        "nested deeper than {most} levels. Ask its issuer for a new one",
        "嵌套超过 {most} 层。请向签发方重新索取",
    ),
    "sd-disclosure": (
        "disclosure {place} is damaged. Take the file again from whoever sent it to you",
        "第 {place} 个出示项已损坏。请向发送方重新索取原文件",
    ),
    "sd-disclosure-twice": (
        "disclosure {place} stands twice. Take the file again from whoever sent it to you",
        "第 {place} 个出示项重复。请向发送方重新索取原文件",
    ),
    "sd-foreign": (
        "disclosure {place} ({name}) is not what the issuer signed: it was altered, or put in, or what it lies in is "
        "withheld. Take the file again from whoever sent it to you",
        "第 {place} 个出示项（{name}）并非签发方所签内容：被改动、被加入，或其所属内容未出示。请向发送方重新索取原文件",
    ),
    "sd-shape": (
        "a member was shown here where an element of a list belongs, or the reverse. Ask its issuer for a new one",
        "此处出示的内容与其位置不符（对象成员与列表元素混淆）。请向签发方重新索取",
    ),
    "sd-digests": (
        "the digests here are damaged. Ask its issuer for a new one",
        "此处的摘要已损坏。请向签发方重新索取",
    ),
    "sd-digest-twice": (
        "a digest here stands twice. Ask its issuer for a new one",
        "此处的摘要重复。请向签发方重新索取",
    ),
    "sd-name": (
        "{name} would stand here twice, or is no name for a field. Ask its issuer for a new one",
        "{name} 在此处重复，或不可用作字段名。请向签发方重新索取",
    ),
    "sd-place": (
        "a digest stands here where none belongs. Ask its issuer for a new one",
        "此处不应有摘要。请向签发方重新索取",
    ),
    "sd-signature": (
        "it is not signed by the key that it names: what it says was altered after signing. "
        "Take the file again from whoever sent it to you",
        "签名与其所附密钥不符：内容在签名后被改动。请向发送方重新索取原文件",
    ),
    "sd-key": (
        "the key in its header is no P-256 key, which ES256 needs. Ask its issuer for a new one",
        "其头部的密钥不是 ES256 所需的 P-256 密钥。请向签发方重新索取",
    ),
    "kb-form": (
        "its holder's signature (key binding) is of no form that is read here. Ask its holder to show it anew",
        "持有人的签名（key binding）格式无法读取。请持有人重新出示",
    ),
    "kb-signature": (
        "its holder's signature is not by the key that the issuer named. Ask its holder to show it anew",
        "持有人的签名与签发方指定的密钥不符。请持有人重新出示",
    ),
    "kb-hash": (
        "its holder signed another choice of fields: some were taken away or put in. Ask its holder to show it anew",
        "持有人所签的出示内容与此不同：有增减。请持有人重新出示",
    ),
    # why a value is unusable
    "no-text": ("it is no text", "不是文字"),
    "numeric-country": (
        "{value} is a number: China customs' country numbers are not ISO 3166; write two letters, such as SG",
        "{value} 是数字：海关国别代码并非 ISO 3166，请写两位字母，如 SG",
    ),
    "no-country": ("{value} names no country (ISO 3166)", "{value} 不是国家名称或 ISO 3166 代码"),
    "no-day": ("{value} is no date: write 2026-03-01", "{value} 不是日期：请写作 2026-03-01"),
    "no-number": (
        "{value} is no number: write digits with a point for decimals and nothing between thousands",
        "{value} 不是数字：请用数字和小数点，不加千位分隔符",
    ),
    "shortened-number": (
        "{value} was shortened by a spreadsheet: format the column as text and enter it again",
        "{value} 已被电子表格缩写：请把该列设为文本格式后重新填写",
    ),
    "no-whole-number": ("{value} is no whole number", "{value} 不是整数"),
    "no-mass": ("{value} is no weight with a unit", "{value} 不是带单位的重量"),
    "no-mass-unit": ("{value} is no unit of mass known here ({known})", "{value} 不是已知的重量单位（{known}）"),
    "no-currency": (
        "{value} is no ISO 4217 currency code such as USD",
        "{value} 不是 ISO 4217 币种代码（如 USD）",
    ),
    "no-criterion": ("{value} is none of the origin criteria {known}", "{value} 不是原产地标准 {known} 之一"),
    "no-agreement": (
        "{value} is none of RCEP, ACFTA, CHAFTA; set NONE only where no preference is claimed",
        "{value} 不是 RCEP、ACFTA、CHAFTA 之一；仅在不申请优惠时填 NONE",
    ),
    "preference-without-agreement": ("it claims a preference and names no agreement", "申请优惠却未注明协定"),
    "no-unit": ("{value} is no unit in use here ({known})", "{value} 不是本系统使用的单位（{known}）"),
    "china-unit-unknown": (
        "{value} is no code of a unit in use here: of China customs' unit codes these are known: {known}",
        "{value} 不可用：已知的海关计量单位代码为 {known}",
    ),
    "no-direction": ("{value} is neither E, I, export nor import", "{value} 不是 E、I、export 或 import"),
    "lost-zero": (
        "{value} has an odd number of digits: a spreadsheet may have dropped the leading zero",
        "{value} 位数不对：电子表格可能去掉了开头的零",
    ),
    "no-instant": (
        "{value} is no time with its zone: write 2026-03-01T08:30+08:00",
        "{value} 不是带时区的时间：请写作 2026-03-01T08:30+08:00",
    ),
    "other-currency": ("priced in {value}, the total in {total}", "以 {value} 计价，而总额以 {total} 计"),
    "no-such-path": ("{path} leads to no field", "{path} 不是任何字段的路径"),
    # files that are nothing known
    "not-text": (
        "it is text neither in UTF-8 nor in GB18030 (byte {position}): save it as CSV UTF-8",
        "不是 UTF-8 或 GB18030 文本（字节 {position}）：请另存为 CSV UTF-8",
    ),
    "no-columns": (
        "it is neither JSON nor a table of consignments: its first row, {seen}, holds no column names known here "
        "(docs/import.md lists them)",
        "既不是 JSON，也不是货物清单表：首行 {seen} 中没有已知的列名（见 docs/import.md）",
    ),
    "broken-table": ("the table breaks off at row {row}: {why}", "表格在第 {row} 行中断：{why}"),
    "too-many-rows": ("more than {most} rows: split the file", "超过 {most} 行：请拆分文件"),
    "spreadsheet": ("it is a spreadsheet file: save it as CSV UTF-8", "这是电子表格文件：请另存为 CSV UTF-8"),
    "pdf": ("it is a PDF: attach it to a record in the browser", "这是 PDF：请在网页中作为单证附件上传"),
    "xml": ("it is XML, which is not read here: a table or JSON is", "这是 XML，暂不支持：请用表格或 JSON"),
    "too-large": ("larger than {most} bytes", "大于 {most} 字节"),
    "empty": ("it is empty", "文件为空"),
    "not-an-object": ("it is JSON, but no object. Known are: {known}", "是 JSON，但不是对象。已知格式：{known}"),
    "unknown-document": (
        "{seen} is no document known here. Known are: {known}",
        "{seen} 不是已知的单证格式。已知格式：{known}",
    ),
    "unknown-kind": (
        "the kind is {seen}; known are {known}, each with a document object",
        "kind 为 {seen}；已知的有 {known}",
    ),
}


def words(code: str, values: Mapping[str, object], language: Language) -> str:
    """The sentence with its values, which are made harmless to look at."""
    chinese = language == "zh"
    shown = {name: _shown(value, language, _LONGEST.get(name, 600)) for name, value in values.items()}
    if isinstance(meaning := values.get("meaning"), Meaning):
        shown["example"] = meaning.example
    if code == "china-unit":
        shown["unit"] = unit_name(values["value"], chinese)
    if code == "no-place" and values.get("value") is None:
        count = values.get("count")
        shown["value"] = f"{count} 项" if chinese else f"{count} value{'' if count == 1 else 's'}"
    if "told" in values:
        shown["value"] = shown["told"]
    return SENTENCES[code][int(chinese)].format_map(shown)


def tell(note: Note, language: Language = "en") -> str:
    """What a note says; where many rows say alike, with how many."""
    rows = note.values.get("rows")
    said = words(note.code, note.values, language)
    if note.mark is Mark.CONVERTED and rows is not None:
        return f"{said}（{rows} 行）" if language == "zh" else f"{said} ({rows} {'row' if rows == 1 else 'rows'})"
    return said


def _shown(value: object, language: Language, longest: int) -> str:
    if isinstance(value, Meaning):
        return value.chinese if language == "zh" else value.english
    if isinstance(value, Unusable | UnknownFormat):
        return words(value.reason, value.values, language)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        return "[…]" if isinstance(value, list) else "{…}"
    return clear(str(value), longest)


def clear(text: str, longest: int = 600) -> str:
    """Text that cannot move the cursor or hide: control characters are written out, and long text is cut."""
    visible = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)
    return visible if len(visible) <= longest else f"{visible[: longest - 1]}…"
