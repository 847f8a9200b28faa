"""The verdict in plain words, in English and Chinese, one sentence for each reason.

Placeholders are the check's values. Times are filled in by whoever shows the sentence, in the reader's own zone.
"""

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Literal

from backend.domain.records import ProofState
from backend.domain.verdict import Check, Conclusion, Verdict

Language = Literal["en", "zh"]

CONCLUSIONS: dict[Conclusion, tuple[str, str]] = {
    Conclusion.VALID: ("Valid", "有效"),
    Conclusion.INVALID: ("Invalid", "无效"),
    Conclusion.INDETERMINATE: ("Cannot tell", "无法判定"),
}

CHECKS: dict[str, tuple[str, str]] = {
    "BUNDLE": ("File", "文件"),
    "SNAPSHOT": ("What the ledger held", "链上快照"),
    "LEDGER": ("Ledger asked", "链上查询"),
    "SIGNATURE": ("Signature", "签名"),
    "CONTENT": ("Content", "内容"),
    "INCLUSION": ("Sealed with the others", "封存"),
    "ANCHOR": ("Recorded on the ledger", "上链存证"),
    "STATUS": ("In force", "效力状态"),
    "ISSUER_ACCREDITED": ("Issuer accredited", "签发机构资质"),
    "ISSUER_STANDING": ("Issuer in good standing", "机构现况"),
    "VALIDITY": ("Dates", "有效期"),
    "DOCUMENTS": ("Papers complete", "单证齐全"),
    "NAMED_RECORD": ("Paper named by the declaration", "报关单所列单证"),
    "MATCH_HS_CODE": ("HS code agrees", "商品编码一致"),
    "MATCH_ORIGIN": ("Origin agrees", "原产国一致"),
    "MATCH_DESTINATION": ("Destination agrees", "目的国一致"),
    "MATCH_EXPORTER": ("Exporter agrees", "出口商一致"),
    "MATCH_QUANTITY": ("Quantity covered", "数量在证书范围内"),
    "QUANTITY_AVAILABLE": ("Quantity left", "证书余量"),
    "MATCH_ORDER": ("Order agrees", "订单一致"),
    "MATCH_PAYMENT": ("Payment agrees", "收款一致"),
    "MATCH_WAYBILL": ("Waybill agrees", "运单一致"),
    "MATCH_INVOICE": ("Invoice agrees", "发票一致"),
    "CONFORMITY": ("Inspection result", "检验结论"),
    "ATTACHMENTS": ("Attached files", "附件"),
}

REASONS: dict[str, tuple[str, str]] = {
    "signature-valid": ("Signed by {issuer}; not a letter has been changed since.", "由{issuer}签署，签署后一字未改。"),
    "signature-invalid": (
        "The signature does not fit the text: it was altered, or never signed by this issuer. Ask for the original.",
        "签名与内容不符：内容被改动过，或并非由该机构签署。请向签发机构索取原件。",
    ),
    "record-altered": (
        "The record is damaged or altered ({why}). Ask the issuer for the original.",
        "单证已损坏或被改动（{why}）。请向签发机构索取原件。",
    ),
    "content-complete": ("All that was signed is shown.", "所签内容已全部出示。"),
    "fields-withheld": ("{count} fields are not shown by the holder.", "持有人未出示其中 {count} 项内容。"),
    "fields-invalid": (
        "What was signed is not a complete document of this kind. Ask the issuer for a new one.",
        "所签内容不符合该类单证的要求。请向签发机构申请新的单证。",
    ),
    "entry-kind-mismatch": (
        "It is presented as another kind of document than the one that was signed.",
        "出示的单证类型与所签类型不符。",
    ),
    "entry-quantity-mismatch": (
        "It is presented with another quantity than the one that was signed.",
        "出示的数量与所签数量不符。",
    ),
    "included": ("Sealed together with {size} records; its place is proven.", "与共 {size} 份记录一同封存，位置可证。"),
    "not-included": (
        "The proof does not lead from this record to the ledger: it was altered or belongs to another record.",
        "证明与链上记录不符：单证被改动过，或证明属于另一份单证。",
    ),
    "not-sealed": ("Stored; it will be sealed within seconds.", "已保存，数秒内封存。"),
    "not-anchored": ("Not yet on the ledger; look again in a few seconds.", "尚未上链，请几秒后再看。"),
    "not-final": ("On the ledger, waiting to become final.", "已上链，等待最终确认。"),
    "anchor-final": ("On the ledger since {anchored_at}, final.", "{anchored_at} 已上链，不可更改。"),
    "root-not-on-ledger": (
        "The ledger knows nothing of this record: it was never recorded there.",
        "链上查无此记录：从未登记。",
    ),
    "wrong-segment": (
        "On the ledger this place belongs to another kind of record.",
        "链上该位置属于另一类记录。",
    ),
    "ledger-unavailable": (
        "The ledger could not be asked ({why}). Try again; this says nothing about the record.",
        "暂时无法查询链上记录（{why}）。请稍后再试；这不说明单证有问题。",
    ),
    "bundle-malformed": (
        "This file is not an evidence bundle, or it is damaged ({why}). Fetch the evidence anew.",
        "该文件不是存证文件，或已损坏（{why}）。请重新下载存证文件。",
    ),
    "ledger-not-consulted": (
        "Not known here: it stands on the ledger, which was not asked, and nobody you trust has stated it.",
        "此处无法得知：该项记录在链上，未向链查询，也没有您信任的一方的声明。",
    ),
    "snapshot-trusted": (
        "Stated by {name}, who read the ledger on {read_at} (block {block}).",
        "由{name}声明，其于 {read_at} 读取链上记录（区块 {block}）。",
    ),
    "snapshot-missing": (
        "The file carries no signed statement of what the ledger held. Ask the ledger, or fetch the evidence anew.",
        "文件中没有经签名的链上快照。请联网查询，或重新下载存证文件。",
    ),
    "snapshot-altered": (
        "What the file says of the ledger was altered or damaged ({why}). Fetch the evidence anew.",
        "文件中的链上快照已被改动或损坏（{why}）。请重新下载存证文件。",
    ),
    "snapshot-signer-untrusted": (
        "The ledger's state is stated by a key that your trust file does not name ({signer}). If you trust it, add it.",
        "链上快照由密钥 {signer} 签署，该密钥不在您的信任文件中。如果信任该方，请将其加入信任文件。",
    ),
    "snapshot-ledger-untrusted": (
        "Your trust file does not let this signer ({signer}) speak for this ledger.",
        "您的信任文件未授权该签署方（{signer}）为这条链作证。",
    ),
    "snapshot-too-old": (
        "{name} read the ledger on {read_at}: longer ago than you allow. Fetch the evidence anew, or ask the ledger.",
        "{name}于 {read_at} 读取链上记录，已超过您允许的时限。请重新下载存证文件，或联网查询。",
    ),
    "snapshot-too-new": (
        "{name} read the ledger only on {read_at}, after the time you ask about; what it held before is not known.",
        "{name}于 {read_at} 才读取链上记录，晚于您所问的时间，此前的情况无从得知。",
    ),
    "snapshot-record-mismatch": (
        "The signed statement of what the ledger held speaks of another record. Fetch the evidence anew.",
        "链上快照所述的是另一份记录。请重新下载存证文件。",
    ),
    "ledger-consulted": (
        "Asked {node}: block {block} of {block_time}.",
        "已向 {node} 查询：区块 {block}（{block_time}）。",
    ),
    "ledger-unknown": (
        "Neither your trust file nor the node names this ledger ({ledger}): anybody can put one up. Get its operator's "
        "trust file and give it here.",
        "您的信任文件和所查询的节点均未列出这条链（{ledger}），而任何人都可以自建一条链。请向运营方索取信任文件。",
    ),
    "ledger-untrusted": (
        "Your trust file does not name this ledger ({ledger}), and anybody can put one up. Get its operator's trust "
        "file and give it here.",
        "您的信任文件未列出这条链（{ledger}），而任何人都可以自建一条链。请向运营方索取信任文件。",
    ),
    "multiple-ledgers": (
        "Its records stand on {count} ledgers, and a snapshot speaks of one. Sign a bundle of each record instead.",
        "文件中的记录分布在 {count} 条链上，而一份快照只能说明一条链。请分别为每份记录的存证文件签署。",
    ),
    "chain-mismatch": (
        "{node} carries another chain ({chain}) than the one that the record names.",
        "{node} 所在的链（{chain}）与记录所载不同。",
    ),
    "deployment-mismatch": (
        "At this address {node} shows another ledger than the one that the record names: the chain was reset, or it is "
        "another chain.",
        "{node} 在该地址上的账本与记录所载不同：该链已被重置，或并非同一条链。",
    ),
    "node-stale": (
        "The newest block of {node} is of {block_time}: it lags behind, and what happened since cannot be told.",
        "{node} 的最新区块时间为 {block_time}，已经落后，此后的变化无从得知。",
    ),
    "chain-reorganised": (
        "The chain was reorganised while {node} was asked. Try again in a minute.",
        "查询 {node} 时链发生了重组，请一分钟后再试。",
    ),
    "anchor-missing": (
        "The ledger does not show the record now, though it was recorded in block {why}: the chain was reorganised, or "
        "the node lags. Try again later.",
        "链上目前查不到该记录，而其曾登记于区块 {why}：链可能发生了重组，或节点尚未同步。请稍后再试。",
    ),
    "documents-withheld": (
        "The declaration's list of papers is not shown, so it cannot be told whether these are the ones.",
        "报关单的单证清单未出示，无法判断这些是否为所列单证。",
    ),
    "documents-missing": (
        "The declaration names {count} more paper(s) that are not in this file.",
        "报关单所列单证中有 {count} 份不在此文件中。",
    ),
    "ledger-mismatch": (
        "It is recorded on another ledger than the one that is read here.",
        "该记录登记在另一条链上，本系统无法查询。",
    ),
    "anchor-mismatch": (
        "It names another block or time than the ledger shows. Fetch the evidence anew.",
        "所载区块或时间与链上不一致，请重新下载存证文件。",
    ),
    "in-force": ("In force: neither suspended nor revoked.", "有效：未中止、未撤销。"),
    "suspended": ("Suspended by the issuer. Ask {issuer} why.", "已被签发机构中止。请向{issuer}了解原因。"),
    "revoked": ("Revoked. Ask {issuer} for a new one.", "已被撤销。请向{issuer}申请新的单证。"),
    "superseded": ("Replaced by a newer record; use that one.", "已被新的单证取代，请使用新单证。"),
    "withdrawn": ("The merchant withdrew the declaration.", "申报人已撤回该报关单。"),
    "status-unknown": (
        "The ledger shows a status ({status}) that is not known here.",
        "链上状态（{status}）无法识别。",
    ),
    "declaration-in-force": ("The declaration stands.", "报关单有效。"),
    "self-attested": (
        "This is {issuer}'s own statement. It counts once the issuer named in it has confirmed and signed it.",
        "这是{issuer}自己的声明，须经所指定的机构确认并签署后方可作为凭证。",
    ),
    "never-accredited": (
        "{issuer} was never accredited. Ask for a record by an accredited issuer.",
        "{issuer}从未获得资质认可。请改用有资质机构签发的单证。",
    ),
    "kind-not-covered": (
        "{issuer} is not accredited for this kind of record.",
        "{issuer}没有签发该类单证的资质。",
    ),
    "chapter-not-covered": (
        "{issuer} is not accredited for goods of HS chapter {chapter}.",
        "{issuer}的资质不包括第 {chapter} 章商品。",
    ),
    "hs-code-withheld": (
        "The HS code is not shown, so it cannot be told whether the issuer was accredited for these goods.",
        "未出示商品编码，无法判断签发机构的资质是否覆盖该商品。",
    ),
    "not-accredited-at-issue": (
        "{issuer} was not accredited when it signed this ({issued_at}).",
        "{issuer}在签署时（{issued_at}）没有资质。",
    ),
    "accreditation-revoked": (
        "The accreditation of {issuer} was revoked as of {since}. Ask another accredited issuer for a new record.",
        "{issuer}的资质已于 {since} 被撤销。请向其他有资质的机构申请新的单证。",
    ),
    "anchored-after-expiry": (
        "It was recorded only after {issuer}'s accreditation had ended ({until}); when it was signed cannot be told.",
        "登记时{issuer}的资质已到期（{until}），无法判断签署时间。",
    ),
    "accreditation-expired": (
        "{issuer}'s accreditation ended on {until}; what it signed before stays good.",
        "{issuer}的资质已于 {until} 到期；此前签发的单证仍然有效。",
    ),
    "accredited": ("{issuer} was accredited for this when it signed.", "{issuer}签署时具备相应资质。"),
    "good-standing": ("{issuer} is still accredited.", "{issuer}目前仍具备资质。"),
    "issued-after-anchoring": (
        "It is dated later ({issued_at}) than it can have been signed.",
        "签发时间（{issued_at}）晚于实际可能的时间。",
    ),
    "not-yet-issued": (
        "It was not issued yet: it is dated {issued_at}.",
        "当时尚未签发，所载签发时间为 {issued_at}。",
    ),
    "anchored-after-moment": (
        "It was recorded on the ledger only on {anchored_at}: that it existed before then cannot be shown.",
        "{anchored_at} 才上链，无法证明此前已经存在。",
    ),
    "erased": (
        "The holder erased it on {erased_at}: what it said is gone for good; only its place on the ledger is left.",
        "持有人已于 {erased_at} 删除该单证，内容无法恢复；链上仅保留其位置。",
    ),
    "expired": (
        "It expired on {until}. Ask the issuer for a new one.",
        "已于 {until} 过期。请向签发机构申请新的单证。",
    ),
    "within-validity": ("Within its dates.", "在有效期内。"),
    "certificate-of-origin-missing": (
        "The declaration names no certificate of origin.",
        "报关单未附原产地证。",
    ),
    "inspection-report-missing": (
        "The declaration names no inspection report.",
        "报关单未附检验报告。",
    ),
    "goods-without-certificate": (
        "HS {declared} is declared, but no certificate of origin named here covers it.",
        "申报商品 {declared} 没有对应的原产地证。",
    ),
    "goods-without-report": (
        "HS {declared} is declared, but no inspection report named here covers it.",
        "申报商品 {declared} 没有对应的检验报告。",
    ),
    "document-named": ("It is the very paper that the declaration names.", "与报关单所列单证一致。"),
    "document-confirmed": (
        "The declaration names the merchant's statement; {issuer} has since confirmed and signed it.",
        "报关单所列为商户声明，其后{issuer}已确认并签署。",
    ),
    "document-not-named": (
        "It is not the paper that the declaration names.",
        "与报关单所列单证不一致。",
    ),
    "hs-code-matches": ("HS {stated} is on the declaration.", "商品编码 {stated} 与报关单一致。"),
    "hs-code-differs": (
        "It covers HS {stated}; the declaration has {declared}. Correct the declaration or name the right paper.",
        "单证商品编码为 {stated}，报关单为 {declared}。请更正报关单或改附正确的单证。",
    ),
    "origin-matches": ("Origin {stated} on both.", "原产国均为 {stated}。"),
    "origin-differs": (
        "It certifies origin {stated}; the declaration says {declared}.",
        "证书原产国为 {stated}，报关单为 {declared}。",
    ),
    "destination-matches": ("Destination {stated} on both.", "目的国均为 {stated}。"),
    "destination-differs": (
        "It is made out for {stated}; the declaration goes to {declared}.",
        "证书进口国为 {stated}，报关单目的国为 {declared}。",
    ),
    "exporter-matches": ("The same exporter.", "出口商一致。"),
    "exporter-differs": (
        "It is made out to {stated}; the declaration is {declared}'s.",
        "证书出口商为 {stated}，报关单申报人为 {declared}。",
    ),
    "quantity-matches": ("{declared} declared, {stated} certified.", "申报 {declared}，证书 {stated}。"),
    "quantity-differs": (
        "{declared} declared, but only {stated} certified. Reduce the quantity or add a certificate.",
        "申报 {declared}，证书仅 {stated}。请减少数量或补充证书。",
    ),
    "quantity-already-declared": (
        "{declared} declared, but earlier ones take {used} of the {stated} certified. Add another certificate.",
        "申报 {declared}，而证书 {stated} 中已有 {used} 被先前的报关单使用。请改附其他证书。",
    ),
    "quantity-available": (
        "{left} of the certified quantity are left, enough for {declared}.",
        "证书余量为 {left}，足够本次申报的 {declared}。",
    ),
    "quantity-exceeded": (
        "{declared} declared, but only {left} are left on the ledger: other releases took the rest. Add a certificate.",
        "申报 {declared}，而链上证书余量仅 {left}，其余已被其他放行使用。请补充证书。",
    ),
    "drawdown-pending": (
        "{quantity} are being drawn from the certificate on the ledger.",
        "正在链上从证书中核减 {quantity}。",
    ),
    "drawdown-recorded": (
        "{quantity} were drawn from the certificate on the ledger.",
        "已在链上从证书中核减 {quantity}。",
    ),
    "order-matches": ("Order {stated} on both.", "订单号均为 {stated}。"),
    "order-differs": (
        "It belongs to order {stated}; the declaration is for order {declared}. Name the right paper.",
        "该单证对应订单 {stated}，报关单为订单 {declared}。请改附正确的单证。",
    ),
    "waybill-matches": ("Waybill {stated} on both.", "运单号均为 {stated}。"),
    "waybill-differs": (
        "It is about waybill {stated}; the declaration has {declared}. Name the right paper.",
        "该单证对应运单 {stated}，报关单为运单 {declared}。请改附正确的单证。",
    ),
    "waybill-destination-differs": (
        "The waybill goes to {stated}; the declaration says {declared}.",
        "运单目的国为 {stated}，报关单为 {declared}。",
    ),
    "invoice-matches": ("It names the invoice handed in, {stated}.", "所列发票 {stated} 与所附发票一致。"),
    "invoice-differs": (
        "It was made out for invoice {stated}; handed in was {declared}.",
        "证书对应发票 {stated}，所附发票为 {declared}。",
    ),
    "payment-matches": ("Paid in full: {stated}.", "已全额收款：{stated}。"),
    "payment-differs": (
        "{stated} was paid for an order of {declared}. A payment in part may be in order: explain it.",
        "收款 {stated}，订单金额 {declared}。如为部分付款，请作说明。",
    ),
    "units-differ": (
        "{declared} declared in another unit than certified; use the certificate's unit.",
        "申报 {declared} 与证书计量单位不同，请使用证书上的单位。",
    ),
    "conforms": ("The goods conform to {specification}.", "符合 {specification}。"),
    "does-not-conform": (
        "The goods do not conform to {specification}. They cannot be released on this report.",
        "不符合 {specification}，不能凭此报告放行。",
    ),
    "attachments-intact": ("{count} attached file(s), as signed.", "{count} 个附件与签署时一致。"),
    "attachment-altered": ("The file {file} is not the one that was signed.", "附件 {file} 与签署时不一致。"),
    "attachment-missing": (
        "The file {file} is not at hand here, so it cannot be compared with what was signed.",
        "附件 {file} 不在本系统中，无法与签署时比对。",
    ),
}

BECAUSE: dict[str, tuple[str, str]] = {
    "revoked": (
        "Revoked: {why} — Ask {issuer} for a new one.",
        "已被撤销：{why}。请向{issuer}申请新的单证。",
    ),
    "suspended": (
        "Suspended by the issuer: {why} — Ask {issuer}.",
        "已被签发机构中止：{why}。请向{issuer}了解。",
    ),
}
"""The same reasons, said where it is known why."""

ACTION_BY: dict[str, tuple[str, str]] = {
    "merchant": ("the merchant", "商户"),
    "issuer": ("the issuer", "签发机构"),
    "authority": ("the accrediting authority", "资质主管机关"),
    "operator": ("the operator of this system", "系统运营方"),
    "wait": ("nobody: wait a few seconds", "无需处理，请稍候"),
    "nobody": ("nobody", "无"),
}

PROOF_STATES: dict[ProofState, tuple[str, str]] = {
    ProofState.STORED: ("stored", "已保存"),
    ProofState.SEALED: ("sealed", "已封存"),
    ProofState.SUBMITTED: ("sent to the ledger", "已提交上链"),
    ProofState.ANCHORED: ("on the ledger, not final yet", "已上链，待最终确认"),
    ProofState.FINAL: ("on the ledger, final", "已上链，不可更改"),
}

SHORT_OF_FORM = (
    "Record {record} is signed, but no complete paper of its kind: {faults}. The verdict does not weigh this.",
    "记录 {record} 已签署，但不是该类单证的完整内容：{faults}。此项不影响结论。",
)
COMMANDING = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_FAULTS_IN_CHINESE = {"is missing": "缺失", "is not a field of this document": "不是该类单证的栏目"}


def short_of_form(record: str, faults: Iterable[tuple[str, str]], language: Language) -> str:
    """What a record lacks of the form of its kind, in one sentence."""
    if language == "en":
        told = "; ".join(f"{where} {what}".strip() for where, what in faults)
        return SHORT_OF_FORM[0].format(record=record, faults=on_one_line(told))
    told = "；".join(f"{where} {_FAULTS_IN_CHINESE.get(what, '不符合要求')}".strip() for where, what in faults)
    return SHORT_OF_FORM[1].format(record=record, faults=on_one_line(told))


def on_one_line(text: str) -> str:
    """A text of others, with � for what could command a terminal, begin a line of its own or turn the writing round."""
    return COMMANDING.sub("\ufffd", text)


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def sentence(check: Check, language: Language, show_time: Callable[[datetime], str] = _utc) -> str:
    """The check's answer in words."""
    known = BECAUSE if check.reason in BECAUSE and check.values.get("why") else REASONS
    template = known[check.reason][language == "zh"]
    return template.format(**{name: _shown(value, show_time) for name, value in check.values.items()})


def _shown(value: Any, show_time: Callable[[datetime], str]) -> Any:
    if isinstance(value, datetime):
        return show_time(value)
    return on_one_line(value) if isinstance(value, str) else value


def headline(verdict: Verdict, language: Language, show_time: Callable[[datetime], str] = _utc) -> str:
    """The one sentence under the verdict: why."""
    if verdict.deciding is not None:
        return sentence(verdict.deciding, language, show_time)
    return ("All checks passed.", "全部检查通过。")[language == "zh"]
