"""Writes the sentences that the one-file verifier says into it: python tests/verifier/write_words.py."""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from backend.messages.verdict import CHECKS, REASONS, RULINGS  # noqa: E402

PAGE = ROOT / "verifier" / "verifier.html"
_BLOCK = re.compile(r'(<script type="application/json" id="words">\n).*?(\n</script>)', re.DOTALL)
KINDS = {
    1: ("Certificate of origin", "原产地证"),
    2: ("Inspection report", "检验报告"),
    3: ("Declaration", "报关单"),
    4: ("Invoice", "发票"),
    5: ("Order", "订单"),
    6: ("Payment receipt", "支付凭证"),
    7: ("Waybill", "运单"),
    8: ("Movement event", "物流事件"),
}


def words_for(page: str) -> str:
    """What the page must carry: the sentences whose reason its script names, and no other."""
    script = page.partition('<script id="verifier">')[2]
    named = {reason: texts for reason, texts in REASONS.items() if f'"{reason}"' in script}
    codes = {code: texts for code, texts in CHECKS.items() if f'"{code}"' in script}
    parts = {
        "rulings": {ruling.value: texts for ruling, texts in RULINGS.items()},
        "kinds": KINDS,
        "checks": codes,
        "reasons": named,
    }
    lines = [
        f'"{name}": ' + json.dumps(texts, ensure_ascii=False).replace("<", "\\u003c") for name, texts in parts.items()
    ]
    return "{\n" + ",\n".join(lines) + "\n}"


def with_words(page: str) -> str:
    """The page with its sentences as they stand in the code."""
    return _BLOCK.sub(lambda found: found[1] + words_for(page) + found[2], page, count=1)


if __name__ == "__main__":
    PAGE.write_text(with_words(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
