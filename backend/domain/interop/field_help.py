"""What each field of ours means, in both languages, with an example: for whoever has to give what a document lacks."""

import re
from dataclasses import dataclass
from typing import TypeGuard, get_args, get_origin

from backend.domain.fields import Document
from backend.domain.kinds import KINDS, Kind, own_words


@dataclass(frozen=True)
class Meaning:
    """A field in plain words."""

    english: str
    chinese: str
    example: str


_PARTY_NAME = {
    "exporter.name": Meaning("the exporter's name", "出口商名称", "'Yiwu Morning Star Trading Co., Ltd.'"),
    "consignee.name": Meaning("the consignee's name", "收货人名称", "'Lion City Imports Pte Ltd'"),
    "customer.name": Meaning("who ordered the inspection", "委托检验的单位", "'Yiwu Morning Star Trading Co., Ltd.'"),
    "seller.name": Meaning("the seller's name: yours", "卖方名称（即本企业）", "'Yiwu Morning Star Trading Co., Ltd.'"),
    "buyer.name": Meaning("the buyer's name", "买方名称", "'Lion City Imports Pte Ltd'"),
}
MEANINGS: dict[str, Meaning] = {
    **_PARTY_NAME,
    "originCountry": Meaning("where the goods originate (ISO 3166, two letters)", "原产国（ISO 3166 两位字母）", "CN"),
    "importCountry": Meaning("where the goods go (ISO 3166, two letters)", "进口国（ISO 3166 两位字母）", "SG"),
    "originCriteria": Meaning(
        "how the goods earned their origin: WO, PE, CC, CTH, CTSH, RVC, CR, PSR, or NP where no preference is claimed",
        "原产地标准：WO、PE、CC、CTH、CTSH、RVC、CR、PSR；不申请优惠填 NP",
        "NP",
    ),
    "freeTradeAgreementName": Meaning("RCEP, ACFTA, CHAFTA or NONE", "RCEP、ACFTA、CHAFTA 或 NONE", "RCEP"),
    "hsCode": Meaning("the goods' HS code, 6 to 13 digits", "商品编码（HS，6 至 13 位）", "940521"),
    "description": Meaning("what the goods are", "货物描述", "'LED desk lamp, 8 W'"),
    "quantity": Meaning("how much it covers, counted in unitCode", "数量（以 unitCode 计）", "200"),
    "unitCode": Meaning("the quantity's unit: H87 piece, KGM kilogram…", "数量的单位：H87 件、KGM 千克…", "H87"),
    "issueDate": Meaning("the day on which it was made out", "签发日期", "2026-03-01"),
    "itemDescription": Meaning("what was inspected", "受检物品", "'Avocados, boxes of 4'"),
    "itemIdentification": Meaning("the lot, batch or sample number", "批号或样品编号", "LOT-7"),
    "performedFrom": Meaning("the first day of the inspection", "检验开始日期", "2026-03-01"),
    "performedTo": Meaning("the last day of the inspection", "检验结束日期", "2026-03-02"),
    "method": Meaning("the standard or method that was used", "所用标准或方法", "'GB/T 29606-2013'"),
    "specification": Meaning("what conformity is stated with", "符合性判定所依据的规范", "'GB 4806.9-2016'"),
    "decisionRule": Meaning(
        "how uncertainty was taken into account (ISO/IEC 17025:2017, 7.8.6)",
        "判定规则：如何考虑测量不确定度（ISO/IEC 17025:2017，7.8.6）",
        "'simple acceptance'",
    ),
    "conforms": Meaning("whether it conforms: true or false", "是否符合：true 或 false", "true"),
    "results.#.characteristic": Meaning("what was measured", "检验项目", "'Lead migration'"),
    "results.#.value": Meaning("the value that was found", "检验结果值", "'< 0.01'"),
    "invoiceNumber": Meaning("the invoice's number", "发票号", "INV-1"),
    "currency": Meaning("the currency (ISO 4217)", "币种（ISO 4217）", "USD"),
    "totalAmount": Meaning("the invoice's total", "发票总额", "1300"),
    "items.#.description": Meaning("what the line is about", "货物描述", "'LED desk lamp, 8 W'"),
    "items.#.quantity": Meaning("how many, counted in unitCode", "数量", "200"),
    "items.#.unitCode": Meaning("the quantity's unit: H87 piece, KGM kilogram…", "计量单位：H87 件、KGM 千克…", "H87"),
    "items.#.amount": Meaning("the line's amount", "金额", "1300"),
    "items.#.hsCode": Meaning("the goods' HS code, 6 to 13 digits", "商品编码（HS，6 至 13 位）", "9405210090"),
    "items.#.unitPrice": Meaning("the price of one unit", "单价", "6.50"),
    "items.#.currency": Meaning("the currency of the price (ISO 4217)", "币种（ISO 4217）", "USD"),
    "items.#.originCountry": Meaning("where the goods originate (ISO 3166)", "原产国（ISO 3166）", "CN"),
    "declarationReference": Meaning("your own number of the declaration", "企业内部编号", "MS-2026-0001"),
    "customsOffice": Meaning("the code of the customs office", "申报地海关代码", "2925"),
    "orderReference": Meaning("the order's number on the platform", "订单编号", "ORDER-1001"),
    "waybillReference": Meaning("the waybill's number", "物流运单编号", "WAYBILL-1001"),
    "destinationCountry": Meaning("where the goods go (ISO 3166)", "运抵国（ISO 3166）", "SG"),
    "packageQuantity": Meaning("how many packages there are", "件数", "10"),
    "grossWeightMeasure": Meaning("the gross weight in kilograms", "毛重（千克）", "96.5"),
}


def needed_for(kind: Kind, field: str) -> tuple[str, ...]:
    """The plain fields that must be given where this one is missing."""
    info = next((i for i in KINDS[kind].model.model_fields.values() if i.alias == field), None)
    element = info and next((one for one in get_args(info.annotation) or (info.annotation,) if _is_group(one)), None)
    if info is None or element is None:
        return (field,)
    path = f"{field}.0" if get_origin(info.annotation) is tuple else field
    return tuple(f"{path}.{one.alias}" for one in element.model_fields.values() if one.is_required())


def _is_group(annotation: object) -> TypeGuard[type[Document]]:
    return isinstance(annotation, type) and issubclass(annotation, Document)


def meaning_of(field: str) -> Meaning:
    """What a field means; a field without an entry speaks for itself."""
    if (own := own_words(field)) is not None:
        return Meaning(own.meaning.en, own.meaning.zh, own.example)
    return MEANINGS.get(re.sub(r"(?<=\.)[0-9]+", "#", field), Meaning(field, field, "…"))
